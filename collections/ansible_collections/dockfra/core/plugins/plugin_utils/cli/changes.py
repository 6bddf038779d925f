# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What of the developer's repository goes to a review: whole files, or what changed in them, each line with its number."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ...module_utils.errors import CommandError, TooMuchError, UsageError
from ...module_utils.text import shown
from . import material, workspace
from .material import Room

# Files at once; each costs a call of git.
MOST_FILES = 100

# Lines around a change that go along.
_CONTEXT = 8

# What a repository without a commit is compared with.
_EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

_HUNK = re.compile(r"@@ -[0-9]+(?:,[0-9]+)? \+([0-9]+)(?:,[0-9]+)? @@")
# The same for everybody, whatever programs the repository's attributes and the person's settings name, and whatever they call no text.
_DIFF = (
    *("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--ignore-submodules=none"),
    "--text",
)


class Part(NamedTuple):
    """What of one file is looked at.

    Attributes:
        name: the file, from the top of the work tree, as `material.plain` has it.
        text: its lines, each with its number and a sign.
        lines: the numbers of the lines.
    """

    name: str
    text: str
    lines: frozenset[int]


class Changes(NamedTuple):
    """What is looked at.

    Attributes:
        what: in a few words.
        parts: file by file.
        left_out: names of those that are no text.
        deleted: names of those that are no more.
        unseen: those of `left_out` of which nobody knows whether they are text.
    """

    what: str
    parts: Sequence[Part]
    left_out: Sequence[str] = ()
    deleted: Sequence[str] = ()
    unseen: Sequence[str] = ()

    def text(self) -> str:
        """Return all of it for a question."""
        texts = [material.marked(part.name, part.text) for part in self.parts]
        if self.deleted:
            texts.append(material.marked("deleted files", "\n".join(self.deleted)))
        return "\n\n".join(texts)


def of_files(tree: Path, names: Sequence[str], room: Room) -> Changes:
    """Return whole files.

    Args:
        tree: the work tree; nothing outside it is read.
        names: paths from the current directory, or from the top where that is elsewhere.
        room: what may go along.

    Raises:
        UsageError: one is not in the work tree, is no file, no text, or too much.
        CommandError: one cannot be read.
    """
    here = Path.cwd()
    base = here if here.is_relative_to(tree) else tree
    paths = list(dict.fromkeys(_within(tree, base / name, name) for name in names))
    if len(paths) > MOST_FILES:
        raise UsageError(f"at most {MOST_FILES} files are looked at; name fewer")
    return Changes(
        "files", [_whole(str(path.relative_to(tree.resolve())), room.read(path), " ") for path in paths]
    )


def not_committed(tree: Path, room: Room) -> Changes:
    """Return what differs from the last commit, new files included; raises as `of_branch` does."""
    has_commit = workspace.git(tree, "rev-parse", "--quiet", "--verify", "HEAD").returncode == 0
    found = _compared(
        tree, [workspace.asked(tree, "rev-parse", "HEAD").strip() if has_commit else _EMPTY], room
    )
    parts, left_out = list(found.parts), list(found.left_out)
    new = _names(workspace.asked(tree, "ls-files", "--others", "--exclude-standard", "-z"))
    _bounded([*parts, *new])
    for name in new:
        # Of a link git keeps where it leads, and never what is there. A directory is another repository.
        if (tree / name).is_symlink() or not (tree / name).is_file():
            left_out.append(name)
            continue
        path = _within(tree, tree / name, name)
        try:
            parts.append(_whole(name, room.read(path, name, any_text=True), "+"))
        except material.NoTextError:
            left_out.append(name)
    plain = list(map(material.plain, left_out))
    return found._replace(what="what is not committed", parts=parts, left_out=plain)


def of_branch(tree: Path, branch: str, room: Room) -> Changes:
    """Return what a branch has that ``main`` has not.

    Raises:
        UsageError: there is no such branch, or it is too much.
        CommandError: git fails.
    """
    tip = _commit(tree, branch)
    if tip is None:
        raise UsageError(
            f"there is no branch {shown(branch)}, here or at the origin; 'git branch -a' lists them"
        )
    # What others have added to main since is none of the branch's.
    main = workspace.git(tree, "rev-parse", "--quiet", "--verify", "refs/remotes/origin/main").stdout.strip()
    main = main or _commit(tree, "main") or _EMPTY
    base = workspace.git(tree, "merge-base", main, tip).stdout.strip() or _EMPTY
    return _compared(tree, [base, tip], room)._replace(what=f"branch {branch}")


