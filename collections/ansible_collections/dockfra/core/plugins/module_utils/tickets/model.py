# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A ticket: its fields, what each may hold, and its form in a file.

What a file holds is checked by the same rules as what a person or program hands over. Fields that this version does not
know are kept as they are.
"""

from __future__ import annotations

import datetime
import functools
import json
import re
from collections.abc import Container, Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple, TypeGuard

from ..errors import TicketDamagedError, TicketInvalidError, TicketNewerError
from ..policy.roles import ROLES
from ..text import shown

SCHEMA = 1
STATUSES = ("open", "in_progress", "closed")
PRIORITIES = ("low", "normal", "high", "critical")
# Whose a new ticket is, unless somebody else is named, or nobody.
DEFAULT_ASSIGNEE = "developer"

# Lengths in characters. The longest body of a GitHub issue or comment is as long as the longest text.
MAX_TITLE = 200
MAX_TEXT = 64 * 1024
MAX_NAME = 64
MAX_KEY = 200
MAX_LABEL = 50
MAX_LABELS = 20
MAX_COMMENTS = 1000
MAX_FILE_BYTES = 4 * 1024 * 1024

# Control characters, line separators that are no line feed, characters that turn the direction of what follows (a title
# could look like another in a list), and halves of surrogate pairs, which have no form in UTF-8.
_CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_BAD_IN_TEXT = re.compile(f"[{_CONTROLS}]")
_BAD_IN_LINE = re.compile(rf"[\t\n{_CONTROLS}]")
_PLAIN = bytes(range(0x20, 0x7F)) + b"\t\n"
_ID = re.compile(r"T-([0-9]{4}|[1-9][0-9]{4,17})")
_MEANT_ID = re.compile(r"(?:[Tt]-?|#)?([0-9]{1,18})")
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
# Not in the last year there is: the change after it needs a later time.
_STORED_TIMESTAMP = re.compile(r"(?!9999)[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


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


# -- ids and times --


def ticket_id(number: int) -> str:
    """Return the id of the ticket with this number: at least four digits."""
    return f"T-{number:04d}"


def parse_id(text: object) -> int:
    """Return the number of an id like T-0001; raises TicketInvalidError for anything else."""
    match = _ID.fullmatch(text) if isinstance(text, str) else None
    if match is None or not int(match[1]):
        raise TicketInvalidError(f"{shown(text)} is no ticket id; an id looks like T-0001.")
    return int(match[1])


def clean_id(text: object) -> str:
    """Return the id that somebody means by T-0069, t-69, #69 or 69; raises TicketInvalidError for anything else."""
    match = _MEANT_ID.fullmatch(text) if isinstance(text, str) else None
    if match is None or not int(match[1]):
        raise TicketInvalidError(f"{shown(text)} is no ticket id; an id looks like T-0001.")
    return ticket_id(int(match[1]))


def format_time(moment: datetime.datetime) -> str:
    """Return a moment (with a time zone) as tickets hold it."""
    return moment.astimezone(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def next_time(now: datetime.datetime, before: str) -> str:
    """Return ``now``, or the microsecond after ``before`` where the clock stands still or was set back."""
    return max(format_time(now), format_time(_moment(before) + datetime.timedelta(microseconds=1)))


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


# -- values --


def acceptable(text: str, limit: int = MAX_TEXT, *, one_line: bool = False) -> str:
    """Return foreign text as a ticket may hold it: without what is forbidden, cut to ``limit`` characters."""
    bad, text = (
        (_BAD_IN_LINE, " ".join(text.split())) if one_line else (_BAD_IN_TEXT, text.replace("\r\n", "\n"))
    )
    return _cut(bad.sub("\N{REPLACEMENT CHARACTER}", text), limit).strip()


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}\N{HORIZONTAL ELLIPSIS}"


def _is_plain(text: str) -> bool:
    """Whether there is certainly nothing forbidden in a text; faster than to look for it."""
    return text.isprintable() or (text.isascii() and not text.encode().translate(None, _PLAIN))


