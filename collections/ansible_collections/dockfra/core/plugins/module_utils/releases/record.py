# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""``release.json``: what a release is, who made it and when, as the monitor says it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields

from ..errors import ReleaseDamagedError, ReleaseInvalidError
from ..text import shown
from .ids import checked_commit, checked_id, checked_service, checked_tree, commit_of

NAME = "release.json"
MAX_RECORD = 4096

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_WHO = re.compile(r"[!-~]([ -~]{0,98}[!-~])?", re.ASCII)


@dataclass(frozen=True)
class Record:
    """What a release is.

    Attributes:
        id: its id.
        service: whose it is.
        commit: the whole hash of the commit it is made of.
        sha256: of the archive, in hex digits.
        time: when it was made, seconds since the epoch.
        who: who asked for it, up to 100 printable ASCII signs.
        tree: git's whole name for the directory that it is made of; empty where nobody has said it.

    Raises:
        ReleaseInvalidError: something of that cannot be, or the id is not one of the commit.
    """

    id: str
    service: str
    commit: str
    sha256: str
    time: int
    who: str
    tree: str = ""

    def __post_init__(self) -> None:
        checked_service(self.service)
        if checked_commit(self.commit)[:12] != commit_of(checked_id(self.id)):
            raise ReleaseInvalidError(f"{self.id} is no release of the commit {self.commit}.")
        if not isinstance(self.sha256, str) or not _SHA256.fullmatch(self.sha256):
            raise ReleaseInvalidError(f"{shown(self.sha256)} is no SHA-256; it has 64 hex digits.")
        if not isinstance(self.time, int) or isinstance(self.time, bool) or not 0 <= self.time < 2**40:
            raise ReleaseInvalidError(f"{shown(self.time)} is no time in seconds since the epoch.")
        checked_who(self.who)
        if self.tree != "":
            checked_tree(self.tree)

    def to_json(self) -> bytes:
        """Return it as `from_json` reads it."""
        return json.dumps(asdict(self), indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Record:
        """Return what `to_json` wrote; raises ReleaseDamagedError for anything else."""
        try:
            # A release of an earlier version does not say its tree.
            values = {"tree": "", **json.loads(data)}
            return cls(**{field.name: values[field.name] for field in fields(cls)})
        except (ValueError, RecursionError, KeyError, TypeError, ReleaseInvalidError) as error:
            raise ReleaseDamagedError(f"{NAME} is damaged: {shown(str(error))}.") from error


def checked_who(text: object) -> str:
    """Return a text that may say who asked for something, or what for; raises ReleaseInvalidError for any other."""
    if isinstance(text, str) and _WHO.fullmatch(text):
        return text
    raise ReleaseInvalidError(f"{shown(text)} says nothing: 1 to 100 printable ASCII signs are needed.")
