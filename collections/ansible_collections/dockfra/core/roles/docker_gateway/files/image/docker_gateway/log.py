# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What is worth a line: refusals, changes, failures. Each is a JSON object on standard output.

What is passed on and only reads has none: health checks and whoever watches ask all the time.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

# The most that a line keeps of what was sent, in characters.
_MOST = 300


class Log:
    """Writes lines.

    Args:
        stream: where to; by default standard output.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def started(self, places: Sequence[str]) -> None:
        """It listens."""
        self._write("listens", places=list(places))

    def refused(self, peer: str, method: str, target: str, status: int, message: str) -> None:
        """A request did not pass."""
        self._write("refused", peer=peer, method=method, target=target, status=status, message=message)

    def changed(self, peer: str, verb: str, container: str, status: int) -> None:
        """A request that changes something has passed, and the engine has answered it."""
        self._write("passed", peer=peer, verb=verb, container=container, status=status)

    def failed(self, peer: str, method: str, target: str, message: str) -> None:
        """A request has passed, and the engine has not answered as it should."""
        self._write("failed", peer=peer, method=method, target=target, message=message)

    def _write(self, what: str, **data: Any) -> None:
        entry = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": what}
        entry.update({key: value[:_MOST] if isinstance(value, str) else value for key, value in data.items()})
        self._stream.write(json.dumps(entry) + "\n")
        self._stream.flush()
