# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a model is shown of a repository: the names of its files, and the text of those that matter for a ticket."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ...module_utils.edits.apply import readable
from ...module_utils.edits.model import digest
from ...module_utils.edits.paths import FILES, Paths
from .staging import Staging

# Bytes of the files that are shown, of one of them, and of those that are looked through for the ticket's words.
MAX_SHOWN = 64 * 1024
MAX_FILE = 48 * 1024
_MAX_SEARCHED = 4 * 1024 * 1024
# Of the list of files.
_MAX_LISTED = 24 * 1024
# Files that words may choose, and that a model may.
_MAX_BY_WORDS = 8
MAX_CHOSEN = 20
_MAX_TICKET = 16 * 1024
_MAX_COMMENT = 2000
_COMMENTS = 10

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")
# A file named by the ticket, and a word in its path, count more than one in its text.
_NAMED, _IN_PATH = 100.0, 3.0


class Context:
    """The files of a repository that a model may be shown.

    Args:
        staging: the repository.
    """

    def __init__(self, staging: Staging) -> None:
        self._staging = staging
        paths = Paths({path: entry.mode for path, entry in staging.entries.items()})
        self.paths = [
            path
            for path, entry in sorted(staging.entries.items())
            if entry.mode in FILES and not paths.refusal(path)
        ]
        small = [path for path in self.paths if staging.entries[path].size <= MAX_FILE]
        searched, left = [], _MAX_SEARCHED
        for path in small:
            left -= staging.entries[path].size
            if left >= 0:
                searched.append(path)
        found = {path: (content, readable(content)) for path, content in staging.contents(searched).items()}
        self._texts = {path: (content, text) for path, (content, text) in found.items() if text is not None}

    @property
    def is_small(self) -> bool:
        """Whether all of it can be shown at once."""
        return sum(len(content) for content, _text in self._texts.values()) <= MAX_SHOWN

    def all(self) -> dict[str, bytes]:
        """Return all files that can be shown."""
        return self.shown(self._texts)

    def by_words(self, text: str) -> list[str]:
        """Return the files that the words of a text speak of, the likeliest first."""
        words = {word.lower() for word in _WORD.findall(text)}
        within = {
            path: words & {word.lower() for word in _WORD.findall(known)}
            for path, (_content, known) in self._texts.items()
        }
        weight = {
            word: math.log((1 + len(within)) / (1 + sum(word in found for found in within.values())))
            for word in words
        }
        lowered = text.lower()

        def score(path: str) -> float:
            found = sum(weight[word] for word in within[path])
            found += sum(_IN_PATH for word in words & {part.lower() for part in _WORD.findall(path)})
            return found + _NAMED * (path.lower() in lowered)

        likely = sorted(within, key=lambda path: (-score(path), path))
        return [path for path in likely if score(path) > 0][:_MAX_BY_WORDS]

    def shown(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Return what the files have that can be shown, as many of them as there is room for."""
        found: dict[str, bytes] = {}
        left = MAX_SHOWN
        for path in dict.fromkeys(paths):
            if path in self._texts and len(self._texts[path][0]) <= left:
                found[path] = self._texts[path][0]
                left -= len(found[path])
        return found

    def listing(self) -> str:
        """Return the names of all files with their sizes, as far as there is room."""
        lines: list[str] = []
        left = _MAX_LISTED
        for path in self.paths:
            line = f"{path} ({self._staging.entries[path].size} bytes)"
            left -= len(line) + 1
            if left < 0:
                lines.append(f"and {len(self.paths) - len(lines)} further files")
                break
            lines.append(line)
        return "\n".join(lines)


def files(sent: Mapping[str, bytes]) -> str:
    """Return files as a model is shown them, each with its base."""
    parts = []
    for path, content in sent.items():
        text = (readable(content) or "").replace("\r\n", "\n")
        end = "" if text.endswith("\n") or not text else "\n(no line end at the end of the file)\n"
        parts.append(f"=== file {path}, base {digest(content)}\n{text}{end}=== end of {path}")
    return "\n\n".join(parts)


def ticket_text(ticket: Mapping[str, Any]) -> str:
    """Return a ticket as a model is shown it."""
    lines = [f"{ticket['id']}: {ticket['title']}", "", str(ticket["description"])]
    for comment in ticket["comments"][-_COMMENTS:]:
        lines += ["", f"Comment by {comment['author']}:", str(comment["text"])[:_MAX_COMMENT]]
    return "\n".join(lines)[:_MAX_TICKET]
