# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Say on a ticket what became of a release that its commits are part of: one comment, in fixed words.

The same word on the same release is said once, however often it is asked for.
"""

from __future__ import annotations

import argparse
from typing import Any

from ....module_utils.releases import ids
from ...cli import tickets
from ...cli.call import Call
from ...cli.grammar import checked, choices
from ...cli.output import Style

EXAMPLES: list[str] = ["ticket-deployed T-0001 20261125T131500Z-0123456789ab deployed"]

_WORDS = {
    "deployed": "Release {} is deployed.",
    "failed": "Release {} could not be deployed; the one before it serves.",
    "rolled-back": "Release {} was rolled back.",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    tickets.add_id(parser)
    parser.add_argument(
        "release",
        metavar="RELEASE",
        type=checked(ids.checked_id),
        help="its id, for example 20261125T131500Z-0123456789ab",
    )
    parser.add_argument("result", help="what became of it", **choices(_WORDS))


def run(call: Call) -> dict[str, Any]:
    options = call.options
    change = tickets.store().report(call.caller, options.id, _WORDS[options.result].format(options.release))
    return {
        "id": change.after.id,
        "title": change.after.title,
        "release": options.release,
        "result": options.result,
        "changed": change.changed,
    }


def render(data: dict[str, Any], style: Style) -> str:
    said = "Said" if data["changed"] else "It was said before"
    return f"{said} on {style.paint(data['id'], 'bold')}: {data['title']}"
