# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Say what is wrong with a machine; see the documentation of the module of the same name."""

from __future__ import annotations

import socket
import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ..module_utils.doctor import examine, network
from ..module_utils.doctor.finding import OK, WRONG, Finding
from ..module_utils.errors import TopologyError
from ..plugin_utils.controller import pins
from ..plugin_utils.controller.desired import Platform
from ..plugin_utils.controller.specification import memory_limit

_ARGUMENTS = {"docker_host": {"type": "str", "default": ""}}

# What the whole platform needs (README.md, "Requirements"); a host needs its share of the memory.
_MEMORY = 2 * 1024**3
_DISK = 4 * 1024**3
_CONTROLLER_DISK = 256 * 1024**2
# How often a host is asked whose ssh ends too early to say why.
_TRIES = 3


class ActionModule(ActionBase):
    """Works out what a machine needs, looks at the way there, and lets the module look at the machine itself."""

    _requires_connection = True
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        where = arguments["docker_host"]
        found: list[Finding] = []
        platform: Platform | None = None
        try:
            platform = Platform(
                self._templar, self._loader, task_vars["hostvars"], task_vars["groups"]["all"]
            )
            platform.check()
        except TopologyError as error:
            if not where:
                found += [Finding("inventory", WRONG, problem.rstrip(".")) for problem in error.problems]
        if where:
            found += self._way(where, task_vars["hostvars"][where]) + self._machine(
                self._needs(platform, where), task_vars
            )
            found += self._name(platform, where, task_vars["hostvars"][where])
        else:
            found += self._machine(self._own_needs(platform), task_vars)
        name = where or "controller"
        result.update(changed=False, findings=[{"host": name, **finding._asdict()} for finding in found])
        return result

    def _needs(self, platform: Platform | None, where: str) -> dict[str, Any]:
        """What a Docker host needs, as options of the module."""
        if platform is None:
            return {"memory": _MEMORY, "disk": _DISK}
        services = list(platform.topology.containers())
        here = [service for service in services if service.docker_host == where]
        share = sum(map(memory_limit, here)) / (sum(map(memory_limit, services)) or 1)
        return {
            "project": platform.topology.project,
            "ports": [
                f"{port.address}:{port.publish}"
                for service in here
                for port in service.ports
                if port.publish is not None
            ],
            "memory": int(_MEMORY * share),
            "disk": _DISK,
        }

    def _own_needs(self, platform: Platform | None) -> dict[str, Any]:
        """What the controller needs."""
        place = platform.settings["dockfra_state_dir"] if platform else "."
        return {"checks": list(examine.CONTROLLER), "disk": _CONTROLLER_DISK, "directory": place}

    def _ask(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """What the module says; raises AnsibleError where it cannot be run."""
        for _try in range(_TRIES - 1):
            try:
                return self._module(options, task_vars)
            except AnsibleConnectionFailure as error:
                if not isinstance(error.__cause__, OSError):
                    raise
                # ssh ended while it was still being written to, and its own words, which say why, were not read.
        return self._module(options, task_vars)

    def _module(self, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        said: dict[str, Any] = self._execute_module(
            module_name="dockfra.core.doctor", module_args=options, task_vars=task_vars
        )
        return said

    def _machine(self, options: dict[str, Any], task_vars: dict[str, Any]) -> list[Finding]:
        """What the module finds there, and the clock."""
        before = time.time()
        try:
            said = self._ask(options, task_vars)
        except AnsibleError as error:
            reason = " ".join(str(error).split()).rstrip(".")
            remedy = "Try it by hand with ssh; the inventory has the address (ansible_host), user (ansible_user) and port (ansible_port)."
            return [Finding("reach", WRONG, f"Ansible cannot work there: {reason}", remedy)]
        if "findings" not in said:
            reason = str(said.get("module_stderr") or said.get("msg") or "no answer").strip().splitlines()[-1]
            remedy = "It needs Python 3.11 or newer (apt-get install python3), and a way to root (sudo)."
            return [Finding("reach", WRONG, f"Nothing can be run there: {reason.rstrip('.')}", remedy)]
        clock = network.clock(before, float(said["now"]), time.time())
        return [*(Finding(**finding) for finding in said["findings"]), clock]

    def _way(self, where: str, variables: Any) -> list[Finding]:
        """Whether the machine is reached safely."""
        if self._connection.transport != "ssh":
            return [Finding("reach", OK, f"It is reached by the connection {self._connection.transport}")]
        address = network.address(str(variables.get("ansible_host") or where))
        # What is right goes without saying, and a name may be known to ssh alone.
        told = [address] if address.level == WRONG else []
        return [*told, pins.pinned(where, self._connection)]

    def _name(self, platform: Platform | None, where: str, variables: Any) -> list[Finding]:
        """Whether the platform's name leads to the machine with the reverse proxy."""
        name = str(platform.settings.get("dockfra_domain") or "") if platform else ""
        if platform is None or not name:
            return []
        if where not in {service.docker_host for service in platform.topology.reverse_proxies()}:
            return []
        known = str(variables.get("ansible_host") or socket.gethostname())
        return [network.domain(name, network.addresses(known))]
