# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Compare the platform with its inventory; see the documentation of the module of the same name."""

from __future__ import annotations

import os
import pwd
import time
from dataclasses import asdict
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.parsing.yaml.dumper import AnsibleDumper
from ansible.plugins.action import ActionBase

from ..module_utils.containers import host
from ..module_utils.errors import DockfraError, LockBusyError, TopologyError
from ..module_utils.locks import work_lock
from ..module_utils.locks.work_lock import Holder
from ..module_utils.topology import backups
from ..plugin_utils.controller import inventory_files, operator_files, planner, this_run
from ..plugin_utils.controller.desired import Platform
from ..plugin_utils.controller.failures import failed
from ..plugin_utils.controller.keyrings import checkout_identity

_ARGUMENTS = {
    "docker_host": {"type": "str", "required": True},
    "services": {"type": "list", "elements": "str", "required": True},
    "force": {"type": "bool", "default": False},
    "settled": {"type": "bool", "default": False},
    "lock": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """Works out the desired state on the controller and reads the actual one by one module call."""

    _requires_connection = True
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        try:
            strange = inventory_files.problems(
                task_vars.get("ansible_inventory_sources") or (),
                task_vars["groups"]["all"],
                task_vars["groups"],
            )
            if strange:
                raise TopologyError(strange)
            platform = Platform(
                self._templar, self._loader, task_vars["hostvars"], task_vars["groups"]["all"]
            )
            platform.check()
            plan, state = self._plan(platform, arguments, task_vars)
            if arguments["lock"]:
                result["locked"] = plan is not None
            if plan is None:
                return {**result, "changed": False}
            files = operator_files.render(platform)
            stale = operator_files.stale(operator_files.directory(platform), files)
            if arguments["settled"]:
                planner.check_settled(plan)
        except DockfraError as error:
            return failed(result, error)
        # The plan itself changes nothing; in check mode it speaks for all that would.
        result.update(
            plan.as_result(),
            changed=plan.work and self._task.check_mode,
            engine_version=state.get("engine_version", ""),
        )
        result["dockfra_pending"] = {service.name: service.reasons for service in plan.services}
        result["dockfra_total"] = plan.total
        result["dockfra_notes"] = _notes(plan)
        result["dockfra_summary"] = files[operator_files.ACCESS_MAP]
        result["stale_operator_files"] = stale
        result["published_ports"] = [
            asdict(port)
            for name in arguments["services"]
            if name in platform.topology.services
            and platform.topology.services[name].docker_host == arguments["docker_host"]
            for port in platform.topology.published_ports(name)
        ]
        result["backup_volumes"] = [
            asdict(source) for source in backups.sources(platform.topology, arguments["docker_host"])
        ]
        result["remade_volumes"] = backups.remade(platform.topology, arguments["docker_host"])
        monitor = platform.topology.places().get("monitor", "")
        on_host = [service.name for service in platform.topology.on_host(arguments["docker_host"])]
        result["watched_by"] = platform.topology.container_name(monitor) if monitor in on_host else ""
        if self._task.diff:
            result["diff"] = _diff(plan)
        return result

    def _plan(
        self, platform: Platform, arguments: dict[str, Any], task_vars: dict[str, Any]
    ) -> tuple[planner.HostPlan | None, dict[str, Any]]:
        """The plan and the state that it is made of; no plan where somebody else has the lock."""
        here = [
            service
            for service in platform.topology.containers()
            if service.docker_host == arguments["docker_host"]
        ]
        chosen = [service for service in here if service.name in arguments["services"]]
        desired = {service.name: platform.desired(service.name) for service in chosen}
        query = planner.query(platform, desired, arguments["docker_host"])
        if arguments["lock"] and not self._task.check_mode:
            state = self._locked(
                query, f"{platform.settings['dockfra_data_root']}/{work_lock.FOLDER}", task_vars
            )
        else:
            state = self._state(query, task_vars)
        if "lock_holder" in state:
            return None, state
        if state.get("failed"):
            raise AnsibleActionFail(
                state.get("msg") or "The state of the Docker host cannot be read.", result=state
            )
        limited = len(chosen) < len(here)
        plan = planner.compare(
            platform,
            desired,
            arguments["docker_host"],
            state,
            limited,
            arguments["force"],
            self._checkout(platform),
        )
        return plan, state

    def _locked(self, query: dict[str, Any], directory: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Take the platform's lock and read the state of the Docker host; or say who has it."""
        given = {
            "name": query["project"],
            "directory": directory,
            "free": [work_lock.IMAGES],
            "holder": this_run.holder().to_dict(),
        }
        state = self._state({**query, "lock": given}, task_vars)
        other = Holder.from_dict(state.get("lock_holder") or {})
        if other is not None and this_run.has_ended(other):
            return self._state({**query, "lock": {**given, "gone": other.to_dict()}}, task_vars)
        return state

    def _state(self, query: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Read the state of the Docker host: with a module, or right here where that is the same machine and user."""
        is_here = self._connection.transport == "local" and self._connection.become is None
        if is_here and not any(self._task.environment or ()):
            return _read_here(query)
        return self._execute_module(
            module_name="dockfra.core.docker_state_info", module_args=query, task_vars=task_vars
        )

    def _checkout(self, platform: Platform) -> dict[str, str]:
        """This checkout of the project as the owner of a platform."""
        return {
            "id": checkout_identity(platform.keyring(persist=not self._task.check_mode)),
            "checkout": platform.root,
            "who": os.environ.get("SUDO_USER") or pwd.getpwuid(os.geteuid()).pw_name,
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }


def _read_here(query: dict[str, Any]) -> dict[str, Any]:
    """What the module returns, in this process."""
    lock = query.pop("lock", None)
    try:
        if lock:
            work_lock.try_for_run(lock)
    except LockBusyError as error:
        return {"lock_holder": error.other}
    return host.read(**query)


def _notes(plan: planner.HostPlan) -> list[str]:
    """What a person should know of what is right as it is."""
    if not plan.releases:
        return []
    named = ", ".join(f"{each['service']} (commit {each['commit'][:12]})" for each in plan.releases)
    return [
        f"Releases were deployed that are made of other source than this checkout's, and they serve: {named}. "
        "What serves is the deploys' affair (docs/deploy.md); a run changes images only."
    ]


def _diff(plan: planner.HostPlan) -> list[dict[str, str]]:
    """One before/after pair for each thing the plan would change."""
    pairs: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
    for network in plan.networks:
        pairs.append(
            ("network " + network["name"], {}, {key: network[key] for key in ("internal", "ipv6", "subnets")})
        )
    if plan.link_account:
        pairs.append((f"account {plan.link_account['user']}", {}, {"state": "present"}))
    for volume in plan.volumes:
        pairs.append(("volume " + volume, {}, {"state": "present"}))
    for orphan in plan.orphans:
        pairs.append(("container " + orphan, {"state": "present"}, {}))
    for service in (service for service in plan.services if service.action != "wait"):
        head = f"{service.name} ({service.action}: {', '.join(service.reasons)})"
        for image in service.build:
            pairs.append((f"{service.name} image", {}, {"build": f"{image['repository']}:{image['tag']}"}))
        pairs.append((head, service.before, service.after))
    return [
        {"before_header": head, "after_header": head, "before": _yaml(before), "after": _yaml(after)}
        for head, before, after in pairs
    ]


def _yaml(value: dict[str, Any]) -> str:
    return (
        yaml.dump(value, Dumper=AnsibleDumper, default_flow_style=False, allow_unicode=True) if value else ""
    )
