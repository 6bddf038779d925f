# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Compare a container as it should be with the one Docker has.

Both sides are brought to one form, a *view*: a flat mapping of setting names to plain values. What a container
specification does not mention must be at Docker's default, so a setting added by hand is a difference too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

LABEL_PROJECT = "dockfra.project"
# On every image that a run made.
LABEL_MANAGED = "dockfra.managed"
LABEL_SERVICE = "dockfra.service"
LABEL_CONFIG = "dockfra.config"
LABEL_REVISION = "dockfra.revision"
# Others come from the image.
_LABELS = {LABEL_PROJECT, LABEL_SERVICE, LABEL_CONFIG, LABEL_REVISION}

# What `docker update` can set on a running container and no specification does.
_OTHER_LIMITS = (
    "NanoCpus",
    "CpuShares",
    "CpuPeriod",
    "CpuQuota",
    "CpusetCpus",
    "CpusetMems",
    "MemoryReservation",
)
_SECOND = 1_000_000_000  # Docker counts durations in nanoseconds
_ANY_ADDRESS = "0.0.0.0"  # noqa: S104  how Docker's empty address reads in a specification


def digest(value: Any) -> str:
    """Return a short stable hash of any JSON-like value: 16 hex digits of SHA-256."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def wanted_view(spec: Mapping[str, Any], image: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the view of a container specification.

    Args:
        spec: a container specification as the planner makes it; its keys are options of
            ``community.docker.docker_container``.
        image: what `image_view` says of the image, or None when it does not exist yet.
    """
    image = image or {}
    environment = {
        **_pairs(image.get("env") or ()),
        **{key: str(value) for key, value in spec["env"].items()},
    }
    health = spec.get("healthcheck") or {}
    return {
        "image": image.get("id", "not built yet"),
        "hostname": spec["hostname"],
        "user": spec["user"],
        "env": dict(sorted(environment.items())),
        "command": spec.get("command") or image.get("command"),
        "entrypoint": image.get("entrypoint"),
        "healthcheck": [
            health["test"],
            *(int(health[key].rstrip("s")) for key in ("interval", "timeout", "start_period")),
        ]
        if health
        else None,
        "labels": dict(sorted(spec["labels"].items())),
        "networks": {network["name"]: sorted(network["aliases"]) for network in spec["networks"]},
        "mounts": sorted(
            f"{mount['source']}:{mount['target']}:{'ro' if mount['read_only'] else 'rw'}"
            for mount in spec["mounts"]
        ),
        "tmpfs": sorted(spec["tmpfs"]),
        "ports": sorted(spec["published_ports"]),
        "read_only": spec["read_only"],
        "privileged": False,
        "cap_add": sorted(spec.get("capabilities") or ()),
        "cap_drop": sorted(spec["cap_drop"]),
        "security_opts": sorted(spec["security_opts"]),
        "groups": sorted(str(group) for group in spec.get("groups") or ()),
        "devices": [],
        "host_namespaces": [],
        "memory": spec["memory"],
        "other_limits": {},
        "pids_limit": spec["pids_limit"],
        "init": spec["init"],
        "restart_policy": spec["restart_policy"],
        "log": [spec["log_driver"], dict(sorted(spec["log_options"].items()))],
    }


