# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Writes decisions down: in the ledger, and what people have to be able to follow in the container's audit log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...module_utils.audit.log import AuditLog
from ...module_utils.autopilot import ledger as ledgers
from ...module_utils.autopilot.ledger import Decision, Ledger
from ...module_utils.autopilot.past import HOUR
from ..cli.journal import record

# Bytes of an action and its parameters in an audit line.
_MOST = 4096


class Notes:
    """Both books.

    Args:
        ledger: the autopilot's own.
        audit: the container's.
    """

    def __init__(self, ledger: Ledger, audit: AuditLog) -> None:
        self.ledger = ledger
        self._audit = audit

    def once(self, decision: Decision, now: float) -> bool:
        """Write down a decision without effect, unless the same was decided about the subject within an hour.

        Returns:
            Whether it is new.

        Raises:
            LedgerError, AuditError: it cannot be written.
        """
        if any(_same(known, decision) and _age(known, now) < HOUR for known in self.ledger.decisions()):
            return False
        self.ledger.note(decision)
        self._tell(decision, decision.verdict)
        return True

    def begin(self, decision: Decision) -> None:
        """Write down that an effect begins; raises LedgerError, or AuditError: nothing is to be done then."""
        self._audit.check()
        self.ledger.begin(decision)
        self._tell(decision, "begun")

    def end(
        self,
        decision: Decision,
        verdict: str,
        result: str,
        after: Mapping[str, Any] | None = None,
        undone: str = "",
    ) -> Decision:
        """Write down how an effect ended, and return that; raises LedgerError, AuditError."""
        self.ledger.end(decision.id, verdict, result, after, undone)
        ended = replace(
            decision, verdict=verdict, result=result, after=after or {}, undone=undone, ended=True
        )
        self._tell(ended, verdict)
        return ended

    def _tell(self, decision: Decision, verdict: str) -> None:
        words = [decision.action, *(f"{name}={value}" for name, value in decision.parameters.items())]
        self._audit.append(
            {
                "caller": decision.planner,
                "role": "autopilot",
                **record(words, _MOST),
                "verdict": verdict,
                "effect": decision.id,
                "reason": " - ".join(filter(None, (*decision.reasons[:2], decision.result)))[:500],
            }
        )


def _same(known: Decision, new: Decision) -> bool:
    fields = ["planner", "action", "subject", "verdict"]
    # Each plan waits for itself. Of others the texts do not count: that of a ticket may tell the time.
    if new.verdict == "waiting":
        fields.append("digest")
    same = all(getattr(known, field) == getattr(new, field) for field in fields)
    return same and known.reasons[:1] == new.reasons[:1]


def _age(decision: Decision, now: float) -> float:
    return now - ledgers.moment(decision, now)
