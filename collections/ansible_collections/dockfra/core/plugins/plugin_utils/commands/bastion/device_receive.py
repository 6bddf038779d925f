# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Bring a release that is here to a device, which goes on with the one that it uses.

The device gets what the release has for its own kind. What was cut goes on where it was; a release is there whole or not at all.
"""

from __future__ import annotations

import argparse
from typing import Any

from ....module_utils.errors import CommandError
from ...cli import devices, releases
from ...cli.call import Call
from ...cli.output import Style

EXAMPLES: list[str] = ["device-receive rpi3 20261125T131500Z-0123456789ab"]
# Seconds for the largest release over a slow line.
TIME_LIMIT = 1200.0
STREAMS = True


def arguments(parser: argparse.ArgumentParser) -> None:
    devices.add_device(parser)
    releases.add_release(parser)


def run(call: Call) -> dict[str, Any]:
    name, release = call.options.device, call.options.release
    with devices.held(call, f"brings {release} to {name}") as (device, kept):
        brought = devices.artifact(kept, release, device.architecture())
        try:
            done = device.receive(release, brought)
        except OSError as error:
            raise CommandError(f"{brought.path} cannot be read: {error.strerror}") from error
    return {
        "device": name,
        "release": release,
        "architecture": brought.architecture,
        "sent": done.sent,
        "kept": done.kept,
    }


def render(data: dict[str, Any], style: Style) -> str:
    if not data["sent"]:
        return f"{data['device']} has {data['release']} already"
    return (
        f"{data['device']} has {data['release']} for {data['architecture']}; {data['sent']} bytes were sent"
    )
