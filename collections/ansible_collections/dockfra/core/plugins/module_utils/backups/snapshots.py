# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Brings what was collected into the repository, and proves that it comes back out of it."""

from __future__ import annotations

import glob
import os
import shutil
import time
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from ..errors import BackupError
from . import archive
from .parts import ARCHIVE, CONTROLLER, Manifest, Part
from .restic import Repository, Snapshot
from .trial import compare_files

HOSTS = "hosts"
# Beside what is stored, while it is read back.
_BACK = ".back"
_RESTORED = ".restored"
# Where the state directory was, until a restore has ended.
BEFORE = ".before-restore"


class Stored(NamedTuple):
    """A snapshot that was read back, whether the repository was made for it, and how many older ones went."""

    snapshot: Snapshot
    made: bool
    removed: int


def store(repository: Repository, folder: str, project: str, keep: Mapping[str, int]) -> Stored:
    """Store what lies in a directory (`parts`), read it back, compare, and remove what is older than is kept.

    Args:
        repository: where to.
        folder: with `HOSTS` in it.
        project: the platform.
        keep: see `Repository.forget`.

    Raises:
        RepositoryError: the repository cannot be used.
        BackupError: what comes back is not what was stored; older snapshots stay then.
        OSError: the system refuses.
    """
    made = not repository.exists()
    if made:
        repository.make()
    repository.unlock()
    snapshot = repository.store(folder, project)
    back = f"{folder}{_BACK}"
    shutil.rmtree(back, ignore_errors=True)
    os.mkdir(back, 0o700)
    try:
        repository.restore(snapshot, back)
        stored, found = manifests(folder, project), manifests(back, project)
        if found != stored:
            raise BackupError(
                f"The snapshot {snapshot.short} comes back from {repository.address} with other manifests than were stored."
            )
    finally:
        shutil.rmtree(back, ignore_errors=True)
    repository.check()
    return Stored(snapshot, made, repository.forget(project, keep))


def fetch(
    repository: Repository, name: str, folder: str, project: str
) -> tuple[Snapshot, dict[str, Manifest]]:
    """Bring a snapshot into an empty directory and prove that it is whole; returns it and its manifests by place.

    Raises:
        UsageError: the name is none.
        RepositoryError: there is no such repository or snapshot, or it is damaged.
        BackupError: the snapshot lacks something, or there is no room for it.
        OSError: the system refuses.
    """
    if not repository.exists():
        raise BackupError(
            f"There is no repository in {repository.address}; name it in dockfra_backup_repository."
        )
    snapshot = repository.snapshot(name, project)
    if repository.directory:
        # A restore tries for most of a minute to read what is missing or cut, as if a network were between.
        repository.check(lock=False)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, mode=0o700)
    try:
        repository.restore(snapshot, folder)
        return snapshot, manifests(folder, project)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def manifests(folder: str, project: str) -> dict[str, Manifest]:
    """Return the manifests in a directory by place, their archives compared with them; raises BackupError."""
    try:
        places = sorted(os.listdir(os.path.join(folder, HOSTS)))
    except OSError as error:
        raise BackupError("The snapshot holds no backup of a platform; take another one.") from error
    found = {}
    for place in places:
        inside = os.path.join(folder, HOSTS, place)
        manifest = Manifest.read(inside)
        if (manifest.project, manifest.place) != (project, place):
            raise BackupError(
                f"The snapshot holds {manifest.place} of '{manifest.project}' where {place} of '{project}' should be."
            )
        manifest.check(inside)
        found[place] = manifest
    if CONTROLLER not in found or len(found) < 2:
        raise BackupError(
            f"The snapshot is not whole: it holds only {', '.join(found) or 'nothing'}; take another one."
        )
    return found


def put_back(
    folder: str,
    name: str,
    path: str,
    keep: Collection[str] = (),
    dry_run: bool = False,
    change: Callable[[str], None] | None = None,
) -> tuple[bool, str]:
    """Bring a directory of the controller to what a snapshot has of it.

    What was there is kept beside it, with `BEFORE` in its name, as long as nobody removes that.

    Returns:
        Whether it differed, and where what was there is kept.

    Args:
        folder: of the snapshot, in the file system of the directory.
        name: of the part.
        path: the directory.
        keep: files in it that stay as they are.
        dry_run: only look.
        change: gets what was unpacked, before it takes its place, and makes it what is wanted here.

    Raises:
        BackupError: the snapshot has no such part, or another directory is in the way.
        OSError: the system refuses.
    """
    place = os.path.join(folder, HOSTS, CONTROLLER)
    part = _part(Manifest.read(place), name)
    # With the snapshot, which goes when the restore has ended, or is begun again.
    restored, before = os.path.join(folder, f"{name}{_RESTORED}"), f"{path}{BEFORE}"
    kept = recovered(path)
    if change is None and os.path.isdir(path) and archive.contents(path, owned=False).digest == part.digest:
        return False, ""
    if dry_run:
        return True, ""
    shutil.rmtree(restored, ignore_errors=True)
    shutil.rmtree(f"{path}{_RESTORED}", ignore_errors=True)  # of an earlier version
    os.makedirs(os.path.dirname(path), exist_ok=True)
    archive.unpack(os.path.join(place, ARCHIVE), part.folder, restored, owned=False)
    compare_files(part, restored)
    for file in keep:
        inside = os.path.relpath(file, path)
        if not inside.startswith("..") and os.path.isfile(file):
            os.makedirs(os.path.dirname(os.path.join(restored, inside)), mode=0o700, exist_ok=True)
            shutil.copy2(file, os.path.join(restored, inside))
    if change is not None:
        change(restored)
    os.sync()
    there = os.path.isdir(path)
    if there:
        # What an earlier try has kept is not lost to this one.
        before += f".{time.time_ns()}" if kept else ""
        os.rename(path, before)
    os.rename(restored, path)
    return True, before if there else ""


def recovered(path: str) -> list[str]:
    """Have a directory where it was, should a run of `put_back` have been killed between its renames.

    Returns:
        What such runs have kept of it. Raises OSError.
    """
    kept = sorted(glob.glob(f"{glob.escape(f'{path}{BEFORE}')}*"))
    if not os.path.lexists(path) and kept:
        os.rename(kept.pop(), path)
    return kept


def _part(manifest: Manifest, name: str) -> Part:
    for part in manifest.parts:
        if part.name == name:
            return part
    raise BackupError(f"The snapshot lacks {name}; take another one.")
