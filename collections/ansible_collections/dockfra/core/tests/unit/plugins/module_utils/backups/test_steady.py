# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Directories that are read while others write to them, and archives of them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit import chain
from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog
from ansible_collections.dockfra.core.plugins.module_utils.backups import archive, steady, trial
from ansible_collections.dockfra.core.plugins.module_utils.errors import BackupError, UnsteadyError


@contextmanager
def busy(work: Callable[[int], None]) -> Iterator[None]:
    """Something is done again and again beside the test."""
    stop = threading.Event()

    def run() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            work(number)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def packed(source: Path, folder: Path, name: str = "files/one") -> tuple[Path, archive.Contents]:
    path = folder / "archive.tar"
    with path.open("xb+") as file:
        writer = archive.Writer(file)
        found = writer.add(source, name, sleep=lambda _seconds: None)
        writer.close()
    return path, found


def filled(folder: Path) -> Path:
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "secret").write_bytes(b"\0\1" * 5000)
    (folder / "a" / "secret").chmod(0o4750)
    (folder / "a" / "empty").touch()
    (folder / "leads").symlink_to("/etc/passwd")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff name\n")).write_text("x")
    os.mkfifo(folder / "pipe")
    with (folder / "large").open("wb") as file:
        file.truncate(steady.WHOLE + 5)
    for path in (folder / "a" / "secret", folder / "a", folder / "leads"):
        os.utime(path, ns=(1, 1_700_000_000_123_456_789), follow_symlinks=False)
    if os.geteuid() == 0:
        os.chown(folder / "a" / "secret", 10011, 10012)
        (folder / "a" / "secret").chmod(0o4750)
        os.utime(folder / "a" / "secret", ns=(1, 1_700_000_000_123_456_789))
    return folder


def test_what_is_unpacked_is_what_was_packed(tmp_path: Path) -> None:
    source = filled(tmp_path / "source")
    path, found = packed(source, tmp_path)
    target = tmp_path / "target"
    archive.unpack(path, "files/one", target, owned=os.geteuid() == 0)
    assert archive.contents(target) == found
    status = (target / "a" / "secret").lstat()
    assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o4750, 1_700_000_000_123_456_789)
    assert os.readlink(target / "leads") == "/etc/passwd"
    assert (target / "a").stat().st_mtime_ns == 1_700_000_000_123_456_789
    if os.geteuid() == 0:
        assert (status.st_uid, status.st_gid) == (10011, 10012)
    # What is neither file nor directory nor link is left out.
    assert not (target / "pipe").exists()
    assert found.files == 4


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"),
        lambda path: path.chmod(0o640),
        lambda path: os.utime(path, ns=(1, 2)),
        lambda path: path.unlink(),
        lambda path: path.with_name("more").touch(),
    ],
)
def test_every_difference_is_another_digest(tmp_path: Path, change: Callable[[Path], None]) -> None:
    source = filled(tmp_path / "source")
    before = archive.contents(source)
    assert archive.contents(source) == before
    change(source / "a" / "secret")
    assert archive.contents(source).digest != before.digest


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_cut_archive_is_refused(tmp_path: Path, place: float) -> None:
    path, _found = packed(filled(tmp_path / "source"), tmp_path)
    os.truncate(path, int(path.stat().st_size * place))
    with pytest.raises(BackupError, match=r"damaged|lacks"):
        archive.unpack(path, "files/one", tmp_path / "target", owned=False)


def test_no_member_leaves_the_directory(tmp_path: Path) -> None:
    import io
    import tarfile

    for number, names in enumerate((["../out"], ["sub/../../out"], ["link", "link/out"])):
        path = tmp_path / f"{number}.tar"
        with tarfile.open(path, "w") as tar:
            folder = tarfile.TarInfo("files/one")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o700
            tar.addfile(folder)
            for name in names:
                info = tarfile.TarInfo(f"files/one/{name}")
                if name == "link":
                    info.type, info.linkname = tarfile.SYMTYPE, str(tmp_path)
                    tar.addfile(info)
                else:
                    info.size = 1
                    tar.addfile(info, io.BytesIO(b"x"))
        with pytest.raises(BackupError, match="in no directory of it"):
            archive.unpack(path, "files/one", tmp_path / f"target{number}", owned=False)
        assert not (tmp_path / "out").exists()


def test_a_link_in_the_place_of_a_directory_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        list(steady.read(tmp_path / "link"))


