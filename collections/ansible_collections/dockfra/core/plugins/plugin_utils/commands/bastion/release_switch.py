# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Let a service change to a release that was received, or back to what its image brought.

The service starts it beside the old one and tries it. Only when it is healthy and has settled it is the current one; else the old
one serves as before, and the message says why. So it is where the call is ended before that.
"""

from __future__ import annotations

import argparse
from typing import Any

from ...cli import releases
from ...cli.call import Call

EXAMPLES: list[str] = [
    "release-switch backend 20261125T131500Z-0123456789ab --json",
    "release-switch backend image",
]
TIME_LIMIT = releases.CHANGE_SECONDS
STREAMS = True


def arguments(parser: argparse.ArgumentParser) -> None:
    releases.add_service(parser)
    releases.add_source(parser)


def run(call: Call) -> dict[str, Any]:
    release = call.options.release
    with releases.held(call, f"changes to {release or 'what its image brought'}") as kept:
        return releases.change(call, kept, release)


render = releases.render_change
