# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all, and are on the disk when the call returns (Linux).

The content is written to a temporary file in the same directory, forced to the disk, and moved to its name; then the
directory is forced to the disk too. A symbolic link of that name is replaced, never followed. Whatever fails (a full disk,
a missing right) raises an OSError that names the file, leaves what was there before, and no temporary file.

A process that is killed may leave its temporary file. Writers that hold a lock give it a fixed name, so that the next one
removes it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TypeAlias

Path: TypeAlias = "str | os.PathLike[str]"
# A uid and a gid.
Owner: TypeAlias = "tuple[int, int]"

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def replace(
    path: Path,
    data: bytes,
    *,
    mode: int,
    owner: Owner | None = None,
    dir_fd: int | None = None,
    temporary: str | None = None,
) -> None:
    """Give a file this content, whether there is one or not.

    Args:
        path: the file; its directory exists.
        data: the whole content.
        mode: permission bits, whatever the umask.
        owner: uid and gid, by default the process's own.
        dir_fd: descriptor of the file's directory; ``path`` is a name in it then.
        temporary: name of the temporary file, for writers that hold a lock; by default one that nobody else has.

    Raises:
        OSError: nothing was changed.
    """
    with _placed(path, data, mode, owner, dir_fd, temporary) as (folder, new, name):
        os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)


def create(
    path: Path,
    data: bytes,
    *,
    mode: int,
    owner: Owner | None = None,
    dir_fd: int | None = None,
    temporary: str | None = None,
) -> None:
    """Make a file that was not there, as `replace` does; raises FileExistsError where something has its name."""
    with _placed(path, data, mode, owner, dir_fd, temporary) as (folder, new, name):
        os.link(new, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)


@contextlib.contextmanager
def prepared(
    folder: int, data: bytes, *, mode: int, owner: Owner | None = None, name: str | None = None
) -> Iterator[str]:
    """Have the content on the disk below a temporary name in an open directory, for `os.rename` or `os.link`.

    The name is gone afterwards. Whoever moved the file forces the directory to the disk.
    """
    temporary = name or f".{os.urandom(8).hex()}.new"
    if name:
        # It may be a second name of a finished file: not to be written to.
        remove(name, dir_fd=folder)
    descriptor = os.open(temporary, _NEW, 0o600, dir_fd=folder)
    try:
        try:
            write_all(descriptor, data)
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        yield temporary
    finally:
        remove(temporary, dir_fd=folder)


@contextlib.contextmanager
def opened_directory(path: Path) -> Iterator[int]:
    """Have a descriptor of a directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Force to the disk which names a directory holds."""
    with opened_directory(path) as folder:
        os.fsync(folder)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it: a file system that becomes full may take a part."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def remove(path: Path, *, dir_fd: int | None = None) -> None:
    """Remove a file, if there is one."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path, dir_fd=dir_fd)


def inherited_owner(folder: int) -> Owner | None:
    """To whom a file in an open directory belongs where root writes it for the directory's owner; None where nobody does."""
    if os.geteuid() != 0:
        return None
    status = os.fstat(folder)
    return (status.st_uid, status.st_gid) if status.st_uid else None


@contextlib.contextmanager
def _placed(
    path: Path, data: bytes, mode: int, owner: Owner | None, dir_fd: int | None, temporary: str | None
) -> Iterator[tuple[int, str, str]]:
    """Have the content in the file's directory; yields that directory, and both names in it."""
    parent, name = os.path.split(os.fspath(path))
    try:
        with opened_directory(parent or ".") if dir_fd is None else contextlib.nullcontext(dir_fd) as folder:
            with prepared(folder, data, mode=mode, owner=owner, name=temporary) as new:
                yield folder, new, name
            os.fsync(folder)
    except OSError as error:
        # The system names a temporary file, or none: a write to a descriptor says nothing of it.
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
