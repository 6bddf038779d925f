# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Say how the links stand that this tunnel keeps open, since when, and how often each came back; and what is wrong with the audit logs that come over them.

The exit status is 1 when a link is not up, or something is wrong with a log.
"""

from __future__ import annotations

import argparse
from typing import Any

from ....module_utils.errors import CommandError
from ....module_utils.watch import snapshot
from ...cli import links
from ...cli.call import Call
from ...cli.output import Style
from ...daemons.daemon import RUN, ailment
from ...daemons.link import STATE, WRITE

EXAMPLES: list[str] = ["link-status --json"]

# The daemon that keeps mirrors of these logs.
AUDIT_FETCH = "audit-fetch"

# Seconds after which what the daemon has written is too old to be believed.
_FRESH = WRITE * 4


def arguments(parser: argparse.ArgumentParser) -> None:
    """Takes none."""


def run(call: Call) -> dict[str, Any]:
    found = snapshot.read(RUN / STATE, _FRESH)
    if found is None:
        raise CommandError(
            "the daemon that keeps the links open says nothing; see 'docker logs' of this container"
        )
    problem = ailment(AUDIT_FETCH, RUN)
    return {"links": found["links"], "problems": [problem] if problem else []}


def render(data: dict[str, Any], style: Style) -> str:
    return links.render(data, style)


def exit_status(data: dict[str, Any]) -> int:
    return int(links.broken(data))
