# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the ticket commands share: the store, arguments with the fields' own rules, and how tickets look."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ...module_utils.policy.roles import ROLES
from ...module_utils.tickets import model, values
from ...module_utils.tickets.store import DIRECTORY, TicketStore
from .call import Call, Place
from .grammar import checked, choices, suggest
from .output import Style, table, wrapped

# Standard input instead of a text in the arguments.
FROM_INPUT = "-"

# Who has a ticket that is assigned to no role, in arguments and for people.
NONE = "none"
NOBODY = "nobody"

_COLOURS = {"critical": "red", "high": "yellow", "in_progress": "cyan", "closed": "dim"}


def store() -> TicketStore:
    """The tickets of this platform."""
    return TicketStore(DIRECTORY)


def add_id(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """The argument that names a ticket, or any number of them."""
    text = "the tickets; by default all" if several else "the ticket, for example T-0001"
    action = parser.add_argument(
        "id", type=checked(values.clean_id), metavar="ID", nargs="*" if several else None, help=text
    )
    suggest(action, _ids)


def add_fields(parser: argparse.ArgumentParser) -> None:
    """The arguments that give a ticket the values of its fields; those that are left out are None."""
    parser.add_argument("--priority", help="how urgent it is", **choices(values.PRIORITIES))
    parser.add_argument(
        "--desc", "--description", dest="description", help="more about it; - reads the input"
    )
    add_assign(parser, help="the role that works on it, or none")
    parser.add_argument(
        "--label", dest="labels", action="append", default=[], help="a label; may be given again"
    )


def add_assign(parser: argparse.ArgumentParser, **options: Any) -> None:
    """The argument that names the role to which a ticket is assigned, or nobody."""
    parser.add_argument("--assign", dest="assigned_to", **choices((*ROLES, NONE)), **options)


def assignee(role: str) -> str | None:
    """The value of the field for what ``--assign`` says."""
    return None if role == NONE else role


def fields(call: Call) -> dict[str, Any]:
    """Return the values that the arguments of `add_fields` and a title give the fields of a ticket."""
    options = call.options
    given = {
        "title": options.title,
        "priority": options.priority,
        "description": text(call, options.description),
        "labels": options.labels or None,
    }
    found = {name: value for name, value in given.items() if value is not None}
    return found if options.assigned_to is None else {**found, "assigned_to": assignee(options.assigned_to)}


def whose(ticket: Mapping[str, Any]) -> str:
    """Say in two or three words whose a ticket is."""
    return f"assigned to {'the ' if ticket['assigned_to'] else ''}{ticket['assigned_to'] or NOBODY}"


def add_filters(parser: argparse.ArgumentParser) -> None:
    """The arguments that choose tickets."""
    parser.add_argument(
        "--status", action="append", default=[], help="only of this status", **choices(values.STATUSES)
    )
    parser.add_argument(
        "--priority", action="append", default=[], help="only of this priority", **choices(values.PRIORITIES)
    )
    parser.add_argument(
        "--label", action="append", default=[], help="only with this label; may be given again"
    )
    parser.add_argument("--text", default="", help="only with this text in title, description or a comment")
    parser.add_argument(
        "--sort", default="id", help="order", **choices(("id", "updated", "created", "priority", "status"))
    )
    parser.add_argument("--reverse", action="store_true", help="turn the order round")


def text(call: Call, value: str | None) -> str | None:
    """Return an argument's text, read from the input when it is '-'."""
    return call.input().strip("\n") if value == FROM_INPUT else value


def listing(tickets: Sequence[model.Ticket], damaged: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return tickets as the data of a listing."""
    return {"tickets": [ticket.to_dict() for ticket in tickets], "damaged": [dict(file) for file in damaged]}


def render_listing(data: Mapping[str, Any], style: Style) -> str:
    """Return a listing for people."""
    rows = [
        (
            ticket["id"],
            ticket["status"],
            ticket["priority"],
            ticket["assigned_to"] or NOBODY,
            f"#{ticket['github_issue_number']}" if ticket["github_issue_number"] else "-",
            ticket["title"],
        )
        for ticket in data["tickets"]
    ]
    lines = (
        [table(style, ("ID", "STATUS", "PRIORITY", "ASSIGNED", "GITHUB", "TITLE"), rows, _COLOURS)]
        if rows
        else []
    )
    if not rows:
        lines.append("No tickets.")
    lines += [style.paint(f"Damaged: {file['name']}: {file['reason']}", "red") for file in data["damaged"]]
    return "\n".join(lines)


def render_ticket(ticket: Mapping[str, Any], style: Style) -> str:
    """Return one ticket for people."""
    facts = {
        "Status": ticket["status"],
        "Priority": ticket["priority"],
        "Assigned to": ticket["assigned_to"] or NOBODY,
        "Labels": ", ".join(ticket["labels"]),
        "Depends on": ", ".join(map(str, ticket.get("depends_on") or ())),
        "Created": f"{_time(ticket['created_at'])} by {ticket['created_by']}",
        "Changed": _time(ticket["updated_at"]),
        "GitHub": f"issue #{ticket['github_issue_number']}" if ticket["github_issue_number"] else "",
    }
    lines = [style.paint(f"{ticket['id']}  {ticket['title']}", "bold")]
    lines += [
        f"  {name + ':':<13}{style.paint(value, _COLOURS.get(value, ''))}"
        for name, value in facts.items()
        if value
    ]
    if ticket["description"]:
        lines += ["", wrapped(ticket["description"], style)]
    for comment in ticket["comments"]:
        lines += ["", style.paint(f"  {_time(comment['timestamp'])}  {comment['author']}:", "bold")]
        lines.append(wrapped(comment["text"], style, "    "))
    return "\n".join(lines)


def _ids(_place: Place, _given: Sequence[str]) -> list[str]:
    """The ids of all tickets, the newest last, by the names of their files alone: nobody waits for a key."""
    try:
        names = [name.removesuffix(".json") for name in os.listdir(DIRECTORY) if name.startswith("T-")]
    except OSError:
        return []
    return sorted(names, key=lambda name: (len(name), name))


def _time(timestamp: str) -> str:
    """A stored time to the minute."""
    return f"{timestamp[:10]} {timestamp[11:16]} UTC"
