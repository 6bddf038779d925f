# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What ends a command from outside: signals, the end of its connection, and its time limit."""

from __future__ import annotations

import _thread
import os
import select
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from ...module_utils.errors import LateError


class Signals:
    """Holds back what ends a connection: its end, a stop of the container, Ctrl-C, Ctrl-\\.

    Where one is heeded, the first raises and those that follow wait, or a caller could end with the second what has to be
    done after the first. A mask would not do: threads that a command has started would still take signals.
    """

    # Ctrl-C is the only one that a prompt survives: it is caught first and let go last.
    _NUMBERS = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM)

    def __init__(self) -> None:
        self._heeds = False
        self._waiting: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if not _in_main_thread():  # there is nothing to hold back
            return self
        self._before = {number: signal.signal(number, self._came) for number in self._NUMBERS}
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in reversed(self._before.items()):
            signal.signal(number, handler)
        for number in self._waiting[:1]:
            signal.raise_signal(number)

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Let the first signal end what is done within."""
        self._heeds = True
        try:
            yield
        finally:
            self._heeds = False

    def _came(self, number: int, frame: FrameType | None) -> None:
        if not self._heeds:
            self._waiting.append(number)
            return
        self._heeds = False
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        ended(number, frame)


def ended(number: int, _frame: FrameType | None) -> NoReturn:
    """The handler of a signal that ends the process, by way of everything that is to be put in order."""
    raise SystemExit(128 + number)


def install() -> None:
    """Let the end of a connection or of the container end this process in order, and watch for the former."""
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, ended)
    # A terminal's end is a signal. Of a pipe's, nobody is told who does not write to it.
    if all(_is_pipe(descriptor) for descriptor in (1, 2)):
        _thread.start_new_thread(_watch, ())


@contextmanager
def limited(seconds: float | None) -> Iterator[None]:
    """Raise LateError within when it takes longer than some seconds."""
    if seconds is None or not _in_main_thread():
        yield
        return

    def late(_number: int, _frame: FrameType | None) -> NoReturn:
        raise LateError(f"it did not end within {seconds:g} s, and was ended")

    before = signal.signal(signal.SIGALRM, late)
    try:
        limit_anew(seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def limit_anew(seconds: float) -> None:
    """Let what is done within `limited` take so many seconds from now on; elsewhere nothing limits it."""
    if _in_main_thread() and callable(signal.getsignal(signal.SIGALRM)):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _watch() -> None:
    """Wait until nobody can read standard output nor standard error any more, as after a connection was cut."""
    poll = select.poll()
    left = {1, 2}
    for descriptor in left:
        poll.register(descriptor, 0)  # its end is told in any case
    while left:
        for descriptor, _event in poll.poll():
            poll.unregister(descriptor)
            left.discard(descriptor)
    os.kill(os.getpid(), signal.SIGHUP)


def _is_pipe(descriptor: int) -> bool:
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _in_main_thread() -> bool:
    """Whether this is the thread that Python gives signals to."""
    threading = sys.modules.get("threading")  # without it there is only one
    return threading is None or threading.current_thread() is threading.main_thread()
