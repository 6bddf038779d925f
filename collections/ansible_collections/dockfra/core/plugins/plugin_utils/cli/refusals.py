# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How many refused calls of one caller have a line each in the audit log; of what goes beyond, a line now and then has the count.

Without a limit a role could fill the log of another with refusals, as fast as it can send them, until nothing else is
left in it. What is admitted is not limited here: the policy has given it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from ...module_utils.errors import LockBusyError
from ...module_utils.files import atomic
from ...module_utils.locks import file_lock
from .slots import DIRECTORY

# Refused calls that have a line each, in so many seconds; and seconds between two lines with a count.
MAX_LINES = 600
WINDOW = 60.0
PERIOD = 30.0

LIMIT = f"more than {MAX_LINES} refused calls in {WINDOW:g} s"

_SUFFIX = ".refused"


class _State(NamedTuple):
    """What is known of a caller.

    Attributes:
        begun: when the window began, in monotonic seconds.
        lines: refused calls that have had a line in it.
        untold: refused calls that no line has counted yet.
        due: when the next line with a count may be written.
    """

    begun: float = float("-inf")
    lines: int = 0
    untold: int = 0
    due: float = float("-inf")


class Refusals:
    """Counts the refused calls of one caller, over all its connections.

    Args:
        caller: who is refused.
        directory: where the counts are; it is made.
        clock: monotonic seconds.
        patience: how many seconds to wait for another connection of the caller that counts.
    """

    def __init__(
        self,
        caller: str,
        directory: str = DIRECTORY,
        clock: Callable[[], float] = time.monotonic,
        patience: float = 1.0,
    ) -> None:
        self._caller = caller
        self._path = os.path.join(directory, f"{caller}{_SUFFIX}")
        self._clock = clock
        self._patience = patience

    def one_more(self) -> bool:
        """Count a refused call; returns whether it gets a line of its own. Where nothing can be counted, each does."""
        try:
            os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
            with self._state() as (known, keep):
                now = self._clock()
                state = known._replace(begun=now, lines=0) if now - known.begun >= WINDOW else known
                own = state.lines < MAX_LINES
                keep(state._replace(lines=state.lines + own, untold=state.untold + (not own)))
                return own
        except (OSError, LockBusyError):
            return True

    def due(self) -> dict[str, Any] | None:
        """Return the line that is due for those that had none, None where there is none."""
        with suppress(OSError, LockBusyError), self._state() as (state, keep):
            now = self._clock()
            if state.untold and now >= state.due:
                keep(state._replace(untold=0, due=now + PERIOD))
                return {
                    "caller": self._caller,
                    "verb": "",
                    "limit": LIMIT,
                    "verdict": "denied",
                    "count": state.untold,
                }
        return None

    @contextmanager
    def _state(self) -> Iterator[tuple[_State, Callable[[_State], None]]]:
        """What is known, and how to keep what is known now; nobody else does meanwhile."""
        with file_lock.held(self._path, self._patience) as descriptor:

            def keep(state: _State) -> None:
                os.lseek(descriptor, 0, os.SEEK_SET)
                os.ftruncate(descriptor, 0)
                atomic.write_all(descriptor, json.dumps(state).encode())

            state = _State()
            with suppress(ValueError, TypeError, LookupError, OverflowError):
                begun, lines, untold, due = json.loads(os.pread(descriptor, 4096, 0))
                state = _State(float(begun), int(lines), int(untold), float(due))
            yield state, keep


def all_due(directory: str = DIRECTORY) -> Iterator[Mapping[str, Any]]:
    """Yield the lines that are due, for whoever writes them when the callers have gone."""
    with suppress(OSError):
        for name in sorted(os.listdir(directory)):
            if name.endswith(_SUFFIX):
                line = Refusals(name.removesuffix(_SUFFIX), directory).due()
                if line is not None:
                    yield line
