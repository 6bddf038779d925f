# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How the platform is, as the gates of the others tell it; what does not answer is known to be missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...module_utils.autopilot import gathered, told
from ...module_utils.autopilot.inventory import Inventory
from ...module_utils.autopilot.snapshot import Budget, Evidence, Snapshot
from ...module_utils.errors import SnapshotError
from .playbook import Outcome

PLAYBOOK = "gather.yml"
# Seconds; each gate has 20.
TIME_LIMIT = 60.0

# What is asked where, and what stands for it where nothing came.
VERBS: Mapping[str, str] = {"monitor": "status", "manager": "ticket-list", "git": "git-status"}
_NOTHING: Mapping[str, Mapping[str, Any]] = {
    "monitor": {"services": []},
    "manager": {"tickets": []},
    "git": {"main": None},
}

Run = Callable[[Path, Mapping[str, str], float, "Mapping[str, Mapping[str, Any]] | None"], Outcome]


class Seen(NamedTuple):
    """What was gathered.

    Attributes:
        snapshot: how the platform is, as far as that is known.
        missing: why a place said nothing that can be used, by place.
        seconds: monotonic time from which on services were seen as they are told.
        told: what people and programs wrote, for a planner that reads.
    """

    snapshot: Snapshot
    missing: Mapping[str, str]
    seconds: float
    told: tuple[Evidence, ...] = ()


class Gatherer:
    """Asks.

    Args:
        run: runs a playbook.
        playbook: the one that asks.
        services: the service of each place.
        inventory: what there is.
        budget: returns what is left for a model today.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        run: Run,
        playbook: Path,
        services: Mapping[str, str],
        inventory: Inventory,
        budget: Callable[[], Budget] = Budget,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._run, self._playbook = run, playbook
        self._services = {place: services[place] for place in VERBS if place in services}
        self._inventory, self._budget, self._clock = inventory, budget, clock

    def look(self, cycle: int) -> Seen:
        """Return how everything is; raises AutopilotError where nothing can be run."""
        hosts = {service: {"gather_verb": [VERBS[place]]} for place, service in self._services.items()}
        outcome = self._run(self._playbook, {}, TIME_LIMIT, hosts)
        now, ticks = self._clock(), time.monotonic()
        answers = {
            place: outcome.answers[service]
            for place, service in self._services.items()
            if service in outcome.answers
        }
        missing = {
            place: outcome.failures.get(service) or outcome.message or "it gave no answer"
            for place, service in self._services.items()
            if place not in answers
        }
        missing |= {place: "there is no such service" for place in VERBS if place not in self._services}
        try:
            snapshot = self._snapshot(cycle, now, answers)
        except SnapshotError:
            for place in list(answers):
                try:
                    self._snapshot(cycle, now, {place: answers[place]})
                except SnapshotError as error:
                    missing[place] = str(error)
                    del answers[place]
            snapshot = self._snapshot(cycle, now, answers)
        said = told.told(self._inventory, answers.get("manager"), answers.get("git"), answers.get("monitor"))
        return Seen(snapshot, missing, ticks - snapshot.age, said)

    def _snapshot(self, cycle: int, now: float, answers: Mapping[str, Any]) -> Snapshot:
        status, tickets, git = (answers.get(place, _NOTHING[place]) for place in VERBS)
        return gathered.snapshot(self._inventory, cycle, now, status, tickets, git, self._budget())
