# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the transport makes of answers without an end."""

from __future__ import annotations

import time

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import (
    GitHubUnavailableError,
    GitHubUnclearError,
)
from ansible_collections.dockfra.core.plugins.module_utils.github.transport import Transport
from ansible_collections.dockfra.core.tests.unit.hostile_server import (
    ANSWERS,
    OK,
    PACKED,
    SLOW,
    HostileServer,
)

SIZE = 256 * 1024


def transport(server: HostileServer, seconds: int = 10) -> Transport:
    return Transport(
        "token",
        f"http://127.0.0.1:{server.port}",
        timeout=seconds,
        max_answer=SIZE,
        max_wait=60,
        sleep=lambda _seconds: None,
        backoff=0,
    )


@pytest.mark.parametrize("kind", [*ANSWERS, *PACKED])
def test_finding_s4_an_endless_answer_of_github_is_not_read_on(kind: str) -> None:
    with HostileServer(kind) as server:
        with pytest.raises(GitHubUnavailableError) as caught:
            transport(server).send("GET", "/repos/a/b/issues")
        # Five times at most, and each time not much more than what may be read.
        assert server.sent < 5 * (SIZE + 16 * 1024 * 1024)
    assert str(caught.value).startswith(f"127.0.0.1:{server.port} does not answer properly (")
    # Python and urllib3 have lower bounds for a line and for headers, and tell them.
    bounds = (f"more than {SIZE} bytes", "got more than", "chunk size line exceeded maximum")
    assert any(bound in str(caught.value) for bound in bounds)


@pytest.mark.parametrize("kind", SLOW)
def test_finding_s4_github_that_drips_is_late_each_time(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{Transport.__module__}._MOST_TRIES", 2)
    begin = time.monotonic()
    with HostileServer(kind) as server:
        with pytest.raises(GitHubUnavailableError, match=r"127\.0\.0\.1:\d+ did not answer in 1 s"):
            transport(server, 1).send("GET", "/repos/a/b/issues")
        assert server.asked == 2
    assert time.monotonic() - begin < 15


def test_finding_s4_what_creates_something_is_in_doubt_after_an_endless_answer() -> None:
    with HostileServer("body") as server:
        with pytest.raises(GitHubUnclearError, match=f"more than {SIZE} bytes.*not known whether"):
            transport(server).send("POST", "/repos/a/b/issues", body={"title": "x"}, once=True)
        assert server.asked == 1


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 100\r\n\r\n[",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n[]",
    ],
)
def test_a_body_that_breaks_off_or_is_not_what_it_is_called_is_no_answer(rest: bytes) -> None:
    with (
        HostileServer(OK + rest) as server,
        pytest.raises(GitHubUnavailableError, match="answer is broken: "),
    ):
        transport(server).send("GET", "/repos/a/b/issues")


@pytest.mark.parametrize("status", [301, 302, 307])
def test_finding_s4_the_body_of_a_redirect_is_bounded_too(status: int) -> None:
    head = b"HTTP/1.1 %d Moved\r\nLocation: /elsewhere\r\nContent-Length: 9999999999\r\n\r\n" % status
    with HostileServer(head + bytes(4 * SIZE)) as server, pytest.raises(GitHubUnavailableError, match="more"):
        transport(server).send("GET", "/repos/a/b/issues")


@pytest.mark.parametrize("body", [b"[" * 100_000, b"[" + b"[]," * 80_000 + b"[]]"])
def test_finding_s4_few_bytes_that_become_much_are_no_answer(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{Transport.__module__}._MAX_VALUES", 150_000)
    answer = OK + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    with (
        HostileServer(answer) as server,
        pytest.raises(GitHubUnavailableError, match=r"no JSON|150000 values"),
    ):
        transport(server).send("GET", "/repos/a/b/issues")


def test_other_requesters_of_pygithub_stay_as_they_are() -> None:
    import github
    from github.Requester import HTTPRequestsConnectionClass

    with HostileServer(OK + b"Content-Length: 2\r\n\r\n[]") as server:
        assert transport(server).send("GET", "/repos/a/b/issues").data == []
        other = github.Github(base_url=f"http://127.0.0.1:{server.port}").requester
    assert other._Requester__connectionClass is HTTPRequestsConnectionClass  # type: ignore[attr-defined]
