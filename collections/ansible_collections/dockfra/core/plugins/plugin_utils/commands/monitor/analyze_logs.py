# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Let a model look through the last lines of the services' logs, and name those that matter.

Without a SERVICE it is those that do not work, as 'status' has it; where all do, a few lines of each. Lines are fetched through the
gateway to the Docker Engine and cut where they are too long or too many. A finding names a line that the model was shown, which is
printed with it; what it says of others is dropped. Nothing is changed, whatever is found.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from ....module_utils.answers.schema import record
from ....module_utils.errors import CommandError
from ...cli import engines, extracts, material
from ...cli.call import Call, Place
from ...cli.grammar import duration, suggest
from ...cli.output import Style, wrapped

EXAMPLES: list[str] = ["analyze-logs", "analyze-logs backend --since 30m", "analyze-logs backend db --json"]

# Seconds: more than fetching the logs of all services and the client's answer take.
TIME_LIMIT = 300.0
_SECONDS = 120.0

_SEVERITIES = ("info", "low", "medium", "high", "critical")
_COLOURS = {"critical": "red", "high": "red", "medium": "yellow", "info": "dim"}

_TASK = (
    "You read logs of services for whoever keeps a platform running. Each line begins with its number and its time. Say what is wrong, "
    "what it comes from as far as the lines show it, and name for each finding one line that shows it, by service and number as they stand "
    "there. Put what belongs together into one finding. Do not guess beyond the lines; find nothing where there is nothing."
)
_FINDING = record(
    service={"type": "string", "maxLength": 100},
    line={"type": "integer", "minimum": 1, "description": "the number of the line that shows it"},
    what={"type": "string", "minLength": 1, "maxLength": 2000, "description": "what is wrong, and why"},
    severity={"type": "string", "enum": list(_SEVERITIES)},
)
SCHEMA: Mapping[str, Any] = record(
    summary={"type": "string", "maxLength": 2000, "description": "how things stand, in a few sentences"},
    findings={"type": "array", "maxItems": 50, "items": _FINDING},
)


def arguments(parser: argparse.ArgumentParser) -> None:
    from ...cli import models

    action = parser.add_argument("services", nargs="*", metavar="SERVICE", help="whose logs; see above")
    suggest(action, _services)
    parser.add_argument(
        "--since",
        type=duration,
        default=3600,
        metavar="TIME",
        help="how far to look back, for example 90s, 30m, 1h or 2d; 1h by default",
    )
    models.add_arguments(parser)


def run(call: Call) -> dict[str, Any]:
    from ....module_utils.llm.model import Question
    from ...cli import models

    options = call.options
    found = engines.load()
    services, lines = extracts.chosen(found, options.services)
    logs, problems = extracts.fetch(found, services, options.since, lines)
    for problem in problems:
        call.tell(f"Left out: {problem}")
    looked_at = {
        "since": options.since,
        "services": [{"service": log.service, "lines": len(log.lines), "whole": log.whole} for log in logs],
        "problems": problems,
    }
    if not logs:
        return {**looked_at, "summary": "", "findings": [], "dropped": 0}
    client = models.of(call)
    question = Question("\n\n".join(log.text() for log in logs), f"{_TASK} {material.NOTICE}")
    if options.show_prompt:
        return models.preview(client, question, SCHEMA)
    answer = client.decide(question, SCHEMA, "analysis", _SECONDS)
    findings = _findings(answer.value["findings"], logs)
    return {
        **looked_at,
        "summary": material.lines(answer.value["summary"]),
        "findings": findings,
        "dropped": len(answer.value["findings"]) - len(findings),
        "model": answer.to_dict(),
    }


def render(data: dict[str, Any], style: Style) -> str:
    from ...cli import models

    if "findings" not in data:
        return models.render_preview(data)
    if not data["services"]:
        return "No service has written a line in that time; --since looks further back."
    lines = []
    for finding in data["findings"]:
        severity = style.paint(finding["severity"], _COLOURS.get(finding["severity"], ""))
        lines += [
            f"{style.paint(finding['service'], 'bold')}  {severity}",
            style.paint(f"  {finding['line']}: {finding['time']} {finding['text']}", "dim"),
            wrapped(finding["what"], style),
            "",
        ]
    lines += [data["summary"], ""] if data["summary"] else []
    sizes = [
        f"{log['service']} {'' if log['whole'] else 'the last '}{log['lines']}" for log in data["services"]
    ]
    lines.append(f"Lines looked at: {', '.join(sizes)}.")
    if data["dropped"]:
        lines.append(f"Dropped: {data['dropped']} on lines that were not shown to the model.")
    lines.append(style.paint(models.cost_line(data["model"]), "dim"))
    return "\n".join(lines)


def _findings(answers: Sequence[Mapping[str, Any]], logs: Sequence[extracts.Extract]) -> list[dict[str, Any]]:
    """Findings on lines that were shown, each with its line, the severest first."""
    shown = {(log.service, number): line for log in logs for number, line in enumerate(log.lines, 1)}
    kept = [
        {**answer, "what": material.lines(answer["what"]), **shown[place]._asdict()}
        for answer in answers
        if (place := (answer["service"], answer["line"])) in shown
    ]
    return sorted(kept, key=lambda finding: -_SEVERITIES.index(finding["severity"]))


def _services(_place: Place, _given: Sequence[str]) -> list[str]:
    try:
        return sorted(service for engine in engines.load() for service in engine.containers)
    except CommandError:
        return []
