# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The module as Ansible calls it: JSON in, JSON out, in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.tickets.store import TicketStore
from ansible_collections.dockfra.core.tests.unit.support import run_module


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tickets"
    store = TicketStore(path)
    store.create("manager", {"title": "One", "assigned_to": "developer", "labels": ["a", "b"]})
    store.create("manager", {"title": "Two", "priority": "critical", "assigned_to": None}, comment="Grüße")
    store.create("manager", {"title": "Three", "status": "closed", "assigned_to": None})
    (path / "T-0004.json").write_text("{")
    return path


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({}, [1, 2, 3]),
        ({"reverse": True}, [3, 2, 1]),
        ({"sort": "priority"}, [2, 1, 3]),
        ({"status": ["open"]}, [1, 2]),
        ({"priority": ["critical", "low"]}, [2]),
        ({"assigned_to": ["none"]}, [2, 3]),
        ({"assigned_to": ["none", "developer"], "status": ["open"]}, [1, 2]),
        ({"labels": ["a"]}, [1]),
        ({"text": "GRÜSSE"}, [2]),
        ({"updated_since": "2020-01-01T00:00:00Z"}, [1, 2, 3]),
        ({"updated_since": "2990-01-01T00:00:00+02:00"}, []),
        ({"_ansible_check_mode": True}, [1, 2, 3]),
    ],
)
def test_tickets_and_what_is_none(path: Path, options: dict[str, Any], numbers: list[int]) -> None:
    result = run_module("ticket_info", {"path": str(path), **options})
    assert [ticket["id"] for ticket in result["tickets"]] == [f"T-{number:04d}" for number in numbers]
    assert result["changed"] is False
    [damaged] = result["damaged"]
    assert (damaged["name"], damaged["kind"], damaged["set_apart"]) == ("T-0004.json", "damaged", False)
    assert "no JSON" in damaged["reason"]
    assert (path / "T-0004.json").exists()


def test_one_ticket(path: Path) -> None:
    result = run_module("ticket_info", {"path": str(path), "id": "T-0002"})
    assert result["tickets"] == [TicketStore(path).get("T-0002").to_dict()]
    assert (
        run_module("ticket_info", {"path": str(path), "id": "T-0002", "status": ["closed"]})["tickets"] == []
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id": "T-0404"}, "There is no ticket T-0404; list the tickets to find the right one."),
        ({"id": "T-0004"}, "T-0004 is damaged: it is no JSON"),
        ({"id": "../T-0001"}, "is no ticket id"),
        ({"status": ["lost"]}, "value of status must be one or more of"),
        ({"labels": ["a,b"]}, "comma"),
        ({"updated_since": "lately"}, "is no time"),
        ({"path": "/nowhere"}, "There is no ticket directory /nowhere."),
    ],
)
def test_bad_input_is_one_line(path: Path, options: dict[str, Any], message: str) -> None:
    result = run_module("ticket_info", {"path": str(path), **options})
    assert result["failed"]
    assert message in result["msg"]
    assert "\n" not in result["msg"]
    assert "exception" not in result
