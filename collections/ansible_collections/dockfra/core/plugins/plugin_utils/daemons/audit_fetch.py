# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The tunnel's daemon that keeps mirrors of the audit logs of other Docker hosts, which come over the link as they grow.

What is here of a log is what was read of it there; see `module_utils.audit.mirror`. It is the tunnel's work because nobody has a shell
there: a role writes no log but its own. Those who read logs have the mirrors read-only, and from there on they are logs like any other.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ...module_utils.audit import feed
from ...module_utils.audit.files import ELSEWHERE
from ...module_utils.audit.mirror import PART, Mirror, Position
from ...module_utils.errors import AuditError
from .daemon import Daemon

# For each other tunnel the port at which the link leads to it, and the logs that it has.
CONFIGURATION = Path("/etc/dockfra/link/collected_logs.json")

ADDRESS = "127.0.0.1"

# Seconds between two looks, and those that one may take.
PERIOD = 0.5
STEP = 1.0

# Seconds that connecting may take: the other end is ssh on the same machine.
_CONNECT = 1.0

# Seconds before a stream that has ended is begun anew, without a word after which it is given up, and without any after which that is
# a problem of this container: a link that is down has told by then.
AGAIN = 5.0
SILENCE = 30.0
GRACE = 60.0


class Stream:
    """The logs of one tunnel.

    Args:
        tunnel: whose they are.
        port: where the link leads to it.
        logs: whose logs it has; what it sends of others is not taken.
        folder: of the mirrors, one for each log.
        tell: gets what happens, for the log of the container.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        tunnel: str,
        port: int,
        logs: list[str],
        folder: Path,
        tell: Callable[..., None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tunnel = tunnel
        self._port = port
        self._mirrors = {log: Mirror(os.fspath(folder / log)) for log in sorted(logs)}
        self._positions: dict[str, Position] = {}
        self._tell = tell
        self._clock = clock
        self._connection: socket.socket | None = None
        self._rest = b""
        self._heard = self._understood = self._next = clock()
        self._problems: dict[str, str] = {}
        self._reason = self._told = ""

    def step(self) -> Iterator[str]:
        """Take what has come; yields what is wrong with a log, and that nothing comes for long."""
        try:
            self._look()
        except OSError as error:
            self._over(error.strerror or str(error))
        except (AuditError, ValueError) as error:
            self._over(str(error))
        yield from (problem for problem in self._problems.values() if problem)
        if self._clock() - self._understood > GRACE:
            yield f"the audit logs of {self._tunnel} do not come: {self._reason or 'it says nothing'}"

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _look(self) -> None:
        if self._connection is None:
            if self._clock() >= self._next:
                self._begin()
            return
        until = self._clock() + STEP
        while self._clock() < until:
            try:
                data = self._connection.recv(PART)
            except BlockingIOError:
                break
            if not data:
                raise ValueError("the stream has ended")
            self._heard = self._clock()
            self._take_all(data)
        if self._clock() - self._heard > SILENCE:
            raise ValueError(f"nothing came for {SILENCE:g} s")

    def _begin(self) -> None:
        self._next = self._clock() + AGAIN
        for log, mirror in self._mirrors.items():
            self._positions[log] = self._kept(log, mirror.position)
        self._rest, self._heard = b"", self._clock()
        self._connection = socket.create_connection((ADDRESS, self._port), _CONNECT)
        self._connection.sendall(feed.asked(self._positions))
        self._connection.setblocking(False)

    def _take_all(self, data: bytes) -> None:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if any(len(line) > feed.MOST_LINE for line in (*lines, self._rest)):
            raise ValueError("its line is too long to be a part of a log")
        for line in lines:
            self._take(feed.decoded(line))

    def _take(self, news: feed.News) -> None:
        if not news.log and news.problem:
            raise ValueError(f"{self._tunnel} says: {news.problem}")
        mirror = self._mirrors.get(news.log)
        if mirror is not None and news.part is not None:
            part, position = news.part, self._positions[news.log]
            self._positions[news.log] = self._kept(news.log, lambda: mirror.add(part, position))
            self._told = ""
        elif mirror is not None:
            self._said(news.log, mirror, news.problem)
        self._understood = self._clock()

    def _said(self, log: str, mirror: Mirror, problem: str) -> None:
        """What the tunnel says of a log. One that was not there yet has no position, and its service may just not have started."""
        if not problem:
            self._kept(log, mirror.begin)
        again = bool(self._problems.get(log))
        self._problems[log] = (
            f"{self._tunnel} says: {problem}" if problem and self._positions[log].generation else ""
        )
        if problem or again:
            self._tell("log", log=log, problem=problem)

    def _kept(self, log: str, work: Callable[[], Position | None]) -> Position:
        """Do something with a mirror; what hinders it is a problem until it is done."""
        try:
            position = work() or Position()
        except AuditError as error:
            self._problems[log] = str(error)
            raise
        return position

    def _over(self, reason: str) -> None:
        self.close()
        self._next = self._clock() + AGAIN
        self._reason = reason
        if reason != self._told:
            self._told = reason
            self._tell("ended", tunnel=self._tunnel, problem=reason[:200])


def main() -> int:
    daemon = Daemon("audit-fetch")
    tunnels = json.loads(CONFIGURATION.read_bytes())
    streams = [
        Stream(tunnel, said["port"], said["logs"], Path(ELSEWHERE), daemon.log)
        for tunnel, said in tunnels.items()
    ]
    try:
        return daemon.serve(lambda: [problem for stream in streams for problem in stream.step()], PERIOD)
    finally:
        for stream in streams:
            stream.close()
