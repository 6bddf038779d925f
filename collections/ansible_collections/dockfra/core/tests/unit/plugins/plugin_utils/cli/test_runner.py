# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Running a command: the policy is asked first, and every way it can end is an outcome."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import CommandError, DeniedError, UsageError
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import grammar, runner
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Call
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.outcome import Outcome
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style
from ansible_collections.dockfra.core.tests.unit.plugins.plugin_utils.cli.support import Platform


def run(platform: Platform, caller: str, place: str, *words: str, terminal: bool = False) -> Outcome:
    return runner.run(platform.place(place), caller, words, io.BytesIO(), Style(), terminal)


def replaced(monkeypatch: pytest.MonkeyPatch, **functions: Any) -> None:
    """Let every command do something else."""
    command = grammar.Command("ticket-list", "Test.", ["x"], lambda _parser: None, **functions)
    monkeypatch.setattr(grammar, "find", lambda *_words: command)


def test_the_policy_is_asked_before_the_command_is_looked_for(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_words: str) -> grammar.Command:
        raise AssertionError("looked for")

    monkeypatch.setattr(grammar, "find", never)
    outcome = run(platform, "developer", "manager", "ticket-create", "--help")
    assert (outcome.status, outcome.text) == (77, "")


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (CommandError("no"), 1, "ticket-list: no"),
        (UsageError("no"), 2, "ticket-list: no"),
        (DeniedError("no"), 77, "denied: no"),
        (KeyboardInterrupt(), 130, "ticket-list: interrupted"),
        (ZeroDivisionError("secret"), 1, "ticket-list: unexpected ZeroDivisionError in test_runner.py, line LINE; please report it with what you did"),
        (RecursionError(), 1, "ticket-list: unexpected RecursionError in test_runner.py, line LINE; please report it with what you did"),
        (MemoryError(), 1, "ticket-list: there is not enough memory for it here"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["run", "render"])
def test_every_error_is_an_outcome(
    platform: Platform,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    error: BaseException,
    status: int,
    said: str,
) -> None:
    def fail(*_arguments: object) -> Any:
        raise error

    replaced(monkeypatch, **{"run": lambda _call: {}, "render": lambda _data, _style: "", where: fail})
    outcome = run(platform, "autopilot", "manager", "ticket-list")
    assert (outcome.status, outcome.text) == (status, "")
    assert re.sub(r"line \d+", "line LINE", outcome.message) == said


def test_data_that_cannot_be_json_is_an_error(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(monkeypatch, run=lambda _call: object(), render=lambda _data, _style: "x")
    outcome = run(platform, "autopilot", "manager", "ticket-list", "--json")
    assert (outcome.status, outcome.text) == (1, "")


def test_a_command_says_what_its_data_means(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(
        monkeypatch,
        run=lambda _call: {"down": 1},
        render=lambda _data, _style: "down",
        exit_status=lambda _d: 1,
    )
    assert run(platform, "autopilot", "manager", "ticket-list") == Outcome(1, "down", "")
    outcome = run(platform, "autopilot", "manager", "ticket-list", "--json")
    assert (outcome.status, json.loads(outcome.text)) == (1, {"down": 1})


def test_a_stream_is_for_programs_only(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    spoken: list[Call] = []

    def speak(call: Call) -> int:
        spoken.append(call)
        return 3

    replaced(monkeypatch, stream=speak)
    outcome = run(platform, "autopilot", "manager", "ticket-list", terminal=True)
    assert (outcome.status, spoken) == (2, [])
    outcome = run(platform, "autopilot", "manager", "ticket-list")
    assert (outcome.status, outcome.text, outcome.message) == (3, "", "")
    assert len(spoken) == 1


def test_a_command_that_cannot_be_loaded_does_not_hide_the_others(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = grammar.find

    def broken(command: str, place: str, caller: str) -> grammar.Command:
        if command == "ticket-show":
            raise ImportError("no module")
        return find(command, place, caller)

    monkeypatch.setattr(grammar, "find", broken)
    named = [command for command, _summary in runner.available(platform.place("manager"), "autopilot")]
    assert "ticket-list" in named
    assert "ticket-show" not in named
    outcome = run(platform, "autopilot", "manager", "ticket-show", "T-0001")
    assert (outcome.status, outcome.text) == (1, "")
