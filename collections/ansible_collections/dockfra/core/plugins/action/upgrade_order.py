# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Say in which order services are brought to their declared state; see the documentation of the module of the same name."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.topology import upgrades


class ActionModule(ActionBase):
    """Works on the controller."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            argument_spec={"plans": {"type": "list", "elements": "dict", "required": True}}
        )
        steps = upgrades.steps(service for plan in arguments["plans"] for service in plan["services"])
        return {**result, "changed": False, "steps": steps, "dockfra_steps": steps}
