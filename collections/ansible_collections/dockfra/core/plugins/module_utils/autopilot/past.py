# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the autopilot did, as the policy and the facts ask for it. Made of the ledger's decisions, and never changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

HOUR = 3600.0
# Seconds after which a failed attempt is forgotten.
STRIKES_LAST = 6 * HOUR

# An effect that was begun and has not ended counts as one that failed: nobody knows what it did.
BEGUN = "begun"
ATTEMPTS = ("done", "failed", "undone", BEGUN)
STRIKES = ("failed", "undone", BEGUN)


@dataclass(frozen=True)
class Event:
    """One decision, as far as later ones depend on it.

    Attributes:
        time: seconds since the epoch.
        action: its id.
        subject: what it was about, as `inventory.key` names it.
        risk: of the action.
        verdict: one of the ledger's words, or `BEGUN`.
        digest: of the plan.
        planner: who proposed it.
        parameters: as proposed.
    """

    time: float
    action: str
    subject: str
    risk: str
    verdict: str
    digest: str = ""
    planner: str = "rules"
    parameters: Mapping[str, str] = field(default_factory=dict)


class Past:
    """The decisions until now.

    Args:
        events: in any order.
        now: seconds since the epoch; what is said to be later was written by a clock that was wrong, and counts as just now.
    """

    def __init__(self, events: Iterable[Event], now: float) -> None:
        self.now = now
        self._events: dict[str, list[Event]] = {}
        for event in sorted(events, key=lambda event: event.time):
            self._events.setdefault(event.subject, []).append(event)

    def attempts(self, action: str, subject: str, seconds: float) -> list[Event]:
        """What was really begun with an action about a subject within a time, the oldest first."""
        return [
            event
            for event in self._within(subject, seconds)
            if event.action == action and event.verdict in ATTEMPTS
        ]

    def repairs(self, subject: str, seconds: float) -> int:
        """How often something was changed about a subject within a time."""
        return sum(
            event.risk != "low" and event.verdict in ATTEMPTS for event in self._within(subject, seconds)
        )

    def strikes(self, subject: str, action: str = "") -> int:
        """How many changes about a subject failed since one succeeded, by one action or by any."""
        count = 0
        for event in self._within(subject, STRIKES_LAST):
            if event.risk == "low" or (action and event.action != action) or event.verdict not in ATTEMPTS:
                continue
            count = count + 1 if event.verdict in STRIKES else 0
        return count

    def total(self, changes: bool, seconds: float, planner: str = "") -> int:
        """How much was begun within a time, of what changes something or of what only tells; by one planner or by any."""
        return sum(
            (event.risk != "low") is changes and event.verdict in ATTEMPTS and planner in ("", event.planner)
            for subject in self._events
            for event in self._within(subject, seconds)
        )

    def said(self, digest: str, seconds: float, planner: str = "") -> bool:
        """Whether just this was suggested or waits already, of one planner or of any."""
        return any(
            event.digest == digest
            and event.verdict in ("suggested", "waiting")
            and planner in ("", event.planner)
            for subject in self._events
            for event in self._within(subject, seconds)
        )

    def _within(self, subject: str, seconds: float) -> Iterator[Event]:
        return (event for event in self._events.get(subject, ()) if event.time > self.now - seconds)
