# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Who has lately reached a limit, for the commands that tell it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...module_utils.audit import limits
from ...module_utils.audit.files import DIRECTORY
from .output import Style, table

LOGS = Path(DIRECTORY)


def reached(services: Iterable[str]) -> list[dict[str, Any]]:
    """Return the limits that were reached lately, the last ones first; a log that cannot be read is for `verify` to tell."""
    now = datetime.datetime.now(datetime.UTC)
    found: list[limits.Reached] = []
    for service in services:
        with suppress(OSError):
            found += limits.reached(str(LOGS / f"{service}.jsonl"), now)
    return [entry._asdict() for entry in sorted(found, key=lambda entry: entry.time, reverse=True)]


def render(found: Sequence[Mapping[str, Any]], style: Style) -> str:
    """Return them for people, a row for each; empty when there are none."""
    if not found:
        return ""
    rows = [
        (
            entry["caller"],
            entry["verdict"],
            entry["limit"],
            entry["service"],
            str(entry["times"]),
            entry["time"][:19],
        )
        for entry in found
    ]
    return table(style, ("WHO", "VERDICT", "LIMIT", "AT", "TIMES", "LAST"), rows)
