# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Show the state of every service, what is deployed, and who has lately reached a limit.

The monitor's watch asks every service over the network each five seconds, in its own protocol; this shows what it saw last. Without
one that is fresh, and with --now, they are asked now. Limits are those of connections and of room on the disk that a container's
guard has told in its audit log within ten minutes, and settings of its role that cannot be used. Of several Docker hosts it shows how
the links between them stand, and what is wrong with the audit logs that come over them. The exit status is 1 when a service or a link
does not work, or such a log is not what it was.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from ....module_utils.errors import CommandError, UsageError
from ....module_utils.text import shown
from ...cli import backed_up, health, limits, links, live, watched
from ...cli.call import Call, Place
from ...cli.grammar import suggest
from ...cli.output import Style
from ...deploys.ledger import Ledger

EXAMPLES: list[str] = [
    "status",
    "status --json",
    "status --watch",
    "status --now",
    "status --history backend --hours 72",
]

# Seconds for all services together: a frozen one must not make people wait.
TIMEOUT = 1.0

# Seconds for the command, and for each picture of --watch.
TIME_LIMIT = 60.0

# Deploys that are shown, the last ones.
DEPLOYS = 5

# Hours of the history that are shown, and that are kept.
HOURS, MOST_HOURS = 24.0, 720.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--now", action="store_true", help="ask every service now")
    live.add_argument(parser)
    action = parser.add_argument(
        "--history", metavar="SERVICE", help="show instead when a service changed its state"
    )
    suggest(action, _services)
    parser.add_argument(
        "--hours",
        type=_hours,
        default=HOURS,
        metavar="HOURS",
        help=f"with --history: how far to look back, at most {MOST_HOURS:g}; {HOURS:g} by default",
    )


def _services(_place: Place, _given: object) -> tuple[str, ...]:
    return health.Configuration.load().services


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not 0 < hours <= MOST_HOURS:
        raise argparse.ArgumentTypeError(f"must be a number of hours up to {MOST_HOURS:g}")
    return hours


def run(call: Call) -> dict[str, Any] | None:
    configuration = health.Configuration.load()
    if call.options.history is not None:
        return _history(call, configuration)
    found: dict[str, Any] | None = live.show(call, lambda: _seen(call, configuration), render, TIME_LIMIT)
    return found


def _history(call: Call, configuration: health.Configuration) -> dict[str, Any]:
    service = call.options.history
    if call.options.watch is not None:
        raise UsageError("--history is shown once; leave --watch away")
    if service not in configuration.services:
        raise UsageError(
            f"there is no service {shown(service)}; there are {', '.join(configuration.services)}"
        )
    return watched.history(service, call.options.hours)


def _seen(call: Call, configuration: health.Configuration) -> dict[str, Any]:
    found = None if call.options.now else watched.latest()
    deploys, problem = _deploys()
    said = links.asked(call)
    by_watch = found is not None
    if found is None:
        found = {"services": _asked(configuration), "age": 0.0, "time": time.time()}
        found |= {"alerts": [], "releases": [], "devices": [], "problem": ""}
    return {
        "services": found["services"],
        "limits": limits.reached(configuration.audit_logs),
        "links": said["links"],
        "link_problems": said["problems"],
        "by": "watch" if by_watch else "status",
        "time": found["time"],
        "age": found["age"],
        "alerts": found["alerts"],
        "releases": found["releases"],
        "devices": found["devices"],
        "deploys": deploys,
        "poll": watched.polled(),
        "backup": backed_up.last(),
        "problem": problem or found["problem"],
    }


def _asked(configuration: health.Configuration) -> list[dict[str, Any]]:
    """Ask services and Docker Engines at the same time."""
    # Only who asks pays for what asks an engine.
    from ...cli import containers

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(containers.ask, TIMEOUT)
        services = health.services(configuration, TIMEOUT)
        return health.joined(services, waiting.result(), {})


def _deploys() -> tuple[list[dict[str, Any]], str]:
    """The last deploys, and why they cannot be told where they cannot."""
    try:
        found = [asdict(deploy) for deploy in Ledger().latest(DEPLOYS)]
    except CommandError as error:
        return [], str(error)
    return [
        {key: value for key, value in entry.items() if key not in ("told", "process")} for entry in found
    ], ""


def render(data: dict[str, Any] | None, style: Style) -> str:
    if data is None:
        return ""
    if "changes" in data:
        return watched.render_history(data, style)
    parts = (
        *watched.render(data, style),
        links.render(_links(data), style),
        health.render(data["services"], style),
    )
    return "\n\n".join(filter(None, parts))


def exit_status(data: dict[str, Any] | None) -> int:
    if data is None or "services" not in data:
        return 0
    return int(health.failing(data["services"]) or links.broken(_links(data)))


def _links(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"links": data.get("links") or (), "problems": data.get("link_problems") or ()}
