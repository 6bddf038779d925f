# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Archives of releases: received up to a limit, and unpacked so that nothing lands outside and nothing odd inside.

An archive is a tar file, compressed with gzip or not. It comes from a build that ran foreign code, so each of its members is
looked at: plain files and directories with plain names, a limited number of limited size. Links and devices are refused.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import select
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

from ..errors import LateError, ReleaseDamagedError, TooMuchError
from ..text import shown

_PART = 256 * 1024
_MAX_NAME = 1000
_MAX_PART = 255
_LATEST = 2**32


class Limits(NamedTuple):
    """What an archive may have.

    Attributes:
        archive: bytes as it comes.
        content: bytes unpacked.
        members: files and directories.
    """

    archive: int = 512 * 1024 * 1024
    content: int = 1024 * 1024 * 1024
    members: int = 50_000


LIMITS = Limits()


class Content(NamedTuple):
    """What was unpacked: files, and bytes in them."""

    files: int
    size: int


def receive(descriptor: int, path: str, size: int, deadline: float) -> str:
    """Read an archive from a pipe or a socket into a new file and return its SHA-256 in hex digits.

    Args:
        descriptor: where it comes from.
        path: the file, which is not there yet.
        size: bytes that were announced; no more are read.
        deadline: when to give up, in seconds of the monotonic clock.

    Raises:
        ReleaseDamagedError: it has fewer bytes.
        TooMuchError: it has more.
        LateError: it did not come in time.
        OSError: it cannot be read or written.
    """
    digest, left = hashlib.sha256(), size
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb") as file:
        while part := _part(descriptor, deadline):
            left -= len(part)
            if left < 0:
                raise TooMuchError(f"The archive has more than the {size} bytes that were announced.")
            digest.update(part)
            file.write(part)
    if left:
        raise ReleaseDamagedError(f"The archive ends after {size - left} of {size} bytes.")
    return digest.hexdigest()


def unpack(path: str, folder: str, limits: Limits = LIMITS, below: Sequence[str] = ()) -> Content:
    """Unpack an archive into a directory that is there, empty, and nobody else's.

    Files get mode 0644, or 0755 where their owner may run them, and keep their time; directories 0755.

    Args:
        path: the archive.
        folder: the directory.
        limits: what it may have.
        below: the only paths in it that matter, with all below them; what else it has is passed over. All of it by default.

    Raises:
        ReleaseDamagedError: the archive cannot be read, or has a member that no release has.
        TooMuchError: it has more than the limits allow.
        OSError: it cannot be written.
    """
    with _opened(path) as archive:
        return _Unpacking(archive, folder, limits, below).run()


def measure(path: str, limits: Limits = LIMITS) -> Content:
    """Return what `unpack` would make of an archive, and make nothing; raises as that does."""
    with _opened(path) as archive:
        return _Reading(archive, limits).run()


@contextmanager
def _opened(path: str) -> Iterator[tarfile.TarFile]:
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            plain: Any = gzip.GzipFile(fileobj=file) if packed else file
            with tarfile.open(fileobj=_Bounded(plain), mode="r:") as archive:  # type: ignore[call-overload]
                yield archive
    # What damaged input makes of tarfile and gzip.
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, OverflowError) as error:
        raise ReleaseDamagedError(f"The archive cannot be read: {shown(str(error))}.") from error


def _part(descriptor: int, deadline: float) -> bytes:
    left = deadline - time.monotonic()
    if left <= 0 or not select.select([descriptor], [], [], left)[0]:
        raise LateError("The archive did not come in time; nothing was changed.")
    return os.read(descriptor, _PART)


