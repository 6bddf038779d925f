# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a role uses of models in a day (UTC), in tokens and in money, and the end of it.

Before a question is asked, the most that it may cost is counted as used; afterwards it is corrected to what it did cost. So
questions at the same time do not use more together than there is, and a process that is killed gives nothing back. What is not
known to have cost nothing counts with an estimate.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import LLMBudgetError, LockBusyError
from .kept import Kept

# Days that are kept.
_DAYS = 8


@dataclass(frozen=True)
class Use:
    """What something uses.

    Attributes:
        tokens: of question and answer.
        cost: US dollars.
    """

    tokens: int = 0
    cost: float = 0.0


@dataclass(frozen=True)
class Reserved:
    """What is counted for a question that is under way.

    Attributes:
        day: on which.
        use: how much.
    """

    day: str
    use: Use


class Budget:
    """What one role may use.

    Args:
        path: the file that counts.
        most: what may be used in a day.
        clock: seconds since 1970, by default the system's.
    """

    def __init__(
        self, path: str | os.PathLike[str], most: Use, clock: Callable[[], float] = time.time
    ) -> None:
        self._kept = Kept(path)
        self._most = most
        self._clock = clock

    def used(self) -> Use:
        """Return what was used today; raises LLMBudgetError when that is not known."""
        with self._explained(), self._kept.held() as days:
            return _use_of(days.get(self._today()))

    def reserve(self, use: Use) -> Reserved:
        """Count what a question may cost at most.

        Raises:
            LLMBudgetError: it is more than is left, or it is not known what is left.
        """
        with self._explained(), self._kept.held() as days:
            day = self._today()
            used = _use_of(days.get(day))
            self._check(used, use)
            days[day] = _entry(used.tokens + use.tokens, used.cost + use.cost)
            for old in sorted(set(days) - {day})[: -_DAYS + 1]:
                del days[old]
            return Reserved(day, use)

    def settle(self, reserved: Reserved, use: Use) -> None:
        """Correct what was reserved to what was used; raises LLMBudgetError when it cannot be kept."""
        with self._explained(), self._kept.held() as days:
            used = _use_of(days.get(reserved.day))
            days[reserved.day] = _entry(
                max(0, used.tokens + use.tokens - reserved.use.tokens),
                max(0.0, used.cost + use.cost - reserved.use.cost),
            )

    def _check(self, used: Use, use: Use) -> None:
        for name, what, most, have, need in (
            ("LLM_DAILY_TOKENS", "tokens", self._most.tokens, used.tokens, use.tokens),
            ("LLM_DAILY_COST", "dollars", self._most.cost, used.cost, use.cost),
        ):
            if have + need > most:
                raise LLMBudgetError(
                    f"Today's {most:.9g} {what} for models do not suffice: {have:.6g} are used, and this question may need "
                    f"{need:.3g}. Wait until 00:00 UTC, or raise {name}."
                )

    def _today(self) -> str:
        return time.strftime("%Y-%m-%d", time.gmtime(self._clock()))

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        path = self._kept.path
        try:
            yield
        except LockBusyError as error:
            raise LLMBudgetError(f"What is left of today's budget is not known: {error}") from error
        except OSError as error:
            raise LLMBudgetError(
                f"{path} cannot be kept ({error.strerror or error}), so no model is asked; put that right first."
            ) from error
        except ValueError as error:
            raise LLMBudgetError(
                f"{path} is damaged, so it is not known what was used today; remove it to count anew."
            ) from error


def _use_of(entry: object) -> Use:
    """What an entry of the file says; raises ValueError when it says nothing."""
    if entry is None:
        return Use()
    if isinstance(entry, dict):
        tokens, cost = entry.get("tokens"), entry.get("cost")
        if (
            isinstance(tokens, int)
            and isinstance(cost, (int, float))
            and tokens >= 0
            and 0 <= cost < math.inf
        ):
            return Use(tokens, float(cost))
    raise ValueError("it says no use")


def _entry(tokens: int, cost: float) -> dict[str, Any]:
    return {"tokens": tokens, "cost": round(cost, 9)}
