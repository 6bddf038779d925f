# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Call a verb at a service's gate; see the documentation of the module of the same name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import IO, Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.errors import CommandError, DockfraError
from ..plugin_utils.cli import codes, verbs
from ..plugin_utils.controller.cancel import ended_in_order
from ..plugin_utils.controller.failures import failed

_ARGUMENTS = {
    "service": {"type": "str", "required": True},
    "verb": {"type": "list", "elements": "str", "required": True},
    "input": {"type": "str", "no_log": True},
    "input_file": {"type": "path"},
    "timeout": {"type": "int", "default": 600},
    "check_safe": {"type": "bool", "default": False},
    "ssh_config": {"type": "path"},
}


class ActionModule(ActionBase):
    """One ssh from the controller, without a module and without the task's own connection."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(
            argument_spec=_ARGUMENTS, mutually_exclusive=[["input", "input_file"]]
        )
        line = " ".join(options["verb"][:1])
        result.update(changed=not options["check_safe"], json=None, events=[])
        if not line or options["timeout"] <= 0:
            return failed(result, CommandError("verb is empty, or timeout is not above 0; correct the task."))
        if self._task.check_mode and not options["check_safe"]:
            return {
                **result,
                "changed": False,
                "skipped": True,
                "msg": f"{line} at {options['service']} was not called in check mode",
            }
        try:
            with ended_in_order(), self._source(options) as source:
                answer = verbs.call(
                    options["service"],
                    options["verb"],
                    data=(options["input"] or "").encode(),
                    source=source,
                    timeout=options["timeout"],
                    ssh_config=options["ssh_config"] or "",
                    on_event=lambda event: self._tell(options["service"], event["text"]),
                )
        except DockfraError as error:
            return {**failed(result, error), "rc": codes.status(error)}
        result.update(rc=answer.status, json=answer.data, events=answer.events, msg=answer.message)
        if answer.status != codes.OK:
            reason = answer.message or f"{line} at {options['service']} ended with {answer.status}"
            blamed = next((event["blamed"] for event in answer.events if event.get("blamed")), "")
            return {**failed(result, CommandError(reason)), "dockfra_blamed": str(blamed)}
        return result

    def _source(self, options: Mapping[str, Any]) -> AbstractContextManager[IO[bytes] | None]:
        path = options["input_file"]
        if not path:
            return nullcontext()
        try:
            return open(self._loader.path_dwim(path), "rb")
        except OSError as error:
            raise CommandError(f"{os.fspath(path)} cannot be read: {error.strerror}") from error

    def _tell(self, service: str, text: str) -> None:
        """Show a line while the verb works, through whatever shows the run; with no_log nothing of it."""
        if not self._task.no_log:
            Display().display(codes.line(service, text))
