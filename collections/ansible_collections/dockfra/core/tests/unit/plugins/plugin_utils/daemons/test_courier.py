# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Alerts reach real HTTP servers, failing addresses are told once and without their secret, and none leads into the platform."""

from __future__ import annotations

import ipaddress
import json
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import apprise
import pytest

from ansible_collections.dockfra.core.plugins.module_utils.settings.file import EnvFile
from ansible_collections.dockfra.core.plugins.module_utils.watch.damping import BACK, WRONG
from ansible_collections.dockfra.core.plugins.module_utils.watch.history import Alert
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons import courier as module
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons import send
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.courier import Courier
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

# The libraries of commands have an environment of their own in a container; here they are beside pytest.
LIBRARIES = str(Path(apprise.__file__).parents[1])
PROGRAM = (
    *(sys.executable, "-IS", "-c", f"import sys; sys.path.append({LIBRARIES!r}); " + module.PROGRAM[3]),
    *module.PROGRAM[4:],
)
DOWN = Alert("00112233", 1_800_000_000.0, "redis", WRONG, "down", "redis at redis:6379: connection refused")
UP = Alert("44556677", 1_800_000_060.0, "redis", BACK, "up", "all its ports answer")


class Receiver:
    """An HTTP server that keeps what it gets, and answers as it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[str, Any]] = []
        self.status = 200
        self.delay = 0.0
        self.asked = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.asked += 1
                time.sleep(receiver.delay)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.status == 200:
                    receiver.got.append((self.path, json.loads(body)))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                """Nobody needs it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def address(self, scheme: str = "json", path: str = "/s3cret-path") -> str:
        return f"{scheme}://127.0.0.1:{self.server.server_address[1]}{path}"


_posts: list[Post] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """No courier works on behind the tests that follow."""
    yield
    while _posts:
        _posts.pop().courier.close()


class Post:
    """A courier, and what it has logged."""

    def __init__(self, folder: Path, again: tuple[float, ...] = ()) -> None:
        self.settings = EnvFile(folder / ".env", "monitor")
        self.said: list[dict[str, Any]] = []
        self.courier = Courier(self.settings, self.log, PROGRAM, again=again)
        _posts.append(self)

    def log(self, event: str, **fields: Any) -> None:
        self.said.append({"event": event, **fields})

    def to(self, *addresses: str) -> None:
        self.settings.update({"ALERT_URLS": ",".join(addresses) or None})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.server.shutdown()
    found.server.server_close()


