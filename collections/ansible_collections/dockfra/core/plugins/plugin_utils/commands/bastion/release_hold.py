# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Be the one who deploys some services, for as long as the input stays open.

Whoever comes second is told who it is, what for and since when. What ends the caller or the connection ends it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import time
from typing import Any

from ....module_utils.errors import LateError
from ....module_utils.releases import ids
from ....module_utils.releases.record import checked_who
from ...cli import releases
from ...cli.call import Call
from ...cli.grammar import checked
from ...cli.output import Style

EXAMPLES: list[str] = ["release-hold backend mobile-backend --for 'deploys 0123456789ab'"]
STREAMS = True

# Seconds for the longest deploy there is: builds, tests and all switches of it.
LONGEST = 7200.0
TIME_LIMIT = LONGEST + 60.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "services",
        metavar="SERVICE",
        nargs="+",
        type=checked(ids.checked_service),
        help="its name, for example backend",
    )
    parser.add_argument(
        "--for", dest="what", metavar="WHAT", type=checked(checked_who), required=True, help="the work"
    )
    parser.add_argument(
        "--who", metavar="WHO", type=checked(checked_who), help="who works; by default whoever calls"
    )


def reads_input(options: argparse.Namespace) -> bool:
    return True


def run(call: Call) -> dict[str, Any]:
    names = sorted(set(call.options.services))
    with contextlib.ExitStack() as held:
        for name in names:
            held.enter_context(
                releases.store(name).deployed(call.options.who or call.caller, call.options.what)
            )
        call.tell(f"{', '.join(names)}: held", phase="held", services=names)
        begin = time.monotonic()
        _wait_for_end(call.stdin.fileno(), begin + LONGEST)
    return {"services": names, "seconds": round(time.monotonic() - begin, 3)}


def _wait_for_end(descriptor: int, deadline: float) -> None:
    """Wait until the input ends, whatever comes on it before."""
    while (left := deadline - time.monotonic()) > 0:
        if select.select([descriptor], [], [], left)[0] and not os.read(descriptor, 4096):
            return
    raise LateError(f"nothing is held for longer than {LONGEST:g} s; what was under way goes on unprotected")


def render(data: dict[str, Any], style: Style) -> str:
    return f"{', '.join(data['services'])}: held for {data['seconds']:.1f} s"
