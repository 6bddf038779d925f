# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Prove that a service serves a release; see the documentation of the module of the same name."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.errors import DockfraError, UnreachableError
from ..plugin_utils.controller.failures import failed
from ..plugin_utils.deploys import serving

_ARGUMENTS = {
    "service": {"type": "str", "required": True},
    "host": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "path": {"type": "str", "default": "/health"},
    "release": {"type": "str", "required": True},
    "seconds": {"type": "float", "default": serving.SECONDS},
}


class ActionModule(ActionBase):
    """Some HTTP requests from where Ansible runs."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        try:
            taken = serving.prove(
                *(options[name] for name in ("service", "host", "port", "path", "release", "seconds"))
            )
        except UnreachableError as error:
            return failed(result, error)
        except DockfraError as error:
            return {**failed(result, error), "dockfra_blamed": options["service"]}
        return {**result, "changed": False, "seconds": round(taken, 3)}
