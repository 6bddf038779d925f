# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The three-way merge of a ticket and its issue: what both were when they were last the same, and what each is now.

Nothing is read or written here. See `sync` for the rules.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..tickets import codec, model, rules, values
from ..tickets.model import Comment, Ticket
from . import mapping
from .objects import RemoteComment, RemoteIssue
from .state import Entry

# Who speaks for GitHub among the tickets.
ACTOR = "manager"

MISSING = object()

# A longer value is continued in a second comment.
_QUOTED = 60_000
# What comments from GitHub leave free in a ticket, for texts that grow and for what a synchronisation has to say.
_SPARE = 20
_SPARE_BYTES = 1024 * 1024


@dataclass(slots=True)
class Plan:
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


@dataclass(frozen=True, slots=True)
class Merged:
    """What comes of a merge.

    Attributes:
        changes: for the ticket, as `TicketStore.update` takes them.
        comments: ids of the comments on GitHub that are the same as comments of the ticket, by their keys.
        plan: what happens to each field.
    """

    changes: dict[str, Any]
    comments: dict[str, int]
    plan: Plan

    def known(self, base: Entry) -> Entry:
        """What was compared with, and the comments that turned out to be the same."""
        entry = copy.deepcopy(base)
        entry.comments = dict(self.comments)
        return entry


def merge(
    base: Entry,
    ticket: Ticket,
    issue: RemoteIssue,
    theirs: Sequence[RemoteComment] = (),
    *,
    take: bool,
    moment: str,
) -> Merged:
    """Return what is to become of a ticket and its issue.

    Args:
        base: both when they were last the same.
        ticket, issue: both now.
        theirs: comments on the issue, as far as they are known.
        take: whether the ticket is to change.
        moment: the time of comments that say what did not count.
    """
    plan = _planned(ticket, issue, base, take)
    changes = dict(plan.take)
    if take:
        labels = mapping.merged_labels(ticket.labels, base.local_labels, issue.labels, base.remote_labels)
        changes["labels"] = mapping.local_labels(labels, ticket.labels)
    if (ticket.github_issue_number, ticket.extra.get("github_issue_id")) != (issue.number, issue.id):
        changes |= link(issue)
    comments, new, same = _merged_comments(ticket, theirs, base.comments, take=take)
    room = fitting(model.changed(ticket, {"comments": tuple(comments)}), new)
    if room < len(new):
        plan.notes.append(full(len(new) - room))
    comments += new[:room]
    known = {(comment.author, comment.text) for comment in comments}
    for name in plan.lost:
        lost = [
            comment
            for comment in _lost(name, ticket, issue, moment, theirs_counts=name in plan.take)
            if (comment.author, comment.text) not in known
        ]
        after = model.changed(ticket, {**plan.take, "comments": tuple(comments)})
        if codec.fitting(after, lost) < len(lost):
            plan.notes.append(
                f"The ticket is full, so the other {name.replace('_', ' ')} is not kept as a comment."
            )
        else:
            comments += lost
    if comments != [*ticket.comments]:
        changes["comments"] = sorted(comments, key=lambda comment: comment.timestamp)
    return Merged(changes, same, plan)


def settled(base: Entry, ticket: Ticket, issue: RemoteIssue, merged: Merged, *, take: bool) -> Entry:
    """Return what to compare with from now on: what is the same on both sides, and what of GitHub has been taken.

    Args:
        base: what was compared with.
        ticket: after the changes.
        issue, merged, take: as they were for `merge`.
    """
    entry, plan = merged.known(base), merged.plan
    local, remote = mapping.local_view(ticket), mapping.remote_view(issue)
    for name in (*plan.take, *plan.settled):
        entry.local[name] = digested(local[name])
        if name != "status" or not plan.halfway:
            entry.remote[name] = digested(remote[name])
    if take:
        for name in set(plan.lost) - plan.take.keys():
            # GitHub's value has been dealt with, and the ticket's is yet to be pushed.
            entry.remote[name] = digested(remote[name])
        # The ticket's labels without what was added or removed here and is not yet there.
        plain = mapping.plain_labels(
            mapping.merged_labels(entry.local_labels, entry.local_labels, issue.labels, entry.remote_labels)
        )
        kept = mapping.plain_labels(ticket.labels).keys() | mapping.plain_labels(entry.local_labels).keys()
        entry.local_labels = [label for key, label in plain.items() if key in kept]
        entry.remote_labels = list(issue.labels)
    entry.number, entry.id = issue.number, issue.id
    entry.sent, entry.tail, entry.elsewhere = {}, mapping.tail_of(issue), 0
    return entry


def link(issue: RemoteIssue) -> dict[str, Any]:
    """Return the changes of a ticket that make an issue its own."""
    return {
        "github_issue_number": issue.number,
        "extra": {"github_issue_id": issue.id, "github_gone": None},
    }


