# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Plans of tickets that a model proposes: their form, what is checked of them here, where they are kept, and their tickets.

A plan is kept by its goal before anything is made of it. So the same goal leads to the same tickets, however often it is asked for
and wherever the first time was interrupted: each ticket has the plan's digest and its number as its external key, and the store
makes no second one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...module_utils.answers.schema import record
from ...module_utils.errors import CommandError, LLMAnswerError, LockBusyError, TicketError
from ...module_utils.llm.kept import Kept
from ...module_utils.policy.roles import ROLES
from ...module_utils.settings import file as settings_file
from ...module_utils.tickets import values
from ...module_utils.tickets.store import TicketStore

MOST = 20
MAX_GOAL = 8000
_MAX_DESCRIPTION = 2000

# Beneath the role's home; of all plans the latest.
FILE = ".local/state/dockfra/plans.json"
_KEPT = 10
# Bytes of all of them; a file that is larger could not be read again.
_ROOM = 200_000

SCHEMA: Mapping[str, Any] = record(
    summary={"type": "string", "description": "one sentence: how the goal is reached", "maxLength": 500},
    tickets={
        "type": "array",
        "minItems": 1,
        "maxItems": MOST,
        "items": record(
            title={
                "type": "string",
                "description": "what is to be done, in one line",
                "minLength": 1,
                "maxLength": values.MAX_TITLE,
            },
            description={
                "type": "string",
                "description": "what has to be so when it is done",
                "maxLength": _MAX_DESCRIPTION,
            },
            priority={"type": "string", "enum": list(values.PRIORITIES)},
            assignee={"type": "string", "enum": list(ROLES)},
            depends_on={
                "type": "array",
                "description": "numbers of the tickets of this list, the first being 1, that have to be done before",
                "maxItems": MOST,
                "items": {"type": "integer", "minimum": 1, "maximum": MOST},
            },
        ),
    },
)


def checked(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan that a model's answer is, in the form of tickets.

    Args:
        value: fits `SCHEMA`.

    Raises:
        LLMAnswerError: no ticket could be like that, or none could be begun.
    """
    tickets = [_ticket(number, entry) for number, entry in enumerate(value["tickets"], 1)]
    _order(tickets)
    return {"summary": values.acceptable(value["summary"], 500, one_line=True), "tickets": tickets}


def _ticket(number: int, entry: Mapping[str, Any]) -> dict[str, Any]:
    try:
        # What a person does not see is no part of what they agree to.
        title = values.clean_title(values.acceptable(entry["title"], values.MAX_TITLE, one_line=True))
    except TicketError as error:
        raise LLMAnswerError(f"Ticket {number} of the plan cannot be made: {error} Ask again.") from error
    return {
        "title": title,
        "description": values.acceptable(entry["description"], _MAX_DESCRIPTION),
        "priority": entry["priority"],
        "assignee": entry["assignee"],
        "depends_on": sorted(set(entry["depends_on"])),
    }


def _order(tickets: Sequence[Mapping[str, Any]]) -> list[int]:
    """Numbers of tickets, each after those it depends on; raises LLMAnswerError where there is no such order."""
    for number, ticket in enumerate(tickets, 1):
        for other in ticket["depends_on"]:
            if other > len(tickets):
                raise LLMAnswerError(
                    f"Ticket {number} of the plan depends on {other}, which is none; ask again."
                )
    done: list[int] = []
    left = list(range(1, len(tickets) + 1))
    while left:
        ready = [number for number in left if set(tickets[number - 1]["depends_on"]) <= set(done)]
        if not ready:
            circle = ", ".join(map(str, left))
            raise LLMAnswerError(
                f"Tickets {circle} of the plan wait for each other, so none could be begun; ask again."
            )
        # The first of them, so that the ids follow the plan wherever they can.
        done.append(ready[0])
        left.remove(ready[0])
    return done


def digest(goal: str, plan: Mapping[str, Any]) -> str:
    """Return by what a plan is told from all others."""
    text = json.dumps([_same(goal), plan["tickets"]], sort_keys=True)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


class Plans:
    """The plans that a role has kept.

    Args:
        role: whose.
    """

    def __init__(self, role: str) -> None:
        self._file = Kept(settings_file.HOMES / role / FILE)

    def of(self, goal: str) -> dict[str, Any] | None:
        """Return the plan that is kept for a goal, None where there is none; raises CommandError."""
        with self._held() as kept:
            return next((entry for entry in reversed(kept) if entry["goal"] == _same(goal)), None)

    def last(self) -> dict[str, Any]:
        """Return the plan that was shown last; raises CommandError where there is none."""
        with self._held() as kept:
            if not kept:
                raise CommandError("no plan is kept here; plan GOAL makes one and shows it")
            return kept[-1]

    def keep(self, goal: str, plan: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a plan as the last one, in the place of any other for its goal, and return it as it is kept.

        Raises:
            LLMAnswerError: it is too long to be kept.
            CommandError: the file cannot be.
        """
        entry = {"goal": _same(goal), "digest": digest(goal, plan), **plan}
        if len(json.dumps(entry)) > _ROOM:
            raise LLMAnswerError(
                f"The plan has more than {_ROOM} bytes; ask for fewer tickets, or for shorter ones."
            )
        with self._held() as kept:
            kept[:] = [*(other for other in kept if other["goal"] != entry["goal"]), entry][-_KEPT:]
            while len(json.dumps(kept)) > _ROOM:
                del kept[0]
        return entry

    @contextmanager
    def _held(self) -> Iterator[list[dict[str, Any]]]:
        path = Path(self._file.path)
        try:
            with self._file.held() as data:
                yield data.setdefault("plans", [])
        except (ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{path} is damaged; remove it, and ask for the plan again") from error
        except (OSError, LockBusyError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CommandError(f"{path} cannot be kept ({reason}); put that right first") from error


def make(store: TicketStore, actor: str, plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Make the tickets of a plan that are not there yet, and return of each, in the order of the plan, ``id`` and whether it was ``created``.

    Args:
        store: where.
        actor: the role that makes them.
        plan: a kept one.

    Raises:
        TicketError: one cannot be made; those before it are there, and are found the next time.
    """
    ids: dict[int, str] = {}
    made: dict[int, dict[str, Any]] = {}
    for number in _order(plan["tickets"]):
        entry = plan["tickets"][number - 1]
        fields: dict[str, Any] = {
            "title": entry["title"],
            "description": entry["description"],
            "priority": entry["priority"],
            "assigned_to": entry["assignee"],
            "external_key": f"plan:{plan['digest']}:{number}",
        }
        if entry["depends_on"]:
            before = sorted((ids[other] for other in entry["depends_on"]), key=values.parse_id)
            fields["extra"] = {"depends_on": before}
        change = store.create(actor, fields)
        ids[number] = change.after.id
        made[number] = {"id": change.after.id, "created": change.changed}
    return [made[number] for number in sorted(made)]


def _same(goal: str) -> str:
    """A goal as it is told from others: white space makes none of it."""
    return " ".join(goal.split())
