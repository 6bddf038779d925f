# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Deploy the devices, and the downloads that they get their releases from.

What a commit changes is built and tested apart, and brought to the devices a share at a time, to each what is made for its kind. The first
that does not get well ends it: that one goes back to what it used, those after it are not touched, and what is behind is named.
"""

from __future__ import annotations

import argparse
from typing import Any

from ...cli.call import Call
from ...deploys import face

EXAMPLES: list[str] = ["deploy-rpi3", "deploy-rpi3 0123456789ab --reboot", "deploy-rpi3 main --dry-run"]
STREAMS = True
TIME_LIMIT = face.TIME_LIMIT

changes = face.changes
render = face.render


def arguments(parser: argparse.ArgumentParser) -> None:
    face.arguments(parser)
    parser.add_argument(
        "--reboot",
        action="store_true",
        help="start each device that changes anew, and see that it is well then",
    )


def run(call: Call) -> dict[str, Any]:
    return face.deploy(call, "rpi3")
