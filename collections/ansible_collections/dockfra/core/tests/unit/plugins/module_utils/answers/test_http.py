# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Answers over HTTP end at their bounds, whatever the server sends."""

from __future__ import annotations

import http.client
import time

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.answers.http import Bounded, Bounds, unpacked
from ansible_collections.dockfra.core.plugins.module_utils.errors import LateError, TooMuchError
from ansible_collections.dockfra.core.tests.unit.hostile_server import ANSWERS, OK, SLOW, HostileServer

SIZE = 256 * 1024


class Connection(Bounded, http.client.HTTPConnection):
    pass


def ask(server: HostileServer, bounds: Bounds) -> bytes:
    connection = Connection("127.0.0.1", server.port, timeout=10)
    connection.bounds = bounds
    try:
        connection.request("GET", "/")
        return connection.getresponse().read(10 * SIZE)
    finally:
        connection.close()


@pytest.mark.parametrize("kind", ANSWERS)
def test_finding_s4_an_endless_answer_ends_at_its_size(kind: str) -> None:
    with HostileServer(kind) as server:
        with pytest.raises((TooMuchError, http.client.HTTPException)) as caught:
            ask(server, Bounds("the server", SIZE, 10))
        # What the kernel holds between the two is not read either.
        assert server.sent < SIZE + 16 * 1024 * 1024
    if isinstance(caught.value, TooMuchError):
        assert str(caught.value) == f"the server answers more than {SIZE} bytes; it was not read on"
    else:  # Python's own bounds for headers are lower, and tell themselves
        assert "more than" in str(caught.value)


@pytest.mark.parametrize("kind", [*SLOW, "interim answers"])
def test_finding_s4_an_answer_that_drips_ends_when_its_time_is_up(kind: str) -> None:
    with HostileServer(kind) as server:
        begin = time.monotonic()
        with pytest.raises(LateError, match=r"^the server did not answer in 0\.4 s$"):
            ask(server, Bounds("the server", 1 << 40, 0.4))
        assert time.monotonic() - begin < 5


def test_an_answer_within_its_bounds_arrives_and_the_next_begins_anew() -> None:
    body = bytes(SIZE - 1000)
    answer = OK + b"Content-Length: %d\r\n\r\n" % len(body)
    with HostileServer(answer + body) as server:
        for _twice in range(2):
            assert ask(server, Bounds("the server", SIZE, 10)) == body


def test_on_one_connection_each_answer_has_its_own_bounds() -> None:
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(SIZE - 1000))
            self.end_headers()
            self.wfile.write(bytes(SIZE - 1000))

        def log_message(self, *_arguments: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        connection = Connection("127.0.0.1", server.server_port)
        connection.bounds = Bounds("the server", SIZE, 10)
        local = set()
        for _number in range(4):
            connection.request("GET", "/")
            local.add(connection.sock.getsockname())
            assert len(connection.getresponse().read()) == SIZE - 1000
        connection.close()
        server.shutdown()
    assert len(local) == 1


def test_finding_s4_what_is_unpacked_has_the_same_bound() -> None:
    bounds = Bounds("the server", 10, 1)
    assert unpacked([b"12345", b"67890"], bounds) == b"1234567890"
    with pytest.raises(TooMuchError, match="the server answers more than 10 bytes"):
        unpacked(iter(lambda: b"12345", b""), bounds)
