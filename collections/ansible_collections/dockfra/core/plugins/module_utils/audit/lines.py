# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""One line of an audit log: a JSON object with the time, what happened, and the hash of the line before it."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ..errors import AuditError

# The hash before the first line.
START = "0" * 64

# A line is never longer: what a caller sends is cut first (see `gate.record`).
MAX_LINE = 64 * 1024

# How every line begins (see `encode`), and so every half line.
_BEGINNING = b'{"time": "'


def encode(entry: Mapping[str, Any], now: datetime.datetime, previous: str) -> bytes:
    """Return the line of an entry, without its end; raises AuditError when it is too long."""
    fields = {key: value for key, value in entry.items() if key != "time"}
    line = json.dumps({"time": _format(now), **fields, "previous": previous}, ensure_ascii=True).encode()
    if len(line) > MAX_LINE:
        raise AuditError(f"An audit line of {len(line)} bytes is too long; at most {MAX_LINE} are allowed.")
    return line


def decode(line: bytes) -> dict[str, Any] | None:
    """Return the entry of a line, None when it is no entry."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def is_torn(text: bytes) -> bool:
    """Whether a line that is no entry is the beginning of one, or what a power cut leaves: nothing but zeros."""
    if not text.strip(b"\0"):
        return bool(text)
    return text.startswith(_BEGINNING) or _BEGINNING.startswith(text)


def digest(line: bytes) -> str:
    """Return the hash of a line, which is taken without its end."""
    return hashlib.sha256(line).hexdigest()


def _format(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
