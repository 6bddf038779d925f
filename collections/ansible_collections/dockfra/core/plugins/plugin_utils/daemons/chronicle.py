# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Tells the application how the services were for the last day, and of deploys that were killed, beside the looks of the watch and never
in their way.

What is told is names and letters: `WORKED` where each look found a service working, `AT_TIMES` where some did, `DID_NOT` where none did,
`UNSEEN` where nobody looked. It is told anew after each sample, so what was not taken once is made up for by the next.
"""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...module_utils.errors import DockfraError
from ...module_utils.watch.history import Reader
from ..cli import application
from ..deploys import telling

WORKED, AT_TIMES, DID_NOT, UNSEEN = "upd-"

# Seconds of a part, and parts and services that are told.
STEP = 900
PARTS = 96
SERVICES = 60

# Seconds after its start in which the watch has opened the history, after which what was not taken is told again, and after which an
# application is asked again that does not want to know.
SOON = 10.0
AGAIN = 60.0
LATER = 3600.0

# As the application takes a name.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


class Chronicle:
    """Tells the history, in a thread of its own.

    Args:
        path: the file of the history.
        log: gets what is to be told of the application, once.
        soon, again, later: seconds, see above.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        path: Path,
        log: Callable[..., None],
        soon: float = SOON,
        again: float = AGAIN,
        later: float = LATER,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._log = log
        self._again = again
        self._later = later
        self._clock = clock
        self._problem = ""
        self._unwanted = 0.0
        self._soon = soon
        self._new = threading.Event()
        threading.Thread(target=self._work, daemon=True).start()

    def sampled(self) -> None:
        """Tell anew: there is a sample more; returns at once."""
        self._new.set()

    def _work(self) -> None:
        # What comes before the watch has opened the history waits with the first.
        time.sleep(self._soon)
        while True:
            self._new.clear()
            try:
                problem, wait = self._told()
            except DockfraError as error:
                problem, wait = str(error), None
            except Exception as error:  # noqa: BLE001  the next sample is told all the same
                problem, wait = f"the history is not told: {type(error).__name__}", None
            if problem != self._problem:
                self._log("chronicle", problem=problem)
                self._problem = problem
            self._new.wait(wait)

    def _told(self) -> tuple[str, float | None]:
        """Tell it once; returns what is wrong, and for how long to wait for a sample at most."""
        place = application.load()
        if place is None:
            return "", None
        try:
            return self._told_history(place)
        finally:
            telling.tell_left()

    def _told_history(self, place: application.Place) -> tuple[str, float | None]:
        if not place.history:
            return "", None
        if time.monotonic() < self._unwanted:
            return self._problem, None
        answer = application.send(place, "PUT", place.history, json.dumps(self._said()).encode())
        if answer.status in application.TAKEN:
            return "", None
        if answer.status in application.REFUSED:
            self._unwanted = time.monotonic() + self._later
            reason = f"{place.service} takes no history at {place.history}: {answer.reason}"
            return f"{reason}; with ssh_monitor_history_path empty none is told", None
        return f"{place.service} was not told how the services were: {answer.reason}", self._again

    def _said(self) -> dict[str, Any]:
        # A sample has the nearest second, which may be the next one.
        now = math.ceil(self._clock())
        found = Reader(self._path).parts(now, STEP, PARTS, SERVICES)
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        services = [
            {"service": service, "parts": "".join(map(letter, parts))}
            for service, parts in sorted(found.items())
            if _NAME.fullmatch(service)
        ]
        return {"until": moment, "step": STEP, "services": services}


def letter(part: float | None) -> str:
    """Return what stands for the part of the looks that found a service working."""
    if part is None:
        return UNSEEN
    return WORKED if part >= 1 else AT_TIMES if part > 0 else DID_NOT
