# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Put a service's configuration in place; see the documentation of the module of the same name."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.errors import DockfraError
from ..plugin_utils.controller.desired import Platform
from ..plugin_utils.controller.failures import failed
from ..plugin_utils.controller.trees import send


class ActionModule(ActionBase):
    """Renders on the controller and sends the files in one module call."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, arguments = self.validate_argument_spec(
            argument_spec={"services": {"type": "list", "elements": "str"}}
        )
        names = arguments["services"]
        names = [task_vars["inventory_hostname"]] if names is None else names
        begun = [{"name": name, "state": "begun"} for name in names]
        result.update(changed=False, created=[], updated=[], removed=[], dockfra_service=begun)
        if not names:
            return result
        try:
            platform = Platform(
                self._templar, self._loader, task_vars["hostvars"], task_vars["groups"]["all"], only=names
            )
            desired = [platform.desired(name) for name in names]
        except DockfraError as error:
            return failed(result, error)
        for entry in desired:
            options = {"owner": entry.service.uid, "directory_mode": "0500"}
            sent = send(self, task_vars, entry.directory, entry.files, **options)
            if sent.get("failed") or len(desired) == 1:
                return {**result, **sent}
            result["changed"] |= sent["changed"]
            for key in ("created", "updated", "removed"):
                result[key] += [f"{entry.service.name}: {path}" for path in sent[key]]
        return result
