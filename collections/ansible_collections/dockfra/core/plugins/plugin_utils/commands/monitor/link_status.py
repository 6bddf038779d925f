# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Say how the links stand that this tunnel keeps open: since when, and how often each came back.

The exit status is 1 when one is not up.
"""

from __future__ import annotations

import argparse
from typing import Any

from ....module_utils.errors import CommandError
from ....module_utils.watch import snapshot
from ...cli import links
from ...cli.call import Call
from ...cli.output import Style
from ...daemons.daemon import RUN
from ...daemons.link import STATE, WRITE

EXAMPLES: list[str] = ["link-status --json"]

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
    return {"links": found["links"]}


def render(data: dict[str, Any], style: Style) -> str:
    return links.render(data["links"], style)


def exit_status(data: dict[str, Any]) -> int:
    return int(links.broken(data["links"]))
