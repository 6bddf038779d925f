# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Git's own protocol through the gate: what ``git fetch`` and ``git push`` ask the origin to run.

Git sends ``git-upload-pack 'app.git'`` and then speaks its protocol. Here the name becomes one of the repositories that
exist, and nothing else of what was sent becomes part of the command that runs.
"""

from __future__ import annotations

import argparse
import filecmp
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ...module_utils.errors import CommandError, DeniedError, LateError
from ...module_utils.processes import child
from ...module_utils.text import shown
from . import codes
from .call import Call
from .flaws import tolerated

DIRECTORY = Path("/srv/git")

# The platform's own hooks, and no repository's.
HOOKS = Path("/usr/local/lib/dockfra/git-hooks")

_GIT = "/usr/bin/git"

# Seconds in which git answers a question about a repository.
_PATIENCE = 20.0
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\.git")

# Nothing of the connection's environment reaches git, and no configuration but the container's own (/etc/gitconfig).
# Objects are what their names say: a replacement or a graft that lies in the repository does not make one commit the
# ancestor of another.
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/nonexistent",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": "/dev/null",
}

# What holds whatever a repository's configuration says. What was pushed stays, so that what was deployed can be found
# again: no branch is overwritten with other history, and the one HEAD names (main) is not deleted. Another branch can be
# deleted, and then pushed anew; its commits are not cleared away. For tags and other references git has no such settings:
# HOOKS see to them.
_RULES = {
    "receive.autogc": "false",
    "receive.denyNonFastForwards": "true",
    "receive.denyDeleteCurrent": "refuse",
    "receive.unpackLimit": "1",  # a pack stays one, so that many small pushes do not become many files
    "core.useReplaceRefs": "false",
    "advice.graftFileDeprecated": "false",
}


def add_repository(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """The argument that names a repository; with a default it may be left out."""
    parser.add_argument(
        "repository",
        metavar="REPOSITORY",
        nargs="?" if default else None,
        default=default,
        help=f"its name, for example app.git or {DIRECTORY}/app.git",
    )


def find(word: str) -> Path:
    """Return the repository that a word names; raises DeniedError for anything else."""
    name = word.removeprefix(f"{DIRECTORY}/")
    path = DIRECTORY / name
    if not _NAME.fullmatch(name) or path.is_symlink() or not path.is_dir():
        raise DeniedError(f"there is no repository {shown(word)}; try app.git")
    return path


def serve(call: Call, service: str) -> int:
    """Let git speak to the caller and return its exit status.

    Args:
        call: the call, with the repository among its options.
        service: ``upload-pack`` or ``receive-pack``.
    """
    rules = {
        "core.hooksPath": str(HOOKS),
        **_RULES,
        **tolerated("receive"),
    }
    options = [word for name, value in rules.items() for word in ("-c", f"{name}={value}")]
    command = [_GIT, *options, service, str(find(call.options.repository))]
    with tempfile.TemporaryDirectory() as push:
        environment = {**_ENVIRONMENT, "DOCKFRA_PUSH": push}
        # Where the connection ends, git need not find that out from its pipes.
        with child.started(command, stdin=call.stdin, env=environment, cwd="/") as process:
            status = process.wait()
        # git tells its client what it has refused, and is content with itself.
        return codes.FAILED if status == codes.OK and _refused(Path(push)) else child.exit_status(status)


def ask(repository: Path, words: Sequence[str], *, limit: int = 1024 * 1024) -> bytes:
    """Return what git says of a repository.

    Args:
        repository: see `find`.
        words: git's command and its arguments.
        limit: bytes that it may say.

    Raises:
        CommandError: git cannot be started, or fails.
        LateError: it takes too long.
        TooMuchError: it says more.
    """
    command = [_GIT, "-c", "core.useReplaceRefs=false", f"--git-dir={repository}", *words]
    try:
        done = child.run(command, timeout=_PATIENCE, limit=limit, env=_ENVIRONMENT, cwd="/")
    except OSError as error:
        raise CommandError(f"git cannot be started: {error.strerror}") from error
    except LateError as error:
        raise LateError(f"git {words[0]} in {repository.name} did not end in {_PATIENCE:g} s") from error
    if done.status:
        reason = done.errors.decode(errors="replace").strip().partition("\n")[0]
        raise CommandError(f"git {words[0]} in {repository.name}: {reason or 'failed without a reason'}")
    return done.output


def _refused(push: Path) -> bool:
    """Whether something that a push asked for was not done, as the hooks have noted it.

    A push of damaged objects ends before the first hook, and cannot be told from one that asked for nothing.
    """
    asked, done = push / "asked", push / "done"
    if not (asked.exists() and done.exists()):
        return asked.exists() != done.exists() and (asked if asked.exists() else done).stat().st_size > 0
    # They have a line for each reference, of which whoever pushes sends as many as they like.
    return not filecmp.cmp(asked, done, shallow=False)
