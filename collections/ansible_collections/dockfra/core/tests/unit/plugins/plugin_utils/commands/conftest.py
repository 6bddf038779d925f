# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Git repositories, and git's way to them through the gate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

SCRIPTS = COLLECTIONS / "ansible_collections/dockfra/core/roles/gate/files/image/rootfs/usr/local/lib/dockfra"
POLICY = {
    "place": "git",
    "service": "git",
    "services": {
        "git": "git",
        **{role: f"ssh-{role}" for role in ("manager", "autopilot", "monitor", "developer")},
    },
    "capabilities": {"push-code": {"title": "Git push", "roles": ["developer"]}},
    "commands": {
        "git-upload-pack": {"capability": "", "at": {"git": ["developer", "monitor"]}},
        "git-status": {"at": {"git": ["manager", "autopilot"]}},
        "git-receive-pack": {"capability": "push-code", "at": {"git": ["developer"]}},
    },
}

# What sshd does with a role's key: the gate gets the caller from authorized_keys, and the line from the client. The
# line can be replaced by another one, as a client that is not git would send it.
SSH = """
    #!{python}
    import encodings.ascii, os, pathlib, sys
    sys.path.insert(0, {collections!r})
    from ansible_collections.dockfra.core.plugins.plugin_utils.cli import gate, repositories
    repositories.DIRECTORY = pathlib.Path({directory!r})
    repositories.HOOKS = pathlib.Path({hooks!r})
    line = os.environ.get("LINE") or sys.argv[-1]
    sys.exit(gate.main(["gate", os.environ["CALLER"]], {{"SSH_ORIGINAL_COMMAND": line}},
             pathlib.Path({configuration!r}), {audit!r}, {slots!r}))
    """

Done = subprocess.CompletedProcess[str]


@dataclass
class Origin:
    """Repositories behind a gate.

    Attributes:
        root: a directory of its own; the repositories are in ``git``.
    """

    root: Path

    @property
    def directory(self) -> Path:
        return self.root / "git"

    @property
    def repository(self) -> Path:
        return self.directory / "app.git"

    @property
    def ssh(self) -> Path:
        return self.root / "ssh"

    def environment(self, caller: str, **more: str) -> dict[str, str]:
        """The environment in which git reaches the gate with a role's key."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "LANG": "C.UTF-8",
            "GIT_SSH_COMMAND": str(self.ssh),
            "GIT_SSH_VARIANT": "ssh",
            "CALLER": caller,
            **more,
        }

    def git(self, caller: str, *words: str, cwd: Path | None = None, **more: str) -> Done:
        """Run git as a role."""
        return run("git", *words, cwd=cwd or self.root, env=self.environment(caller, **more))

    def says(self, caller: str, line: str) -> Done:
        """Send a line to the gate, as ``ssh git LINE`` does."""
        return run(str(self.ssh), cwd=self.root, env=self.environment(caller, LINE=line))

    def audit(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.root / "audit" / "git.jsonl").read_text().splitlines()]

    def heads(self) -> dict[str, str]:
        """Commit by branch, as the origin has it."""
        done = run(
            *(
                "git",
                f"--git-dir={self.repository}",
                "for-each-ref",
                "--format=%(refname:short) %(objectname)",
            ),
            cwd=self.root,
            env={**os.environ, "HOME": str(self.root)},
        )
        return dict(line.split() for line in done.stdout.splitlines())


def run(*command: str, cwd: Path, env: dict[str, str]) -> Done:
    return subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    """An origin with one commit on main."""
    found = Origin(tmp_path / "origin")
    for directory in (found.directory, found.root / "audit", found.root / "seed"):
        directory.mkdir(parents=True)
    (found.root / ".gitconfig").write_text("[user]\nname = A Test\nemail = test@example.com\n")
    (found.root / "policy.json").write_text(json.dumps(POLICY))
    found.ssh.write_text(
        textwrap.dedent(SSH)
        .lstrip()
        .format(
            python=sys.executable,
            collections=str(COLLECTIONS),
            directory=str(found.directory),
            hooks=str(SCRIPTS / "git-hooks"),
            configuration=str(found.root / "policy.json"),
            audit=str(found.root / "audit"),
            slots=str(found.root / "slots"),
        )
    )
    found.ssh.chmod(0o755)
    seed = found.root / "seed"
    (seed / "README").write_text("first\n")
    for words in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all"),
        ("commit", "--quiet", "--message=first"),
        ("clone", "--quiet", "--bare", ".", str(found.repository)),
    ):
        done = found.git("nobody", *words, cwd=seed)
        assert done.returncode == 0, done.stderr
    return found
