"""The inventory of two servers in a project of its own, filled in, with its secrets in a file of Ansible Vault."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tests.unit.platforms import ROOT

PASSWORD = "a password of the tests\n"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGV4YW1wbGVleGFtcGxlZXhhbXBsZWV4YW1wbGVleGFt"
ANSWERS = {
    "dockfra_domain": "platform.example.org",
    "dockfra_acme_email": "admin@example.org",
    "ansible_user": "root",
    "management-server.ansible_host": "192.0.2.10",
    "management-server.dockfra_server_host_key": HOST_KEY,
    "app-server.ansible_host": "192.0.2.11",
    "app-server.dockfra_server_host_key": HOST_KEY,
}

# Writes down when a vault is decrypted, in whatever process: what workers say on stderr is lost.
WATCH = """\
import os
import ansible.parsing.vault as vault

decrypt = vault.VaultLib.decrypt_and_get_vault_id

def told(self, *args, **kwargs):
    with open(os.path.join(os.path.dirname(__file__), "decrypted"), "a") as file:
        file.write(f"{os.getpid()}\\n")
    return decrypt(self, *args, **kwargs)

vault.VaultLib.decrypt_and_get_vault_id = told
"""


class Project:
    """The project with an inventory of its own, and no Docker Engine anywhere."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(ROOT / "inventories", root / "inventories", symlinks=True, ignore=ignored)
        shutil.copy(ROOT / "ansible.cfg", root)
        for name in ("app", "collections", "playbooks", "plugins", "roles", "site.yml"):
            (root / name).symlink_to(ROOT / name)
        (root / "password").write_text(PASSWORD)
        (root / "sitecustomize.py").write_text(WATCH)
        self.inventory = root / "inventories/production"
        self.values = self.inventory / "values.yml"
        self.vault = self.inventory / "group_vars/all/vault.yml"
        self.state = root / ".dockfra/production"

    def decrypted(self) -> int:
        """How often a vault was decrypted since this was asked last."""
        place = self.root / "decrypted"
        times = len(place.read_text().splitlines()) if place.exists() else 0
        place.unlink(missing_ok=True)
        return times

    def fill(self, *given: str) -> subprocess.CompletedProcess[str]:
        return self._run(sys.executable, str(ROOT / "scripts/fill_in.py"), str(self.inventory), *given)

    def fill_all(self) -> None:
        # This machine stands for both servers, and a platform of somebody may run on it.
        values = {**ANSWERS, "dockfra_port_offset": "13000"}
        done = self.fill(*(f"--set={name}={value}" for name, value in values.items()))
        assert done.returncode == 0, done.stderr

    def play(self, playbook: str, *words: str) -> str:
        done = self._run(
            "ansible-playbook",
            playbook,
            "-i",
            "inventories/production",
            "-e",
            # By this name it is a server like any other, with an address.
            "ansible_connection=ansible.builtin.local",
            "-e",
            f"ansible_python_interpreter={sys.executable}",
            *words,
        )
        return done.stdout + done.stderr

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        env = {
            **os.environ,
            "ANSIBLE_CONFIG": str(self.root / "ansible.cfg"),
            "DOCKER_HOST": f"unix://{self.root}/none.sock",
            "PYTHONPATH": str(self.root),
        }
        return subprocess.run(
            words,
            cwd=self.root,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def ignored(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name in ("values.yml", "vault.yml")]


def secrets_of(project: Project) -> dict[str, str]:
    shown = subprocess.run(
        ["ansible-vault", "view", "--vault-id", f"production@{project.root}/password", str(project.vault)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found: dict[str, str] = yaml.safe_load(shown)["dockfra_vault"]
    return found


def lines_of(secrets: dict[str, str]) -> set[str]:
    """What of them must not be anywhere else; the frames of keys are no secret."""
    lines = {line for text in secrets.values() for line in text.splitlines()}
    return {
        line for line in lines if len(line) > 20 and not line.startswith(("-----", "b3BlbnNzaC1rZXktdjE"))
    }
