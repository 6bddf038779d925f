# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How much room a directory takes, found out in small steps, for processes that have other things to do meanwhile."""

from __future__ import annotations

import itertools
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress

# Bytes that an entry takes at least: the smallest file has an inode and a place in its directory, and those run out too.
_ENTRY = 4096

# Open files that are looked at for what has no name any more.
_MOST_OPEN = 50_000


class Usage:
    """The room that a directory takes on the disk, links not followed, other file systems left out.

    What has been removed and is still held open by a process that can be seen from here counts as well.

    Args:
        path: the directory.

    Attributes:
        bytes: what the last complete walk has found.
        unseen: a place that the last complete walk could not look into, or an empty string: more may be there.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.bytes = 0
        self.unseen = ""
        self._sum = 0
        self._hidden = ""
        self._device = 0
        self._rest: list[str] = []
        self._free = -1

    @property
    def walking(self) -> bool:
        """Whether a walk is under way."""
        return bool(self._rest)

    def grown(self) -> int:
        """Bytes by which the file system has filled since the last walk began: more than the directory has grown."""
        found = os.statvfs(self.path)
        free = found.f_bfree * found.f_frsize
        return self._free - free if self._free >= 0 else free + 1

    def step(self, seconds: float) -> bool:
        """Walk on for a while; returns whether the walk has ended with that."""
        if not self._rest:
            found = os.statvfs(self.path)
            self._free = found.f_bfree * found.f_frsize
            top = os.stat(self.path)
            self._device = top.st_dev
            self._sum, self._hidden, self._rest = _room(top), "", [self.path]
        deadline = time.monotonic() + seconds
        while self._rest:
            self._directory(self._rest.pop())
            # What was found so far is never too much.
            self.bytes = max(self.bytes, self._sum)
            if time.monotonic() > deadline:
                break
        if not self._rest:
            self.bytes = self._sum + self._nameless()
            self.unseen = self._hidden
        return not self._rest

    def _directory(self, path: str) -> None:
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    self._entry(entry)
        except FileNotFoundError:
            pass  # it has gone meanwhile
        except OSError:
            self._hidden = self._hidden or path

    def _entry(self, entry: os.DirEntry[str]) -> None:
        try:
            state = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return
        except OSError:
            self._hidden = self._hidden or entry.path
            return
        self._sum += _room(state)
        if stat.S_ISDIR(state.st_mode) and state.st_dev == self._device:
            self._rest.append(entry.path)

    def _nameless(self) -> int:
        """The room of files that have been removed and are open."""
        found: dict[int, int] = {}
        count = 0
        for state in itertools.islice(_open_files(), _MOST_OPEN):
            count += 1
            if stat.S_ISREG(state.st_mode) and state.st_nlink == 0 and state.st_dev == self._device:
                found[state.st_ino] = _room(state)
        if count == _MOST_OPEN:
            self._hidden = self._hidden or "/proc"
        return sum(found.values())


def _room(state: os.stat_result) -> int:
    """The room of one entry; a file with several names takes its room once."""
    taken = max(state.st_blocks * 512, _ENTRY)
    return taken if stat.S_ISDIR(state.st_mode) else taken // max(1, state.st_nlink)


def _open_files() -> Iterator[os.stat_result]:
    """What the processes that can be seen from here have open."""
    for process in os.listdir("/proc"):
        if process.isdecimal():
            # It may have ended, or be of another user.
            with suppress(OSError), os.scandir(f"/proc/{process}/fd") as opened:
                for entry in opened:
                    with suppress(OSError):
                        yield entry.stat()
