# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Asks services whether they work, each in its own protocol, with nothing but Python's library.

A `Target` says whom to ask and how, a `Result` how it went. The kinds:

- ``http``: a GET of ``path`` is answered as `works` says; otherwise the answer's text is the detail.
- ``container``: Docker, asked at ``path`` through a gateway, says that the container runs and is not unhealthy; for what cannot be
  reached itself.
- ``ssh``: an SSH banner arrives.
- ``tcp``: the connection is accepted.
- ``postgres``: ``user`` logs in to ``database`` with SCRAM and gets the answer to a query.
- ``redis``: ``user`` logs in and gets the answer to a PING.

`probe` and `probe_all` never raise for a service that does not work, and return when the time is up whatever a name
server or a peer does. A detail never holds a password.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import hmac
import json
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

# Seconds a service has for its whole answer.
TIMEOUT = 3.0

# Why nothing was asked: nobody listens there, or nobody has that name here. Words of the probe's own, so others may go by them.
REFUSED = "refused"
NAMELESS = "nameless"

# A name may have addresses of a kind that this machine has no way to: they say nothing of the service.
_NO_WAY = (errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EAFNOSUPPORT)

# More than this of an answer is not read.
_MAX_ANSWER = 64 * 1024

# What a detail keeps of foreign text.
_MAX_DETAIL = 160

# A server decides how often a password is hashed (PostgreSQL's default is 4096); one that wants more than this is none.
_MAX_ITERATIONS = 100_000


@dataclass(frozen=True)
class Target:
    """A service to ask.

    Attributes:
        service: its name in the inventory.
        kind: how to ask, one of `KINDS`.
        host: its address.
        port: its port.
        path: of an HTTP request.
        below: the lowest HTTP status that means that the service does not work.
        user: who asks, for postgres and redis.
        password: that user's.
        database: for postgres.
        notes: where the server notes what a person should know although it works, such as who is at its limit of
            connections: for postgres a query of one text, for redis a key. An empty text is no note.
    """

    service: str
    kind: str
    host: str
    port: int
    path: str = "/health"
    below: int = 400
    user: str = ""
    password: str = field(default="", repr=False)
    database: str = "app"
    notes: str = ""


@dataclass(frozen=True)
class Result:
    """How asking went.

    Attributes:
        service, kind: those of the target.
        ok: whether it works.
        detail: what it answered, or what went wrong; one line.
        milliseconds: how long that took.
        away: why nothing was asked: `REFUSED`, nobody listens there, or `NAMELESS`, nobody has that name here; else empty.
    """

    service: str
    kind: str
    ok: bool
    detail: str
    milliseconds: int
    away: str = ""


class _Failure(Exception):
    """The service does not work; the text says why."""


def works(status: int, below: int) -> bool:
    """Whether a service works that answers with an HTTP status; who asks for a login does, and nobody has given us one."""
    return 200 <= status < below or status == 401


def answered(status: int) -> str:
    """Return the detail of a good answer over HTTP."""
    return f"HTTP {status}, asks for a login" if status == 401 else f"HTTP {status}"


def probe(target: Target, timeout: float = TIMEOUT) -> Result:
    """Ask one service; see `probe_all`."""
    return probe_all([target], timeout)[0]


def probe_all(targets: Sequence[Target], timeout: float = TIMEOUT) -> list[Result]:
    """Ask all services at the same time and return the results in the order of the targets.

    Args:
        targets: whom to ask.
        timeout: seconds for all of it.
    """
    begin = time.monotonic()
    results: list[Result | None] = [None] * len(targets)

    def ask(number: int) -> None:
        results[number] = _asked(targets[number], begin, begin + timeout)

    # Nothing can interrupt a look-up of a name: a thread that hangs in one is left behind.
    threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(len(targets))]
    for thread in threads:
        thread.start()
    for thread in threads:
        # A little longer than the sockets, whose own message says more.
        thread.join(max(0.0, begin + timeout + 0.25 - time.monotonic()))
    late = f"no answer in {timeout:g} s"
    return [
        result or Result(target.service, target.kind, False, late, round(timeout * 1000))
        for target, result in zip(targets, list(results), strict=True)
    ]


def _asked(target: Target, begin: float, deadline: float) -> Result:
    ok, away = False, ""
    try:
        ask = KINDS.get(target.kind)
        if ask is None:
            raise _Failure(f"there is no probe called {target.kind}")
        with _Connection(target, deadline) as connection:
            detail = ask(connection, target)
        ok = True
    except _Failure as failure:
        detail = str(failure)
    except TimeoutError:
        detail = f"no answer in {deadline - begin:g} s"
    except socket.gaierror:
        away = NAMELESS
        detail = (
            f"nobody is called {target.host} here; it does not run, or not on a network of this container"
        )
    except OSError as error:
        away = REFUSED if isinstance(error, ConnectionRefusedError) else ""
        detail = (error.strerror or str(error)).lower()
    # Whoever answers can send anything, and must not choose that nobody learns of it.
    except (ValueError, LookupError, ArithmeticError, RecursionError, TypeError, struct.error):
        detail = f"the answer is not what {target.kind} sends"
    line = " ".join(detail.split())
    taken = round((time.monotonic() - begin) * 1000)
    return Result(target.service, target.kind, ok, line[:_MAX_DETAIL], taken, away)