def observed_view(container: Mapping[str, Any]) -> dict[str, Any]:
    """Return the view of a container as ``GET /containers/{id}/json`` describes it (Docker Engine API 1.41 and later)."""
    config, host = container["Config"], container["HostConfig"]
    health = config.get("Healthcheck") or {}
    return {
        "image": container["Image"],
        "hostname": config.get("Hostname") or "",
        "user": config.get("User") or "",
        "env": dict(sorted(_pairs(config.get("Env") or ()).items())),
        "command": config.get("Cmd"),
        "entrypoint": config.get("Entrypoint"),
        "healthcheck": [
            health["Test"],
            *(health.get(key, 0) // _SECOND for key in ("Interval", "Timeout", "StartPeriod")),
        ]
        if health
        else None,
        "labels": dict(
            sorted((key, value) for key, value in (config.get("Labels") or {}).items() if key in _LABELS)
        ),
        "networks": {
            name: sorted(
                set(network.get("Aliases") or ()) - {container["Id"][:12], container["Name"].lstrip("/")}
            )
            for name, network in container["NetworkSettings"]["Networks"].items()
        },
        "mounts": sorted(
            _mount(mount) for mount in container.get("Mounts") or () if mount["Type"] != "tmpfs"
        ),
        "tmpfs": sorted(f"{path}:{options}" for path, options in (host.get("Tmpfs") or {}).items()),
        "ports": sorted(_published(host.get("PortBindings") or {})),
        "read_only": bool(host.get("ReadonlyRootfs")),
        "privileged": bool(host.get("Privileged")),
        "cap_add": sorted(host.get("CapAdd") or ()),
        "cap_drop": sorted(host.get("CapDrop") or ()),
        "security_opts": sorted(host.get("SecurityOpt") or ()),
        "groups": sorted(host.get("GroupAdd") or ()),
        "devices": [device["PathOnHost"] for device in host.get("Devices") or ()],
        "host_namespaces": [
            key for key in ("NetworkMode", "PidMode", "IpcMode", "UTSMode") if host.get(key) == "host"
        ],
        "memory": host.get("Memory") or 0,
        "other_limits": {key: host[key] for key in _OTHER_LIMITS if host.get(key)},
        "pids_limit": host.get("PidsLimit") or 0,
        "init": bool(host.get("Init")),
        "restart_policy": (host.get("RestartPolicy") or {}).get("Name") or "no",
        "log": [host["LogConfig"]["Type"], dict(sorted((host["LogConfig"].get("Config") or {}).items()))],
    }


def image_view(image: Mapping[str, Any]) -> dict[str, Any]:
    """Return what matters of an image as ``GET /images/{name}/json`` describes it."""
    config = image.get("Config") or {}
    return {
        "id": image["Id"],
        "env": config.get("Env") or [],
        "command": config.get("Cmd"),
        "entrypoint": config.get("Entrypoint"),
    }


def is_of(entry: Mapping[str, Any], project: str) -> bool:
    """Whether a container, network or volume, as the engine lists them, is of a platform."""
    return bool((entry.get("Labels") or {}).get(LABEL_PROJECT) == project)


def name_of(entry: Mapping[str, Any]) -> str:
    """Return the name of a container, as the engine lists them."""
    return str(entry["Names"][0]).lstrip("/")


def attached(entries: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return which of these containers, as the engine lists them, are on which network."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        for network in (entry.get("NetworkSettings") or {}).get("Networks") or {}:
            found.setdefault(network, []).append(name_of(entry))
    return {network: sorted(names) for network, names in found.items()}


def status(container: Mapping[str, Any]) -> str:
    """Return the life-cycle state in Docker's words: running, healthy, unhealthy, starting, exited, created, …"""
    state = container["State"]
    if state["Status"] == "running" and state.get("Health"):
        return str(state["Health"]["Status"])
    return str(state["Status"])


def differences(wanted: Mapping[str, Any], observed: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ, each with its (wanted, observed) values."""
    return {key: (wanted[key], observed.get(key)) for key in wanted if wanted[key] != observed.get(key)}


def _pairs(environment: Sequence[str]) -> dict[str, str]:
    return {name: value for name, _separator, value in (entry.partition("=") for entry in environment)}


def _mount(mount: Mapping[str, Any]) -> str:
    source = mount["Name"] if mount["Type"] == "volume" else mount["Source"]
    return f"{source}:{mount['Destination']}:{'rw' if mount['RW'] else 'ro'}"


def _published(bindings: Mapping[str, Any]) -> list[str]:
    return [
        f"{binding.get('HostIp') or _ANY_ADDRESS}:{binding['HostPort']}:{port}"
        for port, entries in bindings.items()
        for binding in entries or ()
    ]
