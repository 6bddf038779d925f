# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a model proposes: the schema of its answer, and the answer as objects."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..answers.schema import record

# What a new file has in the place of its base.
NEW = "none"

# The most of what one answer may have.
MAX_EDITS = 60
MAX_DELETIONS = 20
MAX_PATH = 500
MAX_TEXT = 128 * 1024
MAX_SUMMARY = 2000

_DIGITS = 16


def _text(description: str, most: int, least: int = 0) -> dict[str, Any]:
    return {"type": "string", "description": description, "minLength": least, "maxLength": most}


_PATH = _text("path of the file, from the top of the repository", MAX_PATH, 1)
_BASE = _text(f"the base that was told with the file; {NEW} for a new file", 64, 1)

SCHEMA: Mapping[str, Any] = record(
    summary=_text("what the change does, in one sentence without a full stop", MAX_SUMMARY, 1),
    edits={
        "type": "array",
        "maxItems": MAX_EDITS,
        "items": record(
            path=_PATH,
            old=_text(
                "lines of the file exactly as they are, enough to stand there once; empty for a new file",
                MAX_TEXT,
            ),
            new=_text("what is to stand in their place, complete", MAX_TEXT),
            base=_BASE,
        ),
    },
    deletions={
        "type": "array",
        "maxItems": MAX_DELETIONS,
        "description": "files to be removed; mostly none",
        "items": record(path=_PATH, base=_BASE),
    },
)


@dataclass(frozen=True)
class Edit:
    """One place of a file.

    Attributes:
        path: the file.
        old: what stands there.
        new: what is to stand there.
        base: the `digest` of the file that the model was shown, or `NEW`.
    """

    path: str
    old: str
    new: str
    base: str


@dataclass(frozen=True)
class Deletion:
    """A file that is to go; see `Edit`."""

    path: str
    base: str


@dataclass(frozen=True)
class Proposal:
    """An answer.

    Attributes:
        summary: what it does, in the model's words.
        edits: in the order in which they came.
        deletions: likewise.
    """

    summary: str
    edits: tuple[Edit, ...] = ()
    deletions: tuple[Deletion, ...] = ()

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Proposal:
        """Return the proposal of a value that fits `SCHEMA`."""
        return cls(
            str(value["summary"]),
            tuple(Edit(**entry) for entry in value["edits"]),
            tuple(Deletion(**entry) for entry in value["deletions"]),
        )

    @property
    def paths(self) -> list[str]:
        """All files that it names, each once."""
        paths = [edit.path for edit in self.edits] + [deletion.path for deletion in self.deletions]
        return list(dict.fromkeys(paths))


def digest(content: bytes) -> str:
    """Return what a file's content is told by, short enough for a model to repeat it."""
    return hashlib.sha256(content).hexdigest()[:_DIGITS]
