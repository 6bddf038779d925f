# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""From a ticket to a change that stands: ask, edit, test, and again with what came of it, a few times at most."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...module_utils.builds.wire import cleaned
from ...module_utils.edits.apply import Changes, apply
from ...module_utils.edits.model import SCHEMA, Proposal
from ...module_utils.errors import (
    BuildError,
    EditRefusedError,
    LateError,
    LLMAnswerError,
    LLMError,
    LLMRefusedError,
    TooMuchError,
)
from ...module_utils.llm.budget import Use
from ...module_utils.llm.client import LLMClient
from ...module_utils.llm.model import Answer, Question
from ...module_utils.llm.redaction import HIDDEN
from . import prompt
from .context import Context
from .staging import Staging
from .trial import Tell, Verdict, tried

# Seconds for the choice of files, and for the edits.
_CHOICE_SECONDS = 60.0
_EDIT_SECONDS = 240.0
# With less than that nothing more is begun.
_LEAST_SECONDS = 60.0

_MAX_SUBJECT = 72
_MAX_SUMMARY = 1000
_MAX_LOG = 2000


@dataclass
class Result:
    """What came of it.

    Attributes:
        state: ``passed``, ``failed`` or ``untried`` (edits that were not tested); ``nothing`` where there are none.
        reason: why it did not pass, in one line.
        log: the end of what the tests said.
        summary: what the change does, in the model's words.
        commit: where the change is, in the staging repository.
        changes: the files.
        parts: what was tested.
        attempts: how each ended.
        answer: all answers together; None where there was none.
        lost: what a question took that no answer came to.
    """

    state: str = "nothing"
    reason: str = ""
    log: str = ""
    summary: str = ""
    commit: str = ""
    changes: Changes = field(default_factory=dict)
    parts: list[str] = field(default_factory=list)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    answer: Answer | None = None
    lost: Use = field(default_factory=Use)

    @property
    def model(self) -> str:
        """The model that wrote it."""
        return cleaned(self.answer.served, 100).replace("\n", " ") if self.answer else ""


