# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Take the platform's lock; see the documentation of the module of the same name."""

from __future__ import annotations

import datetime
import itertools
import os
import pwd
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.errors import DockfraError
from ..module_utils.locks import run_lock
from ..plugin_utils.controller.failures import failed

# Options of ansible-playbook whose value may look like a playbook.
_TAKE_FILES = ("-i", "--inventory", "--inventory-file", "-e", "--extra-vars")
_ARGUMENTS = {"name": {"type": "str", "required": True}, "wait": {"type": "int", "default": 600}}


class ActionModule(ActionBase):
    """Runs on the controller only: the lock belongs to the ansible-playbook process, this worker's parent."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        result.update(changed=False, waited=0.0)
        if self._task.check_mode:
            return result
        try:
            result["waited"] = run_lock.acquire(arguments["name"], _this_run(), arguments["wait"], _tell)
        except DockfraError as error:
            return failed(result, error)
        return result


def _this_run() -> run_lock.Holder:
    pid = os.getppid()
    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    playbooks = [
        os.path.basename(word)
        for before, word in itertools.pairwise(command)
        if word.endswith((".yml", ".yaml")) and before not in _TAKE_FILES
    ]
    return run_lock.Holder(
        pid=pid,
        started=run_lock.process_start(pid),
        user=pwd.getpwuid(os.geteuid()).pw_name,
        since=datetime.datetime.now().astimezone().strftime("%H:%M:%S"),
        what=f"{' '.join(playbooks[:1]) or 'ansible'} in {os.getcwd()}",
    )


def _tell(other: run_lock.Holder) -> None:
    Display().display(f"Another run works on this platform: {other}. Waiting until it has ended.")
