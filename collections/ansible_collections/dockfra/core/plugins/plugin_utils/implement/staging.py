# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Where a change grows before anybody sees it: a repository of its own beside the developer's clone, from the origin's main.

It borrows the clone's objects and has none of its settings, hooks or files. Nothing is ever checked out, so no link of a tree is
followed and no attribute obeyed. The clone gets one branch at the very end, in one step; the work tree there is not touched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ...module_utils.edits.apply import Changes
from ...module_utils.edits.paths import FILES
from ...module_utils.errors import BusyError, CommandError
from ..cli import workspace
from ..cli.flaws import tolerated

MAIN = "refs/heads/main"

# Branches of this repository: what the origin has of the ticket's, and what is made here.
_THERE = "refs/heads/there/"
_MADE = "refs/heads/made/"

_SETTINGS = {
    "gc.auto": "0",
    "maintenance.auto": "false",
    **tolerated("fetch"),
    "core.useReplaceRefs": "false",
}
# A tree is given as it is, whatever attributes it has itself: these count before those.
_ATTRIBUTES = "* -export-ignore -export-subst -filter -ident -text !eol !working-tree-encoding !diff\n"

# Bytes of files that are read at once.
_MAX_READ = 6 * 1024 * 1024


class Entry(NamedTuple):
    """What a tree has at a path.

    Attributes:
        mode: git's word for what it is.
        name: git's name for its content.
        size: its bytes.
    """

    mode: str
    name: str
    size: int


