# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Work of a daemon that takes longer than its heart may stand still: it is done in a thread beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from ...module_utils.watch import snapshot
from ..cli import codes
from .daemon import Daemon

# Seconds between two looks, and between two times that it is written down how things stand.
PERIOD = 1.0
WRITE = 5.0


class Work(Protocol):
    """What is done."""

    def look(self) -> None:
        """See whether there is something to do, and do it."""

    def state(self) -> dict[str, Any]:
        """Return how things stand, for the others of this container; called while something is done, too."""


class Beside:
    """Lets work go on in a thread, and the daemon see to it.

    Args:
        daemon: the daemon.
        work: its work.
        file: where it is written down how things stand.
        period: seconds between two looks of the work.
    """

    def __init__(self, daemon: Daemon, work: Work, file: Path, period: float = PERIOD) -> None:
        self._daemon = daemon
        self._doing = work
        self._period = period
        self._file = file
        self._written: tuple[float, Mapping[str, Any]] = (0.0, {})
        self._problem = ""
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def step(self) -> Iterator[str]:
        """See to the thread, and write down how things stand; yields what is wrong with the daemon itself."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        state, now = self._doing.state(), time.monotonic()
        if state != self._written[1] or now - self._written[0] >= WRITE:
            try:
                snapshot.write(self._file, state)
                self._written = (now, state)
            except OSError as error:
                yield f"{self._file} cannot be written: {error.strerror}"
        if self._problem:
            yield self._problem

    def close(self) -> None:
        """Let the work end with what it does now."""
        self._ended.set()

    def _work(self) -> None:
        while not self._ended.is_set():
            try:
                self._doing.look()
                self._problem = ""
            except Exception as error:  # noqa: BLE001  told by the container's health, and tried again
                self._problem = codes.message(self._daemon.name, error)
            self._ended.wait(self._period)
