# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Git's own commands through the gate, with a real git on both sides."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from .conftest import Origin, run


def cloned(origin: Origin, caller: str = "developer") -> Path:
    target = origin.root / f"clone-of-{caller}"
    done = origin.git(caller, "clone", "git:app.git", str(target))
    assert done.returncode == 0, done.stderr
    return target


def commit(origin: Origin, tree: Path, text: str, *options: str) -> None:
    (tree / "README").write_text(f"{text}\n")
    done = origin.git("developer", "commit", "--quiet", "--all", f"--message={text}", *options, cwd=tree)
    assert done.returncode == 0, done.stderr


def test_the_monitor_reads_and_cannot_write(origin: Origin) -> None:
    tree = cloned(origin, "monitor")
    assert (tree / "README").read_text() == "first\n"
    before = origin.heads()

    commit(origin, tree, "second")
    pushed = origin.git("monitor", "push", "origin", "main", cwd=tree)
    assert pushed.returncode != 0
    assert "denied: the monitor may not use git-receive-pack" in pushed.stderr
    assert origin.says("monitor", "git-receive-pack 'app.git'").returncode == 77
    assert origin.heads() == before

    assert origin.git("monitor", "fetch", "origin", cwd=tree).returncode == 0
    assert [(line["caller"], line["verb"], line["verdict"], line["result"]) for line in origin.audit()] == [
        ("monitor", "git-upload-pack", "allowed", 0),
        ("monitor", "git-receive-pack", "denied", 77),
        ("monitor", "git-receive-pack", "denied", 77),
        ("monitor", "git-upload-pack", "allowed", 0),
    ]


def test_the_developer_pushes_and_the_monitor_gets_it(origin: Origin) -> None:
    tree, other = cloned(origin), cloned(origin, "monitor")
    commit(origin, tree, "second")
    pushed = origin.git("developer", "push", "origin", "main", "main:topic", cwd=tree)
    assert pushed.returncode == 0, pushed.stderr
    assert set(origin.heads()) == {"main", "topic"}

    assert origin.git("monitor", "pull", cwd=other).returncode == 0
    assert (other / "README").read_text() == "second\n"


@pytest.mark.parametrize("caller", ["manager", "autopilot", "git", ""])
@pytest.mark.parametrize("verb", ["git-upload-pack", "git-receive-pack"])
def test_nobody_else_has_a_way_in(origin: Origin, caller: str, verb: str) -> None:
    done = origin.says(caller, f"{verb} 'app.git'")
    assert (done.returncode, done.stdout) == (77, "")
    assert done.stderr.startswith("denied: ")


def test_what_was_pushed_is_not_overwritten_and_main_not_deleted(origin: Origin) -> None:
    tree = cloned(origin)
    commit(origin, tree, "second")
    assert origin.git("developer", "push", "origin", "main", "main:topic", cwd=tree).returncode == 0
    before = origin.heads()

    commit(origin, tree, "another second", "--amend")
    for branch in ("main", "topic"):
        forced = origin.git("developer", "push", "--force", "origin", f"main:{branch}", cwd=tree)
        assert forced.returncode == 1
        assert "non-fast-forward" in forced.stderr
    deleted = origin.git("developer", "push", "origin", "--delete", "main", cwd=tree)
    assert deleted.returncode == 1
    assert "deletion of the current branch prohibited" in deleted.stderr
    assert origin.heads() == before
    # A push that was refused, wholly or in part, is no success in the log either.
    partly = origin.git(
        "developer", "push", "--force", "origin", "main:topic", "HEAD:refs/heads/new", cwd=tree
    )
    assert partly.returncode == 1
    assert set(origin.heads()) == {*before, "new"}
    assert [line["result"] for line in origin.audit() if line["verb"] == "git-receive-pack"] == [
        0,
        1,
        1,
        1,
        1,
    ]


def test_a_tag_is_neither_moved_nor_deleted(origin: Origin) -> None:
    tree = cloned(origin)
    assert origin.git("developer", "push", "origin", "main:refs/tags/v1", cwd=tree).returncode == 0
    before = origin.heads()
    commit(origin, tree, "second")
    for words in (["--force", "main:refs/tags/v1"], ["--delete", "refs/tags/v1"]):
        refused = origin.git("developer", "push", "origin", *words, cwd=tree)
        assert refused.returncode == 1
        assert "refs/tags/v1 exists; tags are neither moved nor deleted" in refused.stderr
    assert origin.heads() == before
    # Of several references only the tag is refused.
    both = origin.git("developer", "push", "--force", "origin", "main", "main:refs/tags/v1", cwd=tree)
    assert both.returncode == 1
    assert (origin.heads()["v1"], origin.heads()["main"] == before["main"]) == (before["v1"], False)
    assert origin.git("developer", "push", "origin", "main:refs/tags/v2", cwd=tree).returncode == 0


