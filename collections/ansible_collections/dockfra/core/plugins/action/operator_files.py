# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Write the operator's files; see the documentation of the module of the same name."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.errors import DockfraError
from ..plugin_utils.controller import operator_files
from ..plugin_utils.controller.desired import Platform
from ..plugin_utils.controller.failures import failed


class ActionModule(ActionBase):
    """Works on the controller only."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        self.validate_argument_spec(argument_spec={})
        try:
            platform = Platform(
                self._templar, self._loader, task_vars["hostvars"], task_vars["groups"]["all"]
            )
            files, directory = operator_files.render(platform), operator_files.directory(platform)
            updated = operator_files.stale(directory, files)
            if not self._task.check_mode:
                operator_files.write(directory, files, updated)
        except DockfraError as error:
            return failed(result, error)
        result.update(changed=bool(updated), updated=updated)
        result["diff"] = [{"before": "", "after": f"{directory / name}\n"} for name in updated]
        return result
