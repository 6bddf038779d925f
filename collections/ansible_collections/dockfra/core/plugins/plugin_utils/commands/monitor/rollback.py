# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Bring services back to what they served before.

Without a release, what the last deploy changed goes back; a further rollback goes further. With one, everything goes back to what
served when that was made. What was left is not deployed again until somebody asks for it, or a newer commit comes.
"""

from __future__ import annotations

import argparse
from typing import Any

from ....module_utils.releases import ids
from ...cli.call import Call
from ...cli.grammar import checked
from ...deploys import configuration, face, telling
from ...deploys.pipeline import Pipeline

EXAMPLES: list[str] = ["rollback", "rollback backend", "rollback backend 20261125T131500Z-0123456789ab"]
STREAMS = True
TIME_LIMIT = face.TIME_LIMIT


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target",
        metavar="TARGET",
        nargs="?",
        default=configuration.ALL,
        help="frontend, backend, rpi3 or all; by default all",
    )
    parser.add_argument(
        "release",
        metavar="RELEASE",
        nargs="?",
        type=checked(ids.checked_id),
        help="the id of a release",
    )


def run(call: Call) -> dict[str, Any]:
    with telling.told(call) as begins:
        pipeline = Pipeline(call.tell, begins=begins)
        return pipeline.rollback(call.options.target, call.options.release or "", face.who(call))


render = face.render
