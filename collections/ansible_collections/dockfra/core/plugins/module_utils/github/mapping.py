# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a ticket is as a GitHub issue, and an issue as a ticket.

========================  ==========================================================================================
ticket                    issue
========================  ==========================================================================================
title, description        title, body (with the marker below)
status                    closed or not; ``in_progress`` is an open issue with the label ``status:in_progress``
priority                  label ``priority:high`` and so on; none is ``normal``
assigned_to               label ``assigned:developer`` and so on; none is nobody
labels                    all other labels
comments                  comments; those written here name their author and time and carry a marker
========================  ==========================================================================================

The marker of a body is ``<!-- dockfra:T-0001 --><!-- dockfra-key:0123456789ab -->``. The key comes from the ticket's
creation, so that two platforms may use one repository, and a number that is given anew after a restore is another ticket.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..policy.roles import ROLES
from ..text import trimmed
from ..tickets import values
from ..tickets.model import Comment, Ticket
from .mentions import loud, quiet
from .objects import RemoteComment, RemoteIssue

# What is compared as one value; labels are compared one by one.
SCALARS = ("title", "description", "status", "priority", "assigned_to")

# GitHub's limits, in characters.
MAX_ISSUE_TITLE = 256
MAX_BODY = 65_536

_MARKER = re.compile(r"<!-- dockfra:(T-[0-9]{4,18}) --><!-- dockfra-key:([0-9a-f]{12}) -->")
_COMMENT_MARKER = re.compile(r"<!-- dockfra-comment:([0-9a-f]{16}) -->")
_COMMENT_HEAD = re.compile(r"\s*\*\*[^\n]{1,80}\*\* at [0-9-]{10} [0-9:]{8} UTC:\n\n")
_RESERVED = {
    "priority": {f"priority:{value}": value for value in reversed(values.PRIORITIES)},
    "assigned_to": {f"assigned:{value}": value for value in ROLES},
    "status": {"status:in_progress": "in_progress"},
}
# Fields that are labels of an issue, wholly or in part.
LABELLED = tuple(_RESERVED)
_KNOWN = {label for labels in _RESERVED.values() for label in labels}


# -- identity --


def ticket_key(ticket: Ticket) -> str:
    """Return what tells this ticket from one with the same id elsewhere."""
    return _hash(f"{ticket.id} {ticket.created_at} {ticket.created_by}", 12)


def external_key(repo: str, issue: RemoteIssue) -> str:
    """Return the external key of the ticket made from an issue; a name and number may come to be another issue's."""
    return f"github:{repo.lower()}#{issue.number}:{issue.id}"


def marker(ticket: Ticket) -> str:
    """Return what an issue's body says about its ticket."""
    return f"<!-- dockfra:{ticket.id} --><!-- dockfra-key:{ticket_key(ticket)} -->"


def marked(issue: RemoteIssue) -> tuple[str, str] | None:
    """Return the id and key of the ticket that an issue's body names, if it does."""
    match = _last(_MARKER, issue.body)
    return (match[1], match[2]) if match else None


def comment_key(ticket: Ticket, comment: Comment) -> str:
    """Return what tells a comment from every other one."""
    return _hash(f"{ticket_key(ticket)} {comment.author}\n{comment.timestamp}\n{comment.text}", 16)


def comment_marked(comment: RemoteComment) -> str | None:
    """Return the key of the comment of a ticket that a comment on GitHub is, if it says so."""
    match = _last(_COMMENT_MARKER, comment.body)
    return match[1] if match else None


def digest(text: str) -> str:
    """Return a short form of a long text for comparing."""
    return text if len(text) <= 100 else f"sha256:{_hash(text, 64)}"


# -- what both sides say, in a ticket's terms --


def local_view(ticket: Ticket) -> dict[str, Any]:
    """Return a ticket's values of SCALARS."""
    return {name: getattr(ticket, name) for name in SCALARS}