class Staging:
    """The repository.

    Args:
        clone: the developer's.
        branch: the branch that the change becomes.
        folder: an empty directory for it.
    """

    def __init__(self, clone: Path, branch: str, folder: Path) -> None:
        self._clone, self.branch = clone, branch
        self.folder = folder / "repository"
        self._make(folder)
        self.base = self._commit(MAIN)
        self.there = self._commit(f"{_THERE}{branch}")
        self._before = self.local()
        self.entries = self.listed(self.base)

    def _make(self, folder: Path) -> None:
        origin = workspace.asked(self._clone, "remote", "get-url", workspace.ORIGIN).strip()
        objects = workspace.asked(self._clone, "rev-parse", "--path-format=absolute", "--git-path", "objects")
        workspace.asked(folder, "init", "--quiet", "--bare", "--template=", str(self.folder), hooks=False)
        for name, value in _SETTINGS.items():
            self._asked("config", name, value)
        (self.folder / "info").mkdir(exist_ok=True)
        (self.folder / "info/attributes").write_text(_ATTRIBUTES, encoding="utf-8")
        (self.folder / "objects/info/alternates").write_text(objects, encoding="utf-8")
        wanted = [f"+{MAIN}:{MAIN}", f"+refs/heads/{self.branch}*:{_THERE}{self.branch}*"]
        # A path of the origin is one from the clone.
        done = workspace.git(
            self._clone,
            f"--git-dir={self.folder}",
            "fetch",
            "--quiet",
            "--no-tags",
            origin,
            *wanted,
            hooks=False,
        )
        if done.returncode:
            raise workspace.unreachable(done, f"{origin} cannot be read")

    # What is there ---------------------------------------------------------------------------------------------------

    def local(self) -> str:
        """Return the commit of the clone's own branch; empty where there is none."""
        done = workspace.git(
            self._clone, "rev-parse", "--quiet", "--verify", f"refs/heads/{self.branch}^{{commit}}"
        )
        return done.stdout.strip()

    def message(self, commit: str) -> str:
        """Return the message of a commit that the clone has."""
        return workspace.asked(self._clone, "show", "--no-patch", "--format=%B", commit, "--")

    def commits_of_clone(self) -> list[str]:
        """Return the commits of the clone's branch that neither main nor the origin's branch has."""
        known = [commit for commit in (self.base, self.there) if commit]
        # The clone itself may lack what the origin has; here all of it is known.
        words = ["rev-list", "--max-count=1000", self.local(), *(f"^{commit}" for commit in known)]
        return self._asked(*words).split()

    def check_free(self) -> None:
        """Raise where a work tree has the branch checked out: it would not know what happened to it."""
        where = workspace.asked(
            self._clone, "for-each-ref", "--format=%(worktreepath)", f"refs/heads/{self.branch}"
        ).strip()
        if where:
            raise BusyError(f"{self.branch} is checked out in {where}; switch to another branch there first")

    def listed(self, commit: str) -> dict[str, Entry]:
        """Return what the tree of a commit has, by path."""
        found = {}
        for line in self._asked("ls-tree", "-r", "-z", "--long", "--full-tree", commit).split("\0"):
            if line:
                about, _tab, path = line.partition("\t")
                mode, _kind, name, size = about.split()
                found[path] = Entry(mode, name, int(size) if size.isdecimal() else 0)
        return found

    def contents(self, paths: Sequence[str]) -> dict[str, bytes]:
        """Return what files of main have, as many of them as can be read at once."""
        chosen, left = [], _MAX_READ
        for path in paths:
            entry = self.entries.get(path)
            if entry and entry.mode in FILES and entry.size <= left:
                chosen.append(path)
                left -= entry.size + 100
        names = "".join(f"{self.entries[path].name}\n" for path in chosen)
        data = memoryview(workspace.as_bytes(self._asked("cat-file", "--batch", data=names.encode())))
        found = {}
        for path in chosen:
            # A line about it, its content, and a line feed (git-cat-file(1), BATCH OUTPUT).
            begin = bytes(data[:200]).index(b"\n") + 1
            end = begin + self.entries[path].size
            found[path] = bytes(data[begin:end])
            data = data[end + 1 :]
        return found

    # What is made ----------------------------------------------------------------------------------------------------

    def made(self, name: str, changes: Changes, message: str) -> str:
        """Make a commit of main's files with changes, and return it.

        Args:
            name: what it is called here.
            changes: the new content of each changed file.
            message: of the commit.
        """
        return self._import(name, self.base, self.entries, changes, message, self._parents())

    def with_old_tests(self, name: str, commit: str, is_test: re.Pattern[str]) -> str:
        """Make a commit of another one with main's tests, all of them and no others, and return it."""
        entries = self.listed(commit)
        changes: dict[str, bytes | Entry | None] = {
            path: None for path in entries if is_test.search(path) and path not in self.entries
        }
        changes |= {
            path: entry
            for path, entry in self.entries.items()
            if is_test.search(path) and entries.get(path) != entry
        }
        return (
            self._import(name, commit, entries, changes, "The tests of main", [commit]) if changes else commit
        )

    def same_tree(self, first: str, second: str) -> bool:
        """Whether two commits have the same files."""
        return first == second or self._tree(first) == self._tree(second)

    def difference(self, commit: str) -> str:
        """Return what a commit changes in main, as a patch."""
        words = (
            "diff",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
            "--no-renames",
            self.base,
            commit,
            "--",
        )
        return self._asked(*words)

    def archive(self, commit: str, paths: Sequence[str], file: Path) -> None:
        """Write what a commit has in some directories to a file, as a tar archive."""
        literal = [f":(literal){path}" for path in paths]
        self._asked("archive", "--format=tar", f"--output={file}", commit, "--", *literal)

    def hand_over(self, commit: str) -> None:
        """Give the clone its branch; raises BusyError where somebody has it checked out, or has moved it since the work began."""
        self._asked("update-ref", f"{_MADE}{self.branch}", commit)
        words = (
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
        )
        workspace.asked(self._clone, "fetch", *words, str(self.folder), f"{_MADE}{self.branch}", hooks=False)
        self.check_free()
        # Only from where it was: a person may have begun to work on it meanwhile.
        done = workspace.git(
            self._clone, "update-ref", f"refs/heads/{self.branch}", commit, self._before, hooks=False
        )
        if done.returncode:
            raise BusyError(f"{self.branch} in your clone has been changed meanwhile, and is left as it is")

    def put_back(self, commit: str) -> None:
        """Let the clone's branch be where it was, if it is at a commit that was handed over."""
        reference = f"refs/heads/{self.branch}"
        words = [reference, self._before] if self._before else ["-d", reference]
        workspace.asked(self._clone, "update-ref", *words, commit, hooks=False)

    def push(self, commit: str) -> None:
        """Push the clone's branch; raises as `workspace.push` does."""
        workspace.push(self._clone, self.branch, commit, hooks=False)

    def _parents(self) -> list[str]:
        """What the branch goes on from: it may not lose what the origin has of it."""
        if not self.there or self._is_within(self.there, self.base):
            return [self.base]
        return [self.there, self.base] if not self._is_within(self.base, self.there) else [self.there]

    def _is_within(self, commit: str, other: str) -> bool:
        return (
            workspace.git(self.folder, "merge-base", "--is-ancestor", commit, other, hooks=False).returncode
            == 0
        )

    def _import(
        self,
        name: str,
        source: str,
        entries: Mapping[str, Entry],
        changes: Mapping[str, bytes | Entry | None],
        message: str,
        parents: Sequence[str],
    ) -> str:
        """Make a commit with the files of a source and changes, by git's own stream for that (git-fast-import(1))."""
        reference = f"{_MADE}{name}"
        text = message.encode("utf-8", "replace")
        author, committer = (
            workspace.asked(self._clone, "var", f"GIT_{who}_IDENT").strip() for who in ("AUTHOR", "COMMITTER")
        )
        stream = [
            b"feature done\n",
            workspace.as_bytes(f"commit {reference}\nauthor {author}\ncommitter {committer}\n"),
            b"data %d\n%s\n" % (len(text), text),
            f"from {parents[0]}\n".encode(),
            *(f"merge {parent}\n".encode() for parent in parents[1:]),
            f'deleteall\nM 040000 {self._tree(source)} ""\n'.encode(),
        ]
        for path, change in changes.items():
            quoted = _quoted(path)
            if change is None:
                stream.append(b"D %s\n" % quoted)
            elif isinstance(change, bytes):
                mode = entries[path].mode if path in entries else FILES[0]
                stream.append(b"M %s inline %s\ndata %d\n%s\n" % (mode.encode(), quoted, len(change), change))
            else:
                stream.append(b"M %s %s %s\n" % (change.mode.encode(), change.name.encode(), quoted))
        stream.append(b"done\n")
        self._asked("fast-import", "--quiet", "--force", "--date-format=raw", data=b"".join(stream))
        return self._commit(reference)

    def _tree(self, commit: str) -> str:
        return self._asked("rev-parse", "--verify", f"{commit}^{{tree}}").strip()

    def _commit(self, reference: str) -> str:
        done = workspace.git(
            self.folder, "rev-parse", "--quiet", "--verify", f"{reference}^{{commit}}", hooks=False
        )
        if done.returncode and reference == MAIN:
            raise CommandError("the origin has no main branch, so there is nothing to begin with")
        return done.stdout.strip()

    def _asked(self, *words: str, data: bytes = b"") -> str:
        return workspace.asked(self.folder, *words, hooks=False, data=data)


def _quoted(path: str) -> bytes:
    """A path as git's stream has it."""
    escaped = workspace.as_bytes(path).replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"%s"' % escaped
