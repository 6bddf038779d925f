# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the bastions say of the releases that they keep, and who works on them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

from ...module_utils.errors import DockfraError
from ...module_utils.releases import ids
from . import verbs
from .call import Place

VERB = "release-status"

# Seconds that a bastion has to answer, and between two times that it is asked.
TIMEOUT = 10.0
PERIOD = 60.0

Said: TypeAlias = Mapping[str, Any]

# Services of a bastion that are kept of its answer, and characters of a text.
MAX_SERVICES = 50
MAX_TEXT = 300

# Old releases that one may have.
MAX_OLD = 10_000


def services(place: Place, verb: str = VERB) -> list[str]:
    """Return the services at whose gates the place may ask: its policy says so."""
    rule = place.policy.rules.get(verb)
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
    return answers(place, VERB, _of_service, MAX_SERVICES, timeout)


def answers(
    place: Place, verb: str, checked_entry: Callable[[Said], dict[str, Any]], most: int, timeout: float
) -> list[dict[str, Any]]:
    """Ask every bastion at the same time; one that does not answer has one entry, with its problem.

    Args:
        place: this container.
        verb: what is asked; its answer is a list of objects.
        checked_entry: makes of one of them, with its ``bastion``, what is known.
        most: so many of each answer are kept.
        timeout: seconds.
    """
    names = services(place, verb)
    if not names:
        return []
    with ThreadPoolExecutor(len(names)) as pool:
        found = pool.map(lambda name: _asked(name, verb, timeout), names)
        return [checked_entry(said) for entries in found for said in entries[:most]]


def _asked(bastion: str, verb: str, timeout: float) -> list[Said]:
    try:
        answer = verbs.call(bastion, [verb], timeout=timeout)
    except DockfraError as error:
        return [{"bastion": bastion, "problem": str(error)}]
    if answer.status != 0 or not isinstance(answer.data, list):
        return [{"bastion": bastion, "problem": answer.message or f"its answer is not what {verb} says"}]
    return [{**said, "bastion": bastion} for said in answer.data if isinstance(said, Mapping)]


def _of_service(said: Said) -> dict[str, Any]:
    holder = said.get("holder")
    return checked({**said, "held": holder.get("line") if isinstance(holder, Mapping) else ""})


def checked(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a service's releases, each part in its form: it may come from another container."""
    texts = {key: text(said.get(key)) for key in ("bastion", "service", "held", "problem")}
    releases = {key: release(said.get(key)) for key in ("running", "current", "previous")}
    running = releases["running"]
    numbers = {"used": number(said.get("used"), 100), "cleanable": number(said.get("cleanable"), MAX_OLD)}
    return {**texts, **releases, **numbers, "made": ids.time_of(running) if running else None}


def rooms(said: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Return of what bastions say (see `checked`) the room of each service that they know it of.

    Returns: ``used`` (percent to which its releases' store is full) and ``cleanable`` (how many of them nothing needs) by service.
    """
    return {
        entry["service"]: {key: entry[key] for key in ("used", "cleanable") if entry[key] is not None}
        for entry in said
        if entry["service"] and entry["used"] is not None
    }


def number(value: object, most: int) -> int | None:
    """Return a number that may be one, None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
        return value
    return None


def text(value: object) -> str:
    """Return a text in one line, and not too long; empty for anything else."""
    return " ".join(value.split())[:MAX_TEXT] if isinstance(value, str) else ""


def release(value: object) -> str | None:
    """Return a release's id; an empty text where there is none but the image's own, None where nobody knows."""
    return value if isinstance(value, str) and (not value or ids.valid_id(value)) else None


class Bastions:
    """Asks the bastions again and again, in a thread of its own.

    Args:
        place: this container.
        changed: files of which one is another when something has changed: the bastions are asked at once.
        asked: asks them.
        period: seconds between two times, unless something has changed.
        look: seconds between two looks whether it has.
    """

    def __init__(
        self,
        place: Place,
        changed: Sequence[Path],
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
        due, seen = 0.0, [-1]
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

    def _mark(self) -> list[int]:
        return [_changed(path) for path in self._changed]


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
