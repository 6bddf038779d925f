# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Ask the monitor to restart a service.

It does so by its own rules, or says which one stands in the way: at most three restarts of a service within an hour, none while it is
being deployed, none of its own container nor of the way to Docker.
"""

from __future__ import annotations

import argparse
from typing import Any

from ...cli import engines, judgement
from ...cli.call import Call
from ...cli.output import Style
from ...deploys import under_way

EXAMPLES: list[str] = ["request-restart backend", "request-restart redis --json"]

# Seconds that Docker may take for a restart: a service that does not stop is killed before that.
PATIENCE = 120.0
TIME_LIMIT = PATIENCE + 30.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", metavar="SERVICE", help="its name, for example backend")


def run(call: Call) -> dict[str, Any]:
    service = call.options.service
    obstacle = under_way.deploy_of(service)
    engine, container, count = judgement.restart(call.place, engines.load(), service, obstacle)
    engine.run("restart", container, timeout=PATIENCE)
    return {
        "service": service,
        "container": container,
        "restarts": count,
        "most": judgement.MOST_RESTARTS,
        "seconds": judgement.HOUR,
    }


def render(data: dict[str, Any], style: Style) -> str:
    return (
        f"{data['service']} was restarted; that is number {data['restarts']} of at most {data['most']} "
        f"within {data['seconds'] / 60:g} minutes"
    )
