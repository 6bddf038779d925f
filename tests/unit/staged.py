"""The project with a platform of two servers that is nothing but its files, see `tests.fakes.staged`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.parsing.vault import VaultSecret, VaultSecretsContext

from ansible_collections.dockfra.core.plugins.module_utils.containers import host, options
from ansible_collections.dockfra.core.plugins.module_utils.files import tree
from ansible_collections.dockfra.core.plugins.plugin_utils.controller import keyrings, operator_files, planner
from tests.unit.platforms import ROOT, load_platform
from tests.unit.production import PASSWORD, Project

FAKES = ROOT / "tests/fakes/staged"
LINK = """\
- name: Put the keys of the link in place
  ansible.builtin.copy:
    content: "{{ link_account.authorized_keys }}"
    dest: "{{ link_account.home }}/.ssh/authorized_keys"
    mode: "0644"
"""


class Staged(Project):
    """The project with a platform that is as declared."""

    playbook = "playbooks/rotate_keys.yml"
    display = "ansible.builtin.default"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        (root / "tests").symlink_to(ROOT / "tests")
        self._shadow()
        bin_ = root / "bin"
        bin_.mkdir()
        (bin_ / "ssh").write_text(f'#!/bin/sh\nexec {sys.executable} {FAKES / "ssh.py"} "$@"\n')
        (bin_ / "ssh").chmod(0o755)
        self.fill_all()
        self.data = root / "data"
        self.deploy()

    def _shadow(self) -> None:
        """The collections, with an engine that only says what it was told, and no user made for the link."""
        (self.root / "collections").unlink()
        real = ROOT / "collections/ansible_collections/dockfra/core"
        made = self.root / "collections/ansible_collections/dockfra/core"
        for name in ("engine.py", "ports.py"):
            shadow(real, made, f"plugins/module_utils/containers/{name}", (FAKES / name).read_text())
        shadow(real, made, "roles/link_account/tasks/main.yml", f"---\n{LINK}")
        action = made.parents[1] / "community/docker/plugins/action"
        action.mkdir(parents=True)
        (action / "docker_container_exec.py").write_text((FAKES / "docker_container_exec.py").read_text())

    def deploy(self) -> None:
        """Put everything in place, as a run of site.yml does."""
        keyrings._opened.clear()
        own = self.root / "own.yml"
        state = {"dockfra_state_dir": str(self.state), "dockfra_vault_file": str(self.vault)}
        data = {
            "dockfra_data_root": str(self.data),
            "dockfra_sshd_directory": str(self.root / "sshd_config.d"),
        }
        own.write_text(json.dumps({"all": {"vars": {**data, **state}}}))
        platform = load_platform(own, keep=True, beside=[self.inventory])
        images: dict[str, dict[str, str]] = {}
        containers: dict[str, object] = {}
        networks: dict[str, object] = {}
        edges: dict[str, list[str]] = {}
        for service in platform.topology.containers():
            entry = platform.desired(service.name)
            tree.apply(entry.directory, entry.files, service.uid, 0o500)
            images |= {image.reference: {} for image in entry.images}
            images[entry.container["image"]] = {}
            groups = {"socket_groups": host._groups(service.docker_sockets)}
            wanted = options.wanted(planner._admitted(entry, groups), {})
            containers[entry.container["name"]] = {"ours": True, "status": "healthy", "options": wanted}
            peers = [
                peer.name
                for peer in platform.topology.ssh_peers(service.name)
                if platform.topology.admits(peer.name, service.client_key)
            ]
            peers += [link.tunnel for link in platform.topology.links(service.name)]
            if peers:
                edges[service.name] = peers
            if "ssh/ssh_host_ed25519_key" in entry.files:
                (self.root / "running").mkdir(exist_ok=True)
                line = platform.keyring().ssh_public_key(f"host_keys/{service.name}")
                (self.root / "running" / service.name).write_text(" ".join(line.split()[:2]))
            if account := platform.link_account(service.docker_host):
                file = tree.WantedFile(account["authorized_keys"].encode(), 0o644)
                tree.apply(f"{account['home']}/.ssh", {"authorized_keys": file})
                file = tree.WantedFile(account["sshd_config"].encode(), 0o644)
                tree.apply(account["sshd_directory"], {f"{account['user']}.conf": file})
        for docker_host in ("management-server", "app-server"):
            networks |= {
                name: {**settings, "others": []} for name, settings in platform.networks(docker_host).items()
            }
        for name, text in operator_files.render(platform).items():
            tree.write_file(self.state / name, tree.WantedFile(text.encode(), operator_files.mode(name)))
        keyrings.checkout_identity(platform.keyring())
        engine = {
            "engine_version": "1",
            "containers": containers,
            "networks": networks,
            "images": images,
            "volumes": [
                platform.topology.volume_name(volume.name)
                for service in platform.topology.containers()
                for volume in platform.topology.volumes(service.name)
            ],
            "published": {},
            "records": {},
        }
        (self.root / "engine.json").write_text(json.dumps(engine))
        (self.root / "edges.json").write_text(json.dumps(edges))

    def command(self, *words: str) -> list[str]:
        given = {
            "ansible_connection": "ansible.builtin.local",
            "ansible_python_interpreter": sys.executable,
            "dockfra_data_root": str(self.data),
            "dockfra_sshd_directory": str(self.root / "sshd_config.d"),
        }
        variables = [word for name, value in given.items() for word in ("-e", f"{name}={value}")]
        password = ["--vault-id", f"production@{self.root}/password"]
        inventory = ["-i", "inventories/production"]
        return ["ansible-playbook", self.playbook, *inventory, *password, *variables, *words]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "ANSIBLE_CONFIG": str(self.root / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": self.display,
            "PYTHONPATH": str(self.root),
            "PATH": f"{self.root}/bin:{os.environ['PATH']}",
            "STAGED": str(self.root),
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the playbook to its end."""
        return subprocess.run(
            self.command(*words),
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )

    def killed(self, task: str, *words: str) -> None:
        """Run it until a task begins, and kill it and all that it has started."""
        with subprocess.Popen(
            self.command(*words),
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith(f"TASK [{task}]"):
                    time.sleep(0.3)
                    break
            else:
                raise AssertionError(f"no task {task}")
            os.kill(process.pid, signal.SIGKILL)
            # Ansible's workers have sessions of their own and would go on.
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def processes(self) -> list[int]:
        """All that a run has started, by their environment."""
        mark = f"STAGED={self.root}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found

    def locked_out(self) -> list[str]:
        place = self.root / "locked_out"
        return place.read_text().splitlines() if place.exists() else []


def shadow(real: Path, made: Path, path: str, text: str) -> None:
    """Have a tree of links to a real one, but one file with another text."""
    first, _slash, rest = path.partition("/")
    if made.is_symlink():
        made.unlink()
    if not made.exists():
        made.mkdir(parents=True)
        for entry in real.iterdir():
            (made / entry.name).symlink_to(entry)
    if rest:
        shadow(real / first, made / first, rest, text)
    else:
        (made / first).unlink()
        (made / first).write_text(text)


@contextlib.contextmanager
def vault_password() -> Iterator[None]:
    """Ansible in this process knows the vault's password, and forgets it and what it opened."""
    given = [("production", VaultSecret(PASSWORD.strip().encode()))]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(VaultSecretsContext, "_current", VaultSecretsContext(given))
        yield
    keyrings._opened.clear()
