# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Remove what a platform has on a Docker host, and nothing that anybody else uses."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import EngineError
from ..locks.work_lock import IMAGES, WorkLock, holders, run_lock_name
from .labels import LABEL_MANAGED, LABEL_PROJECT, attached, is_of, name_of

with contextlib.suppress(ImportError):  # sdk.IMPORT_ERROR says so
    from docker.errors import APIError, DockerException, NotFound

if TYPE_CHECKING:
    from docker import APIClient

# Containers that are stopped at the same time.
_AT_ONCE = 8


@dataclass
class Removal:
    """What goes, by name; and what stays although it is the platform's, a sentence each that says why.

    Attributes:
        containers: containers.
        networks: networks.
        volumes: volumes.
        images: tags of images.
        kept: what stays.
    """

    containers: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.containers or self.networks or self.volumes or self.images)


def remove(
    client: APIClient,
    project: str,
    *,
    only: Sequence[str] | None = None,
    volumes: bool = False,
    images: bool = False,
    locks: str | os.PathLike[str],
    stop_timeout: int = 5,
    dry_run: bool = False,
) -> Removal:
    """Remove a platform and return what went.

    Args:
        client: an API client of the engine.
        project: the platform.
        only: remove these containers of the platform and nothing else; all of it by default.
        volumes: whether volumes go too.
        images: whether images that no other platform stands on go too.
        locks: directory of the platforms' locks, which tell whether another one is being built.
        stop_timeout: seconds a container has to end by itself.
        dry_run: only say what would go.

    Raises:
        EngineError: the engine refuses.
        LockError: the locks cannot be read.
    """
    try:
        listed = client.containers(all=True)
        ours = [entry for entry in listed if is_of(entry, project)]
        others = [entry for entry in listed if not is_of(entry, project)]
        chosen = [entry for entry in ours if only is None or name_of(entry) in only]
        done = Removal(containers=sorted(map(name_of, chosen)))
        if not dry_run:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(lambda entry: _remove_container(client, entry["Id"], stop_timeout), chosen))
        if only is not None:
            return done
        _networks(client, project, others, done, dry_run)
        if volumes:
            _volumes(client, project, others, done, dry_run)
        if images:
            _images(client, project, others, done, locks, dry_run)
    except (DockerException, OSError) as error:
        raise EngineError(f"The Docker Engine refuses to remove something: {error}") from error
    return done


def _networks(
    client: APIClient, project: str, others: Sequence[Mapping[str, Any]], done: Removal, dry_run: bool
) -> None:
    used = attached(others)
    for entry in client.networks(filters={"label": f"{LABEL_PROJECT}={project}"}):
        name = entry["Name"]
        if name in used:
            done.kept.append(
                f"The network {name} stays: {_listed(used[name])} of somebody else {_is(used[name])} on it. "
                f"Disconnect {_it(used[name])} (docker network disconnect {name} {used[name][0]}) and run this again."
            )
            continue
        done.networks.append(name)
        if not dry_run:
            client.remove_network(entry["Id"])


def _volumes(
    client: APIClient, project: str, others: Sequence[Mapping[str, Any]], done: Removal, dry_run: bool
) -> None:
    used: dict[str, list[str]] = {}
    for entry in others:
        for mount in entry.get("Mounts") or ():
            if mount.get("Type") == "volume":
                used.setdefault(mount.get("Name", ""), []).append(name_of(entry))
    for entry in client.volumes(filters={"label": f"{LABEL_PROJECT}={project}"})["Volumes"] or ():
        name = entry["Name"]
        if name in used:
            done.kept.append(
                f"The volume {name} stays: {_listed(used[name])} of somebody else {_use(used[name])} it."
            )
            continue
        done.volumes.append(name)
        if not dry_run:
            client.remove_volume(name)


def _images(
    client: APIClient,
    project: str,
    others: Sequence[Mapping[str, Any]],
    done: Removal,
    locks: str | os.PathLike[str],
    dry_run: bool,
) -> None:
    # Runs of other platforms wait while this is held, see `work_lock.for_run`.
    lock = WorkLock(locks, IMAGES).hold("teardown", f"removes the images of '{project}'", wait=60)
    with contextlib.nullcontext() if dry_run else lock:
        if at_work := _others_at_work(locks, project):
            done.kept.append(
                f"The images stay, because another platform may be using them: {at_work}. "
                "Run this again when that has ended."
            )
            return
        candidates = [
            (entry, _layers(client, entry["Id"]))
            for entry in client.images(filters={"label": f"{LABEL_MANAGED}=true"})
        ]
        used = [_layers(client, image) for image in {entry["ImageID"] for entry in others}]
        for entry in unused(candidates, used):
            for tag in _names(entry):
                if dry_run or _remove_image(client, tag):
                    done.images.append(tag)


def _names(image: Mapping[str, Any]) -> list[str]:
    """The tags of an image, or its id where it has none; engines before 25 say of such a one that it has this tag."""
    return [tag for tag in image["RepoTags"] or () if tag != "<none>:<none>"] or [str(image["Id"])]


def _others_at_work(locks: str | os.PathLike[str], project: str) -> str:
    """Return which other platforms are worked on and by whom; empty where none is."""
    own = (IMAGES, run_lock_name(project))
    return ", ".join(
        f"{name.removeprefix(run_lock_name(''))} ({holder})"
        for name, holder in holders(locks).items()
        if name not in own
    )


def unused(
    candidates: Iterable[tuple[Mapping[str, Any], Sequence[str]]], used: Iterable[Sequence[str]]
) -> list[Mapping[str, Any]]:
    """Return the images on which no used one stands, children before their parents.

    Args:
        candidates: images, each with its layers.
        used: the layers of each image that somebody uses.
    """
    standing_on = {tuple(layers[:count]) for layers in used for count in range(1, len(layers) + 1)}
    free = [(entry, layers) for entry, layers in candidates if tuple(layers) not in standing_on]
    return [entry for entry, _layers in sorted(free, key=lambda pair: -len(pair[1]))]


def _layers(client: APIClient, image: str) -> list[str]:
    try:
        return list(client.inspect_image(image)["RootFS"].get("Layers") or ())
    except NotFound:
        return []  # gone since, or a container's image that was removed by force


def _remove_image(client: APIClient, reference: str) -> bool:
    try:
        client.remove_image(reference)
    except APIError as error:
        # Gone already with the last that stood on it, or in use by a container that was made meanwhile.
        if error.status_code not in (404, 409):
            raise
        return False
    return True


def _remove_container(client: APIClient, identifier: str, stop_timeout: int) -> None:
    with contextlib.suppress(NotFound):  # removed meanwhile
        client.stop(identifier, timeout=stop_timeout)
        client.remove_container(identifier, force=True)


def _listed(names: Sequence[str]) -> str:
    return f"the container{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _is(names: Sequence[str]) -> str:
    return "are" if len(names) > 1 else "is"


def _it(names: Sequence[str]) -> str:
    return "them" if len(names) > 1 else "it"


def _use(names: Sequence[str]) -> str:
    return "use" if len(names) > 1 else "uses"
