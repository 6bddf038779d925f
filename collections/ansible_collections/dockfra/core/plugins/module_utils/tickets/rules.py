# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Which role may do what to which ticket, and how a status may change."""

from __future__ import annotations

from ..errors import TicketConflictError, TicketDeniedError
from ..policy.roles import ON_ALL_TICKETS, ON_OWN_TICKETS, ROLES
from ..text import shown
from .model import Ticket

# What leads from one status to another; what is not here nobody can do.
TRANSITIONS = {
    ("open", "in_progress"): "start",
    ("in_progress", "closed"): "finish",
    ("open", "closed"): "drop",
    ("closed", "open"): "reopen",
}
# Asking again for what is already so needs the right to have done it.
_LEADS_TO = {"open": "reopen", "in_progress": "start", "closed": "finish"}

_WORDS = {
    "create": "create tickets",
    "edit": "edit",
    "import": "set imported fields of",
    "comment": "comment on",
    "report": "report on",
    "start": "start",
    "finish": "finish",
    "drop": "close",
    "reopen": "reopen",
}


def check(actor: str, action: str, ticket: Ticket | None = None) -> None:
    """Raise TicketDeniedError unless a role may do something (one of TICKET_ACTIONS) to a ticket."""
    if actor not in ROLES:
        raise TicketDeniedError(f"{shown(actor)} is no role; roles are {', '.join(ROLES)}.")
    if action in ON_ALL_TICKETS[actor]:
        return
    if ticket is None:
        raise TicketDeniedError(
            f"The {actor} may not {_WORDS[action]}{'' if action == 'create' else ' tickets'}."
        )
    if action not in ON_OWN_TICKETS[actor]:
        hint = "; start it first" if action == "drop" and ticket.assigned_to == actor else ""
        raise TicketDeniedError(f"The {actor} may not {_WORDS[action]} {ticket.id}{_state(action)}{hint}.")
    if ticket.assigned_to != actor:
        whose = (
            f"assigned to the {ticket.assigned_to}"
            if ticket.assigned_to
            else f"assigned to nobody; the manager gives it to you with 'ticket-update {ticket.id} --assign {actor}'"
        )
        raise TicketDeniedError(f"The {actor} may not {_WORDS[action]} {ticket.id}: it is {whose}.")


def check_status(actor: str, ticket: Ticket, status: str) -> None:
    """Raise unless a role may give a ticket this status.

    Raises:
        TicketConflictError: no way leads from the ticket's status to this one.
        TicketDeniedError: the role may not go that way.
    """
    if status == ticket.status:
        check(actor, _LEADS_TO[status], ticket)
        return
    action = TRANSITIONS.get((ticket.status, status))
    if action is None:
        check(actor, _LEADS_TO[status], ticket)
        ways = ", ".join(after for before, after in TRANSITIONS if before == ticket.status)
        raise TicketConflictError(f"{ticket.id} is {ticket.status} and cannot become {status}, only {ways}.")
    check(actor, action, ticket)


def _state(action: str) -> str:
    return " while it is open" if action == "drop" else ""
