# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Filters that answer questions about the topology; each is documented in the file of its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..module_utils.topology import Service, Topology, ssh_ports

_ANSWERS = (
    "dockfra_address",
    "dockfra_docker_host",
    "dockfra_networks",
    "dockfra_port_offset",
    "dockfra_ports",
    "dockfra_ssh_port",
    "dockfra_ssh_user",
    "dockfra_host_key",
    "dockfra_user",
)


def ssh_peers(hosts: Iterable[str], hostvars: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the SSH servers that service ``name`` can reach, with what a client needs to know of each."""
    services = []
    for host in hosts:
        values = hostvars[host]
        if "dockfra_networks" in values:
            services.append(Service.from_variables(host, {key: values[key] for key in _ANSWERS if key in values}))
    return [_peer(service) for service in Topology("", services).ssh_peers(name)]


def _peer(service: Service) -> dict[str, Any]:
    values = service.variables
    external = bool(service.external_address)
    return {
        "name": service.name,
        "address": service.external_address or service.name,
        "port": int(values.get("dockfra_ssh_port") or 22) if external else ssh_ports(service)[0].number,
        "user": values.get("dockfra_ssh_user") or service.user,
        "host_key": values.get("dockfra_host_key") or "",
        "host_key_name": service.name,
    }


class FilterModule:
    """Filters of the topology."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"ssh_peers": ssh_peers}
