# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Send what the audit logs of this Docker host have got, and what they get from now on, until the input ends.

The input's first line is a JSON object: for each log how far it was read, as [generation, offset, hash of the last line]. A log that it
does not name is sent from its beginning.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import time
from pathlib import Path
from typing import Any

from ....module_utils.audit import mirror
from ....module_utils.audit.files import DIRECTORY
from ....module_utils.errors import AuditError, LateError, UsageError
from ...cli.call import Call
from ...cli.output import Style

EXAMPLES: list[str] = ["audit-stream --json"]
STREAMS = True
# As long as somebody reads.
TIME_LIMIT = None

# Seconds between two looks at the logs, and between two signs of life.
PERIOD = 0.5
BEAT = 5.0

# The longest input, and seconds in which it has to come.
_MOST_INPUT = 64 * 1024
_PATIENCE = 30.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Takes none."""


def reads_input(options: argparse.Namespace) -> bool:
    return True


def run(call: Call) -> dict[str, Any]:
    descriptor = call.stdin.fileno()
    positions = _positions(_first_line(descriptor))
    told: dict[str, str] = {}
    beat = 0.0
    while True:
        for path in sorted(Path(DIRECTORY).glob("*.jsonl")):
            log, problem = path.stem, ""
            try:
                positions[log] = _sent(call, log, path, positions.get(log, mirror.Position()))
            except AuditError as error:
                problem = str(error)
            # Also of a log without a line yet: it is there.
            if problem != told.get(log):
                call.tell(problem or f"{log} can be read", log=log, problem=problem)
                told[log] = problem
        if time.monotonic() - beat >= BEAT:
            call.tell("all is sent")
            beat = time.monotonic()
        if select.select([descriptor], [], [], PERIOD)[0] and not os.read(descriptor, _MOST_INPUT):
            return {"logs": sorted(positions)}


def render(data: dict[str, Any], style: Style) -> str:
    return f"Sent: {', '.join(data['logs']) or 'nothing'}."


def _sent(call: Call, log: str, path: Path, position: mirror.Position) -> mirror.Position:
    for part in mirror.beyond(str(path), position):
        # Each byte as one sign: what a log holds is for its reader to judge.
        call.write(part.lines.decode("latin-1"), log=log, generation=part.generation, offset=part.offset)
        position = mirror.after(part)
    return position


def _first_line(descriptor: int) -> bytes:
    deadline, line = time.monotonic() + _PATIENCE, b""
    while b"\n" not in line:
        if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise LateError(f"the input's first line did not come within {_PATIENCE:g} s")
        part = os.read(descriptor, _MOST_INPUT)
        line += part
        if not part or len(line) > _MOST_INPUT:
            raise UsageError("the input begins with a line that says how far each log was read")
    return line.partition(b"\n")[0]


def _positions(line: bytes) -> dict[str, mirror.Position]:
    try:
        found = {
            str(log): mirror.Position(int(generation), int(offset), str(last))
            for log, (generation, offset, last) in json.loads(line).items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError("the input says of each log [generation, offset, hash of the last line]") from error
    if any(position.generation < 0 or position.offset < 0 for position in found.values()):
        raise UsageError("a log was read from its beginning on; no number is below 0")
    return found
