# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The autopilot's ledger: what it decided, what it began and how that ended, as JSON lines that are on the disk before and after.

It is written as an audit log is (see `audit.log`): locked, each line whole and chained to the one before, in files that are bounded in
size and number. An effect has an id, which follows from the cycle and the plan; what has an id in the ledger is never begun again.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..audit import chain
from ..audit.files import log_files
from ..audit.log import AuditLog
from ..errors import AuditError, LedgerError, LockBusyError
from ..locks import file_lock
from .past import BEGUN, Event, Past

VERDICTS = ("done", "suggested", "waiting", "refused", "failed", "undone")
# How an effect can end; the others are decisions without one.
ENDS = ("done", "failed", "undone")

# Bytes of a file, and full files that are kept beside it.
LIMIT = 1024 * 1024
KEEP = 4
# What is written down of a text, and of a list.
MOST_TEXT = 2000
MOST_ITEMS = 50
# Bytes of a line without what its log adds; a letter may take twelve. What can be long is cut until it fits, to so many signs and items.
MOST_LINE = 48 * 1024
_CUT = "… (cut)"
_CUTS = ((500, MOST_ITEMS), (120, 20), (120, 5))
_LONG = ("parameters", "reasons", "evidence", "before", "after", "result")
_PATIENCE = 10.0

# What is told of a decision, in this order.
SHOWN = (
    *("id", "cycle", "time", "planner", "action", "parameters", "risk", "verdict"),
    *("reasons", "evidence", "before", "after", "result", "undone", "cost"),
)

UNKNOWN = "begun, and not known to have ended"


