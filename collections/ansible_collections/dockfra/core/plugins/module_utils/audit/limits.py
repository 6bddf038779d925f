# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Who has lately reached a limit, as the audit logs say: the guards of the containers write it there."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from .files import tail
from .lines import decode

# Seconds that are looked back, and bytes at each log's end.
PERIOD = 600.0
TAIL = 256 * 1024

# What the text of a limit begins with that is no limit: settings of a role that its container cannot use.
SETTINGS = "settings: "
# The verdict where something is near, or not as it should be, and was let through.
WARNED = "warned"


class Reached(NamedTuple):
    """A limit that somebody has reached.

    Attributes:
        service: where.
        caller: who.
        limit: which.
        verdict: ``denied``, or ``warned`` when it is only near.
        times: how often.
        time: when last, as the log has it.
    """

    service: str
    caller: str
    limit: str
    verdict: str
    times: int
    time: str


def reached(path: str, now: datetime.datetime, period: float = PERIOD) -> list[Reached]:
    """Return the limits that were reached lately, each once, as the end of a log says.

    Args:
        path: the log.
        now: the time.
        period: seconds that are looked back.

    Raises:
        OSError: it cannot be read.
    """
    service = os.path.basename(path).removesuffix(".jsonl")
    oldest = (now - datetime.timedelta(seconds=period)).astimezone(datetime.UTC).isoformat(timespec="seconds")
    found: dict[tuple[str, str, str], Reached] = {}
    for entry in _tail(path):
        if "limit" not in entry or str(entry.get("time", "")) < oldest.removesuffix("+00:00"):
            continue
        key = (str(entry.get("caller")), str(entry["limit"]), str(entry.get("verdict")))
        before = found[key].times if key in found else 0
        count = entry.get("count")
        added = count if isinstance(count, int) else 1
        found[key] = Reached(service, *key, before + added, str(entry["time"]))
    return list(found.values())


def _tail(path: str) -> Iterator[dict[str, Any]]:
    for line in tail(path, TAIL).splitlines():
        entry = decode(line) if b'"limit"' in line else None
        if entry is not None:
            yield entry
