# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The options of a container: how each is read from the engine, compared with what is wanted, and handed on to be set.

A *specification* is a mapping of option names to values in the terms of ``community.docker.docker_container``. What it does
not mention must be at Docker's default, so a setting added by hand is a difference too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .labels import LABELS

# What `docker update` can set on a running container and no specification does.
_OTHER_LIMITS = (
    "NanoCpus",
    "CpuPeriod",
    "CpuQuota",
    "CpusetCpus",
    "CpusetMems",
    "MemoryReservation",
)
_SECOND = 1_000_000_000  # Docker counts durations in nanoseconds
_ANY_ADDRESS = "0.0.0.0"  # noqa: S104  how Docker's empty address reads in a specification

_Details = Mapping[str, Any]
_Image = Mapping[str, Any]


def _as_it_is(value: Any, _image: _Image) -> Any:
    return value


def _sorted(value: Any, _image: _Image) -> list[str]:
    return sorted(map(str, value or ()))


@dataclass(frozen=True)
class Option:
    """One option of a container.

    Attributes:
        name: what a specification and a plan call it.
        get: its value, from what ``GET /containers/{id}/json`` says (Docker Engine API 1.41 and later).
        want: the same for a specification's value and what `image_defaults` says of the image.
        default: what a specification means that does not mention it.
        strict: whether ``docker_container`` is told that nothing may be there besides what is wanted.
    """

    name: str
    get: Callable[[_Details], Any]
    want: Callable[[Any, _Image], Any] = _as_it_is
    default: Any = None
    strict: bool = False


def _config(key: str, default: Any = None) -> Callable[[_Details], Any]:
    return lambda container: container["Config"].get(key) or default


def _host(key: str, default: Any = None) -> Callable[[_Details], Any]:
    return lambda container: container["HostConfig"].get(key) or default


def _host_list(key: str) -> Callable[[_Details], list[str]]:
    return lambda container: sorted(container["HostConfig"].get(key) or ())


def _pairs(environment: Sequence[str]) -> dict[str, str]:
    return {name: value for name, _separator, value in (entry.partition("=") for entry in environment)}


