# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A caller that is refused all the time fills nobody's log, and is told all the same."""

from __future__ import annotations

import datetime
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit import limits
from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import refusals
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.gate import Gate
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.refusals import Refusals, all_due
from ansible_collections.dockfra.core.tests.unit.plugins.plugin_utils.cli.gate_lines import DENIED, OK, USAGE
from ansible_collections.dockfra.core.tests.unit.plugins.plugin_utils.cli.support import Platform


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


# Fewer than there are, so that going beyond takes a moment only.
MAX_LINES = 60


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MAX_LINES", MAX_LINES)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(platform: Platform, tmp_path: Path, clock: Clock) -> Gate:
    return Gate(
        platform.place("manager"),
        "developer",
        AuditLog(platform.log("manager")),
        None,
        Refusals("developer", str(tmp_path / "gate"), clock),
    )


def ask(gate: Gate, line: str, times: int = 1) -> set[int]:
    return {gate.answer(line, io.BytesIO(), Style()).status for _time in range(times)}


def test_of_refusals_without_end_the_log_has_the_number(platform: Platform, gate: Gate, clock: Clock) -> None:
    most = "x" * 10_000
    assert ask(gate, f"deploy-all {most}", 5 * MAX_LINES) == {DENIED}
    assert ask(gate, "'", 10) == {USAGE}
    entries = platform.entries("manager")
    own = [entry for entry in entries if entry["verb"] == "deploy-all"]
    told = [entry for entry in entries if "count" in entry]
    assert (len(own), len(told), len(entries)) == (MAX_LINES, 1, MAX_LINES + 1)
    assert told[0]["caller"] == "developer"
    assert told[0]["limit"] == refusals.LIMIT
    assert platform.log("manager").stat().st_size < MAX_LINES * 1200

    # Nothing is lost: what had no line is in the next number.
    clock.now += refusals.PERIOD
    ask(gate, "deploy-all")
    counts = [entry["count"] for entry in platform.entries("manager") if "count" in entry]
    assert sum(counts) == 4 * MAX_LINES + 10 + 1


def test_the_log_grows_by_so_much_an_hour_at_most(platform: Platform, gate: Gate, clock: Clock) -> None:
    end = clock.now + 600
    while clock.now < end:
        ask(gate, "deploy-all " + "x " * 5000)
        clock.now += 0.5
    a_minute = platform.log("manager").stat().st_size / 10
    assert MAX_LINES * 300 < a_minute < (MAX_LINES + 2) * 1200


def test_who_is_refused_may_still_do_what_is_its_own(platform: Platform, gate: Gate) -> None:
    ask(gate, "deploy-all", 2 * MAX_LINES)
    assert ask(gate, "my-tickets", 3) <= {OK}
    assert [entry["verb"] for entry in platform.entries("manager")].count("my-tickets") == 3


def test_status_says_who(platform: Platform, gate: Gate) -> None:
    ask(gate, "deploy-all", MAX_LINES + 1)
    [found] = limits.reached(str(platform.log("manager")), datetime.datetime.now(datetime.UTC))
    assert (found.service, found.caller, found.limit) == ("ssh-manager", "developer", refusals.LIMIT)
    assert (found.verdict, found.times) == ("denied", 1)


def test_one_callers_refusals_are_not_anothers(platform: Platform, gate: Gate, tmp_path: Path) -> None:
    ask(gate, "deploy-all", 2 * MAX_LINES)
    place, log = platform.place("manager"), AuditLog(platform.log("manager"))
    other = Gate(place, "monitor", log, None, Refusals("monitor", str(tmp_path / "gate")))
    ask(other, "deploy-all", 3)
    assert [entry["caller"] for entry in platform.entries("manager")].count("monitor") == 3


def test_what_is_left_when_the_caller_has_gone_is_due_for_the_guard(tmp_path: Path, clock: Clock) -> None:
    caller = Refusals("developer", str(tmp_path), clock)
    assert [caller.one_more() for _call in range(MAX_LINES + 5)] == [True] * MAX_LINES + [False] * 5
    assert list(all_due(str(tmp_path / "missing"))) == []
    assert [line["count"] for line in all_due(str(tmp_path))] == [5]
    assert list(all_due(str(tmp_path))) == []


def test_connections_at_the_same_time_count_together(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        counting = (Refusals("developer", str(tmp_path), patience=60) for _call in range(3 * MAX_LINES))
        own = list(pool.map(Refusals.one_more, counting))
    assert own.count(True) == MAX_LINES


@pytest.mark.parametrize("content", [b"", b"[1, 2", b"{}", b'["a", 1, 2, 3]', b"[1, 2, 3, 4, 5]", b"\xff"])
def test_a_count_that_cannot_be_read_begins_anew(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "developer.refused").write_bytes(content)
    assert Refusals("developer", str(tmp_path)).one_more()


def test_where_nothing_can_be_counted_each_refusal_has_its_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    caller = Refusals("developer", str(tmp_path / "file" / "below"))
    assert all(caller.one_more() for _call in range(2 * MAX_LINES))
    assert caller.due() is None
