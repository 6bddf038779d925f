# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The model as a planner beside the rules: it is asked where there is something to plan about, and adds to what the rules propose.

What it says goes through the same policy. Where it fails in any way, one error says why, in time, and the rules go on without it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..errors import AutopilotError, DockfraError, LLMBudgetError, LockBusyError
from ..llm.client import LLMClient
from ..llm.kept import Kept
from ..llm.model import Answer
from ..text import finite
from . import planner, question, schema
from .actions import Catalogue
from .facts import View
from .inventory import Inventory
from .past import Past
from .schema import Proposal
from .snapshot import Evidence, Snapshot

# Seconds for a question, all of it.
SECONDS = 20.0

# Seconds after which it is asked again about faults that are as they were.
AGAIN = 900.0

# Proposals of a model in one cycle.
MOST_ADDED = 5

# A breaker stays open for so many cycles: it spares every other one the wait, and one cycle after a recovery it is closed.
BREAKER_CYCLES = 1.5


class Proposed(NamedTuple):
    """What a planner proposes.

    Attributes:
        proposals: in the order in which they are to be done.
        told: what it was shown of what people wrote, as evidence that may be cited.
        cost: US dollars.
    """

    proposals: tuple[Proposal, ...] = ()
    told: tuple[Evidence, ...] = ()
    cost: float = 0.0


class Advisor:
    """Asks a model for what the rules do not see.

    Args:
        client: returns what asks models; it is called for each question, so that new settings hold.
        catalogue: the actions.
        inventory: the names.
        memory: the file that remembers what was asked about last.
        seconds: how long a question may take.
        again: seconds after which faults that are as they were are asked about again.
        clock: seconds since 1970, by default the system's.
    """

    def __init__(
        self,
        client: Callable[[], LLMClient],
        catalogue: Catalogue,
        inventory: Inventory,
        memory: str | os.PathLike[str],
        seconds: float = SECONDS,
        again: float = AGAIN,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client, self._catalogue, self._inventory = client, catalogue, inventory
        self._memory = Kept(memory)
        self._seconds, self._again, self._clock = seconds, again, clock

    def propose(self, snapshot: Snapshot, past: Past) -> Proposed:
        """Return what a model proposes beyond the rules; nothing where nothing is worth a question.

        Args:
            snapshot: how everything is, with what is told (see `told`).
            past: what was done.

        Raises:
            DockfraError: there is no answer; the message says why, and what to do.
        """
        view = View(self._inventory, snapshot, past, "llm")
        occasion = question.occasion(self._catalogue, view)
        if not occasion or not self._is_news(occasion, bool(question.faults(view))):
            return Proposed()
        if snapshot.budget.spent:
            raise LLMBudgetError(
                "Today's budget for models is spent, so the rules plan alone until 00:00 UTC."
            )
        proposals, answer = ask(self._client, self._catalogue, view, seconds=self._seconds)
        self._remember(occasion)
        return Proposed(tuple(self._beyond_rules(proposals, view)), snapshot.told, answer.cost)

    def _beyond_rules(self, proposals: Iterable[Proposal], view: View) -> list[Proposal]:
        """What the rules do not propose themselves, and what changes nothing that they change, each once, and of tickets that are there."""
        rules = planner.plan(self._catalogue, self._inventory, view.snapshot, view.past)
        seen = {(each.action, each.subject(self._catalogue)) for each in rules}
        changed = {name for each in rules for name in self._touched(each)}
        found = []
        for proposal in proposals:
            name, touched = (proposal.action, proposal.subject(self._catalogue)), self._touched(proposal)
            if name in seen or touched & changed or self._is_invented(name[1], view):
                continue
            seen.add(name)
            changed |= touched
            found.append(proposal)
        return found[:MOST_ADDED]

    @staticmethod
    def _is_invented(subject: str, view: View) -> bool:
        """Whether it is a ticket that is not there: of these there is no end, and a refusal of each would fill the ledger."""
        domain, _slash, name = subject.partition("/")
        return domain == "ticket" and name not in view.snapshot.tickets

    def _touched(self, proposal: Proposal) -> set[str]:
        action = self._catalogue.actions[proposal.action]
        return self._inventory.around(proposal.subject(self._catalogue)) if action.changes else set()

    # What was asked already -------------------------------------------------------------------------------------------

    def _is_news(self, occasion: str, faulty: bool) -> bool:
        """Whether this was not asked about yet, or faults have stayed for a while."""
        known, when = self._remembered()
        now = self._clock()
        # A time that lies ahead was set by a clock that was wrong.
        return occasion != known or (faulty and not now - self._again < when <= now)

    def _remembered(self) -> tuple[str, float]:
        try:
            with self._memory.held(anew=True) as data:
                return str(data.get("occasion", "")), finite(data.get("time", 0.0))
        except (OSError, LockBusyError, TypeError, ValueError):
            return "", 0.0

    def _remember(self, occasion: str) -> None:
        """Note what was asked about; a question that cannot be noted would be paid for in each cycle."""
        try:
            with self._memory.held(anew=True) as data:
                data.update(occasion=occasion, time=self._clock())
        except (OSError, LockBusyError) as error:
            raise AutopilotError(
                f"{self._memory.path} cannot be kept ({error}), so the model's answer is not used; put that right first."
            ) from error


def ask(
    client: Callable[[], LLMClient],
    catalogue: Catalogue,
    view: View,
    goal: str = "",
    seconds: float = SECONDS,
) -> tuple[list[Proposal], Answer]:
    """Ask a model for a plan; returns its proposals, unjudged, and the answer that they were taken from.

    Args:
        client: returns what asks models.
        catalogue: the actions.
        view: how everything is.
        goal: what a person wants, if one does.
        seconds: for all of it.

    Raises:
        DockfraError: there is none.
    """
    try:
        asked = question.question(catalogue, view, goal)
        answer = client().decide(
            asked, schema.plan_schema(catalogue, view.inventory), "plan", seconds=seconds
        )
        return schema.from_answer(answer.value, "llm"), answer
    except DockfraError:
        raise
    except Exception as error:  # the SDK's own failures are many, and none may take the rules along
        raise AutopilotError(f"The model could not be asked ({type(error).__name__}).") from error
