# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Tickets and the issues of a GitHub repository, kept the same in both directions.

Every run begins with a list of the issues changed since before the last one. So it sees what was edited on GitHub, and
also what an interrupted run has written, by the marker in it. Then each ticket is compared with its issue, field by field,
against what both were when they were last the same:

* Changed on one side: the other side gets it.
* Changed on both sides to different values: the newer edit counts (by the last change of the whole ticket and issue,
  because GitHub says no more), and the other value becomes a comment.
* Labels that were added or removed on either side are added or removed on the other.
* A comment appears once on the other side. One edited on GitHub is edited here; one deleted there stays here.

GitHub cannot be asked to write only if nothing changed. Who edits there in the seconds between a list and the write of the
same field is written over; the list is read anew after half a minute of writing.

An issue without a ticket becomes one, a ticket without an issue gets one. An issue that was deleted or moved away leaves
its ticket as it is, without a number, and with a comment and the field ``github_gone`` that say so; it gets a new issue
only when asked to. Comments on a locked issue wait for it to be unlocked.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..errors import (
    GitHubGoneError,
    GitHubInvalidError,
    GitHubUnavailableError,
    GitHubUnclearError,
    TicketConflictError,
    TicketError,
    TicketNotFoundError,
    TicketStoreError,
)
from ..tickets import values
from ..tickets.model import Ticket
from ..tickets.store import TicketStore
from . import mapping
from . import state as states
from .matching import Matching, has_news, pending
from .merge import ACTOR, digested, entry_for, fitting, full, merge, settled
from .objects import RemoteComment, RemoteIssue
from .remote import Issues
from .report import Report, Result
from .state import Entry, SyncState
from .writing import Writer

# A list may lack what was written in the last moments, so the next one begins that much earlier.
_OVERLAP = datetime.timedelta(seconds=60)
# What changed so shortly before a list may have changed again after it, without looking newer.
_SAME_MOMENT = datetime.timedelta(seconds=2)
# After so many seconds of writing, GitHub is asked anew what has changed, lest an edit made meanwhile be written over.
_REFRESH = 30.0
# What may be unclear in a row before GitHub is asked what became of it, and how often without any progress.
_MOST_UNCLEAR = 5
_MOST_ROUNDS = 4
# How often a ticket is compared again when somebody changed it in that moment.
_MOST_RETRIES = 5


class GitHubSync:
    """Synchronises the tickets of a store with the issues of a repository.

    Every method returns a `Report`, or raises a `DockfraError` of one line: then what was done stays done, and the next
    run goes on from there. What fails for one ticket only is in the report, and does not stop the others.

    Args:
        store: the tickets.
        issues: the repository.
        state_path: see `ticket_sync_state.path_for`; its directory is made when missing.
        now: the clock.
        settle: seconds to give GitHub before concluding that something is not there.
    """

    def __init__(
        self,
        store: TicketStore,
        issues: Issues,
        state_path: str,
        *,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
        settle: float = 2.0,
    ) -> None:
        self._store = store
        self._issues = issues
        self._state_path = state_path
        self._now = now
        self._settle = settle

    def push(
        self, ids: Collection[str] | None = None, *, recreate: bool = False, dry_run: bool = False
    ) -> Report:
        """Bring what changed in tickets to GitHub; what was edited there later is left for `pull`.

        Args:
            ids: only these tickets; by default all.
            recreate: make a new issue for a ticket whose issue is gone.
            dry_run: write nothing anywhere; say what would be written.
        """
        return self._run(ids, _Options(False, True, recreate, dry_run))

    def pull(self, *, dry_run: bool = False) -> Report:
        """Bring what changed on GitHub to the tickets."""
        return self._run(None, _Options(True, False, False, dry_run))

    def sync(
        self, ids: Collection[str] | None = None, *, recreate: bool = False, dry_run: bool = False
    ) -> Report:
        """Do both at once; options are those of `push`, whose ``ids`` do not restrict what is pulled."""
        return self._run(ids, _Options(True, True, recreate, dry_run))

    def _run(self, ids: Collection[str] | None, options: _Options) -> Report:
        if ids is not None:
            ids = [
                self._store.get(ticket_id).id for ticket_id in ids
            ]  # one that is not there is known beforehand
        else:
            self._store.select()  # as is a directory that is not there, before the state is put below it
        with states.opened(self._state_path, dry_run=options.dry_run) as state:
            return _Run(self._store, self._issues, state, options, self._now).all(ids, self._settle)


