# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Let a model review code: what is not committed, a branch, or whole files.

It works on the work tree of the current directory, elsewhere on ~/app. A finding names a file and a line that the model was shown;
what it says of others is dropped. The exit status is 0 whatever is found, and with --fail-at SEVERITY it is 1 where a finding is
that severe or more so, and where a change is too large to be looked at. A model's opinion is no test: 'test-local' runs those.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from ....module_utils.answers.schema import record
from ....module_utils.errors import UsageError
from ...cli import changes as changed
from ...cli import material, workspace
from ...cli.call import Call
from ...cli.codes import FAILED, OK
from ...cli.grammar import choices
from ...cli.output import Style, wrapped

EXAMPLES: list[str] = [
    "review",
    "review --branch ticket/T-0001 --fail-at high",
    "review backend/app.py frontend/app.js",
    "review --diff --json",
]

# Seconds: more than the client gives an answer.
TIME_LIMIT = 240.0
_SECONDS = 150.0

SEVERITIES = ("low", "medium", "high", "critical")
_COLOURS = {"critical": "red", "high": "red", "medium": "yellow", "low": "dim"}

_TASK = (
    "You review code for a developer. Look for what is wrong: errors, security holes, lost data, races, missing checks, tests that prove "
    "nothing. Do not praise, and leave out taste and what a linter finds. Each line begins with its number; '+' marks what was added, and a "
    "line with '-' was taken out and has no number. Name files and numbers exactly as they stand there. critical: an attack, lost data or "
    "an outage; high: wrong in use; medium: wrong in rare cases; low: could be better. Find nothing where there is nothing."
)


def _text(most: int, **more: Any) -> dict[str, Any]:
    return {"type": "string", "maxLength": most, **more}


_FINDING = record(
    file=_text(1000),
    line={"type": "integer", "minimum": 0, "description": "0 for the file as a whole"},
    severity={"type": "string", "enum": list(SEVERITIES)},
    message=_text(2000, minLength=1, description="what is wrong, and when that shows"),
    suggestion=_text(4000, description="what to do instead; may be empty"),
)
SCHEMA: Mapping[str, Any] = record(
    summary=_text(1000, description="what was changed and whether it is fit, in one or two sentences"),
    findings={"type": "array", "maxItems": 100, "items": _FINDING},
)


def arguments(parser: argparse.ArgumentParser) -> None:
    from ...cli import models

    parser.add_argument("files", nargs="*", metavar="FILE", help="whole files of the work tree")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--diff", action="store_true", help="what is not committed; so it is without a FILE too"
    )
    which.add_argument("--branch", metavar="NAME", help="what a branch has that main has not")
    parser.add_argument(
        "--fail-at", help="exit with 1 at this severity or above; by default at none", **choices(SEVERITIES)
    )
    models.add_arguments(parser)


def run(call: Call) -> dict[str, Any]:
    from ....module_utils.llm.model import Question
    from ...cli import models

    found = _wanted(call)
    looked_at = {
        "what": found.what,
        "files": [part.name for part in found.parts],
        "left_out": list(found.left_out),
        "unseen": list(found.unseen),
        "fail_at": call.options.fail_at,
    }
    # What nobody looked at is not known to be in order.
    unseen = bool(found.unseen) and call.options.fail_at is not None
    if not found.parts and not found.deleted:
        return {**looked_at, "summary": "", "findings": [], "dropped": 0, "failed": unseen}
    client = models.of(call)
    question = Question(f"Review {found.what}.\n\n{found.text()}", f"{_TASK} {material.NOTICE}")
    if call.options.show_prompt:
        return models.preview(client, question, SCHEMA)
    answer = client.decide(question, SCHEMA, "review", _SECONDS)
    findings = _findings(answer.value["findings"], found)
    return {
        **looked_at,
        "summary": material.plain(" ".join(answer.value["summary"].split())),
        "findings": findings,
        "dropped": len(answer.value["findings"]) - len(findings),
        "failed": unseen or any(_is_severe(finding, call.options.fail_at) for finding in findings),
        "model": answer.to_dict(),
    }


def exit_status(data: dict[str, Any]) -> int:
    return FAILED if data.get("failed") else OK


def render(data: dict[str, Any], style: Style) -> str:
    from ...cli import models

    if "findings" not in data:
        return models.render_preview(data)
    lines = []
    for finding in data["findings"]:
        place = finding["file"] + (f":{finding['line']}" if finding["line"] else "")
        severity = style.paint(finding["severity"], _COLOURS[finding["severity"]])
        lines += [f"{style.paint(place, 'bold')}  {severity}", wrapped(finding["message"], style)]
        lines += [wrapped(finding["suggestion"], style, "    ")] if finding["suggestion"] else []
        lines.append("")
    lines += [data["summary"]] if data["summary"] else []
    lines += _end(data)
    if "model" in data:
        lines.append(style.paint(models.cost_line(data["model"]), "dim"))
    return "\n".join(lines)


def _end(data: Mapping[str, Any]) -> list[str]:
    """What was looked at, and what not."""
    if not data["files"] and not data["summary"]:
        lines = [f"Nothing to review: {data['what']} is nothing that can be read."]
    else:
        count = len(data["findings"])
        lines = [
            f"{count} finding{'' if count == 1 else 's'} in {len(data['files'])} file(s): {data['what']}."
        ]
    if data["left_out"]:
        lines.append(f"Left out, without text to look at: {', '.join(data['left_out'])}.")
    if data["unseen"]:
        lines.append(f"Too large to be looked at: {', '.join(data['unseen'])}.")
    if data["dropped"]:
        lines.append(f"Dropped: {data['dropped']} on files that were not shown to the model.")
    return lines


def _wanted(call: Call) -> changed.Changes:
    """What the arguments name."""
    options = call.options
    if options.files and (options.diff or options.branch is not None):
        raise UsageError("it looks at files, at --diff or at --branch; leave the others away")
    tree, room = workspace.work_tree(), material.Room()
    if options.files:
        return changed.of_files(tree, options.files, room)
    if options.branch is not None:
        return changed.of_branch(tree, options.branch, room)
    return changed.not_committed(tree, room)


def _findings(answers: list[dict[str, Any]], found: changed.Changes) -> list[dict[str, Any]]:
    """Findings on what was shown, the severest first; a line that was not shown becomes the file as a whole."""
    shown_lines = {part.name: part.lines for part in found.parts} | {
        name: frozenset() for name in found.deleted
    }
    kept = [
        {
            **answer,
            "file": file,
            "line": answer["line"] if answer["line"] in shown_lines[file] else 0,
            "message": material.lines(answer["message"]),
            "suggestion": material.lines(answer["suggestion"]),
        }
        for answer in answers
        if (file := answer["file"].removeprefix("./")) in shown_lines
    ]
    return sorted(kept, key=lambda finding: -SEVERITIES.index(finding["severity"]))


def _is_severe(finding: Mapping[str, Any], least: str | None) -> bool:
    return least is not None and SEVERITIES.index(finding["severity"]) >= SEVERITIES.index(least)
