# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Let a service change back to a release that served before.

Without a release it is the previous one, or else the newest that is older. It goes as with release-switch.
"""

from __future__ import annotations

import argparse
from typing import Any

from ...cli import releases
from ...cli.call import Call

EXAMPLES: list[str] = ["release-rollback backend", "release-rollback backend 20261125T131500Z-0123456789ab"]
TIME_LIMIT = releases.CHANGE_SECONDS
STREAMS = True


def arguments(parser: argparse.ArgumentParser) -> None:
    releases.add_service(parser)
    releases.add_release(parser, nargs="?")


def run(call: Call) -> dict[str, Any]:
    release = call.options.release or ""
    with releases.held(call, f"goes back to {release or 'the release before'}") as kept:
        return releases.change(call, kept, kept.rollback_target(release))


render = releases.render_change
