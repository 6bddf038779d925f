"""playbooks/rotate_keys.yml as it is, for two servers whose secrets are in Ansible Vault; containers and servers are nothing but their files."""

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
from ansible_collections.dockfra.core.plugins.module_utils.secrets import changes
from ansible_collections.dockfra.core.plugins.module_utils.secrets.keyring import is_ssh_key, path_of
from ansible_collections.dockfra.core.plugins.plugin_utils.controller import keyrings, operator_files, planner
from tests.unit.platforms import ROOT, load_platform
from tests.unit.production import PASSWORD, Project, lines_of, secrets_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files of services belong to users of their own")

FAKES = ROOT / "tests/fakes/staged"
LINK = """\
- name: Put the keys of the link in place
  ansible.builtin.copy:
    content: "{{ link_account.authorized_keys }}"
    dest: "{{ link_account.home }}/.ssh/authorized_keys"
    mode: "0644"
"""
# One of each kind: a person's key, that of the link, a login, and the host key of the link's other end.
NAMES = ["keys/manager", "keys/tunnel", "db/backend", "host_keys/tunnel-app"]
SOME = NAMES[:1]
STEPS = [
    "Let it be admitted",
    "Prove the new one",
    "Use it from now on",
    "Let it be used",
    "Forget the old one",
    "Take note",
]


class Staged(Project):
    """The project with a platform that is as declared."""

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
        shadow(real, made, "plugins/module_utils/containers/engine.py", (FAKES / "engine.py").read_text())
        shadow(real, made, "roles/link_account/tasks/main.yml", f"---\n{LINK}")
        action = made.parents[1] / "community/docker/plugins/action"
        action.mkdir(parents=True)
        (action / "docker_container_exec.py").write_text((FAKES / "docker_container_exec.py").read_text())

    def deploy(self) -> None:
        """Put everything in place, as a run of site.yml does."""
        keyrings._opened.clear()
        own = self.root / "own.yml"
        state = {"dockfra_state_dir": str(self.state), "dockfra_vault_file": str(self.vault)}
        own.write_text(json.dumps({"all": {"vars": {"dockfra_data_root": str(self.data), **state}}}))
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
            "volumes": [],
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
        }
        variables = [word for name, value in given.items() for word in ("-e", f"{name}={value}")]
        password = ["--vault-id", f"production@{self.root}/password"]
        inventory = ["-i", "inventories/production"]
        return ["ansible-playbook", "playbooks/rotate_keys.yml", *inventory, *password, *variables, *words]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "ANSIBLE_CONFIG": str(self.root / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            "PYTHONPATH": str(self.root),
            "PATH": f"{self.root}/bin:{os.environ['PATH']}",
            "STAGED": str(self.root),
        }

    def rotate(self, *words: str) -> subprocess.CompletedProcess[str]:
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


@pytest.fixture
def staged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Staged]:
    given = [("production", VaultSecret(PASSWORD.strip().encode()))]
    monkeypatch.setattr(VaultSecretsContext, "_current", VaultSecretsContext(given))
    yield Staged(tmp_path)
    keyrings._opened.clear()


def plain_text(staged: Staged, secrets: dict[str, str]) -> set[str]:
    """Which files outside of the containers have a secret in plain text."""
    lines = lines_of(secrets)
    files = [path for path in staged.root.rglob("*") if path.is_file() and not path.is_symlink()]
    kept = {
        path: path.read_text(errors="replace")
        for path in files
        if ROOT not in path.resolve().parents and staged.data not in path.parents
    }
    return {
        str(path.relative_to(staged.root))
        for path, text in kept.items()
        if any(line in text for line in lines)
    }


@pytest.mark.parametrize("names", [SOME, pytest.param(NAMES, marks=pytest.mark.slow)], ids=["some", "all"])
def test_what_is_in_a_vault_is_changed(staged: Staged, names: list[str]) -> None:
    before = secrets_of(staged)
    files = plain_text(staged, before)
    words = ",".join(name.removeprefix("keys/") for name in names)
    staged.decrypted()
    run = staged.rotate("-e", f"dockfra_rotate={words}", "-vvv")
    assert run.returncode == 0, run.stdout[-6000:]
    decrypted = staged.decrypted()
    after = secrets_of(staged)
    assert {name for name in before if before[name] != after[name]} == {path_of(name) for name in names}
    assert set(after) == set(before)
    assert staged.locked_out() == []
    assert not (staged.state / changes.JOURNAL).exists()
    # Once at its beginning, and once after each change of the file.
    assert decrypted == 1 + 3 * len(names)
    for secrets in (before, after):
        assert [line for line in lines_of(secrets) if line in run.stdout] == []
    # In plain text there is what was there before: the keys with which the person here logs in.
    assert plain_text(staged, after) == files
    assert all(path.startswith(".dockfra/production/keys/") for path in files)
    assert {path.stat().st_mode & 0o777 for path in staged.state.glob("keys/*/id_ed25519*")} == {0o400, 0o600}
    assert staged.vault.stat().st_mode & 0o777 == 0o600
    assert plain_text(staged, {name: before[name] for name in before if before[name] != after[name]}) == set()
    again = staged.rotate("--check", "-e", "dockfra_rotate=keys")
    assert again.returncode == 0, again.stdout[-3000:]
    assert secrets_of(staged) == after


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_killed_at_each_step_and_run_again_nobody_is_locked_out(staged: Staged, name: str) -> None:
    word = f"dockfra_rotate={name.removeprefix('keys/')}"
    for task in STEPS:
        before = secrets_of(staged)[path_of(name)]
        staged.killed(task, "-e", word)
        if (staged.state / changes.JOURNAL).exists():
            run = staged.rotate("-e", word)
            assert run.returncode == 0, run.stdout[-6000:]
            assert "An earlier rotation goes on" in run.stdout
        after = secrets_of(staged)
        assert after[path_of(name)] != before
        assert not [each for each in after if each.endswith((changes.NEXT, changes.OLD))]
        assert staged.locked_out() == [], task
        if is_ssh_key(name):
            assert not list(staged.state.glob(f"{name}/*.next"))
