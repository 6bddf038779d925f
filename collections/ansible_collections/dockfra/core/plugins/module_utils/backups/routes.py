# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Which part of a snapshot goes to which Docker host of the inventory that it is restored with.

A part belongs to a volume, and goes where that volume is today. Volumes of the same name on several Docker hosts are different things:
the part of one goes to the Docker host of that name. What finds no place, or more than one, is refused.

A Docker host gets an archive with all of its parts and a manifest, as it makes them for a backup. Members of archives are brought over
as they are, so that the digests of the parts hold.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import BinaryIO, NamedTuple

from ..errors import BackupError
from . import archive
from .parts import ARCHIVE, CONTROLLER, POSTGRES, Manifest, Part, Source, sha256_of, total
from .places import check_room
from .snapshots import HOSTS

# Beside what was fetched: what each Docker host of the inventory gets.
TARGETS = "targets"
_MARGIN = 64 * 1024 * 1024


class Way(NamedTuple):
    """A part of a snapshot, the place that it was on, and the Docker host that it goes to."""

    part: Part
    place: str
    target: str


def ways(
    found: Mapping[str, Manifest], hosts: Mapping[str, Sequence[Source]], without: Collection[str] = ()
) -> list[Way]:
    """Return the way of every part of a snapshot.

    Args:
        found: the snapshot's manifests, by place.
        hosts: the volumes of each Docker host of the inventory.
        without: names of parts, or of volumes, that are to be left out.

    Raises:
        BackupError: something has no place, or more than one; or there is nothing of what is to be left out.
    """
    parts = [(place, part) for place in found if place != CONTROLLER for part in found[place].parts]
    unknown = set(without) - {name for _place, part in parts for name in (part.name, part.volume)}
    if unknown:
        raise BackupError(
            f"dockfra_restore_without names {', '.join(sorted(unknown))}, of which the snapshot has nothing. Nothing was changed."
        )
    wanted = [(place, part) for place, part in parts if not {part.name, part.volume} & set(without)]
    chosen: list[Way] = []
    homeless: list[tuple[str, Part]] = []
    problems: list[str] = []
    for place, part in wanted:
        homes = {
            host: source
            for host, sources in hosts.items()
            for source in sources
            if source.volume == part.volume
        }
        if place in homes:
            homes = {place: homes[place]}
        if not homes:
            homeless.append((place, part))
        elif len(homes) > 1:
            problems.append(
                f"The snapshot has {part.name} of {place}, and in the inventory there is such a volume on {' and on '.join(homes)}, but no "
                f"Docker host of that name; call one of them so, or leave it out with {_leave_out([part])}."
            )
        else:
            ((target, source),) = homes.items()
            if (source.kind == POSTGRES) != (part.kind == POSTGRES):
                problems.append(
                    f"The snapshot has {part.name} as '{part.kind}', and the inventory says backup: {source.kind} of that volume; "
                    "say in dockfra_volumes what it was."
                )
            chosen.append(Way(part, place, target))
    problems += _meetings(chosen)
    if homeless:
        named = (
            f"{part.name} (of {place}, {part.files} files, {part.bytes} bytes)" for place, part in homeless
        )
        problems.append(
            f"The inventory has no place for {', '.join(named)}; take the inventory that the backup was made with, or leave that in the "
            f"snapshot and restore all else with {_leave_out(part for _place, part in homeless)}."
        )
    if problems:
        raise BackupError(f"{' '.join(problems)} Nothing was changed.")
    return chosen


def regroup(
    folder: str, found: Mapping[str, Manifest], hosts: Iterable[str], chosen: Sequence[Way]
) -> dict[str, Manifest]:
    """Make the archive of each Docker host of the inventory out of those of the snapshot, which are used up.

    Args:
        folder: with the snapshot.
        found: its manifests, by place; their archives were compared with them.
        hosts: the Docker hosts of the inventory.
        chosen: what `ways` returns.

    Returns:
        What each Docker host gets.

    Raises:
        BackupError: there is no room, or an archive is damaged.
        OSError: the system refuses.
    """
    shutil.rmtree(os.path.join(folder, TARGETS), ignore_errors=True)
    made: dict[str, Manifest] = {}
    mixed = []
    for target in hosts:
        os.makedirs(os.path.join(folder, TARGETS, target), mode=0o700)
        places = {way.place for way in chosen if way.target == target}
        parts = tuple(way.part for way in chosen if way.target == target)
        if len(places) == 1 and parts == found[min(places)].parts:
            (place,) = places
            os.rename(_archive(folder, HOSTS, place), _archive(folder, TARGETS, target))
            made[target] = dataclasses.replace(found[place], place=target)
        else:
            mixed.append(target)
    if mixed:
        _share(folder, [way for way in chosen if way.target in mixed], mixed)
    for target in mixed:
        own = [way for way in chosen if way.target == target]
        path = _archive(folder, TARGETS, target)
        made[target] = Manifest(
            project=found[CONTROLLER].project,
            place=target,
            time=min((found[way.place].time for way in own), default=found[CONTROLLER].time),
            size=os.stat(path).st_size,
            sha256=sha256_of(path),
            parts=tuple(way.part for way in own),
        )
    for target, manifest in made.items():
        manifest.write(os.path.join(folder, TARGETS, target))
    return made


def _share(folder: str, chosen: Sequence[Way], targets: Iterable[str]) -> None:
    """Write the archives of Docker hosts from those of the places, one after the other; each of these goes when it was read."""
    check_room(
        folder, total(way.part for way in chosen) + _MARGIN, "what each Docker host gets of the snapshot"
    )
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {
            target: stack.enter_context(open(_archive(folder, TARGETS, target), "xb")) for target in targets
        }
        for place in dict.fromkeys(way.place for way in chosen):
            homes = {way.part.folder: files[way.target] for way in chosen if way.place == place}
            path = _archive(folder, HOSTS, place)
            archive.share(path, lambda name, homes=homes: _home(name, homes))  # type: ignore[misc]
            os.unlink(path)
        for file in files.values():
            archive.end(file)


def _home(name: str, homes: Mapping[str, BinaryIO]) -> BinaryIO | None:
    """The archive that a member goes to: that of the part whose folder it is in."""
    words = name.split("/")
    return next((homes[head] for head in ("/".join(words[:2]), "/".join(words[:3])) if head in homes), None)


def _meetings(chosen: Sequence[Way]) -> Iterator[str]:
    """Say which parts would come to the same place."""
    seen: dict[tuple[str, str], Way] = {}
    for way in chosen:
        other = seen.setdefault((way.target, way.part.name), way)
        if other is not way:
            yield (
                f"The snapshot has {way.part.name} of {other.place} and of {way.place}, and the inventory has one place for both, on "
                f"{way.target}; take the inventory that the backup was made with, or leave both out with {_leave_out([way.part])}."
            )


def _leave_out(parts: Iterable[Part]) -> str:
    names = ",".join(sorted({part.name for part in parts}))
    return f"-e dockfra_restore_without={names}"


def _archive(folder: str, kind: str, place: str) -> str:
    return os.path.join(folder, kind, place, ARCHIVE)
