# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a field of a ticket may hold, whoever hands it over: a person, a program or a file."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import TypeGuard

from ..errors import TicketInvalidError
from ..policy.roles import ROLES
from ..text import shown, trimmed, visible

STATUSES = ("open", "in_progress", "closed")
PRIORITIES = ("low", "normal", "high", "critical")
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
_MEANT_ID = re.compile(r"(?:[Tt]-?)?([0-9]{1,18})")
_MEANT_ISSUE = re.compile(r"#([0-9]{1,18})")
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
# Not in the last year there is: the change after it needs a later time.
_STORED_TIMESTAMP = re.compile(r"(?!9999)[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


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
    """Return the id that somebody means by T-0069, t-69 or 69; raises TicketInvalidError for anything else."""
    if isinstance(text, str) and (issue := _MEANT_ISSUE.fullmatch(text)) and int(issue[1]):
        # Lists show issues like that, and a ticket's issue rarely has the ticket's number.
        raise TicketInvalidError(
            f"{shown(text)} may mean the issue of that number on GitHub, so it is no ticket id; write "
            f"{ticket_id(int(issue[1]))} for the ticket, or for the issue the id that ticket-list shows beside {text}."
        )
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


def acceptable(text: str, limit: int = MAX_TEXT, *, one_line: bool = False) -> str:
    """Return foreign text as a ticket may hold it: without what is forbidden, cut to ``limit`` characters.

    Otherwise it stays as it is, but for blank lines at its ends and trailing white space; a single line loses that at its
    beginning too. Of what nobody sees nothing is left.
    """
    if not visible(text):
        return ""
    if one_line:
        bad, text = _BAD_IN_LINE, re.sub(r"[^\S ]+", " ", text.strip())
    else:
        bad, text = _BAD_IN_TEXT, trimmed(text.replace("\r\n", "\n"))
    return _cut(bad.sub("\N{REPLACEMENT CHARACTER}", text), limit).rstrip()


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}\N{HORIZONTAL ELLIPSIS}"


def is_plain(text: str) -> bool:
    """Whether there is certainly nothing forbidden in a text; faster than to look for it."""
    return text.isprintable() or (text.isascii() and not text.encode().translate(None, _PLAIN))


def clean_text(value: object, name: str, *, empty: bool = True) -> str:
    """Several lines; CRLF, which web forms send, becomes LF."""
    if not isinstance(value, str):
        raise TicketInvalidError(f"{name} has to be text, not {shown(value)}.")
    if "\r" in value:
        value = value.replace("\r\n", "\n")
    if len(value) > MAX_TEXT:
        raise TicketInvalidError(f"{name} has {len(value)} characters; at most {MAX_TEXT} are allowed.")
    if not is_plain(value) and (bad := _BAD_IN_TEXT.search(value)):
        raise TicketInvalidError(f"{name} holds the control character {bad[0]!a}; remove it.")
    if not empty and not visible(value):
        raise TicketInvalidError(f"{name} is empty; write one.")
    return value


def _line(value: object, name: str, limit: int) -> str:
    """One line that is not empty, without white space around it."""
    if not isinstance(value, str):
        raise TicketInvalidError(f"{name} has to be text, not {shown(value)}.")
    value = value.strip()
    if not visible(value):
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


def clean_title(value: object) -> str:
    return _line(value, "The title", MAX_TITLE)


def clean_description(value: object) -> str:
    return clean_text(value, "The description")


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


def is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def clean_issue_number(value: object) -> int | None:
    if value is not None and (not is_number(value) or not 0 < value < 2**63):
        raise TicketInvalidError(f"The GitHub issue number {shown(value)} is no number from 1 on.")
    return value


def clean_external_key(value: object) -> str | None:
    """Return the name a ticket has elsewhere, or None; raises TicketInvalidError."""
    return None if value is None else _line(value, "The external key", MAX_KEY)


def reason_of(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
