# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""One cycle of the autopilot: look, decide, do, and look again.

Whoever proposes, the policy judges each action just before it is done, with what is known then. The rules always propose theirs; a model
may add to them, and where it fails, the same cycle goes on without it. What a cycle that was cut off has left is put in order by the next
one before anything else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ...module_utils.autopilot import approvals, planner
from ...module_utils.autopilot.advisor import Proposed
from ...module_utils.autopilot.approvals import Request
from ...module_utils.autopilot.judgement import (
    ADMITTED,
    REFUSED,
    WAITING,
    Circumstances,
    Judgement,
)
from ...module_utils.autopilot.ledger import Decision, effect_id
from ...module_utils.autopilot.past import Past
from ...module_utils.autopilot.schema import Proposal, plan_digest
from ...module_utils.autopilot.snapshot import FRESH, Budget, Evidence, Snapshot
from ...module_utils.errors import BusyError, DockfraError
from . import effects, playbook
from .effects import Begun, Effects
from .gather import Seen
from .means import Means
from .notes import Notes

# Seconds after which what was seen is looked at anew before the next action is judged.
OLD = FRESH / 2

# What is told of a proposal that needs somebody who does not answer.
GATHERED = "gathered"


# A planner beside the rules. It raises DockfraError where it has no answer.
Propose = Callable[[Snapshot, Past], Proposed]


@dataclass
class Report:
    """What a cycle did.

    Attributes:
        cycle: its number.
        time: when it began, seconds since the epoch.
        seconds: how long it took.
        problems: what it could not learn or do, in phrases.
        decisions: those that are new.
        settled: effects of an earlier cycle that was cut off.
    """

    cycle: int
    time: float
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    settled: list[Decision] = field(default_factory=list)

    def put(self, decision: Decision) -> None:
        """Let a decision stand where the same one did when it was not known how that would end."""
        places = [index for index, known in enumerate(self.decisions) if known.id == decision.id]
        self.decisions[places[-1]] = decision

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        decided = {
            name: [decision.to_dict() for decision in getattr(self, name)]
            for name in ("decisions", "settled")
        }
        return {
            "cycle": self.cycle,
            "time": round(self.time, 3),
            "seconds": round(self.seconds, 3),
            "problems": list(self.problems),
            **decided,
        }


