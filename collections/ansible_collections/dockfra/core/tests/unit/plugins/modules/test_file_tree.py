# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The module as Ansible calls it: JSON in, JSON out, in a process of its own."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.tests.unit.support import run_module


def call(path: Path, files: dict[str, str] | None = None, **options: Any) -> dict[str, Any]:
    encoded = {
        name: {"content": base64.b64encode(text.encode()).decode(), "mode": "0400"}
        for name, text in (files or {}).items()
    }
    return run_module("file_tree", {"path": str(path), "files": encoded, **options})


def test_files_are_made_changed_and_removed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    result = call(root, {"a": "one", "sub/ü": "two"}, directory_mode="0500")
    assert (result["changed"], result["created"], result["updated"], result["removed"]) == (
        True,
        ["a", "sub/ü"],
        [],
        [],
    )
    assert (root / "sub/ü").read_text() == "two"
    assert stat.S_IMODE(root.stat().st_mode) == 0o500
    assert not call(root, {"a": "one", "sub/ü": "two"}, directory_mode="0500")["changed"]
    result = call(root, {"a": "changed", "new": ""})
    assert (result["created"], result["updated"], result["removed"]) == (["new"], ["a"], ["sub/ü"])
    assert result["diff"] == {"before": "a\nsub/ü\n", "after": "a\nnew\n"}


def test_contents_are_never_shown(tmp_path: Path) -> None:
    encoded = base64.b64encode(b"hush-hush").decode()
    shown = json.dumps(call(tmp_path / "root", {"a": "hush-hush"}))
    assert encoded not in shown
    assert "hush" not in shown


def test_check_mode_changes_nothing(tmp_path: Path) -> None:
    result = call(tmp_path / "root", {"a": "one"}, _ansible_check_mode=True)
    assert (result["changed"], result["created"]) == (True, ["a"])
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("check", [True, False])
def test_absent_removes_all(tmp_path: Path, check: bool) -> None:
    call(tmp_path / "root", {"a": "one"})
    assert call(tmp_path / "root", state="absent", _ansible_check_mode=check)["changed"]
    assert (tmp_path / "root").exists() == check
    assert call(tmp_path / "none", state="absent")["changed"] is False


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": {"content": "!!!", "mode": "0400"}}, "files[a] needs base64 'content' and an octal 'mode'"),
        ({"a": {"content": "YQ==", "mode": "0900"}}, "files[a] needs base64 'content' and an octal 'mode'"),
        ({"a": {"mode": "0400"}}, "files[a] needs base64"),
        ({"a": "text"}, "files[a] needs base64"),
        ({"../a": {"content": "YQ==", "mode": "0400"}}, "'../a' is no path below the directory"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, files: dict[str, Any], message: str) -> None:
    result = run_module("file_tree", {"path": str(tmp_path / "root"), "files": files})
    assert result["failed"]
    assert message in result["msg"]
    assert not (tmp_path / "root").exists()


def test_a_wrong_directory_mode_is_refused_in_a_line(tmp_path: Path) -> None:
    result = call(tmp_path / "root", {"a": ""}, directory_mode="rwx")
    assert result["failed"]
    assert "directory_mode" in result["msg"]
    assert not os.path.lexists(tmp_path / "root")
