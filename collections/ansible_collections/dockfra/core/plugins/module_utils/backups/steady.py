# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Reads a directory to which others write (Linux): every file as it was at one moment, and in an order in which it holds together.

What is read belongs to users who are not trusted, and the reader may be root: no link is followed, and whatever is neither file nor
directory nor link is left out. What others write while it is read:

* Files that appear whole (`files.atomic`), and small ones: read at once, and read again when they changed meanwhile.
* ``*.jsonl`` and the full files of such a log grow: they end at the last whole line, and a log that rotated meanwhile is unsteady.
* SQLite's files in WAL mode: the journal is read right behind the file, which no checkpoint may have changed meanwhile.
* A git repository: references first and objects last, so that there is whatever a reference names.
* Links come before directories: what ``current`` names was complete when it was read.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ..errors import UnsteadyError

# Bytes of a file that is read at once, to be sure that nothing changed meanwhile.
WHOLE = 32 * 1024 * 1024
# Looks at a file that changes, and seconds between them.
_LOOKS = 20
_PAUSE = 0.05
# Seconds for which a file has to be as it is before its time says whether it changes: clocks of file systems tick slowly.
_SETTLED = 0.02

_LOG = re.compile(r".*\.jsonl(\.[0-9]{6,})?")
_SQLITE = b"SQLite format 3\0"
_JOURNAL = "-wal"
# Made anew by whoever opens the database.
_SHARED_MEMORY = "-shm"
_CACHE_TAG = "CACHEDIR.TAG"
# What programs make again.
_LEFT_OUT = re.compile(r"\.cache|\.ansible")


@dataclass(frozen=True)
class Entry:
    """A file, directory or link.

    Attributes:
        path: relative to the directory that is read; empty for itself.
        status: as lstat(2) says.
        data: the content of a file that was read at once.
        size: bytes of a file that count.
        target: where a link leads.
        file: the open file, where it is too large to be read at once.
    """

    path: str
    status: os.stat_result
    data: bytes | None = None
    size: int = 0
    target: str = ""
    file: BinaryIO | None = None


def read(root: str | os.PathLike[str]) -> Iterator[Entry]:
    """Yield what is in a directory, itself first. The file of an entry is open until the next is asked for.

    Raises:
        UnsteadyError: something changes all the time, or vanished meanwhile; nothing that came counts.
        OSError: something cannot be read.
    """
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield Entry("", os.fstat(folder))
        yield from _folder(folder, "")
    except FileNotFoundError as error:
        raise UnsteadyError(f"{root}: {error.filename or 'a file'} vanished while it was read") from error
    finally:
        os.close(folder)


def _folder(folder: int, prefix: str) -> Iterator[Entry]:
    names = _listed(folder)
    kinds = {name: os.stat(name, dir_fd=folder, follow_symlinks=False) for name in names}
    logs: set[tuple[int, int]] = set()
    for name in _ordered(names, kinds):
        path, status = f"{prefix}{name}", kinds[name]
        if stat.S_ISLNK(status.st_mode):
            yield Entry(path, status, target=os.readlink(name, dir_fd=folder))
        elif stat.S_ISDIR(status.st_mode):
            opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            try:
                if not _is_cache(opened):
                    yield Entry(path, os.fstat(opened))
                    yield from _folder(opened, f"{path}/")
            finally:
                os.close(opened)
        elif stat.S_ISREG(status.st_mode) and not _beside(name, kinds):
            yield from _file(folder, name, path, logs)
    now = set(filter(_LOG.fullmatch, _listed(folder)))
    if other := now ^ set(filter(_LOG.fullmatch, names)):
        raise UnsteadyError(f"{prefix}{min(other)} came or went while the log was read")


def _listed(folder: int) -> list[str]:
    return sorted(name for name in os.listdir(folder) if not _LEFT_OUT.fullmatch(name))


def _ordered(names: Iterable[str], kinds: dict[str, os.stat_result]) -> list[str]:
    repository = {"HEAD", "objects", "refs"} <= kinds.keys()

    def place(name: str) -> tuple[int, str]:
        if repository and name in ("refs", "packed-refs", "objects"):
            return {"refs": -2, "packed-refs": -1, "objects": 9}[name], name
        return 0 if stat.S_ISLNK(kinds[name].st_mode) else 1, name

    return sorted(names, key=place)


def _is_cache(folder: int) -> bool:
    """Whether a directory says of itself that it can be made again (bford.info/cachedir)."""
    with contextlib.suppress(OSError):
        os.stat(_CACHE_TAG, dir_fd=folder, follow_symlinks=False)
        return True
    return False


def _beside(name: str, kinds: dict[str, os.stat_result]) -> bool:
    """Whether a file belongs to a database, with which it is read."""
    for suffix in (_JOURNAL, _SHARED_MEMORY):
        if name.endswith(suffix) and name.removesuffix(suffix) in kinds:
            return True
    return False


def _file(folder: int, name: str, path: str, logs: set[tuple[int, int]]) -> Iterator[Entry]:
    """Yield a file; ``logs`` are those files of logs in its directory that were read already."""
    for _look in range(_LOOKS):
        with _opened(folder, name) as file:
            before = _settled(file)
            if _LOG.fullmatch(name):
                if (before.st_dev, before.st_ino) in logs:
                    return  # for a moment a file that grew full has two names
                logs.add((before.st_dev, before.st_ino))
                size = _whole_lines(file, before.st_size)
                file.seek(0)
                if size > WHOLE:
                    yield Entry(path, before, size=size, file=file)
                else:
                    data = file.read(size)
                    yield Entry(path, before, data=data, size=size)
                return
            if before.st_size > WHOLE:
                yield Entry(path, before, size=before.st_size, file=file)
                if _changed(before, os.fstat(file.fileno())):
                    raise UnsteadyError(f"{path} changed while it was read")
                return
            data = file.read(before.st_size + 1)
            journal = _journal(folder, name, path) if data.startswith(_SQLITE) else None
            if len(data) == before.st_size and not _changed(before, os.fstat(file.fileno())):
                yield Entry(path, before, data=data, size=len(data))
                if journal:
                    yield journal
                return
        time.sleep(_PAUSE)
    raise UnsteadyError(f"{path} changes all the time")


def _journal(folder: int, name: str, path: str) -> Entry | None:
    with contextlib.suppress(FileNotFoundError), _opened(folder, f"{name}{_JOURNAL}") as file:
        status = os.fstat(file.fileno())
        data = file.read(status.st_size)
        return Entry(f"{path}{_JOURNAL}", status, data=data, size=len(data))
    return None


@contextlib.contextmanager
def _opened(folder: int, name: str) -> Iterator[BinaryIO]:
    # A pipe that took the file's place keeps nobody waiting.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=folder), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise UnsteadyError(f"{name} became something else while it was read")
        yield file


def _settled(file: BinaryIO) -> os.stat_result:
    """The state of a file, not younger than what its time can tell."""
    status = os.fstat(file.fileno())
    age = time.time() - status.st_mtime
    if 0 <= age < _SETTLED:
        time.sleep(_SETTLED)
    return status


def _changed(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size)


def _whole_lines(file: BinaryIO, size: int) -> int:
    """Bytes up to the end of the last whole line."""
    end = size
    while end > 0:
        start = max(0, end - 65536)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
