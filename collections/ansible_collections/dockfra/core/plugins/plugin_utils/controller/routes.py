# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Where images are built and where they are sent, for a platform on several Docker hosts: each is built on one of them only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Chain = Sequence[Mapping[str, Any]]


@dataclass
class Routes:
    """What becomes of the images that Docker hosts lack.

    Attributes:
        builder: the Docker host that builds.
        builds: the images to build there by the service that waits for them, the parents first.
        levels: how many levels of images that are.
        needs_base_image: whether one of them stands directly on the base image.
        transfers: for each other Docker host that lacks images its name (``target``), and ``images``: each with the ``service``
            that needs it and its ``chain``, the references of the images it stands on and its own.
    """

    builder: str
    builds: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    levels: int = 0
    needs_base_image: bool = False
    transfers: list[dict[str, Any]] = field(default_factory=list)


def reference(image: Mapping[str, Any]) -> str:
    """Return the ``repository:tag`` of an image of a plan."""
    return f"{image['repository']}:{image['tag']}"


def wanted(plans: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the references of all images that those which a Docker host lacks are made of, in the plans of all hosts."""
    chains = (chain for plan in plans for _service, chain in _lacking(plan))
    return sorted({reference(image) for chain in chains for image in chain})


def assign(plans: Sequence[Mapping[str, Any]], builder: str, held: Collection[str]) -> Routes:
    """Return where each image that a Docker host lacks comes from.

    Args:
        plans: of all Docker hosts, as ``dockfra.core.plan`` returns them.
        builder: the Docker host that builds.
        held: the images of `wanted` that the builder has.
    """
    routes = Routes(builder)
    taken: set[str] = set()
    for plan in plans:
        images = []
        for service, chain in _lacking(plan):
            needed = [image for image in _to_build(chain, held) if reference(image) not in taken]
            taken.update(map(reference, needed))
            routes.builds[service] = [dict(image) for image in needed]
            images.append({"service": service, "chain": [reference(image) for image in chain]})
        if images and plan["docker_host"] != builder:
            routes.transfers.append({"target": plan["docker_host"], "images": images})
    all_builds = [image for images in routes.builds.values() for image in images]
    routes.levels = max((image["level"] + 1 for image in all_builds), default=0)
    routes.needs_base_image = any(image["level"] == 0 for image in all_builds)
    return routes


def _lacking(plan: Mapping[str, Any]) -> Iterable[tuple[str, Chain]]:
    """The services whose image a Docker host lacks, each with all images that it is made of."""
    return ((service["name"], service["chain"]) for service in plan["services"] if service["chain"])


def _to_build(chain: Chain, held: Collection[str]) -> list[Mapping[str, Any]]:
    """What is missing of a chain; parents are needed only when something missing stands on them."""
    missing: list[Mapping[str, Any]] = []
    for image in reversed(chain):
        if reference(image) in held:
            break
        missing.insert(0, image)
    return missing
