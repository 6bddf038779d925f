# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Begins a log's next file when the one that is written is full, with the chain carried over and room set aside for it.

A writer does it under its lock. Killed at any point it leaves a log that is whole: a full file gets its second name
first, and the new one, whose first line continues the chain, takes the place of the old in one step.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import struct
from typing import BinaryIO

from ..files import atomic
from .files import BEGINNING, Beginning, beginning, full_files, full_name, last_line, opened
from .lines import MAX_LINE, digest, encode

# Bytes after which a file is full, and how many full ones are kept: 72 MiB a service, some 250,000 calls.
LIMIT = 8 * 1024 * 1024
KEEP = 8

# What a file has left when it is full, for the first line of the next one.
_SPARE = 1024 * 1024

# How much is read at once.
_CHUNK = 1024 * 1024

# Others read the log over a mount of their own.
MODE = 0o644

# fallocate(2) that leaves the file's size as it is, in the form that Python can call (linux/falloc.h).
_FS_IOC_RESVSP = 0x40305828


def rotate(path: str, limit: int, keep: int, now: datetime.datetime) -> None:
    """Begin the next file of a log if its present one is full.

    Args:
        path: the file that is written.
        limit: bytes after which it is full.
        keep: full files that are kept; older ones are dropped, and the new file's first line says so.
        now: the time.

    Raises:
        OSError: it could not be done; the log goes on in the file it has.
    """
    try:
        size = os.stat(path, follow_symlinks=False).st_size
    except FileNotFoundError:
        return
    if size < limit:
        return
    with opened(path) as file:
        said = beginning(file.readline(MAX_LINE))
        last = last_line(file, size)
        lines = said.lines + _count(file, last)
    following = Beginning(said.generation + 1, max(said.oldest, said.generation + 1 - keep), lines)
    first = encode({BEGINNING: following._asdict()}, now, digest(last.removesuffix(b"\n")))
    full = full_name(path, said.generation)
    with contextlib.suppress(FileExistsError):  # a writer was killed after this step
        os.link(path, full, follow_symlinks=False)
    # What it has left is room for the first line of the next one, on a disk that others have filled.
    _release(full)
    atomic.replace(path, first + b"\n", mode=MODE, temporary=f".{os.path.basename(path)}.new")
    for old in full_files(path):
        if old.generation < following.oldest:
            os.unlink(old.path)
    with open(path, "r+b") as file:
        reserve(file.fileno(), limit)


def reserve(descriptor: int, size: int) -> None:
    """Set room aside for a file up to a size in bytes, so that it can be written when others have filled the disk.

    It is as good as the file system allows: what cannot be set aside is missed when it is needed, not before.
    """
    with contextlib.suppress(OSError):
        fcntl.ioctl(
            descriptor, _FS_IOC_RESVSP, struct.pack("hhqqiI16x", 0, os.SEEK_SET, 0, size + _SPARE, 0, 0)
        )


def reserved(descriptor: int) -> int:
    """Return the bytes that are set aside for a file and not yet written."""
    found = os.fstat(descriptor)
    return found.st_blocks * 512 - found.st_size


def _release(path: str) -> None:
    """Give back what was set aside for a file that is full."""
    os.truncate(path, os.stat(path).st_size)


def _count(file: BinaryIO, last: bytes) -> int:
    """The lines of a file whose last one is ``last``; one without an end counts."""
    file.seek(0)
    count = 0
    while part := file.read(_CHUNK):
        count += part.count(b"\n")
    return count + (not last.endswith(b"\n"))
