# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the guard tells of those who reached a limit: in the container's log, and in the audit, where `status` finds it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...module_utils.audit import underway
from ...module_utils.audit.files import DIRECTORY
from ...module_utils.audit.log import AuditLog
from ...module_utils.errors import DockfraError
from ..cli import refusals
from ..cli.call import CONFIGURATION, Place
from ..cli.codes import BUSY
from ..cli.slots import DIRECTORY as SLOTS
from .daemon import Daemon

# Seconds between two lines of the same: whoever runs into a limit all the time must not fill the log.
PERIOD = 30.0

# Kinds of lines whose next time is remembered.
MAX_KINDS = 200


class Limits:
    """Tells each limit that somebody has reached, at once and then at most every `PERIOD` seconds with a count.

    Args:
        daemon: whose log it goes to.
        place: this container, None where it has no audit log.
        directory: of the audit logs.
        clock: seconds.
        gate: directory of what the gate counts.
    """

    def __init__(
        self,
        daemon: Daemon,
        place: Place | None,
        directory: str = DIRECTORY,
        clock: Callable[[], float] = time.monotonic,
        gate: str = SLOTS,
    ) -> None:
        self._daemon = daemon
        self._place = place
        self._clock = clock
        self._gate = gate
        self._log = AuditLog(os.path.join(directory, f"{place.service}.jsonl")) if place else None
        self._counts: dict[tuple[str, str, str], int] = {}
        self._next: dict[tuple[str, str, str], float] = {}
        self._lost_next = 0.0

    @classmethod
    def here(cls, daemon: Daemon) -> Limits:
        """Those of this container."""
        audited = Path(CONFIGURATION).exists() and os.path.ismount(DIRECTORY)
        return cls(daemon, Place.load() if audited else None)

    def reached(self, who: str, limit: str, verdict: str = "denied") -> None:
        """Take note that somebody has reached a limit."""
        key = (who, limit, verdict)
        if key in self._counts or len(self._counts) < MAX_KINDS:
            self._counts[key] = self._counts.get(key, 0) + 1

    def tell(self) -> None:
        """Tell what is due; among it the calls of this container that were lost, and refused calls that had no line."""
        now = self._clock()
        if self._log is not None and self._lost_next <= now:
            self._lost_next = now + PERIOD
            try:
                underway.tell_lost(self._log)
                for line in refusals.all_due(self._gate):
                    self._daemon.log("limit", **line)
                    self._append(line)
            except DockfraError as error:
                self._daemon.log("audit", problem=str(error))
        self._next = {key: due for key, due in self._next.items() if due > now or key in self._counts}
        for key in [key for key in self._counts if self._next.get(key, now) <= now]:
            who, limit, verdict = key
            self._next[key] = now + PERIOD
            fields: dict[str, Any] = {"limit": limit, "verdict": verdict, "count": self._counts.pop(key)}
            self._daemon.log("limit", caller=who, **fields)
            try:
                self._append({"caller": who, "verb": "", **fields})
            except DockfraError as error:
                self._daemon.log("audit", problem=str(error))

    def _append(self, line: Mapping[str, Any]) -> None:
        if self._log is not None and self._place is not None:
            self._log.append({"role": self._place.name, **line, "result": BUSY})
