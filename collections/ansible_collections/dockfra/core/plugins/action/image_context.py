# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Put a build context in place; see the documentation of the module of the same name."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.errors import DockfraError
from ..plugin_utils.controller.failures import failed
from ..plugin_utils.controller.images import Image
from ..plugin_utils.controller.trees import send

_ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "sources": {"type": "list", "elements": "list", "required": True},
}


class ActionModule(ActionBase):
    """Collects the context on the controller and sends it in one module call."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        sources = tuple((str(place), str(source)) for place, source in arguments["sources"])
        try:
            context = Image("", "", (), sources).context()
        except DockfraError as error:
            return failed(result, error)
        result.update(send(self, task_vars or {}, arguments["path"], context, directory_mode="0755"))
        return result
