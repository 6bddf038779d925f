# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The Docker Engine behind its socket, asked over a connection for each question."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import h11

from docker_gateway.rules import LABEL

# Bytes: of an answer's status line and headers, of one part of its body, and of a container's description.
MAX_HEAD = 64 * 1024
PART = 64 * 1024
MAX_DESCRIPTION = 1024 * 1024

# Seconds for a connection, and for an answer to begin.
CONNECT_SECONDS = 5.0
HEAD_SECONDS = 30.0

# Containers that are looked up at the same time; each may be `MAX_DESCRIPTION` and several times that in memory.
_LOOKUPS = 4

# What the engine says, with status 500, where an id's beginning is that of several containers (moby, truncindex).
_AMBIGUOUS = b"multiple ids found"

# What Docker waits for a container to stop where neither the request nor the container says anything, in seconds.
_STOP_SECONDS = 10


class EngineError(Exception):
    """The engine does not answer, or not as it should."""


@dataclass(frozen=True)
class Container:
    """A container, as far as it matters who has it.

    Attributes:
        identity: its full id.
        name: without the leading slash.
        project: whose it is; empty when no platform's.
        stop_seconds: how long it may take to stop before it is killed.
    """

    identity: str
    name: str
    project: str
    stop_seconds: int


class Answer:
    """An answer of the engine whose body is still to come.

    Attributes:
        status: of HTTP.
        headers: names in lower case, with values.
    """

    def __init__(self, status: int, headers: list[tuple[str, str]], exchange: _Exchange) -> None:
        self.status = status
        self.headers = headers
        self._exchange = exchange

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the body; raises EngineError where it breaks off."""
        while not isinstance(event := await self._exchange.event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                yield bytes(event.data)

    async def whole(self, limit: int, patience: float) -> bytes:
        """Return the body; raises EngineError where it has more than ``limit`` bytes, takes longer or breaks off."""
        body = bytearray()
        try:
            async with asyncio.timeout(patience):
                async for part in self.parts():
                    body += part
                    if len(body) > limit:
                        raise EngineError(f"its answer has more than {limit} bytes")
        except TimeoutError as error:
            raise EngineError(f"its answer did not end in {patience:g} s") from error
        return bytes(body)


class _Exchange:
    """One request and its answer."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._reader = reader

    async def event(self) -> object:
        """Return the next event; raises EngineError."""
        try:
            while (event := self.connection.next_event()) is h11.NEED_DATA:
                self.connection.receive_data(await self._reader.read(PART))
        except (OSError, h11.RemoteProtocolError) as error:
            raise EngineError(f"its answer breaks off: {error}") from error
        if isinstance(event, h11.ConnectionClosed):
            raise EngineError("its answer breaks off")
        return event


class Engine:
    """An engine.

    Args:
        path: of its socket.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lookups = asyncio.Semaphore(_LOOKUPS)

    @asynccontextmanager
    async def ask(self, method: str, target: str, patience: float = HEAD_SECONDS) -> AsyncIterator[Answer]:
        """Send a request without a body, and have its answer; the connection ends with the block.

        Args:
            method: of HTTP.
            target: path and query.
            patience: seconds for the answer to begin.

        Raises:
            EngineError: the engine does not answer in time, or not with HTTP.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=PART)
        except (OSError, TimeoutError) as error:
            raise EngineError(f"{self._path}: {error or 'no connection in time'}") from error
        try:
            exchange = _Exchange(reader)
            yield await self._answer(exchange, writer, method, target, patience)
        finally:
            writer.transport.abort()

    async def _answer(
        self, exchange: _Exchange, writer: asyncio.StreamWriter, method: str, target: str, patience: float
    ) -> Answer:
        headers = [("Host", "docker"), ("User-Agent", "dockfra-docker-gateway"), ("Connection", "close")]
        if method == "POST":
            headers.append(("Content-Length", "0"))
        request = h11.Request(method=method, target=target, headers=headers)
        try:
            async with asyncio.timeout(patience):
                writer.write(exchange.connection.send(request) or b"")
                writer.write(exchange.connection.send(h11.EndOfMessage()) or b"")
                await writer.drain()
                while isinstance(event := await exchange.event(), h11.InformationalResponse):
                    if event.status_code == 101:
                        raise EngineError("it changes the protocol, and nobody has asked for that")
        except TimeoutError as error:
            raise EngineError(f"no answer in {patience:g} s") from error
        except OSError as error:
            raise EngineError(f"{self._path}: {error}") from error
        if not isinstance(event, h11.Response):
            raise EngineError("its answer has no status")
        names = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in event.headers]
        return Answer(event.status_code, names, exchange)

    async def find(self, reference: str) -> Container | None:
        """Return the container that the engine knows by a name, an id or the unambiguous beginning of one.

        Args:
            reference: letters, digits and ``_.-`` only.

        Raises:
            EngineError: it cannot be asked.
        """
        async with self._lookups, self.ask("GET", f"/containers/{reference}/json") as answer:
            body = await answer.whole(MAX_DESCRIPTION, HEAD_SECONDS)
        if answer.status in (400, 404) or (answer.status == 500 and _AMBIGUOUS in body.lower()):
            return None
        try:
            if answer.status != 200:
                raise ValueError(f"HTTP {answer.status}")
            details = json.loads(body)
            stop = details["Config"].get("StopTimeout")
            return Container(
                str(details["Id"]),
                str(details["Name"]).lstrip("/"),
                str((details["Config"].get("Labels") or {}).get(LABEL) or ""),
                _STOP_SECONDS if stop is None else int(stop),
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise EngineError(f"it does not say what a container is: {error}") from error
