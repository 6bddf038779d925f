# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Say which user answers here, and as whom you came."""

from __future__ import annotations

import argparse
import grp
import os
import pwd
from collections.abc import Callable
from typing import Any

from ...cli.call import Call
from ...cli.output import Style

EXAMPLES: list[str] = ["id"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Takes none."""


def run(call: Call) -> dict[str, Any]:
    uid, gid = os.getuid(), os.getgid()
    return {
        "uid": uid,
        "gid": gid,
        "user": _named(lambda: pwd.getpwuid(uid).pw_name, uid),
        "group": _named(lambda: grp.getgrgid(gid).gr_name, gid),
        "service": call.place.service,
        "caller": call.caller,
    }


def render(data: dict[str, Any], style: Style) -> str:
    return "uid={uid}({user}) gid={gid}({group}) service={service} caller={caller}".format_map(data)


def _named(look_up: Callable[[], str], number: int) -> str:
    """A name, or the number that has none here."""
    try:
        return look_up()
    except KeyError:
        return str(number)
