"""Playbooks that Ansible would run on nothing: they fail and say what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAYBOOKS = ["site.yml", "playbooks/verify.yml", "playbooks/teardown.yml"]


def play(playbook: str, *options: str, cwd: Path, **environment: str) -> tuple[int, str]:
    """Exit status and output of a playbook, run with the environment that run-tests.sh and init.sh make."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), str(ROOT / playbook), *options],
        cwd=cwd,
        env={**kept, "PYTHONPATH": str(ROOT / "collections"), "COLUMNS": "500", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_another_directory_finding_p13(playbook: str, tmp_path: Path) -> None:
    code, output = play(playbook, cwd=tmp_path)
    assert code != 0
    assert f"run this in the project's directory: cd {ROOT}" in output
    assert "couldn't resolve module" not in output


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_an_inventory_of_nobody_finding_t2(playbook: str, tmp_path: Path) -> None:
    empty = tmp_path / "hosts.yml"
    empty.write_text("docker_hosts: {hosts: {localhost: }}\nall: {hosts: {lonely: }}\n")
    settings = str(ROOT / "ansible.cfg")
    code, output = play(playbook, "-i", str(empty), cwd=ROOT, ANSIBLE_CONFIG=settings)
    assert code != 0
    assert f"There is no service (no host with dockfra_networks) in {empty}; name an inventory" in output


def test_one_of_two_inventories_cannot_be_read_finding_t2(tmp_path: Path) -> None:
    broken = tmp_path / "more.yml"
    broken.write_text("app: {hosts: {extra: }\n")
    settings = str(ROOT / "ansible.cfg")
    options = ("-i", "tests/inventory", "-i", str(broken), "--list-hosts")
    code, output = play("site.yml", *options, cwd=ROOT, ANSIBLE_CONFIG=settings)
    assert code != 0
    assert str(broken) in output
    assert "ssh-manager" not in output, "goes on with the rest"
