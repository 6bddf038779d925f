# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Ask the monitor to have old releases of a service removed.

Its bastion does so by its own rules: five are kept, and what runs, what is current or previous stays in any case.
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import Any

from ....module_utils.errors import BusyError, CommandError, UsageError
from ....module_utils.text import shown
from ...cli import codes, verbs, watched
from ...cli.call import Call
from ...cli.output import Style
from ...deploys import under_way
from ...deploys.configuration import Configuration

EXAMPLES: list[str] = ["request-cleanup backend"]

# Seconds that the bastion may take.
PATIENCE = 120.0
TIME_LIMIT = PATIENCE + 30.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", metavar="SERVICE", help="its name, for example backend")


def run(call: Call) -> dict[str, Any]:
    service = call.options.service
    entries = Configuration.load().services
    if service not in entries:
        known = ", ".join(entries) or "none"
        raise UsageError(f"there are no releases of a service {shown(service)}; there are those of {known}")
    if obstacle := under_way.deploy_of(service):
        raise BusyError(f"nothing of {service} is removed now: {obstacle}")
    answer = verbs.call(entries[service].bastion, ["release-prune", service], timeout=PATIENCE)
    if answer.status != codes.OK:
        raise CommandError(
            answer.message or f"{entries[service].bastion} did not remove releases of {service}"
        )
    with suppress(OSError):
        (watched.RUN / watched.CLEANED).touch()  # the watch asks again how full it is
    return {"service": service, "removed": list(answer.data["removed"]), "kept": list(answer.data["kept"])}


def render(data: dict[str, Any], style: Style) -> str:
    return f"{data['service']} has {len(data['kept'])} releases; {len(data['removed'])} were removed"
