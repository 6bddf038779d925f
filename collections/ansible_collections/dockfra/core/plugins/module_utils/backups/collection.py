# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Makes the archive of a place while everything goes on, and tries it out."""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence

from ..errors import BackupError
from . import archive, trial
from .parts import ARCHIVE, CONTROLLER, FILES, POSTGRES, Manifest, Part, Source, sha256_of
from .places import Host, check_room, used
from .postgres import Server

# Looks at data whose copy is broken and that itself is not: it changed at the wrong moment.
_LOOKS = 3
# Beside the data itself: tar's own, and what is written meanwhile.
_MARGIN = 64 * 1024 * 1024


def fresh(folder: str, owner: tuple[int, int]) -> None:
    """Make a directory for what is copied, empty and its owner's alone; what an ended run left there goes. Raises OSError.

    Raises:
        BackupError: something else has its name.
    """
    if os.path.islink(folder) or (os.path.lexists(folder) and not os.path.isdir(folder)):
        raise BackupError(f"{folder} is no directory; remove it.")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, mode=0o700)
    os.chown(folder, *owner)


def of_host(
    host: Host, place: str, sources: Sequence[Source], folder: str, owner: tuple[int, int]
) -> Manifest:
    """Make the archive of a Docker host and prove that it can be restored.

    Args:
        host: the Docker host.
        place: its name in the inventory.
        sources: its volumes, those last that others are copies of.
        folder: where the archive comes, see `fresh`.
        owner: uid and gid of who fetches it.

    Raises:
        BackupError: it cannot be made, or is not what it should be.
        OSError: the system refuses.
    """
    by_name = {source.volume: source for source in sources}
    needed = 3 * sum(used(host.directory(source.volume)) for source in sources) + _MARGIN
    fresh(folder, owner)
    check_room(folder, needed, "a copy of the platform's data and its trial")
    for look in range(_LOOKS):
        manifest = _collected(host, place, sources, folder)
        notes = trial.run(folder, manifest, host, by_name)
        copied_badly = [name for name in notes if not _broken_there(host, by_name[name])]
        if not copied_badly:
            break
        if look == _LOOKS - 1:
            said = notes[copied_badly[0]][0]
            raise BackupError(
                f"{copied_badly[0]} could not be copied as it is: {said}. Run the backup again."
            )
    parts = tuple(dataclasses.replace(part, notes=tuple(notes.get(part.name, ()))) for part in manifest.parts)
    manifest = dataclasses.replace(manifest, parts=parts)
    _hand_over(folder, manifest, owner)
    return manifest


def of_directories(project: str, directories: Mapping[str, str], folder: str, vault: str = "") -> Manifest:
    """Make the archive of directories of the controller, whoever they belong to, and prove that it can be unpacked.

    Args:
        project: the platform.
        directories: what is copied, by the name of its part.
        folder: where the archive comes, see `fresh`.
        vault: the file of Ansible Vault with the platform's secrets, where it keeps them in one.

    Raises:
        BackupError: it cannot be made, is not what it should be, or would lack the vault.
        OSError: the system refuses.
    """
    kept = _vault_in(directories, vault) if vault else ""
    owner = (os.geteuid(), os.getegid())
    fresh(folder, owner)
    check_room(folder, 3 * sum(map(used, directories.values())) + _MARGIN, "a copy of keys and secrets")
    begun = time.time()
    path = os.path.join(folder, ARCHIVE)
    with open(path, "xb+") as file:
        writer = archive.Writer(file)
        parts = tuple(
            Part(name, FILES, *writer.add(place, f"files/{name}", owned=False), owned=False)
            for name, place in directories.items()
        )
        writer.close()
    manifest = Manifest(project, CONTROLLER, begun, os.stat(path).st_size, sha256_of(path), parts, kept)
    trial.run(folder, manifest, None, {})
    _hand_over(folder, manifest, owner)
    return manifest


def _vault_in(directories: Mapping[str, str], vault: str) -> str:
    path = os.path.realpath(vault)
    for name, place in directories.items():
        folder = os.path.realpath(place)
        if os.path.commonpath([path, folder]) == folder:
            return f"{name}/{os.path.relpath(path, folder)}"
    raise BackupError(
        f"{vault} (dockfra_vault_file) is in none of the directories that are backed up ({', '.join(directories.values())}), and without it "
        "a backup has no keys and passwords. Put it into the inventory's directory."
    )


def _collected(host: Host, place: str, sources: Iterable[Source], folder: str) -> Manifest:
    begun = time.time()
    path = os.path.join(folder, ARCHIVE)
    parts: list[Part] = []
    with open(path, "wb+") as file:
        writer = archive.Writer(file)
        for source in sources:
            if source.kind == POSTGRES:
                parts += _databases(writer, Server(host, source), source, folder)
            else:
                name = f"{Part.FOLDERS[source.kind]}/{source.volume}"
                found = writer.add(host.directory(source.volume), name)
                parts.append(Part(source.volume, source.kind, *found))
        writer.close()
    return Manifest(host.project, place, begun, os.stat(path).st_size, sha256_of(path), tuple(parts))


def _databases(writer: archive.Writer, server: Server, source: Source, folder: str) -> Iterable[Part]:
    for database in server.databases():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            path = os.path.join(scratch, "dump")
            with open(path, "xb") as file:
                size = server.dump(database, file)
            rows = server.rows_of_dump(path)
            name = f"{source.volume}/{database}"
            writer.add(scratch, f"{Part.FOLDERS[POSTGRES]}/{name}")
            yield Part(name, POSTGRES, rows.tables, size, rows.digest, roles=server.roles())


def _broken_there(host: Host, source: Source) -> bool:
    """Whether what is copied has a fault itself."""
    place = host.directory(source.volume)
    return bool(list(trial.notes_on(place)) or trial.git_notes(place, host, source))


def _hand_over(folder: str, manifest: Manifest, owner: tuple[int, int]) -> None:
    path = os.path.join(folder, ARCHIVE)
    os.chmod(path, 0o600)
    os.chown(path, *owner)
    manifest.write(folder, owner)
