# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The end of a task that has something under way: it is ended in order, before Ansible's own handlers leave the process."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from ...module_utils.processes import tree

_ENDS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Let a signal, or the end of ``ansible-playbook``, first end what was started within, and then do what it does else.

    Ansible's own handler would leave the process at once.
    """

    class Cancelled(BaseException):
        """A signal has come."""

    def came(number: int, _frame: FrameType | None) -> NoReturn:
        for other in _ENDS:
            signal.signal(other, signal.SIG_IGN)
        raise Cancelled(number)

    before = {number: signal.getsignal(number) for number in _ENDS}
    tree.bind()
    for number in _ENDS:
        signal.signal(number, came)
    try:
        yield
    except Cancelled as cancelled:
        _restore(before)
        signal.raise_signal(cancelled.args[0])
        raise SystemExit(128 + cancelled.args[0]) from cancelled
    finally:
        _restore(before)


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
