# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the secrets of a platform are kept, by relative paths such as ``secrets/db/backend``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from ..errors import KeyringError
from ..files import atomic

# The public half of a key pair: ssh refuses a private key whose half beside it is of another, and needs none.
PUBLIC_HALF = ".pub"
# What everybody may see of a key pair or a certificate.
_PUBLIC = (PUBLIC_HALF, ".crt")


class Store(Protocol):
    """A place for texts that appear whole or not at all."""

    def place(self, relative: str) -> str:
        """Return what to call the place of a text in a message."""

    def read(self, relative: str) -> str | None:
        """Return a text, or None where there is none.

        Raises:
            KeyringError: it cannot be read.
            ValueError: it is no text.
        """

    def write(self, relative: str, text: str, replace: bool) -> str:
        """Keep a text and return what is kept: without ``replace`` another one that came first.

        Raises:
            KeyringError: it cannot be kept.
        """

    def shift(self, coming: str, used: str, former: str) -> None:
        """Have the text of ``coming`` as that of ``used``, and what that was as ``former``; nothing is left of ``coming``.

        No file of a private key has the public half of another beside it, at any time.

        Cut anywhere, either all of it is done or ``used`` and ``coming`` are as they were.

        Raises:
            KeyringError: it cannot be kept, or one of the two is not there.
        """

    def remove(self, relative: str) -> None:
        """Forget a text, if there is one.

        Raises:
            KeyringError: it cannot be removed.
        """


class Directory:
    """Files below a state directory, for their owner only (mode 0600 in directories of mode 0700).

    Args:
        root: the state directory, for example ``.dockfra/local``.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = Path(root)

    def place(self, relative: str) -> str:
        return str(self._root / relative)

    def read(self, relative: str) -> str | None:
        path = self._root / relative
        try:
            return path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise KeyringError(f"{path} cannot be read: {error.strerror}. Check its owner.") from error

    def write(self, relative: str, text: str, replace: bool, mode: int = 0o600) -> str:
        path = self._root / relative
        with _told(path):
            self._make_private(path.parent)
            if replace:
                atomic.replace(path, text.encode(), mode=mode)
                return text
            with contextlib.suppress(FileExistsError):
                atomic.create(path, text.encode(), mode=mode)
            return path.read_text(encoding="utf-8")

    def shift(self, coming: str, used: str, former: str) -> None:
        path = self._root / used
        with _told(path):
            # Cut before the move, it begins again: what is used is still the former one.
            atomic.replace(self._root / former, path.read_bytes(), mode=0o600)
            atomic.remove(f"{path}{PUBLIC_HALF}")
            os.replace(self._root / coming, path)
            atomic.sync_directory(path.parent)

    def remove(self, relative: str) -> None:
        path = self._root / relative
        with _told(path), contextlib.suppress(FileNotFoundError):
            atomic.remove(path)
            atomic.sync_directory(path.parent)

    def _make_private(self, folder: Path) -> None:
        """Make the state directory and a folder below it, each for the owner only."""
        self._root.parent.mkdir(parents=True, exist_ok=True)
        for path in reversed([folder, *folder.parents]):
            if path.is_relative_to(self._root):
                # Unlike `mkdir(parents=True)`, which gives its mode to the last directory only.
                path.mkdir(mode=0o700, exist_ok=True)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say what the system refuses as a KeyringError."""
    try:
        yield
    except OSError as error:
        raise KeyringError(
            f"{path} cannot be written: {error.strerror}. Check owner and free space."
        ) from error


def is_public(relative: str) -> bool:
    """Whether a text is no secret: the public half of a key pair, or a certificate."""
    return relative.endswith(_PUBLIC)