@dataclass(frozen=True)
class Decision:
    """One decision.

    Attributes:
        id: of the decision, and of its effect where it has one.
        cycle: in which it was made.
        planner: who proposed it.
        action: its id.
        parameters: as proposed.
        subject: what it is about, as `inventory.key` names it.
        risk: of the action.
        verdict: one of `VERDICTS`.
        reasons: the rule that decided, and why.
        evidence: the evidence that was cited, as id and what it says.
        digest: of the plan.
        before: what was measured before.
        after: what was measured after.
        result: what came of it, in words.
        undone: the id of the effect that took it back.
        cost: of the model, in US dollars.
        time: when it was written, as RFC 3339; the ledger sets it.
        ended: whether its effect has ended.
    """

    id: str
    cycle: int
    planner: str
    action: str
    parameters: Mapping[str, str]
    subject: str
    risk: str
    verdict: str
    reasons: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    digest: str = ""
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    result: str = ""
    undone: str = ""
    cost: float = 0.0
    time: str = ""
    ended: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return what `pilot-log` shows."""
        verdict, result = (self.verdict, self.result) if self.ended else ("failed", UNKNOWN)
        found = {name: getattr(self, name) for name in SHOWN}
        return {**found, "verdict": verdict, "result": result}


def effect_id(cycle: int, digest: str) -> str:
    """Return the id of an effect: the same plan in the same cycle is the same effect."""
    return f"{cycle:08d}-{digest[:12]}"


class Ledger:
    """All decisions that are kept. Any number of processes may use one at the same time.

    Args:
        path: the file; its directory exists.
        now: the clock.
        limit: bytes after which the file is full and the next one begins.
        keep: full files that are kept.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
        limit: int = LIMIT,
        keep: int = KEEP,
    ) -> None:
        self._path = os.fspath(path)
        self._log = AuditLog(path, now, limit, keep)
        self._lock = f"{self._path}.turn"
        self._seen: chain.Head | None = None
        # What was read last, and how the files were then: a cycle asks many times, and reading takes a tenth of a second where they are full.
        self._read: tuple[list[tuple[int, ...]], list[Decision]] | None = None

    def note(self, decision: Decision) -> None:
        """Write down a decision that has no effect; raises LedgerError."""
        if decision.verdict not in VERDICTS:
            raise LedgerError(f"{decision.verdict} is no verdict; there are {', '.join(VERDICTS)}")
        self._append("decided", decision)

    def begin(self, decision: Decision) -> None:
        """Write down that an effect begins. Only when this has returned may it begin.

        Raises:
            LedgerError: an effect of that id was begun already, or it cannot be written: nothing is to be done then.
        """
        with self._turn():
            # Read anew: what another process has just begun counts.
            if any(known.id == decision.id for known in _effects(self._decisions())):
                raise LedgerError(f"The effect {decision.id} was begun already; it is not done twice.")
            self._append("begun", replace(decision, verdict="done", ended=False))

    def end(
        self,
        effect: str,
        verdict: str,
        result: str = "",
        after: Mapping[str, Any] | None = None,
        undone: str = "",
        cost: float = 0.0,
    ) -> None:
        """Write down how an effect ended.

        Args:
            effect: its id.
            verdict: one of `ENDS`.
            result: what came of it, in words.
            after: what was measured after it.
            undone: the id of the effect that took it back.
            cost: of the model, in US dollars.

        Raises:
            LedgerError: no such effect is open, or it cannot be written.
        """
        if verdict not in ENDS:
            raise LedgerError(f"{verdict} is no end of an effect; there are {', '.join(ENDS)}")
        with self._turn():
            begun = next((known for known in _effects(self._decisions()) if known.id == effect), None)
            # What failed may be undone later.
            if begun is None or (begun.ended and verdict != "undone"):
                raise LedgerError(f"There is no effect {effect} that was begun and has not ended.")
            ended = replace(
                begun,
                verdict=verdict,
                result=result or begun.result,
                after=begun.after if after is None else after,
                undone=undone,
                cost=cost or begun.cost,
                ended=True,
            )
            self._append("ended", ended)

    def decisions(self) -> list[Decision]:
        """Return all decisions that are kept, each once and as it is known last, in the order of their beginning.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        now = self._files()
        if self._read is None or self._read[0] != now:
            self._read = (now, self._decisions())
        return list(self._read[1])

    def _decisions(self) -> list[Decision]:
        found: dict[str, Decision] = {}
        for number, (step, decision) in enumerate(self._entries()):
            # The same may be refused, suggested or asked for again and again.
            key = decision.id if step != "decided" else f"{decision.id} {number}"
            first = found.get(key)
            found[key] = decision if first is None else replace(decision, time=first.time)
        return list(found.values())

    def effects(self) -> list[Decision]:
        """Return the decisions that had an effect; raises LedgerError."""
        return _effects(self.decisions())

    def open(self) -> list[Decision]:
        """Return the effects that were begun and have not ended; raises LedgerError."""
        return [decision for decision in self.effects() if not decision.ended]

    def next_cycle(self) -> int:
        """Return a number that no cycle in the ledger has; raises LedgerError."""
        return max((decision.cycle for decision in self.decisions()), default=0) + 1

    def problems(self) -> list[str]:
        """Return what is wrong with its chain, so that what was done may be missing; raises LedgerError.

        That lines at its end are gone knows only who has asked before.
        """
        wrong = f"the ledger {self._path} is not as it was written"
        if not os.path.lexists(self._path):
            had, self._seen = self._seen, None
            return [f"{wrong}: it is gone, and had {had.lines} lines"] if had else []
        try:
            found = chain.verify(self._path, self._seen)
        except AuditError as error:
            raise LedgerError(f"What the autopilot did cannot be read back: {error}") from error
        self._seen = found.head
        return [f"{wrong}: {problem}" for problem in found.problems]

    def past(self, now: float) -> Past:
        """Return what was done until now, for the policy; raises LedgerError."""
        return Past((_event(decision, now) for decision in self.decisions()), now)

    def _files(self) -> list[tuple[int, ...]]:
        """How the files are, which tells whether one was written; raises LedgerError."""
        if not os.path.lexists(self._path):
            return []
        try:
            found = [os.stat(file.path) for file in log_files(self._path)]
        except (OSError, AuditError) as error:
            raise LedgerError(f"What the autopilot did cannot be read back: {error}") from error
        return [(info.st_ino, info.st_size, info.st_mtime_ns) for info in found]

    def _append(self, step: str, decision: Decision) -> None:
        self._read = None
        values = {name: getattr(decision, name) for name in Decision.__dataclass_fields__ if name != "time"}
        try:
            self._log.append({"step": step, **_fitting(_bounded(values))})
        except AuditError as error:
            raise LedgerError(str(error)) from error

    def _entries(self) -> Iterator[tuple[str, Decision]]:
        if not os.path.lexists(self._path):
            return
        names = [*Decision.__dataclass_fields__]
        try:
            for entry in chain.read(self._path):
                # A line of another form is none of ours.
                if entry.get("step") in ("decided", "begun", "ended") and all(
                    name in entry for name in names
                ):
                    values = {name: entry[name] for name in names}
                    lists = {name: tuple(values[name]) for name in ("reasons", "evidence")}
                    yield entry["step"], Decision(**{**values, **lists})
        except (AuditError, TypeError) as error:
            raise LedgerError(f"What the autopilot did cannot be read back: {error}") from error

    def _turn(self) -> _Turn:
        return _Turn(self._lock)


def _effects(decisions: Iterable[Decision]) -> list[Decision]:
    return [decision for decision in decisions if not decision.ended or decision.verdict in ENDS]


class _Turn:
    """One writer at a time looks and writes."""

    def __init__(self, path: str) -> None:
        self._held = file_lock.held(path, _PATIENCE)

    def __enter__(self) -> None:
        try:
            self._held.__enter__()
        except (OSError, LockBusyError) as error:
            raise LedgerError(f"The autopilot's ledger cannot be written: {error}") from error

    def __exit__(self, *error: Any) -> None:
        self._held.__exit__(*error)


def moment(decision: Decision, now: float) -> float:
    """Return when a decision was written, seconds since the epoch; not later than now, whatever a clock said."""
    try:
        return min(datetime.datetime.fromisoformat(decision.time).timestamp(), now)
    except ValueError:
        return now


def _event(decision: Decision, now: float) -> Event:
    verdict = decision.verdict if decision.ended else BEGUN
    of = (decision.action, decision.subject, decision.risk, verdict, decision.digest, decision.planner)
    return Event(moment(decision, now), *of, decision.parameters)


def _bounded(value: Any, text: int = MOST_TEXT, items: int = MOST_ITEMS, cut: str = "…") -> Any:
    """Plain data of bounded size: a line of the ledger has to hold it, whatever was measured."""
    if isinstance(value, str):
        return value if len(value) <= text else f"{value[: text - len(cut)]}{cut}"
    if isinstance(value, Mapping):
        kept = list(value.items())[:items]
        return {str(key)[:100]: _bounded(entry, text, items, cut) for key, entry in kept}
    if isinstance(value, list | tuple):
        return [_bounded(entry, text, items, cut) for entry in value[:items]]
    return value if isinstance(value, bool | int | float) or value is None else str(value)[:MOST_TEXT]


def _fitting(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a line, with what is long cut further where the line would be too long: no text may keep a decision from being written."""
    for text, items in _CUTS:
        if len(json.dumps(values)) <= MOST_LINE:
            break
        more = [f"more{_CUT}"] * (len(values["evidence"]) > items)
        values |= {name: _bounded(values[name], text, items, _CUT) for name in _LONG}
        values["evidence"] += more
    return values
