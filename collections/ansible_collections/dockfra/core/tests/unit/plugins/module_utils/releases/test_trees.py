# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Names of directories, compared with those that git gives them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible_collections.dockfra.core.plugins.module_utils.releases.trees import File, tree


def test_git_has_the_same_name_for_it(tmp_path: Path) -> None:
    files = {"a.txt": b"one", "a/b/c": b"\0\xff", "a-b": b"", "run/me": b"#!/bin/sh", "ä ö": b"x", "a0": b"y"}
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755 if name == "run/me" else 0o644)

    def git(*words: str) -> str:
        command = ["git", "-c", "core.autocrlf=false", "-c", "init.defaultBranch=main", *words]
        return subprocess.run(
            command, cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q")
    git("add", "-A")
    found = [File(name, name == "run/me", content) for name, content in files.items()]
    assert tree(found) == git("write-tree")
    assert tree([]) == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