@dataclass(frozen=True, slots=True)
class _Options:
    take: bool
    give: bool
    recreate: bool
    dry_run: bool


_Pair: TypeAlias = "tuple[str | None, RemoteIssue | None]"


class _Run:
    """One run: what it found, and what it has yet to do."""

    def __init__(
        self,
        store: TicketStore,
        issues: Issues,
        state: SyncState,
        options: _Options,
        now: Callable[[], datetime.datetime],
    ) -> None:
        self._store = store
        self._issues = issues
        self._state = state
        self._options = options
        self._now = now
        self._requests_before = issues.requests
        self._results: dict[str, Result] = {}
        self._tickets = {ticket.id: ticket for ticket in store.select().tickets}
        self._matching = Matching(self._tickets, state.entries, issues.repo)
        self._writer = Writer(
            store,
            issues,
            state,
            dry_run=options.dry_run,
            recreate=options.recreate,
            made=lambda issue: self._remote.update({issue.number: issue}),
        )
        self._wanted: frozenset[str] = frozenset()
        self._remote: dict[int, RemoteIssue] = {}
        self._comments: dict[int, list[RemoteComment]] = {}
        # The issues as they were before their comments were read.
        self._seen: dict[int, RemoteIssue] = {}
        self._comments_known = False
        # When the first list began, by GitHub's clock, and when the last one ended, by ours.
        self._begun: datetime.datetime | None = None
        self._listed = 0.0
        self._listed_all = False
        self._failed_since: list[str] = []

    # -- the whole run --

    def all(self, ids: Collection[str] | None, settle: float) -> Report:
        self._wanted = frozenset(self._tickets if ids is None else ids) if self._options.give else frozenset()
        if self._state.interrupted and not self._options.dry_run:
            self._issues.pause(settle, "The last run was cut short")
        self._list(self._state.cursor)
        self._begun = self._issues.listed_at
        pairs = self._pairs()
        self._list_comments([(ticket_id, issue) for ticket_id, issue in pairs if issue is not None])
        idle = 0
        while left := self._each(pairs):
            idle = idle + 1 if len(left) == len(pairs) else 0
            if idle >= _MOST_ROUNDS:
                raise GitHubUnavailableError(
                    f"GitHub does not say what became of {left[0][0]}; the next run looks for it."
                )
            self._issues.pause(settle * 2**idle, "It is not known whether a request took effect")
            pairs = self._looked_up(left)
        self._end()
        results = [result for result in self._results.values() if result.worth_telling]
        requests = self._issues.requests - self._requests_before
        return Report(results, len(self._results) - len(results), requests)

    def _each(self, pairs: list[_Pair]) -> list[_Pair]:
        """Do what is to be done for each pair; returns those for which it is not clear whether it happened."""
        left: list[_Pair] = []
        unclear_in_a_row = 0
        for ticket_id, listed in pairs:
            if unclear_in_a_row >= _MOST_UNCLEAR:
                left.append((ticket_id, listed))
                continue
            self._refresh()
            issue = self._remote[listed.number] if listed is not None else self._issue_of(ticket_id)
            result = self._result(ticket_id, issue)
            try:
                self._one(ticket_id, issue, result)
                unclear_in_a_row = 0
            except GitHubUnclearError:
                unclear_in_a_row += 1
                left.append((ticket_id, issue))
            except TicketStoreError:
                raise  # it is not about this ticket alone
            except (TicketError, GitHubInvalidError) as error:
                result.failed = True
                result.note(str(error))
                if issue is not None:
                    self._failed_since.append(issue.updated_at)
        return left

    def _looked_up(self, left: list[_Pair]) -> list[_Pair]:
        """The same pairs after asking GitHub what has become of them."""
        since = _text(self._begun - _OVERLAP) if self._begun else self._state.cursor
        self._list(since)
        by_ticket: dict[str | None, RemoteIssue] = {}
        for number in sorted(self._remote):
            by_ticket.setdefault(self._matching.ticket_of(self._remote[number]), self._remote[number])
        pairs = [(ticket_id, by_ticket.get(ticket_id) if ticket_id else issue) for ticket_id, issue in left]
        if any(issue is not None and issue.comments for _ticket_id, issue in pairs):
            self._note_comments(self._issues.comments(since))
        return pairs

    def _end(self) -> None:
        if self._options.take:
            cursor = _text(self._begun - _OVERLAP) if self._begun else self._latest()
            # What could not be taken is to be seen again by the next run.
            self._state.cursor = min([cursor, *self._failed_since]) if cursor else None
            if self._comments_known and not self._failed_since:
                self._state.comments_cursor = self._state.cursor
        self._state.finish()

    def _latest(self) -> str | None:
        """How far the list reached, for a server that does not say what time it is."""
        latest = max((issue.updated_at for issue in self._remote.values()), default="")
        return max(latest, self._state.cursor or "") or None

    # -- what there is --

    def _list(self, since: str | None) -> None:
        self._remote.update({issue.number: issue for issue in self._issues.issues(since)})
        self._listed = self._issues.clock()
        self._listed_all = self._listed_all or since is None

    def _refresh(self) -> None:
        if self._options.give and self._issues.clock() - self._listed > _REFRESH:
            asked = self._issues.listed_at
            self._list(_text(asked - _OVERLAP) if asked else self._state.cursor)

    def _pairs(self) -> list[_Pair]:
        """Every listed issue with its ticket, and every other ticket that there may be something to do for."""
        pairs: list[_Pair] = []
        paired = set()
        for number in sorted(self._remote):
            ticket_id = self._matching.ticket_of(self._remote[number])
            if ticket_id in paired:
                ticket_id = None  # somebody copied a marker, and the first issue with it is the ticket's
            if ticket_id is not None:
                paired.add(ticket_id)
            if self._options.take or ticket_id in self._wanted:
                pairs.append((ticket_id, self._remote[number]))
        for ticket in self._tickets.values():
            if ticket.id not in paired and (pair := self._unlisted(ticket)) is not None:
                pairs.append(pair)
        return pairs

    def _unlisted(self, ticket: Ticket) -> _Pair | None:
        """A ticket whose issue has not changed, or which has none, if there may be something to do for it."""
        entry = self._entry(ticket.id)
        wanted = ticket.id in self._wanted
        if entry.number:
            if self._is_replaced(entry) or (wanted and has_news(ticket, entry)):
                return ticket.id, None
            self._result(ticket.id, None)
            return None
        number = ticket.github_issue_number
        if number is None:
            return (ticket.id, None) if wanted else None
        if entry.elsewhere != number and not self._listed_all:
            # Somebody gave the ticket its number by hand, or the state was lost in part.
            with contextlib.suppress(GitHubGoneError):
                issue = self._issues.issue(number)
                if (
                    self._writer.is_at_home(issue)
                    and ticket.extra.get("github_issue_id", issue.id) == issue.id
                ):
                    self._remote[number] = issue
                    return ticket.id, issue
        if wanted and self._options.recreate:
            return ticket.id, None
        if entry.elsewhere != number:
            self._keep(ticket.id, Entry(elsewhere=number))
        if wanted:
            result = self._result(ticket.id, None)
            result.pushed = "left"
            result.note(f"Its issue #{number} is not in {self._issues.repo}, so nothing was pushed.")
        return None

    def _issue_of(self, ticket_id: str | None) -> RemoteIssue | None:
        """A ticket's issue, if it was listed meanwhile."""
        entry = self._entry(ticket_id)
        issue = self._remote.get(entry.number)
        return issue if issue is not None and issue.id == entry.id else None

    def _is_replaced(self, entry: Entry) -> bool:
        """Whether another issue has the number now, because the repository was made anew."""
        issue = self._remote.get(entry.number)
        return issue is not None and issue.id != entry.id

    def _entry(self, ticket_id: str | None) -> Entry:
        return self._state.entries.get(ticket_id or "") or Entry()

    def _keep(self, ticket_id: str, entry: Entry) -> None:
        self._state.entries[ticket_id] = entry
        self._state.save(ticket_id)

    def _result(self, ticket_id: str | None, issue: RemoteIssue | None) -> Result:
        number = issue.number if issue else self._entry(ticket_id).number or None
        return self._results.setdefault(ticket_id or f"#{number}", Result(ticket_id, number))

    # -- comments on GitHub --

    def _list_comments(self, pairs: Iterable[tuple[str | None, RemoteIssue]]) -> None:
        """Read the comments of all issues at once, if any may have new ones that matter."""
        self._seen = dict(self._remote)
        needed = [(ticket_id, issue) for ticket_id, issue in pairs if self._needs_comments(ticket_id, issue)]
        if not needed:
            return
        self._note_comments(self._issues.comments(self._state.comments_cursor))
        self._comments_known = True
        for ticket_id, issue in needed:
            # One that came from another repository brings older ones along.
            new = not self._entry(ticket_id).seen_at
            if new and len(self._comments.get(issue.number, ())) < issue.comments:
                with contextlib.suppress(GitHubGoneError):  # deleted in this moment
                    self._comments[issue.number] = self._issues.comments_of(issue.number)

    def _needs_comments(self, ticket_id: str | None, issue: RemoteIssue) -> bool:
        entry = self._entry(ticket_id)
        if not issue.comments or (entry.seen_at, entry.seen_comments) == (issue.updated_at, issue.comments):
            return False
        ticket = self._tickets.get(ticket_id or "")
        return self._options.take or bool(ticket and pending(ticket, entry))

    def _note_comments(self, comments: Iterable[RemoteComment]) -> None:
        for comment in comments:
            known = {other.id: other for other in self._comments.get(comment.number, ())}
            known[comment.id] = comment
            self._comments[comment.number] = [known[identity] for identity in sorted(known)]

    def _note_seen(self, issue: RemoteIssue, entry: Entry) -> None:
        """Remember that an issue's comments have been taken as they were when they were listed."""
        seen = self._seen.get(issue.number)
        if seen is None:
            return  # found while the run went on: its comments are yet to be read
        # Times have no fractions, so an edit of that same second would look as if it had been taken.
        certain = _text(self._begun - _SAME_MOMENT) if self._begun else seen.updated_at
        entry.seen_at, entry.seen_comments = min(seen.updated_at, certain), seen.comments

    # -- one ticket --

    def _one(self, ticket_id: str | None, issue: RemoteIssue | None, result: Result) -> None:
        if ticket_id is None and issue is not None:
            ticket_id = self._import(issue, result)
        if ticket_id is None:
            return
        for attempt in range(_MOST_RETRIES):
            try:
                # As it is now; the run may be a long one.
                ticket = self._store.get(ticket_id)
                entry = self._state.entries.get(ticket_id) or entry_for(issue)
                if issue is None and self._is_replaced(entry):
                    self._writer.leave(ticket, entry, result, "was deleted")
                    return
                give = None
                if issue is not None:
                    ticket, give, entry = self._merge(ticket, issue, entry, result)
                break
            except TicketNotFoundError:
                result.note(f"There is no ticket {ticket_id} any more; its issue is left alone.")
                return
            except TicketConflictError:
                if attempt + 1 == _MOST_RETRIES:
                    raise
        if ticket_id in self._wanted:
            self._writer.write(ticket, issue, entry, give, result)

    def _import(self, issue: RemoteIssue, result: Result) -> str | None:
        """Make a ticket of an issue; returns the id of the one there was already, which is to be merged with it."""
        view = mapping.remote_view(issue)
        comments = [mapping.local_comment(remote) for remote in self._comments.get(issue.number, ())]
        fields: dict[str, Any] = {
            **{name: mapping.as_local(name, value, issue.number) for name, value in view.items()},
            "labels": mapping.local_labels(mapping.plain_labels(issue.labels).values(), ()),
            "created_by": mapping.author_of(issue.author),
            "created_at": issue.created_at,
            "github_issue_number": issue.number,
            "extra": {"github_issue_id": issue.id},
            "external_key": mapping.external_key(self._issues.repo, issue),
        }
        draft = Ticket(id="", updated_at=issue.updated_at, **fields)
        found = [comment for comment in comments if comment]
        fields["comments"] = found[: fitting(draft, found)]
        if len(fields["comments"]) < len(found):
            result.note(full(len(found) - len(fields["comments"])))
        change = self._store.create(ACTOR, fields, dry_run=self._options.dry_run)
        ticket = change.after
        if change.before is not None:
            if self._matching.linked(ticket, issue):
                result.note(f"It was the issue of {ticket.id}, which has another one or none now.")
                return None
            result.ticket = ticket.id
            return ticket.id
        result.pulled = "created"
        result.show("ticket", {}, _shown(ticket))
        if self._options.dry_run:
            return None  # the id is that of the next ticket, whichever that will be
        result.ticket = ticket.id
        entry = entry_for(issue)
        entry.local = {name: digested(value) for name, value in mapping.local_view(ticket).items()}
        entry.remote = {name: digested(value) for name, value in view.items()}
        entry.local_labels, entry.remote_labels = list(ticket.labels), list(issue.labels)
        self._note_seen(issue, entry)
        self._keep(ticket.id, entry)
        return None

    # -- from GitHub to the ticket --

    def _merge(
        self, ticket: Ticket, issue: RemoteIssue, entry: Entry, result: Result
    ) -> tuple[Ticket, dict[str, Any], Entry]:
        """Bring what an issue says to its ticket, as far as this run takes things.

        Returns the ticket after that, the values that the issue is to get, and what to compare with from now on.
        """
        take = self._options.take
        theirs = self._comments.get(issue.number, ())
        moment = values.format_time(self._now())
        merged = merge(entry, ticket, issue, theirs, take=take, moment=moment)
        change = self._store.update(
            ACTOR, ticket.id, merged.changes, expected=ticket.updated_at, dry_run=self._options.dry_run
        )
        if change.changed:
            result.pulled = "updated"
            result.show("ticket", _shown(ticket), _shown(change.after))
        result.issue = issue.number
        result.conflicts += [name for name in merged.plan.conflicts if name not in result.conflicts]
        for note in merged.plan.notes:
            result.note(note)
        if merged.plan.waiting:
            result.pushed = "waiting"
        entry = settled(entry, change.after, issue, merged, take=take)
        if take:
            self._note_seen(issue, entry)
        self._keep(ticket.id, entry)
        if merged.plan.halfway and not self._options.dry_run:
            return self._merge(change.after, issue, entry, result)
        return change.after, merged.plan.give, entry


def _shown(ticket: Ticket) -> dict[str, Any]:
    return {
        name: value for name, value in ticket.to_dict().items() if name not in ("schema", "id", "updated_at")
    }


def _text(moment: datetime.datetime) -> str:
    return f"{moment.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
