# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Reads an audit log and follows its chain, over all the files it is made of (see `files`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..errors import AuditError
from .files import LogFile, beginning, is_beginning, last_line, lines_in, log_files, opened
from .lines import MAX_LINE, START, decode, digest, is_torn

# What is told of a log. One that was written to look bad must not cost its readers their time and memory.
MAX_PROBLEMS = 20


class Head(NamedTuple):
    """How far a log had come.

    Attributes:
        lines: the number of its lines.
        hash: of the last one.
        generation: of the file in which that is.
        offset: bytes of that file up to the line's end; 0 when unknown.
    """

    lines: int
    hash: str
    generation: int = 1
    offset: int = 0


class Chain(NamedTuple):
    """What reading a log found.

    Attributes:
        lines: how many lines it has, those in files that were dropped too.
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


def read(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Yield the entries of a log, lines that are none left out; raises AuditError when it cannot be read."""
    for file in log_files(path):
        for line in _lines(file):
            entry = decode(line)
            if entry is not None and not is_beginning(entry):
                yield entry


def verify(path: str | os.PathLike[str], seen: Head | None = None, resume: bool = False) -> Chain:
    """Follow a log's chain; raises AuditError when it cannot be read.

    Args:
        path: the file that is written.
        seen: how far it had come at an earlier time, to find what was cut off or written anew since.
        resume: go on from there instead of from the first line that is kept, for whoever knows that what is before it
            is as it was (see `copies`). Where the log is not what it was there, all of it is read nevertheless.
    """
    files = log_files(path)
    if resume and seen is not None and seen.offset:
        rest = [file for file in files if file.generation >= seen.generation]
        if rest and _stands(rest[0], seen):
            return _Follower(seen, seen).follow(rest, seen.offset)
    return _Follower(Head(0, START), seen).follow(files)


class _Follower:
    """Follows a chain from a head on."""

    def __init__(self, start: Head, seen: Head | None) -> None:
        self._number = start.lines
        self._previous = start.hash
        self._whole = start
        self._seen = seen
        self._problems: list[str] = []
        self._torn: list[int] = []
        self._last = b"\n"

    def follow(self, files: list[LogFile], offset: int = 0) -> Chain:
        self._find_gaps(files, offset)
        for file in files:
            stop = self._file(file, offset, oldest=file is files[0] and not offset)
            if stop:
                return self._found(stop)
            offset = 0
        seen = self._seen
        if seen and self._number < seen.lines:
            self._problems.append(
                f"it ends at line {self._number}, and had {seen.lines} lines when it was last verified"
            )
        return self._found()

    def _find_gaps(self, files: list[LogFile], offset: int) -> None:
        kept = self._whole.generation if offset else _oldest(files[-1])
        here = {file.generation for file in files}
        missing = sum(number not in here for number in range(kept, files[-1].generation)[:MAX_PROBLEMS])
        if missing:
            self._problems.append(f"{missing} of its files that grew full before are missing")

    def _file(self, file: LogFile, offset: int, oldest: bool) -> str:
        """Follow one file; returns why the log is not read on, if so."""
        for line in _lines(file, offset):
            if oldest:
                self._begin(file, line)
                oldest = False
            offset += len(line)
            stop = self._line(line)
            if stop:
                return stop
            if line.endswith(b"\n"):
                self._whole = Head(self._number, self._previous, file.generation, offset)
        return ""

    def _begin(self, file: LogFile, line: bytes) -> None:
        """What the files that were dropped have left behind is believed to the first line that follows them."""
        said = beginning(line)
        if file.generation > 1 and said.generation == file.generation:
            self._number = said.lines
            self._previous = str((decode(line) or {}).get("previous"))

    def _line(self, line: bytes) -> str:
        self._number += 1
        self._last, text, number = line, line.removesuffix(b"\n"), self._number
        if len(text) > MAX_LINE:
            return f"line {number} is longer than any that is written; it and what follows were not read"
        if len(self._problems) >= MAX_PROBLEMS or len(self._torn) > MAX_PROBLEMS:
            return f"there are too many such lines; line {number} and what follows were not read"
        entry = decode(text)
        if entry is not None and "previous" in entry:
            if entry["previous"] != self._previous:
                self._problems.append(
                    f"line {number} does not follow line {number - 1}"
                    if number > 1
                    else "line 1 is not the first"
                )
        elif entry is None and is_torn(text):
            # Whether a killed writer left it shows the next line, which is then chained to just this half.
            self._torn.append(number)
        else:
            self._problems.append(f"line {number} is no entry")
        self._previous = digest(text)
        if self._seen and number == self._seen.lines and self._previous != self._seen.hash:
            self._problems.append(f"line {number} was another when the log was last verified")
        return ""

    def _found(self, *more: str) -> Chain:
        unfinished = not more and not self._last.endswith(b"\n")
        return Chain(self._number, self._whole, (*self._problems, *more), tuple(self._torn), unfinished)


def _lines(file: LogFile, offset: int = 0) -> Iterator[bytes]:
    try:
        yield from lines_in(file, offset)
    except OSError as error:
        raise AuditError(f"The audit log {file.path} cannot be read: {error.strerror}.") from error


def _stands(file: LogFile, seen: Head) -> bool:
    """Whether the line that was the last one is where it was."""
    if file.generation != seen.generation:
        return False
    with opened(file.path) as opened_file:
        if os.fstat(opened_file.fileno()).st_size < seen.offset:
            return False
        line = last_line(opened_file, seen.offset)
    return line.endswith(b"\n") and digest(line.removesuffix(b"\n")) == seen.hash


def _oldest(newest: LogFile) -> int:
    """The first generation that is kept, as the newest file says."""
    return beginning(next(_lines(newest), b"")).oldest
