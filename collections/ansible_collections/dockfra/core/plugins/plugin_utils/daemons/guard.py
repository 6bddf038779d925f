# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The guard of a container: reads what sshd says, and ends what is too much.

Its input is the pipe that sshd writes its log to; the supervisor keeps it open whichever of the two is started anew. Each line
goes on to the container's log. Connections without a call, half-open ones and the room on the disk have limits
here, because one role's would otherwise be everybody's. Settings of the role that cannot be used are told from here, too.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...module_utils.ssh import keys
from ...module_utils.ssh.connections import Connections, TooMany, parse
from .daemon import Daemon, Watched, load, save
from .limits import Limits
from .own_settings import OwnSettings
from .room import Room

CONFIGURATION = Path("/etc/dockfra/ssh/guard.json")
AUTHORIZED_KEYS = Path("/etc/dockfra/ssh/authorized_keys")

# Seconds between two looks.
PERIOD = 0.5

# Bytes of a line of sshd that are kept.
MAX_LINE = 4096

# The health check hangs up after the banner, which sshd logs each time.
_HUNG_UP = re.compile(r"Connection (?:closed|reset) by (\S+) port \d+$")

_SESSIONS = ("sshd-session", "sshd")


@dataclass(frozen=True)
class Settings:
    """What the role ``dockfra.core.sshd`` has written down.

    Attributes:
        per_key: connections that one key may have.
        half_open: connections that may be half-open without being hurried.
        patience: seconds that those above have.
        room: bytes that a directory may take, by path.
    """

    per_key: int
    half_open: int
    patience: float
    room: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: bytes) -> Settings:
        """Raises ValueError."""
        try:
            data = json.loads(text)
            room = {str(path): int(limit) for path, limit in data["room"].items()}
            return cls(int(data["per_key"]), int(data["half_open"]), float(data["patience"]), room)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{CONFIGURATION} is not what the role writes: {error}") from error


class Guard:
    """Guards a container.

    Args:
        daemon: whose step it is.
        limits: where limits that were reached are told.
        source: file descriptor of what sshd says.
        configuration, authorized_keys: files of the container's configuration.
    """

    def __init__(
        self,
        daemon: Daemon,
        limits: Limits,
        source: int,
        configuration: Path = CONFIGURATION,
        authorized_keys: Path = AUTHORIZED_KEYS,
    ) -> None:
        self._daemon = daemon
        self._limits = limits
        self._source = source
        self._settings = Watched(configuration, Settings.parse)
        self._names = Watched(
            authorized_keys, lambda text: keys.names(text.decode(errors="replace").splitlines())
        )
        self._connections = Connections(_is_session)
        self._state = daemon.run / "connections.json"
        self._half = b""
        self._own = _own_addresses()
        who = pwd.getpwuid(os.getuid()).pw_name
        self._room = Room(daemon, limits, who)
        self._own_settings = OwnSettings(limits, who)
        with suppress(KeyError, TypeError, ValueError):
            self._connections.load(load(self._state) or [])

    def step(self) -> Iterator[str]:
        """Read, look, and end what is too much; yields what is wrong."""
        before = self._connections.dump()
        self._read()
        self._connections.forget_ended()
        settings = self._settings.get()
        for found in self._connections.too_many(
            time.monotonic(), settings.per_key, settings.half_open, settings.patience
        ):
            with suppress(ProcessLookupError):
                os.kill(found.connection.pid, signal.SIGKILL)
            self._connections.forget(found.connection.pid)
            self._limits.reached(self._who(found), found.limit)
        if self._connections.dump() != before:
            save(self._state, self._connections.dump())
        problems = list(self._room.step(settings.room))
        self._own_settings.step()
        self._limits.tell()
        yield from problems

    def _who(self, found: TooMany) -> str:
        connection = found.connection
        if connection.key:
            return self._names.get().get(connection.key, connection.key)
        with suppress(OSError):
            return socket.gethostbyaddr(connection.address)[0].partition(".")[0]
        return connection.address

    def _read(self) -> None:
        """Take what sshd has said, without waiting for more."""
        while select.select([self._source], [], [], 0)[0]:
            part = os.read(self._source, 65536)
            if not part:  # nobody is left who could say anything
                self._daemon.stop()
                return
            *lines, self._half = (self._half + part).split(b"\n")
            self._half = self._half[:MAX_LINE]
            for line in lines:
                self._line(line[:MAX_LINE].decode(errors="replace").rstrip("\r"))

    def _line(self, line: str) -> None:
        said = parse(line)
        self._connections.said(said, time.monotonic())
        hung_up = _HUNG_UP.match(said.text)
        if said.worth and said.text and not (hung_up and hung_up[1] in self._own):
            fields: dict[str, Any] = {"pid": said.pid} if said.pid else {}
            self._daemon.log("sshd", **fields, message=said.text)


def _is_session(pid: int) -> bool:
    """Whether a process is there and belongs to sshd; a number may have been given to another since."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip() in _SESSIONS
    return False


def _own_addresses() -> set[str]:
    found = {"127.0.0.1"}
    with suppress(OSError):
        for line in Path("/etc/hosts").read_text().splitlines():
            words = line.split()
            if socket.gethostname() in words[1:]:
                found.add(words[0])
    return found


def main() -> int:
    daemon = Daemon("guard")
    return daemon.serve(
        Guard(daemon, Limits.here(daemon), sys.stdin.fileno()).step, PERIOD, sys.stdin.fileno()
    )
