"""A role's container whose settings lead to a fake OpenRouter, for the tests of all that asks models."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.dockfra.core.plugins.module_utils.audit import chain
from ansible_collections.dockfra.core.plugins.module_utils.audit import files as audit_files
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.module_utils.settings import file as settings_file
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import models, runner, tickets
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Place
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.outcome import Outcome
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style
from tests.fakes.openrouter import FakeOpenRouter

KEY = "sk-or-v1-5f1c0d9a7b3e42688c1d"
PASSWORD = "Zq7xK2mWv9Lp4TnB8cRy5HgD3sFj6AeU"
ROLES = ("manager", "autopilot", "developer", "monitor")

_ROOT = Path(__file__).resolve().parents[2]
_POLICY = _ROOT / "inventories" / "policy.yml"

_SCRIPT = """
import pathlib, sys
sys.path.insert(0, {collections!r})
from ansible_collections.dockfra.core.plugins.module_utils.audit import files
from ansible_collections.dockfra.core.plugins.module_utils.settings import file
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import command, models, tickets
file.HOMES, models.FILES = pathlib.Path({homes!r}), pathlib.Path({files!r})
files.DIRECTORY, tickets.DIRECTORY = {logs!r}, {tickets!r}
sys.exit(command.main(sys.argv[1:], {configuration!r}))
"""


class Container:
    """A role's container.

    Args:
        root: the directory of all its files.
        role: whose it is.
        fake: answers its questions.
        patch: puts the files in the place of the real ones.

    Attributes:
        place: the container for a command.
        home, files, logs, tickets: its directories.
        policy_file: what its file of the policy holds.
    """

    def __init__(self, root: Path, role: str, fake: FakeOpenRouter, patch: pytest.MonkeyPatch) -> None:
        variables = yaml.safe_load(_POLICY.read_text())["all"]["vars"]
        self.policy_file = {
            "place": role,
            "service": f"ssh-{role}",
            "services": {name: f"ssh-{name}" for name in ROLES},
            "capabilities": variables["dockfra_capabilities"],
            "commands": variables["dockfra_commands"],
        }
        policy = Policy.from_dict(self.policy_file)
        self.place = Place(role, f"ssh-{role}", policy, {name: f"ssh-{name}" for name in ROLES})
        self.fake = fake
        self.home, self.files = root / "home" / role, root / "etc"
        self.logs, self.tickets = root / "logs", root / "tickets"
        for folder in (self.home, self.files, self.logs, self.tickets):
            folder.mkdir(parents=True)
        patch.setattr(tickets, "DIRECTORY", str(self.tickets))
        patch.setattr(settings_file, "HOMES", self.home.parent)
        patch.setattr(models, "FILES", self.files)
        patch.setattr(audit_files, "DIRECTORY", str(self.logs))
        (self.files / "passwords.json").write_text(f'{{"password": "{PASSWORD}"}}')
        self.set(OPENROUTER_API_KEY=KEY, OPENROUTER_BASE_URL=fake.url)

    def set(self, **settings: str) -> None:
        """Write the settings; there are no others."""
        lines = [f"{name}='{value}'\n" for name, value in settings.items()]
        (self.home / settings_file.FILE).write_text("".join(lines))

    def also(self, **settings: str) -> None:
        """Write further settings."""
        with (self.home / settings_file.FILE).open("a") as file:
            file.writelines(f"{name}='{value}'\n" for name, value in settings.items())

    def run(self, *words: str, stdin: bytes = b"") -> Outcome:
        """Run a command as the person at home does."""
        return runner.run(self.place, self.place.name, words, io.BytesIO(stdin), Style())

    @property
    def audit(self) -> list[dict[str, Any]]:
        """The lines of its audit log, whose chain is whole."""
        path = self.logs / f"{self.place.service}.jsonl"
        if not path.exists():
            return []
        assert not chain.verify(path).problems
        return list(chain.read(path))

    def start(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command as a process of its own, as sshd does."""
        configuration = self.files.parent / "policy.json"
        configuration.write_text(json.dumps(self.policy_file))
        script = _SCRIPT.format(
            collections=str(_ROOT / "collections"),
            homes=str(self.home.parent),
            files=str(self.files),
            logs=str(self.logs),
            tickets=str(self.tickets),
            configuration=str(configuration),
        )
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.home)}
        return subprocess.Popen(
            [sys.executable, "-c", script, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=self.home,
            **options,
        )

    def sent(self) -> Sequence[str]:
        """What its questions said, each as one text."""
        return [request.text for request in self.fake.requests]
