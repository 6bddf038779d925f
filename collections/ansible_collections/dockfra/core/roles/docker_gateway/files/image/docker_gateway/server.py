# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The listener: one request for each connection, judged by `rules`, and the engine's answer passed on.

All is bounded: connections, bytes and seconds of a request, and how long nobody may read an answer.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from http.client import responses
from typing import Any

import h11

from docker_gateway.engine import HEAD_SECONDS, Answer, Container, Engine, EngineError
from docker_gateway.log import Log
from docker_gateway.rules import LONGEST_STOP, Refused, Request, admitted

# What of the engine's headers goes on to the client: how the body reads, and what a client learns from a ping.
_PASSED_HEADERS = {
    "api-version",
    "builder-version",
    "content-length",
    "content-type",
    "date",
    "docker-experimental",
    "ostype",
    "server",
}


@dataclass(frozen=True)
class Limits:
    """How much is taken, and for how long.

    Attributes:
        head_bytes: of a request's line and headers.
        head_seconds: for all of them to come.
        connections: open at a time, of all callers.
        of_one: open at a time from one address, so that one caller leaves room for the health check.
        buffer: bytes of an answer that wait for a caller, here and in the system.
        unread_seconds: for a caller to take more of an answer.
        answer_seconds: for an answer that ends by itself.
        stream_seconds: for one that does not.
    """

    head_bytes: int = 16 * 1024
    head_seconds: float = 10.0
    connections: int = 64
    of_one: int = 48
    buffer: int = 64 * 1024
    unread_seconds: float = 30.0
    answer_seconds: float = 300.0
    stream_seconds: float = 12 * 3600.0


class _Gone(Exception):
    """Nobody is there for the rest of the answer."""


class Gateway:
    """Passes on what one platform may ask of an engine.

    Args:
        project: the platform.
        engine: who is asked.
        log: where refusals and changes go.
        limits: how much is taken.
    """

    def __init__(self, project: str, engine: Engine, log: Log, limits: Limits | None = None) -> None:
        self._project = project
        self._engine = engine
        self._log = log
        self._limits = limits or Limits()
        self._open: Counter[str] = Counter()

    async def listen(self, places: Iterable[tuple[str, int]]) -> list[asyncio.Server]:
        """Listen at these names and ports; raises OSError."""
        servers = []
        for host, port in places:
            server = await asyncio.start_server(
                self._connected, host, port, family=socket.AF_INET, limit=self._limits.head_bytes, backlog=64
            )
            servers.append(server)
        return servers

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, port = (writer.get_extra_info("peername") or ("unknown", 0))[:2]
        caller = _Caller(reader, writer, f"{address}:{port}", self._limits)
        if self._open[address] >= self._limits.of_one or self._open.total() >= self._limits.connections:
            # Nothing of it is read; the line fits into what the system takes without waiting.
            caller.refuse_unread("too many connections are open; close one")
            self._log.refused(caller.name, "", "", 503, "too many connections are open")
            return
        self._open[address] += 1
        try:
            with suppress(_Gone, OSError):
                await self._serve(caller)
        finally:
            await caller.close()
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]

    async def _serve(self, caller: _Caller) -> None:
        """Answer the one request of a connection."""
        method = target = ""
        try:
            event = await caller.request()
            method, target = event.method.decode("latin-1"), event.target.decode("latin-1")
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers]
            request = admitted(method, target, headers, self._project)
            await self._passed(caller, request)
        except Refused as refusal:
            self._log.refused(caller.name, method, target, refusal.status, str(refusal))
            await caller.say(refusal.status, str(refusal))
        except EngineError as error:
            self._log.failed(caller.name, method, target, str(error))
            if caller.unanswered:
                await caller.say(502, f"the Docker Engine cannot be asked: {error}")
            else:
                caller.abort()  # or the caller would take what it has for all of it

    async def _passed(self, caller: _Caller, request: Request) -> None:
        """Ask the engine, and let the caller have its answer."""
        container = await self._own(request) if request.container else None
        patience = HEAD_SECONDS
        if container is not None and request.changes and request.verb != "start":
            wait = int(request.query.get("t", container.stop_seconds))
            patience += wait if 0 <= wait < LONGEST_STOP else LONGEST_STOP
        target = request.target(container.identity if container else "")
        limit = self._limits.stream_seconds if request.streams else self._limits.answer_seconds
        work = self._answered(caller, request, container, target, patience, limit)
        try:
            # What changes something is done to its end, whether or not somebody waits for that.
            await (caller.while_there(work) if request.streams else work)
        except TimeoutError:
            self._log.failed(caller.name, request.method, target, f"the answer did not end in {limit:g} s")
            caller.abort()

    async def _answered(
        self,
        caller: _Caller,
        request: Request,
        container: Container | None,
        target: str,
        patience: float,
        limit: float,
    ) -> None:
        async with self._engine.ask(request.method, target, patience) as answer, asyncio.timeout(limit):
            if request.changes and container is not None:
                self._log.changed(caller.name, request.verb, container.name, answer.status)
            await caller.pass_on(answer)

    async def _own(self, request: Request) -> Container:
        """The container that is meant; another platform's is answered as one that is not there."""
        container = await self._engine.find(request.container)
        if container is None or container.project != self._project:
            raise Refused(f"{request.container[:80]} is no container of the platform {self._project}")
        return container


