# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a command tells while it works: lines for people, JSON lines for programs.

An event is a mapping with ``event``, which is one of those below, and ``text``; what else it holds is for programs.
With ``--json`` each is a line of standard output, and the last line is the result.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from . import output

# How the work goes; people see it on standard error.
PROGRESS = "progress"
# Part of what was asked for.
OUTPUT = "output"
# What `run` returned, in ``data``. It is written by the runner.
RESULT = "result"


class Events:
    """Where events go.

    Args:
        as_json: whether a program reads them.
        streams: whether it expects more than the result.
    """

    def __init__(self, as_json: bool = False, streams: bool = True) -> None:
        self._as_json = as_json
        self._streams = streams

    def put(self, event: Mapping[str, Any]) -> None:
        """Write an event; raises OSError."""
        if not self._as_json:
            output.put(sys.stdout if event["event"] == OUTPUT else sys.stderr, str(event["text"]))
        elif self._streams:
            output.put(sys.stdout, json.dumps(event, ensure_ascii=False))


def checked(event: Any) -> dict[str, Any]:
    """Return an event that came from another container; raises ValueError when it is none."""
    if not isinstance(event, dict) or event.get("event") not in (PROGRESS, OUTPUT, RESULT):
        raise ValueError("it is no event")
    if event["event"] != RESULT and not isinstance(event.get("text"), str):
        raise ValueError("the event has no text")
    return event
