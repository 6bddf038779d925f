# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What people say to the autopilot: stop, go on, yes and no."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.autopilot import approvals, pause
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.approvals import Approvals, Request
from ansible_collections.dockfra.core.plugins.module_utils.errors import AutopilotError, BusyError, UsageError

NOW = 1_800_000_000.0


def request(digest: str = "a" * 64) -> Request:
    return Request(digest, "request-deploy", {"target": "web"}, "high", ("git/main: 0123",), NOW)


@pytest.fixture
def kept(tmp_path: Path) -> Approvals:
    return Approvals(tmp_path / "approvals.json")


def test_a_plan_waits_is_approved_and_used_up_once(kept: Approvals, tmp_path: Path) -> None:
    kept.ask(request(), NOW)
    kept.ask(request(), NOW + 60)  # the next cycle asks again
    assert [found.id for found in kept.requests(NOW)] == ["a" * 12]
    assert kept.approved(NOW) == {}
    assert not kept.take("a" * 64, NOW)
    assert kept.approve("a" * 12, "anna", NOW + 60).by == "anna"
    later = Approvals(tmp_path / "approvals.json")
    assert later.approved(NOW + 61)["a" * 64][1:] == ("anna", NOW + 60 + approvals.HOLDS)
    assert later.take("a" * 64, NOW + 61)
    assert not later.take("a" * 64, NOW + 61)
    assert later.requests(NOW + 61) == []


def test_a_no_takes_a_plan_away_and_a_yes_back(kept: Approvals) -> None:
    kept.ask(request(), NOW)
    kept.reject("a" * 12, NOW)
    kept.ask(request(), NOW)
    kept.approve("a" * 12, "anna", NOW)
    kept.reject("a" * 12, NOW)
    assert kept.approved(NOW) == {}


def test_nobody_says_yes_to_what_does_not_wait_or_has_expired(kept: Approvals) -> None:
    kept.ask(request(), NOW)
    for wrong, when in (("b" * 12, NOW), ("a", NOW), ("", NOW), ("a" * 12, NOW + approvals.WAITS)):
        with pytest.raises(UsageError, match="no plan"):
            kept.approve(wrong, "anna", when)
    kept.approve("a" * 12, "anna", NOW)
    assert kept.approved(NOW + approvals.HOLDS) == {}
    assert not kept.take("a" * 64, NOW + approvals.HOLDS)


def test_a_clock_that_jumps_makes_no_yes_last_or_come_back(kept: Approvals, tmp_path: Path) -> None:
    year = 365 * 24 * 3600.0
    kept.ask(request("a" * 64), NOW + year)  # the clock was wrong
    kept.approve("a" * 12, "anna", NOW + year)
    kept.ask(request("b" * 64), NOW)
    assert kept.approved(NOW) == {}
    assert [found.digest for found in kept.requests(NOW)] == ["b" * 64]
    kept.approve("b" * 12, "anna", NOW)
    assert list(kept.approved(NOW - 5)) == ["b" * 64]  # who asked the time before the other wrote
    assert kept.approved(NOW + approvals.HOLDS) == {}
    # What expired, or never held, is gone, whatever the clock says next.
    for now in (NOW, NOW + 60, NOW + year):
        assert (kept.approved(now), kept.requests(now)) == ({}, [])
        assert not kept.take("a" * 64, now)
        assert not kept.take("b" * 64, now)
    assert json.loads((tmp_path / "approvals.json").read_text()) == []


def test_what_waits_is_bounded(kept: Approvals) -> None:
    for number in range(approvals.MOST):
        kept.ask(request(f"{number:064d}"[::-1]), NOW)
    with pytest.raises(BusyError, match="approve or reject"):
        kept.ask(request("f" * 64), NOW)


def test_a_damaged_file_is_no_yes(kept: Approvals, tmp_path: Path) -> None:
    for text in ("", "{}", "[{}]", "null", '[{"digest": 5}]', "[" * 5000):
        (tmp_path / "approvals.json").write_text(text)
        if text == "{}":
            assert kept.approved(NOW) == {}
            continue
        with pytest.raises(AutopilotError, match="move it away"):
            kept.approved(NOW)
        with pytest.raises(AutopilotError):
            kept.take("a" * 64, NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        {"parameters": "web"},
        {"parameters": {"target": 7}},
        {"action": ["rm"]},
        {"until": 1e999},
        {"by": True},
    ],
)
def test_a_request_of_another_form_is_no_yes(
    kept: Approvals, tmp_path: Path, wrong: dict[str, object]
) -> None:
    entry = {**asdict(request()), "by": "anna", "until": NOW + 60, **wrong}
    (tmp_path / "approvals.json").write_text(json.dumps([entry]))
    with pytest.raises(AutopilotError, match="move it away"):
        kept.approved(NOW)
    with pytest.raises(AutopilotError, match="move it away"):
        kept.requests(NOW)


def test_of_many_who_take_a_yes_one_gets_it(kept: Approvals) -> None:
    kept.ask(request(), NOW)
    kept.approve("a" * 12, "anna", NOW)
    got: list[bool] = []
    threads = [threading.Thread(target=lambda: got.append(kept.take("a" * 64, NOW))) for _number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 7 + [True]


def test_it_is_paused_until_somebody_or_the_time_lets_it_go_on(tmp_path: Path) -> None:
    path = tmp_path / "pause"
    assert pause.paused(path, NOW) == ""
    pause.pause(path, "anna", NOW + 60)
    assert pause.paused(path, NOW + 59).startswith("anna paused it until 2027-01-15 08:01:00 UTC")
    assert pause.paused(path, NOW + 60) == ""
    pause.pause(path, "anna")
    assert "anna paused it" in pause.paused(path, NOW + 10**9)
    pause.resume(path)
    pause.resume(path)
    assert pause.paused(path, NOW) == ""


@pytest.mark.parametrize(
    "text", ["", "{}", "null", '{"by": "x", "until": "soon"}', "[" * 5000, '{"by": "x", "until": 1e400}']
)
def test_a_pause_that_nobody_can_read_is_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "pause").write_text(text)
    assert pause.paused(tmp_path / "pause", NOW)


def test_a_pause_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(AutopilotError, match="nothing is paused"):
        pause.pause(tmp_path / "gone" / "pause", "anna")
    (tmp_path / "pause").mkdir()
    with pytest.raises(AutopilotError, match="paused still"):
        pause.resume(tmp_path / "pause")
    assert pause.paused(tmp_path / "pause", NOW)
