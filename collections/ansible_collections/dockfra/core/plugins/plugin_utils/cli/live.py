# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""``--watch`` of the commands that show how things stand: the terminal shows it again and again, until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from ...module_utils.errors import UsageError
from . import output, signals
from .call import Call
from .output import Style

# Seconds between two pictures.
DEFAULT = 5.0
LOWEST, HIGHEST = 1.0, 3600.0


def add_argument(parser: argparse.ArgumentParser) -> None:
    """The argument."""
    parser.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=DEFAULT,
        metavar="SECONDS",
        help=f"show it anew each {DEFAULT:g} s, or so many, until Ctrl-C; for a terminal",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not LOWEST <= seconds <= HIGHEST:
        raise argparse.ArgumentTypeError(f"must be a number of seconds from {LOWEST:g} to {HIGHEST:g}")
    return seconds


def refuse_elsewhere(call: Call) -> None:
    """Raise UsageError where the call wants to be shown again and again, and there is no terminal for that."""
    if call.options.watch is not None and (call.options.json or not call.terminal):
        raise UsageError(
            "--watch needs a terminal of this container and no --json; a program calls again, a person logs in first "
            "(or uses ssh -t)"
        )


def show(call: Call, look: Callable[[], Any], render: Callable[[Any, Style], str], limit: float) -> Any:
    """Return what a look finds; with ``--watch`` show that again and again, and return None after Ctrl-C.

    Args:
        call: the call.
        look: finds out how things stand.
        render: makes text of that for people.
        limit: seconds that one look may take.

    Raises:
        UsageError: there is no terminal to show it on.
        DockfraError: what a look raises.
    """
    refuse_elsewhere(call)
    if call.options.watch is None:
        return look()
    try:
        first = True
        while True:
            signals.limit_anew(limit)
            style = Style.of(sys.stdout)
            text = render(look(), style)
            heading = style.paint(
                f"{call.command}, every {call.options.watch:g} s; {time.strftime('%H:%M:%S')}; Ctrl-C ends it",
                "dim",
            )
            output.redraw(sys.stdout, f"{heading}\n\n{text}", clear=first)
            first = False
            signals.limit_anew(limit + call.options.watch)
            time.sleep(call.options.watch)
    except KeyboardInterrupt:
        return None
