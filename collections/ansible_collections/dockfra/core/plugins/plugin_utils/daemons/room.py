# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The room that what a container may write takes on the disk, which all containers share.

A directory that comes near its limit is told; at the limit everything in the container is ended and nobody gets in
until there is room again: the operator removes files with ``docker exec``. What cannot be looked into is told as well, as
more than the limit may be there.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from ...module_utils.files.usage import Usage
from ...module_utils.text import shown
from .daemon import Daemon
from .limits import Limits

# Part of the limit from which on it is told.
WARNING = 0.8

# Steps of the daemon after which a directory is walked though nothing seems to have changed.
ROUNDS = 300

# Seconds of each step that are spent walking.
SLICE = 0.2

_SUPERVISOR = "/usr/bin/s6-supervise"


class Room:
    """Watches directories.

    Args:
        daemon: whose step it is.
        limits: where it is told.
        who: whose container this is.
    """

    def __init__(self, daemon: Daemon, limits: Limits, who: str) -> None:
        self._daemon = daemon
        self._limits = limits
        self._who = who
        self._closed = daemon.run / "closed"
        self._usages: dict[str, Usage] = {}
        self._rounds = 0
        self._ended = False

    def step(self, directories: Mapping[str, int]) -> Iterator[str]:
        """Look once; yields what is wrong.

        Args:
            directories: limit in bytes by path; those that cannot be written from here are left out.
        """
        self._rounds += 1
        watched = {path: limit for path, limit in directories.items() if _may_be_written(path)}
        full = [problem for path, limit in watched.items() if (problem := self._look(path, limit))]
        if full and not self._ended:
            self._daemon.log("closed", problem=full[0])
            self._closed.touch()
            # Once: who is let in after that is the operator, with docker exec.
            end_all(os.getpid())
            self._ended = True
        elif not full and self._closed.exists():
            self._ended = False
            self._closed.unlink()
            self._daemon.log("opened")
        yield from full
        for path in watched:
            if unseen := self._usages[path].unseen:
                yield self._hidden(path, unseen)

    def _hidden(self, path: str, unseen: str) -> str:
        """Tell of what cannot be looked into."""
        self._limits.reached(self._who, f"room in {path}: not all of it can be looked into", "warned")
        return (
            f"what is in {shown(unseen)} cannot be seen, so the room in {path} is not known: "
            "make it readable for its owner, or remove it with docker exec"
        )

    def _look(self, path: str, limit: int) -> str:
        usage = self._usages.setdefault(path, Usage(path))
        # Whoever has filled the disk by a twentieth of what is still allowed may be here.
        due = (
            usage.grown() > max(limit - usage.bytes, 0) / 20
            or self._rounds % ROUNDS == 0
            or self._closed.exists()
            or bool(usage.unseen)
        )
        if usage.walking or due:
            usage.step(SLICE)
        if usage.bytes >= limit:
            self._limits.reached(self._who, f"room in {path}")
            return f"{path} takes {usage.bytes >> 20} MiB of {limit >> 20}: remove files with docker exec, then it opens"
        if usage.bytes >= limit * WARNING:
            self._limits.reached(
                self._who, f"room in {path}: {usage.bytes >> 20} of {limit >> 20} MiB", "warned"
            )
        return ""


def _may_be_written(path: str) -> bool:
    """Whether who is watched may write there; its owner may, whatever the mode says now."""
    try:
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            return False
        return os.access(path, os.W_OK) or os.stat(path).st_uid == os.geteuid()
    except FileNotFoundError:
        return False


def end_all(me: int) -> None:
    """End every process of this container but this one and its supervisors. None can bring forth another meanwhile."""
    kept = _supervisors(me)
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGSTOP)  # all but this one and the container's first
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) not in kept:
            with suppress(OSError):
                os.kill(int(entry.name), signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGCONT)


def _supervisors(me: int) -> set[int]:
    """A process with its ancestors, and the other supervisors beside the nearest one."""
    kept = [me]
    while kept[-1] > 1:
        kept.append(_parent(kept[-1]))
    found = set(kept)
    if len(kept) > 2:
        scanner = kept[2]
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with suppress(OSError, IndexError, ValueError):
                    if _parent(int(entry.name)) == scanner and os.readlink(entry / "exe") == _SUPERVISOR:
                        found.add(int(entry.name))
    return found


def _parent(pid: int) -> int:
    # The name in parentheses may hold anything.
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
