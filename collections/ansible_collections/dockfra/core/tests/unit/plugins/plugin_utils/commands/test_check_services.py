# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""check-services tells which service is down, and never a password."""

from __future__ import annotations

import argparse
import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import CommandError
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import grammar, health, workspace
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Call, Place
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style

COMMAND = grammar.find("check-services", "developer", "developer")
CALL = Call(
    "check-services",
    "developer",
    Place("developer", "ssh-developer", Policy({}, {}), {}),
    argparse.Namespace(),
    io.BytesIO(),
)


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(workspace, "SETTINGS", tmp_path / "developer.json")
    return tmp_path / "developer.json"


def service(name: str, port: int, **more: object) -> dict[str, object]:
    return {"service": name, "kind": "tcp", "host": "127.0.0.1", "port": port, **more}


def test_up(settings: Path, port: int) -> None:
    settings.write_text(json.dumps({"services": [service("one", port), service("two", port)]}))
    data = COMMAND.run(CALL)
    assert COMMAND.exit_status(data) == 0
    lines = COMMAND.render(data, Style()).splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [["one", "tcp", "up"], ["two", "tcp", "up"]]


def test_one_that_is_down_fails_and_the_password_is_not_told(settings: Path, port: int, closed: int) -> None:
    secret = "a-very-secret-word"
    down = service("db", closed, kind="postgres", user="readonly", password=secret)
    settings.write_text(json.dumps({"services": [service("one", port), down]}))
    data = COMMAND.run(CALL)
    assert COMMAND.exit_status(data) == 1
    shown = COMMAND.render(data, Style())
    assert shown.splitlines()[2].split()[:3] == ["db", "postgres", "down"]
    assert "connection refused" in shown
    assert secret not in shown + json.dumps(data)


def test_the_state_of_a_service_is_called_state_finding_u12(settings: Path, port: int, closed: int) -> None:
    """As status of the monitor calls it, with the same words."""
    settings.write_text(json.dumps({"services": [service("one", port), service("two", closed)]}))
    told = COMMAND.run(CALL)["services"]
    assert [(entry["service"], entry["state"]) for entry in told] == [
        ("one", health.UP),
        ("two", health.DOWN),
    ]
    assert all("ok" not in entry for entry in told)


@pytest.mark.parametrize("text", ["", "{}", '{"services": [{"service": "x"}]}', '{"services": 1}'])
def test_damaged_settings(settings: Path, text: str) -> None:
    settings.write_text(text)
    with pytest.raises(CommandError, match=r"run site\.yml again"):
        COMMAND.run(CALL)
