# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Directories in one archive (tar, POSIX 2001): with owners, modes and times to the nanosecond, and a digest of each directory.

The digest of a directory is the SHA-256 of one line for each thing in it, sorted by path: its path, kind, permissions, owner, time,
and size and hash of a file or the target of a link. It is worked out while the archive is written, and again from what was unpacked.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import stat
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

from ..errors import BackupError, UnsteadyError
from . import steady

# How often a directory is read that changes while it is read, and seconds between.
TRIES = 5
PAUSE = 1.0
_CHUNK = 1024 * 1024


class Contents(NamedTuple):
    """What a directory holds: the number of its files, their sizes together, and its digest."""

    files: int
    bytes: int
    digest: str


class _Digest:
    """Works out the digest of a directory, entry by entry in any order."""

    def __init__(self, owned: bool) -> None:
        self._owned = owned
        self._lines: list[tuple[str, str]] = []
        self._files = 0
        self._bytes = 0

    def add(self, path: str, status: os.stat_result, size: int, content: str) -> None:
        mode = stat.S_IFMT(status.st_mode) if stat.S_ISLNK(status.st_mode) else status.st_mode
        owner = [status.st_uid, status.st_gid] if self._owned else []
        self._lines.append((path, json.dumps([path, mode, owner, status.st_mtime_ns, size, content])))
        if stat.S_ISREG(status.st_mode):
            self._files += 1
            self._bytes += size

    def result(self) -> Contents:
        whole = hashlib.sha256()
        for _path, line in sorted(self._lines):
            whole.update(line.encode() + b"\n")
        return Contents(self._files, self._bytes, whole.hexdigest())


class Writer:
    """Writes an archive.

    Args:
        file: where to, empty and seekable.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def add(
        self,
        root: str | os.PathLike[str],
        name: str,
        owned: bool = True,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Contents:
        """Add a directory below a name, read again from the beginning where it changes while it is read.

        Raises:
            UnsteadyError: it changes all the time.
            OSError: it cannot be read, or the archive cannot be written.
        """
        begin = self._tar.offset
        for attempt in range(TRIES):
            try:
                return self._added(root, name, owned)
            except UnsteadyError:
                if attempt == TRIES - 1:
                    raise
                self._file.seek(begin)
                self._file.truncate()
                self._tar.offset = begin
                sleep(PAUSE)
        raise AssertionError("the last try returns or raises")

    def _added(self, root: str | os.PathLike[str], name: str, owned: bool) -> Contents:
        digest = _Digest(owned)
        for entry in steady.read(root):
            info = tarfile.TarInfo(f"{name}/{entry.path}" if entry.path else name)
            status = entry.status
            info.mode, info.uid, info.gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
            seconds, nanoseconds = divmod(status.st_mtime_ns, 1_000_000_000)
            info.mtime = seconds
            info.pax_headers = {"mtime": f"{seconds}.{nanoseconds:09d}"}
            content = ""
            if stat.S_ISLNK(status.st_mode):
                info.type, info.linkname = tarfile.SYMTYPE, entry.target
                content = entry.target
                self._tar.addfile(info)
            elif stat.S_ISDIR(status.st_mode):
                info.type = tarfile.DIRTYPE
                self._tar.addfile(info)
            else:
                info.size = entry.size
                source = _Hashed(entry.file or io.BytesIO(entry.data or b""))
                try:
                    self._tar.addfile(info, source)
                except OSError as error:
                    if source.ended:
                        raise UnsteadyError(f"{entry.path} became shorter while it was read") from error
                    raise
                content = source.hash.hexdigest()
            digest.add(entry.path, status, entry.size, content)
            _forget(self._tar)
        return digest.result()

    def close(self) -> None:
        """Write the archive's end and force all of it to the disk."""
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())


