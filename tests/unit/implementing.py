"""A developer's container for the tests of `implement`: an origin and a manager behind their gates, a tester, and a scripted model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.edits.model import digest
from ansible_collections.dockfra.core.plugins.module_utils.tickets.store import TicketStore
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.outcome import Outcome
from tests.fakes.openrouter import FakeOpenRouter, Turn
from tests.unit.asking import Container
from tests.unit.building import COLLECTIONS, LastingBuilder

MARK = b"\xef\xbb\xbf"
RELEASE = "kind: python\nfiles: [app.py]\nstart: {app: 'app:application'}\ntest: {command: [python, -m, unittest, tests.test_app]}\n"
# Tests that look at the application as a file: they need no packages.
TESTS = """import unittest

import app


class Greeting(unittest.TestCase):
    def test_a_greeting(self):
        self.assertEqual(app.greeting("Ada"), "Hello Ada")
"""
FILES: Mapping[str, bytes] = {
    "README.md": b"# The application\n",
    "web/release.yml": RELEASE.encode(),
    "web/app.py": b'application = None\n\n\ndef greeting(name):\n    return f"Hello {name}"\n',
    "web/tests/__init__.py": b"",
    "web/tests/test_app.py": TESTS.encode(),
    "web/settings.ini": MARK + b"[web]\r\nport = 80\r\nhost = a\r\n\r\n[api]\r\nport = 80\r\n",
}

# What sshd does with the developer's key at another container: the line comes from the client, the caller from authorized_keys.
SSH = """
    #!{python}
    import os, sys
    host, line = sys.argv[-2:]
    if host == "git":
        os.execv({git!r}, [{git!r}, *sys.argv[1:]])
    sys.path.insert(0, {collections!r})
    import pathlib
    from ansible_collections.dockfra.core.plugins.plugin_utils.cli import gate, tickets
    tickets.DIRECTORY = {tickets!r}
    sys.exit(gate.main(["gate", "developer"], {{"SSH_ORIGINAL_COMMAND": line}}, {policy!r}, {audit!r}, {slots!r}))
    """

# The command as its own process: what ends one ends what it has started, and the tester is not its.
PROGRAM = """
import pathlib, sys
sys.path[:0] = {path!r}
from ansible_collections.dockfra.core.plugins.module_utils.audit import files
from ansible_collections.dockfra.core.plugins.module_utils.settings import file
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import builds, command, models, workspace
files.DIRECTORY, file.HOMES, models.FILES = {logs!r}, pathlib.Path({homes!r}), pathlib.Path({files!r})
builds.CONFIGURATION, workspace.SETTINGS = pathlib.Path({builder!r}), pathlib.Path({settings!r})
builds._BACK_SECONDS = 5.0
sys.exit(command.main(["implement", *sys.argv[1:]], {place!r}))
"""


class World:
    """All of it.

    Attributes:
        container: the developer's.
        store: the tickets.
        clone: the developer's clone of the origin.
        root: of all files.
    """

    def __init__(
        self, root: Path, container: Container, tester: LastingBuilder, origin: Any, patch: pytest.MonkeyPatch
    ) -> None:
        self.root, self.container, self.origin, self._patch = root, container, origin, patch
        self.home = container.home
        self.clone = self.home / "app"
        self.store = TicketStore(str(root / "tickets"))
        self._write_programs()
        settings = root / "developer.json"
        settings.write_text(json.dumps({"workspace": str(self.clone), "origin": "git:app.git"}))
        where = root / "builder.json"
        where.write_text(json.dumps({"host": "127.0.0.1", "port": tester.port}))
        for name, value in origin.environment("developer", HOME=str(self.home)).items():
            patch.setenv(name, value)
        patch.setenv("PATH", f"{root / 'bin'}:{os.environ['PATH']}")
        patch.chdir(self.home)
        (self.home / ".gitconfig").write_text("[user]\nname = Dora\nemail = dora@example.com\n")
        self.commit(FILES)
        self.git("clone", "--quiet", "git:app.git", str(self.clone), cwd=self.home)

    @property
    def fake(self) -> FakeOpenRouter:
        return self.container.fake

    def _write_programs(self) -> None:
        policy = self.container.place.policy
        data = {
            "place": "manager",
            "service": "ssh-manager",
            "services": dict(self.container.place.services),
            **policy.to_dict(),
        }
        (self.root / "manager.json").write_text(json.dumps(data))
        data = {**data, "place": "developer", "service": "ssh-developer"}
        (self.root / "place.json").write_text(json.dumps(data))
        for folder in ("bin", "audit", "slots"):
            (self.root / folder).mkdir()
        program = self.root / "bin/ssh"
        program.write_text(
            textwrap.dedent(SSH)
            .lstrip()
            .format(
                python=sys.executable,
                git=str(self.origin.ssh),
                collections=str(COLLECTIONS),
                tickets=str(self.root / "tickets"),
                policy=str(self.root / "manager.json"),
                audit=str(self.root / "audit"),
                slots=str(self.root / "slots"),
            )
        )
        program.chmod(0o755)

    # What is there ---------------------------------------------------------------------------------------------------

    def git(self, *words: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *words], cwd=cwd or self.clone, capture_output=True, check=False, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def commit(self, files: Mapping[str, bytes | str], links: Mapping[str, str] | None = None) -> None:
        """Put files on the origin's main, as somebody else who pushes."""
        other = self.root / "other"
        if not other.exists():
            self.git("clone", "--quiet", str(self.origin.repository), str(other), cwd=self.root)
        for name, content in files.items():
            path = other / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        for name, target in (links or {}).items():
            (other / name).symlink_to(target)
        self.git("add", "--all", cwd=other)
        self.git("commit", "--quiet", "--message=more", cwd=other)
        self.git("push", "--quiet", "origin", "main", cwd=other)

    def ticket(self, title: str = "Greet politely", **fields: Any) -> str:
        return self.store.create("manager", {"title": title, "assigned_to": "developer", **fields}).after.id

    def comments(self, ticket: str) -> list[str]:
        return [comment.text for comment in self.store.get(ticket).comments]

    def content(self, commit: str, path: str) -> bytes:
        """A file of a commit, in the origin."""
        words = ["git", f"--git-dir={self.origin.repository}", "cat-file", "blob", f"{commit}:{path}"]
        return subprocess.run(words, capture_output=True, check=True).stdout

    def state(self) -> dict[str, Any]:
        """All that must not change: files of the work tree, the clone's references and settings, what is checked out."""
        files = {
            str(path.relative_to(self.clone)): path.read_bytes()
            for path in sorted(self.clone.rglob("*"))
            if path.is_file() and not path.is_symlink() and ".git" not in path.parts
        }
        return {
            "files": files,
            "status": self.git("status", "--porcelain"),
            "refs": self.git("for-each-ref"),
            "head": (self.clone / ".git/HEAD").read_bytes(),
            "config": (self.clone / ".git/config").read_bytes(),
            "worktrees": self.git("worktree", "list"),
            "origin": self.origin.heads(),
        }

    def left(self) -> list[str]:
        """What the command left where it works."""
        state = self.home / ".local/state/dockfra/implement"
        return sorted(path.name for path in state.iterdir() if path.name != "locks") if state.exists() else []

    # What is done ----------------------------------------------------------------------------------------------------

    def started(self, *words: str) -> subprocess.Popen[bytes]:
        program = PROGRAM.format(
            path=sys.path,
            logs=str(self.container.logs),
            homes=str(self.home.parent),
            files=str(self.container.files),
            builder=str(self.root / "builder.json"),
            settings=str(self.root / "developer.json"),
            place=str(self.root / "place.json"),
        )
        return subprocess.Popen(
            [sys.executable, "-c", program, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *words: str) -> Outcome:
        with self.started(*words) as process:
            output, errors = process.communicate(timeout=120)
        return Outcome(process.returncode, output.decode(), errors.decode())

    def data(self, *words: str) -> dict[str, Any]:
        """Run it with --json; returns the result, with the exit status as ``code`` and the events as ``events``."""
        done = self.run(*words, "--json")
        assert done.text, done.message
        found: dict[str, Any] = json.loads(done.text.splitlines()[-1])["data"]
        return {**found, "code": done.status}

    def says(self, *answers: Any, **turn: Any) -> None:
        """What the model says: texts, or what `edits` returns."""
        self.fake.script(
            *(Turn(answer if isinstance(answer, str) else json.dumps(answer), **turn) for answer in answers)
        )


def edits(
    *changes: tuple[str, str, str],
    summary: str = "Greet with a comma",
    deletions: Sequence[str] = (),
    files: Mapping[str, bytes] = FILES,
) -> dict[str, Any]:
    """A model's answer: paths, what stands there and what comes."""
    return {
        "summary": summary,
        "edits": [
            {"path": path, "old": old, "new": new, "base": digest(files[path]) if path in files else "none"}
            for path, old, new in changes
        ],
        "deletions": [{"path": path, "base": digest(files[path])} for path in deletions],
    }
