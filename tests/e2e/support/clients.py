"""Small clients of the protocols that the platform speaks, so that the tests need no driver for each."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedRWPair
from pathlib import Path
from typing import BinaryIO

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from .platform import LOCALHOST, Platform


class RedisRefusedError(Exception):
    """The server's own words for why it refuses."""


class Redis:
    """A connection of one ACL user to the published port of redis (RESP2)."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self._socket = socket.create_connection((LOCALHOST, port), timeout=10)
        self._stream = self._socket.makefile("rwb")
        self("AUTH", user, password)

    def __call__(self, *words: str) -> object:
        encoded = [word.encode() for word in words]
        self._stream.write(
            b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
        )
        self._stream.flush()
        return self._answer()

    def _answer(self) -> object:
        line = self._stream.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise RedisRefusedError(rest.decode())
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._stream.read(int(rest) + 2)[:-2].decode()
        assert kind == b"*", line
        return [self._answer() for _number in range(int(rest))]

    def close(self) -> None:
        self._stream.close()
        self._socket.close()


@contextmanager
def redis(platform: Platform, user: str) -> Iterator[Redis]:
    """A connection as one of the platform's redis users."""
    client = Redis(platform.published("redis", "redis"), user, platform.secret(f"redis/{user}"))
    try:
        yield client
    finally:
        client.close()


def sql(platform: Platform, user: str, statement: str) -> tuple[int, str, str]:
    """Run SQL as one of the database's login roles, over the network; returns exit status, rows and complaints."""
    command = (
        "IFS= read -r PGPASSWORD; export PGPASSWORD;"
        f" exec psql --no-psqlrc --tuples-only --no-align --set ON_ERROR_STOP=1 -h db -U {user} -d app"
    )
    done = platform.run(
        "db", "/bin/bash", "-c", command, text=f"{platform.secret(f'db/{user}')}\n{statement}\n"
    )
    return done.returncode, done.stdout.strip(), done.stderr.strip()


class WebSocket:
    """An upgrade that a web server was asked for.

    Attributes:
        status: the first line of its answer.
        headers: of its answer, by their names in small letters.
    """

    def __init__(
        self, connection: socket.socket, stream: BufferedRWPair, status: str, headers: dict[str, str]
    ) -> None:
        self.status, self.headers = status, headers
        self._connection, self._stream = connection, stream

    @property
    def opened(self) -> bool:
        return " 101 " in self.status

    def frame(self) -> bytes:
        """The payload of the next frame; raises what a connection does that has ended or says nothing."""
        return _frame(self._stream)

    def ends(self, seconds: float) -> bool:
        """Whether the other side ends it within so many seconds."""
        deadline = time.monotonic() + seconds
        try:
            while (left := deadline - time.monotonic()) > 0:
                self._connection.settimeout(left)
                if not self._stream.read(1):
                    return True
        except TimeoutError:
            return False
        except OSError:
            return True
        return False


@contextmanager
def websocket(
    platform: Platform, path: str, login: tuple[str, str] | None = None, *, cookie: str = "", direct: str = ""
) -> Iterator[WebSocket]:
    """Open a WebSocket through Traefik, or at the own port of the service that ``direct`` names."""
    number = platform.published(direct, "http") if direct else platform.published("traefik", "https")
    headers = {
        "Host": f"localhost:{number}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Protocol": "binary",
        "Origin": f"{'http' if direct else 'https'}://localhost:{number}",
    }
    if login:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
    if cookie:
        headers["Cookie"] = cookie
    with ExitStack() as stack:
        plain = stack.enter_context(socket.create_connection((LOCALHOST, number), timeout=10))
        if not direct:
            context = ssl.create_default_context(cafile=str(platform.authority))
            plain = stack.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
        stream = stack.enter_context(plain.makefile("rwb"))
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        stream.write("\r\n".join([*lines, "", ""]).encode())
        stream.flush()
        status = stream.readline().decode().strip()
        answered = (line.decode().partition(":") for line in iter(lambda: stream.readline().strip(), b""))
        yield WebSocket(plain, stream, status, {name.lower(): value.strip() for name, _, value in answered})


def websocket_greeting(
    platform: Platform, path: str, user: str = "", password: str = ""
) -> tuple[str, bytes]:
    """Open a WebSocket through Traefik; returns the status line and the first bytes the other side sends."""
    with websocket(platform, path, (user, password) if user else None) as opened:
        return opened.status, opened.frame() if opened.opened else b""


def _frame(stream: BinaryIO | BufferedRWPair) -> bytes:
    """The payload of one WebSocket frame from a server (RFC 6455, 5.2)."""
    _opcode, length = stream.read(2)
    if length == 126:
        (length,) = struct.unpack(">H", stream.read(2))
    return stream.read(length)


def server_certificate_pin(certificate: Path) -> str:
    """What browsers call the SPKI hash of a certificate."""
    public = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    encoded = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(encoded).digest()).decode()