def _in_order(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return dict(sorted(mapping.items()))


def _wanted_environment(value: Mapping[str, Any] | None, image: _Image) -> dict[str, str]:
    own = {key: str(text) for key, text in (value or {}).items()}
    return _in_order({**_pairs(image.get("env") or ()), **own})


def _wanted_health(value: Mapping[str, Any] | None, _image: _Image) -> list[Any] | None:
    if not value:
        return None
    times = (int(value[key].rstrip("s")) for key in ("interval", "timeout", "start_period"))
    return [value["test"], *times]


def _observed_health(container: _Details) -> list[Any] | None:
    health = container["Config"].get("Healthcheck")
    if not health:
        return None
    return [
        health["Test"],
        *(health.get(key, 0) // _SECOND for key in ("Interval", "Timeout", "StartPeriod")),
    ]


def _observed_networks(container: _Details) -> dict[str, list[str]]:
    # Docker adds these by itself.
    own = {container["Id"][:12], container["Name"].lstrip("/")}
    networks = container["NetworkSettings"]["Networks"]
    return {name: sorted(set(network.get("Aliases") or ()) - own) for name, network in networks.items()}


def _wanted_mounts(value: Sequence[Mapping[str, Any]] | None, _image: _Image) -> list[str]:
    return sorted(
        f"{mount['source']}:{mount['target']}:{'ro' if mount['read_only'] else 'rw'}" for mount in value or ()
    )


def _observed_mounts(container: _Details) -> list[str]:
    return sorted(
        f"{mount['Name'] if mount['Type'] == 'volume' else mount['Source']}:{mount['Destination']}"
        f":{'rw' if mount['RW'] else 'ro'}"
        for mount in container.get("Mounts") or ()
        if mount["Type"] != "tmpfs"
    )


def _observed_ports(container: _Details) -> list[str]:
    return sorted(
        f"{_address(binding.get('HostIp') or _ANY_ADDRESS)}:{binding['HostPort']}:{port}"
        for port, bindings in (container["HostConfig"].get("PortBindings") or {}).items()
        for binding in bindings or ()
    )


def _address(value: str) -> str:
    return f"[{value}]" if ":" in value else value


OPTIONS = (
    Option(
        "image", lambda container: container["Image"], lambda _value, image: image.get("id", "not built yet")
    ),
    Option("hostname", _config("Hostname", "")),
    Option("user", _config("User", "")),
    Option(
        "env",
        lambda container: _in_order(_pairs(container["Config"].get("Env") or ())),
        _wanted_environment,
        strict=True,
    ),
    Option(
        "command",
        lambda container: container["Config"].get("Cmd"),
        lambda value, image: value or image.get("command"),
    ),
    Option(
        "entrypoint",
        lambda container: container["Config"].get("Entrypoint"),
        lambda value, image: value or image.get("entrypoint"),
    ),
    Option("healthcheck", _observed_health, _wanted_health),
    Option(
        "labels",
        lambda container: _in_order(
            {key: text for key, text in (container["Config"].get("Labels") or {}).items() if key in LABELS}
        ),
        lambda value, _image: _in_order(value or {}),
    ),
    Option(
        "networks",
        _observed_networks,
        lambda value, _image: {network["name"]: sorted(network["aliases"]) for network in value or ()},
        strict=True,
    ),
    Option("mounts", _observed_mounts, _wanted_mounts, strict=True),
    Option(
        "tmpfs",
        lambda container: sorted(
            f"{path}:{options}" for path, options in (container["HostConfig"].get("Tmpfs") or {}).items()
        ),
        _sorted,
        strict=True,
    ),
    Option("published_ports", _observed_ports, _sorted, strict=True),
    Option("read_only", _host("ReadonlyRootfs", False), default=False),
    Option("privileged", _host("Privileged", False), default=False),
    Option("capabilities", _host_list("CapAdd"), _sorted),
    Option("cap_drop", _host_list("CapDrop"), _sorted, strict=True),
    Option("security_opts", _host_list("SecurityOpt"), _sorted, strict=True),
    Option("groups", _host_list("GroupAdd"), _sorted, strict=True),
    Option(
        "devices",
        lambda container: [device["PathOnHost"] for device in container["HostConfig"].get("Devices") or ()],
        _sorted,
    ),
    Option(
        "host_namespaces",
        lambda container: [
            key
            for key in ("NetworkMode", "PidMode", "IpcMode", "UTSMode")
            if container["HostConfig"].get(key) == "host"
        ],
        default=[],
    ),
    Option("memory", _host("Memory", 0), default=0),
    Option("memory_swap", _host("MemorySwap", 0), default=0),
    Option(
        "other_limits",
        lambda container: {
            key: container["HostConfig"][key] for key in _OTHER_LIMITS if container["HostConfig"].get(key)
        },
        default={},
    ),
    Option("cpu_shares", _host("CpuShares", 0), default=0),
    Option("pids_limit", _host("PidsLimit", 0), default=0),
    Option(
        "sysctls",
        lambda container: _in_order(container["HostConfig"].get("Sysctls") or {}),
        lambda value, _image: _in_order(value or {}),
    ),
    Option("init", _host("Init", False), default=False),
    Option(
        "restart_policy",
        lambda container: (container["HostConfig"].get("RestartPolicy") or {}).get("Name") or "no",
        default="no",
    ),
    Option("stop_timeout", _config("StopTimeout")),
    Option("log_driver", lambda container: container["HostConfig"]["LogConfig"]["Type"], default="json-file"),
    Option(
        "log_options",
        lambda container: _in_order(container["HostConfig"]["LogConfig"].get("Config") or {}),
        lambda value, _image: _in_order(value or {}),
    ),
)


def wanted(specification: Mapping[str, Any], image: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the value of every option that a specification asks for.

    Args:
        specification: options of ``community.docker.docker_container``.
        image: what `image_defaults` says of the image, or None when it does not exist yet.
    """
    return {
        option.name: option.want(specification.get(option.name, option.default), image or {})
        for option in OPTIONS
    }


def observed(container: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of every option of a container as the engine describes it."""
    return {option.name: option.get(container) for option in OPTIONS}


def differences(wanted: Mapping[str, Any], observed: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the options that differ, each with its (wanted, observed) values."""
    return {key: (wanted[key], observed.get(key)) for key in wanted if wanted[key] != observed.get(key)}


def arguments(specification: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``community.docker.docker_container`` that make a container as specified."""
    return {
        **specification,
        # The container is on these networks from its start, and on no other.
        "networks_cli_compatible": True,
        "network_mode": specification["networks"][0]["name"],
        "comparisons": {option.name: "strict" for option in OPTIONS if option.strict},
    }


def image_defaults(image: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a container has from its image, as ``GET /images/{name}/json`` describes it."""
    config = image.get("Config") or {}
    return {
        "id": image["Id"],
        "env": config.get("Env") or [],
        "command": config.get("Cmd"),
        "entrypoint": config.get("Entrypoint"),
    }


def status(container: Mapping[str, Any]) -> str:
    """Return the life-cycle state in Docker's words: running, healthy, unhealthy, starting, exited, created, …"""
    state = container["State"]
    if state["Status"] == "running" and state.get("Health"):
        return str(state["Health"]["Status"])
    return str(state["Status"])
