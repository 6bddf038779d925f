# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A build at the builder: the tree of a commit goes there, archives of releases come back.

What runs there is foreign code. Nothing that comes is believed beyond what it is: each archive's hash and size are
taken here, each line is checked, and all of it is bounded in bytes and time (see `module_utils.builds.wire`).
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import select
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from ...module_utils.answers.http import BoundedSocket, Bounds
from ...module_utils.builds import wire
from ...module_utils.builds.wire import Step
from ...module_utils.errors import (
    BuildAnswerError,
    BuildBusyError,
    BuildError,
    BuildFailedError,
    BuildUnreachableError,
    CommandError,
    DockfraError,
    LateError,
    TooMuchError,
)
from ...module_utils.releases import archive
from ...module_utils.text import shown

# Which builder a container asks: the role of the container has written it down.
CONFIGURATION = Path("/etc/dockfra/builder.json")

# Seconds for a connection, for the builder to take more of the tree, and until one that has ended is back.
_CONNECT_SECONDS = 5.0
_SEND_SECONDS = 60.0
_BACK_SECONDS = 30.0
_PAUSE = 0.25

_PART = 64 * 1024
_MAX_REFUSAL = 4096
_CONTINUE = b"HTTP/1.1 100"

OnEvent = Callable[[Mapping[str, Any]], None]


class Builder(NamedTuple):
    """Where a builder listens."""

    host: str
    port: int


@dataclass(frozen=True)
class Archive:
    """An archive that was built.

    Attributes:
        path: the file.
        size: its bytes.
        content: bytes unpacked, as measured here.
        sha256: its hash, as taken here.
    """

    path: Path
    size: int
    content: int
    sha256: str


@dataclass(frozen=True)
class Report:
    """What a build brought.

    Attributes:
        archives: by service.
        steps: in their order.
    """

    archives: dict[str, Archive]
    steps: list[Step]


class _Busy(Exception):
    """Another build is under way, or the builder is just starting anew."""


def load(path: Path | None = None) -> Builder:
    """Return the builder that this container asks; raises CommandError where it has none."""
    path = path or CONFIGURATION
    try:
        entry = json.loads(path.read_bytes())
        return Builder(str(entry["host"]), int(entry["port"]))
    except FileNotFoundError as error:
        raise CommandError(f"no builder can be reached from here: there is no {path}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{path} cannot be read ({type(error).__name__}); run site.yml again") from error


def build(
    host: str,
    port: int,
    tree: IO[bytes],
    services: Mapping[str, str],
    *,
    tests: bool,
    folder: Path,
    deadline_seconds: float,
    on_event: OnEvent,
) -> Report:
    """Have releases built of a tree.

    Whatever ends this, also an interrupt, closes the connection, and with it the build ends.

    Args:
        host: the builder.
        port: its port.
        tree: the tree of a commit, as ``git archive`` writes it; nothing is read of it before the builder takes it.
        services: their directories in the tree, by name.
        tests: whether they are tested.
        folder: where the archives go, as ``<service>.tar.gz``; files of these names are replaced.
        deadline_seconds: for all of it, a wait for other builds included.
        on_event: gets each event: ``event`` (``wait``, ``begin``, ``output`` or ``end``), ``service`` (empty for what concerns all), ``step``,
            ``text`` and ``elapsed`` (seconds of the build), and of an ``end`` also ``seconds`` and ``ok``.

    Raises:
        BuildFailedError: something of it cannot be built.
        BuildBusyError: the builder was at another build for all that time.
        BuildUnreachableError: it does not answer, or its answer broke off.
        BuildAnswerError: it answers what no builder does.
        LateError: the time is over.
        TooMuchError: there is more than is taken.
        UsageError: that is nothing that could be built.
    """
    order = wire.Order(dict(services), tests)
    talk = _Talk(host, port, order, folder, time.monotonic() + deadline_seconds, on_event)
    try:
        with contextlib.closing(talk.accepted()) as connection:
            talk.send(connection, tree)
            return talk.receive(connection)
    except (OSError, http.client.HTTPException) as error:
        raise BuildUnreachableError(
            f"the builder {host} broke off ({_told(error)}); its memory or its time may have been used up"
        ) from error


