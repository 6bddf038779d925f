"""A platform that is backed up while it works, damaged, and brought back; and restores that are refused or cut off anywhere.

Slow, and near the session's end: a restore stops every container for a moment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.support import runs
from tests.e2e.support.backups import CANARY, PATIENCE, Bench, kill
from tests.e2e.support.platform import Platform, eventually
from tests.e2e.support.roles import as_role, data

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(platform, tmp_path_factory.mktemp("backup") / "repository")
    yield made
    shutil.rmtree(made.repository, ignore_errors=True)


@pytest.fixture(scope="module")
def stored(bench: Bench) -> dict[str, str]:
    """What the platform has when it is backed up."""
    bench.ticket("Before the backup")
    bench.sql("CREATE TABLE IF NOT EXISTS backend.kept (a int, b text)")
    bench.sql(f"INSERT INTO backend.kept SELECT n, '{CANARY}' FROM generate_series(1, 500) n")
    as_role(bench.platform, "manager", "config-developer LLM_SYSTEM_PROMPT=before")
    run = bench.backup("-vvv").ok()
    secrets = [bench.password.read_text().strip(), bench.platform.secret("db/backend")]
    assert not [secret for secret in secrets if secret in run.output]
    return {
        "tickets": json.dumps(bench.tickets()),
        "refs": bench.refs(),
        "owned": bench.owned(),
        "rows": bench.sql("SELECT count(*), sum(a) FROM backend.kept"),
        "key": bench.platform.key("manager").read_text(),
    }


def same(bench: Bench, stored: dict[str, str]) -> None:
    """The platform has what it had when it was backed up."""
    assert bench.tickets() == json.loads(stored["tickets"])
    assert bench.refs() == stored["refs"]
    assert bench.owned() == stored["owned"]
    assert bench.sql("SELECT count(*), sum(a) FROM backend.kept") == stored["rows"]
    assert bench.platform.key("manager").read_text() == stored["key"]
    bench.chains()
    assert bench.left() == []


def spoil(bench: Bench) -> None:
    """Change and damage what was backed up."""
    bench.ticket("After the backup")
    bench.sql("DELETE FROM backend.kept WHERE a > 100")
    as_role(bench.platform, "manager", "config-developer LLM_SYSTEM_PROMPT=after")
    assert (
        bench.platform.run("ssh-manager", "sh", "-c", "echo '{' >/shared/tickets/T-0001.json").returncode == 0
    )
    line = "cd /srv/git/app.git && git update-ref refs/heads/spoilt HEAD && rm -f objects/pack/*.pack"
    assert bench.platform.run("git", "sh", "-c", line).returncode == 0


def test_a_backup_disturbs_nobody_is_encrypted_and_told_finding_backup(
    bench: Bench, stored: dict[str, str]
) -> None:
    ids = bench.platform.ids()
    again = bench.backup().ok()
    assert bench.platform.ids() == ids
    assert bench.left() == []
    assert bench.password.stat().st_mode & 0o777 == 0o600
    assert "was read back and compared" in again.output
    for path in bench.repository.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes()
    said = data(as_role(bench.platform, "monitor", "status --json"))["backup"]
    assert (said["old"], said["max_age_hours"]) == (False, 48)
    assert time.time() - said["verified"] < PATIENCE
    assert "The last backup (" in as_role(bench.platform, "manager", "status").stdout
    # The run after it has nothing to do.
    assert runs.playbook("site.yml", name="after-backup").ok().changed == 0


def test_an_old_backup_is_an_alert_finding_backup(bench: Bench, stored: dict[str, str]) -> None:
    record = "/home/monitor/.local/state/dockfra/backup.json"
    kept = bench.platform.run("ssh-monitor", "cat", record).stdout
    old = json.dumps({**json.loads(kept), "verified": time.time() - 49 * 3600})
    for text, expected in ((old, True), (kept, False)):
        bench.platform.run("ssh-monitor", "sh", "-c", f"cat >{record}", text=text)

        def told(wanted: bool = expected) -> bool:
            said = data(as_role(bench.platform, "monitor", "status --json"))
            return bool(said["backup"]["old"]) == wanted and ("backup" in said["alerts"]) == wanted

        eventually(told, f"the backup is an alert: {expected}", timeout=120)


@pytest.mark.parametrize("how", ["unnamed", "password", "flipped", "cut", "snapshot"])
def test_what_cannot_be_restored_changes_nothing_finding_backup(
    bench: Bench, stored: dict[str, str], tmp_path: Path, how: str
) -> None:
    before = bench.platform.snapshot()
    options: tuple[str, ...] = bench.restoring()
    expected = ""
    if how == "unnamed":
        options, expected = bench.options, "add -e dockfra_confirm="
    elif how == "password":
        (tmp_path / "password").write_text("another\n")
        (tmp_path / "password").chmod(0o600)
        options += ("-e", f"dockfra_backup_password_file={tmp_path / 'password'}")
        expected = "encrypted with another password"
    elif how == "snapshot":
        options += ("-e", "dockfra_restore_snapshot=0123456789abcdef")
        expected = "There is no snapshot 0123456789abcdef"
    else:
        copied = tmp_path / "repository"
        shutil.copytree(bench.repository, copied)
        packs = sorted(
            (copied / "data").rglob("*"), key=lambda path: -path.stat().st_size if path.is_file() else 0
        )
        packs[0].chmod(0o600)
        if how == "cut":
            os.truncate(packs[0], packs[0].stat().st_size // 2)
        else:
            content = bytearray(packs[0].read_bytes())
            content[len(content) // 2] ^= 1
            packs[0].write_bytes(content)
        options += ("-e", f"dockfra_backup_repository={copied}")
        expected = "is damaged"
    run = runs.playbook("playbooks/restore.yml", *options, name=f"restore-{how}", timeout=PATIENCE)
    assert run.code != 0
    assert expected in " ".join(run.errors), run.output[-2000:]
    assert bench.platform.snapshot() == before


def test_a_restore_brings_everything_back_finding_backup(bench: Bench, stored: dict[str, str]) -> None:
    spoil(bench)
    bench.restore().ok()
    bench.platform.wait_healthy(*bench.platform.names)
    same(bench, stored)
    assert runs.playbook("site.yml", name="after-restore").ok().changed == 0
    # And it works on.
    assert bench.ticket("After the restore") not in json.loads(stored["tickets"])
    assert as_role(bench.platform, "developer", "check-services").returncode == 0


@pytest.mark.parametrize(
    ("step", "pause"), [("beside", 0.5), ("swap", 2.0), ("swap", 8.0), ("swap", 20.0), ("old", 0.3)]
)
def test_a_restore_that_is_killed_goes_to_its_end_the_next_time_finding_backup(
    bench: Bench, stored: dict[str, str], step: str, pause: float
) -> None:
    spoil(bench)
    task = {
        "beside": r"Put everything beside what is there, and compare\]",
        "swap": r"Put it in its place\]",
        "old": r"Remove the old data\]",
    }[step]
    started = runs.start(
        "playbooks/restore.yml", *bench.restoring("-v"), name=f"restore-killed-{step}-{pause}"
    )
    started.wait_for(task, PATIENCE)
    time.sleep(pause)
    kill(started)
    bench.restore().ok()
    bench.platform.wait_healthy(*bench.platform.names)
    same(bench, stored)


def test_an_empty_machine_becomes_the_platform_finding_backup(
    bench: Bench, stored: dict[str, str], tmp_path: Path
) -> None:
    """All that there is of it is the repository and its password."""
    password = tmp_path / "password"
    shutil.copy(bench.password, password)
    removed = ("-e", "dockfra_remove_data=true", "-e", "dockfra_remove_images=false")
    confirmed = ("-e", f"dockfra_confirm={bench.platform.topology.project}")
    runs.playbook("playbooks/teardown.yml", *removed, *confirmed, name="before-restore").ok()
    assert not bench.platform.state.exists()
    assert bench.platform.ids() == {}
    bench.restore("-e", f"dockfra_backup_password_file={password}").ok()
    bench.platform.wait_healthy(*bench.platform.names)
    same(bench, stored)
    assert runs.playbook("site.yml", name="after-empty").ok().changed == 0
    assert re.search(r"^backend ", as_role(bench.platform, "monitor", "status").stdout, re.MULTILINE)
