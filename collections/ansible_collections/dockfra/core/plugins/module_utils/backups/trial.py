# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Proves that an archive can be restored: all of it is unpacked aside and restored to databases of other names, and compared.

What is equal can still be broken, and was so before: the chain of an audit log, tickets and git repositories are looked at too, by the
programs that read them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence

from ..audit import chain
from ..audit.files import opened
from ..audit.lines import MAX_LINE, decode
from ..errors import AuditError, BackupError
from ..files import atomic
from ..tickets import reading
from . import archive
from .parts import ARCHIVE, GIT, POSTGRES, Manifest, Part, Source
from .places import Host
from .postgres import TRIED, Server

# Below the directory of the archive.
SCRATCH = "trial"
_DUMP = "dump"
_MOST_NOTES = 20


def run(
    folder: str, manifest: Manifest, host: Host | None, sources: Mapping[str, Source]
) -> dict[str, list[str]]:
    """Restore every part aside, and compare it with the manifest.

    Args:
        folder: where the archive and its manifest are; there has to be room for all of it once more.
        manifest: what should be in it.
        host: the Docker host, None where there are files only.
        sources: the volumes, by name.

    Returns:
        What is wrong with the content of each part, by its name; parts without fault are left out.

    Raises:
        BackupError: it is not what the manifest says.
        OSError: there is no room.
    """
    scratch = os.path.join(folder, SCRATCH)
    shutil.rmtree(scratch, ignore_errors=True)
    os.mkdir(scratch, 0o700)
    try:
        found = {}
        for part in manifest.parts:
            place = os.path.join(scratch, part.name.replace("/", "."))
            notes = _tried(os.path.join(folder, ARCHIVE), part, place, host, sources)
            if notes:
                found[part.name] = notes[:_MOST_NOTES]
            shutil.rmtree(place)
        return found
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _tried(path: str, part: Part, place: str, host: Host | None, sources: Mapping[str, Source]) -> list[str]:
    archive.unpack(path, part.folder, place, part.owned)
    if part.kind == POSTGRES:
        volume, _slash, database = part.name.partition("/")
        if host is None or volume not in sources:
            raise BackupError(f"The database {part.name} cannot be tried without its server.")
        compare_database(Server(host, sources[volume]), part, os.path.join(place, _DUMP), database + TRIED)
        return []
    compare_files(part, place)
    notes = list(notes_on(place))
    if part.kind == GIT and host is not None and part.name in sources:
        notes += git_notes(place, host, sources[part.name])
    return notes


def compare_files(part: Part, place: str) -> None:
    """Raise BackupError where a directory is not what a part says."""
    found = archive.contents(place, part.owned)
    if found.digest != part.digest:
        raise BackupError(
            f"{part.name} comes back with {found.files} files and {found.bytes} bytes that are not those of the backup "
            f"({part.files} files, {part.bytes} bytes)."
        )


def compare_database(server: Server, part: Part, dump: str, tried: str) -> None:
    """Restore a dump to a database of another name, compare, and remove that; raises BackupError."""
    try:
        server.add_roles(part.roles)
        server.restore(dump, tried)
        rows = server.rows(tried)
        if rows.digest != part.digest:
            raise BackupError(
                f"The database {part.name} comes back with {rows.rows} rows in {rows.tables} tables that are not those of the backup "
                f"({part.files} tables)."
            )
    finally:
        server.drop(tried)


def notes_on(place: str) -> Iterator[str]:
    """Yield what is wrong with audit logs, ledgers and tickets in a directory, wherever that is."""
    for folder, _folders, names in os.walk(place):
        inside = os.path.relpath(folder, place)
        for name in sorted(names):
            path = os.path.join(folder, name)
            if name.endswith(".jsonl") and _is_chain(path):
                try:
                    problems: Sequence[str] = chain.verify(path).problems
                except AuditError as error:
                    problems = [str(error).replace(place, "")]
                yield from (
                    f"{os.path.normpath(os.path.join(inside, name))}: {problem}" for problem in problems
                )
    if os.path.lexists(os.path.join(place, reading.LAST_ID)):
        with atomic.opened_directory(place) as tickets:
            _tickets, bad = reading.read_all(tickets)
        yield from (f"{entry.name}: {entry.kind}: {entry.reason}" for entry in bad if not entry.apart)


def _is_chain(path: str) -> bool:
    """Whether a file is a log whose lines are chained."""
    try:
        with opened(path) as file:
            entry = decode(file.readline(MAX_LINE).removesuffix(b"\n"))
    except OSError:
        return False
    return entry is not None and "previous" in entry


def git_notes(place: str, host: Host, source: Source) -> list[str]:
    """Return what git itself finds wrong with the repositories in a directory of a Docker host; raises BackupError."""
    found = []
    for name in sorted(os.listdir(place)):
        if os.path.isdir(os.path.join(place, name, "objects")):
            command = (
                "git",
                "-c",
                "safe.directory=*",
                f"--git-dir=/backup/{name}",
                "fsck",
                "--full",
                "--no-dangling",
            )
            code, said = host.read_only_run(source.container, command, user=source.uid, folder=place)
            if code != 0:
                found.append(
                    f"{name}: git fsck ends with {code}: {said.splitlines()[-1] if said else 'no word'}"
                )
    return found
