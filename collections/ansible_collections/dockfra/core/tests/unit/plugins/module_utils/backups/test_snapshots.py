# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Backups in a real repository of restic: stored, read back, refused when damaged, and cut at any point."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.backups import (
    archive,
    collection,
    restic,
    snapshots,
)
from ansible_collections.dockfra.core.plugins.module_utils.backups.parts import (
    ARCHIVE,
    CONTROLLER,
    FILES,
    Manifest,
    Part,
    sha256_of,
)
from ansible_collections.dockfra.core.plugins.module_utils.errors import (
    BackupError,
    DockfraError,
    RepositoryError,
    UsageError,
)
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

pytestmark = pytest.mark.skipif(not shutil.which("restic"), reason="restic is not installed")

PROJECT = "dockfra-unit"
KEEP = {"daily": 7, "weekly": 4, "monthly": 6}
PASSWORD = "canary-of-the-repository"


class Bench:
    """A repository, a state directory and what a run collected, all in a directory of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = folder / "repository"
        self.password = folder / "password"
        self.password.write_text(PASSWORD + "\n")
        self.password.chmod(0o600)
        self.state = folder / "state"
        self.run = folder / "run"
        (self.state / "secrets").mkdir(parents=True, exist_ok=True)
        (self.state / "secrets" / "one").write_text("first\n")
        (self.state / "secrets" / "one").chmod(0o600)

    def repository(self) -> restic.Repository:
        return restic.Repository(str(self.address), str(self.password))

    def collect(self, size: int = 300_000) -> None:
        """What a Docker host and the controller have, as a run brings it together."""
        shutil.rmtree(self.run, ignore_errors=True)
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        content = random.Random(size).randbytes(size)
        # What has not changed has its time of before as well.
        if not (data / "x").exists() or (data / "x").read_bytes() != content:
            (data / "x").write_bytes(content)
        host = self.run / snapshots.HOSTS / "one"
        host.mkdir(parents=True)
        path = host / ARCHIVE
        with path.open("xb+") as file:
            writer = archive.Writer(file)
            part = Part("tickets", FILES, *writer.add(data, "files/tickets"))
            writer.close()
        Manifest(PROJECT, "one", time.time(), path.stat().st_size, sha256_of(path), (part,)).write(host)
        controller = self.run / snapshots.HOSTS / CONTROLLER
        collection.of_directories(PROJECT, {"state": str(self.state)}, str(controller))

    def store(self) -> snapshots.Stored:
        return snapshots.store(self.repository(), str(self.run), PROJECT, KEEP)

    def fetch(
        self, name: str = "latest", folder: str = "fetched"
    ) -> tuple[restic.Snapshot, dict[str, Manifest]]:
        return snapshots.fetch(self.repository(), name, str(self.folder / folder), PROJECT)

    def packs(self) -> list[Path]:
        """The files with what was stored, the largest first."""
        found = [path for path in (self.address / "data").rglob("*") if path.is_file()]
        return sorted(found, key=lambda path: -path.stat().st_size)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Something that is stored already, for tests to copy: each start of restic takes a while."""
    bench = Bench(tmp_path_factory.mktemp("stored"))
    bench.collect()
    bench.store()
    return bench.folder


