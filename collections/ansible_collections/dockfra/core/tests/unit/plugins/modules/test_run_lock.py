# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The lock of a run on another host, or with sudo: the module, and the action that calls it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.utils.display import Display

from ansible_collections.dockfra.core.plugins.action import run_lock as action
from ansible_collections.dockfra.core.plugins.module_utils.locks.work_lock import Holder, WorkLock
from ansible_collections.dockfra.core.tests.unit.support import run_module

Call = Callable[..., dict[str, Any]]


def me() -> Holder:
    return Holder.of(os.getpid(), "me", "this test")


@pytest.fixture
def lock(tmp_path: Path) -> WorkLock:
    return WorkLock(tmp_path / "locks", "project-unit")


def take(folder: Path, of: Holder, **more: Any) -> dict[str, Any]:
    options = {"name": "unit", "directory": str(folder), "wait": 0, "holder": of.to_dict(), **more}
    return run_module("run_lock", options)


def test_the_module_takes_it_for_the_given_process_or_says_who_has_it(tmp_path: Path, lock: WorkLock) -> None:
    with lock.hold("somebody", "deploys") as other:
        answer = take(tmp_path / "locks", replace(me(), pid=1))
    assert answer["failed"]
    assert Holder.from_dict(answer["other"]) == other
    assert "deploys" in answer["msg"]
    holder = me()
    assert "failed" not in take(tmp_path / "locks", holder)
    assert lock.holder() == holder


def test_it_is_given_back_by_who_has_it_alone(tmp_path: Path, lock: WorkLock) -> None:
    holder = me()
    take(tmp_path / "locks", holder)
    for stays in ({"holder": replace(holder, pid=1).to_dict()}, {"_ansible_check_mode": True}):
        assert "failed" not in take(tmp_path / "locks", holder, state="absent", **stays)
        assert lock.holder() == holder
    assert "failed" not in take(tmp_path / "locks", holder, state="absent")
    assert lock.holder() is None


def test_a_process_is_needed(tmp_path: Path, lock: WorkLock) -> None:
    assert run_module("run_lock", {"name": "unit", "directory": str(tmp_path / "locks")})["failed"]
    assert lock.holder() is None


@pytest.fixture
def by_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[list[dict[str, Any]], Call]:
    """The action's way over the module; and the calls it makes."""
    calls: list[dict[str, Any]] = []

    def call(_self: Any, arguments: dict[str, Any], _variables: Any) -> dict[str, Any]:
        calls.append(arguments)
        return run_module("run_lock", arguments)

    plugin = object.__new__(action.ActionModule)
    monkeypatch.setattr(action.ActionModule, "_call", call)

    def take(wait: int) -> dict[str, Any]:
        given = {"name": "unit", "directory": str(tmp_path / "locks"), "wait": wait}
        return dict(plugin._by_module(given, {}))

    return calls, take


def test_the_action_waits_on_the_host(by_module: tuple[list[dict[str, Any]], Call], lock: WorkLock) -> None:
    calls, take = by_module
    with lock.hold("somebody", "deploys"):
        assert take(0)["failed"]
        assert take(1)["failed"]
    assert [given["wait"] for given in calls] == [0, 0, 1]
    assert "failed" not in take(0)


def test_whoever_waits_for_one_that_cannot_be_seen_is_told_what_to_remove(
    by_module: tuple[list[dict[str, Any]], Call],
    lock: WorkLock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(Display, "display", lambda _self, text: told.append(text))
    _calls, take = by_module
    lock.register(replace(me(), machine="of a controller that was started anew"))
    assert take(1)["failed"]
    assert "Another run works on this platform" in told[0]
    assert f"remove {tmp_path}/locks/project-unit.lock there." in told[1]


def test_a_run_that_has_ended_on_this_machine_leaves_the_lock_of_a_host_free(
    by_module: tuple[list[dict[str, Any]], Call], lock: WorkLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host cannot see it; the machine it ran on can."""
    calls, take = by_module
    ended = replace(me(), started="12345", machine="of the controller")
    lock.register(ended)
    monkeypatch.setattr(Holder, "here", property(lambda self: self.machine == ended.machine))
    assert "failed" not in take(0)
    assert calls[-1]["gone"] == ended.to_dict()
