# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Which issue belongs to which ticket."""

from __future__ import annotations

from collections.abc import Mapping

from ..tickets.model import Comment, Ticket
from . import mapping
from .merge import changed_here
from .objects import RemoteIssue
from .state import Entry


class Matching:
    """Finds the ticket of an issue: by what is remembered, the ticket's number, the issue's marker, or the key of its import.

    Args:
        tickets: all tickets by id, as they are when the run begins.
        entries: what is remembered of each, which may grow meanwhile.
        repo: the repository.
    """

    def __init__(self, tickets: Mapping[str, Ticket], entries: Mapping[str, Entry], repo: str) -> None:
        self._tickets = tickets
        self._entries = entries
        self._repo = repo
        self._by_number = {entry.number: key for key, entry in entries.items() if entry.number}
        self._by_key = {ticket.external_key: ticket for ticket in tickets.values() if ticket.external_key}
        self._claims = {
            ticket.github_issue_number: ticket
            for ticket in tickets.values()
            if ticket.github_issue_number and not self._entry(ticket.id).number
        }

    def ticket_of(self, issue: RemoteIssue) -> str | None:
        """The id of the ticket that an issue belongs to."""
        known = self._by_number.get(issue.number)
        if known is not None and self._entry(known).id == issue.id:
            return known
        claim = self._claims.get(issue.number)
        if claim is not None and claim.extra.get("github_issue_id", issue.id) == issue.id:
            return claim.id
        if named := mapping.marked(issue):
            ticket = self._tickets.get(named[0])
            # A marker that was copied from another issue says nothing.
            if ticket and mapping.ticket_key(ticket) == named[1] and not self.linked(ticket, issue):
                return ticket.id
        made = self._by_key.get(mapping.external_key(self._repo, issue))
        return made.id if made and not self.linked(made, issue) else None

    def linked(self, ticket: Ticket, issue: RemoteIssue) -> bool:
        """Whether a ticket belongs to another issue already, or to none on purpose."""
        entry = self._entry(ticket.id)
        if entry.being_made:
            return False
        number = entry.number or ticket.github_issue_number
        return (
            "github_gone" in ticket.extra
            or bool(number and number != issue.number)
            or ticket.extra.get("github_issue_id", issue.id) != issue.id
        )

    def _entry(self, ticket_id: str) -> Entry:
        return self._entries.get(ticket_id) or Entry()


def has_news(ticket: Ticket, entry: Entry) -> bool:
    """Whether there is something in a ticket that its issue does not have."""
    return (
        bool(changed_here(ticket, entry))
        or mapping.plain_labels(ticket.labels).keys() != mapping.plain_labels(entry.local_labels).keys()
        or bool(pending(ticket, entry))
    )


def pending(ticket: Ticket, entry: Entry) -> list[tuple[str, Comment]]:
    """A ticket's comments that are not on GitHub, with their keys."""
    return [
        (key, comment)
        for comment in ticket.comments
        if "github_comment_id" not in comment.extra
        and (key := mapping.comment_key(ticket, comment)) not in entry.comments
    ]
