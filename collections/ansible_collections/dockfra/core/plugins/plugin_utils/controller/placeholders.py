# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a person has still to fill in of an inventory that is kept as a skeleton: values that begin with ``FILL_IN``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible._internal._datatag._tags import Origin
from ansible.inventory.group import Group
from ansible.inventory.host import Host
from ansible.inventory.manager import InventoryManager

MARK = "FILL_IN"


@dataclass(frozen=True)
class Placeholder:
    """A value that is to be filled in.

    Attributes:
        entity: the group or host that has it.
        variable: its name.
        wanted: what it is to be, in words.
        place: where it is written, ``file:line``, if known.
    """

    entity: str
    variable: str
    wanted: str
    place: str = ""

    @property
    def name(self) -> str:
        """How it is called: by the variable, for a host with that in front (``app-server.ansible_host``)."""
        return self.variable if self.entity in ("all", "docker_hosts") else f"{self.entity}.{self.variable}"


def find(inventory: InventoryManager, effective: Callable[[str], Mapping[str, Any]]) -> list[Placeholder]:
    """Return the placeholders of an inventory that are still in force.

    Args:
        inventory: the inventory.
        effective: returns the variables of a host, with all that is set beside the inventory.
    """
    return [
        placeholder
        for entity in (*inventory.groups.values(), *inventory.hosts.values())
        for placeholder in _written(entity)
        if _in_force(placeholder, entity, effective)
    ]


def problems(left: list[Placeholder], inventory: str) -> list[str]:
    """Return a sentence for each placeholder that is left, and what to do."""
    if not left:
        return []
    told = [
        f"{entry.name} is to be filled in: {entry.wanted}." + (f" ({entry.place})" if entry.place else "")
        for entry in left
    ]
    return [
        *told,
        f"Run ./init.sh {inventory}, which asks, or ./init.sh {inventory} --set {left[0].name}=VALUE. Nothing was touched.",
    ]


def _written(entity: Group | Host) -> Iterator[Placeholder]:
    # A host's own: what it has of its groups is theirs.
    for variable, value in entity.vars.items():
        if isinstance(value, str) and value.startswith(MARK):
            origin = Origin.get_tag(value)
            place = f"{os.path.relpath(origin.path)}:{origin.line_num}" if origin and origin.path else ""
            yield Placeholder(
                entity.name, str(variable), str(value).removeprefix(MARK).lstrip(": ").rstrip("."), place
            )


def _in_force(
    placeholder: Placeholder, entity: Group | Host, effective: Callable[[str], Mapping[str, Any]]
) -> bool:
    """Whether any host has it: a file beside the inventory may say something else."""
    hosts = entity.get_hosts() if isinstance(entity, Group) else [entity]
    return any(str(effective(host.name).get(placeholder.variable, "")).startswith(MARK) for host in hosts)
