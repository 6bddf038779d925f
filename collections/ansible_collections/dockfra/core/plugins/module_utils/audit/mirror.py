# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The audit logs of another Docker host, as files here: the same files with the same lines, as they grow.

Who has the log says what it has got beyond a `Position`; who keeps the mirror adds exactly that. A mirror only ever grows. Where the
log is no longer what was read of it, it stays as it is, and that is told.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..errors import AuditError
from ..files import atomic
from . import rotation
from .files import beginning, full_files, full_name, last_line, log_files, opened
from .lines import MAX_LINE, digest

# Bytes of a log that are sent at a time, and that a file of a mirror may have: a full log, and what is left for its last lines.
PART = 256 * 1024
MOST = rotation.LIMIT * 2


class Position(NamedTuple):
    """How far a log was read.

    Attributes:
        generation: the file; 0 where nothing was.
        offset: bytes of it.
        last: the hash of the last line there.
    """

    generation: int = 0
    offset: int = 0
    last: str = ""


class Part(NamedTuple):
    """What a log has got: whole lines of one of its files, from an offset on."""

    generation: int
    offset: int
    lines: bytes


def beyond(path: str, position: Position) -> Iterator[Part]:
    """Yield what a log has got beyond a position, the oldest first.

    Raises:
        AuditError: the log cannot be read, or is not what was read of it.
    """
    files = log_files(path)
    for file in files:
        if file.generation < position.generation:
            continue
        same = file.generation == position.generation
        offset = position.offset if same else 0
        try:
            with opened(file.path) as source:
                if file is files[-1] and beginning(source.readline(MAX_LINE)).generation != file.generation:
                    return  # it has grown full since, and there are further files by now
                if same and not _goes_on(source, position):
                    raise AuditError(f"The audit log {path} is not what it was up to byte {offset}.")
                source.seek(offset)
                while lines := _whole_lines(source):
                    yield Part(file.generation, offset, lines)
                    offset += len(lines)
                    source.seek(offset)
        except OSError as error:
            raise AuditError(f"The audit log {path} cannot be read: {error.strerror}.") from error


def after(part: Part) -> Position:
    """Return the position at the end of a part."""
    last = part.lines[:-1].rpartition(b"\n")[2]
    return Position(part.generation, part.offset + len(part.lines), digest(last))


class Mirror:
    """The mirror of one log.

    Args:
        folder: its directory, named like the log; it is made.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.path = os.path.join(folder, f"{os.path.basename(folder)}.jsonl")

    def position(self) -> Position:
        """Return how far it goes. What a cut has left of a line is taken back.

        Raises:
            AuditError: it cannot be read or written.
        """
        try:
            with open(self.path, "r+b") as file:
                size = os.fstat(file.fileno()).st_size
                last = last_line(file, size)
                if last and not last.endswith(b"\n"):
                    size -= len(last)
                    file.truncate(size)
                    last = last_line(file, size)
                file.seek(0)
                generation = beginning(file.readline(MAX_LINE)).generation
        except FileNotFoundError:
            return Position()
        except OSError as error:
            raise AuditError(f"The mirror {self.path} cannot be read: {error.strerror}.") from error
        return Position(generation, size, digest(last.removesuffix(b"\n"))) if size else Position()

    def begin(self) -> None:
        """Have a mirror of a log that has no line yet; one that is there stays.

        Raises:
            AuditError: it cannot be written.
        """
        try:
            os.makedirs(self._folder, 0o755, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                atomic.create(Path(self.path), b"", mode=rotation.MODE)
        except OSError as error:
            raise AuditError(f"The mirror {self.path} cannot be written: {error.strerror}.") from error

    def add(self, part: Part, position: Position) -> Position:
        """Add a part where it belongs, on the disk, and return the new position.

        Args:
            part: what the log has got.
            position: how far the mirror goes.

        Raises:
            AuditError: the part does not go on from there, is too much, or cannot be written.
        """
        if not part.lines.endswith(b"\n") or part.offset + len(part.lines) > MOST:
            raise AuditError(f"What came for the mirror {self.path} is no part of an audit log.")
        begins = part.offset == 0 and beginning(part.lines.partition(b"\n")[0]).generation == part.generation
        goes_on = (part.generation, part.offset) == (position.generation, position.offset)
        # The first file that there still is, or the next one. Where some are gone, the monitor's copies tell that.
        follows = begins and part.generation > position.generation
        if not (goes_on and part.offset) and not follows:
            raise AuditError(
                f"What came for the mirror {self.path} is byte {part.offset} of file {part.generation}, where byte {position.offset} of "
                f"file {position.generation} was to follow."
            )
        try:
            self._write(part, position) if follows else self._append(part)
        except OSError as error:
            raise AuditError(f"The mirror {self.path} cannot be written: {error.strerror}.") from error
        return after(part)

    def _append(self, part: Part) -> None:
        with open(self.path, "ab") as file:
            file.write(part.lines)
            file.flush()
            os.fdatasync(file.fileno())

    def _write(self, part: Part, position: Position) -> None:
        """Begin the next file; as in a log, the full one has its second name first."""
        os.makedirs(self._folder, 0o755, exist_ok=True)
        if position.generation:
            with contextlib.suppress(FileExistsError):  # a cut between the two steps
                os.link(self.path, full_name(self.path, position.generation))
            for file in full_files(self.path)[: -rotation.KEEP]:
                os.unlink(file.path)
        atomic.replace(Path(self.path), part.lines, mode=rotation.MODE)


def _goes_on(source: BinaryIO, position: Position) -> bool:
    """Whether a file still has the line that was read of it last."""
    if os.fstat(source.fileno()).st_size < position.offset:
        return False
    return (
        not position.offset or digest(last_line(source, position.offset).removesuffix(b"\n")) == position.last
    )


def _whole_lines(source: BinaryIO) -> bytes:
    """The next lines, as many as fit; a line that is longer than any writer makes is none."""
    read = source.read(PART)
    lines, end, _half = read.rpartition(b"\n")
    return lines + end
