# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The autopilot's daemon: a cycle at each interval, while it is switched on and nobody has paused it.

Switch, interval and mode are looked at before each step, so a change needs no restart. A cycle is done in a thread, and the daemon's
heart beats on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from ...module_utils.autopilot import pause
from ...module_utils.errors import DockfraError, LockBusyError
from ..autopilot.cycle import Pilot, Report
from ..autopilot.means import Means, unusable
from ..autopilot.planning import pilot
from ..autopilot.standing import STATUS
from ..cli import codes
from ..cli.call import Place
from .beside import PERIOD, Beside
from .daemon import Daemon

# Cycles that have to fail, one after the other, before the container counts as unhealthy.
MOST_FAILED = 3

# Seconds until what cannot be read, like a wrong catalogue, is read again.
AGAIN = 60.0


class Cycles:
    """Does cycles when it is time.

    Args:
        daemon: whose work it is.
        load: reads what the container has; again after it failed.
        make: makes what does cycles; its second argument gets what is being done, in a phrase.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        daemon: Daemon,
        load: Callable[[], Means],
        make: Callable[[Means, Callable[[str], None]], Pilot] = pilot,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._daemon, self._load, self._make, self._clock = daemon, load, make, clock
        self._means: Means | None = None
        self._pilot: Pilot | None = None
        self._doing = ""
        self._began = clock()
        self._last: Report | None = None
        self._problem = ""
        self._failed = 0

    def look(self) -> None:
        """Do a cycle, if it is time."""
        try:
            means = self._loaded()
            if means is None or self._pilot is None or not self._due(means):
                return
            self._began, self._doing = self._clock(), "a cycle"
            self._last = self._pilot.cycle("the daemon")
            self._told(self._last)
            self._failed, self._problem = 0, ""
        except LockBusyError:
            # That of a person counts as this one.
            self._problem = ""
        except DockfraError as error:
            self._failed += 1
            problem = codes.line("", str(error)).removeprefix(": ")
            if problem != self._problem:
                self._daemon.log("cycle", problem=problem)
            self._problem = problem
        finally:
            self._doing = ""

    def state(self) -> dict[str, Any]:
        """Return how things stand, for `pilot-status`."""
        means, last = self._means, self._last
        left = self._next(means) - self._clock() if means else 0.0
        return {
            "doing": self._doing,
            "problem": self._problem,
            "failed": self._failed,
            "next": round(time.time() + max(0.0, left)),
            "cycle": last.cycle if last else 0,
            "began": round(last.time, 3) if last else 0.0,
            "seconds": round(last.seconds, 3) if last else 0.0,
            "missing": list(last.problems) if last else [],
        }

    def problems(self) -> list[str]:
        """Return what makes the container unhealthy."""
        wrong = unusable(self._means.settings) if self._means else ""
        return [*filter(None, [wrong]), *([self._problem] if self._failed >= MOST_FAILED else [])]

    def _loaded(self) -> Means | None:
        """What it works with; None until it is time to try again to read that."""
        if self._means is None:
            if self._failed and self._clock() - self._began < AGAIN:
                return None
            self._began = self._clock()
            self._means = self._load()
            self._pilot = self._make(self._means, self._tell)
        return self._means

    def _due(self, means: Means) -> bool:
        settings = means.settings.latest()
        if not settings.get("AUTOPILOT_ENABLED") or pause.paused(means.pause, time.time()):
            return False
        return self._clock() >= self._next(means)

    def _next(self, means: Means) -> float:
        """When the next cycle begins: an interval after the beginning of the last, or of the daemon."""
        return self._began + float(means.settings.latest().get("AUTOPILOT_INTERVAL"))

    def _tell(self, text: str) -> None:
        self._doing = text

    def _told(self, report: Report) -> None:
        """A line in the container's log, where something happened."""
        if report.decisions or report.settled or report.problems:
            found = Counter(decision.verdict for decision in (*report.settled, *report.decisions))
            self._daemon.log("cycle", cycle=report.cycle, verdicts=dict(found), problems=report.problems[:5])


def main() -> int:
    daemon = Daemon("pilot")
    place = Place.load()
    cycles = Cycles(daemon, lambda: Means.load(place))
    beside = Beside(daemon, cycles, daemon.run / STATUS)
    return daemon.serve(lambda: [*beside.step(), *cycles.problems()], PERIOD, children=True)
