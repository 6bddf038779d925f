"""The gateway to the Docker Engine over a real socket: what passes reaches the engine anew, all else does not reach it.

What an engine is asked is seen at one that only listens (`Listening`). That what passes works, and that what is refused has no effect, is
tried with a real one and Docker's own client in tests/e2e/test_docker_engine.py.
"""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support.docker_gateway import FORBIDDEN, MALFORMED, Gateway, wait_for
from tests.e2e.support.docker_probes import Names, ask, probes, request

PROJECT = "gw"
OWN, OTHER = "1" * 64, "2f" * 32

NAMES: Names = {
    "own": "gw-web",
    "own_id": OWN,
    "project": PROJECT,
    "other": "gw-b-web",
    "other_id": OTHER,
    "other_short": OTHER[:12],
}
PROBES = probes(NAMES)


# -- an engine that only listens --


class Listening:
    """An engine of two containers that keeps what it is asked; how it answers anything but a look-up can be changed.

    Attributes:
        asked: the heads of all requests, as they came.
        answer: gets the connection of a request that is none for a look-up.
        open: connections that somebody still has.
    """

    def __init__(self, path: Path) -> None:
        self.asked: list[str] = []
        self.answer: Callable[[socket.socket], None] = said("{}")
        self.open = 0
        self.ambiguous = ""
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                outer.open += 1
                try:
                    outer._serve(self.request)
                except OSError:
                    pass
                finally:
                    outer.open -= 1

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True
            request_queue_size = 64

        self._server = Server(str(path), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def passed(self) -> list[str]:
        """The first lines of what was no look-up."""
        return [head.splitlines()[0] for head in self.asked if not is_look_up(head)]

    def _serve(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            part = connection.recv(65536)
            if not part:
                return None
            head += part
        text = head.decode()
        self.asked.append(text)
        if not is_look_up(text):
            return self.answer(connection)
        reference = text.split()[1].split("/")[2]
        for name, identity, project in ((NAMES["own"], OWN, PROJECT), (NAMES["other"], OTHER, "gw-b")):
            if reference == name or identity.startswith(reference):
                details = {
                    "Id": identity,
                    "Name": f"/{name}",
                    "Config": {"Labels": {"dockfra.project": project}},
                }
                return said(json.dumps(details))(connection)
        if reference == self.ambiguous:
            return said(f'{{"message": "Multiple IDs found with provided prefix: {reference}"}}', 500)(
                connection
            )
        return said('{"message": "No such container"}', 404)(connection)


def is_look_up(head: str) -> bool:
    """Only the gateway itself asks without a version; the tests below name one."""
    return head.startswith("GET /containers/") and head.split()[1].endswith("/json") and head.count("/") == 4


def said(body: str, status: int = 200) -> Callable[[socket.socket], None]:
    text = f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    return lambda connection: connection.sendall(text.encode())


# -- the gateway --


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Listening]:
    found = Listening(tmp_path / "engine.sock")
    yield found
    found.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    running: list[Gateway] = []

    def started(engine: Path | None = None, project: str = PROJECT, **limits: float) -> Gateway:
        running.append(Gateway(tmp_path, engine or tmp_path / "engine.sock", project, **limits))
        return running[-1]

    yield started
    for gateway in running:
        gateway.close()


@pytest.fixture
def gateway(engine: Listening, start: Callable[..., Gateway]) -> Gateway:
    return start()


# -- what is refused --


def test_everything_listed_is_refused_and_nothing_of_it_reaches_the_engine(
    gateway: Gateway, engine: Listening
) -> None:
    assert len(PROBES) > 150
    refusals = 0
    for name, text in PROBES.items():
        status, body = ask("127.0.0.1", gateway.port, text)
        assert status == FORBIDDEN or status in MALFORMED, f"{name}: {status} {body[:200]}"
        refusals += status == FORBIDDEN
        if not text.startswith("HEAD"):
            assert body.startswith('{"message": '), f"{name}: {status} {body[:200]}"
            assert list(json.loads(body)) == ["message"], name
            assert len(body.splitlines()) == 1, name
    assert refusals > 140
    assert engine.passed == []
    # Each has its line, and the line says who.
    told = [line for line in gateway.log() if line["event"] == "refused"]
    assert len(told) == len(PROBES)
    assert all(line["peer"].startswith("127.0.0.1:") and line["message"] for line in told)
    assert all(len(json.dumps(line)) < 2000 for line in told)
    # By the same means what may pass does.
    assert gateway.ask("GET", "/_ping")[0] == 200
    assert engine.passed == ["GET /_ping HTTP/1.1"]


@pytest.mark.parametrize("reference", [NAMES["other"], OTHER, OTHER[:12], "2", "nobody", "12"])
def test_another_platforms_container_is_answered_as_one_that_is_not_there(
    gateway: Gateway, engine: Listening, reference: str
) -> None:
    engine.ambiguous = "12"
    status, body = gateway.ask("GET", f"/v1.41/containers/{reference}/json")
    assert (status, json.loads(body)["message"]) == (
        FORBIDDEN,
        f"{reference} is no container of the platform {PROJECT}",
    )


# -- what passes --

ALL_LABELS = "%7B%22label%22%3A+%7B%22dockfra.project%3Dgw%22%3A+true%7D%7D"
PASSING = {
    "GET /_ping": "GET /_ping",
    "HEAD /_ping": "HEAD /_ping",
    "GET /v1.41/version": "GET /v1.41/version",
    "GET /v1.41/containers/json": f"GET /v1.41/containers/json?filters={ALL_LABELS}",
    "GET /v1.41/containers/json?all=1&limit=3&size=0": f"GET /v1.41/containers/json?all=1&limit=3&size=0&filters={ALL_LABELS}",
    "GET /v1.41/containers/gw-web/json?size=1": f"GET /v1.41/containers/{OWN}/json?size=1",
    f"GET /v1.41/containers/{OWN}/json": f"GET /v1.41/containers/{OWN}/json",
    f"GET /v1.41/containers/{OWN[:12]}/top?ps_args=aux": f"GET /v1.41/containers/{OWN}/top?ps_args=aux",
    "GET /v1.41/containers/1/top?ps_args=-eo+pid,args": f"GET /v1.41/containers/{OWN}/top?ps_args=-eo+pid%2Cargs",
    "GET /v1.41/containers/gw-web/logs?stdout=1&tail=5": f"GET /v1.41/containers/{OWN}/logs?stdout=1&tail=5",
    "GET /v1.41/containers/gw-web/stats?stream=0": f"GET /v1.41/containers/{OWN}/stats?stream=0",
    "POST /v1.41/containers/gw-web/start": f"POST /v1.41/containers/{OWN}/start",
    "POST /v1.24/containers/gw-web/stop?t=600": f"POST /v1.24/containers/{OWN}/stop?t=600",
    "POST /containers/gw-web/restart?t=0": f"POST /containers/{OWN}/restart?t=0",
}


@pytest.mark.parametrize("asked", PASSING)
def test_what_passes_is_made_anew(gateway: Gateway, engine: Listening, asked: str) -> None:
    method, target = asked.split()
    status, _body = gateway.ask(method, target, "X-Registry-Auth: secret", "Cookie: x", "Content-Length: 0")
    assert status == 200
    assert engine.passed == [f"{PASSING[asked]} HTTP/1.1"]
    names = {line.split(":")[0].lower() for line in engine.asked[-1].splitlines()[1:] if line}
    assert names <= {"host", "user-agent", "connection", "content-length"}


def filters_of(engine: Listening) -> Any:
    from urllib.parse import parse_qs, urlsplit

    return json.loads(parse_qs(urlsplit(engine.passed[-1].split()[1]).query)["filters"][0])


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        ('{"name":["web"],"label":["a=b"]}', {"name": ["web"], "label": ["a=b", "dockfra.project=gw"]}),
        (
            '{"label":{"dockfra.project=gw-b":true}}',
            {"label": ["dockfra.project=gw-b", "dockfra.project=gw"]},
        ),
        ('{"label":[]}', {"label": ["dockfra.project=gw"]}),
        ('{"label":["dockfra.project=gw"]}', {"label": ["dockfra.project=gw"]}),
    ],
)
def test_the_platforms_label_joins_the_clients_filters(
    gateway: Gateway, engine: Listening, sent: str, passed: dict[str, list[str]]
) -> None:
    quoted = "".join(f"%{ord(sign):02x}" for sign in sent)
    assert gateway.ask("GET", f"/v1.41/containers/json?filters={quoted}")[0] == 200
    assert {name: list(values) for name, values in filters_of(engine).items()} == passed


