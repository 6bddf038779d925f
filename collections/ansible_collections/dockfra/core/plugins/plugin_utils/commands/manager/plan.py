# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Let a model plan the tickets that lead to a goal; with --create they are made.

The plan is shown and kept. 'plan --create' makes the tickets of the one that was shown last, 'plan GOAL --create' shows and makes
at once. A plan's tickets are made once: after an interruption the same line makes what is missing. For a goal that has a plan, that
one is shown again; --anew asks the model for another, whose tickets are others.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ....module_utils.errors import UsageError
from ...cli import material, tickets
from ...cli.call import Call
from ...cli.output import Style, wrapped

if TYPE_CHECKING:
    from ...cli.plans import Plans

EXAMPLES: list[str] = [
    'plan "People can reset their password"',
    "plan --create",
    'plan "People can reset their password" --create',
    "plan - --anew < goal.txt",
]

# Seconds: more than the client gives an answer.
TIME_LIMIT = 180.0
_SECONDS = 90.0

_FROM_INPUT = "-"
_TASK = (
    "You plan the work of a small software team for its manager, as tickets. The developer writes code and tests, the monitor deploys and "
    "watches, the autopilot does routine work, the manager decides. Make as few tickets as the goal needs, each one that one role can finish "
    "within a day or two and that can be checked. A ticket depends only on those that really have to be done before."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    from ...cli import models

    parser.add_argument("goal", nargs="?", metavar="GOAL", help="what is to be reached; - reads the input")
    parser.add_argument("--create", action="store_true", help="make the plan's tickets")
    parser.add_argument("--anew", action="store_true", help="ask for another plan where the goal has one")
    models.add_arguments(parser)


def reads_input(options: argparse.Namespace) -> bool:
    return bool(options.goal == _FROM_INPUT)


def changes(options: argparse.Namespace) -> bool:
    return bool(options.create and not options.show_prompt)


def run(call: Call) -> dict[str, Any]:
    from ...cli import plans

    options = call.options
    kept = plans.Plans(call.place.name)
    goal = (call.input() if reads_input(options) else options.goal or "").strip()
    if len(goal) > plans.MAX_GOAL:
        raise UsageError(f"the goal has more than {plans.MAX_GOAL} characters; shorten it")
    if goal:
        found = _of_goal(call, kept, goal)
    elif options.create and options.goal is None and not options.anew and not options.show_prompt:
        found = kept.last()
    else:
        raise UsageError("it takes a goal, or --create alone for the plan that was shown last")
    if options.create and "tickets" in found:
        found["tickets"] = _made(call, found)
    return found


def render(data: dict[str, Any], style: Style) -> str:
    from ...cli import models

    if "tickets" not in data:
        return models.render_preview(data)
    lines = [style.paint(data["summary"], "bold")] if data["summary"] else []
    for number, ticket in enumerate(data["tickets"], 1):
        lines += ["", *_ticket(number, ticket, data["tickets"], style)]
    if any("id" in ticket for ticket in data["tickets"]):
        new = sum(ticket["created"] for ticket in data["tickets"])
        there = len(data["tickets"]) - new
        lines += ["", f"{new} made{f', {there} there before' if there else ''}."]
    else:
        lines += ["", "Nothing is made yet; 'plan --create' makes these tickets."]
    if "model" in data:
        lines.append(style.paint(models.cost_line(data["model"]), "dim"))
    return "\n".join(lines).strip("\n")


def _of_goal(call: Call, kept: Plans, goal: str) -> dict[str, Any]:
    """The plan for a goal, as it is kept: the one there is, or another one of the model's."""
    from ....module_utils.llm.model import Question
    from ...cli import models, plans

    options = call.options
    if not (options.anew or options.show_prompt) and (known := kept.of(goal)):
        call.tell("The goal has this plan already; --anew asks for another one.")
        return kept.keep(goal, {name: known[name] for name in ("summary", "tickets")})
    client = models.of(call)
    question = Question(material.marked("goal", goal), f"{_TASK} {material.NOTICE}")
    if options.show_prompt:
        return models.preview(client, question, plans.SCHEMA)
    answer = client.decide(question, plans.SCHEMA, "plan", _SECONDS)
    return {**kept.keep(goal, plans.checked(answer.value)), "model": answer.to_dict()}


def _made(call: Call, plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Make the tickets of a plan, and return its entries with their ids."""
    from ...cli import plans

    made = plans.make(tickets.store(), call.caller, plan)
    return [{**entry, **there} for entry, there in zip(plan["tickets"], made, strict=True)]


def _ticket(
    number: int, ticket: Mapping[str, Any], others: Sequence[Mapping[str, Any]], style: Style
) -> list[str]:
    """A ticket of a plan for people: those that it waits for by their ids, or by their numbers as long as they have none."""
    before = [others[other - 1].get("id", str(other)) for other in ticket["depends_on"]]
    waits = f", after {', '.join(before)}" if before else ""
    lines = [
        f"{style.paint(ticket.get('id', str(number)), 'bold')}  {ticket['title']}",
        f"  {ticket['priority']}, the {ticket['assignee']}'s{waits}",
    ]
    return [*lines, wrapped(ticket["description"], style)] if ticket["description"] else lines
