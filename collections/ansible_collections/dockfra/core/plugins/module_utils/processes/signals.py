# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What ends a process from outside waits while it puts things in order."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Signals:
    """Holds back what ends a process: the end of its connection, a stop of the container, Ctrl-C, Ctrl-\\, a time limit.

    Where one is heeded, the first does what it did before, and those that follow wait, or a caller could end with the second what
    has to be done after the first. A mask would not do: threads that a command has started would still take signals.
    """

    # Ctrl-C is the only one that a prompt survives: it is caught first and let go last.
    _NUMBERS = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGALRM)

    def __init__(self) -> None:
        self._heeds = False
        self._waiting: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if not in_main_thread():  # there is nothing to hold back
            return self
        self._before = {
            number: signal.signal(number, self._came)
            for number in self._NUMBERS
            if self._means_something(number)
        }
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in reversed(self._before.items()):
            signal.signal(number, handler)
        for number in self._waiting[:1]:
            signal.raise_signal(number)

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Let the first signal end what is done within; one that has come before ends it at once."""
        self._heeds = True
        try:
            if self._waiting:
                self._came(self._waiting.pop(0), None)
            yield
        finally:
            self._heeds = False

    @staticmethod
    def _means_something(number: int) -> bool:
        """Whether a signal ends something here: without a handler there is no time limit, and none may seem to be."""
        handler = signal.getsignal(number)
        return callable(handler) or (handler == signal.SIG_DFL and number != signal.SIGALRM)

    def _came(self, number: int, frame: FrameType | None) -> None:
        if not self._heeds:
            self._waiting.append(number)
            return
        self._heeds = False
        if callable(before := self._before[number]):
            before(number, frame)
        else:
            raise SystemExit(128 + number)


def in_main_thread() -> bool:
    """Whether this is the thread that Python gives signals to."""
    threading = sys.modules.get("threading")  # without it there is only one
    return threading is None or threading.current_thread() is threading.main_thread()
