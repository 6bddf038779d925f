# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The file ``/home/<role>/.env`` with the settings of one role.

The file is one that people may edit and other programs may read: a shell (``. ~/.env``) and the usual readers of such
files find the same values in it. It has the mode 0600, and what is written appears whole or not at all.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CommandError, UsageError
from ..files import atomic
from ..locks import file_lock
from . import catalogue, grammar
from .catalogue import Value

HOMES = Path("/home")
FILE = ".env"
MODE = 0o600

# A file that is larger is none of ours.
MAX_FILE = 256 * 1024
LOCK_TIMEOUT = 10.0


@dataclass(frozen=True)
class Problem:
    """Something in the file that could not be used.

    Attributes:
        line: its number, 0 for the whole file.
        name: of the setting it concerns, which has its default; empty where that is unclear.
        reason: what is wrong; never with a value.
        meant: the setting that the line may have been meant for.
    """

    line: int
    name: str
    reason: str
    meant: str = ""

    def to_dict(self) -> dict[str, str | int]:
        """Return it as plain data."""
        return {"line": self.line, "name": self.name, "reason": self.reason}


class Settings:
    """The settings of a role, as they were when the file was read.

    Args:
        role: whose they are.
        values: those that are set.
        problems: what could not be used.
    """

    def __init__(self, role: str, values: Mapping[str, Value], problems: tuple[Problem, ...] = ()) -> None:
        self.role = role
        self.values = values
        self.problems = problems

    def get(self, name: str) -> Any:
        """Return a setting's value as its type, the default where none is set.

        Raises:
            UsageError: the role has no such setting.
        """
        setting = catalogue.named(name, self.role)
        return self.values.get(name, setting.default)

    def is_set(self, name: str) -> bool:
        """Whether the file sets it."""
        return name in self.values

    def require_usable(self, names: Collection[str]) -> None:
        """Raise CommandError where the file sets one of these in vain: a default is not what was meant then."""
        for problem in self.problems:
            if problem.line == 0:
                raise CommandError(problem.reason)
            if problem.meant in names:
                what = f"{problem.name} {problem.reason}".strip()
                raise CommandError(f"line {problem.line} of {FILE}: {what}")

    def to_dict(self) -> dict[str, dict[str, Value]]:
        """Return all settings as plain data; of a secret only whether it is set."""
        return {
            setting.name: {
                "set": self.is_set(setting.name),
                **({} if setting.secret else {"value": self.get(setting.name)}),
            }
            for setting in catalogue.of(self.role)
        }


@dataclass(frozen=True)
class Update:
    """What an update did.

    Attributes:
        changed: names of the settings that differ now.
        settings: all of them afterwards.
    """

    changed: tuple[str, ...]
    settings: Settings


