"""The beginning of playbooks/restore.yml, for both inventories as they are: a backup of one machine for two servers, and back.

Volumes are made up, restic and Ansible Vault are real; Docker Engine is nowhere.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from ansible_collections.dockfra.core.plugins.module_utils.backups import (
    archive,
    collection,
    restic,
    routes,
    snapshots,
)
from ansible_collections.dockfra.core.plugins.module_utils.backups.parts import (
    ARCHIVE,
    CONTROLLER,
    POSTGRES,
    Manifest,
    Part,
    sha256_of,
)
from ansible_collections.dockfra.core.plugins.module_utils.topology import backups
from ansible_collections.dockfra.core.plugins.plugin_utils.controller import keyrings
from tests.unit.platforms import ROOT, load_platform
from tests.unit.production import PASSWORD, Project, lines_of, secrets_of

pytestmark = pytest.mark.skipif(not shutil.which("restic"), reason="restic is not installed")

MANAGEMENT, APP = "management-server", "app-server"
# As restore.yml does it, up to where the platform is brought up.
PLAYBOOK = """\
- hosts: all:!docker_hosts
  gather_facts: false
  any_errors_fatal: true
  tasks:
    - ansible.builtin.import_role: {name: dockfra.core.platform}
      run_once: true
    - ansible.builtin.include_role: {name: dockfra.core.backup, tasks_from: fetch.yml}
      run_once: true
    - ansible.builtin.include_role: {name: dockfra.core.backup, tasks_from: state.yml}
      run_once: true
    - ansible.builtin.debug:
        msg: "knows {{ dockfra_vault['secrets/db/backend'] | length }}"
      run_once: true
      when: dockfra_vault_file | length > 0
"""


class Move(Project):
    """The project with both inventories, and a repository with a backup made by one of them."""

    def __init__(self, root: Path, source: str) -> None:
        super().__init__(root)
        self.fill_all()
        (root / "move.yml").write_text(PLAYBOOK)
        self.repository = root / "repository"
        self.key = root / "repository.password"
        self.key.write_text("of the repository\n")
        self.key.chmod(0o600)
        self.local = root / ".dockfra/local"
        self.wanted = self.back_up(source)

    def back_up(self, name: str) -> dict[str, str]:
        """Have a platform of an inventory in the repository; returns its secrets."""
        keyrings._opened.clear()
        state = self.root / f".dockfra/{name}"
        vault = str(self.vault) if name == "production" else ""
        changes = self.root / "own.yml"
        given = {"dockfra_state_dir": str(state), "dockfra_vault_file": vault}
        changes.write_text(json.dumps({"all": {"vars": given}}))
        platform = load_platform(changes, keep=True, beside=[self.root / f"inventories/{name}"])
        ring = platform.keyring()
        ring.password("db/backend")
        ring.ssh_public_key("keys/manager")
        keyrings.checkout_identity(ring)
        run = self.root / "run"
        for docker_host in backups.docker_hosts(platform.topology):
            parts = []
            place = run / snapshots.HOSTS / docker_host
            place.mkdir(parents=True)
            with (place / ARCHIVE).open("xb+") as file:
                writer = archive.Writer(file)
                for source in backups.sources(platform.topology, docker_host):
                    data = self.root / "data" / source.volume
                    data.mkdir(parents=True)
                    (data / "dump").write_text(source.volume)
                    database = f"{source.volume}/app" if source.kind == POSTGRES else source.volume
                    folder = Part(database, source.kind, 0, 0, "").folder
                    parts.append(Part(database, source.kind, *writer.add(data, folder)))
                writer.close()
            path = place / ARCHIVE
            made = Manifest(
                "dockfra", docker_host, time.time(), path.stat().st_size, sha256_of(path), tuple(parts)
            )
            made.write(place)
        directories = {"state": str(state), "inventory": str(self.root / f"inventories/{name}")}
        collection.of_directories("dockfra", directories, str(run / snapshots.HOSTS / CONTROLLER), vault)
        snapshots.store(restic.Repository(str(self.repository), str(self.key)), str(run), "dockfra", {})
        shutil.rmtree(run)
        shutil.rmtree(self.root / "data")
        if vault:
            return secrets_of(self)
        return {
            str(path.relative_to(state)): path.read_text()
            for path in state.rglob("*")
            if path.is_file() and path.suffix not in (".pub", ".crt")
        }

    def restore(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["ansible-playbook", "move.yml", "-i", f"inventories/{name}"]
        for given in (
            f"dockfra_backup_repository={self.repository}",
            f"dockfra_backup_password_file={self.key}",
            "ansible_connection=ansible.builtin.local",
            f"ansible_python_interpreter={sys.executable}",
        ):
            command += ["-e", given]
        return self._run(*command, *words)

    @property
    def opened(self) -> tuple[str, ...]:
        return ("--vault-id", f"production@{self.root}/password")

    def targets(self, name: str) -> dict[str, set[str]]:
        """The volumes that each Docker host gets."""
        root = self.root / f".dockfra/{name}.restore-run" / routes.TARGETS
        return {folder.name: {part.name for part in Manifest.read(folder).parts} for folder in root.iterdir()}


@pytest.fixture
def passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process opens the vault, too."""
    from ansible.parsing.vault import VaultSecret, VaultSecretsContext

    given = [("production", VaultSecret(PASSWORD.strip().encode()))]
    monkeypatch.setattr(VaultSecretsContext, "_current", VaultSecretsContext(given))