def test_events_are_those_of_the_platforms_containers(gateway: Gateway, engine: Listening) -> None:
    assert gateway.ask("GET", "/v1.41/events?since=1&until=2")[0] == 200
    assert filters_of(engine) == {"type": {"container": True}, "label": {"dockfra.project=gw": True}}


def test_changes_have_a_line_and_what_only_reads_has_none(gateway: Gateway) -> None:
    for target in ("/_ping", "/containers/json", "/v1.41/containers/gw-web/json"):
        assert gateway.ask("GET", target)[0] == 200
    assert gateway.ask("POST", "/containers/gw-web/restart")[0] == 200
    [listens, line] = gateway.log()
    assert listens["event"] == "listens"
    assert line["peer"].startswith("127.0.0.1:")
    assert (line["event"], line["verb"], line["container"], line["status"]) == (
        "passed",
        "restart",
        "gw-web",
        200,
    )


# -- bounds --

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"


def connected(gateway: Gateway, text: str = "") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=15)
    connection.sendall(text.encode())
    return connection


def endless(connection: socket.socket) -> None:
    connection.sendall(CHUNKED)
    while True:
        connection.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")


def silent(connection: socket.socket) -> None:
    connection.sendall(CHUNKED)
    connection.recv(1)


FOLLOWED = "/v1.41/containers/gw-web/logs?follow=1&stdout=1"


