# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Let a device use a release that it has, or none.

The release's program has to run there first, and the device to be well with it then; else the one before is in use as it was, and the
message says why. Three releases stay on the device.
"""

from __future__ import annotations

import argparse
from typing import Any

from ....module_utils.devices.device import REBOOT_SECONDS, Device
from ....module_utils.releases.store import Store
from ...cli import devices
from ...cli.call import Call
from ...cli.grammar import checked
from ...cli.output import Style

EXAMPLES: list[str] = [
    "device-switch rpi3 20261125T131500Z-0123456789ab",
    "device-switch rpi3 20261125T131500Z-0123456789ab --reboot",
    f"device-switch rpi3 {devices.NONE}",
]
TIME_LIMIT = 600.0 + REBOOT_SECONDS
STREAMS = True


def arguments(parser: argparse.ArgumentParser) -> None:
    devices.add_device(parser)
    parser.add_argument(
        "release",
        metavar="RELEASE",
        type=checked(devices.checked_release),
        help=f"its id, or {devices.NONE}",
    )
    parser.add_argument(
        "--reboot",
        action="store_true",
        help="start the device anew afterwards; it has to be well then, too",
    )


def run(call: Call) -> dict[str, Any]:
    name, release = call.options.device, call.options.release
    with devices.held(call, f"lets {name} use {release or 'no release'}") as (device, kept):
        version = _version(device, kept, release) if release else ""
        done = device.switch(release, version)
        seconds = 0.0
        if call.options.reboot:
            call.tell(f"{name}: starts anew", device=name)
            seconds = device.reboot()
            device.switch(release, version, before=done.before)
        removed = device.tidy()
    return {
        "device": name,
        "changed": done.before != done.now,
        "before": done.before,
        "now": done.now,
        "removed": removed,
        "reboot_seconds": round(seconds, 3),
    }


def _version(device: Device, kept: Store, release: str) -> str:
    """What the release's program has to say of itself; nothing where the release itself is not here any more."""
    if release not in kept.ids():
        return ""
    return devices.artifact(kept, release, device.architecture()).version


def render(data: dict[str, Any], style: Style) -> str:
    before, now = (data[name] or "no release" for name in ("before", "now"))
    if not data["changed"]:
        return f"{data['device']} uses {now} already, and is well"
    return f"{data['device']} uses {now} now, and is well; before it was {before}"
