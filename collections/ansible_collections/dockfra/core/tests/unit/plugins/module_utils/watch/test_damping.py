# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""When people are told: twice wrong, twice right, and one pair in ten minutes however a service flutters."""

from __future__ import annotations

import itertools
import random

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.watch.damping import BACK, HOLD, WRONG, Damper

PERIOD = 5.0


def told(looks: str, damper: Damper | None = None, begin: float = 1_000_000.0) -> list[tuple[int, str]]:
    """What is told at which look; ``x`` is a wrong one, ``.`` a right one."""
    damper = damper or Damper()
    found = [damper.look(look == "x", begin + number * PERIOD) for number, look in enumerate(looks)]
    return [(number, kind) for number, kind in enumerate(found) if kind]


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ("......", []),
        ("..x...", []),
        ("..xx..", [(3, WRONG), (5, BACK)]),
        ("xxxxxx", [(1, WRONG)]),
        (".xxxxxx.x.x..", [(2, WRONG), (12, BACK)]),
        ("x.x.x.x.x.", []),
    ],
)
def test_two_looks_in_a_row_are_needed_and_each_is_told_once(
    looks: str, expected: list[tuple[int, str]]
) -> None:
    assert told(looks) == expected


def test_a_failure_that_lasts_is_told_when_the_time_after_the_last_is_over() -> None:
    held = round(HOLD / PERIOD)
    looks = "xx.." + "x" * (held + 10)
    assert told(looks) == [(1, WRONG), (3, BACK), (1 + held, WRONG)]


def test_a_fluttering_service_is_told_at_most_once_in_ten_minutes_and_never_out_of_turn() -> None:
    pick = random.Random(8)
    looks = "".join(pick.choice("xx..x.") for _look in range(20_000))
    found = told(looks)
    kinds = [kind for _number, kind in found]
    assert len(kinds) > 20
    assert kinds == [(WRONG, BACK)[number % 2] for number in range(len(kinds))]
    begins = [number * PERIOD for number, kind in found if kind == WRONG]
    assert all(later - earlier >= HOLD for earlier, later in itertools.pairwise(begins))


def test_what_was_told_before_a_restart_is_not_told_again() -> None:
    assert told("xxxx", Damper(True, 999_000.0)) == []
    assert told("xx..", Damper(True, 999_000.0)) == [(3, BACK)]
    assert told("..xx", Damper(False, 1_000_000.0 - HOLD / 2)) == []


def test_a_clock_that_was_set_back_holds_nothing_for_longer() -> None:
    future = Damper(False, 1_000_000.0 + 30 * 86400)
    assert told("x" * 200, future) == [(round(HOLD / PERIOD) + 1, WRONG)]


def test_while_everything_starts_nothing_new_is_told_and_afterwards_it_is() -> None:
    damper = Damper()
    assert [damper.look(True, number * PERIOD, quiet=True) for number in range(5)] == [""] * 5
    assert damper.look(True, 30.0) == WRONG
    assert [damper.look(False, 35.0, quiet=True), damper.look(False, 40.0, quiet=True)] == ["", BACK]


def test_how_often_it_turned_since_is_counted() -> None:
    damper = Damper()
    told("xx..x.x.x..", damper)
    assert damper.turns == 3