def _text(value: object, name: str, *, empty: bool = True) -> str:
    """Several lines; CRLF, which web forms send, becomes LF."""
    if not isinstance(value, str):
        raise TicketInvalidError(f"{name} has to be text, not {shown(value)}.")
    if "\r" in value:
        value = value.replace("\r\n", "\n")
    if len(value) > MAX_TEXT:
        raise TicketInvalidError(f"{name} has {len(value)} characters; at most {MAX_TEXT} are allowed.")
    if not _is_plain(value) and (bad := _BAD_IN_TEXT.search(value)):
        raise TicketInvalidError(f"{name} holds the control character {bad[0]!a}; remove it.")
    if not empty and not value.strip():
        raise TicketInvalidError(f"{name} is empty; write one.")
    return value


def _line(value: object, name: str, limit: int) -> str:
    """One line that is not empty, without white space around it."""
    if not isinstance(value, str):
        raise TicketInvalidError(f"{name} has to be text, not {shown(value)}.")
    value = value.strip()
    if not value:
        raise TicketInvalidError(f"{name} is empty; write one.")
    if len(value) > limit:
        raise TicketInvalidError(f"{name} has {len(value)} characters; at most {limit} are allowed.")
    if not value.isprintable() and (bad := _BAD_IN_LINE.search(value)):
        raise TicketInvalidError(f"{name} holds the control character {bad[0]!a}; remove it.")
    return value


