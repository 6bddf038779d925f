# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Say where images are built and where they go; see the documentation of the module of the same name."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.containers.labels import LABEL_PROJECT
from ..module_utils.errors import EngineError
from ..plugin_utils.controller import routes
from ..plugin_utils.controller.failures import failed

_ARGUMENTS = {
    "builder": {"type": "str", "required": True},
    "plans": {"type": "list", "elements": "dict", "required": True},
}


class ActionModule(ActionBase):
    """Reads the images of the Docker host that builds, to which the task is delegated."""

    _requires_connection = True
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        plans, builder = arguments["plans"], arguments["builder"]
        wanted, held = routes.wanted(plans), set()
        if wanted:
            state = self._execute_module(
                module_name="dockfra.core.docker_state_info",
                # Of no platform: the images alone are of interest.
                module_args={"project": f"none of {LABEL_PROJECT}", "images": wanted},
                task_vars=task_vars,
            )
            if state.get("failed"):
                return {**result, **state}
            if state["engine_error"]:
                return failed(
                    result,
                    EngineError(
                        f"{builder}, which builds the images of all Docker hosts: {state['engine_error']}"
                    ),
                )
            held = set(state["images"])
        result.update(changed=False, **asdict(routes.assign(plans, builder, held)))
        return result
