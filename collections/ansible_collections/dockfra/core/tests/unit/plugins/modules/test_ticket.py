# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The module as Ansible calls it: JSON in, JSON out, in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.tickets.store import TicketStore
from ansible_collections.dockfra.core.tests.unit.support import run_module

Call = Callable[..., dict[str, Any]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tickets"


@pytest.fixture
def ticket(path: Path) -> Call:
    return lambda **options: run_module("ticket", {"path": str(path), **options})


def files(path: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in path.glob("T-*.json")}


def test_a_ticket_by_key_is_made_once_and_then_kept_as_wanted(ticket: Call, path: Path) -> None:
    options = {
        "external_key": "alarm/1",
        "title": "Backend down",
        "description": "It answers 503.\n",
        "priority": "critical",
        "assigned_to": "monitor",
        "labels": ["b", "a"],
        "github_issue_number": 5,
        "comment": "Seen",
    }
    first = ticket(**options)
    assert (first["changed"], first["created"], first["ticket"]["id"]) == (True, True, "T-0001")
    assert first["diff"] == {"before": {}, "after": first["ticket"]}
    assert json.loads((path / "T-0001.json").read_text()) == first["ticket"]
    wanted = {
        "title": "Backend down",
        "labels": ["a", "b"],
        "assigned_to": "monitor",
        "github_issue_number": 5,
    }
    assert {name: first["ticket"][name] for name in wanted} == wanted
    assert [comment["text"] for comment in first["ticket"]["comments"]] == ["Seen"]

    again = ticket(**options)
    assert (again["changed"], again["created"], again["ticket"]) == (False, False, first["ticket"])
    assert again["diff"]["before"] == again["diff"]["after"]

    other = ticket(
        external_key="alarm/1", labels=[], assigned_to="none", github_issue_number=0, comment="Again"
    )
    assert (other["changed"], other["created"]) == (True, False)
    assert other["diff"] == {"before": first["ticket"], "after": other["ticket"]}
    assert (other["ticket"]["labels"], other["ticket"]["assigned_to"]) == ([], None)
    assert (other["ticket"]["title"], other["ticket"]["github_issue_number"]) == ("Backend down", None)
    assert len(other["ticket"]["comments"]) == 2
    assert len(files(path)) == 1


def test_without_id_or_key_each_run_makes_one(ticket: Call) -> None:
    assert [ticket(title="x")["ticket"]["id"] for _again in range(2)] == ["T-0001", "T-0002"]


def test_closed(ticket: Call, path: Path) -> None:
    nothing = ticket(external_key="alarm/1", state="closed", path=str(path.parent))
    assert (nothing["changed"], nothing["created"], nothing["ticket"]) == (False, False, None)
    ticket(title="x", external_key="alarm/1")
    closed = ticket(external_key="alarm/1", state="closed")
    assert (closed["changed"], closed["ticket"]["status"]) == (True, "closed")
    assert ticket(id="T-0001", state="closed")["changed"] is False
    # Present is present, whatever its status; only a status reopens it.
    assert ticket(id="T-0001", state="present")["ticket"]["status"] == "closed"
    assert ticket(id="T-0001", status="open")["ticket"]["status"] == "open"


def test_check_mode_says_what_it_would_do(ticket: Call, path: Path) -> None:
    made = ticket(title="x", external_key="k", _ansible_check_mode=True)
    assert (made["changed"], made["created"], made["ticket"]["id"]) == (True, True, "T-0001")
    assert not path.exists()
    ticket(title="x", external_key="k")
    before = files(path)
    changed = ticket(id="T-0001", status="in_progress", comment="Go", _ansible_check_mode=True)
    assert changed["changed"]
    assert changed["diff"]["before"]["status"] == "open"
    assert changed["diff"]["after"]["status"] == "in_progress"
    assert not ticket(external_key="k", title="x", _ansible_check_mode=True)["changed"]
    assert ticket(id="T-0001", actor="monitor", status="closed", _ansible_check_mode=True)["failed"]
    assert files(path) == before


def test_a_role_works_on_what_is_its_own(ticket: Call) -> None:
    ticket(title="x", assigned_to="developer")
    assert ticket(id="T-0001", actor="developer", status="in_progress")["changed"]
    assert ticket(id="T-0001", actor="developer", state="closed", comment="Done")["changed"]
    assert not ticket(id="T-0001", actor="developer", state="closed", comment="Done")["changed"]


def test_a_result_is_not_overtaken(ticket: Call) -> None:
    old = ticket(title="x")["ticket"]["updated_at"]
    now = ticket(id="T-0001", title="y", expected_updated_at=old)["ticket"]["updated_at"]
    assert "read it again" in ticket(id="T-0001", title="z", expected_updated_at=old)["msg"]
    assert ticket(id="T-0001", title="z", expected_updated_at=now)["changed"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "A ticket needs a title."),
        ({"external_key": "new"}, "A ticket needs a title."),
        ({"title": " "}, "The title is empty; write one."),
        ({"title": "x" * 1_000_000}, "at most 200"),
        ({"title": "a\nb"}, "control character"),
        ({"title": "x", "labels": ["a,b"]}, "comma"),
        ({"title": "x", "priority": "urgent"}, "value of priority must be one of"),
        ({"title": "x", "assigned_to": "root"}, "value of assigned_to must be one of"),
        ({"title": "x", "actor": "root"}, "value of actor must be one of"),
        ({"title": "x", "actor": "developer"}, "The developer may not create tickets."),
        ({"title": "x", "github_issue_number": -1}, "no number from 1 on"),
        (
            {"id": "T-0404", "title": "x"},
            "There is no ticket T-0404; list the tickets to find the right one.",
        ),
        (
            {"id": "T-0404", "state": "closed"},
            "There is no ticket T-0404; list the tickets to find the right one.",
        ),
        ({"id": "../../etc/passwd", "title": "x"}, "is no ticket id"),
        ({"id": "T-0001", "external_key": "k"}, "mutually exclusive"),
        ({"id": "T-0001", "state": "closed", "status": "open"}, "cannot have the status open as well"),
        ({"id": "T-0001", "actor": "developer", "status": "in_progress"}, "assigned to the monitor"),
        ({"id": "T-0001", "actor": "monitor", "state": "closed"}, "start it first"),
        ({"id": "T-0001", "comment": "\x1b[2J"}, "control character"),
        ({"id": "T-0001", "expected_updated_at": "lately"}, "is no time"),
        ({"title": "x", "expected_updated_at": "2026-01-01T00:00:00Z"}, "expected_updated_at"),
        ({"state": "closed"}, "give its id or external_key"),
        ({"path": "/nowhere/at/all", "title": "x"}, "There is no ticket directory"),
        ({"path": "/nowhere/at/all", "state": "closed", "external_key": "x"}, "There is no ticket directory"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(
    ticket: Call, path: Path, options: dict[str, Any], message: str
) -> None:
    TicketStore(path).create("manager", {"title": "Title", "assigned_to": "monitor"})
    before = files(path)
    result = ticket(**options)
    assert result["failed"]
    assert message in result["msg"]
    assert "\n" not in result["msg"]
    assert len(result["msg"]) < 300
    assert "exception" not in result
    assert files(path) == before


def test_without_a_directory_there_is_nothing_to_close(ticket: Call, path: Path) -> None:
    result = ticket(external_key="alarm/1", state="closed")
    assert (result.get("failed", False), result["changed"], result["ticket"]) == (False, False, None)
    assert not path.exists()
