# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Waiting for a container, by the module in a process of its own."""

from __future__ import annotations

from typing import Any

from ansible_collections.dockfra.core.tests.unit.fake_engine import FakeEngine
from ansible_collections.dockfra.core.tests.unit.support import run_module


def details(**state: Any) -> dict[str, Any]:
    return {
        "Id": "1" * 64,
        "Name": "/p-db",
        "RestartCount": 0,
        "State": {"Status": "running", **state},
        "Config": {"Tty": False, "Labels": {}},
        "HostConfig": {},
    }


def call(engine: FakeEngine, **options: Any) -> dict[str, Any]:
    return run_module("container_ready", {"name": "p-db", "service": "db", **options}, DOCKER_HOST=engine.url)


def test_a_ready_container(engine: FakeEngine) -> None:
    engine.add(details(Health={"Status": "healthy"}))
    result = call(engine)
    assert (result["changed"], result["dockfra_service"]) == (False, {"name": "db", "state": "ready"})
    assert result["waited"] < 5


def test_one_that_does_not_get_ready_fails_with_its_log(engine: FakeEngine) -> None:
    engine.add(details(Health={"Status": "unhealthy", "Log": [{"Output": "no answer"}]}))
    engine.logs["p-db"] = "one\ntwo\nthree\n"
    result = call(engine, timeout=0, log_lines=2)
    assert result["failed"]
    assert result["msg"].startswith("db is not ready after 0 s. Its container p-db is unhealthy.")
    assert "no answer" in result["msg"]
    assert result["msg"].endswith("two\nthree")


def test_check_mode_does_not_wait(engine: FakeEngine) -> None:
    assert not call(engine, _ansible_check_mode=True).get("failed")
    assert engine.requests == []


def test_no_engine_fails_in_a_line() -> None:
    options = {"name": "p-db", "service": "db"}
    result = run_module("container_ready", options, DOCKER_HOST="unix:///nowhere/docker.sock")
    assert result["failed"]
    assert result["msg"].startswith("The Docker Engine does not answer")
