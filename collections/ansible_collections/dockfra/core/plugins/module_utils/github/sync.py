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
import dataclasses
import datetime
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from ..errors import (
    GitHubDeniedError,
    GitHubGoneError,
    GitHubInvalidError,
    GitHubLockedError,
    GitHubMovedError,
    GitHubUnavailableError,
    GitHubUnclearError,
    TicketConflictError,
    TicketError,
    TicketNotFoundError,
    TicketStoreError,
)
from ..tickets import codec, model, rules, values
from ..tickets.model import Comment, Ticket
from ..tickets.store import TicketStore
from . import mapping
from . import state as states
from .objects import RemoteComment, RemoteIssue
from .report import Report, Result
from .state import Entry, SyncState

ACTOR = "manager"

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
# A longer value is continued in a second comment.
_QUOTED = 60_000
# What comments from GitHub leave free in a ticket, for texts that grow and for what a synchronisation has to say.
_SPARE = 20
_SPARE_BYTES = 1024 * 1024


class Issues(Protocol):
    """What is needed of GitHub; see `github_issues.IssueGateway`."""

    @property
    def repo(self) -> str: ...
    @property
    def requests(self) -> int: ...
    @property
    def listed_at(self) -> datetime.datetime | None: ...

    def issues(self, since: str | None = None) -> list[RemoteIssue]: ...
    def comments(self, since: str | None = None) -> list[RemoteComment]: ...
    def comments_of(self, number: int) -> list[RemoteComment]: ...
    def issue(self, number: int) -> RemoteIssue: ...
    def create(self, title: str, body: str, labels: list[str]) -> RemoteIssue: ...
    def edit(self, number: int, values: Mapping[str, Any]) -> RemoteIssue: ...
    def add_labels(self, number: int, labels: list[str]) -> tuple[str, ...]: ...
    def remove_label(self, number: int, label: str) -> tuple[str, ...]: ...
    def comment(self, number: int, body: str) -> RemoteComment: ...
    def pause(self, seconds: float, why: str) -> None: ...
    def clock(self) -> float: ...


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


