# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A small object in a file that short processes share: read, changed and written while nobody else does."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

from ..files import atomic
from ..locks import file_lock

# Bytes of the file that are read, and seconds to wait for whoever has it.
_MAX_SIZE = 256 * 1024
_PATIENCE = 5.0


class Kept:
    """An object of JSON in a file.

    Args:
        path: the file; its directory is made.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    @contextlib.contextmanager
    def held(self, anew: bool = False) -> Iterator[dict[str, Any]]:
        """Have the object to change; what it is when this ends without an error is on the disk.

        Args:
            anew: whether a damaged file counts as one that is not there.

        Raises:
            ValueError: the file is damaged.
            OSError, LockBusyError: it cannot be read or written, or others have it for too long.
        """
        os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
        with file_lock.held(f"{self.path}.lock", _PATIENCE):
            before = self._read()
            data = _object(before, anew)
            yield data
            after = json.dumps(data, sort_keys=True).encode()
            if after != before:
                atomic.replace(self.path, after, mode=0o600)

    def _read(self) -> bytes:
        try:
            # Not waiting, in case somebody has put a pipe in its place.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return b"{}"
        with os.fdopen(descriptor, "rb") as file:
            return file.read(_MAX_SIZE)


def _object(text: bytes, anew: bool) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, dict):
        return data
    if anew:
        return {}
    raise ValueError("it holds no object")
