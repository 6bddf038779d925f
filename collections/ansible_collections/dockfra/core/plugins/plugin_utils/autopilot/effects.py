# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Does what was admitted: each effect is written down before it begins, is proved by looking again, and is taken back where it made
things worse and its entry says how."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...module_utils.autopilot.actions import Action
from ...module_utils.autopilot.facts import View, fault, named
from ...module_utils.autopilot.inventory import key
from ...module_utils.autopilot.ledger import Decision
from ...module_utils.autopilot.schema import Proposal
from ...module_utils.autopilot.snapshot import Snapshot
from ...module_utils.errors import AutopilotError
from .gather import Seen
from .means import Means
from .notes import Notes
from .playbook import Outcome

# Seconds between two looks while something has to come true.
PAUSE = 2.0

CUT_OFF = "it was cut off, and nobody knows how far it came"


class Begun(NamedTuple):
    """An effect that was had and is not proved yet.

    Attributes:
        proposal: what was admitted.
        decision: it as the ledger has it.
        ran: how its playbook ended.
        ended: when that was, in monotonic seconds: what was seen before proves nothing.
        until: until when its probe has to hold, likewise.
    """

    proposal: Proposal
    decision: Decision
    ran: Outcome
    ended: float
    until: float


class Effects:
    """Does them.

    Args:
        means: what there is to work with.
        notes: where they are written down.
        clock: seconds since the epoch.
    """

    def __init__(self, means: Means, notes: Notes, clock: Callable[[], float] = time.time) -> None:
        self._means, self._notes, self._clock = means, notes, clock

    def begin(self, proposal: Proposal, decision: Decision) -> Decision | Begun:
        """Begin one effect, and return how it ended, or what has to be proved of it yet.

        Args:
            proposal: what was admitted.
            decision: it as the ledger is to have it.

        Raises:
            LedgerError, AuditError: it cannot be written down; what was not begun is not done.
        """
        action = self._means.actions.actions[proposal.action]
        self._notes.begin(decision)
        services = self._means.place.services
        variables = {f"action_{name}": value for name, value in proposal.parameters.items()}
        # Which service has a role is the topology's to say.
        variables |= {f"place_{place}": services.get(place, place) for place in action.verbs}
        path = Path(self._means.playbooks, f"{action.id}.yml")
        try:
            ran = self._means.run(
                path,
                {**variables, "action_effect": decision.id, "action_planner": proposal.planner},
                action.timeout,
            )
        except AutopilotError as error:
            ran = Outcome(str(error))
        if not action.probe:
            verdict, result = ("failed", ran.message) if ran.failed else ("done", "")
            return self._notes.end(decision, verdict, result)
        ended = time.monotonic()
        # Where it failed, one look says what has become of it; that it looks well is then no merit of this effect.
        within = 0.0 if ran.failed else action.within
        return Begun(proposal, decision, ran, ended, ended + within)

    def proved(self, begun: Begun, seen: Seen) -> Decision | None:
        """Return how an effect ended by what is seen now; None where it may still come true.

        Raises:
            LedgerError, AuditError: it cannot be written down.
        """
        proposal, ran = begun.proposal, begun.ran
        action = self._means.actions.actions[proposal.action]
        wrong = self._wrong(action, proposal.parameters, seen, begun.ended)
        if wrong and time.monotonic() < begun.until:
            return None
        after = self.facts(action, proposal, seen.snapshot)
        if not ran.failed and not wrong:
            return self._notes.end(begun.decision, "done", "", after)
        return self._notes.end(begun.decision, "failed", ran.message or wrong, after)

    def close(self, decision: Decision, seen: Seen) -> Decision:
        """Write down that an effect of before was cut off, and how things are; raises LedgerError, AuditError."""
        action = self._means.actions.actions.get(decision.action)
        if action is None or set(action.parameters) != set(decision.parameters):
            return self._notes.end(decision, "failed", CUT_OFF)
        proposal = Proposal(decision.action, decision.parameters)
        after, wrong = self.facts(action, proposal, seen.snapshot), ""
        if action.probe:
            wrong = self._wrong(action, decision.parameters, seen, since=0.0)
            said = f"now {wrong}" if wrong else "now it is as it should be"
            return self._notes.end(decision, "failed", f"{CUT_OFF}; {said}", after)
        return self._notes.end(decision, "failed", CUT_OFF, after)

    def worse(self, proposal: Proposal, before: Snapshot, after: Snapshot) -> list[str]:
        """Return the services that fail since, of those that the effect was about or that need one of these."""
        inventory = self._means.inventory
        about = inventory.around(proposal.subject(self._means.actions))
        services = {name for name in inventory.services if key("service", name) in about}
        services |= {name for name in inventory.services if services & set(inventory.needs.get(name, ()))}
        found = [self._view(snapshot) for snapshot in (before, after)]
        return [name for name in sorted(services) if fault(found[0], name) == "none" != fault(found[1], name)]

    def facts(self, action: Action, proposal: Proposal, snapshot: Snapshot) -> dict[str, Any]:
        """Return what is known of the subject, for the ledger."""
        return dict(named(self._view(snapshot), action.domain, proposal.parameters[action.subject]))

    def _wrong(self, action: Action, values: Mapping[str, str], seen: Seen, since: float) -> str:
        """Why an action's probe does not hold; what was seen before that, or not at all, proves nothing."""
        for place in ("monitor", *action.verbs):
            if place in seen.missing:
                return f"nobody knows whether it helped: {place}: {seen.missing[place]}"
        failing = action.failing(action.probe, self._view(seen.snapshot), values)
        if failing:
            return f"{failing} does not hold"
        return "" if seen.seconds > since else "it was not looked at since"

    def _view(self, snapshot: Snapshot) -> View:
        return View(self._means.inventory, snapshot, self._notes.ledger.past(self._clock()))
