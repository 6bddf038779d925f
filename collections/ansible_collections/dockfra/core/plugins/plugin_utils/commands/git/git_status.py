# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Say how the branches of the origin stand: their last commits, and how far they are from main.

Branches are in the order of their last commit, the newest first; there are at most 50.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import Any

from ....module_utils.errors import TooMuchError
from ....module_utils.text import invisible
from ...cli import repositories
from ...cli.call import Call
from ...cli.output import Style, table

EXAMPLES: list[str] = ["git-status", "git-status --json"]

MOST_BRANCHES = 50

_HEADS = "refs/heads/"
_MAIN = "main"

# Characters that are shown of what somebody else has written.
_MOST_TEXT = 200

# Bytes that git may say of one commit. It cuts subject and author to columns, in which signs without width do not count.
_MOST_COMMIT = 64 * 1024

_UNIX = re.compile(r"[0-9]{1,11}", re.ASCII)


def arguments(parser: argparse.ArgumentParser) -> None:
    repositories.add_repository(parser, default="app.git")


def run(call: Call) -> dict[str, Any]:
    repository = repositories.find(call.options.repository)
    main = _listed(repository, 1, _HEADS + _MAIN)
    head = main[0]["commit"] if main else None
    # One more than is shown says whether there are more.
    found = _listed(repository, MOST_BRANCHES + 2, _HEADS)
    others = [branch for branch in found if branch["name"] != _MAIN]
    return {
        "repository": repository.name,
        "main": _described(repository, main[0]) if main else None,
        "branches": [
            {**_described(repository, branch), **_distance(repository, head, branch["commit"])}
            for branch in others[:MOST_BRANCHES]
        ],
        "more": len(others) > MOST_BRANCHES,
    }


def render(data: dict[str, Any], style: Style) -> str:
    main = data["main"]
    if main is None and not data["branches"]:
        return f"{data['repository']} has no commits yet."
    rows = [_row(branch, _standing(branch)) for branch in data["branches"]]
    if main is not None:
        rows.insert(0, _row(main, "-"))
    lines = [table(style, ("BRANCH", "COMMIT", "TIME", "TO MAIN", "AUTHOR", "SUBJECT"), rows)]
    if data["more"]:
        lines.append(f"There are more than these {MOST_BRANCHES} branches; older ones are left out.")
    return "\n".join(lines)


def _listed(repository: Path, count: int, pattern: str) -> list[dict[str, Any]]:
    """Name, commit and time of the branches that a pattern admits, the newest first."""
    words = ["for-each-ref", "--sort=-committerdate", f"--count={count}", pattern]
    lines = repositories.ask(
        repository, [*words, "--format=%(objectname) %(committerdate:unix) %(refname)"]
    ).splitlines()
    found = []
    for line in lines:
        commit, stamp, name = line.split(b" ", 2)
        found.append(
            {
                "name": _legible(name.removeprefix(_HEADS.encode())),
                "commit": commit.decode(),
                "time": _time(stamp.decode()),
            }
        )
    return found


def _described(repository: Path, branch: dict[str, Any]) -> dict[str, Any]:
    """A branch with what its last commit says."""
    form = f"--format=%<({_MOST_TEXT},trunc)%an%n%<({_MOST_TEXT},trunc)%s"
    words = ["rev-list", "--max-count=1", "--no-commit-header", form, branch["commit"]]
    try:
        author, _end, subject = repositories.ask(repository, words, limit=_MOST_COMMIT).partition(b"\n")
    except TooMuchError:
        author, subject = b"", b"(too long to be shown)"
    return {**branch, "author": _legible(author), "subject": _legible(subject)}


def _distance(repository: Path, main: str | None, commit: str) -> dict[str, Any]:
    """How many commits a branch has that main lacks, and the other way round; a branch without is merged."""
    if main is None:
        return {"ahead": None, "behind": None, "merged": False}
    words = ["rev-list", "--left-right", "--count", f"{main}...{commit}"]
    behind, ahead = map(int, repositories.ask(repository, words).split())
    return {"ahead": ahead, "behind": behind, "merged": ahead == 0}


def _legible(text: bytes) -> str:
    """What somebody wrote, as one short line: signs that nobody sees, or that a terminal obeys, are written out."""
    line = text.decode(errors="surrogateescape").strip()
    return "".join(sign if _visible(sign) else ascii(sign)[1:-1] for sign in line)[:_MOST_TEXT]


def _visible(sign: str) -> bool:
    return sign.isprintable() and not invisible(sign)


def _time(stamp: str) -> str | None:
    """The time of a commit; None where it says one that cannot be."""
    if not _UNIX.fullmatch(stamp):
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(stamp)))


def _standing(branch: dict[str, Any]) -> str:
    if branch["ahead"] is None:
        return "-"
    return "merged" if branch["merged"] else f"+{branch['ahead']} -{branch['behind']}"


def _row(branch: dict[str, Any], standing: str) -> tuple[str, ...]:
    when = (branch["time"] or "-").replace("T", " ")[:16]
    return (branch["name"], branch["commit"][:12], when, standing, branch["author"], branch["subject"])
