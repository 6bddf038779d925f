# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Which tickets to list, and in which order."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from . import values
from .model import Ticket

SORTS = ("id", "updated", "created", "priority", "status")

# What somebody works on, then what waits, then what is done.
_URGENCY = {"in_progress": 0, "open": 1, "closed": 2}


class Filter:
    """Which tickets to list; a criterion that is not given admits all.

    Args:
        status: any of these statuses.
        priority: any of these priorities.
        assigned_to: any of these roles; None stands for tickets assigned to nobody.
        labels: all of these labels.
        text: occurs in title, description or a comment, upper and lower case alike.
        updated_since: changed at this time or later (RFC 3339).

    Raises:
        TicketInvalidError: a criterion can match nothing.
    """

    def __init__(
        self,
        *,
        status: Collection[str] = (),
        priority: Collection[str] = (),
        assigned_to: Collection[str | None] = (),
        labels: Collection[str] = (),
        text: str = "",
        updated_since: str | None = None,
    ) -> None:
        self.status = frozenset(map(values.clean_status, status))
        self.priority = frozenset(map(values.clean_priority, priority))
        self.assigned_to = frozenset(map(values.clean_assignee, assigned_to))
        self.labels = frozenset(values.clean_labels(list(labels)))
        self.text = text.casefold()
        self.updated_since = None if updated_since is None else values.clean_timestamp(updated_since)

    def admits(self, ticket: Ticket) -> bool:
        return (
            (not self.status or ticket.status in self.status)
            and (not self.priority or ticket.priority in self.priority)
            and (not self.assigned_to or ticket.assigned_to in self.assigned_to)
            and (not self.labels or set(ticket.labels).issuperset(self.labels))
            and (self.updated_since is None or ticket.updated_at >= self.updated_since)
            and (not self.text or self._mentioned(ticket))
        )

    def _mentioned(self, ticket: Ticket) -> bool:
        texts = (ticket.title, ticket.description, *(comment.text for comment in ticket.comments))
        return any(self.text in text.casefold() for text in texts)


def ordered(found: Iterable[Ticket], sort: str, *, reverse: bool = False) -> list[Ticket]:
    """Return tickets in one of the orders SORTS; equal ones are in order of their ids."""
    tickets = list(found)
    tickets.sort(key=lambda ticket: ticket.number)
    if sort == "updated":
        tickets.sort(key=lambda ticket: ticket.updated_at)
    elif sort == "created":
        tickets.sort(key=lambda ticket: ticket.created_at)
    elif sort == "priority":
        tickets.sort(key=lambda ticket: -values.PRIORITIES.index(ticket.priority))
    elif sort == "status":
        tickets.sort(key=lambda ticket: _URGENCY[ticket.status])
    if reverse:
        tickets.reverse()
    return tickets
