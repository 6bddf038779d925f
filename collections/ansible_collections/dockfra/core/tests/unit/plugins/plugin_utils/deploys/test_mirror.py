# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The copy of the origin, with a real git on both sides."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import CommandError, UsageError
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.mirror import Mirror


class Origin:
    """A repository, and a work tree in which its commits are made."""

    def __init__(self, root: Path) -> None:
        self.path, self.tree = root / "app.git", root / "tree"
        self.git("init", "-q", "--bare", "-b", "main", str(self.path), where=root)
        self.git("clone", "-q", str(self.path), str(self.tree), where=root)

    def git(self, *words: str, where: Path | None = None) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", *who, *words], cwd=where or self.tree, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, message: str, branch: str = "main", **files: str) -> str:
        self.git("checkout", "-q", "-B", branch)
        for name, text in files.items():
            path = self.tree / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        self.git("push", "-q", "origin", branch)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path)


@pytest.fixture
def mirror(origin: Origin, tmp_path: Path) -> Mirror:
    return Mirror(str(origin.path), tmp_path / "home" / "origin.git")


def test_what_is_new_comes_and_what_is_gone_goes(origin: Origin, mirror: Mirror) -> None:
    one = origin.commit("first", backend__a="1")
    assert mirror.fetch() == one
    two = origin.commit("second", backend__a="2")
    side = origin.commit("aside", "topic", backend__a="3")
    assert mirror.fetch() == two
    assert [mirror.commit(ref) for ref in ("main", "topic", side, side[:12])] == [two, side, side, side]
    assert (mirror.on_main(one), mirror.on_main(side)) == (True, False)
    assert (mirror.before(one, two), mirror.before(two, one), mirror.before(one, one)) == (True, False, False)
    origin.git("push", "-q", "origin", ":topic")
    mirror.fetch()
    with pytest.raises(UsageError, match="no branch or commit 'topic'"):
        mirror.commit("topic")


@pytest.mark.parametrize(
    "ref",
    ["", "-x", "--all", "main~1", "main^", "a..b", "@{u}", "HEAD:backend", "x y", "../x", "refs", "a" * 300],
)
def test_only_names_and_hashes_are_taken(origin: Origin, mirror: Mirror, ref: str) -> None:
    origin.commit("first", backend__a="1")
    mirror.fetch()
    with pytest.raises(UsageError):
        mirror.commit(ref)


def test_a_whole_hash_is_its_commit_whatever_branches_are_called(origin: Origin, mirror: Mirror) -> None:
    one = origin.commit("first", backend__a="1")
    two = origin.commit("second", "aside", backend__a="2")
    for name in (one, "a" * 40, "b" * 64):
        origin.git("push", "-q", "origin", f"aside:refs/heads/{name}")
    mirror.fetch()
    assert mirror.commit(one) == mirror.commit(one.upper()) == one
    for name in ("a" * 40, "b" * 64):
        with pytest.raises(UsageError, match="no branch or commit"):
            mirror.commit(name)
    assert mirror.commit("aside") == two


def test_a_branch_that_is_the_beginning_of_another_commit_is_not_guessed(
    origin: Origin, mirror: Mirror
) -> None:
    one = origin.commit("first", backend__a="1")
    two = origin.commit("second", one[:12], backend__a="2")
    origin.git("push", "-q", "origin", f"{two}:refs/heads/{two[:12]}", f"{two}:refs/heads/0123abcd0123")
    mirror.fetch()
    with pytest.raises(UsageError, match=f"{one[:12]} is a branch, and other commits begin so; .*{two}"):
        mirror.commit(one[:12])
    # One that leads to that commit, or begins no other, is meant.
    assert mirror.commit(two[:12]) == mirror.commit("0123abcd0123") == two
    assert mirror.commit(one[:13]) == one


def test_an_unreachable_origin_is_told_and_what_is_here_stays(origin: Origin, mirror: Mirror) -> None:
    with pytest.raises(CommandError, match="never read"):
        mirror.commit("main")
    one = origin.commit("first", backend__a="1")
    mirror.fetch()
    origin.path.rename(origin.path.with_name("gone"))
    with pytest.raises(CommandError, match="cannot be read"):
        mirror.fetch()
    assert mirror.commit("main") == one


def test_the_content_of_a_directory_has_one_name(origin: Origin, mirror: Mirror) -> None:
    one = origin.commit("first", backend__a="1", frontend__b="1", file="x")
    two = origin.commit("second", frontend__b="2")
    mirror.fetch()
    assert mirror.tree(one, "backend") == mirror.tree(two, "backend") != ""
    assert mirror.tree(one, "frontend") != mirror.tree(two, "frontend")
    assert [mirror.tree(two, path) for path in ("none", "file", "../backend", "-x")] == [""] * 4


def test_commits_between_and_the_tickets_they_name(origin: Origin, mirror: Mirror) -> None:
    one = origin.commit("first T-0009")
    origin.commit("Fix login (T-0001)\n\nAlso T-0002, and T-0001 again. XT-0003 T-1 is none.")
    three = origin.commit("Third \x1b[31m")
    mirror.fetch()
    assert [subject[:5] for subject in mirror.subjects(one, three)] == ["Third", "Fix l"]
    assert mirror.tickets(one, three) == ["T-0001", "T-0002"]
    # Of what nobody knows the beginning of, only the commit itself counts.
    assert mirror.tickets("", one) == ["T-0009"]
    assert mirror.tickets("0" * 40, three) == []


def test_an_archive_has_all_of_the_commit_whatever_its_attributes_say(origin: Origin, mirror: Mirror) -> None:
    origin.commit(
        "first",
        **{
            ".gitattributes": "secret export-ignore\nstamp export-subst\n",
            "secret": "x",
            "stamp": "$Format:%H$",
        },
    )
    commit = mirror.fetch()
    with mirror.archived(commit) as stream:
        data = stream.read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = {entry.name: archive.extractfile(entry).read() for entry in archive if entry.isreg()}  # type: ignore[union-attr]
    assert (found["secret"], found["stamp"]) == (b"x", b"$Format:%H$")


def test_an_archive_of_nothing_fails(origin: Origin, mirror: Mirror) -> None:
    origin.commit("first", a="1")
    mirror.fetch()
    with pytest.raises(CommandError, match="cannot make an archive"), mirror.archived("0" * 40) as stream:
        assert stream.read() == b""


def test_hooks_and_settings_of_the_origin_do_not_count(
    origin: Origin, mirror: Mirror, tmp_path: Path
) -> None:
    origin.commit("first", a="1")
    mirror.fetch()
    mark = tmp_path / "ran"
    hook = mirror.place / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    origin.commit("second", a="2")
    mirror.fetch()
    assert not mark.exists()
