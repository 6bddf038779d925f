# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Alerts that others asked for, on their way to the daemon that tells them: a file each, which changes its name when that is done.

A file's name is the id that whoever asked chose, so asking again changes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path

from ..errors import BusyError, CommandError
from ..files import atomic
from .history import Alert

MOST = 50
# Those that were told and are remembered.
MOST_TOLD = 200
_MAX_SIZE = 16 * 1024
_ID = re.compile(r"[0-9A-Za-z-]{1,60}", re.ASCII)
_SUFFIX, _TOLD = ".json", ".told"


def is_id(text: str) -> bool:
    """Whether a text can be the id of an alert."""
    return bool(_ID.fullmatch(text))


def put(folder: Path, alert: Alert) -> None:
    """Have an alert told.

    Args:
        folder: is made.
        alert: with an id that `is_id`.

    Raises:
        BusyError: as many wait as may.
        CommandError: it cannot be kept.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (folder / f"{alert.id}{_TOLD}").exists():
            return
        if len(_names(folder)) >= MOST:
            raise BusyError(f"{MOST} alerts wait to be told already; look at 'docker logs' of the monitor")
        with contextlib.suppress(FileExistsError):
            atomic.create(folder / f"{alert.id}{_SUFFIX}", json.dumps(alert).encode(), mode=0o600)
    except OSError as error:
        raise CommandError(f"{folder} cannot be written: {error.strerror}") from error


def waiting(folder: Path) -> list[Alert]:
    """Return what waits, the oldest first; what is no alert is removed."""
    found = []
    for name in _names(folder)[:MOST]:
        path = folder / name
        try:
            with open(path, "rb") as file:
                alert = Alert(*json.loads(file.read(_MAX_SIZE)))
            if f"{alert.id}{_SUFFIX}" != name or not isinstance(alert.time, int | float):
                raise ValueError(name)
            found.append(alert)
        except (OSError, ValueError, TypeError, RecursionError):
            with contextlib.suppress(OSError):
                path.unlink()
    return sorted(found, key=lambda alert: alert.time)


def told(folder: Path, alert: Alert) -> None:
    """Note that an alert has been told; one whose file cannot be renamed stands in the audit log, and is not written there twice."""
    with contextlib.suppress(OSError):
        (folder / f"{alert.id}{_SUFFIX}").rename(folder / f"{alert.id}{_TOLD}")
        known = sorted(folder.glob(f"*{_TOLD}"), key=lambda path: path.stat().st_mtime)
        for path in known[:-MOST_TOLD]:
            path.unlink()


def _names(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(_SUFFIX))
    except OSError:
        return []