def test_a_topic_branch_can_be_deleted_and_pushed_anew(origin: Origin) -> None:
    tree = cloned(origin)
    commit(origin, tree, "second")
    assert origin.git("developer", "push", "origin", "main:topic", cwd=tree).returncode == 0
    commit(origin, tree, "another second", "--amend")
    assert origin.git("developer", "push", "origin", "--delete", "topic", cwd=tree).returncode == 0
    assert origin.git("developer", "push", "origin", "main:topic", cwd=tree).returncode == 0
    head = origin.git("developer", "rev-parse", "HEAD", cwd=tree).stdout.strip()
    assert origin.heads()["topic"] == head


def test_the_rules_hold_whatever_the_repository_says(origin: Origin) -> None:
    """A hook and looser settings in the repository itself, as a restored backup might bring them."""
    marker = origin.root / "hook-ran"
    hook = origin.repository / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
    hook.chmod(0o755)
    for setting in ("receive.denyNonFastForwards=false", "receive.denyDeleteCurrent=ignore"):
        assert (
            origin.git("nobody", f"--git-dir={origin.repository}", "config", *setting.split("=")).returncode
            == 0
        )
    test_what_was_pushed_is_not_overwritten_and_main_not_deleted(origin)
    assert not marker.exists()


def test_broken_objects_are_refused(origin: Origin) -> None:
    """A tree that holds an entry called .git, which would write into a clone's own directory."""
    tree = cloned(origin)
    script = """
        set -e
        blob=$(git hash-object -w README)
        inner=$(printf '100644 blob %s\\tconfig\\n' "$blob" | git mktree)
        outer=$(printf '040000 tree %s\\t.git\\n' "$inner" | git mktree)
        git update-ref refs/heads/evil "$(git commit-tree -m evil "$outer")"
        """
    done = run("sh", "-c", script, cwd=tree, env=origin.environment("developer"))
    assert done.returncode == 0, done.stderr
    pushed = origin.git("developer", "push", "origin", "evil", cwd=tree)
    assert pushed.returncode != 0
    assert "hasDotgit" in pushed.stderr
    assert set(origin.heads()) == {"main"}


@pytest.mark.parametrize("name", ["app.git", "{directory}/app.git"])
def test_a_repository_has_two_names(origin: Origin, name: str) -> None:
    done = origin.says("developer", f"git-upload-pack '{name.format(directory=origin.directory)}'")
    assert done.stdout[4:44] == origin.heads()["main"]


@pytest.mark.parametrize(
    "name",
    [
        "other.git",
        "app",
        "/app.git",
        "./app.git",
        "../git/app.git",
        "app.git/",
        "app.git/.",
        "app.git/objects",
        "app.git/../app.git",
        "{directory}/../git/app.git",
        "{directory}/",
        "{directory}",
        "{root}/seed",
        "{root}/seed/.git",
        "~/app.git",
        "~git/app.git",
        "linked.git",
        "file.git",
        ".git",
        "APP.git",
        "app.git\n",
        "",
    ],
)
@pytest.mark.parametrize("verb", ["git-upload-pack", "git-receive-pack"])
def test_no_other_path_is_a_repository(origin: Origin, verb: str, name: str) -> None:
    (origin.directory / "linked.git").symlink_to(origin.root / "seed" / ".git")
    (origin.directory / "file.git").write_text("gitdir: ../seed/.git\n")
    word = name.format(directory=origin.directory, root=origin.root)
    done = origin.says("developer", f"{verb} '{word}'")
    assert (done.returncode, done.stdout) == (77, ""), done.stderr
    assert done.stderr.startswith("denied: there is no repository")


