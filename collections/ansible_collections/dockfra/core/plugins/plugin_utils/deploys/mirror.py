# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The monitor's copy of the origin: what is deployed is read from here, also while the origin is away.

Nothing of it is ever checked out, and none of its hooks or settings counts: it holds what others have pushed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ...module_utils.errors import CommandError, UsageError
from ...module_utils.locks import file_lock
from ...module_utils.processes import child
from ...module_utils.text import shown
from ..cli import workspace
from ..cli.flaws import tolerated

# In the home of whoever deploys.
PLACE = Path("~/.local/state/dockfra/origin.git")
MAIN = "main"

# Objects that are not what they say are not taken, and what was fetched stays.
_SETTINGS = {
    **tolerated("fetch"),
    "gc.auto": "0",
    "maintenance.auto": "false",
    "core.useReplaceRefs": "false",
    "core.hooksPath": os.devnull,
}
# An archive has all that the commit has, whatever its attributes say.
_ATTRIBUTES = "* -export-ignore -export-subst\n"

_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}", re.ASCII)
_HASH = re.compile(r"[0-9A-Fa-f]{4,64}", re.ASCII)
_WHOLE = re.compile(r"[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}", re.ASCII)
_TICKET = re.compile(r"\bT-[0-9]{4,9}\b", re.ASCII)
# Of commits between two releases, so many are looked through.
_MAX_COMMITS = 200
_MAX_SUBJECT = 120
_MAX_TICKETS = 50
_PATIENCE = 60


class Mirror:
    """The copy.

    Args:
        origin: the repository, as git calls it.
        place: where the copy is.
    """

    def __init__(self, origin: str, place: Path | None = None) -> None:
        self._origin = origin
        self.place = (place or PLACE).expanduser()

    def fetch(self) -> str:
        """Bring what is new at the origin, and return the commit of its main branch.

        Raises:
            CommandError: it cannot be reached, or has no such branch.
            DeniedError: its gate refuses.
        """
        with self._alone():
            self._make()
            done = workspace.git(
                self.place,
                "fetch",
                "--quiet",
                "--prune",
                "--no-tags",
                self._origin,
                "+refs/heads/*:refs/heads/*",
            )
        if done.returncode:
            raise workspace.unreachable(done, f"{self._origin} cannot be read")
        return self.commit(MAIN)

    def commit(self, ref: str) -> str:
        """Return the whole hash of what a branch's name or the beginning of a hash means.

        A whole hash means its commit, whatever branches are called.

        Raises:
            UsageError: there is no such commit here, or a branch of that name beside it.
        """
        # Names come from people and programs: none of them is an option, a range or an expression.
        if _REF.fullmatch(ref) and ".." not in ref and "@{" not in ref:
            branch = "" if _WHOLE.fullmatch(ref) else self._resolved(f"refs/heads/{ref}")
            commits = self._beginning(ref) if _HASH.fullmatch(ref) else []
            if branch and set(commits) - {branch}:
                raise UsageError(
                    f"{ref} is a branch, and other commits begin so; give the whole hash, {branch} for the branch"
                )
            found = branch or (commits[0] if len(commits) == 1 else "")
            if found:
                return found
        raise UsageError(f"there is no branch or commit {shown(ref)} at the origin; see git-status")

    def _resolved(self, name: str) -> str:
        """The commit that a name means; empty where there is none."""
        done = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        return done.stdout.strip() if done.returncode == 0 else ""

    def _beginning(self, text: str) -> list[str]:
        """The commits whose hash begins so; no name of a branch counts."""
        objects = self._git("rev-parse", f"--disambiguate={text.lower()}").stdout.split()
        return [name for name in objects if self._git("cat-file", "-t", name).stdout.strip() == "commit"]

    def known(self, commit: str) -> bool:
        """Whether a commit is here."""
        return self._git("cat-file", "-e", f"{commit}^{{commit}}").returncode == 0

    def on_main(self, commit: str) -> bool:
        """Whether a commit is on the main branch."""
        return self._leads_to(commit, f"refs/heads/{MAIN}")

    def before(self, commit: str, other: str) -> bool:
        """Whether a commit is older than another one that is here, and part of what led to it."""
        return commit != other and self._leads_to(commit, other)

    def _leads_to(self, commit: str, other: str) -> bool:
        return self._git("merge-base", "--is-ancestor", commit, other).returncode == 0

    def tree(self, commit: str, path: str) -> str:
        """Return git's name for a directory at a commit; empty where there is none."""
        done = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}:{path}")
        name = done.stdout.strip() if done.returncode == 0 else ""
        if name and self._git("cat-file", "-t", name).stdout.strip() != "tree":
            return ""
        return name

    def subjects(self, before: str, commit: str) -> list[str]:
        """Return the first lines of the commits that a commit has and another has not, the newest first; of one without another its own."""
        return [text.partition("\n")[0][:_MAX_SUBJECT] for text in self._messages(before, commit)]

    def tickets(self, before: str, commit: str) -> list[str]:
        """Return the tickets that those commits name, each once."""
        found = dict.fromkeys(
            name for text in self._messages(before, commit) for name in _TICKET.findall(text)
        )
        return list(found)[:_MAX_TICKETS]

    def _messages(self, before: str, commit: str) -> list[str]:
        which = [f"{before}..{commit}"] if before and self.known(before) else ["--max-count=1", commit]
        done = self._git("log", f"--max-count={_MAX_COMMITS}", "-z", "--format=%B", *which, "--")
        return [text.strip() for text in done.stdout.split("\0") if text.strip()]

    @contextmanager
    def archived(self, commit: str) -> Iterator[IO[bytes]]:
        """Give the tree of a commit as a tar archive, as it is made.

        Raises:
            CommandError: git cannot make it.
        """
        words = [f"--git-dir={self.place}", "archive", "--format=tar", commit]
        options = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        with child.started(
            ["git", *options, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            output = child.piped(process.stdout)
            yield output
            output.close()
            if process.wait(_PATIENCE):
                raise CommandError(f"git cannot make an archive of {commit[:12]}; see {self.place}")

    def _git(self, *words: str) -> subprocess.CompletedProcess[str]:
        if not self.place.is_dir():
            raise CommandError(
                f"{self.place} is not there: the origin was never read; try again when it can be reached"
            )
        return workspace.git(self.place, *words, hooks=False)

    def _make(self) -> None:
        """Make the copy, where it is missing or half made."""
        if not (self.place / "HEAD").is_file():
            shutil.rmtree(self.place, ignore_errors=True)
            self.place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            workspace.asked(
                self.place.parent,
                "init",
                "--quiet",
                "--bare",
                "--template=",
                f"--initial-branch={MAIN}",
                str(self.place),
            )
        for name, value in _SETTINGS.items():
            workspace.asked(self.place, "config", name, value)
        information = self.place / "info"
        information.mkdir(exist_ok=True)
        (information / "attributes").write_text(_ATTRIBUTES, encoding="utf-8")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = file_lock.open_file(self.place.with_suffix(".lock"))
        try:
            if not file_lock.take(lock, float(_PATIENCE)):
                raise CommandError(
                    f"somebody else reads the origin into {self.place} for {_PATIENCE} s; try again"
                )
            yield
        finally:
            os.close(lock)