def connected(host: str, port: int, timeout: float) -> socket.socket:
    """Return a connection to the first of a host's addresses that takes one.

    Args:
        host: a name or an address.
        port: its number.
        timeout: seconds for each address.

    Raises:
        OSError: none takes one; why the first one that can be tried from here does not.
    """
    reason: OSError | None = None
    for family, kind, protocol, _name, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            connection = socket.socket(family, kind, protocol)
        except OSError as error:
            reason = reason or error
            continue
        try:
            connection.settimeout(timeout)
            connection.connect(address)
            return connection
        except OSError as error:
            connection.close()
            if reason is None or reason.errno in _NO_WAY:
                reason = error
    raise reason or OSError(f"{host} has no address")


class _Connection:
    """A TCP connection that ends when its time is up, however slowly the peer drips."""

    def __init__(self, target: Target, deadline: float) -> None:
        self._deadline = deadline
        self._taken = 0
        self._rest = b""
        self._socket = connected(target.host, target.port, self._left())

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_exception: object) -> None:
        with suppress(OSError):
            self._socket.close()

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def send(self, data: bytes) -> None:
        self._socket.settimeout(self._left())
        self._socket.sendall(data)

    def _more(self) -> bytes:
        self._socket.settimeout(self._left())
        data = self._socket.recv(4096)
        self._taken += len(data)
        if self._taken > _MAX_ANSWER:
            raise _Failure(f"the answer is longer than {_MAX_ANSWER} bytes")
        return data

    def exactly(self, size: int) -> bytes:
        """The next bytes."""
        while len(self._rest) < size:
            data = self._more()
            if not data:
                raise _Failure("the connection was closed before the answer was complete")
            self._rest += data
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def line(self) -> str:
        """The next line."""
        while b"\n" not in self._rest:
            data = self._more()
            if not data:
                raise _Failure("the connection was closed without an answer")
            self._rest += data
        found, _newline, self._rest = self._rest.partition(b"\n")
        return found.rstrip(b"\r").decode(errors="replace")

    def rest(self) -> str:
        """All that follows until the peer closes."""
        while data := self._more():
            self._rest += data
        return self._rest.decode(errors="replace")


def _http(connection: _Connection, target: Target) -> str:
    status = _asked_for(connection, target)
    if works(status, target.below):
        return answered(status)
    raise _refused(connection, status)


def _asked_for(connection: _Connection, target: Target) -> int:
    """Ask for the target's path and return the status of the answer."""
    # With version 1.0 the server closes at the end and sends no chunks.
    connection.send(
        f"GET {target.path} HTTP/1.0\r\nHost: {target.host}\r\nUser-Agent: dockfra\r\nAccept: */*\r\n\r\n".encode()
    )
    version, status, *_reason = connection.line().split(" ", 2)
    if not version.startswith("HTTP/") or len(status) != 3:
        raise ValueError(version)
    return int(status)


def _refused(connection: _Connection, status: int) -> _Failure:
    while connection.line():
        pass
    return _Failure(f"HTTP {status}: {_printable(connection.rest()) or 'no reason given'}")


def _container(connection: _Connection, target: Target) -> str:
    status = _asked_for(connection, target)
    if status != 200:
        raise _refused(connection, status)
    while connection.line():
        pass
    try:
        state = json.loads(connection.rest())["State"]
        known = str(state["Status"]), str((state.get("Health") or {}).get("Status", "no health check"))
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError("no state") from error
    shown = _printable(", ".join(known))
    if known[0] != "running" or known[1] == "unhealthy":
        raise _Failure(shown)
    return shown


def _ssh(connection: _Connection, _target: Target) -> str:
    # RFC 4253, 4.2: a server may say other things first.
    for _number in range(20):
        line = connection.line()
        if line.startswith("SSH-"):
            return _printable(line)
    raise ValueError("no banner")


def _tcp(_connection: _Connection, _target: Target) -> str:
    return "connection accepted"


def _redis(connection: _Connection, target: Target) -> str:
    if target.user or target.password:
        _redis_command(connection, "AUTH", *filter(None, (target.user, target.password)))
    answer = _redis_command(connection, "PING")
    if answer != "PONG":
        raise ValueError(answer)
    return _with_note(answer, _redis_command(connection, "GET", target.notes) if target.notes else "")


def _redis_command(connection: _Connection, *words: str) -> str:
    encoded = [word.encode() for word in words]
    connection.send(
        b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
    )
    line = connection.line()
    if line[:1] == "-":
        raise _Failure(_printable(line[1:]))
    if line[:1] == "$":
        size = int(line[1:])
        return connection.exactly(size + 2)[:size].decode(errors="replace") if size >= 0 else ""
    if line[:1] != "+":
        raise ValueError(line)
    return line[1:]


def _with_note(answer: str, note: str) -> str:
    return f"{answer}; {_printable(note)}" if note.strip() else answer