class Work:
    """The work on one ticket.

    Args:
        client: asks the model.
        staging: where the change grows.
        ticket: what is to be done.
        tell: gets a line for each thing that happens, and data about it.
        deadline: by the monotonic clock.
    """

    def __init__(
        self, client: LLMClient, staging: Staging, ticket: Mapping[str, Any], tell: Tell, deadline: float
    ) -> None:
        self._client, self._staging, self._ticket = client, staging, ticket
        self._tell, self._deadline = tell, deadline
        self._context = Context(staging)
        self._sent: dict[str, bytes] = {}
        self.result = Result()

    def questions(self) -> list[Question]:
        """Return what would be asked first, with the files that the ticket's words choose."""
        found = [] if self._context.is_small else [prompt.choice(self._ticket, self._context)]
        return [*found, prompt.edits(self._ticket, self._context, self._first(self._by_words()))]

    def run(self, attempts: int, *, dry: bool = False) -> Result:
        """Do it.

        Args:
            attempts: how many at most.
            dry: whether edits that can be made are enough, so that nothing is tested.
        """
        try:
            self._sent = self._first([*self._chosen(), *self._by_words()])
            past = ""
            for number in range(1, attempts + 1):
                past = self._attempt(number, attempts, past, dry)
                if not past:
                    break
        except (LLMError, BuildError, LateError, TooMuchError) as error:
            self.result.reason = str(error)
        return self.result

    # Files -----------------------------------------------------------------------------------------------------------

    def _first(self, paths: list[str]) -> dict[str, bytes]:
        return self._context.all() if self._context.is_small else self._context.shown(paths)

    def _by_words(self) -> list[str]:
        return self._context.by_words(f"{self._ticket['title']}\n{self._ticket['description']}")

    def _chosen(self) -> list[str]:
        """The files that the model wants to see; where it does not say so, the ticket's words have to do."""
        if self._context.is_small:
            return []
        self._tell("asks the model which files matter", stage="asking")
        try:
            answer = self._asked(
                prompt.choice(self._ticket, self._context), prompt.CHOICE, "files", _CHOICE_SECONDS
            )
        except (LLMAnswerError, LLMRefusedError) as error:
            self._tell(f"{error} The ticket's words choose the files.", stage="asking")
            return []
        return [str(path) for path in answer.value["files"]]

    # An attempt ------------------------------------------------------------------------------------------------------

    def _attempt(self, number: int, attempts: int, past: str, dry: bool) -> str:
        """Make one; returns what the model is told for the next, nothing where there is none."""
        if self._deadline - time.monotonic() < _LEAST_SECONDS:
            raise LateError("the time for this ticket is over")
        self._tell(
            f"attempt {number} of {attempts}: asks the model for edits", stage="asking", attempt=number
        )
        question = prompt.edits(self._ticket, self._context, self._sent, past)
        answer = self._asked(question, SCHEMA, "edits", _EDIT_SECONDS)
        proposal = Proposal.from_dict(answer.value)
        try:
            changes = apply(proposal, self._modes(), self._sent, self._mark(question))
        except EditRefusedError as error:
            self._note(number, "refused", str(error))
            # What it wanted to edit without having seen it, it sees next time.
            self._sent = self._context.shown([*proposal.paths, *self._sent])
            return prompt.failed(answer.value, error.reasons)
        self._take(proposal, changes)
        if dry:
            self._note(number, "untried", "")
            return ""
        verdict = self._tested(list(changes))
        self._note(number, "passed" if verdict.passed else "failed", verdict.reason, verdict.log)
        if verdict.passed:
            return ""
        return prompt.failed(answer.value, [verdict.reason], verdict.log)

    def _take(self, proposal: Proposal, changes: Changes) -> None:
        result = self.result
        result.state, result.changes = "untried", changes
        result.summary = cleaned(proposal.summary[:_MAX_SUMMARY], 4 * _MAX_SUMMARY)
        names = ", ".join(sorted(changes)[:5])
        self._tell(f"edits {len(changes)} file{'s' if len(changes) > 1 else ''}: {names}", stage="editing")
        result.commit = self._commit()

    def _tested(self, paths: list[str]) -> Verdict:
        verdict = tried(self._staging, self.result.commit, paths, self._deadline, self._tell)
        self.result.state = "passed" if verdict.passed else "failed"
        self.result.parts = list(verdict.parts)
        self.result.commit = self._commit()
        return verdict

    def _note(self, number: int, state: str, reason: str, log: str = "") -> None:
        result = self.result
        result.reason, result.log = reason, log[-_MAX_LOG:]
        result.attempts.append({"attempt": number, "state": state, "reason": reason})
        if reason:
            self._tell(f"attempt {number}: {reason}", stage=state, attempt=number)

    def _commit(self) -> str:
        return self._staging.made("change", self.result.changes, message(self._ticket, self.result))

    def _modes(self) -> dict[str, str]:
        return {path: entry.mode for path, entry in self._staging.entries.items()}

    def _mark(self, question: Question) -> str:
        """The mark of what was taken out of a question; empty where nothing was."""
        asked = "".join(str(part["content"]) for part in self._client.prompt(question))
        return HIDDEN if asked.count(HIDDEN) > f"{question.task}{question.text}".count(HIDDEN) else ""

    def _asked(self, question: Question, schema: Mapping[str, Any], name: str, seconds: float) -> Answer:
        seconds = max(1.0, min(seconds, self._deadline - time.monotonic()))
        used = self._client.budget.used()
        try:
            answer = self._client.decide(question, schema, name, seconds)
        except LLMError:
            after = self._client.budget.used()
            self.result.lost = Use(max(0, after.tokens - used.tokens), max(0.0, after.cost - used.cost))
            raise
        before = self.result.answer
        self.result.answer = _together(before, answer) if before else answer
        return answer


def _together(before: Answer, answer: Answer) -> Answer:
    """Two answers as one that took what both did."""
    return dataclasses.replace(
        answer,
        tokens=before.tokens + answer.tokens,
        cost=round(before.cost + answer.cost, 9),
        estimated=before.estimated or answer.estimated,
        seconds=round(before.seconds + answer.seconds, 3),
        redacted=max(before.redacted, answer.redacted),
    )


def message(ticket: Mapping[str, Any], result: Result) -> str:
    """Return the message of a commit: the ticket, what was done, and that a model wrote it."""
    first, _line, _more = result.summary.partition("\n")
    words = {
        "passed": f"passed ({', '.join(result.parts)})",
        "failed": "failed, so this is not finished",
        "untried": "not run",
    }
    lines = [
        f"{ticket['id']}: {first.strip() or ticket['title']}"[:_MAX_SUBJECT].rstrip(". "),
        "",
        f"For the ticket: {cleaned(str(ticket['title']), 400)}",
        *(["", result.summary] if result.summary != first or len(first) > _MAX_SUBJECT - 10 else []),
        "",
        f"Written by the model {result.model}, and not yet read by a person.",
        "",
        f"Ticket: {ticket['id']}",
        f"Model: {result.model}",
        f"Tests: {words[result.state]}",
    ]
    return "\n".join(lines) + "\n"


def is_written_here(text: str) -> bool:
    """Whether a commit's message says that it was made here."""
    lines = text.splitlines()
    return all(any(line.startswith(word) for line in lines) for word in ("Ticket: ", "Model: ", "Tests: "))
