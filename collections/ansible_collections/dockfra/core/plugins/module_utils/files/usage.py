# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How much room a directory takes, found out in small steps, for processes that have other things to do meanwhile."""

from __future__ import annotations

import os
import time
from contextlib import suppress


class Usage:
    """The room that a directory takes on the disk, links not followed, other file systems left out.

    Args:
        path: the directory.

    Attributes:
        bytes: what the last complete walk has found.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.bytes = 0
        self._sum = 0
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
            self._device = os.stat(self.path).st_dev
            self._sum, self._rest = 0, [self.path]
        deadline = time.monotonic() + seconds
        while self._rest:
            self._directory(self._rest.pop())
            # What was found so far is never too much.
            self.bytes = max(self.bytes, self._sum)
            if time.monotonic() > deadline:
                break
        if not self._rest:
            self.bytes = self._sum
        return not self._rest

    def _directory(self, path: str) -> None:
        with suppress(OSError), os.scandir(path) as entries:
            for entry in entries:
                with suppress(OSError):
                    state = entry.stat(follow_symlinks=False)
                    # A file with several names takes its room once.
                    self._sum += (
                        state.st_blocks
                        * 512
                        // max(1, state.st_nlink if not entry.is_dir(follow_symlinks=False) else 1)
                    )
                    if entry.is_dir(follow_symlinks=False) and state.st_dev == self._device:
                        self._rest.append(entry.path)
