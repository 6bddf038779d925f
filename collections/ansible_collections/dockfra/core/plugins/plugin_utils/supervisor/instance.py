# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Something that serves a source, from its start to its end, as the supervisor sees it."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from typing import NamedTuple

from .source import Source


class Problem(NamedTuple):
    """Why an instance cannot serve: in a word (see ``releases.state.RESULTS``), and in one line."""

    result: str
    reason: str


def how_ended(status: int) -> str:
    """What a process's end was, for a sentence; of one that a signal ended the status is negative."""
    if status >= 0:
        return f"with status {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal has no name
        return f"by signal {-status}"


class Instance(ABC):
    """One source, served.

    It is started, proves that it works, and is told to accept. It may be told to drain, which lets it finish what it has begun,
    and after that to resume or to retire. All of that returns at once; `pump` finds out what has come of it.

    Args:
        source: what is served.

    Attributes:
        proved: whether it works, as far as was asked.
        admitted: whether it was told to accept.
        accepting: whether connections reach it.
        gone: whether nothing of it is left.
        answers: whether it has answered what `watch` asked last; one that does not for long has a problem then.
        problem: why it cannot serve; None while it can.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.proved = False
        self.admitted = False
        self.accepting = False
        self.gone = False
        self.answers = True
        self.problem: Problem | None = None

    @property
    def release(self) -> str:
        """The id of what is served."""
        return self.source.release

    @abstractmethod
    def start(self, prove: bool) -> None:
        """Begin; with ``prove`` its health is asked before it counts as `proved`."""

    @abstractmethod
    def pump(self) -> None:
        """Take notice of what has happened since."""

    @abstractmethod
    def accept(self) -> None:
        """Let connections reach it."""

    @abstractmethod
    def drain(self) -> None:
        """Let no new connection reach it."""

    @abstractmethod
    def resume(self) -> None:
        """Let connections reach it again."""

    @abstractmethod
    def retire(self) -> None:
        """End it when what it has begun is through, at the latest after its declared time."""

    @abstractmethod
    def stop(self, seconds: float) -> None:
        """End it; what is under way has some seconds."""

    @abstractmethod
    def watch(self) -> None:
        """Ask whether it still answers; called again and again while that matters."""

    def descriptors(self) -> list[int]:
        """Return what becomes readable when `pump` has something to do."""
        return []
