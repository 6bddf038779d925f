"""The inventory of two servers: a skeleton that is filled in, and secrets in a file of Ansible Vault."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible.parsing.vault import VaultSecret, VaultSecretsContext

from ansible_collections.dockfra.core.plugins.plugin_utils.controller import operator_files
from tests.unit.platforms import ROOT, load_platform
from tests.unit.production import ANSWERS, PASSWORD, Project, lines_of, secrets_of


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


# Filling in -----------------------------------------------------------------------------------------------------------


def test_what_is_to_be_filled_in_is_refused_before_anything(project: Project) -> None:
    output = project.play("site.yml")
    for name in ANSWERS:
        assert re.search(
            rf"{re.escape(name)} is to be filled in: .* \(inventories/production/hosts\.yml:\d+\)", output
        )
    assert "./init.sh production --set dockfra_domain=VALUE" in output
    assert project.decrypted() == 0
    assert not project.state.exists()


def test_values_come_from_the_command_line_and_stay_beside_the_skeleton(project: Project) -> None:
    skeleton = (project.inventory / "hosts.yml").read_bytes()
    first = project.fill("--set=dockfra_domain=platform.example.org")
    assert first.returncode == 1
    assert "app-server.ansible_host is to be filled in: the address of the app server." in first.stderr
    assert "dockfra_domain is" not in first.stderr
    project.fill_all()
    assert project.values.stat().st_mode & 0o777 == 0o600
    assert (project.inventory / "hosts.yml").read_bytes() == skeleton
    everything = yaml.safe_load(project.values.read_text())["all"]
    assert everything["vars"]["dockfra_domain"] == "platform.example.org"
    assert everything["hosts"]["app-server"]["ansible_host"] == "192.0.2.11"
    assert everything["children"]["docker_hosts"]["vars"] == {"ansible_user": "root"}
    before = project.values.stat().st_mtime_ns
    project.fill_all()
    assert project.values.stat().st_mtime_ns == before


def test_filled_in_it_is_a_sound_platform_on_two_servers(project: Project) -> None:
    project.fill_all()
    platform = load_platform(project.inventory, beside=[])
    platform.check()
    services = platform.topology.services
    assert {service.docker_host for service in services.values()} == {"management-server", "app-server"}
    published = {
        (name, port.name) for name in services for port in services[name].published if not port.is_local
    }
    people = {(f"ssh-{role}", "ssh") for role in ("manager", "autopilot", "developer", "monitor")}
    assert published == {("traefik", "http"), ("traefik", "https")} | people


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("dockfra_domian=a.example.org", "did you mean dockfra_domain?"),
        ("dockfra_domain=localhost", "it is a DNS name, such as platform.example.org"),
        ("dockfra_domain={{ lookup('pipe', 'id') }}", "it is one line of plain text without templates"),
        ("dockfra_domain=", "it is one line of plain text"),
        ("db-server.ansible_host=192.0.2.1", "there are app-server, "),
        ("dockfra_domain", "--set takes a name and a value"),
        ("app-server.ansible_host=2001:db8::1", "it is a name or an IPv4 address, and containers"),
        ("app-server.ansible_host=a b", "it is a name or an IPv4 address."),
        ("app-server.dockfra_server_host_key=AAAA", "it is a public key"),
        (
            "app-server.dockfra_server_host_key=ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTY",
            "this one is of the type ecdsa-sha2-nistp256",
        ),
        ("app-server.dockfra_server_host_key=192.0.2.1 ssh-ed25519 AAAA", "a whole line of ssh-keyscan"),
        (
            "OPENROUTER_API_KEY=sk-canary",
            "playbooks/configure.yml sets it and asks for it (-e ask=OPENROUTER_API_KEY)",
        ),
    ],
)
def test_a_value_that_cannot_be_one_is_refused(project: Project, given: str, told: str) -> None:
    done = project.fill(f"--set={given}")
    assert done.returncode == 2
    [line] = [line for line in done.stderr.splitlines() if line.startswith("init.sh: error: ")]
    assert told in line
    assert "canary" not in done.stderr
    assert not project.values.exists()


def test_on_a_terminal_it_asks_until_an_answer_can_be_one(project: Project) -> None:
    answers = ["no name", *ANSWERS.values()]
    main, side = pty.openpty()
    os.write(main, "".join(f"{answer}\n" for answer in answers).encode())
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/fill_in.py"), str(project.inventory)],
        stdin=side,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(side)
    os.close(main)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "dockfra_domain cannot be 'no name'" in done.stdout
    assert (
        yaml.safe_load(project.values.read_text())["all"]["vars"]["dockfra_domain"] == "platform.example.org"
    )


# Secrets --------------------------------------------------------------------------------------------------------------


def test_secrets_are_in_the_vault_and_nowhere_else(project: Project) -> None:
    project.fill_all()
    password = ("--vault-id", f"production@{project.root}/password")
    made = project.play("playbooks/verify.yml", *password, "-vvv")
    assert "is not as declared" in made, "\n".join(made.splitlines()[-40:])
    assert project.vault.read_text().startswith("$ANSIBLE_VAULT;1.2;AES256;production\n")
    assert project.vault.stat().st_mode & 0o777 == 0o600
    secrets = secrets_of(project)
    assert {
        "secrets/db/backend",
        "keys/manager/id_ed25519",
        "tls/ca.key",
        "host_keys/git/ssh_host_ed25519_key",
    } <= set(secrets)
    project.decrypted()
    again = project.play("playbooks/verify.yml", *password, "-vvv")
    assert project.decrypted() == 1
    assert secrets_of(project) == secrets
    canaries = lines_of(secrets)
    assert len(canaries) > 40
    for output in (made, again):
        assert "ansible-playbook [core" in output
        assert [line for line in canaries if line in output] == []
    files = [path for path in project.root.rglob("*") if path.is_file() and not path.is_symlink()]
    kept = {path: path.read_text(errors="replace") for path in files if ROOT not in path.resolve().parents}
    assert [path for path, text in kept.items() for line in canaries if line in text] == []


def test_without_its_password_nothing_is_made(project: Project) -> None:
    project.fill_all()
    output = project.play("playbooks/verify.yml")
    assert (
        "vault.yml keeps the platform's secrets and needs a password: add --vault-id production@prompt"
        in output
    )
    assert not project.vault.exists()
    (project.root / "other").write_text("another\n")
    project.play("playbooks/verify.yml", "--vault-id", f"production@{project.root}/password")
    kept = project.vault.read_bytes()
    output = project.play("playbooks/verify.yml", "--vault-id", f"production@{project.root}/other")
    assert "Decryption failed" in output
    assert project.vault.read_bytes() == kept


def test_the_keys_that_ssh_needs_are_files_for_their_owner_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = project.root / "changes.yml"
    own = {"dockfra_state_dir": str(project.state), "dockfra_vault_file": str(project.vault)}
    changes.write_text(yaml.safe_dump({"all": {"vars": own}}))
    given = [("local", VaultSecret(PASSWORD.encode()))]
    monkeypatch.setattr(VaultSecretsContext, "_current", VaultSecretsContext(given))
    files = operator_files.render(load_platform(changes, keep=True))
    named = re.findall(rf'IdentityFile "{project.state}/(keys/\S+)"', files["ssh_config"])
    public = {f"{name}.pub" for name in named}
    assert {*named, *public} == {name for name, text in files.items() if name.startswith("keys/") and text}
    for name in named:
        assert files[name].startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
        assert operator_files.mode(name) == 0o400
    for name in public:
        assert files[name].startswith("ssh-ed25519 ")
    assert f"ansible-vault view --vault-id local@prompt {project.vault}" in files["access.txt"]
