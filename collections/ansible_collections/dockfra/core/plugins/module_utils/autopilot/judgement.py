# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The policy engine: admits or refuses an action just before it is done, whoever proposed it.

Nothing here has an effect or looks at anything but what it is given. What is in no rule is refused: a proposal passes all of them, or
the first that stands in the way is its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..errors import AutopilotError, DeniedError
from ..policy.model import Policy
from .actions import Action, Catalogue
from .catalogue import AUTOPILOT
from .facts import View
from .inventory import Inventory
from .past import HOUR, STRIKES_LAST, Event, Past
from .schema import Checker, Proposal, plan_digest
from .snapshot import MEASURED, Evidence, Snapshot

MODES = ("observe", "suggest", "approve", "act")
MOST_STRIKES = 2
# Seconds after which what only tells people, and failed, is tried again; each further failure doubles them.
RETRY = 300

ADMITTED, SUGGESTED, WAITING, REFUSED = "admitted", "suggested", "waiting", "refused"


class Approval(NamedTuple):
    """A person's yes to one plan.

    Attributes:
        digest: of the plan.
        by: who.
        until: when it expires, seconds since the epoch.
    """

    digest: str
    by: str
    until: float


@dataclass(frozen=True)
class Circumstances:
    """What else counts when an action is judged.

    Attributes:
        mode: one of `MODES`.
        paused: why nothing is to be done, an empty text where nobody paused it.
        approvals: what people approved, by digest.
    """

    mode: str
    paused: str = ""
    approvals: Mapping[str, Approval] = field(default_factory=dict)


class Judgement(NamedTuple):
    """What is to become of a proposal.

    Attributes:
        verdict: `ADMITTED`, `SUGGESTED`, `WAITING` or `REFUSED`.
        rule: the rule that decided.
        reason: why, in one line.
        digest: of the plan, for an approval; empty where it has no form.
    """

    verdict: str
    rule: str
    reason: str
    digest: str = ""


class _Case(NamedTuple):
    """One proposal with all that is known, for the rules."""

    proposal: Proposal
    action: Action
    view: View
    subject: str
    around: Circumstances
    digest: str

    @property
    def name(self) -> str:
        """What it is about, without its kind."""
        return self.proposal.parameters[self.action.subject]

    @property
    def of_the_rules_alone(self) -> bool:
        """Whether only what the rules had done before counts: whoever makes a model talk must not silence what tells of a real fault."""
        return self.proposal.planner == "rules" and not self.action.changes

    def attempts(self, seconds: float) -> list[Event]:
        """What counts as the same within a time, the oldest first."""
        found = self.view.past.attempts(self.action.id, self.subject, seconds)
        if not self.of_the_rules_alone:
            return found
        own = [self.proposal.parameters[name] for name in self.action.distinct]
        return [
            event
            for event in found
            if event.planner == "rules"
            and [event.parameters.get(name) for name in self.action.distinct] == own
        ]


