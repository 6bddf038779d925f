# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Ask the monitor for a rollback of what the last deploy of a target changed.

It does so by its own rules, or says which one stands in the way: at most three within an hour, and not while a deploy runs.
"""

from __future__ import annotations

import argparse
from typing import Any

from ...cli import judgement
from ...cli.call import Call
from ...deploys import configuration, face, telling
from ...deploys.pipeline import Pipeline

EXAMPLES: list[str] = ["request-rollback backend"]
STREAMS = True
TIME_LIMIT = face.TIME_LIMIT


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help=f"frontend, backend or {configuration.ALL}")


def run(call: Call) -> dict[str, Any]:
    target = call.options.target
    with telling.told(call) as begins:
        pipeline = Pipeline(call.tell, begins=begins)
        pipeline.check_target(target)
        judgement.rollback(target)
        return pipeline.rollback(target, "", face.who(call))


render = face.render
