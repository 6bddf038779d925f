# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a ticket is told of the work on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...module_utils.tickets.values import acceptable
from .work import Result

# Characters of a comment, and of what is told of each attempt.
_MAX_COMMENT = 8000
_MAX_REASON = 500
_MAX_FILES = 20


def comment(data: Mapping[str, Any], result: Result) -> str:
    """Return the comment.

    Args:
        data: what the command returns.
        result: what came of the work.
    """
    if data["state"] == "pushed":
        lines = [
            f"A model has done this on the branch {data['branch']}, commit {data['commit'][:12]}, for somebody to read."
        ]
        lines += ["", result.summary, "", f"Tests passed: {', '.join(result.parts)}."]
    else:
        lines = [
            "A model has tried this and has not done it. Nothing was pushed.",
            "",
            data["reason"][:_MAX_REASON],
        ]
    if result.changes:
        names = sorted(result.changes)
        more = f" and {len(names) - _MAX_FILES} more" if len(names) > _MAX_FILES else ""
        lines += ["", f"Files: {', '.join(names[:_MAX_FILES])}{more}"]
    lines += ["", *(_attempt(attempt) for attempt in result.attempts)]
    if data["state"] != "pushed" and result.log:
        lines += [
            "",
            "The end of what the tests said:",
            "",
            *(f"    {line}" for line in result.log.splitlines()),
        ]
    if data.get("cost"):
        lines += ["", f"Model: {data['cost']}"]
    return acceptable("\n".join(lines), _MAX_COMMENT)


def _attempt(attempt: Mapping[str, Any]) -> str:
    reason = f": {attempt['reason'][:_MAX_REASON]}" if attempt["reason"] else ""
    return f"- Attempt {attempt['attempt']} {attempt['state']}{reason}"
