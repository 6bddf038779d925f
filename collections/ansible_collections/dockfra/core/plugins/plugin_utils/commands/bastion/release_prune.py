# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Remove the oldest releases of a service.

Five are kept. What runs, what is current or previous stays in any case.
"""

from __future__ import annotations

from typing import Any

from ...cli import releases
from ...cli.call import Call
from ...cli.output import Style

EXAMPLES: list[str] = ["release-prune backend"]
TIME_LIMIT = 120.0

arguments = releases.add_service


def run(call: Call) -> dict[str, Any]:
    service = call.options.service
    with releases.held(call, "removes old releases") as kept:
        # Where nobody can say what runs, nothing is removed.
        return {"service": service, "removed": kept.prune(releases.said(service).running), "kept": kept.ids()}


def render(data: dict[str, Any], style: Style) -> str:
    return f"{data['service']} has {len(data['kept'])} releases; {len(data['removed'])} were removed"
