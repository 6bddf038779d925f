# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the commands for GitHub do with the manager's settings before they ask anybody anything."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit import files as audit_files
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.module_utils.settings import file as settings_file
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import github, runner
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Place
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style

COMMANDS = {name: {"at": {"manager": ["manager"]}} for name in ("ticket-push", "ticket-pull")}
PLACE = Place("manager", "ssh-manager", Policy({}, COMMANDS), {"manager": "ssh-manager"})


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "GITHUB_TOKEN and GITHUB_REPO are not set"),
        (
            "GITHUB_TOKEN=x\nGITHUB_REPO=octo/hello\nGITHUB_API_URL=ghe.example",
            "line 3 of .env: GITHUB_API_URL must",
        ),
        ("GITHUB_TOKEN=x\nGITHUB_REPO=octo", "line 2 of .env: GITHUB_REPO must"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, lines: str, message: str
) -> None:
    (tmp_path / "manager").mkdir()
    (tmp_path / "manager" / settings_file.FILE).write_text(lines)
    monkeypatch.setattr(settings_file, "HOMES", tmp_path)
    monkeypatch.setattr(audit_files, "DIRECTORY", str(tmp_path))
    monkeypatch.setattr(github, "IssueGateway", None)  # nothing is asked of GitHub
    outcome = runner.run(PLACE, "manager", [command], io.BytesIO(), Style())
    assert (outcome.status, outcome.text) == (1, "")
    assert outcome.message.startswith(f"{command}: {message}")