# PostgreSQL: https://www.postgresql.org/docs/current/protocol.html, version 3.0.

_PROTOCOL = 3 << 16
_AUTHENTICATED, _SASL, _SASL_CONTINUE, _SASL_FINAL = 0, 10, 11, 12
_MECHANISM = b"SCRAM-SHA-256"


def _postgres(connection: _Connection, target: Target) -> str:
    settings = {"user": target.user, "database": target.database, "application_name": "dockfra"}
    packed = b"".join(f"{name}\0{value}\0".encode() for name, value in settings.items()) + b"\0"
    connection.send(struct.pack("!II", len(packed) + 8, _PROTOCOL) + packed)
    scram: _Scram | None = None
    proven = asked = False
    value = b""
    query = target.notes or "SELECT 1"
    for kind, body in _messages(connection):
        if kind == b"R":
            (step,) = struct.unpack("!I", body[:4])
            if step == _SASL and scram is None and _MECHANISM in body[4:].split(b"\0"):
                scram = _Scram(target.password)
                first = scram.first()
                _send_message(connection, b"p", _MECHANISM + b"\0" + struct.pack("!I", len(first)) + first)
            elif step == _SASL_CONTINUE and scram is not None:
                _send_message(connection, b"p", scram.proof(body[4:]))
            elif step == _SASL_FINAL and scram is not None:
                scram.check(body[4:])
                proven = True
            elif step == _AUTHENTICATED:
                # A server that wanted no password, or did not prove that it knows it, is not the platform's.
                if not proven:
                    raise _Failure(f"the server let {target.user} in without a password")
            else:
                raise _Failure("the server wants a password in a form that is not safe to send")
        elif kind == b"E":
            raise _Failure(_printable(_error_message(body)))
        elif kind == b"D":
            value = body[6:]
        elif kind == b"Z" and not asked:
            asked = True
            _send_message(connection, b"Q", query.encode() + b"\0")
        elif kind == b"Z":
            break
    if not target.notes and value != b"1":
        raise ValueError(value)
    with suppress(OSError):
        _send_message(connection, b"X", b"")
    note = value.decode(errors="replace") if target.notes else ""
    return _with_note(f"{target.user} logged in, query answered", note)


def _messages(connection: _Connection) -> Iterator[tuple[bytes, bytes]]:
    while True:
        kind, length = struct.unpack("!cI", connection.exactly(5))
        yield kind, connection.exactly(length - 4)


def _send_message(connection: _Connection, kind: bytes, body: bytes) -> None:
    connection.send(kind + struct.pack("!I", len(body) + 4) + body)


def _error_message(body: bytes) -> str:
    fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
    return fields.get(b"M", "the server refused without a reason")


class _Scram:
    """The client's side of SCRAM-SHA-256 (RFC 5802, 7677), without channel binding."""

    def __init__(self, password: str) -> None:
        self._password = password.encode()
        self._nonce = secrets.token_urlsafe(18)
        self._expected = b""

    def first(self) -> bytes:
        return f"n,,{self._first_bare()}".encode()

    def _first_bare(self) -> str:
        # PostgreSQL takes the name from the start-up message and ignores this one.
        return f"n=,r={self._nonce}"

    def proof(self, challenge: bytes) -> bytes:
        parts = dict(part.split("=", 1) for part in challenge.decode().split(","))
        nonce, iterations = parts.get("r", ""), int(parts.get("i", "0"))
        if not nonce.startswith(self._nonce) or not 0 < iterations <= _MAX_ITERATIONS:
            raise ValueError("challenge")
        salted = hashlib.pbkdf2_hmac(
            "sha256", self._password, base64.b64decode(parts.get("s", "")), iterations
        )
        without_proof = f"c=biws,r={nonce}"
        message = f"{self._first_bare()},{challenge.decode()},{without_proof}".encode()
        key = _hmac(salted, b"Client Key")
        signature = _hmac(hashlib.sha256(key).digest(), message)
        self._expected = _hmac(_hmac(salted, b"Server Key"), message)
        proof = bytes(left ^ right for left, right in zip(key, signature, strict=True))
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def check(self, answer: bytes) -> None:
        """Raise when the server does not know the password either."""
        signature = base64.b64decode(answer.removeprefix(b"v="))
        if not self._expected or not hmac.compare_digest(signature, self._expected):
            raise _Failure("the server does not prove that it knows the password; it is not the platform's")


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, "sha256").digest()


def _printable(text: str) -> str:
    """Foreign text as one short line; of JSON that tells what is down, only that."""
    # Nested deep enough, what is sent is more than the reader can take.
    with suppress(ValueError, RecursionError):
        data = json.loads(text)
        if isinstance(data, dict):
            text = ", ".join(f"{key} {value}" for key, value in data.items())
    return "".join(sign if sign.isprintable() else " " for sign in text)[:_MAX_DETAIL].strip()


# How to ask, by kind. Each returns the detail or raises.
KINDS: dict[str, Callable[[_Connection, Target], str]] = {
    "http": _http,
    "container": _container,
    "ssh": _ssh,
    "tcp": _tcp,
    "postgres": _postgres,
    "redis": _redis,
}
