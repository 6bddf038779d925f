# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a synchronisation did, or would do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Result:
    """What became of one ticket and its issue.

    Attributes:
        ticket: its id; None where an issue did not become one.
        issue: number of the issue, or None.
        pulled: what happened to the ticket: ``created``, ``updated`` or ``unchanged``.
        pushed: what happened to the issue: ``created``, ``updated``, ``unchanged``, ``locked`` (comments wait),
            ``gone`` (deleted or moved), ``waiting`` (to be pulled first) or ``left`` (not to be pushed).
        conflicts: fields that both sides changed.
        notes: what a person should know, one sentence each.
        failed: whether something could not be done that should have been.
        before, after: the values that changed, of the ``ticket`` and of the ``issue``.
    """

    ticket: str | None
    issue: int | None = None
    pulled: str = "unchanged"
    pushed: str = "unchanged"
    conflicts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: bool = False
    before: dict[str, dict[str, Any]] = field(default_factory=dict)
    after: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        return bool(self.after) or self.pushed == "gone"

    @property
    def worth_telling(self) -> bool:
        return self.changed or self.failed or bool(self.notes) or self.pushed != "unchanged"

    def __str__(self) -> str:
        parts = [
            f"{self.ticket or '-'} #{self.issue or '-'}: ticket {self.pulled}, issue {self.pushed}",
            *([f"changed on both sides: {', '.join(self.conflicts)}"] if self.conflicts else []),
            *(note.rstrip(".") for note in self.notes),
        ]
        return "; ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def note(self, text: str) -> None:
        """Add a sentence, once."""
        if text not in self.notes:
            self.notes.append(text)

    def show(self, what: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Remember which values of the ticket or issue a change changed, and from what."""
        for name, value in after.items():
            if before.get(name) != value:
                self.before.setdefault(what, {}).setdefault(name, before.get(name))
                self.after.setdefault(what, {})[name] = value


@dataclass(frozen=True)
class Report:
    """What a run did.

    Attributes:
        results: one for each ticket or issue that there is something to say about.
        unchanged: how many others were looked at.
        requests: how many requests it took.
    """

    results: list[Result]
    unchanged: int
    requests: int

    @property
    def changed(self) -> bool:
        return any(result.changed for result in self.results)

    @property
    def failed(self) -> list[Result]:
        return [result for result in self.results if result.failed]

    def to_dict(self) -> dict[str, Any]:
        return {
            "changed": self.changed,
            "results": [result.to_dict() for result in self.results],
            "unchanged": self.unchanged,
            "requests": self.requests,
        }