@pytest.mark.slow
def test_a_backup_of_one_machine_is_parted_for_two_servers_and_its_secrets_are_in_the_vault_finding_backup(
    tmp_path: Path, passwords: None
) -> None:
    move = Move(tmp_path, "local")
    done = move.restore("production", *move.opened)
    assert done.returncode == 0, done.stdout + done.stderr
    targets = move.targets("production")
    assert set(targets) == {MANAGEMENT, APP}
    assert {"tickets", "git-data", "audit-ssh-manager", "monitor-home", "audit-copies"} <= targets[MANAGEMENT]
    assert {
        "db-data/app",
        "developer-home",
        "audit-ssh-developer",
        "rpi3-home",
        "frontend-releases",
    } <= targets[APP]
    assert targets[MANAGEMENT] & targets[APP] == set()
    said = done.stdout
    assert "From localhost to management-server: " in said
    assert "The backup has nothing of audit-tunnel of management-server, which stays as it is." in said
    assert "Begun anew on management-server, from what is restored elsewhere: audit-elsewhere." in said
    assert secrets_of(move) == move.wanted
    # The run knows at once what the vault has.
    assert f"knows {len(move.wanted['secrets/db/backend'])}" in said
    left = [path for path in move.state.rglob("*") if path.is_file()]
    for line in lines_of(move.wanted):
        assert line not in said + done.stderr
        assert not [path for path in left if line.encode() in path.read_bytes()]


def test_a_backup_of_two_servers_comes_to_one_machine_with_secrets_as_files_finding_backup(
    tmp_path: Path, passwords: None
) -> None:
    move = Move(tmp_path, "production")
    done = move.restore("local", *move.opened)
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert "no place for audit-tunnel (of management-server, 1 files, " in said
    assert "restore all else with -e dockfra_restore_without=audit-tunnel. Nothing was changed." in said
    # Nothing stays here that is not encrypted, and nothing was touched.
    assert not Path(f"{move.local}.restore-run").exists()
    assert not move.local.exists()
    without = ("-e", "dockfra_restore_without=audit-tunnel")
    done = move.restore("local", *without)
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert (
        "cannot be decrypted: no password was given. Give the password that it had then as well, with --vault-id production@prompt"
        in said
    )
    assert not move.local.exists()
    assert not Path(f"{move.local}.restore-run").exists()
    done = move.restore("local", *without, *move.opened)
    assert done.returncode == 0, done.stdout + done.stderr
    (target,) = move.targets("local").values()
    assert {"tickets", "db-data/app", "audit-ssh-developer"} <= target
    assert "audit-tunnel" not in target
    assert "Left in the snapshot, as dockfra_restore_without says: audit-tunnel." in done.stdout
    assert {
        str(path.relative_to(move.local)): path.read_text()
        for folder in ("secrets", "keys", "host_keys", "tls")
        for path in (move.local / folder).rglob("*")
        if path.is_file() and path.suffix not in (".pub", ".crt")
    } == move.wanted
    for line in lines_of(move.wanted):
        assert line not in done.stdout + done.stderr


@pytest.mark.slow
def test_where_nothing_moves_nothing_is_said_of_it(tmp_path: Path) -> None:
    move = Move(tmp_path, "local")
    done = move.restore("local")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "From localhost" not in done.stdout
    assert set(move.targets("local")) == {"localhost"}
    assert os.path.isdir(move.local)


def test_databases_are_looked_at_before_keys_and_secrets_are_replaced() -> None:
    """A database server that does not answer ends the run where an earlier restore is put back."""
    plays = yaml.safe_load((ROOT / "playbooks/restore.yml").read_text())
    (tasks,) = (play["tasks"] for play in plays if play.get("name") == "Look at the backup")
    order = [each.get("ansible.builtin.include_role", {}).get("tasks_from") for each in tasks]
    assert order.index("fetch.yml") < order.index("undo.yml") < order.index("state.yml")
    # By then there is no plan: with keys that are not there yet it would make some.
    assert tasks[order.index("undo.yml")]["vars"]["backup_undo_hosts"] == "{{ backup_routes.targets }}"
