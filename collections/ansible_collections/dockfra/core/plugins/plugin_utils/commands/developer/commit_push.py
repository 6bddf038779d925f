# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Commit all changes and push the current branch to the origin.

It works on the work tree of the current directory, elsewhere on ~/app. New files are committed too, ignored ones are not;
--staged takes only what 'git add' has chosen. With nothing to commit, commits that were not pushed yet are, and the
message may be left out. Where the push is rejected, the commit stays and nothing is lost.

The message arrives as it was typed, whatever git's settings are: a hook of your own can refuse a commit or a push, but
not change the message. Signing and other settings hold for 'git commit' and 'git push'.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ....module_utils.errors import CommandError, UsageError
from ....module_utils.text import visible
from ...cli import workspace
from ...cli.call import Call
from ...cli.output import Style

EXAMPLES: list[str] = [
    'commit-push "Show the release on the page"',
    "commit-push - < message.txt",
    "commit-push",
]

# Seconds; a large push over a slow line takes its time.
TIME_LIMIT = 1800.0

_FROM_INPUT = "-"

# The mode of an entry that is another repository's commit, of which nothing else is kept (git-fast-import(1)).
_SUBMODULE = "160000"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "message", nargs="?", metavar="MESSAGE", help="what the commit does; - reads the input"
    )
    parser.add_argument("--staged", action="store_true", help="commit only what 'git add' has chosen")


def reads_input(options: argparse.Namespace) -> bool:
    return bool(options.message == _FROM_INPUT)


def changes(options: argparse.Namespace) -> bool:
    return True


def run(call: Call) -> dict[str, Any]:
    message = call.input() if reads_input(call.options) else call.options.message
    tree = workspace.work_tree()
    branch, changed = _state(tree)
    wanted = [path for path, staged in changed if staged or not call.options.staged]
    if wanted:
        if not visible(message or ""):
            raise UsageError(f"{_counted(wanted)} to commit, and no message that says what they do")
        if "\0" in message:
            raise UsageError("the message holds a zero byte, with which git would end it; remove it")
        _commit(tree, message.strip("\n"), call.options.staged)
    commit = workspace.git(tree, "rev-parse", "--quiet", "--verify", "HEAD").stdout.strip()
    if not commit:
        raise CommandError(f"{branch} has no commit yet, and there is nothing to commit")
    return {
        "branch": branch,
        "commit": commit,
        "committed": bool(wanted),
        "pushed": workspace.push(tree, branch, commit),
        "files": _files(tree) if wanted else [],
    }


def render(data: dict[str, Any], style: Style) -> str:
    commit = style.paint(data["commit"][:7], "bold")
    if data["committed"]:
        return f"Committed {commit} on {data['branch']} ({_counted(data['files'])}) and pushed it."
    if data["pushed"]:
        return f"Nothing to commit; pushed {data['branch']} up to {commit}."
    return f"Nothing to commit, and the origin has all of {data['branch']} ({commit})."


def _state(tree: Path) -> tuple[str, list[tuple[str, bool]]]:
    """Return the branch, and the changed files, each with whether it is staged; raises where a commit makes no sense."""
    directory = Path(workspace.asked(tree, "rev-parse", "--absolute-git-dir").rstrip("\n"))
    if (directory / "rebase-merge").exists() or (directory / "rebase-apply").exists():
        raise CommandError(
            "a rebase is in progress; end it with 'git rebase --continue' or 'git rebase --abort' first"
        )
    branch, changed, conflicts, others = "", [], [], []
    entries = iter(
        workspace.asked(tree, "status", "--porcelain=v2", "--branch", "--untracked-files=all", "-z").split(
            "\0"
        )
    )
    # A line an entry, with its path at the end (git-status(1), Porcelain Format Version 2).
    for entry in entries:
        kind, _space, rest = entry.partition(" ")
        if kind == "#" and rest.startswith("branch.head "):
            branch = rest.removeprefix("branch.head ")
        elif kind in ("1", "2"):
            fields = entry.split(" ", 8 if kind == "1" else 9)
            changed.append((fields[-1], rest[0] != "."))
            if _SUBMODULE in fields[4:6] and not _is_kept_elsewhere(tree, fields[2], fields[-1]):
                others.append(fields[-1])
            if kind == "2":
                next(entries)  # where it was before
        elif kind == "u":
            conflicts.append(entry.split(" ", 10)[10])
        elif kind == "?":
            changed.append((rest, False))
            # With all untracked files shown, a directory is one that git does not look into.
            if rest.endswith("/"):
                others.append(rest.rstrip("/"))
    if others:
        raise CommandError(
            f"{_named(others)} a repository of its own, so its files would stay behind; remove its .git to have "
            "them here, or move it out of the work tree"
        )
    if conflicts:
        raise CommandError(
            f"{_named(conflicts)} in conflict; put that right and 'git add' it, or 'git merge --abort'"
        )
    if branch == "(detached)":
        raise CommandError(
            "HEAD is detached, so there is no branch to push; 'git switch --create NAME' makes one of it"
        )
    return branch, changed


def _is_kept_elsewhere(tree: Path, state: str, path: str) -> bool:
    """Whether a submodule is declared, and has nothing that only this work tree has.

    Args:
        tree: the work tree.
        state: what ``git status`` says of it: S, then C for another commit, M and U for changes in it.
        path: where it is.
    """
    if "M" in state or "U" in state:
        return False
    declared = workspace.git(
        tree, "config", "--file", ".gitmodules", "--null", "--get-regexp", r"^submodule\..*\.path$"
    )
    return any(entry.partition("\n")[2] == path for entry in declared.stdout.split("\0"))


def _commit(tree: Path, message: str, staged: bool) -> None:
    """Commit; where that fails, what was chosen with 'git add' is as it was before."""
    before = workspace.asked(tree, "write-tree").strip()
    try:
        if not staged:
            _add(tree)
        # By its input: no argument is as long as a message may be.
        said = workspace.as_bytes(f"{message}\n")
        workspace.asked(tree, "commit", "--quiet", "--file=-", data=said)
        if workspace.asked(tree, "show", "--no-patch", "--format=%B", "HEAD").strip("\n") != message:
            # A hook may refuse a commit; what it says was not for it to choose.
            workspace.asked(
                tree, "commit", "--quiet", "--amend", "--only", "--file=-", hooks=False, data=said
            )
    except BaseException:  # Ctrl-C and a hook that does not end as well
        workspace.git(tree, "read-tree", before)
        raise


def _add(tree: Path) -> None:
    """Add all; what git only warns of would not be in the commit as the person expects it to be."""
    done = workspace.git(tree, "add", "--all")
    if done.returncode or done.stderr.strip():
        raise CommandError(f"git add: {workspace.first_line(done.stderr) or 'failed without a reason'}")


def _files(tree: Path) -> list[str]:
    """The files of the last commit; of a merge, what it changed on this branch."""
    shown = workspace.asked(
        tree, "show", "--format=", "--name-only", "--no-renames", "--diff-merges=first-parent", "-z", "HEAD"
    )
    return [name.encode("utf-8", "replace").decode() for name in shown.split("\0") if name.strip()]


def _counted(files: list[str]) -> str:
    return f"{len(files)} file{'' if len(files) == 1 else 's'}"


def _named(files: list[str]) -> str:
    named = ", ".join(name.encode("utf-8", "replace").decode() for name in files[:3])
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return f"{named}{more} {'is' if len(files) == 1 else 'are'}"