class EnvFile:
    """The file with the settings of one role. Any number of processes may use it.

    Args:
        path: the file; its directory exists.
        role: whose settings they are.
        lock_timeout: seconds to wait for another writer.
    """

    def __init__(
        self, path: str | os.PathLike[str], role: str, *, lock_timeout: float = LOCK_TIMEOUT
    ) -> None:
        self.path = Path(path)
        self.role = role
        self._lock_timeout = lock_timeout
        self._seen: tuple[int, ...] | None = None
        self._latest: Settings | None = None

    @classmethod
    def of(cls, role: str) -> EnvFile:
        """The file in a role's own container."""
        return cls(HOMES / role / FILE, role)

    def read(self) -> Settings:
        """Return the settings; what cannot be used is among their problems, and its default holds."""
        self._seen = self._state()
        try:
            return self._settings(self._text())
        except CommandError as error:
            return Settings(self.role, {}, (Problem(0, "", str(error)),))

    def changed(self) -> bool:
        """Whether the file is another one than this object read last; costs one look at the directory."""
        return self._seen is None or self._seen != self._state()

    def latest(self) -> Settings:
        """Return the settings, read again only when the file changed: for daemons, before each round."""
        if self._latest is None or self.changed():
            self._latest = self.read()
        return self._latest

    def update(self, changes: Mapping[str, object], *, dry_run: bool = False) -> Update:
        """Set some settings, all or none; the new file is on the disk when this returns.

        Args:
            changes: new values by name; None unsets one.
            dry_run: only say what would change.

        Raises:
            UsageError: a name or a value is wrong; nothing was changed.
            CommandError: the file cannot be written; nothing was changed.
        """
        cleaned = catalogue.clean_changes(changes, self.role)
        with self._locked() as folder:
            text = self._text()
            before = self._settings(text)
            entries = list(grammar.entries(text))
            there = {entry.name for entry in entries}
            changed = tuple(
                name
                for name, value in cleaned.items()
                if (before.values.get(name) != value if value is not None else name in there)
            )
            after = text
            if changed:
                new = {name: cleaned[name] for name in changed}
                after = grammar.edited(
                    entries,
                    {
                        name: None if value is None else catalogue.written(value)
                        for name, value in new.items()
                    },
                )
                if not dry_run:
                    self._replace(folder, after)
            return Update(changed, self._settings(after))

    def create(self) -> bool:
        """Make the file, with every setting as a comment, where there is none; returns whether it did."""
        with self._locked() as folder:
            if os.path.lexists(self.path):
                return False
            self._replace(folder, template(self.role))
            return True

    def _settings(self, text: str) -> Settings:
        values: dict[str, Value] = {}
        problems: dict[str, Problem] = {}
        mine = {setting.name: setting for setting in catalogue.of(self.role)}
        for entry in grammar.entries(text):
            # A shell goes by the last line of a name, and so does everybody.
            if entry.name in mine:
                values.pop(entry.name, None)
                problems.pop(entry.name, None)
            reason, meant = entry.reason, entry.name if entry.name in mine else ""
            if entry.name in mine and entry.value:
                try:
                    values[entry.name] = mine[entry.name].clean(entry.value)
                except UsageError as error:
                    reason = str(error).removeprefix(f"{entry.name} ")
            elif (
                entry.name.isupper() and entry.name not in (*catalogue.TABLE, *grammar.SIGN_OF) and not reason
            ):
                meant = _intended(entry.name, self.role)
                reason = _slip(entry.name, meant)
            if reason:
                name = entry.name if entry.name in mine else ""
                problems[name or f"line {entry.line}"] = Problem(entry.line, name, reason, meant)
        return Settings(self.role, values, tuple(sorted(problems.values(), key=lambda problem: problem.line)))

    def _state(self) -> tuple[int, ...]:
        try:
            found = os.stat(self.path)
        except OSError:
            return ()
        return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size, found.st_ctime_ns)

    def _text(self) -> str:
        """What is in the file, nothing when there is none; raises CommandError when it cannot be read."""
        try:
            # Not blocking: somebody may have put a pipe there.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise CommandError(f"{self.path} is no file; remove it")
                data = file.read(MAX_FILE + 1)
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise CommandError(
                f"{self.path} cannot be read: {error.strerror}; put that right first"
            ) from error
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise CommandError(f"{self.path} is written in UTF-16; save it as UTF-8")
        if len(data) > MAX_FILE:
            raise CommandError(f"{self.path} has more than {MAX_FILE} bytes; shorten or remove it")
        # What is no UTF-8 becomes signs that no setting may have, and is written back as it was. Not so a byte order mark:
        # an editor ignores it, but to a shell it is a part of the first name.
        return data.removeprefix(codecs.BOM_UTF8).decode(errors="surrogateescape")

    def _replace(self, folder: int, text: str) -> None:
        data = text.encode(errors="surrogateescape")
        try:
            atomic.replace(self.path.name, data, mode=MODE, dir_fd=folder, temporary=f"{FILE}.new")
        except OSError as error:
            raise self._unwritable(error) from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """Lock the directory and yield it: a lock file of its own would be one more thing in people's home."""
        try:
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            if not file_lock.take(folder, self._lock_timeout):
                raise CommandError(
                    f"{self.path} is being changed by somebody else for more than {self._lock_timeout:g} s; try again"
                )
            yield folder
        finally:
            os.close(folder)

    def _unwritable(self, error: OSError) -> CommandError:
        return CommandError(f"{self.path} cannot be written: {error.strerror}; nothing was changed")


def template(role: str) -> str:
    """Return a file that sets nothing and names everything."""
    lines = [
        f"# Settings of the {role}. They can be set here, from outside with playbooks/configure.yml, and those of the",
        "# developer and the monitor with the manager's config-developer and config-monitor. A change holds at once.",
        "# A line is NAME=value; a value with blanks or signs stands in single quotes.",
    ]
    for setting in catalogue.of(role):
        lines += ["", f"# {setting.meaning}.", f"# Value: {setting.kind.rule}."]
        lines.append(
            f"#{setting.name}={grammar.escaped(catalogue.written(setting.default)) if setting.default != '' else ''}"
        )
    return "\n".join([*lines, ""])


def _intended(name: str, role: str) -> str:
    """The setting that a foreign name is a slip for; most are none, for people keep other things in the file too."""
    import difflib

    close = difflib.get_close_matches(name, [setting.name for setting in catalogue.of(role)], 1, 0.85)
    return close[0] if close else ""


def _slip(name: str, meant: str) -> str:
    return f"{name} is no setting; did you mean {meant}?" if meant else ""
