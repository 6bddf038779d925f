"""What Traefik adds on the way: headers, compression, a log within bounds, and never a 502 of its own making."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import ssl
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support.platform import Platform, eventually

# One page of each service that is routed without a login.
PAGES = ["/", "/api/info", "/mobile/config", "/artifacts/manifest.json", "/no-such-page"]
Answer = tuple[int, list[tuple[str, str]], bytes]


def connect(platform: Platform) -> http.client.HTTPSConnection:
    """A connection of its own to the published port, which lives until it is closed."""
    trust = ssl.create_default_context(cafile=str(platform.authority))
    return http.client.HTTPSConnection(
        "localhost", platform.published("traefik", "https"), context=trust, timeout=30
    )


def ask(
    connection: http.client.HTTPConnection, path: str, method: str = "GET", body: str = "", **headers: str
) -> Answer:
    """Headers are given with ``_`` for ``-``; those of the answer come as they were sent, also one that is there twice."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body or None, sent)
    answer = connection.getresponse()
    content = answer.read()
    return answer.status, [(name.lower(), value) for name, value in answer.getheaders()], content


@pytest.mark.parametrize("path", PAGES)
def test_headers_that_protect_are_there_once(platform: Platform, path: str) -> None:
    _status, headers, _body = ask(connect(platform), path)
    for name, value in (
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "SAMEORIGIN"),
        ("referrer-policy", "same-origin"),
    ):
        assert [found for key, found in headers if key == name] == [value], name
    names = [key for key, _value in headers]
    assert not {"server", "x-powered-by", "strict-transport-security"} & set(names)


def test_the_page_keeps_its_own_stricter_policy(platform: Platform) -> None:
    _status, headers, _body = ask(connect(platform), "/")
    [policy] = [value for key, value in headers if key == "content-security-policy"]
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("path", ["/app.js", "/api/openapi.json"])
def test_answers_are_packed_for_who_takes_that(platform: Platform, path: str) -> None:
    connection = connect(platform)
    _status, plain_headers, plain = ask(connection, path, Accept_Encoding="identity")
    assert "content-encoding" not in dict(plain_headers)
    _status, headers, packed = ask(connection, path, Accept_Encoding="gzip")
    assert dict(headers)["content-encoding"] == "gzip"
    assert "accept-encoding" in dict(headers)["vary"].lower()
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain) / 2


# The log --------------------------------------------------------------------------------------------------------------


def lines(platform: Platform, word: str) -> list[dict[str, Any]]:
    """The lines of Traefik's log with a word in them."""
    text = platform.container("traefik").logs(tail=2000).decode()
    return [json.loads(line) for line in text.splitlines() if word in line]


def test_a_request_is_one_json_line_and_nothing_secret_is_in_it(platform: Platform) -> None:
    name = f"/logged-{uuid.uuid4().hex}"
    secret = f"secret-{uuid.uuid4().hex}"
    ask(
        connect(platform),
        f"{name}?token={secret}",
        Authorization=f"Bearer {secret}",
        Cookie=f"session={secret}",
        X_Token=secret,
        Referer=f"https://example.org/?{secret}",
        User_Agent="end-to-end\n".strip(),
    )
    eventually(lambda: bool(lines(platform, name)), "a line of the request")
    [line] = lines(platform, name)
    assert (line["RequestMethod"], line["RequestPath"], line["DownstreamStatus"]) == ("GET", name, 404)
    assert line["ServiceName"].startswith("frontend")
    assert line["request_User-Agent"] == "end-to-end"
    assert line["Duration"] > 0
    assert secret not in platform.container("traefik").logs(tail=2000).decode()


def test_the_log_is_kept_within_bounds_by_docker(platform: Platform) -> None:
    """Lines of 50 kB each, of which a few hundred are more than what is kept. The page's server refuses such paths."""
    container = platform.container("traefik")
    options = container.attrs["HostConfig"]["LogConfig"]["Config"]
    assert (options["max-size"], options["max-file"]) == ("10m", "3")

    def flood(_number: int) -> None:
        for _ in range(100):
            connection = connect(platform)
            # It is refused before all of it is sent, and so not every answer arrives.
            with contextlib.suppress(http.client.RemoteDisconnected, ConnectionError):
                assert ask(connection, f"/flood-{'x' * 50_000}")[0] == 414
            connection.close()

    with ThreadPoolExecutor() as pool:
        list(pool.map(flood, range(8)))
    name = f"/after-{uuid.uuid4().hex}"
    ask(connect(platform), name)
    eventually(lambda: bool(lines(platform, name)), "it goes on with another file")
    log = Path(container.attrs["LogPath"])
    sizes = [path.stat().st_size for path in log.parent.glob(f"{log.name}*")]
    assert 1 < len(sizes) <= 3
    assert max(sizes) < 11 * 1024 * 1024


# Connections that idle -----------------------------------------------------------------------------------------------


def test_a_post_after_any_pause_is_answered_by_the_service(platform: Platform) -> None:
    """The pauses lie around the moments in which either side gives an idle connection up: after 2 s, and after 5 s."""
    pauses = (1.9, 2.0, 2.1, 4.9, 4.95, 5.0, 5.05, 5.1)

    def ask_again(number: int) -> list[int]:
        connection = connect(platform)
        found = []
        for pause in (0.0, *pauses):
            time.sleep(pause + number / 1000)
            status, _headers, _body = ask(
                connection, "/api/devices", "POST", "{}", Content_Type="application/json"
            )
            found.append(status)
        return found

    with ThreadPoolExecutor(24) as pool:
        found = [status for statuses in pool.map(ask_again, range(24)) for status in statuses]
    assert set(found) == {401}, "each reached the backend, which refuses it for want of a token"