def remote_view(issue: RemoteIssue) -> dict[str, Any]:
    """Return an issue's values of SCALARS as they are, whatever a ticket may hold."""
    labels = {label.casefold() for label in issue.labels}
    found = {
        field: next((value for label, value in known.items() if label in labels), None)
        for field, known in _RESERVED.items()
    }
    return {
        "title": issue.title,
        "description": _without_marker(issue.body),
        "status": "closed" if issue.closed else found["status"] or "open",
        "priority": found["priority"] or "normal",
        "assigned_to": found["assigned_to"],
    }


def as_local(name: str, value: Any, number: int) -> Any:
    """Return a value of an issue as a ticket may hold it."""
    if name == "title":
        return values.acceptable(value, values.MAX_TITLE, one_line=True) or f"Issue {number}"
    return values.acceptable(value) if name == "description" else value


def as_remote(name: str, value: Any, ticket: Ticket) -> Any:
    """Return a value of a ticket as `remote_view` would show it once it is on GitHub."""
    return _without_marker(body_of(value, marker(ticket))) if name == "description" else value


def same(name: str, local: Any, remote: Any, ticket: Ticket, number: int) -> bool:
    """Return whether a ticket and an issue say the same, as far as each can."""
    return bool(as_remote(name, local, ticket) == remote or as_local(name, remote, number) == local)


# -- labels --


def plain_labels(labels: Iterable[str]) -> dict[str, str]:
    """Return labels without those that stand for other fields, by the form in which they are compared."""
    found: dict[str, str] = {}
    for label in labels:
        if not is_reserved(label) and (key := _as_label(label).casefold()):
            found.setdefault(key, label)
    return found


def merged_labels(
    own: Iterable[str], base_own: Iterable[str], theirs: Iterable[str], base_theirs: Iterable[str]
) -> list[str]:
    """Return one side's labels after what was added and removed on the other; a label GitHub's way stays so."""
    result, before = plain_labels(own), plain_labels(base_theirs)
    now = plain_labels(theirs)
    known = plain_labels(base_own)
    for key in before.keys() - now.keys():
        # Who added it again meanwhile wants it.
        if key in known:
            result.pop(key, None)
    for key in now.keys() - before.keys():
        result.setdefault(key, now[key])
    return sorted(result.values())


def local_labels(labels: Iterable[str], own: Iterable[str]) -> tuple[str, ...]:
    """Return labels as a ticket may hold them; where there are too many, those it has already come first."""
    kept = list(dict.fromkeys([label for label in own if is_reserved(label)]))
    have = set(own)
    wanted = dict.fromkeys(
        [*kept, *sorted(map(_as_label, labels), key=lambda label: (label not in have, label))]
    )
    return tuple(sorted([label for label in wanted if label][: values.MAX_LABELS]))


def remote_labels(plain: Iterable[str], values: Mapping[str, Any]) -> list[str]:
    """Return all labels of an issue for plain labels and values of SCALARS."""
    labels = [label for label in plain if not is_reserved(label)]
    for field, known in _RESERVED.items():
        labels += [label for label, value in known.items() if value == values[field] and value != "normal"]
    return sorted(labels)


