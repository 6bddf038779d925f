# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The one place of a text that an edit means, and what stands there afterwards.

What is to be replaced has to be there exactly once: as it is, or else with each line end taken as the same. Nothing is guessed.
The text keeps its own line ends, and ends as it ended.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import NamedTuple

# So many places are named of a text that stands there more than once.
_NAMED = 5


class Span(NamedTuple):
    """A place of a text, and what comes there.

    Attributes:
        begin: its first character.
        end: the one behind its last.
        text: what comes there.
    """

    begin: int
    end: int
    text: str


class Unmatched(Exception):
    """What is to be replaced is not there, or more than once; the message goes on from 'old'."""


def span(text: str, old: str, new: str) -> Span:
    """Return the place that is meant; raises Unmatched.

    Args:
        text: of the file.
        old: what stands there; not empty.
        new: what is to stand there.
    """
    begin = _only(text, old)
    end = -1 if begin < 0 else begin + len(old)
    if begin < 0:
        begin, end, new = _with_plain_ends(text, old.replace("\r\n", "\n"), new)
    return Span(begin, end, _fitted(text[begin:end], new.replace("\r\n", "\n"), _line_end(text, begin)))


def _only(text: str, old: str) -> int:
    """Where a text stands, -1 where it does not; raises Unmatched where it stands more than once."""
    begin = text.find(old)
    places: list[int] = []
    at = begin
    while at >= 0 and len(places) <= _NAMED:
        places.append(text.count("\n", 0, at) + 1)
        at = text.find(old, at + 1)
    if len(places) > 1:
        lines = ", ".join(map(str, places[:_NAMED])) + (" and further" if len(places) > _NAMED else "")
        raise Unmatched(
            f"stands there more than once (at lines {lines}); take more lines with it, so that only one place is meant"
        )
    return begin


def _with_plain_ends(text: str, old: str, new: str) -> tuple[int, int, str]:
    """The same with all line ends alike, and with none at the end of a text that has none there."""
    plain = text.replace("\r\n", "\n")
    begin = _only(plain, old)
    if begin < 0 and not plain.endswith("\n") and old.endswith("\n") and plain.endswith(old[:-1] or "\n"):
        old, new = old[:-1], new.removesuffix("\n")
        begin = len(plain) - len(old)
    if begin < 0:
        raise Unmatched("does not stand there; repeat lines of the file exactly, with their indentation")
    # In the plain text, where each of the line ends is that was two characters.
    shortened = [match.start() - number for number, match in enumerate(re.finditer("\r\n", text))]
    end = begin + len(old)
    return begin + bisect_left(shortened, begin), end + bisect_left(shortened, end), new


def _line_end(text: str, at: int) -> str:
    """How lines end around a place."""
    found = text.find("\n", at)
    if found < 0:
        found = text.rfind("\n", 0, at)
    return "\r\n" if found > 0 and text[found - 1] == "\r" else "\n"


def _fitted(before: str, new: str, end: str) -> str:
    """What comes in a place: with its line ends, and the lines that stay, at both ends, just as they were."""
    old_lines, lines = _lines(before), _lines(new)
    head = _common(old_lines, lines)
    tail = _common(old_lines[head:][::-1], lines[head:][::-1])
    replaced = old_lines[head : len(old_lines) - tail]
    if replaced and replaced[0].endswith("\n"):
        end = "\r\n" if replaced[0].endswith("\r\n") else "\n"
    middle = "".join(lines[head : len(lines) - tail]).replace("\n", end)
    return "".join(old_lines[:head]) + middle + "".join(old_lines[len(old_lines) - tail :])


def _common(old_lines: list[str], lines: list[str]) -> int:
    """How many lines are the same at the beginning, however they end."""
    count = 0
    for old, new in zip(old_lines, lines, strict=False):
        if old.replace("\r\n", "\n") != new:
            break
        count += 1
    return count


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)