def test_a_log_that_grows_ends_at_a_whole_line(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    log = source / "x.jsonl"
    log.write_text('{"a": 1}\n')

    def append(number: int) -> None:
        with log.open("a") as file:
            file.write('{"half')
            file.flush()
            file.write(f'": {number}}}\n')

    with busy(append):
        for number in range(20):
            folder = tmp_path / str(number)
            folder.mkdir()
            path, found = packed(source, folder)
            archive.unpack(path, "files/one", folder / "target", owned=False)
            lines = (folder / "target" / "x.jsonl").read_bytes()
            assert lines.endswith(b"\n")
            assert all(json.loads(line) for line in lines.splitlines())
            assert archive.contents(folder / "target", owned=True) == found


def test_an_audit_log_that_rotates_meanwhile_is_whole(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    log = AuditLog(source / "x.jsonl", limit=2048, keep=4)

    def append(number: int) -> None:
        log.append({"verb": "x", "number": number})
        time.sleep(0.01)

    append(0)
    with busy(append):
        for number in range(10):
            folder = tmp_path / str(number)
            folder.mkdir()
            path, _found = packed(source, folder)
            archive.unpack(path, "files/one", folder / "target", owned=False)
            assert chain.verify(folder / "target" / "x.jsonl").problems == ()
            assert list(trial.notes_on(str(folder / "target"))) == []


def test_a_database_in_use_can_be_opened(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    made = sqlite3.connect(source / "x.sqlite", check_same_thread=False)
    made.execute("PRAGMA journal_mode = WAL")
    made.execute("PRAGMA wal_autocheckpoint = 5")
    made.execute("CREATE TABLE pair (a, b)")
    made.execute("INSERT INTO pair VALUES (0, 0)")
    made.commit()

    def change(number: int) -> None:
        with made:
            made.execute("UPDATE pair SET a = ?", (number,))
            made.execute("UPDATE pair SET b = ?", (number,))
            made.execute("INSERT INTO pair VALUES (?, ?)", (number, number))
            made.execute("DELETE FROM pair WHERE rowid > 50")
        time.sleep(0.05)

    with busy(change):
        for number in range(8):
            folder = tmp_path / str(number)
            folder.mkdir()
            path, _found = packed(source, folder)
            archive.unpack(path, "files/one", folder / "target", owned=False)
            assert not (folder / "target" / "x.sqlite-shm").exists()
            with sqlite3.connect(folder / "target" / "x.sqlite") as copied:
                assert copied.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                assert copied.execute("SELECT count(*) FROM pair WHERE a <> b").fetchone() == (0,)
    made.close()


def test_a_repository_that_is_pushed_to_has_whatever_it_names(tmp_path: Path) -> None:
    source, work = tmp_path / "source", tmp_path / "work"
    own = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b"}
    own |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}

    def git(*words: str, folder: Path = work) -> str:
        done = subprocess.run(
            ["git", *words], cwd=folder, env=own, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    source.mkdir()
    git("init", "-q", "--bare", "app.git", folder=source)
    git("clone", "-q", str(source / "app.git"), str(work), folder=tmp_path)

    def push(number: int) -> None:
        (work / "file").write_text(str(number))
        git("add", "file")
        git("commit", "-q", "-m", str(number))
        git("push", "-q", "origin", f"HEAD:refs/heads/b{number % 5}", "--force")

    push(0)
    with busy(push):
        for number in range(5):
            folder = tmp_path / str(number)
            folder.mkdir()
            path, _found = packed(source, folder)
            archive.unpack(path, "files/one", folder / "target", owned=False)
            repository = folder / "target" / "app.git"
            git("fsck", "--full", "--no-dangling", folder=repository)
            assert "refs/heads/" in git("for-each-ref", folder=repository)


def test_what_changes_all_the_time_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.mkdir()
    file = source / "x"
    file.write_bytes(bytes(1024))
    settled, looks = steady._settled, []

    def changed_meanwhile(opened: BinaryIO) -> os.stat_result:
        found = settled(opened)
        looks.append(found)
        os.utime(file, ns=(1, 1_700_000_000_000_000_000 + len(looks)))
        return found

    monkeypatch.setattr(steady, "_settled", changed_meanwhile)
    monkeypatch.setattr(steady, "_PAUSE", 0.0)
    with pytest.raises(UnsteadyError, match="x changes all the time"):
        packed(source, tmp_path)
    assert len(looks) == steady._LOOKS * archive.TRIES


def test_caches_are_left_out(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in (".cache/pip", "own/cache"):
        (source / name).mkdir(parents=True)
        (source / name / "x").touch()
    (source / "own" / "cache" / "CACHEDIR.TAG").touch()
    assert [entry.path for entry in steady.read(source)] == ["", "own"]
