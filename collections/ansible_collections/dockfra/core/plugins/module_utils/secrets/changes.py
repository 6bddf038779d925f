# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A secret becomes another one while services use it, in steps that can be cut anywhere.

What is kept beside a secret says how far it is: ``.next`` is one to come, ``.old`` the one before. All that is there is admitted,
so each step may be taken again, and between two steps everybody who can log in may do so::

    settled   the secret alone
    added     .next is admitted, and is to be tried before anybody depends on it
    switched  the former .next is what is used; .old is still admitted
    settled   .old is gone

A login has two users that take turns: the name of the secret, and the same with ``_b``. The second line of the secret names the
second one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ..errors import KeyringError
from ..files import atomic
from .stores import Store

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
    """Return the user of a login, by its secret."""
    return second_user(name) if text.split("\n")[1:2] == [second_user(name)] else first_user(name)


def other_login(name: str, text: str, password: str) -> str:
    """Return the secret of a login for the user whose turn comes after that of ``text``, with a new password."""
    password = password.strip()
    return f"{password}\n{second_user(name)}\n" if user(name, text) == first_user(name) else f"{password}\n"


class Change:
    """One secret on its way to the next.

    Args:
        store: where it is kept.
        relative: its path there.
    """

    def __init__(self, store: Store, relative: str) -> None:
        self._store = store
        self._used = relative
        self._next = f"{relative}{NEXT}"
        self._old = f"{relative}{OLD}"

    @property
    def stage(self) -> str:
        """How far it is."""
        if self.coming is not None:
            return ADDED
        return SWITCHED if self._read(self._old) is not None else SETTLED

    @property
    def coming(self) -> str | None:
        """The secret to come, where there is one."""
        return self._read(self._next)

    @property
    def used(self) -> str:
        """The secret that is used; KeyringError where there is none."""
        text = self._read(self._used)
        if text is None:
            raise KeyringError(
                f"{self._store.place(self._used)} is not there, so it cannot be changed. Run site.yml, which makes it."
            )
        return text

    def former(self, name: str) -> str:
        """Return the user of the login before, empty where there is none any more."""
        old = self._read(self._old)
        return user(name, old) if old is not None and self.stage == SWITCHED else ""

    def add(self, make: Callable[[str], str]) -> bool:
        """Have one to come, unless that is done; ``make`` gets the secret that is used and returns the new one."""
        if self.stage != SETTLED:
            return False
        self._store.write(self._next, make(self.used), replace=False)
        return True

    def switch(self) -> bool:
        """Put the one to come in the place of the one that is used, unless that is done."""
        if self.stage != ADDED:
            return False
        self._store.shift(self._next, self._used, self._old)
        return True

    def retire(self) -> bool:
        """Forget the one before, unless that is done; KeyringError where the new one is not used yet."""
        stage = self.stage
        if stage == ADDED:
            raise KeyringError(
                f"{self._store.place(self._next)} is not used yet, so {self._store.place(self._used)} cannot go. Switch first."
            )
        if stage == SETTLED:
            return False
        self._store.remove(self._old)
        return True

    def _read(self, relative: str) -> str | None:
        try:
            return self._store.read(relative)
        except ValueError as error:
            raise KeyringError(
                f"{self._store.place(relative)} is damaged ({error}). Put back a copy of it, or remove it."
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
