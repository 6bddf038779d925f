# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Show what the autopilot decided and did, the last decisions at the end.

With --follow it goes on with each new one, and with each effect once more when that has ended, until Ctrl-C.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ....module_utils.autopilot.ledger import Ledger
from ...autopilot import means, standing
from ...cli.call import Call
from ...cli.output import Style

EXAMPLES: list[str] = ["pilot-log", "pilot-log -n 100", "pilot-log -f", "pilot-log --json"]

# As long as somebody follows.
TIME_LIMIT = None

NUMBER, MOST = 20, 10_000

# Seconds between two looks for what is new.
PAUSE = 0.5


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is new")
    parser.add_argument(
        "-n",
        "--number",
        type=_number,
        default=NUMBER,
        metavar="NUMBER",
        help=f"how many; {NUMBER} by default",
    )


def STREAMS(options: argparse.Namespace) -> bool:  # noqa: N802
    return bool(options.follow)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= MOST):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {MOST}")
    return int(text)


def run(call: Call) -> list[dict[str, Any]]:
    path = means.ledger_path(means.state())
    state = standing.follow(path)  # before it is read: what comes meanwhile is new
    found = _read(path)
    shown = found[len(found) - min(len(found), call.options.number) :]
    if not call.options.follow:
        return shown
    _write(call, shown)
    _follow(call, path, state, found)
    return []


def _follow(call: Call, path: Path, state: tuple[int, ...], known: Sequence[Mapping[str, Any]]) -> None:
    """Write what is new, until somebody ends that."""
    seen = {_key(each) for each in known}
    try:
        while True:
            time.sleep(PAUSE)
            if (changed := standing.follow(path)) == state:
                continue
            state, found = changed, _read(path)
            _write(call, [each for each in found if _key(each) not in seen])
            seen = {_key(each) for each in found}
    except KeyboardInterrupt:
        return


def _key(decision: Mapping[str, Any]) -> tuple[str, ...]:
    return (decision["id"], decision["time"], decision["verdict"], decision["result"], decision["undone"])


def _write(call: Call, decisions: Sequence[Mapping[str, Any]]) -> None:
    for each in decisions:
        call.write("  ".join(standing.row(each)), **each)


def _read(path: Path) -> list[dict[str, Any]]:
    return [decision.to_dict() for decision in Ledger(path).decisions()]


def render(data: list[dict[str, Any]], style: Style) -> str:
    return standing.render_decisions(data, style) if data else ""