def _choice(value: object, name: str, choices: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise TicketInvalidError(f"{name} {shown(value)} is not one of {', '.join(choices)}.")
    return value


def _title(value: object) -> str:
    return _line(value, "The title", MAX_TITLE)


def _description(value: object) -> str:
    return _text(value, "The description")


def clean_status(value: object) -> str:
    """Return a status; raises TicketInvalidError."""
    return _choice(value, "The status", STATUSES)


def clean_priority(value: object) -> str:
    """Return a priority; raises TicketInvalidError."""
    return _choice(value, "The priority", PRIORITIES)


def clean_assignee(value: object) -> str | None:
    """Return a role or None for nobody; raises TicketInvalidError."""
    return None if value is None else _choice(value, "The assignee", ROLES)


def _label(value: object) -> str:
    label = _line(value, "A label", MAX_LABEL)
    if "," in label:
        raise TicketInvalidError(f"The label {shown(label)} holds a comma; commas separate labels.")
    return label


def clean_labels(value: object) -> tuple[str, ...]:
    """Return labels in order of the alphabet, each once; raises TicketInvalidError."""
    if not isinstance(value, (list, Sequence)) or isinstance(value, (str, bytes)):
        raise TicketInvalidError(f"The labels have to be a list, not {shown(value)}.")
    labels = set(map(_label, value))
    if len(labels) > MAX_LABELS:
        raise TicketInvalidError(f"There are {len(labels)} labels; at most {MAX_LABELS} are allowed.")
    return tuple(sorted(labels)) if labels else ()


def clean_name(value: object, name: str = "The author") -> str:
    """Return the name of a person or role; raises TicketInvalidError."""
    return _line(value, name, MAX_NAME)


def clean_timestamp(value: object, name: str = "The time") -> str:
    """Return an RFC 3339 time as tickets hold it; raises TicketInvalidError."""
    try:
        if isinstance(value, str):
            if _STORED_TIMESTAMP.fullmatch(value):
                _moment(value)
                return value
            if _TIMESTAMP.fullmatch(value):
                stored = format_time(_moment(value.upper()))
                if _STORED_TIMESTAMP.fullmatch(stored):
                    return stored
    except (ValueError, OverflowError):
        pass  # no such day or hour
    raise TicketInvalidError(f"{name} {shown(value)} is no time like 2026-01-31T12:00:00Z (RFC 3339).")


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _issue_number(value: object) -> int | None:
    if value is not None and (not _is_number(value) or not 0 < value < 2**63):
        raise TicketInvalidError(f"The GitHub issue number {shown(value)} is no number from 1 on.")
    return value


def clean_external_key(value: object) -> str | None:
    """Return the name a ticket has elsewhere, or None; raises TicketInvalidError."""
    return None if value is None else _line(value, "The external key", MAX_KEY)


def _further(value: object, known: Container[str]) -> dict[str, Any]:
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
        raise TicketInvalidError(f"A further field has no form in JSON ({_reason(error)}).") from error


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
    if len(value) > len(_COMMENT_FIELDS):
        rest = {name: entry for name, entry in value.items() if name not in _COMMENT_FIELDS}
        extra = _further(rest, _COMMENT_FIELDS)
    return Comment(
        clean_name(author, "The author of a comment"),
        _text(text, "A comment", empty=False),
        clean_timestamp(timestamp, "The time of a comment"),
        extra,
    )


def _comments(value: object) -> tuple[Comment, ...]:
    if not isinstance(value, (list, Sequence)) or isinstance(value, (str, bytes)):
        raise TicketInvalidError(f"The comments have to be a list, not {shown(value)}.")
    if len(value) > MAX_COMMENTS:
        raise TicketInvalidError(f"There are {len(value)} comments; at most {MAX_COMMENTS} are allowed.")
    return tuple(map(clean_comment, value))


_COMMENT_FIELDS = frozenset({"author", "text", "timestamp"})
_CLEANERS = {
    "title": _title,
    "description": _description,
    "status": clean_status,
    "priority": clean_priority,
    "assigned_to": clean_assignee,
    "labels": clean_labels,
    "created_by": lambda value: clean_name(value, "The creator"),
    "created_at": lambda value: clean_timestamp(value, "The time of creation"),
    "updated_at": lambda value: clean_timestamp(value, "The time of the last change"),
    "comments": _comments,
    "github_issue_number": _issue_number,
    "external_key": clean_external_key,
}
_FIELDS = frozenset({"schema", "id", *_CLEANERS})
_REQUIRED = ("id", "title", "status", "priority", "created_by", "created_at", "updated_at")


def clean_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return some fields of a ticket in valid form; ``extra`` is a mapping of further fields.

    Raises:
        TicketInvalidError: a field is unknown or its value breaks a rule.
    """
    cleaned: dict[str, Any] = {}
    for name, value in values.items():
        if name == "extra":
            cleaned[name] = _further(value, _FIELDS)
        elif name in _CLEANERS:
            cleaned[name] = _CLEANERS[name](value)
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


# -- files --


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
        reason = f"no JSON ({_reason(error)})" if data.strip() else "empty"
        raise TicketDamagedError(f"it is {reason}") from error
    if not isinstance(values, dict):
        raise TicketDamagedError("it is no JSON object")
    schema = values.get("schema", SCHEMA)
    if not _is_number(schema) or schema < 1:
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
    fields: dict[str, Any] = {
        name: clean(values[name]) for name, clean in _CLEANERS.items() if name in values
    }
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
            if not (_is_ordinary_line(by, MAX_NAME) and _is_ordinary_text(remark) and remark.strip()):
                return None
            extra = {} if len(comment) == len(_COMMENT_FIELDS) else clean_comment(comment).extra
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
            _issue_number(issue),
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
    return isinstance(value, str) and len(value) <= MAX_TEXT and _is_plain(value)


_GET = itemgetter(
    *("title", "created_by", "created_at", "updated_at", "description", "status", "priority", "assigned_to"),
    *("labels", "comments", "github_issue_number", "external_key"),
)
_common_labels = functools.lru_cache(1024)(clean_labels)


def _unknown(values: Mapping[str, Any]) -> dict[str, Any]:
    if _FIELDS.issuperset(values):
        return {}
    return _further({name: value for name, value in values.items() if name not in _FIELDS}, _FIELDS)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