@dataclass(slots=True)
class _Plan:
    """What to do with one ticket and its issue, by field.

    Attributes:
        give, take: values for the issue and for the ticket.
        settled: fields in which both sides are as they should be.
        lost: fields of which one side's value has to become a comment.
        conflicts: fields that both sides changed.
        waiting: whether GitHub has something newer that this run does not take.
        halfway: whether the status is a step from where it is to be.
    """

    give: dict[str, Any] = field(default_factory=dict)
    take: dict[str, Any] = field(default_factory=dict)
    settled: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    waiting: bool = False
    halfway: bool = False


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
        tickets = self._tickets.values()
        self._by_number = {entry.number: key for key, entry in state.entries.items() if entry.number}
        self._by_key = {ticket.external_key: ticket for ticket in tickets if ticket.external_key}
        self._claims = {
            ticket.github_issue_number: ticket
            for ticket in tickets
            if ticket.github_issue_number and not self._entry(ticket.id).number
        }
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
            by_ticket.setdefault(self._ticket_of(self._remote[number]), self._remote[number])
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
            ticket_id = self._ticket_of(self._remote[number])
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

    def _ticket_of(self, issue: RemoteIssue) -> str | None:
        """The id of the ticket that an issue belongs to."""
        known = self._by_number.get(issue.number)
        if known is not None and self._state.entries[known].id == issue.id:
            return known
        claim = self._claims.get(issue.number)
        if claim is not None and claim.extra.get("github_issue_id", issue.id) == issue.id:
            return claim.id
        if named := mapping.marked(issue):
            ticket = self._tickets.get(named[0])
            # A marker that was copied from another issue says nothing.
            if ticket and mapping.ticket_key(ticket) == named[1] and not self._linked(ticket, issue):
                return ticket.id
        made = self._by_key.get(mapping.external_key(self._issues.repo, issue))
        return made.id if made and not self._linked(made, issue) else None

    def _linked(self, ticket: Ticket, issue: RemoteIssue) -> bool:
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

    def _unlisted(self, ticket: Ticket) -> _Pair | None:
        """A ticket whose issue has not changed, or which has none, if there may be something to do for it."""
        entry = self._entry(ticket.id)
        wanted = ticket.id in self._wanted
        if entry.number:
            if self._is_replaced(entry) or (wanted and self._has_news(ticket, entry)):
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
                if self._is_at_home(issue) and ticket.extra.get("github_issue_id", issue.id) == issue.id:
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

    def _has_news(self, ticket: Ticket, entry: Entry) -> bool:
        return (
            bool(self._changed_here(ticket, entry))
            or mapping.plain_labels(ticket.labels).keys() != mapping.plain_labels(entry.local_labels).keys()
            or bool(self._pending(ticket, entry))
        )

    def _changed_here(self, ticket: Ticket, entry: Entry) -> dict[str, Any]:
        values = mapping.local_view(ticket)
        return {
            name: value for name, value in values.items() if _digest(value) != entry.local.get(name, _MISSING)
        }

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
        return self._options.take or bool(ticket and self._pending(ticket, entry))

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

    def _pending(self, ticket: Ticket, entry: Entry) -> list[tuple[str, Comment]]:
        """A ticket's comments that are not on GitHub, with their keys."""
        return [
            (key, comment)
            for comment in ticket.comments
            if "github_comment_id" not in comment.extra
            and (key := mapping.comment_key(ticket, comment)) not in entry.comments
        ]

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
                entry = self._state.entries.get(ticket_id) or _entry_for(issue)
                if issue is None and self._is_replaced(entry):
                    self._leave(ticket, entry, result, "was deleted")
                    return
                give = None
                if issue is not None:
                    ticket, give = self._merge(ticket, issue, entry, result)
                break
            except TicketNotFoundError:
                result.note(f"There is no ticket {ticket_id} any more; its issue is left alone.")
                return
            except TicketConflictError:
                if attempt + 1 == _MOST_RETRIES:
                    raise
        if ticket_id in self._wanted:
            self._write(ticket, issue, entry, give, result)

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
        fields["comments"] = _fitting(draft, [comment for comment in comments if comment], result)
        change = self._store.create(ACTOR, fields, dry_run=self._options.dry_run)
        ticket = change.after
        if change.before is not None:
            if self._linked(ticket, issue):
                result.note(f"It was the issue of {ticket.id}, which has another one or none now.")
                return None
            result.ticket = ticket.id
            return ticket.id
        result.pulled = "created"
        result.show("ticket", {}, _shown(ticket))
        if self._options.dry_run:
            return None  # the id is that of the next ticket, whichever that will be
        result.ticket = ticket.id
        entry = _entry_for(issue)
        entry.local = {name: _digest(value) for name, value in mapping.local_view(ticket).items()}
        entry.remote = {name: _digest(value) for name, value in view.items()}
        entry.local_labels, entry.remote_labels = list(ticket.labels), list(issue.labels)
        self._note_seen(issue, entry)
        self._keep(ticket.id, entry)
        return None

    # -- from GitHub to the ticket --

    def _merge(
        self, ticket: Ticket, issue: RemoteIssue, entry: Entry, result: Result
    ) -> tuple[Ticket, dict[str, Any]]:
        """Bring what an issue says to its ticket, as far as this run takes things.

        Returns the ticket after that, and the values that the issue is to get.
        """
        plan = self._planned(ticket, issue, entry)
        changes = dict(plan.take)
        if self._options.take:
            theirs = mapping.merged_labels(
                ticket.labels, entry.local_labels, issue.labels, entry.remote_labels
            )
            changes["labels"] = mapping.local_labels(theirs, ticket.labels)
        if (ticket.github_issue_number, ticket.extra.get("github_issue_id")) != (issue.number, issue.id):
            changes |= _link(issue)
        comments = self._merged_comments(ticket, issue, entry, result)
        known = {(comment.author, comment.text) for comment in comments}
        for name in plan.lost:
            lost = [
                comment
                for comment in self._lost(name, ticket, issue, theirs_counts=name in plan.take)
                if (comment.author, comment.text) not in known
            ]
            if codec.fitting(model.changed(ticket, {**plan.take, "comments": tuple(comments)}), lost) < len(
                lost
            ):
                result.note(
                    f"The ticket is full, so the other {name.replace('_', ' ')} is not kept as a comment."
                )
            else:
                comments += lost
        if comments != [*ticket.comments]:
            changes["comments"] = sorted(comments, key=lambda comment: comment.timestamp)
        change = self._store.update(
            ACTOR, ticket.id, changes, expected=ticket.updated_at, dry_run=self._options.dry_run
        )
        if change.changed:
            result.pulled = "updated"
            result.show("ticket", _shown(ticket), _shown(change.after))
        result.issue = issue.number
        result.conflicts += [name for name in plan.conflicts if name not in result.conflicts]
        for note in plan.notes:
            result.note(note)
        if plan.waiting:
            result.pushed = "waiting"
        self._settle(change.after, issue, entry, plan)
        self._keep(ticket.id, entry)
        if plan.halfway and not self._options.dry_run:
            return self._merge(change.after, issue, entry, result)
        return change.after, plan.give

    def _planned(self, ticket: Ticket, issue: RemoteIssue, entry: Entry) -> _Plan:
        plan = _Plan()
        local, remote = mapping.local_view(ticket), mapping.remote_view(issue)
        for name in mapping.SCALARS:
            here, there = _digest(local[name]), _digest(remote[name])
            base_here, base_there = entry.local.get(name, _MISSING), entry.remote.get(name, _MISSING)
            sent = entry.sent.get(name)
            if sent and sent[1] == there:
                # The change that was under way when a run was cut short has arrived.
                base_here, base_there = sent
                if here == base_here:
                    plan.settled.append(name)
                    if name in mapping.LABELLED:
                        plan.give[name] = local[name]  # the label before may be left to be removed
            if here == base_here and there == base_there:
                continue
            if mapping.same(name, local[name], remote[name], ticket, issue.number):
                plan.settled.append(name)
            elif there == base_there:
                plan.give[name] = local[name]
            elif here == base_here:
                self._plan_to_take(name, ticket, issue, plan)
            else:
                self._plan_conflict(name, ticket, issue, plan)
        return plan

    def _plan_to_take(self, name: str, ticket: Ticket, issue: RemoteIssue, plan: _Plan) -> bool:
        """Plan to take GitHub's value; returns whether a ticket can take it."""
        value = mapping.as_local(name, mapping.remote_view(issue)[name], issue.number)
        if name == "status" and (ticket.status, value) not in rules.TRANSITIONS:
            if value == "closed" or (ticket.status, "open") not in rules.TRANSITIONS:
                plan.notes.append(
                    f"{ticket.id} stays {ticket.status}, because only a closed ticket can be reopened."
                )
                plan.give[name] = ticket.status
                return False
            value = "open"
            plan.halfway = self._options.take
        if self._options.take:
            plan.take[name] = value
        else:
            plan.waiting = True
        return True

    def _plan_conflict(self, name: str, ticket: Ticket, issue: RemoteIssue, plan: _Plan) -> None:
        plan.conflicts.append(name)
        newer_here = ticket.updated_at > values.clean_timestamp(issue.updated_at)
        if newer_here:
            plan.give[name] = getattr(ticket, name)
            plan.lost.append(name)
        elif not self._plan_to_take(name, ticket, issue, plan) or self._options.take:
            plan.lost.append(name)

    def _lost(self, name: str, ticket: Ticket, issue: RemoteIssue, *, theirs_counts: bool) -> list[Comment]:
        """The comments that keep the value which does not count; normally one."""
        value = getattr(ticket, name) if theirs_counts else mapping.remote_view(issue)[name]
        text = values.acceptable("nobody" if value is None else str(value))
        which, other = ("on GitHub", "here") if theirs_counts else ("here", "on GitHub")
        parts = [text[start : start + _QUOTED] for start in range(0, len(text), _QUOTED)] or ["(empty)"]
        return [
            Comment(
                ACTOR,
                f"The {name.replace('_', ' ')} was changed both here and on GitHub. The newer one, {which}, counts. "
                f"This was the one {other}{' (continued)' if index else ''}:\n\n{part}",
                values.format_time(self._now()),
            )
            for index, part in enumerate(parts)
        ]

    def _merged_comments(
        self, ticket: Ticket, issue: RemoteIssue, entry: Entry, result: Result
    ) -> list[Comment]:
        """A ticket's comments with those of its issue; what is the same on both sides is remembered as such."""
        comments = list(ticket.comments)
        theirs = self._comments.get(issue.number)
        if not theirs:
            return comments
        by_id: dict[Any, int] = {}
        by_key: dict[str, int] = {}
        for index, comment in enumerate(comments):
            if "github_comment_id" in comment.extra:
                by_id[comment.extra["github_comment_id"]] = index
            else:
                by_key[mapping.comment_key(ticket, comment)] = index
        written_as = {identity: key for key, identity in entry.comments.items()}
        new: list[Comment] = []
        for remote in theirs:
            # Who edits a comment may remove the marker, which cannot be seen there.
            key = mapping.comment_marked(remote) or written_as.get(remote.id, "")
            # A marker that was copied into another comment says nothing.
            if key in by_key and entry.comments.get(key, remote.id) == remote.id:
                entry.comments[key] = remote.id
                written = mapping.comment_body(ticket, comments[by_key[key]])
                if mapping.plain_text(remote.body) == mapping.plain_text(written):
                    continue
                if len(written) < mapping.MAX_BODY:
                    by_id[remote.id] = by_key[key]
                # Else GitHub has only its beginning, and what was edited there becomes a comment of its own.
            elif remote.id not in by_id and remote.id in written_as:
                continue
            if not self._options.take:
                continue
            if remote.id in by_id:
                comments[by_id[remote.id]] = _edited(comments[by_id[remote.id]], remote)
            elif (taken := mapping.local_comment(remote)) is not None:
                new.append(taken)
        return [*comments, *_fitting(model.changed(ticket, {"comments": tuple(comments)}), new, result)]

    def _settle(self, ticket: Ticket, issue: RemoteIssue, entry: Entry, plan: _Plan) -> None:
        """Remember what is now the same on both sides, and what of GitHub has been taken into account."""
        local, remote = mapping.local_view(ticket), mapping.remote_view(issue)
        for name in (*plan.take, *plan.settled):
            entry.local[name] = _digest(local[name])
            if name != "status" or not plan.halfway:
                entry.remote[name] = _digest(remote[name])
        if self._options.take:
            for name in set(plan.lost) - plan.take.keys():
                # GitHub's value has been dealt with, and the ticket's is yet to be pushed.
                entry.remote[name] = _digest(remote[name])
            # The ticket's labels without what was added or removed here and is not yet there.
            base = mapping.plain_labels(
                mapping.merged_labels(
                    entry.local_labels, entry.local_labels, issue.labels, entry.remote_labels
                )
            )
            kept = (
                mapping.plain_labels(ticket.labels).keys() | mapping.plain_labels(entry.local_labels).keys()
            )
            entry.local_labels = [label for key, label in base.items() if key in kept]
            entry.remote_labels = list(issue.labels)
            self._note_seen(issue, entry)
        entry.number, entry.id = issue.number, issue.id
        entry.sent, entry.tail, entry.elsewhere = {}, mapping.tail_of(issue), 0

    # -- from the ticket to GitHub --

    def _write(
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
                give = self._changed_here(ticket, entry)
            self._edit(ticket, issue, entry, give, result)
            self._comment(ticket, entry, result)
        except GitHubGoneError:
            self._check_right(entry.number)
            self._leave(ticket, entry, result, "was deleted")
        except GitHubMovedError as moved:
            self._leave(ticket, entry, result, f"was moved to {moved.place}")

    def _create(self, ticket: Ticket, entry: Entry, result: Result) -> RemoteIssue | None:
        """Make an issue for a ticket; returns None where none is made."""
        if (gone := ticket.extra.get("github_gone")) and not self._options.recreate:
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
        if self._options.dry_run:
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
        self._remote[issue.number] = issue
        result.issue = issue.number
        self._store.update(ACTOR, ticket.id, _link(issue))
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
        if self._options.dry_run:
            return
        entry.sent = {
            name: [_digest(value), _digest(mapping.as_remote(name, value, ticket))]
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
                entry.local[name], entry.remote[name] = _digest(value), _digest(there[name])
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
        for key, comment in self._pending(ticket, entry):
            body = mapping.comment_body(ticket, comment)
            if not self._options.dry_run:
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

    def _is_at_home(self, issue: RemoteIssue) -> bool:
        return issue.place.casefold() == f"{self._issues.repo}#{issue.number}".casefold()

    def _check_right(self, number: int) -> None:
        """Raise unless an issue is gone indeed: GitHub says the same to a token that may not write."""
        with contextlib.suppress(GitHubGoneError):
            if self._is_at_home(self._issues.issue(number)):
                raise GitHubDeniedError(
                    f"The token may read {self._issues.repo} but not write its issues; give it the right to."
                )

    def _leave(self, ticket: Ticket, entry: Entry, result: Result, what: str) -> None:
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
            dry_run=self._options.dry_run,
        )
        result.pushed = "gone"
        result.note(f"The issue {where} {what}; the ticket stays, without an issue.")
        if full:
            result.note("The ticket is full, so no comment in it says so.")
        if not self._options.dry_run:
            self._state.entries.pop(ticket.id, None)
            self._state.save(ticket.id)


_MISSING = object()
_NOTHING_SAID = {"title": "", "description": "", "status": "open", "priority": "normal", "assigned_to": None}


def _entry_for(issue: RemoteIssue | None) -> Entry:
    if issue is None:
        return Entry()
    return Entry(number=issue.number, id=issue.id, tail=mapping.tail_of(issue))


def _expect(ticket: Ticket, issue: RemoteIssue, entry: Entry) -> None:
    """Compare from now on with a ticket as it is and the issue that comes of it.

    What the issue does not show is yet to be pushed: none can be created closed, nor with labels without the right to.
    """
    local, remote = mapping.local_view(ticket), mapping.remote_view(issue)
    shown = {**local, **{name: remote[name] for name in mapping.LABELLED}}
    entry.local = {name: _digest(value) for name, value in shown.items()}
    entry.remote = {name: _digest(value) for name, value in remote.items()}
    there = mapping.plain_labels(issue.labels)
    entry.local_labels = [label for key, label in mapping.plain_labels(ticket.labels).items() if key in there]
    entry.remote_labels = list(issue.labels)


def _edited(comment: Comment, remote: RemoteComment) -> Comment:
    """A comment with the text it has on GitHub, if that is another; GitHub is then where it belongs."""
    text = mapping.comment_text(remote, ours=True)
    if not text or text == values.acceptable(comment.text):
        return comment
    return Comment(comment.author, text, comment.timestamp, {**comment.extra, "github_comment_id": remote.id})


def _fitting(ticket: Ticket, comments: list[Comment], result: Result) -> list[Comment]:
    """Comments from GitHub, as many as a ticket has room for."""
    room = codec.fitting(ticket, comments, spare=_SPARE, spare_bytes=_SPARE_BYTES)
    if room < len(comments):
        result.note(f"The ticket is full, so {len(comments) - room} comments stay on GitHub only.")
    return comments[:room]


def _digest(value: Any) -> Any:
    return mapping.digest(value) if isinstance(value, str) else value


def _link(issue: RemoteIssue) -> dict[str, Any]:
    return {
        "github_issue_number": issue.number,
        "extra": {"github_issue_id": issue.id, "github_gone": None},
    }


def _shown(ticket: Ticket) -> dict[str, Any]:
    return {
        name: value for name, value in ticket.to_dict().items() if name not in ("schema", "id", "updated_at")
    }


def _text(moment: datetime.datetime) -> str:
    return f"{moment.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
