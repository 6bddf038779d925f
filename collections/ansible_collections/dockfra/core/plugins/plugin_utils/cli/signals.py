# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What ends a command from outside: signals, the end of its connection, and its time limit."""

from __future__ import annotations

import _thread
import os
import select
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from ...module_utils.errors import LateError
from ...module_utils.processes.signals import in_main_thread


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
    if seconds is None or not in_main_thread():
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
    if in_main_thread() and callable(signal.getsignal(signal.SIGALRM)):
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
