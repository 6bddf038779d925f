# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The settings of this container's role: where one cannot be used its default holds, and somebody has to learn of it."""

from __future__ import annotations

import time
from collections.abc import Callable

from ...module_utils.audit.limits import PERIOD, SETTINGS, WARNED
from ...module_utils.settings import catalogue
from ...module_utils.settings.file import EnvFile
from .limits import Limits

# Seconds between two looks, and after which it is told again while it is so: in time for whoever looks back `PERIOD` seconds.
LOOK = 5.0
AGAIN = PERIOD / 2

# Characters of a reason.
MOST = 200


class OwnSettings:
    """Watches the file of the settings.

    Args:
        limits: where it is told.
        who: whose container this is.
        file: the settings, by default those of the role; of one that has none nothing is looked at.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        limits: Limits,
        who: str,
        file: EnvFile | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits, self._who, self._clock = limits, who, clock
        self._file = file or (EnvFile.of(who) if any(catalogue.of(who)) else None)
        self._look = self._again = 0.0
        self._told = ""

    def step(self) -> None:
        """Look, if it is time, and tell what is new or due again."""
        now = self._clock()
        if self._file is None or now < self._look:
            return
        self._look = now + LOOK
        problem = next(iter(self._file.latest().problems), None)
        if problem is None:
            if self._told:
                self._limits.reached(self._who, f"{SETTINGS}all can be used again", "allowed")
            self._told = ""
            return
        # A reason never holds a value.
        where = f"line {problem.line} of " if problem.line else ""
        text = f"{where}{self._file.path}: {' '.join(filter(None, (problem.name, problem.reason)))}"[:MOST]
        if text != self._told or now >= self._again:
            self._told, self._again = text, now + AGAIN
            self._limits.reached(self._who, f"{SETTINGS}{text}", WARNED)
