# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""commit-push with real repositories: what reaches the origin, and what is said where it does not."""

from __future__ import annotations

import argparse
import io
import os
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import (
    CommandError,
    DeniedError,
    LateError,
    UsageError,
)
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import grammar, workspace
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Call, Place
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style
from ansible_collections.dockfra.core.plugins.plugin_utils.commands.developer import commit_push

from .conftest import Origin, run

PLACE = Place("developer", "ssh-developer", Policy({}, {}), {})
COMMAND = grammar.find("commit-push", "developer", "developer")

Push = Callable[..., dict[str, Any]]


@pytest.fixture
def home(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The developer's home directory, where the commands run; the workspace is not cloned yet."""
    home = origin.root / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\nname = developer\nemail = developer@example.com\n")
    settings = origin.root / "developer.json"
    settings.write_text(f'{{"workspace": "{home}/app", "origin": "git:app.git"}}')
    monkeypatch.setattr(workspace, "SETTINGS", settings)
    for name, value in origin.environment("developer", HOME=str(home)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def push(home: Path) -> Push:
    """Runs the command and returns its data."""

    def run(*words: str, text: str = "") -> dict[str, Any]:
        options: argparse.Namespace = COMMAND.parse(words)
        call = Call("commit-push", "developer", PLACE, options, io.BytesIO(text.encode()))
        data: dict[str, Any] = COMMAND.run(call)
        assert COMMAND.exit_status(data) == 0
        assert "\n" not in commit_push.render(data, Style())
        return data

    return run


@pytest.fixture
def tree(home: Path) -> Path:
    return workspace.workspace()


def git(origin: Origin, tree: Path, *words: str) -> str:
    done = origin.git("developer", *words, cwd=tree)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_first_use_clones_the_workspace(origin: Origin, home: Path, push: Push) -> None:
    data = push()
    assert (home / "app" / "README").read_text() == "first\n"
    assert data == {
        "branch": "main",
        "commit": origin.heads()["main"],
        "committed": False,
        "pushed": False,
        "files": [],
    }


def test_an_interrupted_clone_is_begun_again(home: Path, push: Push) -> None:
    (home / ".app.unfinished" / ".git").mkdir(parents=True)
    push()
    assert sorted(path.name for path in home.iterdir()) == [".gitconfig", "app"]


def test_a_directory_in_the_way_is_left_alone(home: Path, push: Push) -> None:
    (home / "app").mkdir()
    (home / "app" / "notes").write_text("mine")
    with pytest.raises(CommandError, match=r"is no clone of git:app.git; move it away"):
        push("message")
    assert [path.name for path in (home / "app").iterdir()] == ["notes"]


def test_changed_new_renamed_and_deleted_files_are_pushed(origin: Origin, tree: Path, push: Push) -> None:
    (tree / "a b").write_text("with a space\n")
    (tree / "gone").write_text("soon\n")
    push("second")
    (tree / "README").rename(tree / "READ\nME")
    (tree / "gone").unlink()
    (tree / "neu-ü").write_text("new\n")
    data = push("third")
    assert data["committed"]
    assert data["pushed"]
    assert set(data["files"]) == {"README", "READ\nME", "gone", "neu-ü"}
    assert origin.heads() == {"main": data["commit"]}
    assert git(origin, tree, "log", "-1", "--format=%an %ae %s") == "developer developer@example.com third"
    assert git(origin, tree, "status", "--porcelain") == ""


def test_it_works_on_the_work_tree_of_the_current_directory(
    origin: Origin, home: Path, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(origin, home, "clone", "--quiet", "git:app.git", "other")
    (home / "other" / "below").mkdir()
    (home / "other" / "README").write_text("second\n")
    monkeypatch.chdir(home / "other" / "below")
    assert push("second")["files"] == ["README"]
    assert not (home / "app").exists()


def test_a_home_directory_kept_in_git_is_not_committed(origin: Origin, home: Path, push: Push) -> None:
    git(origin, home, "init", "--quiet")
    assert push()["branch"] == "main"
    assert (home / "app").is_dir()
    assert origin.git("developer", "rev-parse", "--verify", "HEAD", cwd=home).returncode != 0


def test_ignored_files_stay(origin: Origin, tree: Path, push: Push) -> None:
    (tree / ".gitignore").write_text("*.log\n")
    (tree / "run.log").write_text("noise\n")
    assert push("ignore logs")["files"] == [".gitignore"]


def test_staged_takes_what_was_chosen(origin: Origin, tree: Path, push: Push) -> None:
    (tree / "README").write_text("second\n")
    (tree / "new").write_text("not yet\n")
    git(origin, tree, "add", "README")
    assert push("--staged", "second")["files"] == ["README"]
    assert git(origin, tree, "status", "--porcelain") == "?? new"
    assert not push("--staged")["pushed"]


def test_the_message_can_come_from_the_input(origin: Origin, tree: Path, push: Push) -> None:
    (tree / "README").write_text("second\n")
    push("-", text="Subject $(id) `id`\n\nBody --amend\n")
    assert git(origin, tree, "log", "-1", "--format=%B") == "Subject $(id) `id`\n\nBody --amend"


@pytest.mark.parametrize("words", [(), ("",), (" \n",)])
def test_changes_without_a_message_are_not_committed(
    origin: Origin, tree: Path, push: Push, words: tuple[str, ...]
) -> None:
    (tree / "README").write_text("second\n")
    before = origin.heads()
    with pytest.raises(UsageError, match="1 file to commit, and no message"):
        push(*words)
    assert git(origin, tree, "rev-parse", "HEAD") == before["main"] == origin.heads()["main"]


def test_a_message_that_looks_like_an_option_is_a_message(origin: Origin, tree: Path, push: Push) -> None:
    (tree / "README").write_text("second\n")
    push("--", "--amend")
    assert git(origin, tree, "log", "--format=%s") == "--amend\nfirst"


def test_commits_that_were_not_pushed_yet_are(origin: Origin, tree: Path, push: Push) -> None:
    (tree / "README").write_text("second\n")
    git(origin, tree, "commit", "--quiet", "--all", "--message=second")
    data = push()
    assert (data["committed"], data["pushed"], data["files"]) == (False, True, [])
    assert origin.heads()["main"] == data["commit"] == git(origin, tree, "rev-parse", "HEAD")


def test_a_new_branch_is_pushed_with_its_upstream(origin: Origin, tree: Path, push: Push) -> None:
    git(origin, tree, "switch", "--quiet", "--create", "topic/one")
    (tree / "README").write_text("second\n")
    data = push("second")
    assert (data["branch"], data["pushed"]) == ("topic/one", True)
    assert origin.heads()["topic/one"] == data["commit"] != origin.heads()["main"]
    assert git(origin, tree, "rev-parse", "--abbrev-ref", "@{upstream}") == "origin/topic/one"


def test_a_rejected_push_says_so_and_the_commit_stays(
    origin: Origin, home: Path, tree: Path, push: Push
) -> None:
    git(origin, home, "clone", "--quiet", "git:app.git", "colleague")
    (home / "colleague" / "other").write_text("theirs\n")
    git(origin, home / "colleague", "add", "other")
    git(origin, home / "colleague", "commit", "--quiet", "--message=theirs")
    git(origin, home / "colleague", "push", "--quiet")
    theirs = origin.heads()["main"]

    (tree / "README").write_text("mine\n")
    with pytest.raises(
        CommandError, match=r"push of main was rejected: the origin has commits .* 'git pull'"
    ) as told:
        push("mine")
    mine = git(origin, tree, "rev-parse", "HEAD")
    assert mine[:7] in str(told.value)
    assert git(origin, tree, "log", "-1", "--format=%s") == "mine"
    assert origin.heads()["main"] == theirs

    # What it says to do works.
    git(origin, tree, "pull", "--rebase", "--quiet")
    assert push()["pushed"]
    assert git(origin, tree, "log", "--format=%s") == "mine\ntheirs\nfirst"


def test_rewritten_history_is_rejected(origin: Origin, tree: Path, push: Push) -> None:
    (tree / "README").write_text("second\n")
    pushed = push("second")["commit"]
    git(origin, tree, "commit", "--quiet", "--amend", "--message=rewritten")
    with pytest.raises(CommandError, match="was rejected"):
        push()
    assert origin.heads()["main"] == pushed


def test_what_the_origin_refuses_is_told_in_its_words(origin: Origin, tree: Path, push: Push) -> None:
    git(origin, origin.root, f"--git-dir={origin.repository}", "config", "receive.maxInputSize", "200")
    (tree / "big").write_bytes(os.urandom(4000))
    with pytest.raises(CommandError, match=r"was rejected: .*unpack"):
        push("too much")
    assert git(origin, tree, "log", "-1", "--format=%s") == "too much"


def test_who_may_not_push_is_denied(
    origin: Origin, tree: Path, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLER", "monitor")
    (tree / "README").write_text("second\n")
    with pytest.raises(DeniedError, match="the monitor may not use git-receive-pack"):
        push("second")
    assert git(origin, tree, "log", "-1", "--format=%s") == "second"


def test_an_origin_out_of_reach_is_told_with_the_reason(
    origin: Origin, home: Path, tree: Path, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "no-ssh").write_text(
        "#!/bin/sh\necho 'ssh: connect to host git port 2222: Connection refused' >&2\nexit 255\n"
    )
    (home / "no-ssh").chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(home / "no-ssh"))
    (tree / "README").write_text("second\n")
    with pytest.raises(CommandError, match=r"the origin cannot be reached: ssh: .*Connection refused"):
        push("second")
    assert git(origin, tree, "log", "-1", "--format=%s") == "second"

    (tree).rename(home / "elsewhere")
    with pytest.raises(CommandError, match=r"git:app.git cannot be cloned: ssh: .*Connection refused"):
        push("second")
    assert not tree.exists()


def test_a_detached_head_has_no_branch_to_push(origin: Origin, tree: Path, push: Push) -> None:
    git(origin, tree, "checkout", "--quiet", "--detach")
    (tree / "README").write_text("second\n")
    with pytest.raises(CommandError, match="HEAD is detached"):
        push("second")
    assert git(origin, tree, "status", "--porcelain") == "M README"


def conflicting(origin: Origin, tree: Path) -> None:
    """Two branches that change the same line, both only here."""
    git(origin, tree, "switch", "--quiet", "--create", "topic")
    (tree / "README").write_text("theirs\n")
    git(origin, tree, "commit", "--quiet", "--all", "--message=theirs")
    git(origin, tree, "switch", "--quiet", "main")
    (tree / "README").write_text("mine\n")
    git(origin, tree, "commit", "--quiet", "--all", "--message=mine")


def test_a_conflict_is_not_committed_and_its_resolution_is(origin: Origin, tree: Path, push: Push) -> None:
    conflicting(origin, tree)
    assert origin.git("developer", "merge", "topic", cwd=tree).returncode == 1
    before = origin.heads()
    with pytest.raises(CommandError, match="README is in conflict"):
        push("merged")
    assert "<<<<<<<" in (tree / "README").read_text()
    assert origin.heads() == before

    (tree / "README").write_text("both\n")
    git(origin, tree, "add", "README")
    assert push("merged")["files"] == ["README"]
    assert git(origin, tree, "rev-list", "--count", "--min-parents=2", "HEAD") == "1"


def test_a_rebase_in_progress_is_ended_first(origin: Origin, tree: Path, push: Push) -> None:
    conflicting(origin, tree)
    assert origin.git("developer", "rebase", "topic", cwd=tree).returncode == 1
    with pytest.raises(CommandError, match="a rebase is in progress"):
        push("merged")


def test_a_work_tree_without_an_origin(
    origin: Origin, home: Path, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(origin, home, "init", "--quiet", "--initial-branch=main", "mine")
    monkeypatch.chdir(home / "mine")
    with pytest.raises(CommandError, match="main has no commit yet, and there is nothing to commit"):
        push()
    (home / "mine" / "file").write_text("text\n")
    with pytest.raises(CommandError, match="'origin' does not appear to be a git repository"):
        push("first")


def test_a_commit_that_a_hook_refuses_is_not_pushed(origin: Origin, tree: Path, push: Push) -> None:
    hook = tree / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'the tests fail' >&2\nexit 1\n")
    hook.chmod(0o755)
    (tree / "README").write_text("second\n")
    before = origin.heads()
    with pytest.raises(CommandError, match="git commit: the tests fail"):
        push("second")
    assert origin.heads() == before


# -- whatever a person's settings are --

CONFIGURATION = """
    [commit]
        cleanup = strip
        gpgSign = true
        template = {home}/template
        verbose = true
        status = false
    [core]
        commentChar = f
        editor = false
        pager = false
        quotePath = false
        fsmonitor = /bin/false
    [color]
        ui = always
        push = always
    [alias]
        commit = !false
        push = !false
        add = !false
        status = !false
    [diff]
        external = /bin/false
        noprefix = true
        orderFile = {home}/nowhere
        ignoreSubmodules = all
    [i18n]
        commitEncoding = ISO-8859-1
        logOutputEncoding = ISO-8859-1
    [log]
        showSignature = true
    [format]
        pretty = oneline
    [push]
        default = nothing
        followTags = true
        gpgSign = if-asked
        pushOption = something
    [gpg]
        program = /bin/false
    [status]
        short = true
        relativePaths = true
        showUntrackedFiles = no
    """
MESSAGES = [
    "#12 fix login",
    "fix: #12\n\n# Why\n\n  it was broken \n\n\n- twice",
    "über \N{SNOWMAN}",
    "-m",
    "--amend",
    "%s {} \\n $HOME `id`",
]


@pytest.mark.parametrize("message", MESSAGES)
def test_the_message_arrives_as_typed_whatever_is_configured_finding_g2(
    origin: Origin, home: Path, tree: Path, push: Push, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (home / ".gitconfig").open("a") as file:
        file.write(textwrap.dedent(CONFIGURATION.format(home=home)))
    (home / "template").write_text("# from a template\n")
    for name, value in {"GIT_DIR": "/nonexistent", "GIT_EDITOR": "false", "GIT_TRACE": "1"}.items():
        monkeypatch.setenv(name, value)
    (tree / "über").write_text("new\n")
    data = push("-", text=message)
    assert (data["committed"], data["pushed"], data["files"]) == (True, True, ["über"])
    raw = run(
        *("git", f"--git-dir={origin.repository}", "cat-file", "commit", data["commit"]),
        cwd=origin.root,
        env={"PATH": os.environ["PATH"]},
    ).stdout
    head, _empty, body = raw.partition("\n\n")
    assert body == f"{message}\n"
    assert "encoding" not in head
    assert "gpgsig" not in head


@pytest.mark.parametrize("hook", ["prepare-commit-msg", "commit-msg"])
def test_a_hook_does_not_change_the_message_finding_g2(
    origin: Origin, tree: Path, push: Push, hook: str
) -> None:
    script = tree / ".git" / "hooks" / hook
    script.parent.mkdir(exist_ok=True)
    script.write_text('#!/bin/sh\necho changed >"$1"\n')
    script.chmod(0o755)
    (tree / "README").write_text("second\n")
    push("#1 as typed")
    assert git(origin, tree, "log", "-1", "--format=%s", "origin/main") == "#1 as typed"
    assert git(origin, tree, "rev-list", "--count", "origin/main") == "2"


def test_a_commit_that_fails_leaves_what_was_chosen_as_it_was_finding_g2(
    origin: Origin, tree: Path, push: Push
) -> None:
    (tree / "chosen").write_text("chosen\n")
    (tree / "other").write_text("other\n")
    git(origin, tree, "add", "chosen")
    hook = tree / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(CommandError):
        push("second")
    assert git(origin, tree, "status", "--porcelain") == "A  chosen\n?? other"


@pytest.mark.parametrize("how", ["late", "interrupted", "zero byte"])
def test_whatever_ends_a_commit_leaves_what_was_chosen_as_it_was_finding_g2(
    origin: Origin, tree: Path, push: Push, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "chosen").write_text("chosen\n")
    (tree / "other").write_text("other\n")
    git(origin, tree, "add", "chosen")
    asked = workspace.asked

    def ended(tree: Path, *words: str, **more: Any) -> str:
        if words[0] == "commit":
            raise LateError("late") if how == "late" else KeyboardInterrupt
        return asked(tree, *words, **more)

    if how != "zero byte":
        monkeypatch.setattr(workspace, "asked", ended)
    with pytest.raises((LateError, KeyboardInterrupt, UsageError)):
        push("-", text="a\0b\n" if how == "zero byte" else "second")
    assert git(origin, tree, "status", "--porcelain") == "A  chosen\n?? other"


def test_a_message_as_long_as_the_input_may_be_arrives_whole_finding_g2(
    origin: Origin, tree: Path, push: Push
) -> None:
    """Longer than any argument."""
    message = "Long\n\n" + "words of a long message\n" * 20_000
    (tree / "other").write_text("other\n")
    push("-", text=message)
    assert git(origin, tree, "log", "-1", "--format=%B", "origin/main").strip() == message.strip()


@pytest.mark.parametrize("message", ["\u200b", "\ufeff \u00ad", "\u3164"])
def test_a_message_that_nobody_sees_is_none_finding_g5(tree: Path, push: Push, message: str) -> None:
    (tree / "other").write_text("other\n")
    with pytest.raises(UsageError, match="no message"):
        push(message)


# -- nothing stays behind unsaid --


def nested(origin: Origin, tree: Path, name: str, commits: bool) -> Path:
    inner = tree / name
    git(origin, tree, "init", "--quiet", name)
    (inner / "file").write_text("text\n")
    if commits:
        git(origin, inner, "add", "--all")
        git(origin, inner, "commit", "--quiet", "--message=inner")
    return inner


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("name", ["library", "deep/er/lib rary"])
def test_a_repository_within_is_refused_by_name_finding_g1(
    origin: Origin, tree: Path, push: Push, name: str, commits: bool
) -> None:
    nested(origin, tree, name, commits)
    (tree / "README").write_text("second\n")
    before = origin.heads()
    with pytest.raises(CommandError, match=rf"{name} is a repository of its own.* remove its \.git"):
        push("Add a library")
    assert origin.heads() == before
    assert git(origin, tree, "diff", "--cached", "--name-only") == ""


def test_one_that_git_was_told_to_add_is_refused_too_finding_g1(
    origin: Origin, tree: Path, push: Push
) -> None:
    nested(origin, tree, "library", True)
    git(origin, tree, "add", "library")
    before = origin.heads()
    for words in (["Add a library"], ["--staged", "Add a library"]):
        with pytest.raises(CommandError, match="library is a repository of its own"):
            push(*words)
    assert origin.heads() == before


def test_its_files_are_pushed_once_it_is_no_repository_finding_g1(
    origin: Origin, tree: Path, push: Push
) -> None:
    inner = nested(origin, tree, "library", True)
    shutil.rmtree(inner / ".git")
    assert push("Add a library")["files"] == ["library/file"]


def test_a_declared_submodule_is_pushed_and_changes_in_it_are_not_lost_finding_g1(
    origin: Origin, tree: Path, push: Push
) -> None:
    source = nested(origin, origin.root, "library", True)
    git(
        *(origin, tree, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add"),
        *(str(source), "library"),
    )
    assert set(push("Add a library")["files"]) == {".gitmodules", "library"}
    (tree / "library" / "file").write_text("changed\n")
    with pytest.raises(CommandError, match="library is a repository of its own"):
        push("Change the library")


def test_what_git_only_warns_of_is_a_failure_finding_g1(origin: Origin, tree: Path, push: Push) -> None:
    """A line-end conversion that cannot be undone: the commit would not hold what the file does."""
    (tree / ".gitattributes").write_text("*.txt text working-tree-encoding=UTF-16\n")
    (tree / "mixed.txt").write_bytes(b"no UTF-16")
    before = origin.heads()
    with pytest.raises(CommandError, match=r"git add: .*mixed\.txt"):
        push("second")
    assert origin.heads() == before
