# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the bastions say of the releases that they keep, and who works on them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ...module_utils.errors import DockfraError
from ...module_utils.releases import ids
from . import verbs
from .call import Place

VERB = "release-status"

# Seconds that a bastion has to answer, and between two times that it is asked.
TIMEOUT = 10.0
PERIOD = 60.0

# Services of a bastion that are kept of its answer, and characters of a text.
MAX_SERVICES = 50
MAX_TEXT = 300


def services(place: Place) -> list[str]:
    """Return the services at whose gates the place may ask: its policy says so."""
    rule = place.policy.rules.get(VERB)
    places = rule.places if rule else {}
    return [
        place.services[where]
        for where, callers in places.items()
        if place.name in callers and where in place.services
    ]


def ask(place: Place, timeout: float = TIMEOUT) -> list[dict[str, Any]]:
    """Ask every bastion at the same time; one that does not answer has an entry without a service, and its problem.

    Args:
        place: this container.
        timeout: seconds.
    """
    names = services(place)
    if not names:
        return []
    with ThreadPoolExecutor(len(names)) as pool:
        answers = pool.map(lambda name: _asked(name, timeout), names)
        return [entry for entries in answers for entry in entries]


def _asked(bastion: str, timeout: float) -> list[dict[str, Any]]:
    try:
        answer = verbs.call(bastion, [VERB], timeout=timeout)
    except DockfraError as error:
        return [checked({"bastion": bastion, "problem": str(error)})]
    if answer.status != 0 or not isinstance(answer.data, list):
        problem = answer.message or f"its answer is not what {VERB} says"
        return [checked({"bastion": bastion, "problem": problem})]
    found = []
    for said in answer.data[:MAX_SERVICES]:
        holder = said.get("holder") if isinstance(said, Mapping) else None
        held = holder.get("line") if isinstance(holder, Mapping) else ""
        if isinstance(said, Mapping):
            found.append(checked({**said, "bastion": bastion, "held": held}))
    return found


def checked(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a service's releases, each part in its form: it may come from another container."""
    texts = {key: _text(said.get(key)) for key in ("bastion", "service", "held", "problem")}
    releases = {key: _release(said.get(key)) for key in ("running", "current", "previous")}
    running = releases["running"]
    return {**texts, **releases, "made": ids.time_of(running) if running else None}


def _text(value: object) -> str:
    return " ".join(value.split())[:MAX_TEXT] if isinstance(value, str) else ""


def _release(value: object) -> str | None:
    """A release's id; an empty text where the image's own runs, None where nobody knows."""
    return value if isinstance(value, str) and (not value or ids.valid_id(value)) else None


class Bastions:
    """Asks the bastions again and again, in a thread of its own.

    Args:
        place: this container.
        changed: a file that is another one when something has changed: the bastions are asked at once.
        asked: asks them.
        period: seconds between two times, unless something has changed.
        look: seconds between two looks whether it has.
    """

    def __init__(
        self,
        place: Place,
        changed: Path,
        asked: Callable[[Place], list[dict[str, Any]]] = ask,
        period: float = PERIOD,
        look: float = 1.0,
    ) -> None:
        self._place = place
        self._changed = changed
        self._ask = asked
        self._period = period
        self._look = look
        self._latest: list[dict[str, Any]] = []
        threading.Thread(target=self._work, daemon=True).start()

    def latest(self) -> Sequence[Mapping[str, Any]]:
        """Return what they said last."""
        return self._latest

    def _work(self) -> None:
        due, seen = 0.0, -1
        while True:
            changed = self._mark()
            if changed != seen or time.monotonic() >= due:
                seen, due = changed, time.monotonic() + self._period
                try:
                    self._latest = self._ask(self._place)
                except (OSError, RuntimeError) as error:  # no process or thread to be had just now
                    problem = f"the bastions could not be asked: {error}"
                    self._latest = [checked({"bastion": "bastions", "problem": problem})]
            time.sleep(self._look)

    def _mark(self) -> int:
        try:
            return self._changed.stat().st_mtime_ns
        except OSError:
            return 0
