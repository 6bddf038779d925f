# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The tickets of a platform: reading and changing them by the rules."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from ..errors import (
    TicketConflictError,
    TicketDamagedError,
    TicketInvalidError,
    TicketNewerError,
    TicketNotFoundError,
)
from ..text import shown
from . import codec, model, reading, rules, values
from .directory import TicketDirectory
from .model import Comment, Ticket
from .query import SORTS, Filter, ordered
from .reading import BadFile

DIRECTORY = "/shared/tickets"
LOCK_TIMEOUT = 30.0

# Set by whoever creates a ticket, and what is for importing alone.
_CREATED = frozenset({"title", "description", "priority", "assigned_to", "labels", "external_key"})
_EDITED = frozenset({"title", "description", "priority", "assigned_to", "labels"})
_IMPORTED = frozenset({"created_by", "created_at", "comments", "github_issue_number", "extra"})


class Listing(NamedTuple):
    """The tickets asked for, and all files that are none."""

    tickets: list[Ticket]
    damaged: list[BadFile]


class Change(NamedTuple):
    """A ticket before and after; ``before`` is None for a new one."""

    before: Ticket | None
    after: Ticket

    @property
    def changed(self) -> bool:
        return self.before != self.after


class TicketStore:
    """Reads and changes the tickets in a directory.

    Every method raises a `TicketError` of one line, and a change that raises has not happened. One object may be used by
    several threads, and any number of processes may work on one directory.

    Args:
        directory: where the tickets are.
        lock_timeout: seconds to wait for another writer.
        now: the clock.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] = DIRECTORY,
        *,
        lock_timeout: float = LOCK_TIMEOUT,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._directory = TicketDirectory(directory, lock_timeout)
        self._now = now
        # What this object learned while it held the lock. It cannot become wrong: a ticket keeps the external key it was
        # created with.
        self._keys: dict[str, str | None] = {}

    # -- reading --

    def get(self, ticket_id: str) -> Ticket:
        """Return one ticket; raises TicketNotFoundError, TicketDamagedError, TicketNewerError or TicketInvalidError."""
        ticket_id = values.clean_id(ticket_id)
        with self._directory.opened() as folder:
            return self._get(folder, ticket_id)

    def find(self, external_key: str) -> Ticket | None:
        """Return the ticket that was created with an external key."""
        key = values.clean_external_key(external_key)
        with self._directory.opened() as folder:
            tickets, _bad = reading.read_all(folder)
        return next((ticket for ticket in tickets if ticket.external_key == key), None)

    def select(self, wanted: Filter | None = None, sort: str = "id", *, reverse: bool = False) -> Listing:
        """Return the tickets that a filter admits, and the files that are no tickets.

        Args:
            wanted: by default all.
            sort: one of SORTS; by priority and status means the most urgent first. Equal ones are in order of their ids.
            reverse: turn the order round.
        """
        if sort not in SORTS:
            raise TicketInvalidError(f"{shown(sort)} is no order; orders are {', '.join(SORTS)}.")
        with self._directory.opened() as folder:
            tickets, bad = reading.read_all(folder)
            bad += reading.set_apart_before(folder)
        if wanted is not None:
            tickets = [ticket for ticket in tickets if wanted.admits(ticket)]
        tickets = ordered(tickets, sort, reverse=reverse)
        return Listing(tickets, sorted(bad, key=lambda file: file.name))

    # -- changing --

    def create(
        self, actor: str, fields: Mapping[str, Any], *, comment: str | None = None, dry_run: bool = False
    ) -> Change:
        """Create a ticket, unless there is one with the same external key: that one is returned as it is.

        Args:
            actor: the role that asks; it becomes ``created_by``.
            fields: ``title``, and as wanted ``description``, ``priority``, ``assigned_to`` (by default the developer),
                ``labels``, ``external_key``; for the manager also ``status``, ``created_by``, ``created_at``, ``comments``, ``github_issue_number``
                and ``extra``.
            comment: text of a first comment by the actor.
            dry_run: change nothing; the returned id is the one that would be given now.

        Raises:
            TicketDeniedError, TicketInvalidError, TicketStoreError.
        """
        rules.check(actor, "create")
        if fields.keys() & _IMPORTED:
            rules.check(actor, "import")
        cleaned = _clean(fields, _CREATED | _IMPORTED | {"status"})
        if "title" not in cleaned:
            raise TicketInvalidError("A ticket needs a title.")
        if cleaned.get("status", "open") != "open":
            rules.check(actor, "import")
        if comment is not None:
            new = model.clean_comment({"author": actor, "text": comment, "timestamp": self._time()})
            cleaned["comments"] = (*cleaned.get("comments", ()), new)
        if dry_run and not os.path.lexists(self._directory.path):
            return Change(None, self._made(1, actor, cleaned))
        with self._directory.writing(dry_run, make=True) as folder:
            if (key := cleaned.get("external_key")) and (known := self._known(folder, key, dry_run)):
                return Change(known, known)
            number = self._directory.next_number(folder)
            ticket = self._made(number, actor, cleaned)
            data = codec.encode(ticket)
            if not dry_run:
                self._directory.add(folder, ticket, number, data)
                self._keys[ticket.id] = ticket.external_key
            return Change(None, ticket)

    def update(
        self,
        actor: str,
        ticket_id: str,
        changes: Mapping[str, Any],
        *,
        comment: str | None = None,
        comment_once: bool = False,
        expected: str | None = None,
        dry_run: bool = False,
    ) -> Change:
        """Change some fields of a ticket, add a comment, or both at once.

        Args:
            actor: the role that asks.
            ticket_id: the ticket.
            changes: any of ``title description status priority assigned_to labels``; for the manager also
                ``github_issue_number``, ``extra`` (only the fields it names change, None removes one) and ``comments``
                (all of them; needs ``expected``, so that none gets lost).
            comment: text of a comment by the actor.
            comment_once: leave the comment out where the actor has made the same one.
            expected: the ``updated_at`` the changes were made for.
            dry_run: only return what would change.

        Raises:
            TicketConflictError: the ticket was changed since ``expected``, or its status cannot become the wanted one.
            TicketDamagedError: the file was no ticket; it has been set apart.
            TicketNotFoundError, TicketDeniedError, TicketInvalidError, TicketNewerError, TicketStoreError.
        """
        ticket_id = values.clean_id(ticket_id)
        cleaned = _clean(changes, _EDITED | {"status", "comments", "github_issue_number", "extra"})
        if "comments" in cleaned and expected is None:
            raise TicketInvalidError("To replace all comments, say which updated_at is expected.")
        if expected is not None:
            expected = values.clean_timestamp(expected, "The expected updated_at")
        if comment is not None:
            # Its time is that of the change.
            comment = model.clean_comment({"author": actor, "text": comment, "timestamp": self._time()}).text
        with self._directory.writing(dry_run) as folder:
            before = self._get(folder, ticket_id, set_apart=not dry_run)
            if "status" in cleaned:
                rules.check_status(actor, before, cleaned["status"])
            if cleaned.keys() & _EDITED:
                rules.check(actor, "edit", before)
            if cleaned.keys() & _IMPORTED:
                rules.check(actor, "import", before)
            if comment is not None:
                rules.check(actor, "comment", before)
            if expected is not None and expected != before.updated_at:
                raise TicketConflictError(
                    f"{ticket_id} was changed at {before.updated_at}, after {expected}; read it again."
                )
            time_now = values.next_time(self._now(), before.updated_at)
            after = model.changed(before, cleaned)
            if comment is not None:
                after = _commented(after, actor, comment, time_now, once=comment_once)
            if after == before:
                return Change(before, before)
            after = model.changed(after, {"updated_at": time_now})
            data = codec.encode(after)
            if not dry_run:
                self._directory.replace(folder, after, data)
            return Change(before, after)

    def report(self, actor: str, ticket_id: str, text: str) -> Change:
        """Add a comment in the platform's own words, once: the same of the same actor is not added again.

        Args:
            actor: the role whose work it tells of.
            ticket_id: the ticket.
            text: the words; a caller from elsewhere has no part in them.

        Raises:
            TicketDamagedError: the file was no ticket; it has been set apart.
            TicketNotFoundError, TicketDeniedError, TicketInvalidError, TicketNewerError, TicketStoreError.
        """
        ticket_id = values.clean_id(ticket_id)
        text = values.clean_text(text, "A comment", empty=False)
        with self._directory.writing(dry_run=False) as folder:
            before = self._get(folder, ticket_id, set_apart=True)
            rules.check(actor, "report", before)
            time_now = values.next_time(self._now(), before.updated_at)
            after = _commented(before, actor, text, time_now, once=True)
            if after is not before:
                after = model.changed(after, {"updated_at": time_now})
                self._directory.replace(folder, after, codec.encode(after))
            return Change(before, after)

    def set_apart_damaged(self) -> list[BadFile]:
        """Move every damaged file to ``damaged/`` and return those moved, by their new names."""
        with self._directory.writing(dry_run=False) as folder:
            _tickets, bad = reading.read_all(folder)
            return [
                reading.set_apart(folder, file.name, file.reason) for file in bad if file.kind == "damaged"
            ]

    def _made(self, number: int, actor: str, cleaned: Mapping[str, Any]) -> Ticket:
        now = self._time()
        given = {"created_by": actor, "created_at": now, "updated_at": now}
        given["assigned_to"] = model.DEFAULT_ASSIGNEE
        return Ticket(id=values.ticket_id(number), **{**given, **cleaned})

    def _time(self) -> str:
        return values.format_time(self._now())

    # -- reading files --

    def _get(self, folder: int, ticket_id: str, *, set_apart: bool = False) -> Ticket:
        name = f"{ticket_id}.json"
        try:
            data = reading.read(folder, name)
            ticket = None if data is None else codec.decode(data, ticket_id)
        except TicketDamagedError as error:
            file = reading.set_apart(folder, name, str(error)).name if set_apart else name
            raise TicketDamagedError(
                f"{ticket_id} is damaged: {error}; see {self._directory.path}/{file}."
            ) from error
        except TicketNewerError as error:
            raise TicketNewerError(
                f"{ticket_id} is of a later version: {error}; update this platform."
            ) from error
        if ticket is not None:
            return ticket
        for earlier in reading.set_apart_before(folder):
            if earlier.name.startswith(f"{reading.DAMAGED}/{name}"):
                raise TicketDamagedError(
                    f"{ticket_id} is damaged; see {self._directory.path}/{earlier.name}."
                )
        raise TicketNotFoundError(f"There is no ticket {ticket_id}; list the tickets to find the right one.")

    def _known(self, folder: int, key: str, dry_run: bool) -> Ticket | None:
        """The ticket with an external key; a writer sets apart what turns out to be damaged."""
        names = os.listdir(folder)
        unseen = [name for name in names if name[:-5] not in self._keys and reading.FILE.fullmatch(name)]
        tickets: list[Ticket] = []
        bad: list[BadFile] = []
        for name in unseen:
            reading.read_into(folder, name, tickets, bad)
        self._keys.update((ticket.id, ticket.external_key) for ticket in tickets)
        for file in bad:
            if file.kind == "damaged" and not dry_run:
                reading.set_apart(folder, file.name, file.reason)
        found = [ticket_id for ticket_id, known in self._keys.items() if known == key]
        return next(
            (self._get(folder, ticket_id) for ticket_id in found if f"{ticket_id}.json" in names), None
        )


def _commented(ticket: Ticket, actor: str, text: str, time: str, *, once: bool) -> Ticket:
    """Return the ticket with one comment more; ``once`` leaves it as it is where the actor has made the same one."""
    if once and any((comment.author, comment.text) == (actor, text) for comment in ticket.comments):
        return ticket
    if len(ticket.comments) >= values.MAX_COMMENTS:
        raise TicketInvalidError(
            f"{ticket.id} has {values.MAX_COMMENTS} comments, the most there may be; go on in a new ticket."
        )
    return model.changed(ticket, {"comments": (*ticket.comments, Comment(actor, text, time))})


def _clean(fields: Mapping[str, Any], allowed: Collection[str]) -> dict[str, Any]:
    for name in fields:
        if name not in allowed:
            raise TicketInvalidError(f"A ticket has no field {shown(name)} that could be set.")
    return model.clean_fields(fields)
