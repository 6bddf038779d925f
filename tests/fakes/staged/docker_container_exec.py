"""In the place of community.docker's module: a platform that is nothing but its files answers."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from tests.fakes.staged import staged


class ActionModule(ActionBase):
    """Works on the controller."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = self._task.args
        code, line = staged.call(
            arguments["container"], [str(word) for word in arguments["argv"]], str(arguments.get("stdin", ""))
        )
        return {"changed": True, "rc": int(code), "stdout": line, "stderr": line, "stderr_lines": [line]}
