# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the developer's commands share: the settings of the container, and the work tree they work on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...module_utils.errors import BusyError, CommandError, DeniedError, LateError, TooMuchError
from ...module_utils.locks import file_lock
from ...module_utils.processes import child

# What the role ssh_developer has written.
SETTINGS = Path("/etc/dockfra/developer.json")

# What the origin is called in a clone of it.
ORIGIN = "origin"

# What git says when the origin's branch has what this one lacks.
_BEHIND = ("fetch first", "non-fast-forward", "stale info")

# Seconds for one command of git, a push over a slow line included.
_PATIENCE = 300

# A person's own settings are for the git they type. What the commands do, and what they read of git's answers, does not
# depend on them; who commits (user.name, user.email) does.
_NEUTRAL = {
    "color.ui": "false",
    "color.push": "false",
    "color.transport": "false",
    "commit.cleanup": "verbatim",
    "commit.gpgSign": "false",
    "core.commentChar": "#",
    "core.fsmonitor": "false",
    "core.pager": "cat",
    "core.safecrlf": "false",
    "diff.ignoreSubmodules": "none",
    "diff.orderFile": "/dev/null",
    "diff.relative": "false",
    "i18n.commitEncoding": "UTF-8",
    "i18n.logOutputEncoding": "UTF-8",
    "log.showSignature": "false",
    "push.followTags": "false",
    "push.gpgSign": "false",
    "push.pushOption": "",
    "push.recurseSubmodules": "no",
    "submodule.recurse": "false",
}

# Of the variables by which git can be told the same, those that say who commits and how ssh is called.
_OWN_VARIABLES = re.compile(r"GIT_((AUTHOR|COMMITTER)_\w+|SSH(_COMMAND|_VARIANT)?|SSL_\w+|EXEC_PATH)")


def settings(path: Path | None = None) -> dict[str, Any]:
    """Return the container's settings."""
    path = path or SETTINGS
    try:
        data: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read ({error}); run site.yml again") from error
    return data


def work_tree() -> Path:
    """Return the top of the work tree of the current directory; elsewhere the workspace, cloned if it is not there."""
    found = git(Path.cwd(), "rev-parse", "--show-toplevel")
    top = Path(found.stdout.rstrip("\n"))
    # A home directory kept in git is no work tree to commit all of.
    if found.returncode == 0 and top != Path.home():
        return top
    return workspace()


def workspace() -> Path:
    """Return the developer's clone of the origin, made here if it is missing."""
    chosen = settings()
    target, origin = Path(chosen["workspace"]), str(chosen["origin"])
    if not (target / ".git").exists():
        with _alone(target.parent):
            if not (target / ".git").exists():
                _clone(origin, target)
    return target


def _clone(origin: str, target: Path) -> None:
    """Clone beside the target and rename, so that what carries the name is complete."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CommandError(f"{target} exists and is no clone of {origin}; move it away")
    unfinished = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    done = git(target.parent, "clone", "--quiet", origin, str(unfinished))
    if done.returncode:
        raise unreachable(done, f"{origin} cannot be cloned")
    unfinished.rename(target)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """No other process clones at the same time."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise CommandError(f"{directory} cannot be opened: {error.strerror}") from error
    try:
        if not file_lock.take(descriptor, _PATIENCE):
            raise BusyError(f"another clone into {directory} has not ended in {_PATIENCE} s; try again")
        yield
    finally:
        os.close(descriptor)


def git(
    directory: Path, *words: str, hooks: bool = True, data: bytes = b""
) -> subprocess.CompletedProcess[str]:
    """Run git in a directory and return how it ended.

    It asks nobody anything, speaks English, and does the same whatever its user's settings are. The hooks of the
    repository run, unless the caller says otherwise. What it prints may be any bytes: `as_bytes` gives them back.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or _OWN_VARIABLES.fullmatch(name)
    }
    environment = {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes", **inherited}
    environment |= {"LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true"}
    chosen = _NEUTRAL if hooks else {**_NEUTRAL, "core.hooksPath": os.devnull}
    neutral = [word for name, value in chosen.items() for word in ("-c", f"{name}={value}")]
    try:
        done = child.run(
            ["git", *neutral, *words], cwd=directory, env=environment, timeout=_PATIENCE, data=data
        )
    except OSError as error:
        raise CommandError(f"git cannot be started in {directory}: {error.strerror}") from error
    except LateError as error:
        raise LateError(
            f"git {words[0]} did not end in {_PATIENCE} s; check-services may tell why"
        ) from error
    except TooMuchError as error:
        raise TooMuchError(f"git {words[0]} in {directory}: {error}; it was ended") from error
    output, errors = (text.decode(errors="surrogateescape") for text in (done.output, done.errors))
    return subprocess.CompletedProcess(["git", *words], done.status, output, errors)


def asked(directory: Path, *words: str, hooks: bool = True, data: bytes = b"") -> str:
    """Return what git prints; raises CommandError when it fails. See `git`."""
    done = git(directory, *words, hooks=hooks, data=data)
    if done.returncode:
        raise CommandError(f"git {words[0]}: {first_line(done.stderr) or 'failed without a reason'}")
    return done.stdout


def as_bytes(text: str) -> bytes:
    """Return the bytes that git printed."""
    return text.encode(errors="surrogateescape")


def push(tree: Path, branch: str, commit: str, *, hooks: bool = True) -> bool:
    """Push a branch to the origin; returns whether that lacked anything of it.

    Args:
        tree: the work tree.
        branch: its name.
        commit: where it stands, for messages.
        hooks: whether the repository's hook for that runs.

    Raises:
        CommandError: it was rejected, or the origin cannot be reached.
        DeniedError: the origin's gate refuses.
    """
    reference = f"refs/heads/{branch}"
    words = ("push", "--porcelain", "--set-upstream", ORIGIN, f"{reference}:{reference}")
    done = git(tree, *words, hooks=hooks)
    # A line a reference: flag, from:to, and what happened (git-push(1), OUTPUT).
    for line in done.stdout.splitlines():
        flag, _tab, rest = line.partition("\t")
        if flag == "!" and rest:
            reason = rest.rpartition("\t")[2]
            raise CommandError(
                f"the push of {branch} was rejected: {_advice(reason, done.stderr)}. {commit[:7]} is kept"
            )
    if done.returncode:
        raise unreachable(done, f"{commit[:7]} is kept, but the origin cannot be reached")
    return not any(line.startswith("=") for line in done.stdout.splitlines())


def _advice(reason: str, said: str) -> str:
    if any(f"({words})" in reason for words in _BEHIND):
        return "the origin has commits that you lack; 'git pull' gets them, then commit-push again"
    remote = [
        line.removeprefix("remote: ").strip() for line in said.splitlines() if line.startswith("remote: ")
    ]
    return "; ".join([reason, *filter(None, remote)])


def unreachable(done: subprocess.CompletedProcess[str], what: str) -> CommandError | DeniedError:
    """Return the error for a git that could not speak to the origin: in its gate's own words, or ssh's."""
    for line in done.stderr.splitlines():
        if line.startswith("denied: "):
            return DeniedError(line.removeprefix("denied: "))
    # Git's own words, at the end, say nothing about the reason.
    return CommandError(f"{what}: {first_line(done.stderr) or 'no reason given'}; see check-services")


def first_line(text: str) -> str:
    """Return the first line that says something, as one that can be printed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = lines[0] if lines else ""
    for prefix in ("fatal: ", "error: "):
        found = found.removeprefix(prefix)
    return found.encode("utf-8", "replace").decode().rstrip(".")
