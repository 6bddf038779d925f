# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Texts that are copied to GitHub call nobody.

There, ``@name`` sends a message to that person or team. An empty HTML comment behind the sign keeps it from that, and
nobody sees it; an escaped ``&#64;`` would not, because GitHub looks for names once it has resolved it. In code nobody is
called, and the comment would be seen. Where it is in doubt whether something is code, it gets the comment.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

_QUIET = "@<!-- -->"
# Not within a word, as in an address for mail.
_MENTION = re.compile(r"(?<![^\W_])@(?=\w)")
# What follows backticks has none itself (CommonMark 0.31, 4.5): such a line is a span of code.
_FENCE = re.compile(r"( {0,3})(`{3,}(?=[^`\r\n]*[\r\n]*$)|~{3,})")
_CODE_SPAN = re.compile(r"(?<![\\`])(`+)(?!`)(?:.*?[^`])??\1(?!`)", re.DOTALL)
_INDENTED = re.compile(r"( {4}|\t)")
# Items of lists and footnotes: what is indented below may go on with them.
_ITEM = re.compile(r"\s*(([-*+]|[0-9]{1,9}[.)])(\s|$)|\[\^[^\]]*\]:)")
# How blocks of HTML begin, and how each ends (CommonMark 0.31, 4.6); the others end with a blank line. There nothing is code.
_TAG = re.compile(r"<[A-Za-z/!?]")
_HTML = re.compile(r" {0,3}<[A-Za-z/!?]")
_LONG_HTML = [
    (re.compile(rf" {{0,3}}<{begin}", re.IGNORECASE), re.compile(end, re.IGNORECASE))
    for begin, end in (
        (r"(script|pre|style|textarea)", r"</(script|pre|style|textarea)>"),
        (r"!--", "-->"),
        (r"\?", r"\?>"),
        (r"!\[CDATA\[", r"\]\]>"),
        (r"![A-Za-z]", ">"),
    )
]
# Without a bound of the scheme's length, a long word would be searched anew from each of its letters.
# It ends where a link or a cell of a table may end, and before an @ that may begin a name.
_ADDRESS = re.compile(r"""[a-z][a-z0-9+.-]{0,30}://(?:[^\s<>|)\]"'@]|(?<=[\w/=])@)*""", re.IGNORECASE)
_BLANK = re.compile(r"^\s*$")
_NOWHERE = (sys.maxsize, sys.maxsize)


def quiet(text: str) -> str:
    """Return a text in Markdown so that it calls nobody."""
    return "".join(part if is_code else _quiet_part(part) for part, is_code in _blocks(text))


def loud(text: str) -> str:
    """Return a text as it was before `quiet`."""
    return text.replace(_QUIET, "@")


def _quiet_part(text: str) -> str:
    tag = _TAG.search(text)
    # A cell of a table ends a span of code, and so does the tag that one begins in.
    sure = len(text) if tag is None else tag.start()
    kept = [
        match.span()
        for match in _CODE_SPAN.finditer(text)
        if match.start() < sure and not set("\n|") & set(match[0])
    ]
    kept += [match.span() for match in _ADDRESS.finditer(text)]
    spans = iter(sorted(kept))
    start, end = next(spans, _NOWHERE)

    def sent(match: re.Match[str]) -> str:
        nonlocal start, end
        while end <= match.start():
            # Spans overlap where an address is in code; what lies further on still counts.
            start, end = next(spans, _NOWHERE)
        return "@" if start <= match.start() else _QUIET

    return _MENTION.sub(sent, text)


def _blocks(text: str) -> Iterator[tuple[str, bool]]:
    """The parts of a text, each with whether it is a block of code."""
    blocks, part = _Blocks(), ""
    for line in text.splitlines(keepends=True):
        code = blocks.is_code(line)
        if code or not line.strip():
            if part:
                yield part, False
            yield line, code
            part = ""
        else:
            part += line
    if part:
        yield part, False


class _Blocks:
    """Which lines of a text are certainly code; asked of each in turn."""

    def __init__(self) -> None:
        self._fence = ""
        self._html: re.Pattern[str] | None = None
        self._blank, self._listed, self._indented = True, False, False

    def is_code(self, line: str) -> bool:
        found = self._fenced(line)
        self._blank = not line.strip()
        return found

    def _fenced(self, line: str) -> bool:
        mark = _FENCE.match(line)
        if self._fence:
            if mark and mark[2].startswith(self._fence) and not line[mark.end() :].strip():
                self._fence = ""
            return True
        if self._in_html(line):
            return False
        # One that is indented below an item ends with that item, whoever closes it.
        if mark and not (mark[1] and self._listed):
            self._fence = mark[2]
            return True
        self._listed = self._listed or bool(_ITEM.match(line))
        self._indented = bool(_INDENTED.match(line)) and not self._listed and (self._blank or self._indented)
        return self._indented

    def _in_html(self, line: str) -> bool:
        """Whether a line belongs to a block of HTML."""
        if self._html is None and _HTML.match(line):
            self._html = next((end for begin, end in _LONG_HTML if begin.match(line)), _BLANK)
        if self._html is None:
            return False
        if self._html.search(line):
            self._html = None
        return True
