# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The monitor's daemon that keeps a copy of every audit log as it grows (see `module_utils.audit.copies`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...module_utils.audit import copies
from ...module_utils.audit.files import DIRECTORY
from ...module_utils.errors import AuditError
from .daemon import Daemon


class AuditCopy:
    """Copies the logs that are in a directory.

    Args:
        daemon: whose step it is.
        logs: the directory.
        folder: of the copies, one for each log.
    """

    def __init__(
        self, daemon: Daemon, logs: Path = Path(DIRECTORY), folder: Path = Path(copies.DIRECTORY)
    ) -> None:
        self._daemon = daemon
        self._logs = logs
        self._folder = folder
        self._told: dict[str, str] = {}

    def step(self) -> Iterator[str]:
        """Bring every copy up to date; yields what could not be done."""
        for path in sorted(self._logs.glob("*.jsonl")):
            name, problem = path.stem, ""
            try:
                copies.follow(path, self._folder / name)
            except AuditError as error:
                problem = str(error)
                # A log that cannot be read is told by `verify`; its service may just not have started yet.
                if "written" in problem:
                    yield problem
            if problem != self._told.get(name, ""):
                self._daemon.log("copy", log=name, problem=problem)
            self._told[name] = problem


def main() -> int:
    daemon = Daemon("audit-copy")
    return daemon.serve(AuditCopy(daemon).step, copies.PERIOD)
