# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Ask a model which of the autopilot's actions serve a goal, and show what the policy says of each.

Nothing is done: what is to be done is decided in a cycle, by its rules. The platform is looked at for it, as a cycle does.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from ....module_utils.errors import UsageError
from ...autopilot import standing
from ...autopilot.means import Means, budget_left
from ...cli.call import Call
from ...cli.output import Style

EXAMPLES: list[str] = [
    'pilot-plan "bring the page back as fast as possible"',
    'pilot-plan --show-prompt "find out who has to look at the slow page"',
]

# Seconds: a cycle that is under way, a look at the platform, and the answer.
TIME_LIMIT = 300.0
PATIENCE = 120.0
SECONDS = 90.0


def arguments(parser: argparse.ArgumentParser) -> None:
    from ...cli import models

    parser.add_argument("goal", metavar="GOAL", help="what is to be reached, in a sentence")
    models.add_arguments(parser)


def run(call: Call) -> dict[str, Any]:
    from ....module_utils.autopilot import advisor, question, schema
    from ....module_utils.autopilot.facts import View
    from ...cli import models

    goal = call.options.goal.strip()
    if not goal or len(goal) > question.MOST_GOAL:
        raise UsageError(f"a goal has up to {question.MOST_GOAL} characters, and at least one")
    means = Means.load(call.place)
    client = models.of(call)
    call.tell("looks at the platform")
    # A cycle ends what has been left behind, so none may be under way.
    with means.lock.hold(f"pilot-plan of the {call.caller}", "a look at the platform", PATIENCE):
        seen = means.gatherer().look(0)
    past = means.ledger.past(seen.snapshot.time)
    view = View(means.inventory, replace(seen.snapshot, told=seen.told), past, "llm")
    if call.options.show_prompt:
        asked = question.question(means.actions, view, goal)
        return models.preview(client, asked, schema.plan_schema(means.actions, means.inventory))
    call.tell("asks the model")
    proposals, answer = advisor.ask(lambda: client, means.actions, view, goal, SECONDS)
    call.tell(models.cost(answer))
    now = replace(view.snapshot, budget=budget_left(means.settings))
    judged = [means.engine.judge(each, now, past, means.circumstances(now.time)) for each in proposals]
    return {
        "goal": goal,
        "problems": [f"{place}: {why}" for place, why in seen.missing.items()],
        "proposals": [
            {
                "action": each.action,
                "parameters": dict(each.parameters),
                "evidence": list(each.evidence),
                "reason": each.reason,
                "risk": means.actions.actions[each.action].risk,
                "verdict": found.verdict,
                "rule": found.rule,
                "because": found.reason,
            }
            for each, found in zip(proposals, judged, strict=True)
        ],
        "model": answer.to_dict(),
    }


def render(data: dict[str, Any], style: Style) -> str:
    if "proposals" not in data:
        from ...cli import models

        return models.render_preview(data)
    lines = [style.paint(problem, "yellow") for problem in data["problems"]]
    if not data["proposals"]:
        return "\n".join([*lines, "The model proposes nothing."])
    return "\n".join([*lines, standing.render_plan(data["proposals"], style), "Nothing was done."])
