# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A lock that belongs to a process and is free as soon as that process has ended (Linux).

The holder is written down with its pid and start time, so a pid that was given to another process later does not count.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from ..errors import RunLockedError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
LOCK_DIRECTORY = Path("/run/lock")
_START_TIME = 19  # field "starttime" of /proc/<pid>/stat, counted behind the command name; see proc(5)


@dataclass(frozen=True)
class Holder:
    """Who runs: a process, since when, and what it does."""

    pid: int
    started: str
    user: str
    since: str
    what: str

    @property
    def alive(self) -> bool:
        return bool(self.started) and process_start(self.pid) == self.started

    def __str__(self) -> str:
        return f"{self.user} since {self.since} (pid {self.pid}: {self.what})"


def process_start(pid: int) -> str:
    """Return when a process started, in clock ticks since boot, or an empty string when there is none."""
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[_START_TIME]


def acquire(
    name: str,
    holder: Holder,
    wait: float,
    waiting: Callable[[Holder], None],
    directory: Path = LOCK_DIRECTORY,
    interval: float = 0.5,
) -> float:
    """Take the lock for ``holder`` and return the seconds waited.

    Args:
        name: what is locked.
        holder: the process for which the lock is taken.
        wait: seconds to wait for another holder.
        waiting: called once with the other holder when there is one.
        directory: where lock files live; writable for all users, like /tmp.
        interval: seconds between looks.

    Raises:
        RunLockedError: the other holder did not end in time, or the lock file cannot be written.
    """
    if os.sep in name or "\0" in name:
        raise RunLockedError(
            f"'{name}' cannot be locked: a platform's name has no '/'. Correct dockfra_project."
        )
    if not _NAME.fullmatch(name):
        raise RunLockedError(f"'{name}' cannot name a lock; use letters, digits, '-', '_' and '.'.")
    started = time.monotonic()
    told = False
    while True:
        other = _try(directory / f"dockfra-{name}.lock", holder)
        waited = time.monotonic() - started
        if other is None:
            return waited
        if waited >= wait:
            raise RunLockedError(
                f"Another run works on the platform '{name}': {other}. Waited {waited:.0f} s; "
                "try again when it has ended, or stop it."
            )
        if not told:
            waiting(other)
            told = True
        time.sleep(interval)


def _try(path: Path, holder: Holder) -> Holder | None:
    """Take the lock, or return the living process that has it."""
    try:
        with _opened(path) as stream:
            other = _read(stream)
            if other and other.alive and other.pid != holder.pid:
                return other
            stream.seek(0)
            stream.truncate()
            json.dump(asdict(holder), stream)
            stream.flush()
    except OSError as error:
        raise RunLockedError(
            f"The lock file {path} cannot be used: {error.strerror}. Check its owner."
        ) from error
    return None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """Open the lock file under an exclusive flock; a planted symbolic link is refused."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        # Without O_CREAT: with fs.protected_regular the kernel refuses it for another user's file, to root as well.
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT, 0o666)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as stream:
        if os.fstat(descriptor).st_uid == os.geteuid():
            # Another user's run must be able to take a lock that nobody holds any more.
            os.fchmod(
                descriptor,
                stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH,
            )
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield stream


def _read(stream: IO[str]) -> Holder | None:
    try:
        return Holder(**json.load(stream))
    except (ValueError, TypeError):
        return None  # empty or damaged: nobody holds it
