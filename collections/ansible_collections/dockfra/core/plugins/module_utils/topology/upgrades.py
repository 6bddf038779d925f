# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""In which order a run replaces containers that serve, so that each finds what it cannot work without."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .topology import Topology


def needed(topology: Topology) -> dict[str, list[str]]:
    """Return the services without which each cannot work, those that these need among them, in the order of the inventory.

    Between Docker hosts that includes both ends of the link, and of a link the end to which it is opened.
    """
    direct = {name: set(names) for name, names in topology.needs().items()}
    for name, names in direct.items():
        names.update(topology.services[name].links)
        for other in tuple(names & topology.services.keys()):
            hosts = topology.services[name].docker_host, topology.services[other].docker_host
            if hosts[0] != hosts[1]:
                names.update(topology.tunnels[host].name for host in hosts if host in topology.tunnels)
    return {name: [other for other in direct if other in _closure(direct, name)] for name in direct}


def order(topology: Topology) -> list[str]:
    """Return all services, each behind those that it needs: the ends of links first, else in the order of the inventory."""
    needs = needed(topology)
    found: dict[str, None] = {}

    def visit(name: str) -> None:
        for other in needs[name]:
            if other not in found and name not in needs[other]:
                visit(other)
        found.setdefault(name)

    for name in sorted(topology.services, key=lambda name: not topology.services[name].is_tunnel):
        visit(name)
    return list(found)


def steps(services: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """Return the steps of a run, each with the services that it works on side by side.

    Args:
        services: those with something to do, as ``dockfra.core.plan`` returns them. One that is ``alone`` has a step of its
            own, in the order of ``turn``. All others start together, as soon as none of those is left that they need.
    """
    left = sorted(services, key=lambda service: int(service["turn"]))
    found = []
    while left:
        waits_for = {service["name"] for service in left if service["alone"]}
        together = [
            service for service in left if not service["alone"] and not waits_for & set(service["needs"])
        ]
        step = together or [next(service for service in left if service["alone"])]
        names = [str(service["name"]) for service in step]
        left = [service for service in left if service["name"] not in names]
        found.append(names)
    return found


def _closure(direct: Mapping[str, Collection[str]], name: str) -> set[str]:
    """Whatever a service needs, directly or not, without itself."""
    found: set[str] = set()
    left = [name]
    while left:
        for other in direct.get(left.pop(), ()):
            if other not in found:
                found.add(other)
                left.append(other)
    return found - {name}
