# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The names that an action can be about, from the inventory: services, the targets of deploys, and who needs whom."""

from __future__ import annotations

import graphlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from ..errors import AutopilotError
from ..text import shown

# Groups that no inventory has to name: the services that have releases, and those that lead to engines or to another Docker host.
RELEASED = "released"
GATEWAYS = "gateways"
ALL = "all"
_DERIVED = (ALL, RELEASED, GATEWAYS)


def key(domain: str, name: str) -> str:
    """Return how a subject is called where those of several kinds are: a service and a target may have one name."""
    return f"{domain}/{name}"


class Inventory(NamedTuple):
    """The names there are.

    Attributes:
        groups: the services of each group, in the order of the inventory; with `ALL`, `RELEASED` and `GATEWAYS`.
        targets: the services that each deploy brings.
        needs: the services without which a service cannot work; those that need none are left out.
    """

    groups: Mapping[str, tuple[str, ...]]
    targets: Mapping[str, tuple[str, ...]]
    needs: Mapping[str, tuple[str, ...]]

    @classmethod
    def from_variables(
        cls, groups: Mapping[str, Iterable[str]], hosts: Mapping[str, Mapping[str, Any]]
    ) -> Inventory:
        """Make it of an inventory's groups and of the variables of its hosts.

        Args:
            groups: the hosts of each group.
            hosts: the variables of each host, in the order of the inventory.

        Raises:
            AutopilotError: a service needs what is no service, or itself in the end.
        """
        services = [name for name, variables in hosts.items() if "dockfra_networks" in variables]
        targets: dict[str, list[str]] = {}
        for name in services:
            if release := hosts[name].get("dockfra_release"):
                targets.setdefault(str(release["target"]), []).append(name)
        found = {
            name: tuple(host for host in members if host in services) for name, members in groups.items()
        }
        found |= {
            ALL: tuple(services),
            RELEASED: tuple(name for each in targets.values() for name in each),
            GATEWAYS: tuple(
                name
                for name in services
                if hosts[name].get("dockfra_docker_socket") or "dockfra_links" in hosts[name]
            ),
        }
        needs = {name: tuple(map(str, hosts[name].get("dockfra_needs") or ())) for name in services}
        made = cls(
            {name: members for name, members in found.items() if members or name in _DERIVED},
            {target: tuple(members) for target, members in targets.items()},
            {name: needed for name, needed in needs.items() if needed},
        )
        made.in_order(services)
        return made

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Inventory:
        """Return what `to_dict` made plain data of; raises AutopilotError for anything else."""
        try:
            parts = [
                {str(name): tuple(map(str, members)) for name, members in data[field].items()}
                for field in cls._fields
            ]
        except (KeyError, TypeError, AttributeError) as error:
            raise AutopilotError(
                f"What there is to act on is not told ({error!r}); run site.yml again."
            ) from error
        return cls(*parts)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            field: {name: list(members) for name, members in values.items()}
            for field, values in self._asdict().items()
        }

    @property
    def services(self) -> tuple[str, ...]:
        """All services."""
        return self.groups[ALL]

    def select(self, patterns: Collection[str]) -> tuple[str, ...]:
        """Return the services that names of groups and of services mean; one after ``!`` is left out.

        Raises:
            AutopilotError: there is neither a group nor a service of a name.
        """
        chosen: set[str] = set()
        left_out: set[str] = set()
        for pattern in patterns:
            name = pattern.removeprefix("!")
            members = self.groups.get(name) or ((name,) if name in self.services else ())
            if not members and name not in _DERIVED:
                raise AutopilotError(f"{shown(name)} is neither a group of the inventory nor a service")
            (left_out if pattern.startswith("!") else chosen).update(members)
        return tuple(name for name in self.services if name in chosen - left_out)

    def around(self, subject: str) -> set[str]:
        """Return a subject and, of a target, its services: all that what is done to it touches. Subjects are as `key` names them."""
        domain, _slash, name = subject.partition("/")
        members = self.targets.get(name, ()) if domain == "target" else ()
        return {subject, *(key("service", member) for member in members)}

    def target_of(self, service: str) -> str:
        """Return the target whose deploys bring a service; an empty text where none does."""
        return next((target for target, members in self.targets.items() if service in members), "")

    def in_order(self, services: Iterable[str]) -> list[str]:
        """Return services so that each stands behind those that it needs; else in the order of the inventory.

        Raises:
            AutopilotError: a service needs what is no service, or itself in the end.
        """
        known = list(self.services)
        sorter = graphlib.TopologicalSorter({name: self.needs.get(name, ()) for name in known})
        try:
            sorter.prepare()
        except graphlib.CycleError as error:
            raise AutopilotError(
                f"dockfra_needs runs in a circle: {' → '.join(reversed(error.args[1]))}"
            ) from error
        found: list[str] = []
        while sorter.is_active():
            ready = sorter.get_ready()
            if strangers := sorted(set(ready) - set(known)):
                raise AutopilotError(f"dockfra_needs names {shown(strangers[0])}, which is no service")
            found += sorted(ready, key=known.index)
            sorter.done(*ready)
        wanted = set(services)
        return [name for name in found if name in wanted]