def eventually(check: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_an_alert_reaches_an_address_of_apprise_and_a_plain_webhook(
    tmp_path: Path, receiver: Receiver
) -> None:
    post = Post(tmp_path)
    post.to(receiver.address(), receiver.address("http", "/hook?token=abc"))
    post.courier.put(DOWN)
    post.courier.put(UP)
    eventually(lambda: len(receiver.got) == 4)
    assert {path for path, _body in receiver.got} == {"/s3cret-path", "/hook?token=abc"}
    first, last = receiver.got[0][1], receiver.got[-1][1]
    assert (first["title"], first["type"]) == ("dockfra: redis is down", "failure")
    assert first["message"].splitlines() == [DOWN.detail, "Since 2027-01-15 08:00:00 UTC; alert 00112233."]
    assert (last["title"], last["type"]) == ("dockfra: redis is back", "success")
    assert (post.said, post.courier.problem()) == ([], "")


def test_without_addresses_nothing_is_started_and_a_change_is_noticed(
    tmp_path: Path, receiver: Receiver
) -> None:
    post = Post(tmp_path)
    post.courier._program = ("/nonexistent",)
    post.courier.put(DOWN)
    time.sleep(0.3)
    assert post.said == []
    post.courier._program = PROGRAM
    post.to(receiver.address())
    post.courier.put(UP)
    eventually(lambda: len(receiver.got) == 1)


def test_an_address_that_fails_is_told_once_and_its_secret_never(tmp_path: Path, receiver: Receiver) -> None:
    post = Post(tmp_path)
    nowhere = f"json://127.0.0.1:{closed_port()}/s3cret-path"
    post.to(receiver.address(), nowhere)
    for _number in range(3):
        post.courier.put(DOWN)
    eventually(lambda: len(receiver.got) == 3)
    eventually(lambda: bool(post.courier.problem()))
    told = {"event": "alert-address", "number": 2, "problem": "address 2 of ALERT_URLS does not take it"}
    assert post.said == [told]
    assert post.courier.problem() == "1 of 2 addresses of ALERT_URLS did not take the last alert"
    receiver.status = 500
    post.courier.put(DOWN)
    eventually(lambda: len(post.said) == 2)
    receiver.status = 200
    post.to(receiver.address())
    post.courier.put(UP)
    eventually(lambda: post.courier.problem() == "")
    assert [said["number"] for said in post.said] == [2, 1, 1]
    assert "s3cret" not in json.dumps(post.said)


def test_an_alert_is_tried_again_at_the_addresses_that_did_not_take_it(
    tmp_path: Path, receiver: Receiver
) -> None:
    other = Receiver()
    post = Post(tmp_path, again=(0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1))
    post.to(receiver.address(), other.address())
    receiver.status = 503
    post.courier.put(DOWN)
    eventually(lambda: receiver.asked >= 2)
    receiver.status = 200
    eventually(lambda: len(receiver.got) == 1)
    time.sleep(0.5)
    assert (len(receiver.got), len(other.got)) == (1, 1)
    other.server.server_close()


def test_one_that_knows_no_such_address_is_told(tmp_path: Path) -> None:
    post = Post(tmp_path)
    post.to("nonsense://somewhere/s3cret")
    post.courier.put(DOWN)
    eventually(lambda: bool(post.said))
    assert post.said[0]["problem"] == "address 1 of ALERT_URLS is none that Apprise knows"


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        (("/nonexistent",), "could not be tried: the program that sends did not work"),
        (("true",), "could not be tried: the program that sends did not work"),
        (("sleep", "60"), "it did not end within 0.3 s"),
    ],
)
def test_a_sender_that_fails_or_hangs_is_told_and_the_next_alert_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: tuple[str, ...], problem: str
) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    post = Post(tmp_path)
    post.courier._program = program
    post.to("json://127.0.0.1:9/s3cret")
    post.courier.put(DOWN)
    eventually(lambda: bool(post.said))
    assert post.said[0]["problem"] == f"address 1 of ALERT_URLS {problem}"


def test_a_slow_receiver_holds_up_nobody_and_what_waits_is_bounded(
    tmp_path: Path, receiver: Receiver
) -> None:
    post = Post(tmp_path)
    receiver.delay = 1.0
    post.to(receiver.address())
    begin = time.monotonic()
    for number in range(1000):
        post.courier.put(DOWN._replace(id=str(number)))
    assert time.monotonic() - begin < 0.5
    assert len(post.courier._waiting) <= module.MAX_WAITING


def test_no_address_or_message_is_in_the_arguments_or_the_environment(
    tmp_path: Path, receiver: Receiver
) -> None:
    post = Post(tmp_path)
    receiver.delay = 1.5
    post.to(receiver.address())
    post.courier.put(DOWN)
    eventually(lambda: receiver.asked == 1)
    seen = b"".join(
        (entry / name).read_bytes()
        for entry in Path("/proc").iterdir()
        if entry.name.isdecimal() and b"daemons.send" in _read(entry / "cmdline")
        for name in ("cmdline", "environ")
    )
    assert b"daemons.send" in seen
    assert b"s3cret" not in seen


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


# Where no alert goes --------------------------------------------------------------------------------------------------

