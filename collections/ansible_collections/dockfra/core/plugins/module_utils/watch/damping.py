# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""When people are told that something is wrong, and when that it is back: once each, and not at every flutter."""

from __future__ import annotations

# Looks in a row that have to agree before anybody is told.
LOOKS = 2

# Seconds from one alert of a service to its next: within them there is at most that one, and the word that it is back.
HOLD = 600.0

WRONG, BACK = "wrong", "back"


class Damper:
    """Decides for one service.

    Args:
        is_open: whether it was told that the service is wrong, and not yet that it is back.
        told: when it was last told that it is wrong, seconds since the epoch; 0 where it never was.

    Attributes:
        is_open: the same, as it is now.
        told: the same, as it is now.
        turns: how often the service has turned from right to wrong since it was last told to be wrong.
    """

    def __init__(self, is_open: bool = False, told: float = 0.0) -> None:
        self.is_open = is_open
        self.turns = 0
        self.told = told
        self._wrong: bool | None = None
        self._looks = 0

    def look(self, wrong: bool, now: float, quiet: bool = False) -> str:
        """Take in how a look went; returns `WRONG` or `BACK` when that is to be told now, else an empty text.

        Args:
            wrong: whether the service did not work.
            now: seconds since the epoch.
            quiet: whether nothing new is told to be wrong, as while everything starts.
        """
        if wrong and self._wrong is False:
            self.turns += 1
        self._looks = self._looks + 1 if wrong == self._wrong else 1
        self._wrong = wrong
        if self._looks < LOOKS or wrong == self.is_open:
            return ""
        if not wrong:
            self.is_open = False
            return BACK
        # A clock that was set back must not keep an alert for longer than that.
        self.told = min(self.told, now)
        if quiet or (self.told and now - self.told < HOLD):
            return ""
        self.is_open, self.told, self.turns = True, now, 0
        return WRONG
