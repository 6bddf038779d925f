# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Which volumes of a Docker host a backup takes, and which a restore begins anew."""

from __future__ import annotations

from ..backups.parts import Source
from .topology import Topology


def sources(topology: Topology, docker_host: str) -> list[Source]:
    """Return the volumes of a Docker host that are backed up, in the order in which they are read.

    Audit logs come last: what others keep of them, copies and how far they had come, is then never ahead of them.
    """
    found = []
    logs = {f"audit-{service.name}" for service in topology.audited()}
    for service in topology.on_host(docker_host):
        container = topology.container_name(service.name)
        for volume in topology.volumes(service.name):
            if volume.backup and not volume.read_only:
                found.append(Source(volume.name, volume.backup, container, volume.path, service.uid))
    return sorted(found, key=lambda source: source.volume in logs)


def remade(topology: Topology, docker_host: str) -> list[str]:
    """Return the volumes of a Docker host with what others have, which begins anew once these are restored: mirrors of audit logs."""
    collects = any(topology.collected_logs(service.name) for service in topology.on_host(docker_host))
    return [topology.collected] if collects else []


def docker_hosts(topology: Topology) -> list[str]:
    """Return the Docker hosts of a platform, in the order of the inventory."""
    return list(dict.fromkeys(service.docker_host for service in topology.services.values()))
