# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a daemon found last, in a file for others of the same container: it appears whole, and says how old it is.

Age is counted by the machine's own seconds since it started, so that a clock that is set makes nothing old or young. The file
lies in memory and ends with the container.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any

from ..text import finite

# A file that is larger is none of ours.
MAX_SIZE = 4 * 1024 * 1024


def write(path: str | os.PathLike[str], data: Mapping[str, Any]) -> None:
    """Put data into the file, with the time; raises OSError."""
    whole = {**data, "time": round(time.time(), 3), "boottime": _boottime()}
    folder, name = os.path.split(os.fspath(path))
    new = os.path.join(folder, f".{name}.new")
    # Nothing here has to survive a power cut, so nothing waits for a disk.
    with open(new, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        json.dump(whole, file)
    os.rename(new, path)


def read(path: str | os.PathLike[str], fresh: float) -> dict[str, Any] | None:
    """Return what was written, with its ``age`` in seconds; None where nothing can be read or it is older than ``fresh``."""
    try:
        with open(path, "rb") as file:
            data = json.loads(file.read(MAX_SIZE + 1))
        age = _boottime() - finite(data.pop("boottime"))
        data["time"] = finite(data["time"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return {**data, "age": round(age, 1)} if 0 <= age <= fresh else None


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
