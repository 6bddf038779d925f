# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The audit log: one JSON line for each thing that happened, each with the hash of the line before it.

A line that was changed, taken out or put in later breaks the chain at that point. What is missing at the end can only be
seen by comparing with an earlier head.
"""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from .errors import AuditError

DIRECTORY = "/shared/logs/audit"

# Where a reader has the logs of other services, a directory each; in DIRECTORY there are links to them.
OTHERS = "/shared/logs/others"

# The hash before the first line.
START = "0" * 64

# A line is never longer: what a caller sends is cut first (see `gate.record`).
MAX_LINE = 64 * 1024


@dataclass(frozen=True)
class Chain:
    """What reading a log found.

    Attributes:
        lines: how many lines it has.
        head: the hash of the last line.
        problems: each break of the chain, one phrase with the line's number.
        torn: numbers of lines that were cut off while they were written; the line after each says so.
    """

    lines: int
    head: str
    problems: tuple[str, ...]
    torn: tuple[int, ...] = ()


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
        self._now = now

    def check(self) -> None:
        """Raise AuditError when nothing could be written now, so that nothing is done that would leave no trace."""
        with self._opened():
            pass

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one line, on the disk when this returns; ``time`` and ``previous`` are added.

        Raises:
            AuditError: it could not be written; the log is as before.
        """
        with self._opened() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            end = file.seek(0, os.SEEK_END)
            last = _last_line(file, end)
            # A writer that was killed left half a line: it is ended, and counts as a line with a hash of its own.
            gap = b"" if end == 0 or last.endswith(b"\n") else b"\n"
            line = json.dumps(
                {
                    "time": _format(self._now()),
                    **entry,
                    "previous": _hash(last.rstrip(b"\n")) if last else START,
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
            except OSError as error:
                os.ftruncate(file.fileno(), end)
                raise self._error("written", error) from error

    def _opened(self) -> BinaryIO:
        try:
            descriptor = os.open(
                self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644
            )
        except OSError as error:
            raise self._error("written", error) from error
        return os.fdopen(descriptor, "r+b", buffering=0)

    def _error(self, what: str, error: OSError) -> AuditError:
        return AuditError(
            f"The audit log {self._path} cannot be {what}: {error.strerror}. Nothing is done without a trace; "
            "put that right first."
        )


def read(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Yield the entries of a log, lines that are none left out; raises AuditError when it cannot be read."""
    for line in _lines(path):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


def verify(path: str | os.PathLike[str]) -> Chain:
    """Follow a log's chain from its first line; raises AuditError when it cannot be read."""
    previous, number = START, 0
    problems: list[str] = []
    unreadable: list[int] = []
    for number, line in enumerate(_lines(path), start=1):
        try:
            entry = json.loads(line)
            named = entry["previous"]
        except (ValueError, TypeError, KeyError):
            unreadable.append(number)
        else:
            if named != previous:
                problems.append(
                    f"line {number} does not follow line {number - 1}"
                    if number > 1
                    else "line 1 is not the first"
                )
        previous = _hash(line)
    # Half a line is one that a killed writer left, when its successor was chained to just that half.
    return Chain(number, previous, tuple(problems), tuple(unreadable))


def _lines(path: str | os.PathLike[str]) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            while line := file.readline(MAX_LINE * 2):
                yield line.rstrip(b"\n")
    except OSError as error:
        raise AuditError(f"The audit log {os.fspath(path)} cannot be read: {error.strerror}.") from error


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
