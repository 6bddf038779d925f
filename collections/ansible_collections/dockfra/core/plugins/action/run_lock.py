# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Take the platform's lock; see the documentation of the module of the same name."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.errors import DockfraError
from ..module_utils.locks import work_lock
from ..module_utils.locks.work_lock import Holder
from ..plugin_utils.controller import this_run
from ..plugin_utils.controller.failures import failed

_ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "directory": {"type": "path", "default": work_lock.DIRECTORY},
    "wait": {"type": "int", "default": 600},
    "free": {"type": "list", "elements": "str", "default": []},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


class ActionModule(ActionBase):
    """The lock belongs to the ansible-playbook process, this worker's parent; it lies on the Docker host."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        result.update(changed=False, waited=0.0)
        if self._task.check_mode:
            return result
        if not self._is_here():
            return {**result, **self._by_module(arguments, task_vars)}
        try:
            if arguments["state"] == "absent":
                work_lock.end_run(arguments["directory"], arguments["name"], this_run.holder())
                return result
            result["waited"] = work_lock.for_run(
                arguments["directory"],
                arguments["name"],
                this_run.holder(),
                free=arguments["free"],
                wait=arguments["wait"],
                waiting=_tell,
            )
        except DockfraError as error:
            return failed(result, error)
        return result

    def _is_here(self) -> bool:
        """Whether the lock's place is on this machine and in this user's reach, which spares a module call."""
        return self._connection.transport == "local" and (
            os.geteuid() == 0 or self._connection.become is None
        )

    def _by_module(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Look once, and when somebody else has the lock, say so and wait on the host."""
        given = {**arguments, "holder": this_run.holder().to_dict()}
        begin = time.monotonic()
        answer = self._call({**given, "wait": 0}, task_vars)
        other = Holder.from_dict(answer.get("other") or {})
        if other is None:
            return answer
        if this_run.has_ended(other):
            return self._call({**given, "gone": other.to_dict()}, task_vars)
        if arguments["wait"] <= 0:
            return answer
        _tell(other)
        if not other.here:
            # What to do where that one is gone, before the wait for it and not only after.
            Display().display(str(answer.get("msg") or ""))
        answer = self._call(given, task_vars)
        return {**answer, "waited": time.monotonic() - begin}

    def _call(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        return dict(
            self._execute_module(
                module_name="dockfra.core.run_lock", module_args=arguments, task_vars=task_vars
            )
        )


def _tell(other: Holder) -> None:
    Display().display(f"Another run works on this platform: {other}. Waiting until it has ended.")