@pytest.fixture
def stored(template: Path, tmp_path: Path) -> Bench:
    """A bench of which a backup was stored."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return Bench(tmp_path)


def test_what_is_stored_comes_back_finding_backup(bench: Bench) -> None:
    bench.collect()
    stored = bench.store()
    assert stored.made
    assert not (bench.folder / "run.back").exists()
    snapshot, found = bench.fetch()
    assert snapshot == stored.snapshot
    assert set(found) == {"one", CONTROLLER}
    (bench.state / "secrets" / "one").write_text("changed\n")
    (bench.state / "backup_password").write_text("of now\n")
    keep = [str(bench.state / "backup_password"), str(bench.password), str(bench.state / "none")]
    changed, before = snapshots.put_back(str(bench.folder / "fetched"), "state", str(bench.state), keep)
    assert changed
    assert (bench.state / "secrets" / "one").read_text() == "first\n"
    assert (bench.state / "secrets" / "one").stat().st_mode & 0o777 == 0o600
    assert (bench.state / "backup_password").read_text() == "of now\n"
    assert (Path(before) / "secrets" / "one").read_text() == "changed\n"
    # Twice is once.
    (bench.state / "backup_password").unlink()
    os.utime(bench.state, ns=(1, (bench.folder / "fetched").stat().st_mtime_ns))
    again = snapshots.put_back(str(bench.folder / "fetched"), "state", str(bench.state))
    assert again[0]
    assert snapshots.put_back(str(bench.folder / "fetched"), "state", str(bench.state)) == (False, "")
    assert Path(before).is_dir()


def test_nothing_is_stored_twice_and_old_snapshots_go(bench: Bench) -> None:
    bench.collect()
    first = bench.store()
    room = sum(path.stat().st_size for path in bench.packs())
    bench.collect()
    second = bench.store()
    assert not second.made
    bench.collect()
    third = bench.store()
    assert third.removed == 1  # all are of one day
    # The oldest one is kept as well by restic from 0.16 on, until there are enough.
    assert bench.repository().snapshots(PROJECT) in ([third.snapshot], [first.snapshot, third.snapshot])
    assert sum(path.stat().st_size for path in bench.packs()) < room * 1.5
    with pytest.raises(RepositoryError, match=f"no snapshot {second.snapshot.short}"):
        bench.fetch(second.snapshot.short)
    with pytest.raises(UsageError, match="names no snapshot"):
        bench.fetch("--target")


def test_snapshots_of_another_platform_are_none(stored: Bench) -> None:
    with pytest.raises(RepositoryError, match="there is none at all"):
        snapshots.fetch(stored.repository(), "latest", str(stored.folder / "f"), "another")


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "no index", "no snapshot"])
def test_a_damaged_repository_is_refused_and_nothing_is_left_finding_backup(
    stored: Bench, damage: str
) -> None:
    # Every byte counts: the largest file is what was stored.
    pack = stored.packs()[0]
    pack.chmod(0o600)
    if damage == "flip":
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 1
        pack.write_bytes(data)
    elif damage == "cut":
        os.truncate(pack, pack.stat().st_size // 2)
    elif damage == "gone":
        pack.unlink()
    else:
        folder = stored.address / ("index" if damage == "no index" else "snapshots")
        for path in folder.iterdir():
            path.unlink()
    with pytest.raises(RepositoryError, match=r"damaged|none at all"):
        stored.fetch()
    assert not (stored.folder / "fetched").exists()
    assert (stored.state / "secrets" / "one").read_text() == "first\n"


@pytest.mark.parametrize("damage", ["flip", "cut", "no archive", "no manifest", "one place"])
def test_a_damaged_copy_is_refused(stored: Bench, damage: str) -> None:
    stored.collect()
    host = stored.run / snapshots.HOSTS / "one"
    path = host / ARCHIVE
    if damage == "flip":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "cut":
        os.truncate(path, path.stat().st_size - 1)
    elif damage == "no archive":
        path.unlink()
    elif damage == "no manifest":
        (host / "manifest.json").write_text("{")
    else:
        shutil.rmtree(host)
    with pytest.raises(BackupError, match=r"damaged|lacks|no usable|not whole"):
        stored.store()


def test_a_wrong_password_is_told_and_is_nowhere_else_finding_backup(stored: Bench) -> None:
    stored.password.write_text("another-canary\n")
    with pytest.raises(RepositoryError, match="encrypted with another password than the one in") as caught:
        stored.fetch()
    assert "canary" not in str(caught.value)
    assert not (stored.folder / "fetched").exists()


def test_secrets_that_others_can_read_are_refused(bench: Bench) -> None:
    bench.password.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        bench.repository()
    bench.password.unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        bench.repository()
    with pytest.raises(UsageError, match="holds a password"):
        restic.Repository("rest:https://me:secret@host/", str(bench.password))


def test_the_environment_of_restic_comes_from_a_file(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESTIC_PASSWORD", "of somebody else")
    monkeypatch.setenv("RESTIC_REPOSITORY", "/nonexistent")
    own = bench.folder / "environment"
    own.write_text("# keys\nRESTIC_CACHE_DIR='" + str(bench.folder / "cache") + "'\n")
    own.chmod(0o600)
    repository = restic.Repository(str(bench.address), str(bench.password), str(own))
    assert not repository.exists()
    repository.make()
    bench.collect()
    snapshots.store(repository, str(bench.run), PROJECT, KEEP)
    assert (bench.folder / "cache").is_dir()
    own.write_text("no variable\n")
    with pytest.raises(UsageError, match="line 1 is not NAME=value"):
        restic.Repository(str(bench.address), str(bench.password), str(own))


def test_a_password_is_made_for_a_new_repository_only(bench: Bench) -> None:
    assert not restic.make_password(str(bench.password), str(bench.address))
    bench.password.unlink()
    assert restic.make_password(str(bench.password), str(bench.address))
    assert bench.password.stat().st_mode & 0o777 == 0o600
    assert len(bench.password.read_text()) > 40
    bench.collect()
    bench.store()
    bench.password.unlink()
    with pytest.raises(RepositoryError, match="the file with its password is not"):
        restic.make_password(str(bench.password), str(bench.address))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("where", ["repository", "fetched"])
def test_a_full_disk_is_told_and_nothing_is_lost_finding_backup(
    request: pytest.FixtureRequest, where: str
) -> None:
    bench: Bench = request.getfixturevalue("stored" if where == "fetched" else "bench")
    with small_disk(bench.folder / ("small" if where == "fetched" else "repository")):
        if where == "repository":
            bench.collect(5_000_000)
            with pytest.raises(RepositoryError, match="no space left"):
                bench.store()
        else:
            with pytest.raises(BackupError, match=r"not enough room for the snapshot: \d+ MiB are needed"):
                bench.fetch(folder="small/fetched")
    if where == "fetched":
        bench.fetch()
    assert (bench.state / "secrets" / "one").read_text() == "first\n"


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("mounting is not possible here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


_STORE = """
import sys
from ansible_collections.dockfra.core.plugins.module_utils.backups import restic, snapshots
address, password, run, project = sys.argv[1:]
snapshots.store(restic.Repository(address, password), run, project, {"daily": 7})
"""


@pytest.mark.slow
def test_a_backup_that_is_killed_leaves_the_one_before_and_the_next_one_goes_finding_backup(
    bench: Bench,
) -> None:
    bench.collect()
    first = bench.store().snapshot
    bench.collect(20_000_000)
    words = [sys.executable, "-c", _STORE, str(bench.address), str(bench.password), str(bench.run), PROJECT]
    for pause in (0.6, 1.2, 1.8):
        process = subprocess.Popen(
            words, env={**os.environ, "PYTHONPATH": str(COLLECTIONS)}, start_new_session=True
        )
        time.sleep(pause)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        known = bench.repository().snapshots(PROJECT)
        assert first in known or len(known) == 1
        shutil.rmtree(bench.folder / "fetched", ignore_errors=True)
        bench.fetch(known[0].short)
    last = bench.store().snapshot
    assert bench.fetch()[0] == last


@pytest.mark.parametrize("left", ["state.restored", "of an earlier version", "only before"])
def test_keys_come_back_after_a_kill_at_any_rename_finding_backup(stored: Bench, left: str) -> None:
    stored.fetch()
    (stored.state / "secrets" / "one").write_text("changed\n")
    if left == "only before":
        stored.state.rename(f"{stored.state}{snapshots.BEFORE}")
    elif left == "of an earlier version":
        shutil.copytree(stored.state, f"{stored.state}.restored")
    else:
        shutil.copytree(stored.state, stored.folder / "fetched" / "state.restored")
    changed, before = snapshots.put_back(str(stored.folder / "fetched"), "state", str(stored.state))
    assert changed
    assert (stored.state / "secrets" / "one").read_text() == "first\n"
    assert (Path(before) / "secrets" / "one").read_text() == "changed\n"
    assert not Path(f"{stored.state}.restored").exists()
    assert not (stored.folder / "fetched" / "state.restored").exists()


def test_every_error_is_one_line_that_says_what_to_do(bench: Bench) -> None:
    with pytest.raises(DockfraError) as caught:
        bench.fetch()
    assert str(caught.value) == (
        f"There is no repository in {bench.address}; name it in dockfra_backup_repository."
    )
    bench.address.mkdir()
    (bench.address / "something").touch()
    bench.collect()
    with pytest.raises(RepositoryError, match="is no repository and not empty"):
        bench.store()