@pytest.mark.parametrize(
    "line",
    [
        "git-upload-pack",
        "git-upload-pack app.git app.git",
        "git-upload-pack --upload-pack=/bin/sh app.git",
        "git-receive-pack --stateless-rpc app.git",
        "git-upload-pack 'app.git",
    ],
)
def test_other_words_are_refused_and_start_nothing(origin: Origin, line: str) -> None:
    done = origin.says("developer", line)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "line",
    [
        "git upload-pack app.git",
        "git-upload-archive app.git",
        "git-shell -c id",
        "sh -c id",
        "git-upload-pack app.git; id",
        "/usr/bin/git-upload-pack app.git",
    ],
)
def test_there_is_no_other_way_to_run_something(origin: Origin, line: str) -> None:
    done = origin.says("developer", line)
    assert (done.returncode in (2, 77), done.stdout) == (True, ""), done.stderr


def test_the_callers_environment_does_not_reach_git(origin: Origin) -> None:
    """Variables that would make git run another program or read other settings."""
    marker = origin.root / "ran"
    trap = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "uploadpack.packObjectsHook",
        "GIT_CONFIG_VALUE_0": f"touch {marker};",
        "GIT_DIR": str(origin.root / "seed" / ".git"),
        "GIT_TRACE": str(marker),
    }
    done = run(
        str(origin.ssh),
        cwd=origin.root,
        env=origin.environment("developer", LINE="git-upload-pack 'app.git'", **trap),
    )
    assert done.stdout[4:44] == origin.heads()["main"]
    assert not marker.exists()


def test_without_an_audit_log_nothing_is_served(origin: Origin) -> None:
    (origin.root / "audit").rmdir()
    done = origin.says("developer", "git-upload-pack 'app.git'")
    assert (done.returncode, done.stdout) == (1, "")
    assert "audit" in done.stderr


def test_help_names_them(origin: Origin) -> None:
    shown = origin.says("monitor", "help")
    assert "git-upload-pack" in shown.stdout
    assert "git-receive-pack" not in shown.stdout
    assert origin.says("monitor", "git-upload-pack --help").returncode == 0


# -- references that are neither branch nor tag --


def test_a_replacement_lets_nobody_rewrite_history_finding_s1(origin: Origin) -> None:
    """The origin is told that the commit to be forgotten is an ancestor of the one pushed in its place."""
    tree = cloned(origin)
    commit(origin, tree, "kept")
    assert origin.git("developer", "push", "origin", "main:topic", cwd=tree).returncode == 0
    kept = origin.heads()["topic"]
    commit(origin, tree, "other", "--amend")
    script = f"""
        set -e
        other=$(git rev-parse HEAD)
        pretended=$(git cat-file commit $other | sed 's/^parent .*/parent {kept}/' | git hash-object -t commit -w --stdin)
        git push origin $pretended:refs/replace/$other
        """
    pushed = run("sh", "-c", script, cwd=tree, env=origin.environment("developer"))
    assert pushed.returncode == 1
    assert "neither a branch nor a tag" in pushed.stderr
    assert not list((origin.repository / "refs").glob("replace/*"))

    # Also where such a reference lies there from earlier times, or a graft does.
    script = f"""
        set -e
        git push origin HEAD:refs/heads/carrier
        other=$(git rev-parse HEAD)
        pretended=$(git cat-file commit $other | sed 's/^parent .*/parent {kept}/' | git hash-object -t commit -w --stdin)
        git push origin $pretended:refs/heads/carrier-2
        git --git-dir={origin.repository} update-ref refs/replace/$other $pretended
        mkdir -p {origin.repository}/info
        echo $other {kept} >{origin.repository}/info/grafts
        """
    assert run("sh", "-c", script, cwd=tree, env=origin.environment("developer")).returncode == 0
    forced = origin.git("developer", "push", "--force", "origin", "main:topic", cwd=tree)
    assert forced.returncode == 1
    assert "non-fast-forward" in forced.stderr
    assert origin.heads()["topic"] == kept


@pytest.mark.parametrize(
    "reference",
    [
        "refs/replace/{head}",
        "refs/notes/commits",
        "refs/meta/config",
        "refs/remotes/origin/main",
    ],
)
def test_only_branches_and_tags_are_taken_finding_s1(origin: Origin, reference: str) -> None:
    tree = cloned(origin)
    head = origin.heads()["main"]
    done = origin.git("developer", "push", "origin", f"main:{reference.format(head=head)}", cwd=tree)
    assert done.returncode == 1
    assert "only refs/heads/ and refs/tags/ are taken" in done.stderr
    assert set(origin.heads()) == {"main"}
    assert origin.audit()[-1]["result"] == 1
    allowed = origin.git("developer", "push", "origin", "main:refs/heads/a", "main:refs/tags/b", cwd=tree)
    assert allowed.returncode == 0, allowed.stderr