class _Talk:
    def __init__(
        self, host: str, port: int, order: wire.Order, folder: Path, deadline: float, on_event: OnEvent
    ) -> None:
        self._host, self._port, self._order = host, port, order
        self._folder, self._deadline, self._on_event = folder, deadline, on_event
        self._reader = wire.Reader(list(order.services))

    def _left(self, most: float = float("inf")) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise LateError("the build was not done in time, and was ended")
        return min(left, most)

    # The request ----------------------------------------------------------------------------------------------------

    def accepted(self) -> http.client.HTTPConnection:
        """Return a connection at whose end the builder waits for the tree."""
        gone_since, told = time.monotonic(), ""
        while True:
            try:
                return self._asked()
            except _Busy as busy:
                gone_since, reason = time.monotonic(), str(busy)
                if self._deadline - time.monotonic() <= _PAUSE:
                    raise BuildBusyError(f"the builder {self._host} is not free: {reason}") from busy
            except (OSError, http.client.HTTPException) as error:
                reason = _told(error)
                if (
                    time.monotonic() - gone_since > _BACK_SECONDS
                    or self._deadline - time.monotonic() <= _PAUSE
                ):
                    raise BuildUnreachableError(
                        f"the builder {self._host}:{self._port} cannot be reached: {reason}"
                    ) from error
            if reason != told:
                self._on_event({"event": "wait", "service": "", "step": "", "text": reason, "elapsed": 0.0})
                told = reason
            time.sleep(_PAUSE)

    def _asked(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._left(_CONNECT_SECONDS))
        try:
            connection.putrequest("POST", self._order.target(), skip_accept_encoding=True)
            connection.putheader("Content-Type", "application/x-tar")
            connection.putheader("Transfer-Encoding", "chunked")
            # So that a tree that comes through a pipe is not lost to a refusal.
            connection.putheader("Expect", "100-continue")
            connection.endheaders()
            wire.notice_gone(connection.sock)
            if not _continues(connection, self._left(_CONNECT_SECONDS)):
                self._refused(self._answer(connection, _MAX_REFUSAL, self._left(_CONNECT_SECONDS)))
        except BaseException:
            connection.close()
            raise
        return connection

    def _refused(self, answer: http.client.HTTPResponse) -> None:
        try:
            message = str(json.loads(answer.read(_MAX_REFUSAL))["message"])
        except (ValueError, KeyError, TypeError, RecursionError):
            message = ""
        message = wire.cleaned(message).replace("\n", " ")
        if answer.status in (409, 503):
            raise _Busy(message or "it is busy")
        raise BuildError(f"the builder {self._host} refuses: {answer.status} {message}".rstrip())

    def send(self, connection: http.client.HTTPConnection, tree: IO[bytes]) -> None:
        """Send the tree, until an answer comes; what of it is not wanted any more is left."""
        sent = 0
        while part := tree.read(_PART):
            sent += len(part)
            if sent > wire.TREE.archive:
                raise TooMuchError(f"the tree has more than {wire.TREE.archive} bytes, and is not built")
            if not self._send(connection, b"%x\r\n%s\r\n" % (len(part), part)):
                return
        self._send(connection, b"0\r\n\r\n")

    def _send(self, connection: http.client.HTTPConnection, data: bytes) -> bool:
        """Send a part; False where nobody takes it, and there may be an answer that says why."""
        if select.select([connection.sock], [], [], 0)[0]:
            return False
        connection.sock.settimeout(self._left(_SEND_SECONDS))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sock.sendall(data)
            return True
        return False

    # The answer -----------------------------------------------------------------------------------------------------

    def _answer(
        self, connection: http.client.HTTPConnection, size: int, seconds: float
    ) -> http.client.HTTPResponse:
        connection.sock = BoundedSocket(connection.sock, Bounds(f"the builder {self._host}", size, seconds))
        return connection.getresponse()

    def receive(self, connection: http.client.HTTPConnection) -> Report:
        """Take the answer to its end."""
        # Each archive, the lines, and what the transfer adds to them.
        most = len(self._order.services) * archive.LIMITS.archive + 2 * wire.MAX_LINES
        try:
            # The socket is the answer's: the builder notices when that is closed.
            with contextlib.closing(self._answer(connection, most, self._left())) as answer:
                if answer.status != 200:
                    self._refused(answer)
                return self._taken(answer)
        except _Busy as error:
            raise BuildUnreachableError(f"the builder {self._host} has begun anew: {error}") from error
        except LateError as error:
            raise LateError("the build was not done in time, and was ended") from error

    def _taken(self, answer: http.client.HTTPResponse) -> Report:
        archives: dict[str, Archive] = {}
        for event in self._events(answer):
            if event["event"] == "archive":
                archives[event["service"]] = self._archive(answer, event["service"], event["size"])
            elif event["event"] in ("begin", "output", "end"):
                self._on_event(event)
        failure = self._reader.failure
        if failure is not None:
            where = f"{failure.service}: {failure.step}" if failure.service else failure.step
            raise BuildFailedError(f"{where}: {failure.reason}", failure.log, failure.service)
        return Report(archives, self._reader.steps)

    def _events(self, answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
        taken = 0
        while not self._reader.done:
            line = answer.readline(wire.MAX_LINE + 1)
            taken += len(line)
            if not line:
                raise BuildUnreachableError(
                    f"the builder {self._host} ended in the middle of the build; its memory or its time may have been used up"
                )
            if not line.endswith(b"\n") or taken > wire.MAX_LINES:
                raise BuildAnswerError(
                    f"the builder says more than it may: {shown(line[:40].decode(errors='replace'))}"
                )
            yield self._reader.take(line)

    def _archive(self, answer: http.client.HTTPResponse, service: str, size: int) -> Archive:
        if size > archive.LIMITS.archive:
            raise TooMuchError(f"the archive of {service} has {size} bytes, more than any release")
        path = self._folder / f"{service}.tar.gz"
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        digest, left = hashlib.sha256(), size
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o600), "wb") as file:
            while left and (part := answer.read(min(_PART, left))):
                digest.update(part)
                file.write(part)
                left -= len(part)
        if left:
            raise BuildUnreachableError(f"the archive of {service} ends after {size - left} of {size} bytes")
        try:
            content = archive.measure(str(path)).size
        except (DockfraError, OSError) as error:
            raise BuildAnswerError(f"the archive of {service} is no release: {error}") from error
        return Archive(path, size, content, digest.hexdigest())


def _continues(connection: http.client.HTTPConnection, seconds: float) -> bool:
    """Whether the builder wants the tree. Its word for that is taken; what else it says is left for the answer's reader."""
    sock = connection.sock
    if not select.select([sock], [], [], seconds)[0]:
        raise TimeoutError("it does not answer")
    begin = sock.recv(len(_CONTINUE), socket.MSG_PEEK)
    if not begin:
        raise ConnectionResetError("it closed the connection")
    if begin != _CONTINUE:
        return False
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        part = sock.recv(1)
        head += part
        if not part or len(head) > _MAX_REFUSAL:
            raise ConnectionResetError("it says nothing that can be read")
    return True


def _told(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or error or type(error).__name__)
