# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The whole examination of one machine, from that machine. It changes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..containers import engine, host
from ..errors import DockfraError
from . import network, room, system
from .finding import OK, WARNING, WRONG, Finding

# What there is to look at, in the order in which people want to know it.
DOCKER_HOST = (
    "system", "architecture", "python", "rights", "engine", "ports", "memory", "disk", "cgroups", "overlay", "namespaces",
    "firewall",
)  # fmt: skip
CONTROLLER = ("system", "python", "programs", "disk")

_LEAST_ENGINE = (20, 10)
_DOCKER_ROOT = "/var/lib/docker"
_PROGRAMS = {"ssh": "openssh-client", "ssh-keygen": "openssh-client", "git": "git"}
# Of what is needed for everything, once the images are there.
_REST = 4


class Machine:
    """A machine that is examined.

    Args:
        project: the platform, whose own containers are in nobody's way.
        ports: places (``address:port``) that are to be published.
        memory: bytes that are needed.
        disk: bytes that are needed.
        directory: where those are needed besides the engine's own place.
    """

    def __init__(self, project: str, ports: Sequence[str], memory: int, disk: int, directory: str) -> None:
        self._ports, self._memory, self._disk, self._directory = ports, memory, disk, directory
        self._state = host.read(project, ports=ports)
        self._info: Mapping[str, Any] = {}
        with contextlib.suppress(DockfraError):
            self._info = engine.connect().get("/info")

    def examine(self, checks: Sequence[str]) -> list[Finding]:
        """Return what is found for these checks, each of `DOCKER_HOST` or `CONTROLLER`."""
        found: list[Finding] = []
        for check in checks:
            said = self._checks()[check]()
            found += [said] if isinstance(said, Finding) else said
        return found

    def _checks(self) -> dict[str, Callable[[], Finding | list[Finding]]]:
        return {
            "system": system.release,
            "architecture": system.architecture,
            "python": system.python,
            "rights": system.rights,
            "programs": lambda: system.programs(_PROGRAMS),
            "engine": self._engine,
            "ports": lambda: network.ports(self._ports, self._state["busy_ports"]),
            "memory": lambda: room.memory(self._memory),
            "disk": self._room,
            "cgroups": system.cgroups,
            "overlay": lambda: system.overlay(driver=str(self._info.get("Driver") or "")),
            "namespaces": system.namespaces,
            "firewall": system.firewall,
        }

    def _engine(self) -> Finding:
        if self._state["engine_error"]:
            # It is installed by the first run; what stands in the way of that is another finding.
            return Finding("engine", OK, "No Docker Engine answers; the first run installs and starts one")
        version = str(self._state["engine_version"])
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers < _LEAST_ENGINE:
            least = ".".join(f"{part:02}" for part in _LEAST_ENGINE)
            return Finding(
                "engine",
                WRONG,
                f"Docker Engine is {version}",
                f"Install version {least} or newer: apt-get install docker.io.",
            )
        if self._info.get("Swarm", {}).get("LocalNodeState") == "active":
            return Finding(
                "engine",
                WARNING,
                f"Docker Engine {version} is in a swarm, whose services this platform does not see",
            )
        return Finding("engine", OK, f"Docker Engine is {version}")

    def _room(self) -> list[Finding]:
        if self._directory:
            return [room.disk(self._directory, self._disk, "what a run makes")]
        there = bool(self._state.get("containers"))
        needed = self._disk // _REST if there else self._disk
        purpose = "further versions of the images" if there else "images and data"
        return [room.disk(str(self._info.get("DockerRootDir") or _DOCKER_ROOT), needed, purpose)]
