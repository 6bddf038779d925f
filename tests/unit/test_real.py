"""The questions to real models, asked of a server that is none: what they cost is told, and what fails too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.openrouter import FakeOpenRouter, Turn
from tests.unit.asking import KEY

ROOT = Path(__file__).resolve().parents[2]
PLAN = {
    "title": "An imprint",
    "description": "",
    "priority": "low",
    "assignee": "developer",
    "depends_on": [],
}


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tests/real/run.py"]
    environment |= {"PYTHONPATH": f"{ROOT}:{ROOT / 'collections'}"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_without_a_key_it_says_so() -> None:
    done = run()
    assert (done.returncode, done.stdout) == (2, "")
    assert "OPENROUTER_API_KEY is not set" in done.stderr


@pytest.mark.parametrize(("urgency", "status"), [(5, 0), (9, 1)])
def test_it_tells_what_it_cost(openrouter: FakeOpenRouter, urgency: int, status: int) -> None:
    sorted_as = json.dumps({"kind": "fault", "urgency": urgency})
    openrouter.script(
        Turn("The lamp is green and [hidden] is on.", cost=0.002),
        Turn(sorted_as, cost=0.001, times=1 if status == 0 else 3),
        Turn(json.dumps({"summary": "", "tickets": [PLAN]}), cost=0.003),
    )
    done = run(OPENROUTER_API_KEY=KEY, OPENROUTER_BASE_URL=openrouter.url)
    assert done.returncode == status, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["words", "choice", "plan", "All of it"]
    assert "FAILED" in lines[1] if status else "$0.001" in lines[1]
    assert lines[3].endswith("$0.006000" if status == 0 else "$0.008000")
    assert KEY not in done.stdout + done.stderr
