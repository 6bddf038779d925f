"""Every playbook takes only what it knows, whatever it would do then; no container is needed for that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PLAYBOOKS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("playbooks", "playbooks/devices", "playbooks/tickets")
    for path in (ROOT / folder).glob("*.yml")
    if path.name != "given.yml"  # the beginning of others
)


def play(playbook: str, *options: str, inventory: bool = True) -> subprocess.CompletedProcess[str]:
    given = ["-i", "tests/inventory"] if inventory else []
    return subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", playbook, *given, *options],
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1", "DOCKER_HOST": "unix:///nonexistent.sock"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_every_playbook_begins_with_what_it_takes_finding_p10(playbook: str) -> None:
    plays = yaml.safe_load((ROOT / playbook).read_text())
    first = next(play for play in plays if "hosts" in play)
    assert "dockfra.core.started_with" in first["tasks"][0]


@pytest.mark.parametrize(
    ("playbook", "given", "message"),
    [
        ("playbooks/tickets/update.yml", {"id": "T-0001", "asigned_to": "developer"}, "'assigned_to'"),
        ("playbooks/tickets/create.yml", {"title": "x", "prioriti": "high"}, "'priority'"),
        ("playbooks/configure.yml", {"service": "ssh-developer", "setings": {}}, "'settings'"),
        ("playbooks/devices/prepare.yml", {"rpi3_device_logn": "pi"}, "'rpi3_device_login'"),
        ("site.yml", {"dockfra_verfy": True}, "'dockfra_verify'"),
        ("playbooks/teardown.yml", {"dockfra_remove_dta": True}, "'dockfra_remove_data'"),
        ("playbooks/rotate_keys.yml", {"dockfra_rotat": "manager"}, "'dockfra_rotate'"),
        ("playbooks/backup.yml", {"dockfra_backup_repositry": "x"}, "'dockfra_backup_repository'"),
        ("playbooks/restore.yml", {"dockfra_restore_snapshots": "x"}, "'dockfra_restore_snapshot'"),
        (
            "playbooks/tickets/create.yml",
            {"title": "{{ lookup('pipe', 'touch OWNED') }}"},
            "'title' holds a template",
        ),
    ],
)
def test_a_variable_that_means_nothing_is_refused_finding_p10(
    playbook: str, given: dict[str, object], message: str
) -> None:
    done = play(playbook, "-e", json.dumps(given))
    assert done.returncode == 2
    assert message in done.stdout
    assert not (ROOT / "OWNED").exists()


def test_data_is_removed_only_where_the_inventory_is_named_finding_p11() -> None:
    done = play(
        "playbooks/teardown.yml",
        *(
            "-e",
            "dockfra_remove_data=true",
            "-e",
            "dockfra_confirm=dockfra",
            "-e",
            "dockfra_project=dockfra-nowhere",
        ),
        inventory=False,
    )
    assert done.returncode == 2
    assert "name the inventory" in done.stdout


@pytest.mark.parametrize("confirmed", [[], ["-e", "dockfra_confirm=dockfra"]])
def test_data_is_removed_only_where_the_platform_is_named_finding_p11(
    confirmed: list[str], tmp_path: Path
) -> None:
    (tmp_path / "key").touch()
    done = play(
        "playbooks/teardown.yml",
        *("-e", "dockfra_remove_data=true", "-e", "dockfra_project=dockfra-nowhere", *confirmed),
        *("-e", f"dockfra_state_dir={tmp_path}", "-e", f"dockfra_data_root={tmp_path / 'data'}"),
    )
    assert done.returncode == 2
    assert f"keys and secrets in {tmp_path}" in done.stdout
    assert "-e dockfra_confirm=dockfra-nowhere" in done.stdout
    assert (tmp_path / "key").exists()


def test_a_restore_wants_its_inventory_named_finding_backup() -> None:
    done = play("playbooks/restore.yml", "-e", "dockfra_confirm=dockfra", inventory=False)
    assert done.returncode == 2
    assert "name the inventory" in done.stdout


@pytest.mark.parametrize("playbook", ["playbooks/backup.yml", "playbooks/restore.yml"])
def test_a_backup_is_one_of_the_whole_platform_finding_backup(playbook: str) -> None:
    done = play(playbook, "--limit", "db")
    assert done.returncode == 2
    assert "leave --limit away" in done.stdout


def test_a_restore_without_a_repository_or_its_password_touches_nothing_finding_backup(
    tmp_path: Path,
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "key").touch()
    given = (
        *("-e", "dockfra_confirm=dockfra-nowhere", "-e", "dockfra_project=dockfra-nowhere"),
        *("-e", f"dockfra_state_dir={tmp_path / 'state'}", "-e", f"dockfra_data_root={tmp_path / 'data'}"),
    )
    done = play("playbooks/restore.yml", *given)
    assert done.returncode == 2
    assert "dockfra_backup_password_file names" in done.stdout
    password = tmp_path / "password"
    password.write_text("x\n")
    password.chmod(0o600)
    done = play("playbooks/restore.yml", *given, "-e", f"dockfra_backup_password_file={password}")
    assert done.returncode == 2
    assert "There is no repository in" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "data") == ["password", "state"]
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["key"]


@pytest.mark.parametrize("confirmed", [[], ["-e", "dockfra_confirm=dockfra"]])
def test_a_restore_wants_the_platform_named_finding_backup(confirmed: list[str], tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("x\n")
    password.chmod(0o600)
    repository = tmp_path / "repository"
    own = {**os.environ, "RESTIC_PASSWORD_FILE": str(password), "RESTIC_REPOSITORY": str(repository)}
    subprocess.run(["restic", "init", "--quiet"], env=own, check=True)
    done = play(
        "playbooks/restore.yml",
        *("-e", "dockfra_project=dockfra-nowhere", "-e", f"dockfra_state_dir={tmp_path / 'state'}"),
        *("-e", f"dockfra_backup_password_file={password}", "-e", f"dockfra_backup_repository={repository}"),
        *confirmed,
    )
    assert done.returncode == 2
    assert "add -e dockfra_confirm=dockfra-nowhere" in done.stdout
    assert not (tmp_path / "state").exists()
