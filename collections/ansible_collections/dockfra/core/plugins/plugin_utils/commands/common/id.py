# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Say which user answers here, and as whom you came."""

from __future__ import annotations

import argparse
import os
import pwd
from typing import Any

from ...cli.call import Call
from ...cli.output import Style

EXAMPLES = ["id"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Takes none."""


def run(call: Call) -> dict[str, Any]:
    uid, gid = os.getuid(), os.getgid()
    return {
        "uid": uid,
        "gid": gid,
        "user": pwd.getpwuid(uid).pw_name,
        "service": call.place.service,
        "caller": call.caller,
    }


def render(data: dict[str, Any], style: Style) -> str:
    return f"uid={data['uid']}({data['user']}) gid={data['gid']}({data['user']}) service={data['service']} caller={data['caller']}"
