# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Say of each device which release it uses, which it has, and how much room there is; one that is away has its problem."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ....module_utils.devices import artifacts
from ....module_utils.errors import DockfraError
from ....module_utils.releases import ids
from ...cli import devices
from ...cli.call import Call
from ...cli.grammar import checked
from ...cli.output import Style, table

EXAMPLES: list[str] = ["device-status", "device-status rpi3 --json"]
TIME_LIMIT = 120.0

# So many devices are asked at once.
_AT_ONCE = 16


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "devices",
        metavar="DEVICE",
        nargs="*",
        type=checked(ids.checked_service),
        help="its name; by default every device that is reached from here",
    )


def run(call: Call) -> list[dict[str, Any]]:
    names = call.options.devices or sorted(devices.known())
    services = {name: devices.service_of(name) for name in names}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda name: _status(call, name, services[name]), names))


def _status(call: Call, name: str, service: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "device": name,
        "service": service,
        "architecture": "",
        "current": "",
        "previous": "",
        "proven": False,
        "releases": [],
        "free": None,
        "problem": "",
    }
    try:
        state = devices.device(call, name).state()
    except DockfraError as error:
        return {**found, "problem": str(error)}
    return {
        **found,
        "architecture": artifacts.architecture(state.machine, state.bits),
        "current": state.current,
        "previous": state.previous,
        "proven": state.proven,
        "releases": sorted(state.releases, key=lambda release: state.releases[release].sequence),
        "free": state.free,
    }


def render(data: list[dict[str, Any]], style: Style) -> str:
    rows = [
        (
            entry["device"],
            "unknown" if entry["problem"] else entry["current"] or "none",
            "" if entry["free"] is None else f"{entry['free'] >> 20} MiB",
            entry["problem"] or ("" if entry["proven"] else "nobody knows yet whether it is well"),
        )
        for entry in data
    ]
    return table(style, ("DEVICE", "USES", "FREE", "PROBLEM"), rows)