def label_change(before: Iterable[str], after: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return which labels have to be added and which removed; upper and lower case are the same."""
    old, new = ({label.casefold(): label for label in labels} for labels in (before, after))
    return (
        [label for key, label in new.items() if key not in old],
        [label for key, label in old.items() if key not in new],
    )


def plain_undone(change: tuple[list[str], list[str]], labels: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return what `label_change` wanted added and removed, without what stands for other fields, and was not."""
    there = plain_labels(labels)
    added, removed = map(plain_labels, change)
    return (
        [label for key, label in added.items() if key not in there],
        [label for key, label in removed.items() if key in there],
    )


def is_reserved(label: str) -> bool:
    """Return whether a label stands for another field."""
    return label.casefold() in _KNOWN


def _as_label(label: str) -> str:
    return values.acceptable(label.replace(",", " "), values.MAX_LABEL, one_line=True)


# -- bodies --


def body_of(description: str, tail: str) -> str:
    """Return an issue's body: a description and a marker; what GitHub has no room for is cut off."""
    text = _fitting(trimmed(description), MAX_BODY - len(tail) - 2)
    return "\n\n".join(part for part in (text, tail) if part)


def _fitting(text: str, room: int) -> str:
    """A text so that it calls nobody, cut off where there is no room for it."""
    sent = quiet(text)
    if len(sent) <= room:
        return sent
    # The longest beginning that fits: how much longer a text becomes depends on what is in it.
    fits, most = 0, min(len(text), room - 1)
    while fits < most:
        middle = (fits + most + 1) // 2
        if len(quiet(text[:middle])) < room:
            fits = middle
        else:
            most = middle - 1
    return f"{quiet(text[:fits])}\N{HORIZONTAL ELLIPSIS}"


def tail_of(issue: RemoteIssue) -> str:
    """Return the marker in an issue's body, whosever it is."""
    match = _last(_MARKER, issue.body)
    return match[0] if match else ""


def _without_marker(body: str) -> str:
    body = loud(body.replace("\r\n", "\n"))
    if match := _last(_MARKER, body):
        parts = (trimmed(body[: match.start()]), trimmed(body[match.end() :]))
        body = "\n\n".join(part for part in parts if part)
    return trimmed(body)


def draft(title: str, body: str, labels: list[str], *, closed: bool = False) -> RemoteIssue:
    """Return the issue that is to come of these values, as far as it can be known before."""
    nothing: dict[str, Any] = {
        "number": 0,
        "id": 0,
        "place": "",
        "closed": closed,
        "locked": False,
        "comments": 0,
    }
    nothing |= {"author": "", "created_at": "", "updated_at": "", "url": ""}
    return RemoteIssue(title=title, body=body, labels=tuple(labels), **nothing)


def plain_text(text: str) -> str:
    """Return a text as both sides would write it."""
    return trimmed(loud(text.replace("\r\n", "\n")))


# -- comments --


def comment_body(ticket: Ticket, comment: Comment) -> str:
    """Return a ticket's comment for GitHub, which shows the token's owner and the present time beside it."""
    moment = datetime.datetime.fromisoformat(comment.timestamp)
    head = f"**{quiet(comment.author.replace('*', ''))}** at {moment:%Y-%m-%d %H:%M:%S} UTC:\n\n"
    tail = f"\n\n<!-- dockfra-comment:{comment_key(ticket, comment)} -->"
    room = MAX_BODY - len(head) - len(tail)
    return f"{head}{_fitting(trimmed(comment.text), room)}{tail}"


def comment_text(comment: RemoteComment, *, ours: bool = False) -> str:
    """Return the text of a comment on GitHub as a ticket may hold it, without head and marker; may be empty.

    Args:
        ours: it is known to have been written for a ticket's comment, although it may have lost its marker.
    """
    text = loud(comment.body.replace("\r\n", "\n"))
    match = _last(_COMMENT_MARKER, text)
    if match:
        text = text[: match.start()] + text[match.end() :]
    if match or ours:
        head = _COMMENT_HEAD.match(text)
        text = text[head.end() :] if head else text
    return values.acceptable(text)


def local_comment(comment: RemoteComment) -> Comment | None:
    """Return a comment on GitHub as a ticket's, or None where it says nothing."""
    text = comment_text(comment)
    if not text:
        return None
    when = values.clean_timestamp(comment.created_at)
    return Comment(author_of(comment.author), text, when, {"github_comment_id": comment.id})


def author_of(login: str) -> str:
    """Return a GitHub user as an author; nobody becomes a role by choosing its name."""
    name = values.acceptable(login, values.MAX_NAME - 10, one_line=True) or "ghost"
    return f"{name}@github" if name.casefold() in ROLES else name


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return functools.reduce(lambda _before, match: match, pattern.finditer(text), None)


def _hash(text: str, length: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]
