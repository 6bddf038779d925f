# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Which volumes of a Docker host a backup takes."""

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
