# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Ask the monitor for a deploy.

It does so by its own rules, or says which one stands in the way: only of what is on main, and not while another runs.
"""

from __future__ import annotations

import argparse
from typing import Any

from ...cli.call import Call
from ...deploys import configuration, face, telling
from ...deploys.pipeline import Pipeline, Request

EXAMPLES: list[str] = ["request-deploy backend", "request-deploy all 0123456789ab --json"]
STREAMS = True
TIME_LIMIT = face.TIME_LIMIT


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help=f"frontend, backend or {configuration.ALL}")
    parser.add_argument(
        "ref", metavar="REF", nargs="?", default="", help="a commit on main; by default its newest"
    )


def run(call: Call) -> dict[str, Any]:
    options = call.options
    request = Request(options.target, options.ref, face.who(call), only_main=True)
    with telling.told(call) as begins:
        return Pipeline(call.tell, begins=begins).deploy(request)


render = face.render
