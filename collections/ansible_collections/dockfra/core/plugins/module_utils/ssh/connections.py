# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Who has which connections to an SSH server, and which of them are too many.

What sshd says is read line by line (`LogVerbose` makes it name its process). A connection is one process; it is half-open
until its key was admitted, and gone when its process is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

_TAGGED = re.compile(
    r"(?:debug\d: )?[\w.-]+\.c:\w+\(\):\d+ \(bin=[\w-]+, pid=(?P<pid>\d+)\): (?P<text>.*)", re.DOTALL
)
_OPENED = re.compile(r"Connection from (?P<address>\S+) port \d+ on ")
_ADMITTED = re.compile(
    r"Accepted publickey for \S+ from (?P<address>\S+) port \d+ ssh2: \S+ (?P<key>SHA256:\S+)"
)

# What is said of every connection and helps nobody in the log.
_CHATTER = re.compile(r"network sockets: |Postponed publickey for |Connection from ")

# Connections that are known at the same time: more than sshd and the container's limit of processes let be.
MAX_KNOWN = 1000


class Said(NamedTuple):
    """One line of sshd: its text without the tag, the process that said it (0 unknown), whether it is worth keeping."""

    text: str
    pid: int = 0
    worth: bool = True


@dataclass
class Connection:
    """One connection.

    Attributes:
        pid: its process.
        address: where it comes from.
        since: when it was opened, in seconds of the caller's clock.
        key: fingerprint of the key that was admitted; empty while it is half-open.
    """

    pid: int
    address: str
    since: float
    key: str = ""


class TooMany(NamedTuple):
    """A connection that is to be ended, and what it is too much of."""

    connection: Connection
    limit: str


def parse(line: str) -> Said:
    """Return what a line of sshd says."""
    found = _TAGGED.fullmatch(line)
    if found is None:
        return Said(line)
    return Said(found["text"], int(found["pid"]), _CHATTER.match(found["text"]) is None)


class Connections:
    """The connections there are.

    Args:
        lives: tells whether a process is still one of sshd's.
    """

    def __init__(self, lives: Callable[[int], bool]) -> None:
        self._lives = lives
        self._known: dict[int, Connection] = {}

    def said(self, said: Said, now: float) -> None:
        """Take note of what sshd said."""
        opened, admitted = _OPENED.match(said.text), _ADMITTED.match(said.text)
        if not said.pid or (opened is None and admitted is None):
            return
        if opened is not None and len(self._known) < MAX_KNOWN:
            self._known[said.pid] = Connection(said.pid, opened["address"], now)
        if admitted is not None:
            known = self._known.setdefault(said.pid, Connection(said.pid, admitted["address"], now))
            known.key = admitted["key"]

    def forget_ended(self) -> None:
        """Leave out those whose process has ended."""
        self._known = {pid: found for pid, found in self._known.items() if self._lives(pid)}

    def forget(self, pid: int) -> None:
        """Leave out one whose process was ended."""
        self._known.pop(pid, None)

    def half_open(self) -> list[Connection]:
        """Those that have not been admitted yet, the oldest first."""
        return [found for found in self._known.values() if not found.key]

    def by_key(self) -> dict[str, list[Connection]]:
        """Those that have been admitted, by key, the oldest first."""
        found: dict[str, list[Connection]] = {}
        for connection in self._known.values():
            if connection.key:
                found.setdefault(connection.key, []).append(connection)
        return found

    def too_many(self, now: float, per_key: int, half_open: int, patience: float) -> list[TooMany]:
        """Return those that have to end.

        Args:
            now: of the caller's clock.
            per_key: connections that one key may have; the newest have to end.
            half_open: how many may be half-open for as long as sshd lets them. While there are more, the oldest have to end
                that have been so for longer than ``patience`` seconds: who has a key shows it within a moment.
            patience: seconds.
        """
        found = [
            TooMany(connection, "connections")
            for connections in self.by_key().values()
            for connection in connections[per_key:]
        ]
        waiting = self.half_open()
        late = [connection for connection in waiting if now - connection.since > patience]
        found += [
            TooMany(connection, "half-open connections")
            for connection in late[: max(0, len(waiting) - half_open)]
        ]
        return found

    def dump(self) -> list[dict[str, Any]]:
        """Return all as data, for a process that goes on after this one."""
        return [asdict(found) for found in self._known.values()]

    def load(self, data: Iterable[Mapping[str, Any]]) -> None:
        """Take over what `dump` gave; raises KeyError, TypeError and ValueError for anything else."""
        for entry in data:
            found = Connection(
                int(entry["pid"]), str(entry["address"]), float(entry["since"]), str(entry["key"])
            )
            self._known[found.pid] = found
