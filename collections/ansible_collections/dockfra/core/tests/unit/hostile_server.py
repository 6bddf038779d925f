# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A server on loopback whose answers have no end, for tests of what is read of them."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import socket
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

# It closes the connection after each answer, and a client that is not told sends its next request into the end of it.
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
ENDLESS = b"Transfer-Encoding: chunked\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _slowly(parts: Iterable[bytes]) -> Iterator[bytes]:
    for part in parts:
        yield part
        time.sleep(0.05)


def _bomb() -> Iterator[bytes]:
    """A body that is a thousand times as large when it is unpacked; on the way it is no larger than others."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    return (pack.compress(bytes(1024 * 1024)) for _part in itertools.count())


# What each answer consists of. The names are those of the parameters of tests.
ANSWERS = {
    "body": lambda: itertools.chain([OK, ENDLESS], itertools.repeat(_chunk(bytes(65536)))),
    "body without length": lambda: itertools.chain([OK, b"\r\n"], itertools.repeat(bytes(65536))),
    "announced length": lambda: itertools.chain(
        [OK, b"Content-Length: 99999999999999\r\n\r\n"], itertools.repeat(bytes(65536))
    ),
    "headers": lambda: itertools.chain([OK], (b"X-%d: 1\r\n" % number for number in itertools.count())),
    "header": lambda: itertools.chain([OK, b"X-Long: "], itertools.repeat(b"x" * 65536)),
    "chunk's line": lambda: itertools.chain([OK, ENDLESS], itertools.repeat(b"0" * 65536)),
    "interim answers": lambda: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
}
SLOW = {
    "silence": lambda: _slowly(itertools.repeat(b"")),
    "slow headers": lambda: _slowly(itertools.chain([OK, b"X-Slow: "], itertools.repeat(b"x"))),
    "slow body": lambda: _slowly(itertools.chain([OK, ENDLESS], itertools.repeat(_chunk(b" ")))),
    "slow body without length": lambda: _slowly(itertools.chain([OK, b"\r\n"], itertools.repeat(b" "))),
}
PACKED = {
    "packed body": lambda: itertools.chain(
        [OK, b"Content-Encoding: gzip\r\n", ENDLESS], (_chunk(part) for part in _bomb() if part)
    ),
    "small packed body": lambda: iter([OK, _packed(64 * 1024 * 1024)]),
}


def _packed(size: int) -> bytes:
    body = gzip.compress(bytes(size), 9)
    return b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class HostileServer:
    """Answers every request in one way, on a port of loopback or a unix socket; use it as a context manager.

    Args:
        parts: of one answer; a name of `ANSWERS`, `SLOW` or `PACKED`, or the answer itself.
        path: of the unix socket.

    Attributes:
        port: of loopback, 0 with a unix socket.
        sent: bytes that clients took.
        asked: how often a request came.
    """

    def __init__(self, parts: str | bytes, path: Path | None = None) -> None:
        self._parts = parts
        self._socket = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self._socket.bind(str(path) if path else ("127.0.0.1", 0))
        self._socket.listen()
        self.port = 0 if path else self._socket.getsockname()[1]
        self.sent = 0
        self.asked = 0
        self._closed = False

    def __enter__(self) -> HostileServer:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while not self._closed:
            try:
                client, _address = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        parts = {**ANSWERS, **SLOW, **PACKED}
        answer = [self._parts] if isinstance(self._parts, bytes) else parts[self._parts]()
        with client, contextlib.suppress(OSError):
            request = b""
            # What is left unread when the connection is closed would take the answer back.
            while b"\r\n\r\n" not in request:
                request += client.recv(65536) or b"\r\n\r\n"
            self.asked += 1
            for part in answer:
                if self._closed:
                    return
                client.sendall(part)
                self.sent += len(part)
