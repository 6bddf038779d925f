# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import LLMUnavailableError
from ansible_collections.dockfra.core.plugins.module_utils.llm.breakers import Breakers


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def made(folder: Path, clock: Clock) -> Breakers:
    """As each process makes one of its own."""
    return Breakers(folder / "breakers.json", clock=clock)


def test_three_failures_in_a_row_open_the_breaker_and_one_success_closes_it(
    tmp_path: Path, clock: Clock
) -> None:
    for _time in range(3):
        made(tmp_path, clock).admit("a/b")
        made(tmp_path, clock).failed("a/b")
    with pytest.raises(LLMUnavailableError, match="a/b failed 3 times in a row and is asked again in 30 s"):
        made(tmp_path, clock).admit("a/b")
    made(tmp_path, clock).admit("c/d")
    clock.now += 30
    made(tmp_path, clock).admit("a/b")  # one tries,
    with pytest.raises(LLMUnavailableError):
        made(tmp_path, clock).admit("a/b")  # others wait for it,
    made(tmp_path, clock).succeeded("a/b")
    made(tmp_path, clock).admit("a/b")  # and then all may


def test_a_success_in_between_begins_the_count_anew(tmp_path: Path, clock: Clock) -> None:
    breakers = made(tmp_path, clock)
    for _time in range(5):
        breakers.failed("a/b")
        breakers.failed("a/b")
        breakers.succeeded("a/b")
    breakers.admit("a/b")


def test_a_failure_of_the_one_that_tries_opens_it_again(tmp_path: Path, clock: Clock) -> None:
    breakers = made(tmp_path, clock)
    for _time in range(3):
        breakers.failed("a/b")
    clock.now += 30
    breakers.admit("a/b")
    breakers.failed("a/b")
    clock.now += 29
    with pytest.raises(LLMUnavailableError):
        breakers.admit("a/b")


def test_a_clock_that_was_wrong_closes_no_model_for_long(tmp_path: Path, clock: Clock) -> None:
    clock.now += 10**8
    for _time in range(3):
        made(tmp_path, clock).failed("a/b")
    clock.now -= 10**8
    made(tmp_path, clock).admit("a/b")


@pytest.mark.parametrize(
    "content", ["", "[1]", "{", '{"a/b": 5}', '{"a/b": {"failures": "x", "until": null}}', "[" * 100_000]
)
def test_a_damaged_file_is_made_anew(tmp_path: Path, clock: Clock, content: str) -> None:
    (tmp_path / "breakers.json").write_text(content)
    for _time in range(3):
        made(tmp_path, clock).admit("a/b")
        made(tmp_path, clock).failed("a/b")
    with pytest.raises(LLMUnavailableError):
        made(tmp_path, clock).admit("a/b")


def test_where_it_cannot_be_kept_every_model_is_asked(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").write_text("")
    for _time in range(5):
        made(tmp_path / "file", clock).failed("a/b")
        made(tmp_path / "file", clock).admit("a/b")


def test_the_file_stays_small(tmp_path: Path, clock: Clock) -> None:
    for number in range(200):
        clock.now += 1
        made(tmp_path, clock).failed(f"a/{number}")
    assert len(json.loads((tmp_path / "breakers.json").read_text())) == 50
