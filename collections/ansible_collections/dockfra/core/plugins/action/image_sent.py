# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Send images from one Docker host to another; see the documentation of the module of the same name."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.errors import DockfraError
from ..plugin_utils.controller import shipping
from ..plugin_utils.controller.cancel import ended_in_order
from ..plugin_utils.controller.failures import failed
from ..plugin_utils.controller.reach import Host

_ARGUMENTS = {
    "source": {"type": "str", "required": True},
    "target": {"type": "str", "required": True},
    "chains": {"type": "list", "elements": "list", "required": True},
}


class ActionModule(ActionBase):
    """Works on the controller, through which the archive flows."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        hostvars = (task_vars or {})["hostvars"]
        chains = [[str(name) for name in chain] for chain in arguments["chains"]]
        try:
            source, target = (Host(arguments[end], self, hostvars) for end in ("source", "target"))
            with ended_in_order():
                sent = shipping.send(
                    source, target, chains, Display().display, check=bool(self._task.check_mode)
                )
        except DockfraError as error:
            return failed(result, error)
        result.update(changed=bool(sent.images), images=sent.images, size=sent.size, seconds=sent.seconds)
        return result
