# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The syntax of the file: what a shell (``. ~/.env``) and the usual readers of such files agree on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..text import invisible

# Two signs mean something to a shell within double quotes, and one of them to other readers too. None of them agree on a
# way to write the signs there, but all replace ${NAME} by an earlier value.
_SIGNS = {"$": "DOCKFRA_DOLLAR", "`": "DOCKFRA_BACKTICK"}
SIGN_OF = {name: sign for sign, name in _SIGNS.items()}

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")
_BLANK = re.compile(r"[ \t]*(#[^\n]*)?\n?")
_ASSIGNMENT = re.compile(
    r"""[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)=
        (?: '(?P<single>[^']*)' | "(?P<double>(?:[^"\\]|\\.)*)" | (?P<plain>(?![\#~])[^\s'"\\$`;&|<>()]*) )
        (?:[ \t]+\#[^\n]*|[ \t]*)(?:\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
# A comment that stands for a setting which is not set: the new line belongs below it.
_PLACE = re.compile(r"[ \t]*#[ \t]*([A-Za-z_][A-Za-z0-9_]*)=.*\n?")
_LOOKS_LIKE = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)")
_IN_DOUBLE = re.compile(
    r'\\(?P<escaped>["\\$`])|\$\{(?P<sign>DOCKFRA_[A-Z]+)\}|(?P<bad>\\|`|\$(?=[\w{(@*#?$!-]))'
)
_NO_UTF_8 = re.compile("[\udc80-\udcff]")


@dataclass
class Entry:
    """Some lines of the file that belong together; ``value`` is None when they set nothing, or nothing that can be read."""

    raw: str
    line: int
    name: str = ""
    value: str | None = None
    reason: str = ""


def entries(text: str) -> Iterator[Entry]:
    """Return the parts of the file in their order; together they are the text."""
    position, line = 0, 1
    while position < len(text):
        if blank := _BLANK.fullmatch(text, position, _end_of_line(text, position)):
            entry = Entry(blank[0], line)
        else:
            entry = _assignment(text, position, line) or _unreadable(text, position, line)
        yield entry
        position, line = position + len(entry.raw), line + entry.raw.count("\n")


def _assignment(text: str, position: int, line: int) -> Entry | None:
    match = _ASSIGNMENT.match(text, position)
    if match is None:
        return None
    if bad := _not_text(match[0]):
        return Entry(match[0], line, match["name"], None, bad)
    double = match["double"]
    value = (match["single"] or match["plain"] or "") if double is None else _unescaped(double)
    if value is None:
        reason = "a shell changes what stands in its double quotes; use single quotes"
        return Entry(match[0], line, match["name"], None, reason)
    return Entry(match[0], line, match["name"], value)


def _unreadable(text: str, position: int, line: int) -> Entry:
    raw = text[position : _end_of_line(text, position)]
    match = _LOOKS_LIKE.match("".join(sign for sign in raw if not invisible(sign)))
    if not (reason := _not_text(raw)):
        if hidden := invisible(raw):
            reason = f"the line holds the invisible sign {hidden}; remove it"
        elif raw.endswith("\r\n"):
            reason = "the line ends as on Windows, with a carriage return"
        else:
            reason = "it is not NAME=value as a shell would read it; quote a value that has blanks or signs"
    return Entry(raw, line, match[1] if match else "", None, reason)


def _not_text(raw: str) -> str:
    """Why a line is no text; the file is read so that bytes that are no UTF-8 become halves of surrogate pairs."""
    return "the line is not written in UTF-8; save the file so" if _NO_UTF_8.search(raw) else ""


def _end_of_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end + 1


def _unescaped(text: str) -> str | None:
    """What a shell makes of a text in double quotes; None where that depends on the shell or on other readers."""
    parts, position = [], 0
    for match in _IN_DOUBLE.finditer(text):
        sign = match["escaped"] or SIGN_OF.get(match["sign"] or "")
        if sign is None:
            return None
        parts += [text[position : match.start()], sign]
        position = match.end()
    return "".join([*parts, text[position:]])


def escaped(value: str) -> str:
    """A value as the file holds it."""
    if _PLAIN.fullmatch(value):
        return value
    if not any(sign in value for sign in ("'", "\\", "${")):
        return f"'{value}'"
    value = value.replace("\\", r"\\").replace('"', r"\"")
    for sign, name in _SIGNS.items():
        # The dollar comes first, so that those of the names are not replaced.
        value = value.replace(sign, f"${{{name}}}")
    return f'"{value}"'


def edited(entries: list[Entry], changes: Mapping[str, str | None]) -> str:
    """Return the file with some settings changed (None: removed) and everything else as it was."""
    kept = [entry for entry in entries if entry.name not in SIGN_OF]
    for name, value in changes.items():
        found = [index for index, entry in enumerate(kept) if entry.name == name]
        place = found[-1] + 1 if found else _place(kept, name)
        if value is not None:
            kept.insert(place, Entry(f"{name}={escaped(value)}\n", 0))
        for index in reversed(found):
            del kept[index]
    for entry in kept[:-1]:
        # The last line of a file may lack its end.
        entry.raw = entry.raw if entry.raw.endswith("\n") else f"{entry.raw}\n"
    body = "".join(entry.raw for entry in kept)
    signs = [f"{name}='{sign}'\n" for sign, name in _SIGNS.items() if f"${{{name}}}" in body]
    return "".join([*signs, body])


def _place(entries: list[Entry], name: str) -> int:
    """Where the line of a setting belongs that has none: below the comment that stands for it, else at the end."""
    for index, entry in enumerate(entries):
        if (match := _PLACE.fullmatch(entry.raw)) and match[1] == name:
            return index + 1
    return len(entries)