class _Hashed(io.RawIOBase):
    """What is read, and its hash."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._source = file
        self.hash = hashlib.sha256()
        self.ended = False

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.hash.update(data)
        self.ended = len(data) < size
        return data


def unpack(
    path: str | os.PathLike[str], name: str, target: str | os.PathLike[str], owned: bool = True
) -> None:
    """Unpack what lies below a name in an archive into a new directory. It is not forced to the disk.

    Args:
        path: the archive.
        name: of a directory in it.
        target: the directory; nothing has its name yet.
        owned: whether files get their owners, for which one has to be root.

    Raises:
        BackupError: the archive is damaged, or lacks the directory.
        OSError: something cannot be written.
    """
    root = os.fspath(target)
    folders: dict[str, tarfile.TarInfo] = {}
    with _reading(path) as members:
        for member, source in members:
            if member.name != name and not member.name.startswith(f"{name}/"):
                continue
            relative = member.name[len(name) + 1 :]
            parent = os.path.dirname(relative)
            # What was unpacked before leads nowhere else: a member lies in a directory of the archive, never behind a link.
            if relative and (parent not in folders or os.path.basename(relative) in ("", ".", "..")):
                raise BackupError(f"The archive {path} is damaged: {member.name!r} is in no directory of it.")
            place = os.path.join(root, relative) if relative else root
            if member.isdir():
                os.mkdir(place, 0o700)
                folders[relative] = member
            elif member.issym():
                os.symlink(member.linkname, place)
                _dress(place, member, owned)
            elif member.isreg() and source:
                with open(place, "xb", opener=_private) as file:
                    shutil.copyfileobj(source, file, _CHUNK)
                    if file.tell() != member.size:
                        raise BackupError(f"The archive {path} is damaged: {member.name!r} is cut off.")
                _dress(place, member, owned)
    if "" not in folders:
        raise BackupError(f"The archive {path} lacks {name}.")
    for relative, member in sorted(folders.items(), reverse=True):
        _dress(os.path.join(root, relative) if relative else root, member, owned)


def share(path: str | os.PathLike[str], chosen: Callable[[str], BinaryIO | None]) -> None:
    """Append each member of an archive, byte by byte, to another archive.

    Args:
        path: the archive.
        chosen: gets a member's name and returns the file of the other archive; None leaves it out.

    Raises:
        BackupError: the archive is damaged.
        OSError: something cannot be read or written.
    """
    with open(path, "rb") as source, _reading(path) as members:
        for member, _file in members:
            target = chosen(member.name)
            if target is not None:
                # With the headers that belong to it, and what fills its last block.
                source.seek(member.offset)
                end = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                _copied(source, target, end - member.offset)


def end(file: BinaryIO) -> None:
    """Write the end of an archive that was made by `share`, and force all of it to the disk; raises OSError."""
    file.write(b"\0" * 2 * tarfile.BLOCKSIZE)
    file.flush()
    os.fsync(file.fileno())


def names(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yield the name of each member of an archive; raises BackupError where it is damaged, OSError."""
    with _reading(path) as members:
        for member, _source in members:
            yield member.name


def read_file(path: str | os.PathLike[str], name: str, most: int) -> bytes | None:
    """Return the content of a file in an archive, None where there is none.

    Raises:
        BackupError: the archive is damaged, or the file is longer than ``most`` bytes.
    """
    with _reading(path) as members:
        for member, source in members:
            if member.name == name and source is not None:
                if member.size > most:
                    raise BackupError(f"{name} of the backup is too long ({member.size} bytes).")
                return source.read(most)
    return None


def contents(root: str | os.PathLike[str], owned: bool = True) -> Contents:
    """Return what a directory holds that nobody writes to; raises OSError, UnsteadyError."""
    digest = _Digest(owned)
    for entry in steady.read(root):
        content = entry.target
        if stat.S_ISREG(entry.status.st_mode):
            source = _Hashed(entry.file or io.BytesIO(entry.data or b""))
            while source.read(_CHUNK):
                pass
            content = source.hash.hexdigest()
        digest.add(entry.path, entry.status, entry.size, content)
    return digest.result()


@contextmanager
def _reading(path: str | os.PathLike[str]) -> Iterator[Iterable[tuple[tarfile.TarInfo, BinaryIO | None]]]:
    """Read an archive from its beginning to its end; raises BackupError where it is damaged."""
    try:
        with tarfile.open(path, mode="r:", errorlevel=2) as tar:
            yield _members(tar)
    except (tarfile.TarError, EOFError) as error:
        raise BackupError(f"The archive {path} is damaged: {error}.") from error


def _members(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, BinaryIO | None]]:
    while (member := tar.next()) is not None:
        source = tar.extractfile(member) if member.isreg() else None
        yield member, source  # type: ignore[misc]  # an ExFileObject is one
        _forget(tar)


def _forget(tar: tarfile.TarFile) -> None:
    """Let go of the members that tarfile keeps of an archive, all of them."""
    vars(tar)["members"] = []


def _copied(source: BinaryIO, target: BinaryIO, size: int) -> None:
    while size:
        data = source.read(min(size, _CHUNK))
        if not data:
            raise EOFError("unexpected end of data")
        target.write(data)
        size -= len(data)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _dress(place: str, member: tarfile.TarInfo, owned: bool) -> None:
    """Give what was unpacked its owner, permissions and time; a change of owner takes bits of the mode away, so that comes first."""
    if owned:
        os.chown(place, member.uid, member.gid, follow_symlinks=False)
    if not member.issym():
        os.chmod(place, member.mode)
    seconds, _dot, fraction = member.pax_headers.get("mtime", f"{int(member.mtime)}").partition(".")
    moment = int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])
    os.utime(place, ns=(moment, moment), follow_symlinks=False)
