# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Refuse what a playbook does not take; see the documentation of the module of the same name."""

from __future__ import annotations

import os
import sys
from typing import Any

from ansible import context
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars

from ..module_utils.errors import UsageError
from ..plugin_utils.controller import arguments, placeholders
from ..plugin_utils.controller.failures import failed

_ARGUMENTS = {
    "variables": {"type": "list", "elements": "str", "default": []},
    "texts": {"type": "list", "elements": "str", "default": []},
    "inventory": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """Works on the controller only, and looks at nothing else when nothing was given."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, wanted = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        given = load_extra_vars(self._loader)
        problems = arguments.templates_in(given, wanted["texts"])
        taken = {*wanted["variables"], *wanted["texts"]}
        if set(given) - taken:
            settings = self._settings(task_vars)
            problems += arguments.unknown(given, taken, settings, self._playbook())
        hostvars = task_vars["hostvars"]
        left = placeholders.find(hostvars._inventory, hostvars.raw_get)
        problems += placeholders.problems(left, os.path.basename(str(task_vars.get("inventory_dir") or "")))
        if wanted["inventory"] and not arguments.inventory_named(sys.argv[1:], os.environ):
            problems.append(
                "This cannot be undone, so it has to be said where: name the inventory, like -i inventories/local."
            )
        if problems:
            return failed(result, UsageError("\n".join(problems)))
        result.update(changed=False)
        return result

    def _settings(self, task_vars: dict[str, Any]) -> set[str]:
        root = os.path.dirname(str(task_vars.get("ansible_config_file") or "")) or os.getcwd()
        inventory = task_vars["hostvars"]._inventory
        return arguments.role_variables(self._loader, root) | arguments.inventory_variables(
            inventory, self._loader
        )

    def _playbook(self) -> str:
        # The one that was started, which may import the one with this task.
        return os.path.basename(next(iter(context.CLIARGS.get("args") or ()), "")) or "This playbook"
