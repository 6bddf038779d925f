# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A secret becomes another one while services use it, in steps that can be cut anywhere.

The files beside a secret say how far it is: ``.next`` is one to come, ``.old`` the one before. All that is there is admitted,
so each step may be taken again, and between two steps everybody who can log in may do so::

    settled   the secret alone
    added     .next is admitted, and is to be tried before anybody depends on it
    switched  the former .next is what is used; .old is still admitted
    settled   .old is gone

A login has two users that take turns: the name of the secret's file, and the same with ``_b``. The second line of the file names
the second one.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from ..errors import KeyringError
from ..files import atomic

NEXT, OLD = ".next", ".old"
SETTLED, ADDED, SWITCHED = "settled", "added", "switched"

# What is left to be changed, in the state directory.
JOURNAL = "rotation.json"

_MODE = 0o600


def first_user(name: str) -> str:
    """Return the first of the two users of a login called ``<service>/<user>``."""
    return name.rpartition("/")[2]


def second_user(name: str) -> str:
    """Return the second one."""
    return f"{first_user(name)}_b"


def user(name: str, text: str) -> str:
    """Return the user of a login, by the content of its file."""
    return second_user(name) if text.split("\n")[1:2] == [second_user(name)] else first_user(name)


def other_login(name: str, text: str, password: str) -> str:
    """Return the content of a login's file for the user whose turn comes after that of ``text``, with a new password."""
    password = password.strip()
    return f"{password}\n{second_user(name)}\n" if user(name, text) == first_user(name) else f"{password}\n"


class Change:
    """One secret on its way to the next.

    Args:
        path: its file, which exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = path.with_name(f"{path.name}{NEXT}")
        self._old = path.with_name(f"{path.name}{OLD}")

    @property
    def stage(self) -> str:
        """How far it is."""
        if self._next.exists():
            return ADDED
        return SWITCHED if self._old.exists() else SETTLED

    def former(self, name: str) -> str:
        """Return the user of the login before, empty where there is none any more."""
        try:
            return user(name, self._old.read_text(encoding="utf-8")) if self.stage == SWITCHED else ""
        except OSError as error:
            raise KeyringError(f"{self._old} cannot be read: {error.strerror}. Check its owner.") from error

    def add(self, make: Callable[[str], str]) -> bool:
        """Have one to come, unless that is done; ``make`` gets the content of the file and returns the new one."""
        if self.stage != SETTLED:
            return False
        with self._told():
            atomic.create(self._next, make(self._path.read_text(encoding="utf-8")).encode(), mode=_MODE)
        return True

    def switch(self) -> bool:
        """Put the one to come in the place of the one that is used, unless that is done."""
        if self.stage != ADDED:
            return False
        with self._told():
            # Cut before the move, it begins again: what is used is still the former one.
            atomic.replace(self._old, self._path.read_bytes(), mode=_MODE)
            os.replace(self._next, self._path)
            atomic.sync_directory(self._path.parent)
        return True

    def retire(self) -> bool:
        """Forget the one before, unless that is done; KeyringError where the new one is not used yet."""
        if self.stage == ADDED:
            raise KeyringError(f"{self._next} is not used yet, so {self._path} cannot go. Switch first.")
        if self.stage == SETTLED:
            return False
        with self._told():
            atomic.remove(self._old)
            atomic.sync_directory(self._path.parent)
        return True

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise KeyringError(
                f"{error.filename or self._path} cannot be written: {error.strerror}. Check owner and free space."
            ) from error


class Journal:
    """The names of the secrets that a rotation has yet to change, kept until there are none.

    Args:
        state_dir: the platform's state directory.
    """

    def __init__(self, state_dir: str | os.PathLike[str]) -> None:
        self._path = Path(state_dir) / JOURNAL

    def left(self) -> list[str]:
        """Return them; KeyringError for a damaged file."""
        try:
            data = json.loads(self._path.read_bytes())
            if not isinstance(data, list) or not all(isinstance(name, str) for name in data):
                raise ValueError("it is no list of names")
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise KeyringError(
                f"{self._path} cannot be read ({error}). Remove it, and run the rotation again for what is left."
            ) from error
        return data

    def begin(self, names: Sequence[str]) -> list[str]:
        """Add names to those that are left, and return all: those of an earlier rotation come first."""
        left = self.left()
        wanted = list(dict.fromkeys([*left, *names]))
        if wanted != left:
            self._write(wanted)
        return wanted

    def done(self, name: str) -> bool:
        """Take note that a secret is changed; returns whether it was left."""
        left = self.left()
        if name not in left:
            return False
        self._write([each for each in left if each != name])
        return True

    def _write(self, names: Iterable[str]) -> None:
        text = json.dumps(list(names))
        try:
            if text == "[]":
                atomic.remove(self._path)
            else:
                atomic.replace(self._path, text.encode(), mode=_MODE)
        except OSError as error:
            raise KeyringError(
                f"{self._path} cannot be written: {error.strerror}. Check owner and free space."
            ) from error