class Pilot:
    """Does cycles.

    Args:
        means: what there is to work with.
        propose: the planner beside the rules, if there is one.
        budget: returns what is left for a model today.
        tell: gets what is being done, in a phrase.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        means: Means,
        propose: Propose | None = None,
        budget: Callable[[], Budget] = Budget,
        tell: Callable[[str], None] = lambda _text: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._means, self._propose, self._tell, self._clock = means, propose, tell, clock
        self._gatherer = means.gatherer(budget)
        self._notes = Notes(means.ledger, means.audit)
        self._last = 0

    def cycle(self, who: str, *, dry: bool = False) -> Report:
        """Do one cycle.

        Args:
            who: does it, for whoever finds that one is under way.
            dry: only say what would be done: nothing is begun, nothing is written down.

        Raises:
            LockBusyError: another is under way.
            DockfraError: it cannot be done, or not written down.
        """
        with self._means.lock.hold(who, "a cycle"):
            playbook.clean(self._means.runs)
            ledger = self._notes.ledger
            number = self._last = max(ledger.next_cycle(), self._last + 1)
            report, began = Report(number, self._clock(), problems=ledger.problems()), time.monotonic()
            one = _Cycle(
                self._means, self._notes, report, lambda: self._gatherer.look(number), self._clock, self._tell
            )
            one.run(self._propose, dry)
            report.seconds = time.monotonic() - began
            return report


class _Pending(NamedTuple):
    """An effect that is to be proved.

    Attributes:
        begun: it.
        before: how everything was before it.
        undoes: the decision whose effect it takes back, if it does.
    """

    begun: Begun
    before: Snapshot
    undoes: Decision | None


class _Cycle:
    """One of them."""

    def __init__(
        self,
        means: Means,
        notes: Notes,
        report: Report,
        look: Callable[[], Seen],
        clock: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        self._means, self._notes, self._report = means, notes, report
        self._look, self._clock, self._tell = look, clock, tell
        self._effects = Effects(means, notes, clock)
        self._seen = look()
        self._told: tuple[Evidence, ...] = ()
        self._pending: list[_Pending] = []
        # Action and subject of all that was judged in this cycle.
        self._judged_already: set[tuple[str, str]] = set()

    def run(self, propose: Propose | None, dry: bool) -> None:
        self._report.problems += [f"{place}: {why}" for place, why in self._seen.missing.items()]
        if not dry:
            for left in self._notes.ledger.open():
                self._report.settled.append(self._effects.close(left, self._seen))
        try:
            for proposal, cost in list(self._proposals(propose)):
                self._one(proposal, cost, dry)
            self._prove()
        except DockfraError:
            # What was begun is proved whatever went wrong beside it: it would count as failed.
            self._prove(alone=True)
            raise

    def _prove(self, *, alone: bool = False) -> None:
        """Wait for the proofs of all that was begun, together.

        Args:
            alone: let what fails meanwhile elsewhere lie for that long; else it is repaired.
        """
        while self._pending:
            self._tell("looks whether it helped")
            self._refresh(self._look())
            for pending in list(self._pending):
                ended = self._effects.proved(pending.begun, self._seen)
                if ended is not None:
                    self._pending.remove(pending)
                    self._ended(ended, pending)
            if self._pending:
                if not alone:
                    self._meanwhile()
                time.sleep(effects.PAUSE)

    def _meanwhile(self) -> None:
        """Do what the rules say of all that nothing is under way for."""
        busy: set[str] = set()
        for pending in self._pending:
            busy |= self._means.inventory.around(pending.begun.decision.subject)
        for proposal in self._by_rules(self._past(), self._around()):
            subject = proposal.subject(self._means.actions)
            new = (proposal.action, subject) not in self._judged_already
            if new and busy.isdisjoint(self._means.inventory.around(subject)):
                self._one(proposal, 0.0, dry=False)

    # What is proposed -------------------------------------------------------------------------------------------------

    def _proposals(self, propose: Propose | None) -> Iterator[tuple[Proposal, float]]:
        """What people approved, what the rules say, and what a model adds to it, each plan once."""
        around, past = self._around(), self._past()
        seen: set[tuple[str, str]] = set()
        rules = self._by_rules(past, around)
        added, cost = self._added(propose, past)
        found = [*self._approved(past), *((proposal, 0.0) for proposal in rules)]
        # What a model took is written beside the first that it added.
        found += [(proposal, cost * (index == 0)) for index, proposal in enumerate(added)]
        for proposal, price in found:
            name = (proposal.action, proposal.subject(self._means.actions))
            if name not in seen:
                seen.add(name)
                yield proposal, price

    def _by_rules(self, past: Past, around: Circumstances) -> list[Proposal]:
        return planner.plan(
            self._means.actions,
            self._means.inventory,
            self._seen.snapshot,
            past,
            lambda proposal: self._exhausted(proposal, past, around),
        )

    def _added(self, propose: Propose | None, past: Past) -> tuple[Sequence[Proposal], float]:
        if propose is None:
            return (), 0.0
        self._tell("asks the model")
        try:
            wanted = propose(replace(self._seen.snapshot, told=self._seen.told), past)
        except DockfraError as error:
            self._report.problems.append(f"the model: {error}")
            return (), 0.0
        self._told = wanted.told
        self._refresh(self._seen)
        return wanted.proposals, wanted.cost

    def _approved(self, past: Past) -> Iterator[tuple[Proposal, float]]:
        """What people said yes to: it is tried, whoever proposed it and whether or not he does so again."""
        requests = [request for request in self._means.approvals.requests(self._clock()) if request.by]
        asked = {known.digest: known for known in self._notes.ledger.decisions()} if requests else {}
        for request in requests:
            known = asked.get(request.digest)
            proposal = Proposal(
                request.action,
                request.parameters,
                planner=known.planner if known else "rules",
                reason=" ".join(request.reasons)[:500],
            )
            yield replace(proposal, evidence=self._evidence_about(proposal)), 0.0

    def _evidence_about(self, proposal: Proposal) -> tuple[str, ...]:
        subject = proposal.subject(self._means.actions)
        about = {*self._means.inventory.around(subject), "main"} if subject else set()
        known = self._seen.snapshot.evidence.values()
        return tuple(entry.id for entry in known if entry.about in about)[:20]

    def _exhausted(self, proposal: Proposal, past: Past, around: Circumstances) -> bool:
        digest = plan_digest(proposal, self._means.actions.actions[proposal.action])
        if digest in around.approvals:
            return False
        return self._means.engine.exhausted(proposal, self._seen.snapshot, past, around)

    # What becomes of it -----------------------------------------------------------------------------------------------

    def _one(self, proposal: Proposal, cost: float, dry: bool, undoes: Decision | None = None) -> None:
        """Judge a proposal and do what follows; `undoes` is what it takes back."""
        # Since the look, by no clock that may be set meanwhile; `seconds` is before it by the age of what was seen.
        if time.monotonic() - self._seen.seconds - self._seen.snapshot.age > OLD:
            self._refresh(self._look())
        self._judged_already.add((proposal.action, proposal.subject(self._means.actions)))
        judgement = self._judged(proposal)
        decision = self._decision(proposal, judgement, cost)
        if dry:
            self._report.decisions.append(decision)
            return
        if judgement.verdict == ADMITTED:
            self._do(proposal, decision, judgement, undoes)
            return
        if judgement.verdict == WAITING:
            try:
                # Whoever makes a model talk must leave room for what the rules want.
                most = approvals.MOST // 2 if proposal.planner == "llm" else approvals.MOST
                self._means.approvals.ask(_request(proposal, decision), self._clock(), most)
            except BusyError as error:
                # That people are asked too much keeps nothing else from being done.
                self._report.problems.append(f"{proposal.action} {decision.subject}: {error}")
                return
        if self._notes.once(decision, self._clock()):
            self._report.decisions.append(decision)

    def _do(
        self, proposal: Proposal, decision: Decision, judgement: Judgement, undoes: Decision | None
    ) -> None:
        if judgement.rule == "approval" and not self._means.approvals.take(decision.digest, self._clock()):
            return  # somebody has taken the yes back just now
        self._tell(f"{proposal.action} {decision.subject}")
        before = self._seen.snapshot
        begun = self._effects.begin(proposal, decision)
        if isinstance(begun, Begun):
            self._report.decisions.append(decision)
            self._pending.append(_Pending(begun, before, undoes))
        else:
            self._report.decisions.append(begun)

    def _ended(self, ended: Decision, pending: _Pending) -> None:
        self._report.put(ended)
        failed = pending.undoes
        if failed is None and ended.verdict == "failed":
            self._undo(pending.begun.proposal, ended, pending.before)
        elif failed is not None and ended.verdict == "done":
            self._report.put(self._notes.end(failed, "undone", failed.result, failed.after, ended.id))

    def _undo(self, proposal: Proposal, failed: Decision, before: Snapshot) -> None:
        """Take back what made things worse, where the entry says how; the policy judges that as everything."""
        action = self._means.actions.actions[proposal.action]
        other = self._means.actions.actions.get(action.undo)
        worse = self._effects.worse(proposal, before, self._seen.snapshot) if other else []
        if other is None or not worse:
            return
        values = {name: proposal.parameters[name] for name in other.parameters}
        reason = f"{action.id} ({failed.id}) failed, and since then {', '.join(worse)} does not work"
        back = Proposal(other.id, values, planner=proposal.planner, reason=reason[:500])
        self._one(replace(back, evidence=self._evidence_about(back)), 0.0, dry=False, undoes=failed)

    def _judged(self, proposal: Proposal) -> Judgement:
        judgement = self._means.engine.judge(proposal, self._seen.snapshot, self._past(), self._around())
        if judgement.verdict == REFUSED:
            return judgement
        action = self._means.actions.actions[proposal.action]
        silent = [place for place in action.verbs if place in self._seen.missing]
        if silent:
            reason = f"the {' and the '.join(silent)} did not answer in this cycle, and is needed for it"
            return Judgement(REFUSED, GATHERED, reason, judgement.digest)
        return judgement

    def _decision(self, proposal: Proposal, judgement: Judgement, cost: float) -> Decision:
        action = self._means.actions.actions.get(proposal.action)
        known = self._seen.snapshot.evidence
        says = (known[name] for name in proposal.evidence if name in known)
        formed = action is not None and judgement.rule != "schema"
        return Decision(
            id=effect_id(self._report.cycle, judgement.digest),
            cycle=self._report.cycle,
            planner=proposal.planner,
            action=str(proposal.action)[:40],
            parameters={str(name): str(value) for name, value in proposal.parameters.items()},
            subject=proposal.subject(self._means.actions) if formed else "",
            risk=action.risk if action else "",
            verdict="done" if judgement.verdict == ADMITTED else judgement.verdict,
            reasons=(judgement.rule, judgement.reason, proposal.reason),
            evidence=tuple(f"{entry.id}: {entry.says}" for entry in says),
            digest=judgement.digest,
            before=self._effects.facts(action, proposal, self._seen.snapshot) if action and formed else {},
            cost=cost,
        )

    # What is known ----------------------------------------------------------------------------------------------------

    def _refresh(self, seen: Seen) -> None:
        self._seen = seen._replace(snapshot=replace(seen.snapshot, told=self._told))

    def _past(self) -> Past:
        return self._notes.ledger.past(self._clock())

    def _around(self) -> Circumstances:
        return self._means.circumstances(self._clock())


def _request(proposal: Proposal, decision: Decision) -> Request:
    reasons: Iterable[str] = filter(None, (proposal.reason, *decision.evidence))
    return Request(
        decision.digest, decision.action, decision.parameters, decision.risk, tuple(reasons)[:20], 0.0
    )
