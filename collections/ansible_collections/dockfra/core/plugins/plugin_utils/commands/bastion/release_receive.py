# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Receive a release of a service, from standard input.

It is kept when the whole archive has come, has the announced size and SHA-256, and holds nothing that no release has; else nothing
is changed. A release that is there already is not read again.
"""

from __future__ import annotations

import argparse
import io
from typing import Any

from ....module_utils.errors import UsageError
from ....module_utils.releases import archive, ids
from ....module_utils.releases.record import Record
from ....module_utils.releases.store import Announced
from ...cli import releases
from ...cli.call import Call
from ...cli.grammar import checked
from ...cli.output import Style

EXAMPLES: list[str] = [
    "release-receive backend 20261125T131500Z-0123456789ab --commit 0123456789ab… --sha256 9f86d081884c… "
    "--size 18874368 --content 62914560 < backend.tar.gz",
]

# Seconds in which the archive has to come, and those in which it is unpacked and on the disk.
SENDING = 300.0
TIME_LIMIT = SENDING + 180.0


def arguments(parser: argparse.ArgumentParser) -> None:
    releases.add_service(parser)
    releases.add_release(parser)
    parser.add_argument(
        "--commit", metavar="HASH", required=True, help="the whole hash of what it is made of"
    )
    parser.add_argument("--sha256", metavar="HEX", required=True, help="of the archive, in hex digits")
    parser.add_argument(
        "--size",
        metavar="BYTES",
        required=True,
        type=int,
        help=f"of the archive, at most {archive.LIMITS.archive}",
    )
    parser.add_argument(
        "--content",
        metavar="BYTES",
        required=True,
        type=int,
        help=f"of what is in it, at most {archive.LIMITS.content}",
    )
    parser.add_argument(
        "--tree",
        metavar="HASH",
        type=checked(ids.checked_tree),
        help="git's whole name for the directory it is made of",
    )
    parser.add_argument("--who", metavar="WHO", help="who asked for it; by default whoever calls")


def reads_input(options: argparse.Namespace) -> bool:
    return True


def run(call: Call) -> dict[str, Any]:
    options = call.options
    made = ids.time_of(options.release)
    who = options.who or call.caller
    record = Record(
        options.release, options.service, options.commit, options.sha256, made, who, options.tree or ""
    )
    announced = Announced(options.size, options.content)
    try:
        # Nothing has been read of it, so nothing is in the way between.
        descriptor = call.stdin.fileno()
    except io.UnsupportedOperation as error:
        raise UsageError("the archive comes on standard input") from error
    with releases.held(call, f"receives {options.release}") as kept:
        new = kept.add(record, announced, descriptor, SENDING)
    return {"service": options.service, "release": options.release, "received": new}


def render(data: dict[str, Any], style: Style) -> str:
    return f"{data['service']} has {data['release']}{'' if data['received'] else ' already'}"
