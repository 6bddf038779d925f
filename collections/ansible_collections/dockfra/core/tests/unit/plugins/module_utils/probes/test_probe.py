# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Probes against servers on real sockets that answer well, badly, slowly or not at all."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.probes.probe import (
    REFUSED,
    Result,
    Target,
    probe,
    probe_all,
)

PASSWORD = "the password of these tests"

Handler = Callable[[socket.socket], None]
Serve = Callable[[Handler], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers, each with what it does with a connection; returns their ports."""
    servers: list[socket.socket] = []
    ended = threading.Event()

    def start(handler: Handler) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def one(connection: socket.socket) -> None:
            # The probe may have had enough.
            with connection, contextlib.suppress(OSError, struct.error):
                handler(connection)

        def accept() -> None:
            while not ended.is_set():
                try:
                    connection, _address = server.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return int(server.getsockname()[1])

    yield start
    ended.set()
    for server in servers:
        server.close()


def ask(kind: str, port: int, timeout: float = 10, **more: str) -> Result:
    return probe(Target("service", kind, "127.0.0.1", port, **more), timeout)


def test_an_address_without_a_way_does_not_hide_that_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name has one of each kind, and this machine no way to the second."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    stream = (socket.SOCK_STREAM, 6, "")
    found = [
        (socket.AF_INET, *stream, ("127.0.0.1", port)),
        # Nobody connects to all at once.
        (socket.AF_INET6, *stream, ("ff02::1", port, 0, 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_words, **_named: found)
    result = probe(Target("service", "ssh", "both", port), 5)
    assert (result.ok, result.detail, result.away) == (False, "connection refused", REFUSED)


def saying(text: bytes) -> Handler:
    """A server that reads what is asked and says something."""

    def handle(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(text)

    return handle


def greeting(text: bytes) -> Handler:
    """A server that speaks first."""
    return lambda connection: connection.sendall(text)


def silent(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass


@pytest.fixture
def closed() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("kind", ["http", "container", "ssh", "tcp", "postgres", "redis"])
def test_nobody_listens(kind: str, closed: int) -> None:
    result = ask(kind, closed)
    assert (result.ok, result.kind, result.detail) == (False, kind, "connection refused")


@pytest.mark.parametrize("kind", ["http", "container", "ssh", "postgres", "redis"])
def test_a_server_that_hangs_up_says_nothing_or_nonsense_is_down(kind: str, serve: Serve) -> None:
    assert not ask(kind, serve(lambda _connection: None)).ok
    assert not ask(kind, serve(saying(b"\0\xff nonsense\r\n\r\n"))).ok
    late = ask(kind, serve(silent), timeout=0.3)
    assert (late.ok, late.detail) == (False, "no answer in 0.3 s")


@pytest.mark.parametrize("kind", ["http", "container", "ssh", "postgres", "redis"])
def test_a_server_that_drips_or_floods_ends_the_probe_too(kind: str, serve: Serve) -> None:
    stop = threading.Event()

    def drip(connection: socket.socket) -> None:
        while not stop.wait(0.05):
            connection.sendall(b"x")

    def flood(connection: socket.socket) -> None:
        connection.recv(4096) if kind != "ssh" else None
        while not stop.is_set():
            connection.sendall(b"x" * 65536)

    try:
        assert not ask(kind, serve(drip), timeout=0.5).ok
        assert not ask(kind, serve(flood)).ok
    finally:
        stop.set()


def test_an_unknown_name_and_an_unknown_kind() -> None:
    result = probe(Target("x", "tcp", "name.invalid", 80), 10)
    assert not result.ok
    assert "name.invalid" in result.detail or "no answer" in result.detail
    assert probe(Target("x", "gopher", "127.0.0.1", 70)).detail == "there is no probe called gopher"


def test_tcp(serve: Serve) -> None:
    assert ask("tcp", serve(silent)).ok


def test_ssh(serve: Serve) -> None:
    result = ask("ssh", serve(greeting(b"Welcome\r\nSSH-2.0-OpenSSH_10.0\r\n")))
    assert (result.ok, result.detail) == (True, "SSH-2.0-OpenSSH_10.0")


@pytest.mark.parametrize(
    ("answer", "ok", "detail"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n{}", True, "HTTP 200"),
        (b"HTTP/1.0 308 Permanent Redirect\r\nLocation: /x\r\n\r\n", True, "HTTP 308"),
        (b'HTTP/1.1 503 No\r\n\r\n{"database": "down"}', False, "HTTP 503: database down"),
        (b"HTTP/1.1 404 Not Found\r\nA: b\r\n\r\nnot\there\x1b[31m", False, "HTTP 404: not here [31m"),
        (b"HTTP/1.1 500 Oops\r\n\r\n", False, "HTTP 500: no reason given"),
        # Deeper than a reader of JSON can go.
        (b"HTTP/1.0 500 x\r\n\r\n" + b"[" * 60_000, False, "HTTP 500: " + "[" * 150),
        (b"HTTP/1.1 abc\r\n\r\n", False, "the answer is not what http sends"),
    ],
)
def test_http(serve: Serve, answer: bytes, ok: bool, detail: str) -> None:
    result = ask("http", serve(saying(answer)))
    assert (result.ok, result.detail) == (ok, detail)


@pytest.mark.parametrize(
    ("state", "ok", "detail"),
    [
        ('{"Status": "running", "Health": {"Status": "healthy"}}', True, "running, healthy"),
        ('{"Status": "running", "Health": {"Status": "starting"}}', True, "running, starting"),
        ('{"Status": "running"}', True, "running, no health check"),
        ('{"Status": "running", "Health": {"Status": "unhealthy"}}', False, "running, unhealthy"),
        ('{"Status": "exited", "Health": {"Status": "unhealthy"}}', False, "exited, unhealthy"),
        ('{"Status": "paused", "Health": {"Status": "healthy"}}', False, "paused, healthy"),
        ('{"Health": 3}', False, "the answer is not what container sends"),
        ("3", False, "the answer is not what container sends"),
        ("[" * 60_000, False, "the answer is not what container sends"),
    ],
)
def test_docker_says_how_a_container_is(serve: Serve, state: str, ok: bool, detail: str) -> None:
    answer = f'HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{{"State": {state}}}'
    result = ask("container", serve(saying(answer.encode())))
    assert (result.ok, result.detail) == (ok, detail)


def test_a_container_that_docker_does_not_show_is_down(serve: Serve) -> None:
    refused = saying(b'HTTP/1.0 403 Forbidden\r\n\r\n{"message": "no"}')
    result = ask("container", serve(refused))
    assert (result.ok, result.detail) == (False, "HTTP 403: message no")


def test_http_asks_for_the_path(serve: Serve) -> None:
    asked: list[bytes] = []

    def handle(connection: socket.socket) -> None:
        asked.append(connection.recv(4096))
        connection.sendall(b"HTTP/1.0 204 No Content\r\n\r\n")

    assert ask("http", serve(handle), path="/vnc/health").ok
    assert asked[0].startswith(b"GET /vnc/health HTTP/1.0\r\nHost: 127.0.0.1\r\n")


def test_redis_logs_in_and_pings(serve: Serve) -> None:
    def handle(connection: socket.socket) -> None:
        good = b"*3\r\n$4\r\nAUTH\r\n$8\r\nreadonly\r\n$%d\r\n%s\r\n" % (len(PASSWORD), PASSWORD.encode())
        connection.sendall(b"+OK\r\n" if connection.recv(4096) == good else b"-WRONGPASS no\r\n")
        connection.sendall(b"+PONG\r\n" if connection.recv(4096) == b"*1\r\n$4\r\nPING\r\n" else b"-ERR\r\n")

    port = serve(handle)
    assert ask("redis", port, user="readonly", password=PASSWORD).detail == "PONG"
    wrong = ask("redis", port, user="readonly", password="wrong")
    assert (wrong.ok, wrong.detail) == (False, "WRONGPASS no")


@pytest.mark.parametrize(
    ("stored", "detail"),
    [
        (b"$16\r\nx holds 24 of 24\r\n", "PONG; x holds 24 of 24"),
        (b"$0\r\n\r\n", "PONG"),
        (b"$-1\r\n", "PONG"),
    ],
)
def test_redis_says_what_it_has_noted_finding_s9(serve: Serve, stored: bytes, detail: str) -> None:
    def handle(connection: socket.socket) -> None:
        for answer in (b"+OK\r\n", b"+PONG\r\n", stored):
            connection.recv(4096)
            connection.sendall(answer)

    result = ask("redis", serve(handle), user="health", password=PASSWORD, notes="watch:connections")
    assert (result.ok, result.detail) == (True, detail)


def test_results_come_in_the_order_of_the_targets_and_a_slow_one_delays_no_other(
    serve: Serve, closed: int
) -> None:
    good, slow = serve(greeting(b"SSH-2.0-x\r\n")), serve(silent)
    targets = [
        Target(name, "ssh", "127.0.0.1", port)
        for name, port in (("slow", slow), ("good", good), ("none", closed))
    ]
    results = probe_all(targets, 2)
    assert [(result.service, result.ok) for result in results] == [
        ("slow", False),
        ("good", True),
        ("none", False),
    ]
    assert probe_all([]) == []


def test_a_password_is_in_no_representation() -> None:
    assert PASSWORD not in repr(Target("db", "postgres", "db", 5432, user="u", password=PASSWORD))


# PostgreSQL: a server that keeps to RFC 5802, or breaks it in one place.


def frame(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def message(connection: socket.socket) -> bytes:
    _kind, length = struct.unpack("!cI", connection.recv(5, socket.MSG_WAITALL))
    return connection.recv(length - 4, socket.MSG_WAITALL)


def postgres(
    password: str = PASSWORD,
    iterations: int = 4096,
    mechanisms: bytes = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0",
    server_key: bytes = b"Server Key",
    nonce: str = "",
    value: bytes = b"1",
    query: bytes = b"SELECT 1",
) -> Handler:
    def mac(key: bytes, text: bytes) -> bytes:
        return hmac.new(key, text, hashlib.sha256).digest()

    def handle(connection: socket.socket) -> None:
        (length,) = struct.unpack("!I", connection.recv(4, socket.MSG_WAITALL))
        start = connection.recv(length - 4, socket.MSG_WAITALL)
        if start[4:].split(b"\0")[:4] != [b"user", b"readonly", b"database", b"app"]:
            connection.sendall(frame(b"E", b"SFATAL\0C3D000\0Mno such database\0\0"))
            return
        connection.sendall(frame(b"R", struct.pack("!I", 10) + mechanisms))
        first = message(connection).partition(b"n,,")[2].decode()
        salt = b"salt" * 4
        challenge = (
            f"r={nonce or first.partition('r=')[2]}server,s={base64.b64encode(salt).decode()},i={iterations}"
        )
        connection.sendall(frame(b"R", struct.pack("!I", 11) + challenge.encode()))
        final, _comma, proof = message(connection).decode().partition(",p=")
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
        text = f"{first},{challenge},{final}".encode()
        key = mac(salted, b"Client Key")
        signature = mac(hashlib.sha256(key).digest(), text)
        if base64.b64decode(proof) != bytes(a ^ b for a, b in zip(key, signature, strict=True)):
            connection.sendall(frame(b"E", b"SFATAL\0C28P01\0Mpassword authentication failed\0\0"))
            return
        answer = b"v=" + base64.b64encode(mac(mac(salted, server_key), text))
        connection.sendall(
            frame(b"R", struct.pack("!I", 12) + answer)
            + frame(b"R", struct.pack("!I", 0))
            + frame(b"S", b"server_version\x0017\0")
            + frame(b"Z", b"I")
        )
        if message(connection) == query + b"\0":
            row = struct.pack("!HI", 1, len(value)) + value
            connection.sendall(frame(b"T", b"") + frame(b"D", row) + frame(b"C", b"SELECT 1\0"))
            connection.sendall(frame(b"Z", b"I"))
            message(connection)

    return handle


def ask_postgres(port: int, **more: str) -> Result:
    return ask("postgres", port, **{"user": "readonly", "password": PASSWORD, **more})


def test_postgres_logs_in_and_answers(serve: Serve) -> None:
    result = ask_postgres(serve(postgres()))
    assert (result.ok, result.detail) == (True, "readonly logged in, query answered")


@pytest.mark.parametrize(("noted", "more"), [(b"x holds 24 of 24", "; x holds 24 of 24"), (b"", "")])
def test_postgres_says_what_it_has_noted_finding_s9(serve: Serve, noted: bytes, more: str) -> None:
    result = ask_postgres(serve(postgres(value=noted, query=b"SELECT who")), notes="SELECT who")
    assert (result.ok, result.detail) == (True, f"readonly logged in, query answered{more}")


def test_postgres_refuses(serve: Serve) -> None:
    wrong = ask_postgres(serve(postgres(password="another")))
    assert (wrong.ok, wrong.detail) == (False, "password authentication failed")
    assert ask_postgres(serve(postgres()), database="other").detail == "no such database"
    assert ask_postgres(serve(postgres(value=b"2"))).detail == "the answer is not what postgres sends"


def test_a_server_that_is_not_the_platforms_gets_no_password(serve: Serve) -> None:
    """One that wants it in the clear or weakly hashed, cannot prove that it knows it, or wants hours of work."""
    for kind in (3, 5):
        result = ask_postgres(serve(saying(frame(b"R", struct.pack("!I", kind) + b"salt"))))
        assert (result.ok, "not safe to send" in result.detail) == (False, True)
    assert "without a password" in ask_postgres(serve(saying(frame(b"R", struct.pack("!I", 0))))).detail
    assert "does not prove" in ask_postgres(serve(postgres(server_key=b"Another"))).detail
    assert not ask_postgres(serve(postgres(mechanisms=b"OTHER\0\0"))).ok
    assert not ask_postgres(serve(postgres(nonce="mine"))).ok
    assert not ask_postgres(serve(postgres(iterations=10_000_000))).ok
