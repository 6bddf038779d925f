# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The files a log is made of: the one that is written, and before it those that grew full.

``x.jsonl`` is written. When it is full it becomes ``x.jsonl.000001``, the next one ``x.jsonl.000002``: the generation of a
file never changes, and a full one is never written again. A file that follows a full one begins with a line of its own
(`Beginning`), which is chained like any other and says what has to be there before it.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from ..errors import AuditError
from .lines import MAX_LINE, decode

DIRECTORY = "/shared/logs/audit"

# Where a reader has the logs of other services, a directory each; in DIRECTORY there are links to them.
OTHERS = "/shared/logs/others"

# And those of services on other Docker hosts, which are collected; in DIRECTORY there are links to them, too.
ELSEWHERE = "/shared/logs/elsewhere"

# The key of a `Beginning` in the first line of a file.
BEGINNING = "log"


class Beginning(NamedTuple):
    """What the first line of a file says of the log.

    Attributes:
        generation: of this file; the first of a log is 1 and says nothing.
        oldest: the first generation that is kept; those before it were dropped.
        lines: lines of the log before this file, those that were dropped too.
    """

    generation: int = 1
    oldest: int = 1
    lines: int = 0


class LogFile(NamedTuple):
    """One file of a log: its generation, and where it is."""

    generation: int
    path: str


def full_name(path: str, generation: int) -> str:
    """Return the name of a file that grew full."""
    return f"{path}.{generation:06d}"


def full_files(path: str) -> list[LogFile]:
    """Return the full files of a log, the oldest first; raises OSError."""
    folder, name = os.path.split(path)
    pattern = re.compile(rf"{re.escape(name)}\.([0-9]{{6,}})")
    found = [
        LogFile(int(match[1]), os.path.join(folder, match.string))
        for match in map(pattern.fullmatch, os.listdir(folder or "."))
        if match
    ]
    return sorted(found)


def log_files(path: str | os.PathLike[str]) -> list[LogFile]:
    """Return the files of a log in the order they were written in; the last is the one that is written now.

    Raises:
        AuditError: they cannot be told.
    """
    try:
        real = followed(os.fspath(path))
        full = full_files(real)
        with opened(real) as file:
            written = os.fstat(file.fileno())
            generation = beginning(file.readline(MAX_LINE)).generation
        # A writer that was killed between the two steps of a rotation leaves one file with two names.
        full = [found for found in full if found.generation != generation or not _is(found.path, written)]
        return [*full, LogFile(generation, real)]
    except OSError as error:
        raise AuditError(f"The audit log {os.fspath(path)} cannot be read: {error.strerror}.") from error


def beginning(line: bytes) -> Beginning:
    """Return what the first line of a file says; one that says nothing begins a log."""
    said = (decode(line) or {}).get(BEGINNING)
    try:
        return Beginning(*(max(0, int(said[key])) for key in Beginning._fields)) if said else Beginning()
    except (KeyError, TypeError, ValueError, OverflowError):
        return Beginning()


def is_beginning(entry: dict[str, Any]) -> bool:
    """Whether an entry is the first line of a file and nothing that happened."""
    return BEGINNING in entry and "verb" not in entry


def followed(path: str) -> str:
    """Return where a reader's link leads.

    A link is followed once, from DIRECTORY to OTHERS. What is there belongs to another service, which could put a link
    to a file of the reader's in its place.
    """
    return os.path.join(os.path.dirname(path), os.readlink(path)) if os.path.islink(path) else path


def opened(path: str) -> BinaryIO:
    """Open a file for reading; raises OSError when it is none. A pipe in its place keeps nobody waiting."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file")
    return os.fdopen(descriptor, "rb")


def lines_of(path: str, offset: int = 0) -> Iterator[bytes]:
    """Yield the lines of a file with their ends, from an offset in bytes, as far as the file reaches now."""
    with opened(path) as file:
        yield from _lines_from(file, offset)


def lines_in(found: LogFile, offset: int = 0) -> Iterator[bytes]:
    """Yield the lines of a file of a log as `lines_of` does, also where it has grown full since it was found."""
    full = full_name(found.path, found.generation)
    with opened(found.path) as file:
        # A file has its other name before the next one takes its place.
        if not os.path.lexists(full):
            yield from _lines_from(file, offset)
            return
    yield from lines_of(full, offset)


def _lines_from(file: BinaryIO, offset: int) -> Iterator[bytes]:
    file.seek(offset)
    left = os.fstat(file.fileno()).st_size - offset
    while left > 0 and (line := file.readline(min(MAX_LINE + 2, left))):
        left -= len(line)
        yield line


def last_line(file: BinaryIO, end: int) -> bytes:
    """Return the line that ends at ``end`` bytes, with its end if it has one."""
    start = max(0, end - MAX_LINE - 1)
    file.seek(start)
    tail = file.read(end - start)
    return tail[tail.rfind(b"\n", 0, len(tail) - 1) + 1 :] if tail else b""


def tail(path: str, size: int) -> bytes:
    """Return the last bytes of a log's file, as a reader has it; raises OSError."""
    with opened(followed(path)) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - size))
        return file.read(size)


def _is(path: str, known: os.stat_result) -> bool:
    found = os.stat(path, follow_symlinks=False)
    return (found.st_dev, found.st_ino) == (known.st_dev, known.st_ino)
