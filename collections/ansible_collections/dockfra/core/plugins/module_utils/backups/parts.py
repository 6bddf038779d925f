# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a backup is made of, as data: parts, and the list of them that lies beside the archive.

Layout of a snapshot in the repository::

    hosts/<place>/archive.tar      the parts of a place, each below its name
    hosts/<place>/manifest.json    what they are: see `Manifest`

`routes` makes of it, for a restore, the same for each Docker host of the inventory, below ``targets``.

A place is a Docker host, or `CONTROLLER` for the keys and secrets of the person who runs Ansible.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from ..errors import BackupError
from ..files import atomic
from ..text import finite

# What a volume can hold: files; the bare repositories of a git server; the data of PostgreSQL, of which dumps are kept.
FILES, GIT, POSTGRES = KINDS = ("files", "git", "postgres")

FORMAT = 1
ARCHIVE = "archive.tar"
MANIFEST = "manifest.json"
# The place of what lies on the controller. No inventory host is called so.
CONTROLLER = "_controller"
_MAX_MANIFEST = 16 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Source:
    """A volume that is backed up.

    Attributes:
        volume: its name without the project's prefix, which is also that of its part.
        kind: one of `KINDS`.
        container: the container that writes it.
        path: where that container sees it.
        uid: of that container's user.
    """

    volume: str
    kind: str
    container: str
    path: str
    uid: int

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Source:
        """Build it from what `topology.backups` found as plain data; raises BackupError."""
        try:
            found = cls(
                str(values["volume"]),
                str(values["kind"]),
                str(values["container"]),
                str(values["path"]),
                int(values["uid"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BackupError(f"This is no volume that could be backed up: {dict(values)}") from error
        if found.kind not in KINDS:
            raise BackupError(f"The volume {found.volume} has the unknown kind '{found.kind}'.")
        return found


@dataclass(frozen=True)
class Part:
    """One volume, directory or database as it is in an archive.

    Attributes:
        name: of the volume, without the project's prefix, or of the directory; of a database ``<volume>/<database>``.
        kind: one of `KINDS`.
        files: number of its files.
        bytes: their sizes together.
        digest: see `archive`; of a database that of its rows, see `postgres`.
        owned: whether owners count.
        roles: of a database: the roles that own or use something in it.
        notes: what is wrong with its content where it lies, a sentence each.
    """

    name: str
    kind: str
    files: int
    bytes: int
    digest: str
    owned: bool = True
    roles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    FOLDERS: ClassVar[Mapping[str, str]] = {FILES: "files", GIT: "files", POSTGRES: "databases"}

    @property
    def volume(self) -> str:
        """The volume that it belongs to."""
        return self.name.partition("/")[0]

    @property
    def folder(self) -> str:
        """Where it lies in the archive."""
        return f"{self.FOLDERS[self.kind]}/{self.name}"


@dataclass(frozen=True)
class Manifest:
    """What an archive holds.

    Attributes:
        project: the platform's name.
        place: see `CONTROLLER`.
        time: seconds since the epoch when it was begun.
        size: bytes of the archive.
        sha256: of the archive.
        parts: what is in it.
        vault: of `CONTROLLER`: the file of Ansible Vault with the secrets, as ``<part>/<path in it>``; empty where they are files.
    """

    project: str
    place: str
    time: float
    size: int
    sha256: str
    parts: tuple[Part, ...] = field(default_factory=tuple)
    vault: str = ""

    def write(self, folder: str | os.PathLike[str], owner: tuple[int, int] | None = None) -> None:
        """Put it beside the archive; raises OSError."""
        data = json.dumps({"format": FORMAT, **asdict(self)}, indent=1).encode()
        atomic.replace(os.path.join(folder, MANIFEST), data, mode=0o600, owner=owner)

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> Manifest:
        """Return what lies beside an archive; raises BackupError where that is no manifest of this version."""
        path = os.path.join(folder, MANIFEST)
        try:
            with open(path, "rb") as file:
                return cls.from_dict(json.loads(file.read(_MAX_MANIFEST)))
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            RecursionError,
            OverflowError,
        ) as error:
            raise BackupError(
                f"The backup has no usable {MANIFEST} for {os.path.basename(folder)} ({_reason(error)}); take another snapshot."
            ) from error

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Manifest:
        """Build it from plain data; raises KeyError, TypeError, ValueError."""
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']} instead of {FORMAT}")
        known = {each.name for each in fields(Part)}
        parts = []
        for entry in values["parts"]:
            given = {key: value for key, value in entry.items() if key in known}
            part = Part(**{**given, "roles": tuple(given["roles"]), "notes": tuple(given["notes"])})
            if part.kind not in KINDS or not all(map(_NAME.fullmatch, part.name.split("/"))):
                raise ValueError(f"part {part.name!r} of kind {part.kind!r}")
            parts.append(part)
        return cls(
            str(values["project"]),
            str(values["place"]),
            finite(values["time"]),
            int(values["size"]),
            str(values["sha256"]),
            tuple(parts),
            str(values.get("vault") or ""),
        )

    def check(self, folder: str | os.PathLike[str]) -> None:
        """Compare an archive with what this says of it; raises BackupError where it is another."""
        path = os.path.join(folder, ARCHIVE)
        try:
            size = os.stat(path).st_size
            found = sha256_of(path) if size == self.size else ""
        except OSError as error:
            raise BackupError(f"The backup of {self.place} lacks its archive: {error.strerror}.") from error
        if found != self.sha256:
            what = (
                f"has {size} bytes instead of {self.size}" if size != self.size else "is not what was stored"
            )
            raise BackupError(f"The backup of {self.place} is damaged: {path} {what}. Nothing was changed.")


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file in hex; raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def total(parts: Iterable[Part]) -> int:
    """Return the bytes of parts together."""
    return sum(part.bytes for part in parts)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
