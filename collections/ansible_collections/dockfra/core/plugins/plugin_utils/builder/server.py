# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The listener of a builder: it takes one build in its life, and says what becomes of it while it is made.

A life is one build because nothing else clears away for certain what foreign code has started and left: when the container's
first process ends, the kernel ends all others, and Docker starts it anew with empty memory file systems. Health is answered at
any time. All is bounded: connections, bytes, seconds, and how long nobody may read.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import json
import os
import socket
import time
from collections.abc import Iterator
from http.client import responses
from typing import IO, Any

from ...module_utils.builds.wire import HEALTH, PATH, TREE, Order, line, notice_gone
from ...module_utils.errors import BuildError, UsageError
from .build import Build, StepError
from .means import Means

try:
    import h11
except ImportError as error:
    _H11_ERROR: ImportError | None = error
else:
    _H11_ERROR = None

_HEAD = 16 * 1024
_PART = 64 * 1024
# Seconds for a request's line and headers, for its next part, and for the caller to take more of an answer.
_HEAD_SECONDS = 10.0
_PART_SECONDS = 60.0
_UNREAD_SECONDS = 60.0
# Seconds until all that a build has started is gone.
_ENDING_SECONDS = 10.0
_CONNECTIONS = 16


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Gone(Exception):
    """Nobody is there for the rest of the answer."""


