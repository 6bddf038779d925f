# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The module as Ansible calls it, as far as it goes without a server; the rest is tested against a fake GitHub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.tickets.store import TicketStore
from ansible_collections.dockfra.core.tests.unit.support import run_module


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"token": ""}, "There is no GitHub token"),
        ({"repo": "nothing"}, "'nothing' is no repository"),
        ({"api_url": "github.example.com"}, "The API address has to be like https://api.github.com"),
        ({"ids": ["T-0099"]}, "There is no ticket T-0099; list the tickets to find the right one."),
        ({"ids": ["99a"]}, "'99a' is no ticket id"),
        ({"path": "/nonexistent/tickets"}, "There is no ticket directory /nonexistent/tickets."),
    ],
)
def test_wrong_use_is_one_line_and_changes_nothing(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    path = tmp_path / "tickets"
    TicketStore(path).create("manager", {"title": "x"})
    before = {file: file.read_bytes() for file in path.iterdir() if file.is_file()}
    given = {"path": str(path), "repo": "octo/hello", "token": "secret-token", "direction": "push", **options}
    result = run_module("ticket_sync", given, GITHUB_TOKEN="")
    assert result["failed"] is True
    assert result["msg"].startswith(message)
    assert "\n" not in result["msg"]
    assert "secret-token" not in str(result)
    assert {file: file.read_bytes() for file in path.iterdir() if file.is_file()} == before
    assert not (path / ".github").exists()


@pytest.mark.parametrize(
    ("line", "options", "message"),
    [
        ("GITHUB_API_URL=ghe.example/api/v3", {}, "line 3 of .env: GITHUB_API_URL must be an address"),
        (
            "GITHUB_API_ULR=https://ghe.example/api/v3",
            {},
            "line 3 of .env: GITHUB_API_ULR is no setting; did you",
        ),
        ("GITHUB_API_URL=a b", {}, "line 3 of .env: GITHUB_API_URL it is not NAME=value"),
        ("GITHUB_API_URL=x", {"api_url": "http://127.0.0.1:9"}, "There is no ticket directory"),
        ("OTHER=a b", {"api_url": "http://127.0.0.1:9"}, "There is no ticket directory"),
        ("#" * 300_000, {}, "{file} has more than"),
    ],
)
def test_a_mistyped_setting_is_not_replaced_by_its_default(
    tmp_path: Path, line: str, options: dict[str, Any], message: str
) -> None:
    file = tmp_path / ".env"
    file.write_text(f"GITHUB_TOKEN=secret-token\nGITHUB_REPO=octo/hello\n{line}\n")
    given = {"path": str(tmp_path / "none"), "settings_file": str(file), **options}
    result = run_module("ticket_sync", given, GITHUB_TOKEN="")
    assert result["failed"] is True
    assert result["msg"].startswith(message.format(file=file))
    assert "\n" not in result["msg"]
    assert "secret-token" not in str(result)
