# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How old the last backup is, in status and for the watch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.plugin_utils.cli import backed_up, health
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons import watch

NOW = 1_800_000_000.0
HOUR = 3600.0


def record(folder: Path, hours: float, most: float = 48) -> Path:
    path = folder / "backup.json"
    path.write_text(
        json.dumps({"verified": NOW - hours * HOUR, "snapshot": "1a2b3c4d", "max_age_hours": most})
    )
    return path


@pytest.mark.parametrize(
    ("hours", "most", "old", "detail"),
    [
        (0.5, 48, False, "the last backup (1a2b3c4d) is 30 min old"),
        (47.9, 48, False, "the last backup (1a2b3c4d) is 48 h old"),
        (
            50,
            48,
            True,
            "the last backup (1a2b3c4d) is 50 h old, more than the 48 h it may be: run playbooks/backup.yml",
        ),
        (240, 0, False, "the last backup (1a2b3c4d) is 10 days old"),
    ],
)
def test_a_backup_is_too_old_when_that_is_asked_for_finding_backup(
    tmp_path: Path, hours: float, most: float, old: bool, detail: str
) -> None:
    found = backed_up.last(record(tmp_path, hours, most), NOW)
    assert found is not None
    assert (found["old"], found["detail"]) == (old, detail)
    assert detail[1:] in backed_up.render(found, Style(False))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"verified": "x"}',
        '{"verified": 1, "snapshot": "\\u001b", "max_age_hours": 1}',
        f'{{"verified": 1{"0" * 400}, "snapshot": "1a2b3c4d", "max_age_hours": 1}}',
    ],
)
def test_without_a_backup_or_with_a_broken_record_there_is_nothing_to_say(tmp_path: Path, text: str) -> None:
    path = tmp_path / "backup.json"
    assert backed_up.last(path) is None
    path.write_text(text)
    assert backed_up.last(path) is None
    assert backed_up.render(None, Style(False)) == ""


def test_the_watch_takes_an_old_backup_for_something_that_does_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backed_up, "RECORD", tmp_path / "backup.json")
    assert watch._backed_up(NOW) == []
    record(tmp_path, 50)
    assert [entry["state"] for entry in watch._backed_up(NOW)] == [health.DEGRADED]
    record(tmp_path, 1)
    assert [entry["state"] for entry in watch._backed_up(NOW)] == [health.UP]
