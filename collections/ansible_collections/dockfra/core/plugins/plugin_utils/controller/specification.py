# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The container of a service, as options of ``community.docker.docker_container``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.common.text.formatters import human_to_bytes

from ...module_utils.containers.labels import LABEL_PROJECT, LABEL_SERVICE
from ...module_utils.errors import TopologyError
from ...module_utils.topology.model import Service, Volume
from ...module_utils.topology.topology import Topology

CONFIG_MOUNT = "/etc/dockfra"

# A dual-stack network (see Placement.ipv6_subnet) only orders the gateways: containers speak IPv4 alone, for nothing keeps
# the IPv6 of two bridges apart on engines before 27.
_SYSCTLS = {"net.ipv6.conf.all.disable_ipv6": "1"}


def specification(topology: Topology, service: Service, image: str, directory: str) -> dict[str, Any]:
    """Return the specification of a service's container, without the labels that hash it.

    Args:
        topology: where the service is.
        service: whose container it is.
        image: reference of its image.
        directory: where its configuration files are on the Docker host; empty when it has none.

    Raises:
        TopologyError: a limit is no number of bytes.
    """
    values = service.variables
    memory = memory_limit(service)
    declared = {key: str(value) for key, value in values["dockfra_env"].items()}
    wanted: dict[str, Any] = {
        "name": topology.container_name(service.name),
        "image": image,
        # Docker makes the host name an alias on every network, so it must not be the service's name (see Placement.aliases).
        "hostname": topology.container_name(service.name),
        "user": f"{service.uid}:{service.uid}",
        "env": {**topology.environment(service.name), **declared},
        "networks": [
            {"name": topology.network_name(network), "aliases": topology.aliases(service, network)}
            for network in service.networks
        ],
        "published_ports": [port.binding for port in service.published],
        "mounts": _mounts(topology, service, directory),
        "tmpfs": [f"{path}:{_tmpfs_options(options)}" for path, options in _tmpfs(values).items()],
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opts": ["no-new-privileges"],
        "memory": memory,
        "memory_swap": memory,
        "pids_limit": values["dockfra_pids"],
        "sysctls": _SYSCTLS,
        "init": values["dockfra_init"],
        "restart_policy": "unless-stopped",
        "stop_timeout": values["dockfra_stop_timeout"],
        "log_driver": "json-file",
        "log_options": {"max-size": "10m", "max-file": "3"},
        "labels": {LABEL_PROJECT: topology.project, LABEL_SERVICE: service.name},
    }
    # docker_container takes an empty value of these for something to be set.
    if service.health.command:
        wanted["healthcheck"] = {
            "test": ["CMD", *service.health.command],
            "interval": f"{values['dockfra_health_interval']}s",
            "timeout": "10s",
            "start_period": "60s",
        }
    if values["dockfra_cpu_shares"]:
        wanted["cpu_shares"] = values["dockfra_cpu_shares"]
    if values.get("dockfra_command"):
        wanted["command"] = values["dockfra_command"]
    if service.groups:
        wanted["groups"] = service.groups
    return wanted


def _mounts(topology: Topology, service: Service, directory: str) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = [
        {
            "type": "volume",
            "source": topology.volume_name(volume.name),
            "target": volume.path,
            "read_only": volume.read_only,
            # Who may write gives a fresh volume its owner and first content, whoever comes first.
            **({"no_copy": True} if volume.read_only else {}),
            # Docker makes a missing volume with these.
            "labels": {LABEL_PROJECT: topology.project},
            **_in_memory(volume),
        }
        for volume in topology.volumes(service.name)
    ]
    binds = [(bind.source, bind.path, bind.read_only) for bind in service.binds]
    if directory:
        binds.append((directory, CONFIG_MOUNT, True))
    mounts += [
        {"type": "bind", "source": source, "target": path, "read_only": read_only}
        for source, path, read_only in binds
    ]
    return mounts


def _in_memory(volume: Volume) -> dict[str, Any]:
    """What makes Docker mount a memory file system as a volume, the same for all its containers."""
    if not volume.memory:
        return {}
    options = {"type": "tmpfs", "device": "tmpfs", "o": volume.memory}
    return {"volume_driver": "local", "volume_options": options}


def memory_limit(service: Service) -> int:
    """Return the bytes of memory that a service may have; raises TopologyError when its limit is no number of bytes."""
    limit = str(service.variables["dockfra_memory"])
    try:
        return human_to_bytes(limit.upper())
    except ValueError as error:
        raise TopologyError(
            [f"{service.name}: dockfra_memory is '{limit}'; write it like 256m or 1g."]
        ) from error


def _tmpfs(values: Mapping[str, Any]) -> dict[str, str]:
    return {"/tmp": "", "/run": "", **values["dockfra_tmpfs"]}  # noqa: S108  inside the container, in memory


def _tmpfs_options(options: str) -> str:
    return options or "rw,noexec,nosuid,nodev,size=64m,mode=1777"
