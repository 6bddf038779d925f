# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Ask the monitor to tell people that a service needs them.

It goes where the monitor's own alerts go, in words of the platform's own, and likewise into the audit log. Asked twice with one --id, it
is told once; of one service at most three times an hour.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

from ....module_utils.errors import UsageError
from ....module_utils.policy.quota import Quota
from ....module_utils.text import shown
from ....module_utils.watch import requests
from ....module_utils.watch.damping import WRONG
from ....module_utils.watch.history import Alert
from ...cli import health, judgement, watched
from ...cli.call import Call
from ...cli.grammar import choices
from ...cli.output import Style

EXAMPLES: list[str] = [
    "request-alert backend no-repair-helps",
    "request-alert git disk-full --id 00000007-aaaaaaaaaaaa",
]

MOST = 3
COUNTED = Path("~/.local/state/dockfra/alerts.json")
REASONS = {
    "no-repair-helps": "it was repaired again and again, and does not work",
    "cannot-be-repaired": "it does not work, and nothing that is done without a person mends it",
    "disk-full": "its disk is nearly full, and nothing may be removed there",
    "settings-broken": "a line of its role's .env cannot be used, so a default holds",
    "deploy-failed": "its last deploy failed; what served before goes on",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", metavar="SERVICE", help="its name, for example backend")
    parser.add_argument("reason", help="why", **choices(tuple(REASONS)))
    parser.add_argument(
        "--id", default="", help="letters, digits and hyphens: asked again with it, nothing is told again"
    )


def run(call: Call) -> dict[str, Any]:
    service, reason, wanted = call.options.service, call.options.reason, call.options.id
    known = health.Configuration.load().services
    if service not in known:
        raise UsageError(f"there is no service {shown(service)}; there are {', '.join(known)}")
    if wanted and not requests.is_id(wanted):
        raise UsageError(f"{shown(wanted)} is no id; use at most 60 letters, digits and hyphens")
    Quota(COUNTED.expanduser(), MOST, judgement.HOUR).take(service)
    text = f"the {call.caller} says: {REASONS[reason]}"
    alert = Alert(wanted or os.urandom(8).hex(), time.time(), service, WRONG, health.DEGRADED, text)
    requests.put(watched.ASKED.expanduser(), alert)
    return {"id": alert.id, "service": service, "reason": reason}


def render(data: dict[str, Any], style: Style) -> str:
    return f"People are told of {data['service']}: {REASONS[data['reason']]}"
