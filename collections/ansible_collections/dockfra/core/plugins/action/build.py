# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Have releases built of a commit; see the documentation of the module of the same name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.errors import BuildFailedError, DockfraError
from ..module_utils.releases import ids
from ..plugin_utils.cli import builds, codes
from ..plugin_utils.controller.cancel import ended_in_order
from ..plugin_utils.controller.failures import failed
from ..plugin_utils.deploys.mirror import Mirror

_ARGUMENTS = {
    "origin": {"type": "path", "required": True},
    "commit": {"type": "str", "required": True},
    "services": {"type": "dict", "required": True},
    "folder": {"type": "path", "required": True},
    "tests": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 1800},
}


class ActionModule(ActionBase):
    """One request to the builder, from where Ansible runs."""

    _supports_check_mode = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        try:
            commit, builder = ids.checked_commit(options["commit"]), builds.load()
            with ended_in_order(), Mirror("", Path(options["origin"])).archived(commit) as tree:
                report = builds.build(
                    builder.host,
                    builder.port,
                    tree,
                    {str(name): str(path) for name, path in options["services"].items()},
                    tests=options["tests"],
                    folder=Path(options["folder"]),
                    deadline_seconds=float(options["timeout"]),
                    on_event=self._tell,
                )
        except BuildFailedError as error:
            for line in error.log.splitlines()[-20:]:
                Display().display(codes.line("log", line))
            return {**failed(result, error), "dockfra_blamed": error.service}
        except DockfraError as error:
            return failed(result, error)
        archives = {
            name: {"path": str(made.path), "size": made.size, "content": made.content, "sha256": made.sha256}
            for name, made in report.archives.items()
        }
        return {
            **result,
            "changed": True,
            "archives": archives,
            "steps": [step._asdict() for step in report.steps],
        }

    def _tell(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "wait":
            Display().display(codes.line("builder", str(event["text"])))
        elif event["event"] == "end":
            word = "ok" if event["ok"] else "failed"
            Display().display(
                codes.line(f"{event['service']} {event['step']}", f"{word} after {event['seconds']:.1f} s")
            )
