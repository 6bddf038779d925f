# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Ask the monitor for a deploy.

It does so by its own rules, or says which one stands in the way: only what is on main, newer than what serves, and neither failed nor was
rolled back; of a target at most three times within an hour, and not while a deploy runs.
"""

from __future__ import annotations

import argparse
from typing import Any

from ...cli import judgement
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
    request = Request(options.target, options.ref, face.who(call), avoid=True, judged=True)
    with telling.told(call) as begins:
        pipeline = Pipeline(call.tell, begins=begins)
        pipeline.check_target(request.target)
        judgement.deploy(request.target)
        return pipeline.deploy(request)


render = face.render
