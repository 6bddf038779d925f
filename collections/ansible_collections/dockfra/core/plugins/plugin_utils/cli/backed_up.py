# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""When the platform was backed up last, as ``playbooks/backup.yml`` has written it into the monitor's home."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...module_utils.text import finite
from .output import Style

RECORD = Path("~/.local/state/dockfra/backup.json")
_MAX_SIZE = 4096
_SNAPSHOT = re.compile(r"[0-9a-f]{8}")
_HOUR = 3600.0


def last(path: Path | None = None, now: float | None = None) -> dict[str, Any] | None:
    """Return of the last backup that was read back and compared its ``time``, ``snapshot``, whether it is too ``old``, and that in words.

    None where there never was one, or what is written down cannot be read.

    Args:
        path: the file.
        now: seconds since the epoch.
    """
    try:
        with (path or RECORD).expanduser().open("rb") as file:
            return checked({**json.loads(file.read(_MAX_SIZE)), "old": False, "detail": ""}, now)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def checked(entry: Mapping[str, Any], now: float | None = None) -> dict[str, Any]:
    """Return what `last` returns, each part in its form; raises KeyError, TypeError, ValueError."""
    # A variable from the command line is a text.
    verified, most = finite(entry["verified"]), finite(float(str(entry["max_age_hours"])))
    snapshot = str(entry["snapshot"])
    if not _SNAPSHOT.fullmatch(snapshot):
        raise ValueError("a snapshot that is none")
    hours = ((time.time() if now is None else now) - verified) / _HOUR
    old = 0 < most < hours
    detail = f"the last backup ({snapshot}) is {_age(hours)} old"
    if old:
        detail += f", more than the {most:g} h it may be: run playbooks/backup.yml"
    return {"verified": verified, "snapshot": snapshot, "max_age_hours": most, "old": old, "detail": detail}


def render(entry: Mapping[str, Any] | None, style: Style) -> str:
    """Return for people what there is to say, empty for nothing."""
    if not entry:
        return ""
    text = str(entry["detail"])
    return style.paint(f"{text[0].upper()}{text[1:]}.", "yellow" if entry["old"] else "dim")


def _age(hours: float) -> str:
    if hours < 1:
        return f"{max(0, round(hours * 60))} min"
    return f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} days"
