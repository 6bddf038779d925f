# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A ticket's form in a file. What a file holds is checked by the same rules as what a person or program hands over."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from ..errors import TicketDamagedError, TicketInvalidError, TicketNewerError
from ..policy.roles import ROLES
from ..text import shown, visible
from .model import CLEANERS, COMMENT_FIELDS, FIELDS, SCHEMA, Comment, Ticket, clean_comment, clean_further
from .values import (
    MAX_COMMENTS,
    MAX_FILE_BYTES,
    MAX_NAME,
    MAX_TEXT,
    MAX_TITLE,
    PRIORITIES,
    STATUSES,
    clean_external_key,
    clean_issue_number,
    clean_labels,
    clean_timestamp,
    is_number,
    is_plain,
    reason_of,
)

_REQUIRED = ("id", "title", "status", "priority", "created_by", "created_at", "updated_at")


def encode(ticket: Ticket) -> bytes:
    """Return the content of a ticket's file; raises TicketInvalidError when it would be too big."""
    data = _encoded(ticket)
    if len(data) > MAX_FILE_BYTES:
        raise TicketInvalidError(
            f"{ticket.id} would take {len(data)} bytes, more than {MAX_FILE_BYTES}; go on in a new ticket."
        )
    return data


def fitting(ticket: Ticket, comments: Sequence[Comment], *, spare: int = 0, spare_bytes: int = 0) -> int:
    """Return how many of these comments, from the first on, a ticket can hold beside its own.

    Args:
        ticket: with the comments it has.
        comments: those to be added.
        spare: how many comments more it has to have room for afterwards.
        spare_bytes: how many bytes more.
    """
    most = MAX_COMMENTS - len(ticket.comments) - spare
    left = MAX_FILE_BYTES - spare_bytes - len(_encoded(ticket))
    bare = ticket._replace(description="", comments=())
    empty = len(_encoded(bare))
    for count, comment in enumerate(comments):
        left -= len(_encoded(bare._replace(comments=(comment,)))) - empty
        if count >= most or left < 0:
            return count
    return len(comments)


def _encoded(ticket: Ticket) -> bytes:
    return f"{json.dumps(ticket.to_dict(), ensure_ascii=False, allow_nan=False, indent=2)}\n".encode()


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def decode(data: bytes, expected_id: str) -> Ticket:
    """Return the ticket in a file's content.

    Raises:
        TicketNewerError: a later version wrote it, so this one must not judge it.
        TicketDamagedError: it is no ticket, or not the one expected; the message is the reason alone.
    """
    if len(data) > MAX_FILE_BYTES:
        raise TicketDamagedError(f"it is larger than {MAX_FILE_BYTES} bytes")
    try:
        values = _DECODER.decode(data.decode())
    except (ValueError, RecursionError) as error:
        reason = f"no JSON ({reason_of(error)})" if data.strip() else "empty"
        raise TicketDamagedError(f"it is {reason}") from error
    if not isinstance(values, dict):
        raise TicketDamagedError("it is no JSON object")
    schema = values.get("schema", SCHEMA)
    if not is_number(schema) or schema < 1:
        raise TicketDamagedError(f"its schema {shown(schema)} is no version number")
    if schema > SCHEMA:
        raise TicketNewerError(f"it has schema {schema}, and this version knows {SCHEMA}")
    if lacking := [name for name in _REQUIRED if name not in values]:
        raise TicketDamagedError(f"it lacks the field '{lacking[0]}'")
    if values["id"] != expected_id:
        raise TicketDamagedError(f"it holds the id {shown(values['id'])}")
    try:
        return _ordinary(expected_id, values) or _any(expected_id, values)
    except TicketInvalidError as error:
        raise TicketDamagedError(str(error).rstrip(".")) from error


def _any(identity: str, values: Mapping[str, Any]) -> Ticket:
    """The ticket with these fields; raises TicketInvalidError."""
    fields: dict[str, Any] = {name: clean(values[name]) for name, clean in CLEANERS.items() if name in values}
    return Ticket(id=identity, extra=_unknown(values), **fields)


def _ordinary(identity: str, values: Mapping[str, Any]) -> Ticket | None:
    """What `_any` returns, but sooner, or None where a field needs a closer look.

    A list of ten thousand tickets is to be there at once, so fields as the store itself writes them are recognised here.
    """
    try:
        title, author, created, updated, text, status, priority, assignee, labels, comments, issue, key = (
            _GET(values)
        )
        if not (
            _is_ordinary_line(title, MAX_TITLE)
            and _is_ordinary_line(author, MAX_NAME)
            and _is_ordinary_text(text)
            and status in STATUSES
            and priority in PRIORITIES
            and (assignee is None or assignee in ROLES)
            and isinstance(labels, list)
            and isinstance(comments, list)
            and len(comments) <= MAX_COMMENTS
        ):
            return None
        read = []
        for comment in comments:
            by, remark = comment["author"], comment["text"]
            if not (_is_ordinary_line(by, MAX_NAME) and _is_ordinary_text(remark) and visible(remark)):
                return None
            extra = {} if len(comment) == len(COMMENT_FIELDS) else clean_comment(comment).extra
            read.append(Comment(by, remark, clean_timestamp(comment["timestamp"]), extra))
        return Ticket(
            identity,
            title,
            author,
            clean_timestamp(created),
            clean_timestamp(updated),
            text,
            status,
            priority,
            assignee,
            _common_labels(tuple(labels)),
            tuple(read),
            clean_issue_number(issue),
            clean_external_key(key),
            _unknown(values),
        )
    except (KeyError, TypeError):
        return None


def _is_ordinary_line(value: object, limit: int) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= limit
        and value.isprintable()  # so a space is the only white space there can be
        and value[0] != " "
        and value[-1] != " "
    )


def _is_ordinary_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT and is_plain(value)


_GET = itemgetter(
    *("title", "created_by", "created_at", "updated_at", "description", "status", "priority", "assigned_to"),
    *("labels", "comments", "github_issue_number", "external_key"),
)
_common_labels = functools.lru_cache(1024)(clean_labels)


def _unknown(values: Mapping[str, Any]) -> dict[str, Any]:
    if FIELDS.issuperset(values):
        return {}
    return clean_further({name: value for name, value in values.items() if name not in FIELDS}, FIELDS)
