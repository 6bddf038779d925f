# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Which models are not asked for a while, because they failed some times in a row.

After the while one process asks again; when that succeeds, all do. The file only saves time: where it cannot be kept, every model
is asked.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import LLMUnavailableError, LockBusyError
from .kept import Kept

FAILURES = 3
SECONDS = 30.0

# Models that are remembered, the latest.
_MOST = 50


class Breakers:
    """One breaker for each model.

    Args:
        path: the file that remembers.
        failures: in a row, after which a model is not asked.
        seconds: for how long.
        clock: seconds since 1970, by default the system's.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        failures: int = FAILURES,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._kept = Kept(path)
        self._failures = failures
        self._seconds = seconds
        self._clock = clock

    def admit(self, model: str) -> None:
        """Let a model be asked; raises LLMUnavailableError where it is not, for now."""
        with self._held() as models:
            entry = _entry(models.get(model))
            now = self._clock()
            if entry["failures"] < self._failures:
                return
            # A time that lies further ahead was set by a clock that was wrong.
            if now < entry["until"] <= now + self._seconds:
                raise LLMUnavailableError(
                    f"{model} failed {entry['failures']} times in a row and is asked again in {entry['until'] - now:.0f} s"
                )
            # This one tries; others wait for what comes of it.
            models[model] = entry | {"until": now + self._seconds}

    def succeeded(self, model: str) -> None:
        """A model gave an answer."""
        with self._held() as models:
            models.pop(model, None)

    def failed(self, model: str) -> None:
        """A model gave none."""
        with self._held() as models:
            failures = _entry(models.pop(model, None))["failures"] + 1
            models[model] = {"failures": failures, "until": self._clock() + self._seconds}
            for old in sorted(models, key=lambda name: _entry(models[name])["until"])[:-_MOST]:
                del models[old]

    @contextlib.contextmanager
    def _held(self) -> Iterator[dict[str, Any]]:
        unkept: dict[str, Any] = {}
        with contextlib.ExitStack() as stack:
            try:
                models = stack.enter_context(self._kept.held(anew=True))
            except (OSError, LockBusyError):
                models = unkept
            yield models
            with contextlib.suppress(OSError):
                stack.close()


def _entry(value: object) -> dict[str, Any]:
    """What is remembered of a model, nothing where it makes no sense."""
    if isinstance(value, dict) and isinstance(value.get("failures"), int):
        until = value.get("until")
        if isinstance(until, (int, float)):
            return {"failures": max(0, min(value["failures"], 1000)), "until": float(until)}
    return {"failures": 0, "until": 0.0}
