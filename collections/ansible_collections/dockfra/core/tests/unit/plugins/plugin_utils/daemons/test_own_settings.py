# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A container tells the settings of its role that cannot be used: at once, again while it is so, and never a value."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit.limits import PERIOD, SETTINGS
from ansible_collections.dockfra.core.plugins.module_utils.settings.file import EnvFile
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.own_settings import LOOK, OwnSettings

SECRET = "sk-or-v1-nobody-may-see-that"


class Told:
    """Stands for the limits: what they were told, with the time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.lines: list[tuple[float, str, str, str]] = []

    def reached(self, who: str, limit: str, verdict: str = "denied") -> None:
        self.lines.append((self.now, who, limit, verdict))


@pytest.fixture
def told() -> Told:
    return Told()


def watched(told: Any, path: Path) -> OwnSettings:
    return OwnSettings(told, "developer", EnvFile(path, "developer"), lambda: told.now)


def steps(told: Told, watch: OwnSettings, seconds: float) -> None:
    end = told.now + seconds
    while told.now < end:
        watch.step()
        told.now += 0.5


def test_what_can_be_used_and_what_is_not_there_is_not_told(told: Told, tmp_path: Path) -> None:
    watch = watched(told, tmp_path / ".env")
    steps(told, watch, 20)
    (tmp_path / ".env").write_text("LLM_MODEL=a/b\nTHEIR_OWN=1\n")
    steps(told, watch, 20)
    assert told.lines == []


def test_a_broken_line_is_told_soon_again_in_time_and_no_more_when_it_is_mended(
    told: Told, tmp_path: Path
) -> None:
    path = tmp_path / ".env"
    watch = watched(told, path)
    steps(told, watch, 20)
    path.write_text(f"OPENROUTER_API_KEY={SECRET}\nLLM_TEMPERATURE={SECRET}\n")
    broken = told.now
    steps(told, watch, 2 * PERIOD)
    first, *others = told.lines
    assert first[0] - broken <= LOOK + 0.5
    assert first[1:] == ("developer", first[2], "warned")
    assert first[2].startswith(f"{SETTINGS}line 2 of {path}: LLM_TEMPERATURE ")
    assert others
    times = [line[0] for line in told.lines]
    # Whoever looks back sees one always, and the log is not filled.
    assert all(after - before < PERIOD for before, after in itertools.pairwise(times))
    assert len(told.lines) <= 5
    assert SECRET not in str(told.lines)
    path.write_text("LLM_TEMPERATURE=0.2\n")
    count = len(told.lines)
    steps(told, watch, 2 * PERIOD)
    assert [line[2:] for line in told.lines[count:]] == [(f"{SETTINGS}all can be used again", "allowed")]


def test_another_problem_is_told_at_once(told: Told, tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("LLM_TEMPERATURE=hot\n")
    watch = watched(told, path)
    steps(told, watch, 20)
    path.write_text("# a line more\nLLM_TEMPERATURE=hot\n")
    steps(told, watch, 20)
    assert [line[2].split()[2] for line in told.lines] == ["1", "2"]
    path.unlink()
    path.mkdir()
    steps(told, watch, 20)
    assert "is no file" in told.lines[-1][2] or "cannot be read" in told.lines[-1][2]


def test_one_whose_role_has_no_settings_looks_at_nothing(told: Any) -> None:
    OwnSettings(told, "deployer").step()
    assert told.lines == []