class _Caller:
    """Whoever has connected.

    Args:
        reader: what it sends.
        writer: what it gets.
        name: its address and port.
        limits: how much of it is taken.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str, limits: Limits
    ) -> None:
        self.name = name
        self.unanswered = True
        self._wants_no_body = False
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes)
        writer.transport.set_write_buffer_limits(high=limits.buffer)
        connected = writer.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.buffer)
        # One that has vanished without a word is noticed as well.
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        # So is one that takes nothing any more, also when the connection is closed here (tcp(7)).
        unread = round(limits.unread_seconds * 1000)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unread)

    async def request(self) -> h11.Request:
        """Return the request's line and headers; raises Refused where they are none, and _Gone where nothing came."""
        try:
            async with asyncio.timeout(self._limits.head_seconds):
                while (event := self._connection.next_event()) is h11.NEED_DATA:
                    self._connection.receive_data(await self._reader.read(4096))
        except TimeoutError as error:
            raise Refused(f"no request came in {self._limits.head_seconds:g} s", 408) from error
        except h11.RemoteProtocolError as error:
            raise Refused(f"this is no request that can be read: {error}", error.error_status_hint) from error
        if not isinstance(event, h11.Request):
            raise _Gone
        self._wants_no_body = event.method == b"HEAD"
        return event

    async def say(self, status: int, message: str) -> None:
        """Send an answer of the gateway's own, in Docker's form."""
        body = json.dumps({"message": message}).encode() + b"\n"
        await self._head(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        if not self._wants_no_body:
            await self._send(h11.Data(data=body))
        await self._send(h11.EndOfMessage())
        await self._linger()

    def refuse_unread(self, message: str) -> None:
        """Say that there is no room, and close without having read anything."""
        body = json.dumps({"message": message})
        head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
        self._writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        self._writer.close()

    async def pass_on(self, answer: Answer) -> None:
        """Send an answer of the engine, part by part; raises EngineError where that breaks off."""
        await self._head(answer.status, [pair for pair in answer.headers if pair[0] in _PASSED_HEADERS])
        async for part in answer.parts():
            await self._send(h11.Data(data=part))
        await self._send(h11.EndOfMessage())

    async def while_there(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work that does not end by itself until the caller closes the connection, or sends something more: then _Gone."""
        working, leaving = asyncio.create_task(work), asyncio.create_task(self._reader.read(1))
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise _Gone
        finally:
            for task in (working, leaving):
                task.cancel()
            await asyncio.gather(working, leaving, return_exceptions=True)
        await working

    async def _head(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.unanswered = False
        headers.append(("Connection", "close"))
        await self._send(h11.Response(status_code=status, headers=headers, reason=responses.get(status, "")))

    async def _send(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> None:
        try:
            data = self._connection.send(event)
            async with asyncio.timeout(self._limits.unread_seconds):
                self._writer.write(data or b"")
                await self._writer.drain()
        except TimeoutError as error:
            self.abort()
            raise _Gone from error
        except h11.LocalProtocolError as error:
            raise EngineError(f"its answer is none that can be passed on: {error}") from error

    async def _linger(self) -> None:
        """Take for a moment what the caller still sends, or it would lose the answer to that."""
        with suppress(OSError, TimeoutError):
            self._writer.write_eof()
            async with asyncio.timeout(min(2.0, self._limits.head_seconds)):
                left = 4 * self._limits.head_bytes
                while left > 0 and (data := await self._reader.read(4096)):
                    left -= len(data)

    async def close(self) -> None:
        """End the connection, once the caller has taken what is left or the time for that is over."""
        self._writer.close()
        try:
            async with asyncio.timeout(self._limits.unread_seconds):
                await self._writer.wait_closed()
        except TimeoutError:
            self.abort()
        except OSError:
            pass  # the caller was faster

    def abort(self) -> None:
        """End the connection so that the caller sees that something is missing."""
        self._writer.transport.abort()


async def serve(configuration: Mapping[str, Any], log: Log, stop: asyncio.Event) -> None:
    """Serve until ``stop`` is set.

    Args:
        configuration: ``project``, ``socket``, ``listen`` as a list of hosts and ports, and fields of `Limits`.
        log: where refusals and changes go.
        stop: ends it.

    Raises:
        OSError: it cannot listen there.
    """
    limits = Limits(
        **{field.name: configuration[field.name] for field in fields(Limits) if field.name in configuration}
    )
    gateway = Gateway(configuration["project"], Engine(configuration["socket"]), log, limits)
    places = [(place["host"], place["port"]) for place in configuration["listen"]]
    servers = await gateway.listen(places)
    log.started([f"{host}:{port}" for host, port in places])
    await stop.wait()
    for server in servers:
        server.close()
