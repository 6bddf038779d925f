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
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_CODE_SPAN = re.compile(r"(?<![\\`])(`+)(?!`)(?:.*?[^`])??\1(?!`)", re.DOTALL)
_INDENTED = re.compile(r"( {4}|\t)")
_LIST_ITEM = re.compile(r"\s*([-*+]|[0-9]{1,9}[.)])(\s|$)")
# Without a bound of the scheme's length, a long word would be searched anew from each of its letters.
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]{0,30}://[^\s<>]*", re.IGNORECASE)
_NOWHERE = (sys.maxsize, sys.maxsize)


def quiet(text: str) -> str:
    """Return a text in Markdown so that it calls nobody."""
    return "".join(part if is_code else _quiet_part(part) for part, is_code in _blocks(text))


def loud(text: str) -> str:
    """Return a text as it was before `quiet`."""
    return text.replace(_QUIET, "@")


def _quiet_part(text: str) -> str:
    kept = [match.span() for match in _CODE_SPAN.finditer(text) if "\n" not in match[0]]
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
    fence, blank, listed, part = "", True, False, ""
    indented = False
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if fence:
            code = True
            if mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
                fence = ""
        elif mark:
            code, fence = True, mark[1]
        else:
            # Below an item of a list, an indented line may as well go on with the item.
            listed = listed or bool(_LIST_ITEM.match(line))
            indented = bool(_INDENTED.match(line)) and not listed and (blank or indented)
            code = indented
        blank = not line.strip()
        if code or blank:
            if part:
                yield part, False
            yield line, code
            part = ""
        else:
            part += line
    if part:
        yield part, False
