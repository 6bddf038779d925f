# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How often something may be done within some time."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import BusyError, PolicyError
from ansible_collections.dockfra.core.plugins.module_utils.policy import quota
from ansible_collections.dockfra.core.plugins.module_utils.policy.quota import Quota
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_fourth_within_the_time_is_refused_and_told_when(tmp_path: Path, clock: Clock) -> None:
    quotas = Quota(tmp_path / "made" / "counts.json", 3, 3600, clock)
    for number in (1, 2, 3):
        assert quotas.take("backend") == number
        clock.now += 60
    with pytest.raises(BusyError, match=r"backend had 3 within 60 minutes.* the next may be at 14:46:40 UTC"):
        quotas.take("backend")
    assert quotas.take("redis") == 1, "each is counted for itself"
    clock.now = 1_000_000.0 + 3601
    assert quotas.take("backend") == 3, "the first is an hour ago"
    with pytest.raises(BusyError):
        quotas.take("backend")


def test_what_was_counted_outlives_who_counts_and_is_private(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "counts.json"
    Quota(path, 1, 60, clock).take("a")
    with pytest.raises(BusyError):
        Quota(path, 1, 60, clock).take("a")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_clock_that_was_ahead_keeps_nobody_out(tmp_path: Path, clock: Clock) -> None:
    quotas = Quota(tmp_path / "counts.json", 1, 60, clock)
    clock.now += 10 * 365 * 86400
    quotas.take("a")
    clock.now = 1_000_000.0
    assert quotas.take("a") == 1


def test_the_file_stays_small(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "MAX_NAMES", 3)
    path = tmp_path / "counts.json"
    quotas = Quota(path, 2, 60, clock)
    for name in "abc":
        quotas.take(name)
    with pytest.raises(BusyError, match="3 others"):
        quotas.take("d")
    clock.now += 61
    quotas.take("d")
    assert list(json.loads(path.read_text())) == ["d"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": ["x"]}', "[" * 100_000])
def test_a_damaged_file_gives_nothing_away(tmp_path: Path, clock: Clock, text: str) -> None:
    path = tmp_path / "counts.json"
    path.write_text(text)
    with pytest.raises(PolicyError, match="damaged"):
        Quota(path, 3, 60, clock).take("a")


def test_a_place_that_cannot_be_written_gives_nothing_away(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PolicyError, match="cannot be kept"):
        Quota(tmp_path / "file" / "counts.json", 3, 60, clock).take("a")


def test_of_many_at_once_no_more_than_may_be(tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    script = f"""
import sys
sys.path.insert(0, {str(COLLECTIONS)!r})
from ansible_collections.dockfra.core.plugins.module_utils.errors import BusyError
from ansible_collections.dockfra.core.plugins.module_utils.policy.quota import Quota
try:
    Quota({str(path)!r}, 3, 3600).take("a")
except BusyError:
    sys.exit(75)
"""
    processes = [subprocess.Popen([sys.executable, "-c", script], env=os.environ) for _number in range(8)]
    codes = sorted(process.wait(60) for process in processes)
    assert codes == [0] * 3 + [75] * 5
