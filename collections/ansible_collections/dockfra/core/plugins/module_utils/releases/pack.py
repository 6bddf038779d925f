# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The archive of a release, made of a directory: the same content gives the same bytes.

What is in the directory comes from foreign code, so it is looked at as closely as `archive` looks at what comes out: plain
files and directories with plain names, of limited number and size. Nothing is followed and nothing waited for.
"""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from ..errors import ReleaseDamagedError, TooMuchError
from ..text import shown
from .archive import LIMITS, Content, Limits, checked_name

# The fast one: a release is sent once, over a short way.
_LEVEL = 1


def pack(folder: str | os.PathLike[str], file: IO[bytes], when: int, limits: Limits = LIMITS) -> Content:
    """Write the archive of a directory.

    Args:
        folder: the directory, which nobody changes meanwhile.
        file: where it goes.
        when: the time of all its members, seconds since the epoch.
        limits: what it may have.

    Raises:
        ReleaseDamagedError: something in the directory is nothing that a release has.
        TooMuchError: there is more than the limits allow.
        OSError: it cannot be read or written.
    """
    files = size = members = 0
    with (
        gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0, compresslevel=_LEVEL) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in members_of(os.fspath(folder)):
            entry = tarfile.TarInfo(checked_name(name))
            entry.mtime = when
            members += 1
            if members > limits.members:
                raise TooMuchError(f"It has more than {limits.members} files and directories.")
            with _opened(os.path.join(folder, name), name) as source:
                if source is None:
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(entry)
                    continue
                state = os.fstat(source.fileno())
                entry.mode = 0o755 if state.st_mode & 0o100 else 0o644
                entry.size = state.st_size
                size += entry.size
                if size > limits.content:
                    raise TooMuchError(
                        f"It has more than {limits.content} bytes; {shown(name)} is the first too many."
                    )
                archive.addfile(entry, source)
            files += 1
            if file.tell() > limits.archive:
                raise TooMuchError(f"The archive has more than {limits.archive} bytes.")
    return Content(files, size)


def members_of(folder: str) -> Iterator[str]:
    """Yield the paths of all that is below a directory, in the order of their names, directories before what is in them."""
    waiting = [""]
    while waiting:
        path = waiting.pop()
        if path:
            yield path
        place = os.path.join(folder, path)
        if not os.path.islink(place) and os.path.isdir(place):
            waiting += [os.path.join(path, name) for name in sorted(os.listdir(place), reverse=True)]


@contextmanager
def _opened(path: str, name: str) -> Iterator[IO[bytes] | None]:
    """A file to be read, or nothing for a directory."""
    # What is no file is not opened at all: a pipe would wait, a device might do something.
    kind = stat.S_IFMT(os.lstat(path).st_mode)
    if kind == stat.S_IFDIR:
        yield None
        return
    if kind != stat.S_IFREG:
        what = "a link" if kind == stat.S_IFLNK else "no plain file"
        raise ReleaseDamagedError(f"{shown(name)} is {what}, and a release has none.")
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        yield file
