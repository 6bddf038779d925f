# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The monitor's daemon that collects the audit logs of other Docker hosts, from the gates of their tunnels, as they grow.

What is here of a log is what was read of it there; see `module_utils.audit.mirror`. From there on a log is one like any other: the
monitor copies and verifies it, the manager reads it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...module_utils.audit.files import ELSEWHERE
from ...module_utils.audit.mirror import MOST, Mirror, Part, Position
from ...module_utils.errors import AuditError
from ..cli import events
from .client import Client
from .daemon import Daemon

# For each tunnel the logs that it has.
CONFIGURATION = Path("/etc/dockfra/gate/elsewhere.json")

# Seconds between two looks.
PERIOD = 0.5

# Seconds before a stream that has ended is begun anew, and without a word after which it is given up.
AGAIN = 5.0
SILENCE = 30.0

# The longest line of a stream: a part of a log whose every byte takes six.
_MOST_LINE = MOST


class Stream:
    """The logs of one tunnel.

    Args:
        tunnel: whom to ask.
        logs: whose logs it has; what it sends of others is not taken.
        folder: of the mirrors, one for each log.
        tell: gets what happens, for the log.
        command: asks the gate; the tunnel's name follows.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        tunnel: str,
        logs: Collection[str],
        folder: Path,
        tell: Callable[..., None],
        command: Sequence[str] = ("ssh", "-T", "-o", "BatchMode=yes", "--"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tunnel = tunnel
        self._mirrors = {log: Mirror(os.fspath(folder / log)) for log in sorted(logs)}
        self._positions: dict[str, Position] = {}
        self._tell = tell
        self._command = [*command, tunnel, "audit-stream --json"]
        self._clock = clock
        self._client: Client | None = None
        self._rest = b""
        self._heard = self._next = clock()
        self._problems: dict[str, str] = {}
        self._told = ""

    def step(self) -> Iterator[str]:
        """Take what has come; yields what is wrong with a log. That nothing comes is the link's affair."""
        try:
            self._look()
        except (AuditError, OSError, ValueError) as error:
            self._over(str(error))
        yield from (problem for problem in self._problems.values() if problem)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _look(self) -> None:
        if self._client is None:
            if self._clock() >= self._next:
                self._begin()
            return
        ended = self._client.ended()
        while data := self._client.read():
            self._heard = self._clock()
            lines = (self._rest + data).split(b"\n")
            self._rest = lines.pop()
            if len(self._rest) > _MOST_LINE:
                raise ValueError("its line is too long to be a part of a log")
            for line in lines:
                self._take(line)
        if ended:
            self._over(self._client.reason() or "the stream has ended")
        elif self._clock() - self._heard > SILENCE:
            self._over(f"nothing came for {SILENCE:g} s")

    def _begin(self) -> None:
        self._positions = {log: mirror.position() for log, mirror in self._mirrors.items()}
        known = {log: list(position) for log, position in self._positions.items() if position.generation}
        self._rest, self._heard = b"", self._clock()
        self._problems = {}  # what is wrong still is told anew
        self._client = Client(self._command, json.dumps(known).encode() + b"\n")

    def _take(self, line: bytes) -> None:
        event = events.checked(json.loads(line))
        log = event.get("log")
        if log not in self._mirrors:
            return
        if event["event"] == events.OUTPUT:
            part = Part(int(event["generation"]), int(event["offset"]), event["text"].encode("latin-1"))
            self._positions[log] = self._mirrors[log].add(part, self._positions[log])
            self._problems[log] = self._told = ""
        else:
            self._said(log, event)

    def _said(self, log: str, event: Mapping[str, Any]) -> None:
        """What the tunnel says of a log. One that was not there yet has no position, and its service may just not have started."""
        problem = str(event.get("problem") or "")[:200]
        if not problem:
            self._mirrors[log].begin()
        again = bool(self._problems.get(log))
        self._problems[log] = (
            f"{self._tunnel} says: {problem}" if problem and self._positions[log].generation else ""
        )
        if problem or again:
            self._tell("log", log=log, problem=problem)

    def _over(self, reason: str) -> None:
        self.close()
        self._next = self._clock() + AGAIN
        if reason != self._told:
            self._told = reason
            self._tell("ended", tunnel=self._tunnel, problem=reason[:200])


def main() -> int:
    daemon = Daemon("audit-fetch")
    tunnels = json.loads(CONFIGURATION.read_bytes())["collects"]
    streams = [Stream(tunnel, logs, Path(ELSEWHERE), daemon.log) for tunnel, logs in tunnels.items()]
    try:
        return daemon.serve(
            lambda: [problem for stream in streams for problem in stream.step()], PERIOD, children=True
        )
    finally:
        for stream in streams:
            stream.close()