def test_who_leaves_ends_the_stream_also_where_nothing_is_said(gateway: Gateway, engine: Listening) -> None:
    engine.answer = silent
    with connected(gateway, request("GET", FOLLOWED)) as connection:
        assert b"200 OK" in connection.recv(4096)
        # What the gateway asked before is over, and the stream stays.
        wait_for(lambda: engine.open == 1)
        time.sleep(0.3)
        assert engine.open == 1
    wait_for(lambda: engine.open == 0, 5)


def test_who_says_more_during_a_stream_ends_it(gateway: Gateway, engine: Listening) -> None:
    engine.answer = silent
    with connected(gateway, request("GET", FOLLOWED)) as connection:
        assert b"200 OK" in connection.recv(4096)
        connection.sendall(b"GET /info HTTP/1.1\r\n\r\n")
        wait_for(lambda: engine.open == 0, 5)
    assert len(engine.passed) == 1


def test_who_does_not_read_does_not_keep_a_stream(engine: Listening, start: Callable[..., Gateway]) -> None:
    gateway = start(unread_seconds=1)
    engine.answer = endless
    with connected(gateway, request("GET", FOLLOWED)) as connection:
        wait_for(lambda: engine.open == 1)
        # Nothing is read; somebody who reads keeps it meanwhile.
        with connected(gateway, request("GET", FOLLOWED)) as reading:
            end = time.monotonic() + 3
            while time.monotonic() < end:
                assert reading.recv(65536)
            assert engine.open == 1
        wait_for(lambda: engine.open == 0, 5)
        connection.close()
    assert gateway.ask("GET", "/_ping", "Connection: close") is not None


def test_a_stream_has_an_end_even_if_all_stay(engine: Listening, start: Callable[..., Gateway]) -> None:
    gateway = start(stream_seconds=1)
    engine.answer = silent
    with connected(gateway, request("GET", FOLLOWED)) as connection:
        assert b"200 OK" in connection.recv(4096)
        wait_for(lambda: engine.open == 0, 5)
        with contextlib.suppress(ConnectionError):
            assert b"0\r\n\r\n" not in connection.recv(4096), "it looks whole"
    assert [line["event"] for line in gateway.log()] == ["listens", "failed"]