class Server:
    """Listens, and builds once.

    Args:
        means: what it works with.

    Raises:
        BuildError: a library is missing.
    """

    def __init__(self, means: Means) -> None:
        if _H11_ERROR is not None:
            raise BuildError(f"The Python library h11 is missing ({_H11_ERROR}).")
        self._means = means
        self._born = time.monotonic()
        self._state = "ready"
        self._open = 0
        self._over = asyncio.Event()

    async def serve(self) -> None:
        """Listen until a build has ended, or its caller has gone; raises OSError."""
        for host, port in self._means.listen:
            await asyncio.start_server(
                self._connected, host, port, family=socket.AF_INET, limit=_PART, backlog=64
            )
        await self._over.wait()
        # Docker waits the longer before it starts what has ended within 10 seconds, the more often that happened.
        await asyncio.sleep(max(0.0, self._means.life - (time.monotonic() - self._born)))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= _CONNECTIONS:
            writer.transport.abort()
            return
        self._open += 1
        caller = _Caller(reader, writer)
        try:
            with contextlib.suppress(_Gone, OSError):
                await self._answer(caller)
        finally:
            await caller.close()
            self._open -= 1
            if caller.builds:
                self._over.set()

    async def _answer(self, caller: _Caller) -> None:
        try:
            method, target = await caller.request()
            path, _mark, query = target.partition("?")
            if (method, path) == ("GET", HEALTH):
                await caller.say(200, self._state)
            elif (method, path) == ("POST", PATH):
                await self._accept(caller, query)
            else:
                raise _Refused(404, f"there is GET {HEALTH} and POST {PATH}")
        except _Refused as refusal:
            await caller.say(refusal.status, str(refusal))

    async def _accept(self, caller: _Caller, query: str) -> None:
        try:
            order = Order.from_query(query)
        except UsageError as error:
            raise _Refused(400, str(error)) from error
        if self._state == "busy":
            raise _Refused(409, "another build is under way")
        if self._state == "ending":
            raise _Refused(503, "a build has just ended; the next one can begin in some seconds")
        self._state, caller.builds = "busy", True
        _end_within(self._means.seconds + _ENDING_SECONDS)
        try:
            async with asyncio.timeout(self._means.seconds):
                await self._built(caller, order)
        except TimeoutError:
            caller.abort()
        finally:
            self._state = "ending"
            _end_within(self._means.life + _UNREAD_SECONDS + _ENDING_SECONDS)

    async def _built(self, caller: _Caller, order: Order) -> None:
        tree = os.path.join(self._means.work, "tree.tar")
        await caller.receive(tree, TREE.archive)
        await caller.begin()
        build = Build(order, self._means, caller.tell)
        making = asyncio.create_task(build.run(tree))
        leaving = asyncio.create_task(caller.left())
        try:
            await asyncio.wait({making, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not making.done():
                raise _Gone
            archives = making.result()
        except StepError as failure:
            await caller.last(
                line(
                    "failed",
                    service=failure.service,
                    step=failure.step,
                    reason=failure.reason,
                    log=failure.log,
                )
            )
            return
        finally:
            making.cancel()
            leaving.cancel()
            await asyncio.wait({making, leaving}, timeout=_ENDING_SECONDS)
        for service, file in archives.items():
            size = file.tell()
            await caller.send(line("archive", service=service, size=size))
            for part in _parts(file, size):
                await caller.send(part)
        await caller.last(line("done"))


def _end_within(seconds: float) -> None:
    """End this process after some time, whatever state it is in then.

    Processes of the same user may take its limits away (prlimit(2)), so that not even an exception finds its memory.
    """
    faulthandler.dump_traceback_later(seconds, exit=True)


def _parts(file: IO[bytes], size: int) -> Iterator[bytes]:
    file.seek(0)
    while size and (part := file.read(min(_PART, size))):
        size -= len(part)
        yield part


class _Caller:
    """Whoever has connected.

    Attributes:
        builds: whether the one build is its.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.builds = False
        self._reader, self._writer = reader, writer
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD)
        notice_gone(writer.get_extra_info("socket"))

    async def _event(self, seconds: float) -> Any:
        try:
            async with asyncio.timeout(seconds):
                while (event := self._connection.next_event()) is h11.NEED_DATA:
                    self._connection.receive_data(await self._reader.read(_PART))
        except TimeoutError as error:
            raise _Refused(408, f"nothing came for {seconds:g} s") from error
        except h11.RemoteProtocolError as error:
            raise _Refused(400, f"this cannot be read: {error}") from error
        return event

    async def request(self) -> tuple[str, str]:
        """Return method and target; raises _Refused, and _Gone where nothing comes."""
        event = await self._event(_HEAD_SECONDS)
        if not isinstance(event, h11.Request):
            raise _Gone
        return event.method.decode("latin-1"), event.target.decode("latin-1")

    async def receive(self, path: str, most: int) -> None:
        """Write the request's body to a new file; raises _Refused where it is too large or breaks off."""
        if self._connection.they_are_waiting_for_100_continue:
            await self._write(h11.InformationalResponse(status_code=100, headers=[]))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o600), "wb") as file:
            while isinstance(event := await self._event(_PART_SECONDS), h11.Data):
                most -= len(event.data)
                if most < 0:
                    raise _Refused(413, "the tree has more bytes than are taken")
                try:
                    file.write(event.data)
                except OSError as error:
                    raise _Refused(507, f"there is no room for the tree: {error.strerror}") from error
        if not isinstance(event, h11.EndOfMessage):
            raise _Gone

    async def say(self, status: int, message: str) -> None:
        """Send an answer of one line."""
        body = json.dumps({"message": message}).encode() + b"\n"
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        await self._head(status, headers)
        await self._write(h11.Data(data=body))
        await self._write(h11.EndOfMessage())
        # What the caller still sends is taken for a moment, or it would lose the answer to that.
        await self._taken(2)

    async def begin(self) -> None:
        """Begin the answer to a build."""
        await self._head(200, [("Content-Type", "application/octet-stream")])

    def tell(self, event: str, **values: Any) -> None:
        """Send an event; whoever does not read misses some rather than holds the build up."""
        if self._writer.transport.get_write_buffer_size() < 4 * _PART:
            self._writer.write(self._connection.send(h11.Data(data=line(event, **values))) or b"")

    async def send(self, data: bytes) -> None:
        """Send a part of the answer; raises _Gone where nobody takes it."""
        await self._write(h11.Data(data=data))

    async def last(self, data: bytes) -> None:
        """Send the last part of the answer, and wait until the caller has it or the time for that is over."""
        await self.send(data)
        await self._write(h11.EndOfMessage())
        # The container ends next, and with its network all that the kernel has not delivered.
        await self._taken(_UNREAD_SECONDS)

    async def _taken(self, seconds: float) -> None:
        """End this side, and wait until the caller closes the other one; some of what it still sends is read meanwhile."""
        with contextlib.suppress(OSError, TimeoutError):
            self._writer.write_eof()
            async with asyncio.timeout(seconds):
                left = 4 * _PART
                while left > 0 and (data := await self._reader.read(_PART)):
                    left -= len(data)

    async def left(self) -> None:
        """Return when the caller closes the connection, or sends more than its request."""
        await self._reader.read(1)

    async def _head(self, status: int, headers: list[tuple[str, str]]) -> None:
        reason = responses.get(status, "")
        head = h11.Response(status_code=status, headers=[*headers, ("Connection", "close")], reason=reason)
        await self._write(head)

    async def _write(self, event: Any) -> None:
        try:
            data = self._connection.send(event)
            async with asyncio.timeout(_UNREAD_SECONDS):
                self._writer.write(data or b"")
                await self._writer.drain()
        except TimeoutError as error:
            self.abort()
            raise _Gone from error
        except h11.LocalProtocolError as error:
            raise _Gone from error

    async def close(self) -> None:
        """End the connection, once the caller has taken what is left or the time for that is over."""
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_UNREAD_SECONDS):
                await self._writer.wait_closed()

    def abort(self) -> None:
        """End the connection so that the caller sees that something is missing."""
        self._writer.transport.abort()
