# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Ask every service you may reach whether it works.

Each is asked in its own protocol: HTTP health, a query as the read-only database user, a PING as the read-only redis user,
the banner of an SSH server. The exit status is 1 when any does not work.
"""

from __future__ import annotations

import argparse
from typing import Any

from ....module_utils.errors import CommandError
from ....module_utils.probes.probe import Result, Target, probe_all
from ...cli import health
from ...cli.call import Call
from ...cli.codes import FAILED, OK
from ...cli.output import Style, table
from ...cli.workspace import settings

EXAMPLES: list[str] = ["check-services", "check-services --json"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Takes none."""


def run(call: Call) -> dict[str, Any]:
    try:
        targets = [Target(**target) for target in settings()["services"]]
    except (KeyError, TypeError) as error:
        raise CommandError("the settings of this container are damaged; run site.yml again") from error
    return {"services": list(map(_told, probe_all(targets)))}


def _told(result: Result) -> dict[str, Any]:
    state, detail = health.judge(result)
    return {
        "service": result.service,
        "kind": result.kind,
        "state": state,
        "milliseconds": result.milliseconds,
        "detail": detail,
    }


def exit_status(data: dict[str, Any]) -> int:
    return OK if all(service["state"] == health.UP for service in data["services"]) else FAILED


def render(data: dict[str, Any], style: Style) -> str:
    rows = [
        (
            service["service"],
            service["kind"],
            service["state"],
            str(service["milliseconds"]),
            service["detail"],
        )
        for service in data["services"]
    ]
    return table(style, ("SERVICE", "PROBE", "STATE", "MS", "DETAIL"), rows, health.COLOURS)
