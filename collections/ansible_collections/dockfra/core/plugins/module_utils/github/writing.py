# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Bringing a ticket's changes to GitHub, so that a run which is cut short anywhere can go on."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Collection
from typing import Any

from ..errors import GitHubDeniedError, GitHubGoneError, GitHubLockedError, GitHubMovedError
from ..tickets import codec
from ..tickets.model import Comment, Ticket
from ..tickets.store import TicketStore
from . import mapping
from .matching import pending
from .merge import ACTOR, changed_here, digested, link
from .objects import RemoteIssue
from .remote import Issues
from .report import Result
from .state import Entry, SyncState

_NOTHING_SAID = {"title": "", "description": "", "status": "open", "priority": "normal", "assigned_to": None}


class Writer:
    """Writes to GitHub, and remembers each step before and after it.

    Args:
        store, issues, state: the tickets, the repository, and what is remembered.
        dry_run: only put into the results what would be written.
        recreate: make a new issue for a ticket whose issue is gone.
        made: called with every issue that was made.
    """

    def __init__(
        self,
        store: TicketStore,
        issues: Issues,
        state: SyncState,
        *,
        dry_run: bool,
        recreate: bool,
        made: Callable[[RemoteIssue], None],
    ) -> None:
        self._store = store
        self._issues = issues
        self._state = state
        self._dry_run = dry_run
        self._recreate = recreate
        self._made = made

    def write(
        self,
        ticket: Ticket,
        issue: RemoteIssue | None,
        entry: Entry,
        give: dict[str, Any] | None,
        result: Result,
    ) -> None:
        """Bring values to an issue, by default all that the ticket has changed, and the ticket's comments."""
        try:
            if not entry.number:
                issue = self._create(ticket, entry, result)
                if issue is None:
                    return
            if give is None:
                give = changed_here(ticket, entry)
            self._edit(ticket, issue, entry, give, result)
            self._comment(ticket, entry, result)
        except GitHubGoneError:
            self._check_right(entry.number)
            self.leave(ticket, entry, result, "was deleted")
        except GitHubMovedError as moved:
            self.leave(ticket, entry, result, f"was moved to {moved.place}")

    def _create(self, ticket: Ticket, entry: Entry, result: Result) -> RemoteIssue | None:
        """Make an issue for a ticket; returns None where none is made."""
        if (gone := ticket.extra.get("github_gone")) and not self._recreate:
            result.pushed = "left"
            result.note(f"Its issue {gone} is gone; a new one is made only when asked to recreate it.")
            return None
        plain = mapping.plain_labels(ticket.labels).values()
        values: dict[str, Any] = {
            "title": ticket.title,
            "body": mapping.body_of(ticket.description, mapping.marker(ticket)),
            "labels": mapping.remote_labels(plain, mapping.local_view(ticket)),
        }
        result.pushed = "created"
        result.show("issue", {}, {**values, "state": "open"})
        if self._dry_run:
            result.show("issue", {}, {"state": "closed" if ticket.status == "closed" else "open"})
            return None
        # Remembered before, so that a run which comes after a kill knows what was meant to be there.
        _expect(ticket, mapping.draft(**values), entry)
        entry.elsewhere = 0
        self._keep(ticket.id, entry)
        issue = self._issues.create(**values)
        _expect(ticket, issue, entry)
        entry.number, entry.id = issue.number, issue.id
        entry.tail = mapping.tail_of(issue)
        entry.seen_at, entry.seen_comments = issue.updated_at, issue.comments
        self._keep(ticket.id, entry)
        self._made(issue)
        result.issue = issue.number
        self._store.update(ACTOR, ticket.id, link(issue))
        return issue

    def _edit(
        self, ticket: Ticket, issue: RemoteIssue | None, entry: Entry, give: dict[str, Any], result: Result
    ) -> None:
        """Change what differs of an issue; one that was not listed is as it was."""
        now = mapping.remote_view(issue) if issue else {**_NOTHING_SAID, **entry.remote}
        labels = list(issue.labels if issue else entry.remote_labels)
        values = self._new_values(ticket, entry, now, give)
        wanted = self._new_labels(ticket, entry, now, labels, give)
        change = mapping.label_change(labels, wanted)
        if not values and change == ([], []):
            return
        before = {"body": issue.body if issue else None, "labels": sorted(labels)}
        before |= {"title": now["title"], "state": "closed" if now["status"] == "closed" else "open"}
        result.show("issue", before, {**values, "labels": wanted})
        if result.pushed != "created":
            result.pushed = "updated"
        if self._dry_run:
            return
        entry.sent = {
            name: [digested(value), digested(mapping.as_remote(name, value, ticket))]
            for name, value in give.items()
        }
        self._keep(ticket.id, entry)
        closed = now["status"] == "closed"
        after = self._change(entry, issue or mapping.draft("", "", labels, closed=closed), values, *change)
        there = mapping.remote_view(after)
        refused = [
            name for name in give if not mapping.same(name, give[name], there[name], ticket, entry.number)
        ]
        for name, value in give.items():
            # A text that GitHub spells in its own way is there; a label that is missing is still to be set.
            if name not in refused or name not in mapping.LABELLED:
                entry.local[name], entry.remote[name] = digested(value), digested(there[name])
        undone = mapping.plain_undone(change, after.labels)
        if undone != ([], []):
            refused.append("labels")
        if refused:
            result.note(f"GitHub did not take over {', '.join(refused)}; the token may lack a right.")
        result.failed = result.failed or not set(refused).isdisjoint({"labels", *mapping.LABELLED})
        self._settle_labels(ticket, entry, after, *undone)
        entry.sent = {}
        if values:
            entry.tail = mapping.tail_of(after)
        self._keep(ticket.id, entry)

    def _change(
        self, entry: Entry, issue: RemoteIssue, values: dict[str, Any], added: list[str], removed: list[str]
    ) -> RemoteIssue:
        """Change an issue; returns it as it is then, as far as that is said.

        Labels go one by one, so that those which people set meanwhile stay. The new ones come first and the old ones go
        last: a run that ends in between leaves the fields they stand for as before or as they are to be.
        """
        labels: Collection[str] = self._issues.add_labels(entry.number, added) if added else issue.labels
        if values:
            issue = self._issues.edit(entry.number, values)
            self._check_home(issue.place, entry.number)
            labels = issue.labels
        for label in removed:
            labels = self._issues.remove_label(entry.number, label)
        return dataclasses.replace(issue, labels=tuple(labels))

    def _settle_labels(
        self, ticket: Ticket, entry: Entry, after: RemoteIssue, missing: list[str], left: list[str]
    ) -> None:
        """Remember labels as the same on both sides, but for those that GitHub did not add or remove."""
        # What somebody added in this moment has not been taken, so it is not to count as known. Nor is anything else of
        # the issue seen by having written it: the next list says what is new.
        known = mapping.plain_labels(
            [
                *mapping.merged_labels(
                    entry.remote_labels, entry.remote_labels, ticket.labels, entry.local_labels
                ),
                *left,
            ]
        )
        entry.remote_labels = [
            label
            for label in after.labels
            if mapping.is_reserved(label) or mapping.plain_labels([label]).keys() <= known.keys()
        ]
        yet = mapping.plain_labels(missing)
        entry.local_labels = [
            label for key, label in mapping.plain_labels([*ticket.labels, *left]).items() if key not in yet
        ]

    def _new_values(
        self, ticket: Ticket, entry: Entry, now: dict[str, Any], give: dict[str, Any]
    ) -> dict[str, Any]:
        """What to set of an issue that is as ``now`` for it to get the values ``give``."""
        closed = give.get("status", now["status"]) == "closed"
        values: dict[str, Any] = {}
        if "title" in give:
            values["title"] = give["title"]
        if "description" in give:
            values["body"] = mapping.body_of(give["description"], entry.tail or mapping.marker(ticket))
        if closed != (now["status"] == "closed"):
            values["state"] = "closed" if closed else "open"
        return values

    def _new_labels(
        self, ticket: Ticket, entry: Entry, now: dict[str, Any], labels: list[str], give: dict[str, Any]
    ) -> list[str]:
        """The labels of an issue after ``give`` and the ticket's changes of labels."""
        there = mapping.plain_labels(labels)
        plain = mapping.plain_labels(
            mapping.merged_labels(labels, entry.remote_labels, ticket.labels, entry.local_labels)
        )
        gone = there.keys() - plain.keys()
        kept = [label for label in labels if mapping.plain_labels([label]).keys().isdisjoint(gone)]
        new = [label for key, label in plain.items() if key not in there]
        if give.keys() & set(mapping.LABELLED):
            kept = [label for label in kept if not mapping.is_reserved(label)]
            new = mapping.remote_labels(new, {**now, **give})
        return sorted([*kept, *new])

    def _comment(self, ticket: Ticket, entry: Entry, result: Result) -> None:
        """Bring a ticket's comments to its issue, in their order."""
        shown: list[str] = []
        for key, comment in pending(ticket, entry):
            body = mapping.comment_body(ticket, comment)
            if not self._dry_run:
                try:
                    made = self._issues.comment(entry.number, body)
                except GitHubLockedError:
                    result.pushed = "locked"
                    result.note(
                        f"The issue #{entry.number} is locked; its comments are pushed when it no longer is."
                    )
                    return
                self._check_home(made.place, entry.number)
                entry.comments[key] = made.id
                self._keep(ticket.id, entry)
            shown.append(body)
            result.show("issue", {}, {"comments": [*shown]})
            if result.pushed == "unchanged":
                result.pushed = "updated"

    def _check_home(self, place: str, number: int) -> None:
        if place.casefold() != f"{self._issues.repo}#{number}".casefold():
            raise GitHubMovedError(place)

    def is_at_home(self, issue: RemoteIssue) -> bool:
        return issue.place.casefold() == f"{self._issues.repo}#{issue.number}".casefold()

    def _check_right(self, number: int) -> None:
        """Raise unless an issue is gone indeed: GitHub says the same to a token that may not write."""
        with contextlib.suppress(GitHubGoneError):
            if self.is_at_home(self._issues.issue(number)):
                raise GitHubDeniedError(
                    f"The token may read {self._issues.repo} but not write its issues; give it the right to."
                )

    def leave(self, ticket: Ticket, entry: Entry, result: Result, what: str) -> None:
        """Part a ticket from an issue that is no longer in the repository."""
        where = f"{self._issues.repo}#{entry.number}"
        text = f"The issue {where} {what} on GitHub. This ticket stays, without an issue."
        full = not codec.fitting(ticket, [Comment(ACTOR, text, ticket.updated_at)])
        self._store.update(
            ACTOR,
            ticket.id,
            {"github_issue_number": None, "extra": {"github_issue_id": None, "github_gone": where}},
            comment=None if full else text,
            comment_once=True,
            dry_run=self._dry_run,
        )
        result.pushed = "gone"
        result.note(f"The issue {where} {what}; the ticket stays, without an issue.")
        if full:
            result.note("The ticket is full, so no comment in it says so.")
        if not self._dry_run:
            self._state.entries.pop(ticket.id, None)
            self._state.save(ticket.id)

    def _keep(self, ticket_id: str, entry: Entry) -> None:
        self._state.entries[ticket_id] = entry
        self._state.save(ticket_id)


def _expect(ticket: Ticket, issue: RemoteIssue, entry: Entry) -> None:
    """Compare from now on with a ticket as it is and the issue that comes of it.

    What the issue does not show is yet to be pushed: none can be created closed, nor with labels without the right to.
    """
    local, remote = mapping.local_view(ticket), mapping.remote_view(issue)
    shown = {**local, **{name: remote[name] for name in mapping.LABELLED}}
    entry.local = {name: digested(value) for name, value in shown.items()}
    entry.remote = {name: digested(value) for name, value in remote.items()}
    there = mapping.plain_labels(issue.labels)
    entry.local_labels = [label for key, label in mapping.plain_labels(ticket.labels).items() if key in there]
    entry.remote_labels = list(issue.labels)