def _commit(tree: Path, branch: str) -> str | None:
    for reference in (f"refs/heads/{branch}", f"refs/remotes/origin/{branch}"):
        found = workspace.git(tree, "rev-parse", "--quiet", "--verify", f"{reference}^{{commit}}")
        if found.returncode == 0:
            return found.stdout.strip()
    return None


def _compared(tree: Path, commits: Sequence[str], room: Room) -> Changes:
    """What differs from a commit, or between two."""

    def named(kind: str) -> list[str]:
        return _names(
            workspace.asked(tree, *_DIFF, "--name-only", "-z", f"--diff-filter={kind}", *commits, "--")
        )

    changed, deleted = named("d"), named("D")
    _bounded(changed)
    parts: list[Part] = []
    left_out: list[str] = []
    unseen: list[str] = []
    for name in changed:
        words = (*_DIFF, f"--unified={_CONTEXT}", *commits, "--", f":(top,literal){name}")
        try:
            diff = workspace.asked(tree, *words)
        except TooMuchError:
            unseen.append(name)
            continue
        part = None if "\0" in diff else _numbered(name, room.take(shown(name), diff))
        if part and part.text:
            parts.append(part)
        else:  # it is no text, or nothing but its mode has changed
            left_out.append(name)
    names = (list(map(material.plain, each)) for each in (left_out + unseen, deleted, unseen))
    return Changes("", parts, *names)


def _bounded(files: Sequence[object]) -> None:
    if len(files) > MOST_FILES:
        raise UsageError(
            f"{len(files)} files changed, and at most {MOST_FILES} are looked at; name some of them"
        )


def _names(listing: str) -> list[str]:
    return [name.encode("utf-8", "replace").decode() for name in listing.split("\0") if name]


def _within(tree: Path, path: Path, name: str) -> Path:
    """A path whose links are resolved; raises UsageError where it leads out of the work tree, or to what git keeps there."""
    top = tree.resolve()
    try:
        found = path.resolve()
    except (OSError, RuntimeError) as error:
        raise CommandError(f"{shown(name)} cannot be found: its links lead in a circle") from error
    if not found.is_relative_to(top) or ".git" in found.relative_to(top).parts:
        raise UsageError(f"{shown(name)} is not in {tree}; only what is there is looked at")
    return found


def _whole(name: str, text: str, sign: str) -> Part:
    lines = text.split("\n")
    if lines and not lines[-1]:
        del lines[-1]
    numbered = [f"{number:>6} {sign}{_shown(line)}" for number, line in enumerate(lines, 1)]
    return Part(material.plain(name), "\n".join(numbered), frozenset(range(1, len(lines) + 1)))


def _numbered(name: str, diff: str) -> Part:
    """What ``git diff`` says of one file, with the numbers that its lines have afterwards."""
    lines: list[str] = []
    numbers: list[int] = []
    for number, sign, text in _changed(diff):
        lines.append(f"{number or '':>6} {sign}{_shown(text)}")
        if number:
            numbers.append(number)
    return Part(material.plain(name), "\n".join(lines), frozenset(numbers))


def _changed(diff: str) -> Iterator[tuple[int, str, str]]:
    """Number, sign and text of each line; one that was taken out has the number 0."""
    number, within = 0, False
    for line in diff.split("\n"):
        if hunk := _HUNK.match(line):
            if within:
                yield 0, " ", "..."
            # A file of which nothing is left has the number 0.
            number, within = int(hunk[1]), True
        elif within and line[:1] in ("+", " "):
            yield number, line[0], line[1:]
            number += 1
        elif within and line.startswith("-"):
            yield 0, "-", line[1:]


def _shown(line: str) -> str:
    """A line as it is shown; that lines end as on Windows is nothing to look at."""
    return material.plain(line.removesuffix("\r"))
