# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A ticket and its fields. Fields that this version does not know are kept as they are."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from ..errors import TicketInvalidError
from ..text import shown
from .values import (
    MAX_COMMENTS,
    MAX_NAME,
    clean_assignee,
    clean_description,
    clean_external_key,
    clean_issue_number,
    clean_labels,
    clean_name,
    clean_priority,
    clean_status,
    clean_text,
    clean_timestamp,
    clean_title,
    reason_of,
)

SCHEMA = 1
# Whose a new ticket is, unless somebody else is named, or nobody.
DEFAULT_ASSIGNEE = "developer"
_NOTHING_MORE: Mapping[str, Any] = MappingProxyType({})


class Comment(NamedTuple):
    """A remark on a ticket, made to be read; ``extra`` holds the fields that this version does not know."""

    author: str
    text: str
    timestamp: str
    extra: Mapping[str, Any] = _NOTHING_MORE

    def to_dict(self) -> dict[str, Any]:
        return {"author": self.author, "text": self.text, "timestamp": self.timestamp, **self.extra}


class Ticket(NamedTuple):
    """A ticket with valid fields, made to be read: a changed one comes from `changed`.

    ``extra`` holds the fields that this version does not know.

    Times are UTC with microseconds (``2026-11-22T10:00:00.000000Z``), so that they sort as text.
    """

    id: str
    title: str
    created_by: str
    created_at: str
    updated_at: str
    description: str = ""
    status: str = "open"
    priority: str = "normal"
    assigned_to: str | None = None
    labels: tuple[str, ...] = ()
    comments: tuple[Comment, ...] = ()
    github_issue_number: int | None = None
    external_key: str | None = None
    extra: Mapping[str, Any] = _NOTHING_MORE

    @property
    def number(self) -> int:
        return int(self.id[2:])

    def to_dict(self) -> dict[str, Any]:
        """Return all fields in the order of the file, as JSON knows them."""
        return {
            "schema": SCHEMA,
            "id": self.id,
            "title": self.title,
            "description": self.description,
            "status": self.status,
            "priority": self.priority,
            "assigned_to": self.assigned_to,
            "labels": list(self.labels),
            "created_by": self.created_by,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "comments": [comment.to_dict() for comment in self.comments],
            "github_issue_number": self.github_issue_number,
            "external_key": self.external_key,
            **self.extra,
        }


def clean_further(value: object, known: Container[str]) -> dict[str, Any]:
    """Fields that this version does not know."""
    if not isinstance(value, (dict, Mapping)):
        raise TicketInvalidError(f"Further fields have to be a mapping, not {shown(value)}.")
    for name in value:
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or name in known:
            raise TicketInvalidError(f"{shown(name)} is no name for a further field.")
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        return dict(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise TicketInvalidError(f"A further field has no form in JSON ({reason_of(error)}).") from error


def clean_comment(value: object) -> Comment:
    """Return a comment from its fields; raises TicketInvalidError."""
    if isinstance(value, Comment):
        value = value.to_dict()
    if not isinstance(value, (dict, Mapping)):
        raise TicketInvalidError(f"A comment has to be a mapping, not {shown(value)}.")
    try:
        author, text, timestamp = value["author"], value["text"], value["timestamp"]
    except KeyError as error:
        raise TicketInvalidError(f"A comment lacks its {error.args[0]}.") from error
    extra = {}
    if len(value) > len(COMMENT_FIELDS):
        rest = {name: entry for name, entry in value.items() if name not in COMMENT_FIELDS}
        extra = clean_further(rest, COMMENT_FIELDS)
    return Comment(
        clean_name(author, "The author of a comment"),
        clean_text(text, "A comment", empty=False),
        clean_timestamp(timestamp, "The time of a comment"),
        extra,
    )


def _comments(value: object) -> tuple[Comment, ...]:
    if not isinstance(value, (list, Sequence)) or isinstance(value, (str, bytes)):
        raise TicketInvalidError(f"The comments have to be a list, not {shown(value)}.")
    if len(value) > MAX_COMMENTS:
        raise TicketInvalidError(f"There are {len(value)} comments; at most {MAX_COMMENTS} are allowed.")
    return tuple(map(clean_comment, value))


COMMENT_FIELDS = frozenset({"author", "text", "timestamp"})
CLEANERS = {
    "title": clean_title,
    "description": clean_description,
    "status": clean_status,
    "priority": clean_priority,
    "assigned_to": clean_assignee,
    "labels": clean_labels,
    "created_by": lambda value: clean_name(value, "The creator"),
    "created_at": lambda value: clean_timestamp(value, "The time of creation"),
    "updated_at": lambda value: clean_timestamp(value, "The time of the last change"),
    "comments": _comments,
    "github_issue_number": clean_issue_number,
    "external_key": clean_external_key,
}
FIELDS = frozenset({"schema", "id", *CLEANERS})


def clean_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return some fields of a ticket in valid form; ``extra`` is a mapping of further fields.

    Raises:
        TicketInvalidError: a field is unknown or its value breaks a rule.
    """
    cleaned: dict[str, Any] = {}
    for name, value in values.items():
        if name == "extra":
            cleaned[name] = clean_further(value, FIELDS)
        elif name in CLEANERS:
            cleaned[name] = CLEANERS[name](value)
        else:
            raise TicketInvalidError(f"A ticket has no field {shown(name)} that could be set.")
    return cleaned


def changed(ticket: Ticket, cleaned: Mapping[str, Any]) -> Ticket:
    """Return a ticket with some fields changed (see `clean_fields`).

    ``extra`` changes only the further fields it names; None removes one.
    """
    values = dict(cleaned)
    if "extra" in values:
        removed = {name for name, value in values["extra"].items() if value is None}
        merged = {**ticket.extra, **values["extra"]}
        values["extra"] = {name: value for name, value in merged.items() if name not in removed}
    return ticket._replace(**values)