@pytest.mark.parametrize("name", ["{head}", "ABCDEF0123" * 4, "0" * 63 + "a"])
def test_no_branch_is_called_like_a_commit(origin: Origin, name: str) -> None:
    tree = cloned(origin)
    head = origin.heads()["main"]
    reference = f"refs/heads/{name.format(head=head)}"
    done = origin.git("developer", "push", "origin", f"main:{reference}", cwd=tree)
    assert done.returncode == 1
    assert f"{reference} is called like a commit" in done.stderr
    assert set(origin.heads()) == {"main"}
    # Others that look like it are, and one that lies there from earlier times can go.
    git = ("git", f"--git-dir={origin.repository}")
    environment = origin.environment("developer")
    assert run(*git, "update-ref", reference, head, cwd=tree, env=environment).returncode == 0
    assert origin.git("developer", "push", "origin", f":{reference}", cwd=tree).returncode == 0
    other = f"main:refs/heads/{head[:39]}"
    assert (
        origin.git("developer", "push", "origin", other, f"main:refs/heads/x/{head}", cwd=tree).returncode
        == 0
    )


# -- old history --


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("zone", "s/^\\(author .*\\) +0000$/\\1 +051800/"),
        ("zone of the committer", "s/^\\(committer .*\\) +0000$/\\1 -7/"),
        ("no space before the date", "s/^\\(author .*>\\) /\\1/"),
        ("no address", "s/^\\(author A Test\\) <[^>]*>/\\1 <>/"),
        ("date with zeros", "s/^\\(author .*> \\)/\\1000/"),
        ("date too large", "s/^\\(author .*>\\) [0-9]*/\\1 99999999999999999999/"),
        ("two authors", "s/^author .*/&\\n&/"),
    ],
)
def test_flaws_of_old_commits_are_accepted_finding_g3(origin: Origin, field: str, wrong: str) -> None:
    tree = cloned(origin)
    script = f"""
        set -e
        export TZ=UTC
        git commit --quiet --allow-empty --message=old
        old=$(git cat-file commit HEAD | sed '{wrong}' | git hash-object --literally -t commit -w --stdin)
        git reset --quiet --hard $old
        git commit --quiet --allow-empty --message=new
        """
    done = run("sh", "-c", script, cwd=tree, env=origin.environment("developer"))
    assert done.returncode == 0, done.stderr
    pushed = origin.git("developer", "push", "origin", "main", cwd=tree)
    assert pushed.returncode == 0, f"{field}: {pushed.stderr}"


def test_a_mode_written_with_a_zero_is_accepted_finding_g3(origin: Origin) -> None:
    tree = cloned(origin)
    script = """
        set -e
        blob=$(git rev-parse HEAD:README)
        { printf '0100644 README\\0'; printf %s "$blob" | sed 's/../\\\\x&/g' | xargs -0 printf '%b'; } >tree
        git update-ref refs/heads/old "$(git commit-tree -m old "$(git hash-object --literally -t tree -w tree)")"
        """
    done = run("bash", "-c", script, cwd=tree, env=origin.environment("developer"))
    assert done.returncode == 0, done.stderr
    pushed = origin.git("developer", "push", "origin", "old", cwd=tree)
    assert pushed.returncode == 0, pushed.stderr
    assert set(origin.heads()) == {"main", "old"}


# -- room --


def test_a_full_repository_takes_no_more_and_says_so_finding_s8(origin: Origin) -> None:
    tree = cloned(origin)

    def push(size: int) -> Any:
        (tree / "README").write_bytes(os.urandom(size))
        done = origin.git("developer", "commit", "--quiet", "--all", "--message=more", cwd=tree)
        assert done.returncode == 0, done.stderr
        return origin.git("developer", "push", "origin", "main", cwd=tree)

    (origin.repository / "config").open("a").write("[dockfra]\nmaxSize = 1m\n")
    assert push(400_000).returncode == 0
    nearly = push(400_000)
    assert nearly.returncode == 0
    assert "when it is full, pushes are refused" in nearly.stderr
    before, used = origin.heads(), size_of(origin.repository)
    full = push(400_000)
    assert full.returncode == 1
    assert "the repository is full" in full.stderr
    assert origin.heads() == before
    assert size_of(origin.repository) == used, "what was refused does not stay"
    assert origin.audit()[-1]["result"] == 1
    assert origin.git("monitor", "fetch", str(tree), cwd=tree).returncode == 0


def size_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