GUARDED = """
    import ipaddress, json, sys
    from ansible_collections.dockfra.core.plugins.plugin_utils.daemons import send

    guard = send.Guard([ipaddress.ip_network(network) for network in json.loads(sys.argv[1])])
    alert = {"title": "t", "body": "b", "kind": "failure"}
    print(json.dumps(send.send(json.loads(sys.argv[2]), alert, guard)))
"""


def own_address() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


def guarded(networks: list[str], *addresses: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(GUARDED), json.dumps(networks), json.dumps(addresses)],
        env={"PYTHONPATH": f"{COLLECTIONS}:{LIBRARIES}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found: list[str] = json.loads(done.stdout)
    return found


def test_nothing_is_sent_into_the_platforms_own_networks_by_address_name_or_redirection() -> None:
    """The same server is reached where its network is none of the platform's."""
    mine = own_address()
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(self.path)
            self.send_response(307 if self.path == "/away" else 200)
            self.send_header("Location", f"http://{mine}:{port}/within")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815  the name that http.server calls

        def log_message(self, *_arguments: Any) -> None:
            """Nobody needs it."""

    server = ThreadingHTTPServer(("", 0), Handler)
    port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        direct, around = f"http://{mine}:{port}/direct", f"http://127.0.0.1:{port}/away"
        assert guarded([], direct) == [send.TAKEN]
        assert asked == ["/direct"]
        asked.clear()
        found = guarded([f"{mine}/32"], direct, around)
        assert found[0] == send.WITHIN
        assert found[1] != send.TAKEN
        assert set(asked) <= {"/away"}
    finally:
        server.shutdown()
        server.server_close()


CONNECTING = """
    import ipaddress, json, socket, sys
    from ansible_collections.dockfra.core.plugins.plugin_utils.daemons import send

    send.Guard([ipaddress.ip_network("172.18.0.0/16"), ipaddress.ip_network("fd00::/64")])
    found = {}
    for family, address in (
        (socket.AF_INET, ("172.18.0.5", 9)),
        (socket.AF_INET, ("127.0.0.1", 9)),
        (socket.AF_INET, ("localhost", 9)),
        (socket.AF_INET6, ("::ffff:172.18.0.5", 9)),
        (socket.AF_INET6, ("fd00::5", 9)),
        (socket.AF_INET6, ("fe80::1%lo", 9)),
        (socket.AF_UNIX, "/run/docker.sock"),
    ):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            probe = socket.socket(family, kind)
            probe.settimeout(0.2)
            try:
                if kind == socket.SOCK_DGRAM:
                    probe.sendto(b"x", address)
                else:
                    probe.connect(address)
            except OSError as error:
                if "a network of the platform" in str(error):
                    found[address if isinstance(address, str) else address[0]] = kind.name
    print(json.dumps(found))
"""


def test_the_guard_stands_below_names_and_other_forms_of_an_address() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CONNECTING)],
        env={"PYTHONPATH": str(COLLECTIONS)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    refused = {"172.18.0.5", "localhost", "::ffff:172.18.0.5", "fd00::5", "/run/docker.sock"}
    assert json.loads(done.stdout) == dict.fromkeys(refused, "SOCK_DGRAM")


def test_the_networks_of_a_container_are_read_from_its_routes(tmp_path: Path) -> None:
    routes, routes_6 = tmp_path / "route", tmp_path / "ipv6_route"
    routes.write_text(
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
        "eth1\t000013AC\t010012AC\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    )
    nothing = "00000000000000000000000000000000 00"
    routes_6.write_text(
        f"fd000000000000000000000000000000 40 {nothing} 00000000000000000000000000000000 100 1 0 1 eth0\n"
        f"00000000000000000000000000000000 00 {nothing} fd000000000000000000000000000001 100 1 0 3 eth0\n"
        f"00000000000000000000000000000001 80 {nothing} 00000000000000000000000000000000 0 2 0 80200001 lo\n"
    )
    assert send.own_networks(routes, routes_6) == [
        ipaddress.ip_network("172.18.0.0/16"),
        ipaddress.ip_network("fd00::/64"),
    ]
    assert send.own_networks()