def test_an_answer_that_breaks_off_does_not_look_whole(gateway: Gateway, engine: Listening) -> None:
    engine.answer = lambda connection: connection.sendall(CHUNKED + b"5\r\nhello\r\n")
    with connected(gateway, request("GET", "/v1.41/containers/gw-web/logs?stdout=1")) as connection:
        received = b""
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(4096):
                received += part
    assert b"0\r\n\r\n" not in received
    assert gateway.log()[-1]["event"] == "failed"


@pytest.mark.parametrize(
    "answer",
    [
        lambda connection: connection.close(),
        lambda connection: connection.sendall(b"SSH-2.0-x\r\n\r\n"),
        lambda connection: connection.sendall(
            b"HTTP/1.1 101 Up\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n"
        ),
        lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20000),
    ],
)
def test_an_engine_that_says_nonsense_is_told(
    gateway: Gateway, engine: Listening, answer: Callable[[socket.socket], None]
) -> None:
    engine.answer = answer
    status, body = gateway.ask("GET", "/version")
    assert (status, json.loads(body)["message"].partition(":")[0]) == (
        502,
        "the Docker Engine cannot be asked",
    )


def test_an_engine_that_is_not_there_is_told_and_the_gateway_goes_on(
    engine: Listening, start: Callable[..., Gateway], tmp_path: Path
) -> None:
    gateway = start()
    (tmp_path / "engine.sock").rename(tmp_path / "away")
    status, body = gateway.ask("GET", "/_ping")
    assert (status, "No such file" in body) == (502, True), body
    (tmp_path / "away").rename(tmp_path / "engine.sock")
    assert gateway.ask("GET", "/_ping")[0] == 200


def test_a_description_without_end_is_not_read_on(
    gateway: Gateway, engine: Listening, monkeypatch: Any
) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        endless(connection)

    monkeypatch.setattr(engine, "_serve", serve)
    status, body = gateway.ask("GET", "/v1.41/containers/gw-web/json")
    assert (status, "more than" in body) == (502, True)
    assert rss(gateway) < 48 * 1024


def rss(gateway: Gateway) -> int:
    """Resident memory in KiB."""
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def test_connections_are_bounded_and_idle_ones_end(engine: Listening, start: Callable[..., Gateway]) -> None:
    gateway = start(head_seconds=2)
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connected(gateway)) for _ in range(48)]
        _status, body = wait_for(lambda: (found := gateway.ask("GET", "/_ping"))[0] == 503 and found)
        assert "too many connections" in json.loads(body)["message"]
        for connection in idle:
            received = connection.recv(4096)
            assert b"408" in received.split(b"\r\n")[0]
    assert wait_for(lambda: gateway.ask("GET", "/_ping")[0] == 200)
    assert rss(gateway) < 48 * 1024


def test_a_request_that_drips_in_is_cut_off(engine: Listening, start: Callable[..., Gateway]) -> None:
    gateway = start(head_seconds=1)
    begun = time.monotonic()
    with connected(gateway, "GET /_ping HTTP/1.1\r\n") as connection:
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                connection.sendall(b"X-Y: z\r\n")
                time.sleep(0.05)
        assert time.monotonic() - begun < 4
    assert engine.passed == []


def test_a_restart_is_done_to_its_end_though_nobody_waits(gateway: Gateway, engine: Listening) -> None:
    done = threading.Event()

    def slow(connection: socket.socket) -> None:
        time.sleep(0.5)
        said("", 204)(connection)
        done.set()

    engine.answer = slow
    connected(gateway, request("POST", "/containers/gw-web/restart")).close()
    assert done.wait(5)
    assert wait_for(lambda: [line for line in gateway.log() if line["event"] == "passed"])[0]["status"] == 204
