# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""One JSON line for each step of a run; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
name: steps
type: stdout
short_description: One JSON line for each step of a run
description:
  - For a program that runs a playbook and shows people what happens. Each line is an object with C(step) (the task's name),
    C(service) (the host; empty for C(localhost)), C(result) (C(started), C(ok), C(changed), C(skipped) or C(failed)), C(seconds) since the
    task began, and of a task that failed C(message) and C(blamed) (the service whose content is to blame, empty where none is).
  - What a task shows while it works stands between these lines, as it is.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
"""

import json
import sys
import time
from typing import Any

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """Writes the lines."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "dockfra.core.steps"

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._began = time.monotonic()

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._write(task, host, "started")

    def v2_runner_on_ok(self, result: Any) -> None:
        self._write(result.task, result.host, "changed" if result.is_changed() else "ok")

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._write(result.task, result.host, "skipped")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        message = str(result.result.get("msg") or "it gives no reason")
        self._write(
            result.task, result.host, "failed", message, str(result.result.get("dockfra_blamed") or "")
        )

    v2_runner_on_unreachable = v2_runner_on_failed

    def _write(self, task: Any, host: Any, result: str, message: str = "", blamed: str = "") -> None:
        name = host.get_name()
        event = {
            "step": task.get_name().rpartition(" : ")[2],
            "service": "" if name == "localhost" else name,
            "result": result,
            "seconds": 0.0 if result == "started" else round(time.monotonic() - self._began, 3),
            "message": message,
            "blamed": blamed,
        }
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()
