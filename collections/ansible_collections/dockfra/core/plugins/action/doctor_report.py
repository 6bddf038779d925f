# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Tell what examinations have found; see the documentation of the module of the same name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.doctor.finding import OK, WRONG, Finding
from ..module_utils.errors import DockfraError, TopologyError
from ..module_utils.files.tree import WantedFile, write_file
from ..plugin_utils.controller.failures import failed

_ARGUMENTS = {
    "findings": {"type": "list", "elements": "dict", "required": True},
    "path": {"type": "str", "default": ""},
}


class ActionModule(ActionBase):
    """Works on the controller only."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        found = arguments["findings"]
        wrong = [self._text(finding) for finding in found if finding["level"] == WRONG]
        others = [self._text(finding) for finding in found if finding["level"] not in (OK, WRONG)]
        result.update(changed=False, wrong=len(wrong), warnings=len(others))
        try:
            if arguments["path"]:
                report = {"wrong": len(wrong), "warnings": len(others), "findings": found}
                text = json.dumps(report, indent=2, ensure_ascii=False)
                write_file(Path(arguments["path"]), WantedFile(f"{text}\n".encode(), 0o644))
        except (DockfraError, OSError) as error:
            problem = f"{arguments['path']} cannot be written: {error}. Name another file, like -e doctor_file=/tmp/doctor.json."
            return failed(result, TopologyError([problem]))
        result["dockfra_notes"] = others
        if wrong:
            return failed(result, TopologyError(wrong))
        result["dockfra_summary"] = self._summary(found, len(others))
        return result

    def _text(self, finding: dict[str, Any]) -> str:
        said = Finding(*(str(finding.get(key) or "") for key in Finding._fields))
        return f"{finding['host']}: {said.text}"

    def _summary(self, found: list[dict[str, Any]], warnings: int) -> str:
        lines = [f"{finding['host']:<20} {finding['check']:<13} {finding['what']}" for finding in found]
        end = "Nothing is wrong" + (f"; {warnings} to be known, above." if warnings else ".")
        return "\n".join([*lines, "", end])
