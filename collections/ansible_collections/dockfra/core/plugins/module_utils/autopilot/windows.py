# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Windows of time: they begin by a cron expression, in UTC, and last some minutes."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from ..errors import AutopilotError

# Minutes of the longest window.
LONGEST = 7 * 24 * 60


@dataclass(frozen=True)
class Window:
    """A window.

    Attributes:
        begins: when, as a cron expression of five fields.
        minutes: how long it lasts.
    """

    begins: str
    minutes: int

    def open_at(self, moment: float) -> bool:
        """Whether it is open at a time, in seconds since the epoch; raises AutopilotError where that cannot be told."""
        now = datetime.datetime.fromtimestamp(moment, datetime.UTC)
        # The last beginning that is not to come: cronsim leaves the moment itself out.
        last = _begin_before(self.begins, now + datetime.timedelta(seconds=1))
        return now < last + datetime.timedelta(minutes=self.minutes)


def check(expression: str) -> None:
    """Raise AutopilotError where a text is no cron expression of five fields that ever comes true."""
    if len(expression.split()) != 5:
        raise AutopilotError("a cron expression has five fields: minute, hour, day, month, day of the week")
    _begin_before(expression, datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))


def _begin_before(expression: str, moment: datetime.datetime) -> datetime.datetime:
    try:
        from cronsim import CronSim, CronSimError
    except ImportError as error:
        raise AutopilotError(f"The Python library cronsim is missing ({error}).") from error
    try:
        return next(CronSim(expression, moment, reverse=True))
    except CronSimError as error:
        raise AutopilotError(f"that is no cron expression: {error}") from error
    except StopIteration:
        raise AutopilotError("that time never comes") from None
