# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the origin takes of old history its copies take, too; and what it refuses they refuse."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import CommandError
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.flaws import tolerated
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.mirror import Mirror
from ansible_collections.dockfra.core.plugins.plugin_utils.implement.staging import Staging

WHO = "A <a@example.org> 1700000000 +0000"


def git(where: Path, *words: str, data: bytes = b"") -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *words], cwd=where, input=data, capture_output=True, check=True)
    return done.stdout.decode().strip()


class Origin:
    """A repository that checks what is pushed, and a clone with one good commit."""

    def __init__(self, root: Path) -> None:
        self.path, self.clone = root / "app.git", root / "clone"
        git(root, "init", "-q", "--bare", "-b", "main", str(self.path))
        for name, value in tolerated("receive").items():
            git(self.path, "config", name, value)
        git(root, "clone", "-q", str(self.path), str(self.clone))
        git(self.clone, "checkout", "-q", "-B", "main")
        git(self.clone, "commit", "-q", "--allow-empty", "-m", "first")
        git(self.clone, "push", "-q", "origin", "main")

    def flawed(self, author: str) -> None:
        """Make a commit by hand, on a branch of its own."""
        tree = git(self.clone, "rev-parse", "main^{tree}")
        text = f"tree {tree}\nauthor {author}\ncommitter {WHO}\n\nold\n".encode()
        made = git(self.clone, "hash-object", "-t", "commit", "-w", "--stdin", "--literally", data=text)
        git(self.clone, "update-ref", "refs/heads/old", made)


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path)


def mirrored(origin: Origin, folder: Path) -> str:
    mirror = Mirror(str(origin.path), folder / "mirror.git")
    mirror.fetch()
    return mirror.commit("old")


def staged(origin: Origin, folder: Path) -> str:
    (folder / "staging").mkdir()
    return Staging(origin.clone, "old", folder / "staging").there


COPIES = pytest.mark.parametrize("copied", [mirrored, staged])


@COPIES
@pytest.mark.parametrize(
    "author",
    [
        "A <a@example.org> 1700000000 +051800",
        "A <a@example.org> 01700000000 +0000",
        "A a@example.org 1700000000 +0000",
        "<a@example.org> 1700000000 +0000",
    ],
)
def test_old_flaws_stop_no_copy(
    origin: Origin, tmp_path: Path, copied: Callable[[Origin, Path], str], author: str
) -> None:
    origin.flawed(author)
    git(origin.clone, "push", "-q", "origin", "old")
    commit = git(origin.clone, "rev-parse", "old")
    if copied is staged:
        # What the clone has itself would not be fetched.
        git(origin.clone, "update-ref", "-d", "refs/heads/old")
        git(origin.clone, "update-ref", "-d", "refs/remotes/origin/old")
        git(origin.clone, "prune", "--expire=now")
    assert copied(origin, tmp_path) == commit


@COPIES
def test_others_are_refused_everywhere(
    origin: Origin, tmp_path: Path, copied: Callable[[Origin, Path], str]
) -> None:
    blob = git(origin.clone, "hash-object", "-w", "--stdin", data=b"x")
    tree = git(origin.clone, "mktree", data=f"100644 blob {blob}\t.git\n".encode())
    commit = git(origin.clone, "commit-tree", "-m", "bad", tree)
    with pytest.raises(subprocess.CalledProcessError):
        git(origin.clone, "push", "-q", "origin", f"{commit}:refs/heads/old")
    git(origin.path, "config", "receive.fsckObjects", "false")
    git(origin.clone, "push", "-q", "origin", f"{commit}:refs/heads/old")
    if copied is staged:
        git(origin.clone, "update-ref", "-d", "refs/remotes/origin/old")
        git(origin.clone, "prune", "--expire=now")
    with pytest.raises(CommandError):
        copied(origin, tmp_path)
