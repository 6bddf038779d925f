"""playbooks/configure.yml, with an ssh that calls the gate instead of connecting to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SECRET = "sk-or-v1-hunter2hunter2"
ROLES = ("manager", "autopilot", "monitor", "developer")

# Acts like the SSH client and the server behind it, as far as the playbook uses them.
FAKE_SSH = """\
#!/usr/bin/env bash
printf '%s\\n' "$*" >>"$FAKE/calls"
line=${!#} service=${*: -2:1}
export PLACE=${service#ssh-}
if [[ $PLACE == manager ]]; then
    exec bash -c "$line"
fi
SSH_ORIGINAL_COMMAND=$line exec gate manager
"""
FAKE_GATE = """\
#!{python}
import os, sys
from pathlib import Path
sys.path.insert(0, {collections!r})
from ansible_collections.dockfra.core.plugins.module_utils.settings import file as settings_file
from ansible_collections.dockfra.core.plugins.module_utils.policy.roles import ROLES
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import gate
fake = Path(os.environ["FAKE"])
settings_file.HOMES = fake
sys.exit(gate.main(sys.argv, configuration=fake / (os.environ["PLACE"] + ".json"), audit_directory=str(fake),
                   slots_directory=str(fake)))
"""


class Roles:
    """The roles' homes, below a directory."""

    def __init__(self, fake: Path) -> None:
        self.fake = fake
        (fake / "bin").mkdir()
        for name, text in (
            ("ssh", FAKE_SSH),
            ("gate", FAKE_GATE.format(python=sys.executable, collections=str(ROOT / "collections"))),
        ):
            (fake / "bin" / name).write_text(text)
            (fake / "bin" / name).chmod(0o755)
        for role in ROLES:
            (fake / role).mkdir()
            commands = {"config-set": {"at": {place: ["manager"] for place in ROLES}}}
            place = {
                "place": role,
                "service": f"ssh-{role}",
                "services": {},
                "capabilities": {},
                "commands": commands,
            }
            (fake / f"{role}.json").write_text(json.dumps(place))

    def text(self, role: str) -> str:
        file = self.fake / role / ".env"
        return file.read_text() if file.exists() else ""

    def calls(self) -> list[str]:
        return (self.fake / "calls").read_text().splitlines()

    def configure(
        self, service: str, settings: Mapping[str, Any], *options: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the playbook with the settings in a file, as secrets would be."""
        given = self.fake / "given.json"
        given.write_text(json.dumps({"settings": settings, "dockfra_state_dir": str(self.fake / "state")}))
        return subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "ansible",
                    "playbook",
                    "playbooks/configure.yml",
                    "-i",
                    "tests/inventory",
                ),
                *("-e", f"service={service}", "-e", f"@{given}", *options),
            ],
            cwd=ROOT,
            env={
                **os.environ,
                "FAKE": str(self.fake),
                "PATH": f"{self.fake / 'bin'}:{os.environ['PATH']}",
                "NO_COLOR": "1",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )


@pytest.fixture
def roles(tmp_path: Path) -> Roles:
    return Roles(tmp_path)


def test_settings_are_checked_set_and_kept(roles: Roles) -> None:
    settings = {"LLM_MODEL": "openai/gpt-4o", "OPENROUTER_API_KEY": SECRET}
    check = roles.configure("ssh-developer", settings, "--check", "-vvv")
    assert check.returncode == 0, check.stdout
    assert "ssh-developer: LLM_MODEL, OPENROUTER_API_KEY would change" in check.stdout
    assert roles.text("developer") == ""

    done = roles.configure("ssh-developer", settings, "-vvv")
    assert done.returncode == 0, done.stdout
    assert "ssh-developer: LLM_MODEL, OPENROUTER_API_KEY changed" in done.stdout
    assert "changed=1" in done.stdout
    assert roles.text("developer") == f"LLM_MODEL=openai/gpt-4o\nOPENROUTER_API_KEY={SECRET}\n"

    again = roles.configure("ssh-developer", settings)
    assert (again.returncode, "changed=0" in again.stdout) == (0, True)

    for output in (check.stdout, check.stderr, done.stdout, done.stderr, *roles.calls()):
        assert "hunter2" not in output
    state = roles.fake / "state"
    assert roles.calls()[1] == (
        f"-F {state}/ssh_config -o BatchMode=yes -i {state}/keys/manager/id_ed25519 ssh-developer config-set --json"
    )


def test_a_wrong_value_is_refused_with_the_reason(roles: Roles) -> None:
    done = roles.configure("ssh-monitor", {"LLM_TEMPERATURE": 5, "LLM_MODEL": SECRET})
    assert done.returncode == 2
    assert "LLM_TEMPERATURE must be a number from 0 to 2; LLM_MODEL must be a model" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr
    assert roles.text("monitor") == ""


def test_all_roles_at_once_the_manager_too(roles: Roles) -> None:
    done = roles.configure("roles", {"LLM_MAX_TOKENS": 512})
    assert done.returncode == 0, done.stdout
    assert [roles.text(role) for role in ROLES] == ["LLM_MAX_TOKENS=512\n"] * 4
    assert (roles.fake / "ssh-manager.jsonl").exists()
