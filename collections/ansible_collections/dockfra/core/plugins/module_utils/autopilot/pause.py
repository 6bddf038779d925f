# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The file by which people stop the autopilot for a while, or until they let it go on. It outlives every restart."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ..errors import AutopilotError
from ..files import atomic

_MAX_SIZE = 4096


def pause(path: str | os.PathLike[str], by: str, until: float | None = None) -> None:
    """Stop it.

    Args:
        path: the file; its directory exists.
        by: who wants that.
        until: when it goes on by itself, seconds since the epoch; None for when somebody lets it.

    Raises:
        AutopilotError: that cannot be written.
    """
    try:
        atomic.replace(path, json.dumps({"by": by[:100], "until": until}).encode(), mode=0o600)
    except OSError as error:
        raise AutopilotError(
            f"{os.fspath(path)} cannot be written: {error.strerror}; nothing is paused."
        ) from error


def resume(path: str | os.PathLike[str]) -> None:
    """Let it go on; raises AutopilotError."""
    try:
        atomic.remove(path)
    except OSError as error:
        raise AutopilotError(
            f"{os.fspath(path)} cannot be removed: {error.strerror}; it is paused still."
        ) from error


def paused(path: str | os.PathLike[str], now: float) -> str:
    """Return why nothing is to be done, an empty text where nobody paused it. A file that nobody can read pauses it, too."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            data: Any = json.loads(file.read(_MAX_SIZE))
        by, until = str(data["by"]), data["until"]
        if until is None:
            return f"{by} paused it; pilot-resume lets it go on"
        moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(float(until)))
        return f"{by} paused it until {moment}" if now < float(until) else ""
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return f"{os.fspath(path)} cannot be read, so it is paused; pilot-resume removes it"
