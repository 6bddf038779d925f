# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Bring a directory to exactly the files it should hold: content, owner and mode, and nothing else."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import FileTreeError
from . import atomic


@dataclass(frozen=True)
class WantedFile:
    """A file's content and permission bits."""

    content: bytes
    mode: int

    def fingerprint(self) -> str:
        """What `scan` says of this file once it is in place, owner left out."""
        return f"{self.mode:04o} {hashlib.sha256(self.content).hexdigest()}"


@dataclass
class Changes:
    """What `apply` did or would do, as paths relative to the directory."""

    created: list[str]
    updated: list[str]
    removed: list[str]

    def __bool__(self) -> bool:
        return bool(self.paths())

    def paths(self) -> list[str]:
        """All of them."""
        return [*self.created, *self.updated, *self.removed]


def check_relative(path: str) -> str:
    """Return ``path`` when it stays below the directory; raises FileTreeError otherwise."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or str(pure) in (".", "") or "\0" in path:
        raise FileTreeError(f"'{path}' is no path below the directory; use a relative path without '..'.")
    return str(pure)


def scan(directory: str | os.PathLike[str], owner: int | None = None) -> dict[str, str]:
    """Return a fingerprint (mode and SHA-256) of each regular file below a directory.

    Args:
        directory: the directory; one that does not exist has no files.
        owner: a file of another uid gets its owner added to its fingerprint, so that it differs from the wanted one.
    """
    root = Path(directory)
    found: dict[str, str] = {}
    if root.is_symlink():
        return found  # what it points to is not ours
    for folder, folders, files in os.walk(root):
        for name in [*files, *(name for name in folders if Path(folder, name).is_symlink())]:
            path = Path(folder, name)
            info = path.lstat()
            if not stat.S_ISREG(info.st_mode):
                found[path.relative_to(root).as_posix()] = "not a regular file"
                continue
            text = f"{stat.S_IMODE(info.st_mode):04o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
            foreign = owner is not None and info.st_uid != owner
            found[path.relative_to(root).as_posix()] = f"{text} uid={info.st_uid}" if foreign else text
    return found


def compare(wanted: Mapping[str, WantedFile], found: Mapping[str, str]) -> Changes:
    """Return what has to change so that ``found`` (see `scan`) becomes ``wanted``."""
    return Changes(
        created=sorted(set(wanted) - set(found)),
        updated=sorted(
            path for path in wanted if path in found and wanted[path].fingerprint() != found[path]
        ),
        removed=sorted(set(found) - set(wanted)),
    )


def apply(
    directory: str | os.PathLike[str],
    wanted: Mapping[str, WantedFile],
    owner: int | None = None,
    directory_mode: int = 0o700,
    dry_run: bool = False,
) -> Changes:
    """Make ``directory`` hold exactly the wanted files; each is replaced atomically.

    Args:
        directory: made when missing.
        wanted: content and mode by relative path.
        owner: uid and gid of all files and directories, or None for the caller's own.
        directory_mode: permission bits of the directory and those below it.
        dry_run: only report.

    Raises:
        FileTreeError: a path leaves the directory, or the file system refuses.
    """
    root = Path(directory)
    wanted = {check_relative(path): file for path, file in wanted.items()}
    try:
        changes = compare(wanted, scan(root, owner))
        if dry_run:
            return changes
        for path in changes.removed:
            (root / path).unlink()
        _make_directories(root, wanted, owner, directory_mode)
        _drop_empty_directories(root, wanted)
        for path in changes.created + changes.updated:
            _replace(root / path, wanted[path], owner)
    except OSError as error:
        where = error.filename or root
        raise FileTreeError(
            f"{where} cannot be written: {error.strerror}. Check its owner and the free space."
        ) from error
    return changes


def remove(directory: str | os.PathLike[str], dry_run: bool = False) -> bool:
    """Remove a directory and all below it; returns whether there was one."""
    exists = os.path.lexists(directory)
    if exists and not dry_run:
        try:
            if os.path.islink(directory):
                os.unlink(directory)
            else:
                shutil.rmtree(directory)
        except OSError as error:
            raise FileTreeError(
                f"{directory} cannot be removed: {error.strerror}. Check its owner."
            ) from error
    return exists


def _make_directories(root: Path, wanted: Mapping[str, WantedFile], owner: int | None, mode: int) -> None:
    folders = {root, *(root / parent for path in wanted for parent in PurePosixPath(path).parents)}
    root.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    for folder in sorted(folders):
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            folder.unlink()
        folder.mkdir(exist_ok=True)
        folder.chmod(mode)
        if owner is not None:
            os.chown(folder, owner, owner)


def write_file(path: Path, file: WantedFile) -> None:
    """Write one file atomically, its directory made (0700) when missing; raises FileTreeError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(path, file, None)
    except OSError as error:
        raise FileTreeError(
            f"{path} cannot be written: {error.strerror}. Check its owner and the free space."
        ) from error


def remove_file(path: Path) -> None:
    """Remove one file, if there is one; raises FileTreeError."""
    try:
        atomic.remove(path)
    except OSError as error:
        raise FileTreeError(
            f"{path} cannot be removed: {error.strerror}. Check the owner of its directory."
        ) from error


def _replace(path: Path, file: WantedFile, owner: int | None) -> None:
    atomic.replace(path, file.content, mode=file.mode, owner=None if owner is None else (owner, owner))


def _drop_empty_directories(root: Path, wanted: Mapping[str, WantedFile]) -> None:
    keep = {root / parent for path in wanted for parent in PurePosixPath(path).parents}
    for folder, _folders, _files in os.walk(root, topdown=False):
        path = Path(folder)
        if path != root and path not in keep:
            path.rmdir()
