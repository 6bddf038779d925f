# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Bring keys and secrets back; see the documentation of the module of the same name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.errors import BackupError, DockfraError
from ..plugin_utils.controller import operator_files, restored
from ..plugin_utils.controller.desired import Platform
from ..plugin_utils.controller.failures import failed

_ARGUMENTS = {
    "folder": {"type": "path", "required": True},
    "moved": {"type": "bool", "default": False},
    "keep": {"type": "list", "elements": "path", "default": []},
}


class ActionModule(ActionBase):
    """Works on the controller only."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, options = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        try:
            platform = Platform(
                self._templar, self._loader, task_vars["hostvars"], task_vars["groups"]["all"]
            )
            vault = platform.settings["dockfra_vault_file"]
            here = restored.Keeping(
                os.path.abspath(operator_files.directory(platform)),
                str(Path(vault).absolute()) if vault else "",
                platform.settings["dockfra_vault_id"],
            )
            changed, before = restored.bring(
                options["folder"], here, options["moved"], tuple(options["keep"]), self._task.check_mode
            )
        except DockfraError as error:
            return failed(result, error)
        except (OSError, ValueError) as error:
            return failed(result, BackupError(f"Keys and secrets cannot be restored: {error}"))
        result.update(changed=changed, before=before)
        if here.vault:
            result["vault"] = here.vault
        return result
