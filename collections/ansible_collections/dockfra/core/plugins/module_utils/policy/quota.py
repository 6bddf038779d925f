# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How often something may be done within some time, remembered in a file that outlives who counts.

What is counted is on the disk before it is done, so that a crash in between costs one and gives none. The file has no more
than `MAX_NAMES` names, and of each no more times than may be.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

from ..errors import BusyError, PolicyError
from ..files import atomic
from ..locks import file_lock

MAX_NAMES = 200

# Bytes of the file that are read, and seconds to wait for whoever counts at the same time.
_MAX_SIZE = 256 * 1024
_PATIENCE = 5.0


class Quota:
    """Counts by name.

    Args:
        path: the file; its directory is made.
        most: how often something may be done within the time.
        seconds: that time.
        clock: seconds since 1970, by default the system's.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        most: int,
        seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = os.fspath(path)
        self._most = most
        self._seconds = seconds
        self._clock = clock

    def take(self, name: str) -> int:
        """Count one more and return how many there are now within the time.

        Raises:
            BusyError: there are as many as there may be; the message says when the next may be.
            PolicyError: the file cannot be read or written, so nothing is known.
        """
        try:
            os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
            with file_lock.held(f"{self._path}.lock", _PATIENCE):
                now = self._clock()
                counted = self._recent(now)
                times = counted.get(name, [])
                if len(times) >= self._most:
                    again = time.strftime("%H:%M:%S UTC", time.gmtime(times[-self._most] + self._seconds))
                    raise BusyError(
                        f"{name} had {len(times)} within {self._seconds / 60:g} minutes, which is all there may be; the next may be at {again}"
                    )
                if name not in counted and len(counted) >= MAX_NAMES:
                    raise BusyError(f"{len(counted)} others are counted already; try later")
                counted[name] = [*times, now]
                atomic.replace(self._path, json.dumps(counted).encode(), mode=0o600)
                return len(counted[name])
        except OSError as error:
            raise PolicyError(f"{self._path} cannot be kept: {error.strerror or error}") from error

    def _recent(self, now: float) -> dict[str, list[float]]:
        """What was counted within the time, the oldest first. A time that is still to come was counted by a clock that was wrong."""
        try:
            with open(self._path, "rb") as file:
                data = json.loads(file.read(_MAX_SIZE))
            return {
                str(name): recent
                for name, times in data.items()
                if (recent := sorted(float(then) for then in times if now - self._seconds < then <= now))
            }
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise PolicyError(
                f"{self._path} is damaged, so it is not known what was done; remove it to count anew"
            ) from error
