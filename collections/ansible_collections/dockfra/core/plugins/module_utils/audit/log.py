# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The audit log: one JSON line for each thing that happened, each with the hash of the line before it.

A line that was changed, taken out or put in later breaks the chain at that point. What is missing at the end, or was
written anew from some point on, can only be seen by comparing with an earlier head.

The file is readable by all (mode 0644): other services read it over a read-only mount. Writers take turns with a lock
beside it that only they can open, because whoever may open a file may also hold its lock.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

from ..errors import AuditError, LockBusyError
from ..locks import file_lock

DIRECTORY = "/shared/logs/audit"

# Where a reader has the logs of other services, a directory each; in DIRECTORY there are links to them.
OTHERS = "/shared/logs/others"

# The hash before the first line.
START = "0" * 64

# A line is never longer: what a caller sends is cut first (see `gate.record`).
MAX_LINE = 64 * 1024

# What is told of a log. One that was written to look bad must not cost its readers their time and memory.
MAX_PROBLEMS = 20

# Seconds a writer waits for others.
LOCK_TIMEOUT = 10.0

# Bytes the disk must have left before anything is done that would leave a trace, for several writers at once.
ROOM = 1024 * 1024

_MODE = 0o644
_LOCK_MODE = 0o600

# How every line begins (see `AuditLog.append`), and so every half line.
_BEGINNING = b'{"time": "'


class Head(NamedTuple):
    """How far a log had come: the number of its lines, and the hash of the last one."""

    lines: int
    hash: str


class Chain(NamedTuple):
    """What reading a log found.

    Attributes:
        lines: how many lines it has.
        head: its last whole line. A line without an end is left out: it is being written, or its writer was killed.
        problems: each break of the chain, one phrase with the line's number. After the first `MAX_PROBLEMS`, and after a
            line that is too long, the rest was not read; the last phrase says so.
        torn: numbers of lines that were cut off while they were written; the line after each goes on from it.
        unfinished: whether the last line has no end, so nothing has gone on from it yet.
    """

    lines: int
    head: Head
    problems: tuple[str, ...]
    torn: tuple[int, ...] = ()
    unfinished: bool = False


class AuditLog:
    """Appends to a log. Any number of processes may use one at the same time.

    Args:
        path: the file; it is made when its directory allows.
        now: the clock.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._path = os.fspath(path)
        folder, name = os.path.split(self._path)
        self._lock_path = os.path.join(folder, f".{name}.lock")
        self._now = now

    def check(self) -> None:
        """Raise AuditError when nothing could be written now, so that nothing is done that would leave no trace."""
        with self._explained(), self._opened() as file:
            os.close(self._open(self._lock_path, os.O_RDWR, _LOCK_MODE))
            room = os.fstatvfs(file.fileno())
            if room.f_bavail * room.f_frsize < ROOM:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one line, on the disk when this returns; ``time`` and ``previous`` are added.

        Raises:
            AuditError: it could not be written; the log is as before.
        """
        with self._explained(), self._locked(), self._opened() as file:
            end = file.seek(0, os.SEEK_END)
            last = _last_line(file, end)
            # A writer that was killed left half a line: it is ended, and counts as a line with a hash of its own.
            gap = b"" if end == 0 or last.endswith(b"\n") else b"\n"
            line = json.dumps(
                {
                    "time": _format(self._now()),
                    **{key: value for key, value in entry.items() if key != "time"},
                    "previous": _hash(last.removesuffix(b"\n")) if last else START,
                },
                ensure_ascii=True,
            ).encode()
            if len(line) > MAX_LINE:
                raise AuditError(
                    f"An audit line of {len(line)} bytes is too long; at most {MAX_LINE} are allowed."
                )
            try:
                _write(file.fileno(), gap + line + b"\n")
                os.fdatasync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), end)
                raise

    def _opened(self) -> BinaryIO:
        descriptor = self._open(self._path, os.O_RDWR | os.O_APPEND, _MODE)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "it is no file")
            # Whatever the umask was when it was made.
            if stat.S_IMODE(found.st_mode) != _MODE and found.st_uid == os.geteuid():
                os.fchmod(descriptor, _MODE)
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
                f"The audit log {self._path} cannot be written: {error.strerror}. Nothing is done without a trace; "
                "put that right first."
            ) from error


def read(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Yield the entries of a log, lines that are none left out; raises AuditError when it cannot be read."""
    for line in _lines(path):
        entry = _entry(line)
        if entry is not None:
            yield entry


def verify(path: str | os.PathLike[str], seen: Head | None = None) -> Chain:
    """Follow a log's chain from its first line; raises AuditError when it cannot be read.

    Args:
        path: the file.
        seen: how far it had come at an earlier time, to find what was cut off or written anew since.
    """
    number = 0
    previous, last = START, b""
    whole = Head(0, START)
    problems: list[str] = []
    torn: list[int] = []
    for number, line in enumerate(_lines(path), start=1):
        last, text = line, line.removesuffix(b"\n")
        stop = _stop(number, text, problems, torn)
        if stop:
            return Chain(number, whole, (*problems, stop), tuple(torn))
        entry = _entry(text)
        if entry is not None and "previous" in entry:
            if entry["previous"] != previous:
                problems.append(
                    f"line {number} does not follow line {number - 1}"
                    if number > 1
                    else "line 1 is not the first"
                )
        elif entry is None and _is_torn(text):
            # Whether a killed writer left it shows the next line, which is then chained to just this half.
            torn.append(number)
        else:
            problems.append(f"line {number} is no entry")
        previous = _hash(text)
        if line.endswith(b"\n"):
            whole = Head(number, previous)
        if seen and number == seen.lines and previous != seen.hash:
            problems.append(f"line {number} was another when the log was last verified")
    if seen and number < seen.lines:
        problems.append(f"it ends at line {number}, and had {seen.lines} lines when it was last verified")
    return Chain(number, whole, tuple(problems), tuple(torn), bool(last) and not last.endswith(b"\n"))


def _stop(number: int, text: bytes, problems: list[str], torn: list[int]) -> str:
    """Why a log is not read on from a line, if so."""
    if len(text) > MAX_LINE:
        return f"line {number} is longer than any that is written; it and what follows were not read"
    if len(problems) >= MAX_PROBLEMS or len(torn) > MAX_PROBLEMS:
        return f"there are too many such lines; line {number} and what follows were not read"
    return ""


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _is_torn(text: bytes) -> bool:
    """Whether a line that is no entry is the beginning of one, or what a power cut leaves: nothing but zeros."""
    if not text.strip(b"\0"):
        return bool(text)
    return text.startswith(_BEGINNING) or _BEGINNING.startswith(text)


def _lines(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """The lines with their ends, as far as the file reaches now."""
    try:
        with _reading(os.fspath(path)) as file:
            left = os.fstat(file.fileno()).st_size
            while left > 0 and (line := file.readline(min(MAX_LINE + 2, left))):
                left -= len(line)
                yield line
    except OSError as error:
        raise AuditError(f"The audit log {os.fspath(path)} cannot be read: {error.strerror}.") from error


def _reading(path: str) -> BinaryIO:
    # A link is followed once, from DIRECTORY to OTHERS. What is there belongs to another service, which could put
    # a link to a file of the reader's in its place, or a pipe.
    if os.path.islink(path):
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file")
    return os.fdopen(descriptor, "rb")


def _last_line(file: BinaryIO, end: int) -> bytes:
    start = max(0, end - MAX_LINE - 1)
    file.seek(start)
    tail = file.read(end - start)
    return tail[tail.rfind(b"\n", 0, len(tail) - 1) + 1 :] if tail else b""


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _format(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
