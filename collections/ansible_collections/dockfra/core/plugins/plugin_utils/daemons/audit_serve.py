# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The tunnel's daemon that sends the audit logs of its Docker host to the tunnel of another one, as they grow.

It listens on the container's own loopback, where nothing gets to but the link, which leads there by a declared forward. Nobody who
calls a gate of this container, and no other key, gets an answer.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ...module_utils.audit import feed, mirror
from ...module_utils.audit.files import DIRECTORY, OTHERS
from ...module_utils.errors import AuditError
from .daemon import Daemon

# The port, and whose logs are sent.
CONFIGURATION = Path("/etc/dockfra/link/served_logs.json")

ADDRESS = "127.0.0.1"

# Seconds between two looks, those that one may take, and between two signs of life.
PERIOD = 0.5
STEP = 1.0
BEAT = 5.0

# Seconds in which the first line has to come, and after which one who takes nothing is given up.
PATIENCE = 30.0
SILENCE = 30.0

# Connections at a time: one who is sent the logs, the others are told so. Further ones are ended without a word.
MOST = 4

BUSY = "somebody is sent the logs already; one at a time is"

# What is sent to whoever has read so far; an empty line stands for that there is nothing for now.
Answer = Callable[[dict[str, mirror.Position]], Iterator[bytes]]


class Reader:
    """Somebody who has connected.

    Args:
        connection: with them.
        answer: makes what they are sent.
        served: whether they are sent the logs.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        connection: socket.socket,
        answer: Answer,
        *,
        served: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.served = served
        self._connection = connection
        self._connection.setblocking(False)
        self._answer = answer
        self._clock = clock
        self._begun = self._moved = clock()
        self._heard = b""
        self._lines: Iterator[bytes] | None = None
        self._unsent = memoryview(b"")

    def step(self, until: float) -> str:
        """Go on while there is something to send, until a time; returns why it is over, and nothing where it is not."""
        try:
            return self._hear() or self._send(until)
        except (OSError, ValueError) as error:
            return str(error)

    def close(self) -> None:
        self._connection.close()

    def _hear(self) -> str:
        try:
            data = self._connection.recv(feed.MOST_ASKED)
            if not data:
                return "the connection has ended"
        except BlockingIOError:
            data = b""
        if self._lines is None:
            self._heard += data
            line, end, _rest = self._heard.partition(b"\n")
            if len(line) > feed.MOST_ASKED:
                return "the first line is too long"
            if end:
                self._lines = self._answer(feed.positions(line))
            elif self._clock() - self._begun > PATIENCE:
                return f"the first line did not come within {PATIENCE:g} s"
        return ""

    def _send(self, until: float) -> str:
        while self._lines is not None and (left := until - self._clock()) > 0:
            if not self._unsent:
                self._moved = self._clock()
                line = next(self._lines, None)
                if line is None:
                    return "all is said"
                if not line:
                    break
                self._unsent = memoryview(line)
            if select.select([], [self._connection], [], left)[1]:
                self._unsent = self._unsent[self._connection.send(self._unsent) :]
                self._moved = self._clock()
        if self._unsent and self._clock() - self._moved > SILENCE:
            return f"nothing was taken for {SILENCE:g} s"
        return ""


class Server:
    """Sends logs to whoever connects.

    Args:
        port: of `ADDRESS`; 0 for one that is free.
        logs: the file that is written of each log.
        tell: gets what happens, for the log of the container.
        clock: seconds that only grow.

    Attributes:
        port: where it listens.
    """

    def __init__(
        self,
        port: int,
        logs: Mapping[str, Path],
        tell: Callable[..., None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.port = port
        self._logs = dict(logs)
        self._tell = tell
        self._clock = clock
        self._listener: socket.socket | None = None
        self._readers: list[Reader] = []

    def step(self) -> Iterator[str]:
        """Take those who come, and send what there is; yields why nobody can come."""
        try:
            self._accept()
        except OSError as error:
            yield f"nobody can ask for the audit logs at {ADDRESS}:{self.port}: {error.strerror}"
        until = self._clock() + STEP
        for reader in list(self._readers):
            if reason := reader.step(until):
                reader.close()
                self._readers.remove(reader)
                if reader.served:
                    self._tell("ended", reason=reason)

    def close(self) -> None:
        for reader in self._readers:
            reader.close()
        if self._listener is not None:
            self._listener.close()

    def _accept(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server((ADDRESS, self.port), backlog=MOST)
            self._listener.setblocking(False)
            self.port = int(self._listener.getsockname()[1])
        while True:
            try:
                connection, _address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            if len(self._readers) >= MOST:
                connection.close()
                continue
            served = not any(reader.served for reader in self._readers)
            answer = self._news if served else _refusal
            self._readers.append(Reader(connection, answer, served=served, clock=self._clock))
            if served:
                self._tell("begun")

    def _news(self, positions: dict[str, mirror.Position]) -> Iterator[bytes]:
        told: dict[str, str] = {}
        beat = self._clock() - BEAT
        while True:
            for log, path in self._logs.items():
                problem = ""
                try:
                    for part in mirror.beyond(str(path), positions.get(log, mirror.Position())):
                        yield feed.encoded(feed.News(log, part))
                        positions[log] = mirror.after(part)
                except AuditError as error:
                    problem = str(error)
                # Also of a log without a line yet: it is there.
                if problem != told.get(log):
                    told[log] = problem
                    yield feed.encoded(feed.News(log, problem=problem))
            if self._clock() - beat >= BEAT:
                beat = self._clock()
                yield feed.encoded(feed.News())
            yield b""


def _refusal(_positions: dict[str, mirror.Position]) -> Iterator[bytes]:
    yield feed.encoded(feed.News(problem=BUSY))


def place(log: str) -> Path:
    """Return the file that is written of a service's log, as this container has it: its own, or that of another."""
    folder = Path(OTHERS, log)
    return (folder if folder.is_dir() else Path(DIRECTORY)) / f"{log}.jsonl"


def main() -> int:
    daemon = Daemon("audit-serve")
    said = json.loads(CONFIGURATION.read_bytes())
    server = Server(said["port"], {log: place(log) for log in said["logs"]}, daemon.log)
    try:
        return daemon.serve(server.step, PERIOD)
    finally:
        server.close()