def entry_for(issue: RemoteIssue | None) -> Entry:
    """Return what to compare with where a ticket and an issue were never the same."""
    if issue is None:
        return Entry()
    return Entry(number=issue.number, id=issue.id, tail=mapping.tail_of(issue))


def changed_here(ticket: Ticket, base: Entry) -> dict[str, Any]:
    """Return the values of a ticket that are not as they were."""
    return {
        name: value
        for name, value in mapping.local_view(ticket).items()
        if digested(value) != base.local.get(name, MISSING)
    }


def fitting(ticket: Ticket, comments: Sequence[Comment]) -> int:
    """Return how many comments from GitHub, from the first on, a ticket has room for."""
    return codec.fitting(ticket, comments, spare=_SPARE, spare_bytes=_SPARE_BYTES)


def full(left: int) -> str:
    """Return the note about comments that a ticket has no room for."""
    return f"The ticket is full, so {left} comments stay on GitHub only."


def digested(value: Any) -> Any:
    """Return a value as an entry holds it."""
    return mapping.digest(value) if isinstance(value, str) else value


def _planned(ticket: Ticket, issue: RemoteIssue, entry: Entry, take: bool) -> Plan:
    plan = Plan()
    local, remote = mapping.local_view(ticket), mapping.remote_view(issue)
    for name in mapping.SCALARS:
        here, there = digested(local[name]), digested(remote[name])
        base_here, base_there = entry.local.get(name, MISSING), entry.remote.get(name, MISSING)
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
            _plan_to_take(name, ticket, issue, plan, take)
        else:
            _plan_conflict(name, ticket, issue, plan, take)
    return plan


def _plan_to_take(name: str, ticket: Ticket, issue: RemoteIssue, plan: Plan, take: bool) -> bool:
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
        plan.halfway = take
    if take:
        plan.take[name] = value
    else:
        plan.waiting = True
    return True


def _plan_conflict(name: str, ticket: Ticket, issue: RemoteIssue, plan: Plan, take: bool) -> None:
    plan.conflicts.append(name)
    newer_here = ticket.updated_at > values.clean_timestamp(issue.updated_at)
    if newer_here:
        plan.give[name] = getattr(ticket, name)
        plan.lost.append(name)
    elif not _plan_to_take(name, ticket, issue, plan, take) or take:
        plan.lost.append(name)


def _lost(
    name: str, ticket: Ticket, issue: RemoteIssue, moment: str, *, theirs_counts: bool
) -> list[Comment]:
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
            moment,
        )
        for index, part in enumerate(parts)
    ]


def _merged_comments(
    ticket: Ticket, theirs: Sequence[RemoteComment], base: Mapping[str, int], *, take: bool
) -> tuple[list[Comment], list[Comment], dict[str, int]]:
    """A ticket's comments with what was edited in those of its issue, those that are new, and which are the same."""
    comments = list(ticket.comments)
    same = dict(base)
    by_id: dict[Any, int] = {}
    by_key: dict[str, int] = {}
    for index, comment in enumerate(comments):
        if "github_comment_id" in comment.extra:
            by_id[comment.extra["github_comment_id"]] = index
        else:
            by_key[mapping.comment_key(ticket, comment)] = index
    written_as = {identity: key for key, identity in base.items()}
    new: list[Comment] = []
    for remote in theirs:
        # Who edits a comment may remove the marker, which cannot be seen there.
        key = mapping.comment_marked(remote) or written_as.get(remote.id, "")
        # A marker that was copied into another comment says nothing.
        if key in by_key and same.get(key, remote.id) == remote.id:
            same[key] = remote.id
            written = mapping.comment_body(ticket, comments[by_key[key]])
            if mapping.plain_text(remote.body) == mapping.plain_text(written):
                continue
            if len(written) < mapping.MAX_BODY:
                by_id[remote.id] = by_key[key]
            # Else GitHub has only its beginning, and what was edited there becomes a comment of its own.
        elif remote.id not in by_id and remote.id in written_as:
            continue
        if not take:
            continue
        if remote.id in by_id:
            comments[by_id[remote.id]] = _edited(comments[by_id[remote.id]], remote)
        elif (taken := mapping.local_comment(remote)) is not None:
            new.append(taken)
    return comments, new, same


def _edited(comment: Comment, remote: RemoteComment) -> Comment:
    """A comment with the text it has on GitHub, if that is another; GitHub is then where it belongs."""
    text = mapping.comment_text(remote, ours=True)
    if not text or text == values.acceptable(comment.text):
        return comment
    return Comment(comment.author, text, comment.timestamp, {**comment.extra, "github_comment_id": remote.id})
