# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The daemon that keeps the monitor's copies: every log that is there, and one that cannot be read stops no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.dockfra.core.plugins.module_utils.audit import copies
from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.audit_copy import AuditCopy
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.daemon import Daemon


def test_every_log_is_copied_and_one_that_cannot_be_read_is_told_once_finding_s12(tmp_path: Path) -> None:
    logs, folder, said = tmp_path / "logs", tmp_path / "copies", []
    logs.mkdir()
    daemon = Daemon("audit-copy", tmp_path)

    def log(event: str, **fields: Any) -> None:
        said.append((event, fields["log"], bool(fields["problem"])))

    daemon.log = log  # type: ignore[method-assign]
    copy = AuditCopy(daemon, logs, folder)
    (logs / "away.jsonl").symlink_to(tmp_path / "nowhere" / "away.jsonl")
    for service in ("git", "ssh-manager"):
        AuditLog(logs / f"{service}.jsonl").append({"verb": "x"})
    for _round in range(3):
        assert list(copy.step()) == []
    assert said == [("copy", "away", True)]
    for service in ("git", "ssh-manager"):
        assert copies.compare(logs / f"{service}.jsonl", folder / service).reaches[1] > 0
    AuditLog(logs / "git.jsonl").append({"verb": "y"})
    assert list(copy.step()) == []
    copied = (folder / "git" / "000001.jsonl").read_bytes()
    assert copied == (logs / "git.jsonl").read_bytes()


def test_copies_that_cannot_be_written_make_the_container_unhealthy(tmp_path: Path) -> None:
    AuditLog(tmp_path / "git.jsonl").append({"verb": "x"})
    (tmp_path / "copies").write_text("in the way")
    daemon = Daemon("audit-copy", tmp_path)
    daemon.log = lambda *_arguments, **_fields: None  # type: ignore[method-assign]
    [problem] = AuditCopy(daemon, tmp_path, tmp_path / "copies").step()
    assert "cannot be written" in problem
