# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Write the operator's files; see the documentation of the module of the same name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils.errors import DockfraError
from ..module_utils.file_tree import WantedFile, write_file
from ..module_utils.topology import Service, Topology
from ..plugin_utils.desired import Platform

_ARGUMENTS = {"changes": {"type": "int", "default": 0}}


class ActionModule(ActionBase):
    """Works on the controller only."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        try:
            platform = Platform(self._templar, self._loader, task_vars["hostvars"], task_vars["groups"]["all"])
            services = [describe(platform.topology, service) for service in platform.topology.services.values()]
            files = platform.render_operator_files({"dockfra_services": services})
            updated = self._write(Path(platform.settings["dockfra_state_dir"]), files)
        except DockfraError as error:
            raise AnsibleActionFail(str(error)) from None
        count = arguments["changes"]
        headline = f"{count} service{'s' if count != 1 else ''} brought to the declared state." if count else "Nothing to do."
        result.update(changed=bool(updated), updated=updated, dockfra_summary=f"{headline}\n\n{files['access.txt']}")
        result["diff"] = [{"before": "", "after": f"{name}\n"} for name in updated]
        return result

    def _write(self, directory: Path, files: dict[str, str]) -> list[str]:
        updated = []
        for name, text in files.items():
            path = directory / name
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                updated.append(name)
                if not self._task.check_mode:
                    write_file(path, WantedFile(text.encode(), 0o600))
        return updated


def describe(topology: Topology, service: Service) -> dict[str, Any]:
    """Return a service as plain data for templates."""
    return {
        "name": service.name,
        "container": topology.container_name(service.name),
        "description": service.variables.get("dockfra_description", ""),
        "user": service.user,
        "networks": list(service.networks),
        "ports": [
            {"name": port.name, "port": port.number, "publish": port.publish, "networks": list(port.networks)}
            for port in service.ports
        ],
        "logins": list(service.variables.get("dockfra_ssh_logins") or ()),
        "routes": [dict(route) for route in service.variables.get("dockfra_routes") or ()],
        "address": service.external_address,
        "publish_address": service.variables.get("dockfra_publish_address", ""),
    }
