# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Run the application's tests, all of them or those of the named parts.

A part is a directory of the work tree (that of the current directory, elsewhere ~/app) with tests in it. The tests start
servers of their own and touch no running service. Their output is printed while they run, with --json on the error output.
The exit status is 0 when all passed, and 1 when one failed or none ran.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ....module_utils.builds import test_report
from ....module_utils.errors import CommandError, UsageError
from ....module_utils.processes import child
from ....module_utils.text import shown
from ...cli import workspace
from ...cli.call import Call
from ...cli.codes import FAILED, OK
from ...cli.output import Style, table

EXAMPLES: list[str] = ["test-local", "test-local backend frontend", "test-local --json"]

# An environment of Python for each part, and what it was made from; see the role ssh_developer.
ENVIRONMENTS = Path("/usr/local/lib/dockfra/tests")

# Seconds; the tests of a large application take their time.
TIME_LIMIT = 3600.0

_COLOURS = {"passed": "green", "failed": "red", "no tests": "red"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("parts", nargs="*", metavar="PART", help="a part of the application; all by default")


def run(call: Call) -> dict[str, Any]:
    tree = workspace.work_tree()
    found = sorted(path.parent.name for path in tree.glob("*/tests") if path.is_dir())
    for part in call.options.parts:
        if part not in found:
            raise UsageError(
                f"there is no part {shown(part)} with tests; there are {', '.join(found) or 'none'}"
            )
    chosen = list(dict.fromkeys(call.options.parts)) or found
    if not chosen:
        raise CommandError(f"{tree} has no part with tests, so none ran")
    # Standard output is for the data.
    output = sys.stderr if call.options.json else sys.stdout
    parts = []
    for part in chosen:
        print(f"== {part}", file=output, flush=True)
        parts.append(_tested(tree / part, output.fileno()))
    return {
        "commit": workspace.git(tree, "rev-parse", "--quiet", "--verify", "HEAD").stdout.strip(),
        "uncommitted": bool(workspace.git(tree, "status", "--porcelain").stdout),
        "passed": all(part["state"] == "passed" for part in parts),
        "parts": parts,
    }


def exit_status(data: dict[str, Any]) -> int:
    return OK if data["passed"] else FAILED


def render(data: dict[str, Any], style: Style) -> str:
    columns = ["part", "state", "tests", "failed", "skipped", "seconds"]
    if any(part["note"] for part in data["parts"]):
        columns.append("note")
    rows = [[str(part[column]) for column in columns] for part in data["parts"]]
    headings = [column.upper() for column in columns]
    what = f"{data['commit'][:7] or 'no commit'}{' and what is not committed' if data['uncommitted'] else ''}"
    return f"\n{table(style, headings, rows, _COLOURS)}\n{'Passed' if data['passed'] else 'Failed'}: {what}"


def _tested(folder: Path, output: int) -> dict[str, Any]:
    """Run the tests of one part and return how they ended."""
    python = ENVIRONMENTS / folder.name / "bin" / "python"
    if not python.exists():
        raise CommandError(
            f"this container has no packages for the tests of {folder.name}; add it to test_environments_image_files"
        )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    # nginx is where a user's PATH does not lead. Byte code would be committed with the rest.
    environment = {**kept, "PATH": f"{kept.get('PATH', '')}:/usr/sbin", "PYTHONDONTWRITEBYTECODE": "1"}
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="test-local-") as temporary:
        report = Path(temporary) / "report.xml"
        options = ["--rootdir", ".", "-c", "/dev/null", "-p", "no:cacheprovider", f"--junitxml={report}"]
        command = [str(python), "-m", "pytest", "-q", "-rs", *options, "tests"]
        with child.started(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output
        ) as tests:
            status = tests.wait()
        counts = test_report.read(report) or test_report.Counts()
    return {
        "part": folder.name,
        "state": "passed" if counts.ran and status == 0 else "failed" if counts.ran else "no tests",
        **asdict(counts),
        "seconds": round(time.monotonic() - begin, 1),
        "note": _note(folder),
    }


def _note(folder: Path) -> str:
    """What else is to be known about the result."""
    built = ENVIRONMENTS / "requirements" / f"{folder.name}.txt"
    try:
        same = built.read_bytes() == (folder / "requirements-test.txt").read_bytes()
    except OSError:
        same = False
    return "" if same else "requirements-test.txt is not the one this container was built with"
