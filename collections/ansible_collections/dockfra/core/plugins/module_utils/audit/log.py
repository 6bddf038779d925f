# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Writes an audit log: one JSON line for each thing that happened, each with the hash of the line before it.

A line that was changed, taken out or put in later breaks the chain at that point (see `chain`). What is missing at the
end, or was written anew from some point on, can only be seen by comparing with an earlier head or a copy (see `copies`).

The file is readable by all (mode 0644): other services read it over a read-only mount. Writers take turns with a lock
beside it that only they can open, because whoever may open a file may also hold its lock.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from ..errors import AuditError, LockBusyError
from ..files import atomic
from ..locks import file_lock
from . import rotation
from .files import last_line
from .lines import START, digest, encode
from .rotation import MODE

# Seconds a writer waits for others.
LOCK_TIMEOUT = 10.0

# Bytes the disk must have left before anything is done that would leave a trace, for several writers at once.
ROOM = 1024 * 1024

_LOCK_MODE = 0o600


class AuditLog:
    """Appends to a log. Any number of processes may use one at the same time.

    Args:
        path: the file; it is made when its directory allows.
        now: the clock.
        limit: bytes after which the file is full and the next one begins.
        keep: full files that are kept.

    Attributes:
        path: the file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
        limit: int = rotation.LIMIT,
        keep: int = rotation.KEEP,
    ) -> None:
        self.path = os.fspath(path)
        folder, name = os.path.split(self.path)
        self._lock_path = os.path.join(folder, f".{name}.lock")
        self._now = now
        self._limit = limit
        self._keep = keep

    def check(self) -> None:
        """Raise AuditError when nothing could be written now, so that nothing is done that would leave no trace."""
        with self._explained(), self._opened() as file:
            os.close(self._open(self._lock_path, os.O_RDWR, _LOCK_MODE))
            if rotation.reserved(file.fileno()) >= ROOM:
                return
            room = os.fstatvfs(file.fileno())
            if room.f_bavail * room.f_frsize < ROOM:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one line, on the disk when this returns; ``time`` and ``previous`` are added.

        Raises:
            AuditError: it could not be written; the log is as before.
        """
        with self._explained(), self._locked():
            # What cannot be rotated grows on: better a long log than none.
            with contextlib.suppress(OSError):
                rotation.rotate(self.path, self._limit, self._keep, self._now())
            with self._opened() as file:
                self._write(file, entry)

    def _write(self, file: BinaryIO, entry: Mapping[str, Any]) -> None:
        end = file.seek(0, os.SEEK_END)
        last = last_line(file, end)
        # A writer that was killed left half a line: it is ended, and counts as a line with a hash of its own.
        gap = b"" if end == 0 or last.endswith(b"\n") else b"\n"
        line = encode(entry, self._now(), digest(last.removesuffix(b"\n")) if last else START)
        if end == 0:
            rotation.reserve(file.fileno(), self._limit)
        try:
            atomic.write_all(file.fileno(), gap + line + b"\n")
            os.fdatasync(file.fileno())
        except OSError:
            os.ftruncate(file.fileno(), end)
            raise

    def _opened(self) -> BinaryIO:
        descriptor = self._open(self.path, os.O_RDWR | os.O_APPEND, MODE)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "it is no file")
            # Whatever the umask was when it was made.
            if stat.S_IMODE(found.st_mode) != MODE and found.st_uid == os.geteuid():
                os.fchmod(descriptor, MODE)
            return os.fdopen(descriptor, "r+b", buffering=0)
        except OSError:
            os.close(descriptor)
            raise

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with file_lock.held(self._lock_path, LOCK_TIMEOUT, _LOCK_MODE):
                yield
        except LockBusyError as error:
            raise OSError(errno.EAGAIN, f"another process has held it for {LOCK_TIMEOUT:.0f} s") from error

    def _open(self, path: str, flags: int, mode: int) -> int:
        # Not waiting, in case somebody has put a pipe in its place.
        return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, mode)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AuditError(
                f"The audit log {self.path} cannot be written: {error.strerror}. Nothing is done without a trace; "
                "put that right first."
            ) from error
