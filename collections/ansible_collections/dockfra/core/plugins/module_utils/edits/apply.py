# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What becomes of a repository's files: all edits of a proposal, or none."""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Mapping

from ..errors import EditRefusedError
from ..text import shown
from . import matching
from .model import NEW, Deletion, Edit, Proposal, digest
from .paths import Paths

# Bytes of a file after its edits, of all these files, and how many there may be.
MAX_FILE = 512 * 1024
MAX_CHANGED = 2 * 1024 * 1024
MAX_FILES = 40

# Reasons that are told at once.
_MAX_REASONS = 10

# How models leave out what they do not want to write once more.
_LEFT_OUT = re.compile(
    r"(?:\.\.\.|\u2026)\s*(?:the\s+)?(?:rest|remaining|existing|unchanged|other)\b[^\n]{0,60}"
    r"|\b(?:rest|remainder) of (?:the |this )?(?:code|file|function|class)\b[^\n]{0,30}\b(?:unchanged|same|as before|here)\b"
    r"|\bexisting code (?:here|unchanged|remains)\b",
    re.IGNORECASE,
)

# What each changed file has afterwards; None where it is gone.
Changes = dict[str, "bytes | None"]


class _Refused(Exception):
    """One edit cannot be; the message is a sentence."""


def apply(
    proposal: Proposal, modes: Mapping[str, str], sent: Mapping[str, bytes], hidden: str = ""
) -> Changes:
    """Return what the files of a repository become.

    Args:
        proposal: the edits.
        modes: what there is, see `Paths`.
        sent: the content of those files that the model was shown, as it really is.
        hidden: the mark that stands where a secret was taken out of what was shown; empty where none was.

    Raises:
        EditRefusedError: one of them cannot be, so none is.
    """
    return _Files(modes, sent, hidden).after(proposal)


def readable(content: bytes) -> str | None:
    """Return a file's text as a model is shown it; None where it is no text.

    The mark of the byte order at its beginning and the kind of its line ends are the file's own business: they stay.
    """
    if b"\0" in content or len(content) > MAX_FILE:
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


class _Files:
    def __init__(self, modes: Mapping[str, str], sent: Mapping[str, bytes], hidden: str) -> None:
        self._paths, self._modes, self._sent, self._hidden = Paths(modes), modes, sent, hidden
        self._made: Changes = {}
        self._reasons: list[str] = []

    def after(self, proposal: Proposal) -> Changes:
        edits: dict[str, list[Edit]] = {}
        for edit in proposal.edits:
            edits.setdefault(edit.path, []).append(edit)
        for path, entries in edits.items():
            self._try(path, entries)
        for deletion in proposal.deletions:
            self._try(deletion.path, deletion)
        if not self._reasons:
            self._check_whole()
        if self._reasons:
            more = len(self._reasons) - _MAX_REASONS
            told = [f"There are {more} further reasons."] if more > 0 else []
            raise EditRefusedError([*self._reasons[:_MAX_REASONS], *told])
        return self._made

    def _try(self, path: str, wanted: list[Edit] | Deletion) -> None:
        try:
            if problem := self._paths.refusal(path):
                raise _Refused(problem)
            if path in self._made:
                raise _Refused(f"{shown(path)} is to be changed and removed at once; decide.")
            if isinstance(wanted, Deletion):
                self._content(path, wanted.base)
                self._made[path] = None
            elif wanted[0].base == NEW and path not in self._modes:
                self._made[path] = self._new(path, wanted)
            else:
                self._made[path] = self._edited(path, wanted)
        except _Refused as refused:
            self._reasons.append(str(refused))

    def _new(self, path: str, edits: list[Edit]) -> bytes:
        if len(edits) > 1:
            raise _Refused(f"{shown(path)} is to be made more than once; make it in one edit.")
        if edits[0].old:
            raise _Refused(
                f"{shown(path)} is not there, so its old has to be empty; or name a file that was shown."
            )
        others = [
            other for other, content in self._made.items() if content is not None and other not in self._modes
        ]
        if problem := self._paths.refusal_of_new(path, others):
            raise _Refused(problem)
        return self._checked(path, edits[0], "").encode()

    def _edited(self, path: str, edits: list[Edit]) -> bytes:
        content = self._content(path, *(edit.base for edit in edits))
        text = readable(content)
        if text is None:
            raise _Refused(f"{shown(path)} is no text, or too long, and cannot be edited.")
        spans: list[matching.Span] = []
        for edit in edits:
            spans.append(self._span(edit, text))
        spans.sort()
        for first, second in itertools.pairwise(spans):
            if second.begin < first.end:
                raise _Refused(f"Two edits of {shown(path)} overlap; make one of them.")
        for begin, end, new in reversed(spans):
            text = text[:begin] + new + text[end:]
        mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
        return mark + text.encode()

    def _span(self, edit: Edit, text: str) -> matching.Span:
        old = edit.old.removeprefix("\ufeff")
        new = self._checked(edit.path, edit, old)
        if not old:
            if text:
                raise _Refused(
                    f"{shown(edit.path)} is there already, so old may not be empty; say what new replaces."
                )
            return matching.Span(0, 0, new)
        try:
            return matching.span(text, old, new)
        except matching.Unmatched as unmatched:
            raise _Refused(f"In {shown(edit.path)}, old {unmatched}.") from unmatched

    def _content(self, path: str, *bases: str) -> bytes:
        """What a file has; raises where the model speaks of another state of it."""
        if path not in self._modes:
            raise _Refused(f"{shown(path)} is not there; a new file has the base {NEW} and an empty old.")
        if path not in self._sent:
            raise _Refused(f"{shown(path)} was not shown to you, so you cannot know what it has.")
        content = self._sent[path]
        if any(base != digest(content) for base in bases):
            raise _Refused(
                f"The base of {shown(path)} is {digest(content)}, not {shown(next(base for base in bases if base != digest(content)))}."
            )
        return content

    def _checked(self, path: str, edit: Edit, old: str) -> str:
        """The new text of an edit; raises where it cannot be meant."""
        new = edit.new.removeprefix("\ufeff") if edit.old or edit.base != NEW else edit.new
        if self._hidden and (self._hidden in old or self._hidden in new):
            raise _Refused(
                f"{shown(path)} has a secret where {self._hidden} was shown to you; leave that place as it is."
            )
        if "\0" in new:
            raise _Refused(f"The new text of {shown(path)} has a NUL character.")
        try:
            new.encode()
        except UnicodeEncodeError as error:
            raise _Refused(f"The new text of {shown(path)} is no UTF-8 text.") from error
        if (left_out := _LEFT_OUT.search(new)) and left_out[0] not in old:
            raise _Refused(
                f"The new text of {shown(path)} leaves something out ({shown(left_out[0].strip())}); write all of it, or a smaller edit."
            )
        return new

    def _check_whole(self) -> None:
        """What holds for all changes together."""
        changed = {
            path: content
            for path, content in self._made.items()
            if content is None or path not in self._modes or content != self._sent[path]
        }
        if not changed:
            self._reasons.append("The edits change nothing.")
        sizes = [len(content) for content in changed.values() if content is not None]
        if len(changed) > MAX_FILES:
            self._reasons.append(f"There are {len(changed)} changed files; at most {MAX_FILES} are taken.")
        if max(sizes, default=0) > MAX_FILE or sum(sizes) > MAX_CHANGED:
            self._reasons.append(
                f"That is too much: a file has at most {MAX_FILE} bytes, and all changed ones {MAX_CHANGED}."
            )
        self._made = changed