class _Bounded:
    """A file whose reader asks for no more than a part at a time: tarfile takes the length of a header from the archive."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek: Callable[[int], int] = file.seek
        self.tell: Callable[[], int] = file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _PART:
            raise ReleaseDamagedError("The archive has a header that is too long.")
        return self._file.read(size)


class _Reading:
    """A way through the members of an archive: each is looked at, and what is done with it says `_Unpacking`."""

    def __init__(self, archive: tarfile.TarFile, limits: Limits, below: Sequence[str] = ()) -> None:
        self._archive, self._limits = archive, limits
        self._below = tuple(below)
        self._members = self._files = self._size = 0

    def run(self) -> Content:
        while (member := self._archive.next()) is not None:
            # tarfile remembers each, for what is not needed here.
            self._archive.members = []  # type: ignore[attr-defined]
            self._members += 1
            if self._members > self._limits.members:
                raise TooMuchError(f"The archive has more than {self._limits.members} members.")
            if self._below and not any(f"{member.name}/".startswith(f"{path}/") for path in self._below):
                continue
            name = checked_name(member.name)
            if member.isdir():
                self._make(name)
            elif member.isreg() and not member.issparse():
                self._size += member.size
                if member.size < 0 or self._size > self._limits.content:
                    raise TooMuchError(f"The archive has more than {self._limits.content} bytes unpacked.")
                self._write(member, name)
                self._files += 1
            else:
                raise ReleaseDamagedError(
                    f"The archive has {shown(name)}, which is no plain file or directory."
                )
        return Content(self._files, self._size)

    def _make(self, name: str) -> None:
        """A directory."""

    def _write(self, member: tarfile.TarInfo, name: str) -> None:
        """A file: all of it has to be there."""
        source = self._source(member, name)
        while source.read(_PART):
            pass

    def _source(self, member: tarfile.TarInfo, name: str) -> IO[bytes]:
        source = self._archive.extractfile(member)
        if source is None:
            raise ReleaseDamagedError(f"The archive has no content for {shown(name)}.")
        return source


class _Unpacking(_Reading):
    def __init__(
        self, archive: tarfile.TarFile, folder: str, limits: Limits, below: Sequence[str] = ()
    ) -> None:
        super().__init__(archive, limits, below)
        self._folder = folder
        self._folders: set[str] = set()

    def _make(self, name: str) -> None:
        """Make a directory and those above it."""
        parts = name.split("/") if name else []
        for end in range(1, len(parts) + 1):
            folder = "/".join(parts[:end])
            if folder not in self._folders:
                self._new(folder, lambda path: os.mkdir(path, 0o755))
                os.chmod(os.path.join(self._folder, folder), 0o755)  # noqa: S103  the service reads it as another user
                self._folders.add(folder)

    def _write(self, member: tarfile.TarInfo, name: str) -> None:
        self._make(name.rpartition("/")[0])
        source = self._source(member, name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(self._new(name, lambda path: os.open(path, flags, 0o600)), "wb") as file:
            left = member.size
            while left and (part := source.read(min(_PART, left))):
                file.write(part)
                left -= len(part)
            if left:
                raise ReleaseDamagedError(f"The archive ends within {shown(name)}.")
            file.flush()
            os.fchmod(file.fileno(), 0o755 if member.mode & 0o100 else 0o644)
            # Before the descriptor is closed nothing more is written, so that the time stays.
            when = min(max(0, int(member.mtime)), _LATEST)
            os.utime(file.fileno(), (when, when))

    def _new(self, name: str, make: Callable[[str], Any]) -> Any:
        try:
            return make(os.path.join(self._folder, name))
        except (FileExistsError, NotADirectoryError) as error:
            raise ReleaseDamagedError(f"The archive has {shown(name)} twice.") from error


def checked_name(name: str) -> str:
    """Return a member's name as a path below the release, empty for the release itself; raises ReleaseDamagedError."""
    plain = name.removeprefix("./").rstrip("/")
    if plain == "." or not plain:
        return ""
    parts = plain.split("/")
    try:
        long = len(plain.encode()) > _MAX_NAME or any(len(part.encode()) > _MAX_PART for part in parts)
    except UnicodeEncodeError:
        long = True
    odd = any(part in ("", ".", "..") for part in parts) or not plain.isprintable()
    if name.startswith("/") or long or odd:
        raise ReleaseDamagedError(
            f"The archive has a member with the name {shown(name)}, which no release has."
        )
    return plain
