# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Change a ticket: assign it, comment on it, close or reopen it, or change what it says.

What no option names stays as it is. A description or a comment can be read from the input: --comment -
"""

from __future__ import annotations

import argparse
from typing import Any

from ....module_utils.errors import UsageError
from ...cli import tickets
from ...cli.call import Call

EXAMPLES: list[str] = [
    "ticket-update T-0001 --assign monitor --priority high",
    'ticket-update T-0001 --label backend --comment "It is the database"',
    "ticket-update T-0001 --close",
]


def arguments(parser: argparse.ArgumentParser) -> None:
    tickets.add_id(parser)
    parser.add_argument("--title", help="what is to be done, in one line")
    tickets.add_fields(parser)
    parser.add_argument(
        "--unlabel", dest="unlabels", action="append", default=[], help="take a label off; may be given again"
    )
    parser.add_argument("--comment", help="a comment; - reads the input")
    status = parser.add_mutually_exclusive_group()
    status.add_argument("--close", dest="status", action="store_const", const="closed", help="close it")
    status.add_argument(
        "--reopen",
        dest="status",
        action="store_const",
        const="open",
        help="open it again after it was closed",
    )


def reads_input(options: argparse.Namespace) -> bool:
    return tickets.FROM_INPUT in (options.description, options.comment)


def changes(options: argparse.Namespace) -> bool:
    return True


def run(call: Call) -> dict[str, Any]:
    options = call.options
    wanted = tickets.fields(call)
    labels = wanted.pop("labels", [])
    if options.status is not None:
        wanted["status"] = options.status
    comment = tickets.text(call, options.comment)
    if not wanted and not labels and not options.unlabels and comment is None:
        raise UsageError("nothing is to be changed; name something, for example --priority high")
    store = tickets.store()
    expected = None
    if labels or options.unlabels:
        before = store.get(options.id)
        kept = [label for label in (*before.labels, *labels) if label not in options.unlabels]
        wanted["labels"] = list(dict.fromkeys(kept))
        expected = before.updated_at  # a label that somebody else puts on in this moment must not get lost
    return store.update(call.caller, options.id, wanted, comment=comment, expected=expected).after.to_dict()


render = tickets.render_ticket
