# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import LLMBudgetError
from ansible_collections.dockfra.core.plugins.module_utils.llm.budget import Budget, Use
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

NOON = 1_795_608_000.0
DAY = 86_400.0


class Clock:
    now = NOON

    def __call__(self) -> float:
        return self.now


def test_what_is_spent_ends_the_questions_until_the_next_day(tmp_path: Path) -> None:
    clock = Clock()
    budget = Budget(tmp_path / "made" / "budget.json", Use(1000, 1.0), clock)
    for _question in range(2):
        budget.settle(budget.reserve(Use(400, 0.1)), Use(500, 0.1))
    with pytest.raises(
        LLMBudgetError, match=r"1000 tokens for models do not suffice: 1000 are used.*LLM_DAILY_TOKENS"
    ):
        budget.reserve(Use(1, 0.0))
    clock.now += DAY
    assert budget.used() == Use()
    budget.reserve(Use(1000, 0.5))
    clock.now -= DAY  # a clock set back finds its day
    assert budget.used() == Use(1000, 0.2)


def test_money_counts_as_well(tmp_path: Path) -> None:
    budget = Budget(tmp_path / "budget.json", Use(10**9, 0.05))
    budget.settle(budget.reserve(Use(1, 0.01)), Use(1, 0.045))
    with pytest.raises(LLMBudgetError, match="LLM_DAILY_COST"):
        budget.reserve(Use(1, 0.01))


def test_nothing_is_asked_where_nothing_may_be_used(tmp_path: Path) -> None:
    with pytest.raises(LLMBudgetError):
        Budget(tmp_path / "budget.json", Use(0, 5.0)).reserve(Use(1, 0.0))


def test_a_process_that_was_killed_gives_nothing_back(tmp_path: Path) -> None:
    Budget(tmp_path / "budget.json", Use(1000, 1.0)).reserve(Use(700, 0.1))
    assert Budget(tmp_path / "budget.json", Use(1000, 1.0)).used() == Use(700, 0.1)


def test_processes_at_the_same_time_use_no_more_together(tmp_path: Path) -> None:
    script = f"""
import sys; sys.path.insert(0, {str(COLLECTIONS)!r})
from ansible_collections.dockfra.core.plugins.module_utils.llm.budget import Budget, Use
from ansible_collections.dockfra.core.plugins.module_utils.errors import LLMBudgetError
budget, had = Budget({str(tmp_path / "budget.json")!r}, Use(1000, 100.0)), 0
for _time in range(40):
    try: budget.settle(budget.reserve(Use(10, 0.0)), Use(10, 0.0)); had += 1
    except LLMBudgetError: pass
print(had)
"""
    running = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) for _process in range(4)
    ]
    assert sum(int(process.communicate(timeout=60)[0]) for process in running) == 100


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '{"%s": 5}', '{"%s": {"tokens": -1, "cost": 0}}', '{"%s": {"tokens": 1, "cost": NaN}}'],
)
def test_where_nothing_is_known_nothing_is_asked(tmp_path: Path, content: str) -> None:
    path = tmp_path / "budget.json"
    path.write_text(content.replace("%s", "2026-11-25"))
    with pytest.raises(LLMBudgetError, match=r"damaged.*remove it"):
        Budget(path, Use(1000, 1.0), lambda: NOON).reserve(Use(1, 0.0))


def test_a_disk_that_cannot_keep_it_stops_the_questions(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LLMBudgetError, match="no model is asked"):
        Budget(tmp_path / "file" / "budget.json", Use(1000, 1.0)).reserve(Use(1, 0.0))


def test_the_file_stays_small(tmp_path: Path) -> None:
    clock = Clock()
    budget = Budget(tmp_path / "budget.json", Use(1000, 1.0), clock)
    for _day in range(100):
        budget.reserve(Use(1, 0.0))
        clock.now += DAY
    assert len(json.loads((tmp_path / "budget.json").read_text())) == 8
    assert (tmp_path / "budget.json").stat().st_mode & 0o777 == 0o600