class Engine:
    """Judges proposals.

    Args:
        catalogue: the actions.
        inventory: the names.
        policy: what the autopilot may call where.
    """

    def __init__(self, catalogue: Catalogue, inventory: Inventory, policy: Policy) -> None:
        self._catalogue, self._inventory, self._policy = catalogue, inventory, policy
        self._checker = Checker(catalogue, inventory)
        self._rules: Mapping[str, Callable[[_Case], str]] = {
            "role": self._role,
            "pause": self._pause,
            "mode": self._mode,
            "evidence": self._evidence,
            "precondition": self._precondition,
            "deploy": self._deploy,
            "window": self._window,
            **self.limits,
        }

    @property
    def limits(self) -> Mapping[str, Callable[[_Case], str]]:
        """The rules that say that something was done often enough; each returns why, or an empty text."""
        return {
            "strikes": self._strikes,
            "cooldown": self._cooldown,
            "rate": self._rate,
            "budget": self._budget,
        }

    def judge(self, proposal: Proposal, snapshot: Snapshot, past: Past, around: Circumstances) -> Judgement:
        """Return what is to become of a proposal. It never raises for what a proposal holds."""
        if problem := self._checker.problem(proposal):
            return Judgement(REFUSED, "schema", problem)
        case = self._case(proposal, snapshot, past, around)
        for name, rule in self._rules.items():
            if reason := rule(case):
                return Judgement(REFUSED, name, reason, case.digest)
        if around.mode == "suggest":
            return Judgement(SUGGESTED, "mode", "AUTOPILOT_MODE is suggest", case.digest)
        return self._approval(case)

    def exhausted(self, proposal: Proposal, snapshot: Snapshot, past: Past, around: Circumstances) -> bool:
        """Whether a proposal in the right form was made or done as often as it may be, so that nobody need say it again."""
        case = self._case(proposal, snapshot, past, around)
        planner = "rules" if case.of_the_rules_alone else ""
        return past.said(case.digest, HOUR, planner) or any(rule(case) for rule in self.limits.values())

    def _case(self, proposal: Proposal, snapshot: Snapshot, past: Past, around: Circumstances) -> _Case:
        action = self._catalogue.actions[proposal.action]
        view = View(self._inventory, snapshot, past, proposal.planner)
        digest = plan_digest(proposal, action)
        return _Case(proposal, action, view, proposal.subject(self._catalogue), around, digest)

    # The rules: each returns why it refuses, or an empty text. ---------------------------------------------------------

    def _role(self, case: _Case) -> str:
        for place, verbs in case.action.verbs.items():
            for verb in verbs:
                try:
                    self._policy.authorize(AUTOPILOT, place, verb)
                except DeniedError as error:
                    return str(error)
        return ""

    def _pause(self, case: _Case) -> str:
        return case.around.paused

    def _mode(self, case: _Case) -> str:
        mode = case.around.mode
        if mode not in MODES:
            return f"there is no such mode; AUTOPILOT_MODE is one of {', '.join(MODES)}"
        return "AUTOPILOT_MODE is observe" if mode == "observe" else ""

    def _evidence(self, case: _Case) -> str:
        known = case.view.snapshot.evidence
        cited = [known[name] for name in case.proposal.evidence if name in known]
        if len(cited) < len(case.proposal.evidence):
            return "it cites evidence that this cycle does not have"
        if not case.action.changes:
            if not cited:
                return "it cites no evidence"
            # A text in one ticket is no reason to touch another.
            if case.action.domain == "ticket" and not any(self._concerns(entry, case) for entry in cited):
                return f"it cites nothing about {case.subject}"
            return ""
        if not any(entry.measured and self._concerns(entry, case) for entry in cited):
            return (
                f"it changes what runs and rests on nothing that was measured in this cycle about {case.subject}; "
                f"that is {', '.join(MEASURED)}"
            )
        return ""

    def _concerns(self, entry: Evidence, case: _Case) -> bool:
        about = self._inventory.around(case.subject)
        if any(parameter.kind.domain == "commit" for parameter in case.action.parameters.values()):
            about.add("main")
        return entry.about in about

    def _precondition(self, case: _Case) -> str:
        if case.action.domain == "ticket" and case.name not in case.view.snapshot.tickets:
            return f"there is no ticket {case.name} that is not closed"
        failing = case.action.failing(case.action.precondition, case.view, case.proposal.parameters)
        return f"{failing} does not hold" if failing else ""

    def _deploy(self, case: _Case) -> str:
        if not case.action.changes:
            return ""
        for deploy in case.view.snapshot.under_way:
            # Deploys take turns; a restart only keeps away from what is being deployed.
            if case.action.domain == "target" or case.name in deploy.services:
                return f"a deploy of {deploy.target} is under way"
        return ""

    def _window(self, case: _Case) -> str:
        if not case.action.changes:
            return ""
        windows, now = self._catalogue.windows, case.view.snapshot.time
        try:
            for name in self._catalogue.quiet:
                if windows[name].open_at(now):
                    return f"nothing is changed in the window {name}"
            own = case.action.windows
            if own and not any(windows[name].open_at(now) for name in own):
                return f"it is done in the window {' or '.join(own)} only"
        except AutopilotError as error:
            return str(error)
        return ""

    def _strikes(self, case: _Case) -> str:
        if not case.action.changes:
            return ""
        count = case.view.past.strikes(case.subject, case.action.id)
        if count < MOST_STRIKES:
            return ""
        return f"it failed {count} times within {STRIKES_LAST / HOUR:g} hours; a person has to look, so make a ticket"

    def _cooldown(self, case: _Case) -> str:
        wait = case.action.cooldown
        tried = case.attempts(wait)
        # People who were not told are told soon, though not in each cycle. What was cut off is among these once it is closed.
        vain = [] if case.action.changes else [event for event in tried if event.verdict == "failed"]
        if len(tried) > len(vain):
            return f"it was done less than {wait} s ago"
        wait = min(wait, RETRY * 2 ** (len(vain) - 1)) if vain else 0
        return (
            f"it failed less than {wait} s ago" if vain and vain[-1].time > case.view.past.now - wait else ""
        )

    def _rate(self, case: _Case) -> str:
        count = sum(case.action.changes or event.verdict != "failed" for event in case.attempts(HOUR))
        most = case.action.per_hour
        return f"it was done {count} times within an hour, which is all there may be" if count >= most else ""

    def _budget(self, case: _Case) -> str:
        changes = case.action.changes
        most = self._catalogue.changes_per_hour if changes else self._catalogue.tells_per_hour
        if case.view.past.total(changes, HOUR) >= most:
            return f"{most} actions of its kind were begun within an hour, which is all there may be"
        if case.proposal.planner != "llm":
            return ""
        if case.view.snapshot.budget.spent:
            return "the model's budget of today is spent"
        # Whoever makes a model talk must not leave nothing for the rules.
        if case.view.past.total(changes, HOUR, "llm") >= most // 2:
            return f"a model may have half of the {most} actions of its kind within an hour, and had them"
        return ""

    def _approval(self, case: _Case) -> Judgement:
        action = case.action
        needed = action.risk == "high" or case.proposal.planner in action.waits
        needed = needed or (case.around.mode == "approve" and action.changes)
        if not needed:
            return Judgement(ADMITTED, "mode", f"AUTOPILOT_MODE is {case.around.mode}", case.digest)
        approval = case.around.approvals.get(case.digest)
        if approval is None or approval.digest != case.digest:
            return Judgement(WAITING, "approval", "it waits for a person", case.digest)
        if approval.until <= case.view.snapshot.time:
            return Judgement(WAITING, "approval", f"what {approval.by} approved has expired", case.digest)
        return Judgement(ADMITTED, "approval", f"{approval.by} approved it", case.digest)
