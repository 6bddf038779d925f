# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Restores into volumes and a real PostgreSQL server, cut off at every rename; only Docker's engine is not the real one."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.backups import collection, postgres, routes, swap
from ansible_collections.dockfra.core.plugins.module_utils.backups.parts import (
    ARCHIVE,
    CONTROLLER,
    FILES,
    POSTGRES,
    Manifest,
    Source,
)
from ansible_collections.dockfra.core.plugins.module_utils.backups.places import Host
from ansible_collections.dockfra.core.plugins.module_utils.errors import BackupError

SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SERVERS, reason="postgresql is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="files get other owners"),
]
PORT = "55432"


class FakeHost(Host):
    """A Docker host: volumes are directories, and programs in the database's container run here."""

    def __init__(self, folder: Path, user: int) -> None:
        self.project = "unit"
        self.folder = folder
        self.user = user
        self.stopped: list[str] = []

    def has(self, volume: str) -> bool:
        return (self.folder / volume).is_dir()

    def directory(self, volume: str, present: bool = True) -> str:
        path = self.folder / volume / "_data"
        if present and not path.is_dir():
            raise BackupError(f"no {volume}")
        return str(path)

    def running(self, container: str) -> bool:
        return container not in self.stopped

    def containers(self) -> list[dict[str, str]]:
        return [{"name": name, "state": "running"} for name in ("unit-db", "unit-manager")]

    def stop(self, containers: Sequence[str], timeout: int = 20) -> None:  # type: ignore[override]
        self.stopped += containers

    def start(self, containers: Sequence[str]) -> None:  # type: ignore[override]
        self.stopped = [name for name in self.stopped if name not in containers]

    def execute(
        self,
        container: str,
        command: Sequence[str],
        *,
        user: int,
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[bytes]:
        own = {"PATH": f"{SERVERS[-1].parent}:{os.environ['PATH']}", "PGHOST": str(self.folder / "socket")}
        own["DOCKFRA_PORT_POSTGRES"] = PORT
        words = [word.replace("/volume", self.directory("db-data")) for word in command]
        done = subprocess.run(words, env=own, user=user, capture_output=True, check=False)
        if done.returncode:
            raise BackupError(done.stderr.decode())
        yield done.stdout


@pytest.fixture(scope="module")
def server() -> Iterator[FakeHost]:
    # The server's user has to reach it, which is no owner of pytest's directories.
    folder = Path(tempfile.mkdtemp(prefix="dockfra-"))
    folder.chmod(0o755)
    user = pwd.getpwnam("postgres").pw_uid
    for name in ("db-data/_data", "socket"):
        (folder / name).mkdir(parents=True)
        os.chown(folder / name, user, user)
    data = folder / "db-data" / "_data" / "cluster"
    tool = SERVERS[-1]
    words: list[str | Path] = [tool, "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"]
    subprocess.run(words, user=user, check=True, stdout=subprocess.DEVNULL)
    process = subprocess.Popen(
        [tool.with_name("postgres"), "-D", data, "-k", folder / "socket", "-p", PORT, "-F", "-h", ""],
        user=user,
        stderr=subprocess.DEVNULL,
    )
    host = FakeHost(folder, user)
    try:
        postgres.Server(host, database(host)).wait(60)
        yield host
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def database(host: FakeHost) -> Source:
    return Source("db-data", POSTGRES, "unit-db", "/volume", host.user)


def sources(host: FakeHost) -> list[Source]:
    return [
        Source("tickets", FILES, "unit-manager", "/shared/tickets", 10011),
        Source("manager-home", FILES, "unit-manager", "/home/manager", 10011),
        database(host),
    ]


class Bench:
    """A platform with a backup of it, which was changed since."""

    def __init__(self, host: FakeHost, folder: Path) -> None:
        self.host = host
        self.archive = folder / "archive"
        self.server = postgres.Server(host, database(host))
        self.swap = swap.Swap(host, sources(host))
        for name in ("tickets", "manager-home"):
            shutil.rmtree(host.folder / name, ignore_errors=True)
            (host.folder / name / "_data").mkdir(parents=True)
        for name in self.server.query("SELECT datname FROM pg_database WHERE datname LIKE 'app%'"):
            self.server.query(f'DROP DATABASE "{name}" WITH (FORCE)')
        self.server.query("CREATE DATABASE app")
        self.server.query("DROP ROLE IF EXISTS kept")
        self.server.query("CREATE ROLE kept NOLOGIN")
        self.sql("CREATE TABLE t (a serial, b text, c bytea)")
        self.sql(
            "INSERT INTO t (b, c) SELECT E'tab\\tline\\n' || n, '\\x00ff' FROM generate_series(1, 1000) n"
        )
        self.sql("ALTER TABLE t OWNER TO kept")
        self.write("before")
        self.manifest = self.collect()
        self.write("after")
        self.sql("DELETE FROM t WHERE a > 10")

    def sql(self, statement: str) -> str:
        own = {"PGHOST": str(self.host.folder / "socket"), "PGPORT": PORT, "PATH": os.environ["PATH"]}
        words = ["psql", "-U", "postgres", "-d", "app", "-AtX", "-v", "ON_ERROR_STOP=1", "-c", statement]
        done = subprocess.run(words, env=own, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, text: str) -> None:
        for name in ("tickets", "manager-home"):
            path = self.host.folder / name / "_data" / "file"
            path.write_text(text)
            os.chown(path, 10011, 10011)
            path.chmod(0o600)

    def collect(self) -> Manifest:
        return collection.of_host(self.host, "one", sources(self.host), str(self.archive), (0, 0))

    def state(self) -> tuple[str, str, str]:
        """What the platform has: two files and the rows of the database."""
        files = [
            (self.host.folder / name / "_data" / "file").read_text() for name in ("tickets", "manager-home")
        ]
        return files[0], files[1], self.sql("SELECT count(*) FROM t")

    def left(self) -> list[str]:
        found = [str(path) for path in self.host.folder.glob("*/dockfra.*")]
        found += [str(path) for path in (self.host.folder / "db-data" / "_data").glob(postgres.EXCHANGE)]
        return found + self.server.query("SELECT datname FROM pg_database WHERE datname LIKE '%dockfra%'")


OLD, NEW = ("after", "after", "10"), ("before", "before", "1000")


@pytest.fixture
def bench(server: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    # All that others write on this machine is not worth waiting for.
    monkeypatch.setattr(swap.os, "sync", lambda: None)
    return Bench(server, tmp_path)


def test_a_restore_swaps_everything_and_ends_without_a_trace_finding_backup(bench: Bench) -> None:
    assert {part.name for part in bench.manifest.parts} == {"tickets", "manager-home", "db-data/app"}
    assert bench.state() == OLD
    bench.swap.prepare(bench.manifest, str(bench.archive))
    assert bench.state() == OLD
    bench.swap.stop()
    assert bench.host.stopped == ["unit-manager"]
    bench.swap.swap()
    assert bench.host.stopped == ["unit-manager", "unit-manager"]
    bench.swap.start()
    assert bench.state() == NEW
    status = (bench.host.folder / "tickets" / "_data" / "file").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (10011, 10011, 0o600)
    assert bench.sql("SELECT tableowner FROM pg_tables WHERE tablename = 't'") == "kept"
    assert bench.sql("INSERT INTO t (b) VALUES ('x') RETURNING a").splitlines()[0] == "1001"
    bench.sql("DELETE FROM t WHERE a = 1001")
    assert bench.host.stopped == []
    bench.swap.finish()
    assert bench.left() == []
    assert not bench.swap.undo()
    assert bench.state() == NEW


def test_what_others_have_begins_anew_and_comes_back_where_it_is_undone_finding_backup(bench: Bench) -> None:
    mirror = bench.host.folder / "audit-elsewhere" / "_data"
    mirror.mkdir(parents=True)
    try:
        (mirror / "log").write_text("of then")
        os.chown(mirror, 10023, 10023)
        mirror.chmod(0o750)
        made = swap.Swap(bench.host, sources(bench.host), ["audit-elsewhere"])
        made.prepare(bench.manifest, str(bench.archive))
        made.swap()
        status = mirror.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (10023, 10023, 0o750)
        assert list(mirror.iterdir()) == []
        (mirror / "log").write_text("anew")
        assert made.undo()
        assert (mirror / "log").read_text() == "of then"
        assert bench.left() == []
        made.prepare(bench.manifest, str(bench.archive))
        made.swap()
        made.start()
        made.finish()
        assert list(mirror.iterdir()) == []
        assert bench.left() == []
    finally:
        shutil.rmtree(mirror.parent)


def test_a_server_that_does_not_answer_is_told_with_the_way_through(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_words: object) -> None:
        raise BackupError("psql in unit-db failed: no connection.")

    monkeypatch.setattr(postgres.Server, "wait", silent)
    with pytest.raises(BackupError) as told:
        bench.swap.undo()
    data = bench.host.folder / "db-data" / "_data"
    assert "The database server unit-db does not answer: psql in unit-db failed: no connection. " in str(
        told.value
    )
    assert str(told.value).endswith(
        f": docker rm -f unit-db && mv {data} /root/unit-db-data.broken && docker volume rm unit-db-data"
    )
    # As that leaves it.
    monkeypatch.setattr(bench.host, "containers", list)
    assert not bench.swap.undo()


def test_what_was_decided_is_not_undone_finding_backup(bench: Bench) -> None:
    bench.swap.prepare(bench.manifest, str(bench.archive))
    bench.swap.swap()
    assert not bench.swap.decided()
    bench.swap.decide()
    bench.swap.start()
    again = swap.Swap(bench.host, sources(bench.host))
    assert again.decided()
    assert not again.undo()
    assert not again.decided()
    assert bench.state() == NEW
    assert bench.left() == []


def test_a_database_and_volumes_that_go_apart_are_restored_each_where_it_is_finding_backup(
    bench: Bench, tmp_path: Path
) -> None:
    """Two Docker hosts, on one the tickets, on the other one the database and a home."""
    hosts = {"left": sources(bench.host)[:1], "right": sources(bench.host)[1:]}
    folder = tmp_path / "fetched"
    shutil.copytree(bench.archive, folder / "hosts" / "one")
    found = {"one": bench.manifest, CONTROLLER: Manifest("unit", CONTROLLER, 1.0, 0, "")}
    routes.regroup(str(folder), found, hosts, routes.ways(found, hosts))
    swaps = [swap.Swap(bench.host, each) for each in hosts.values()]
    for name, each in zip(hosts, swaps, strict=True):
        target = str(folder / routes.TARGETS / name)
        each.prepare(Manifest.read(target), target)
    for step in ("stop", "swap", "start", "decide", "finish"):
        for each in swaps:
            getattr(each, step)()
    assert bench.state() == NEW
    assert bench.left() == []


def test_a_role_that_is_gone_comes_back_without_a_login(bench: Bench) -> None:
    bench.sql("DROP TABLE t")
    bench.server.query("DROP ROLE kept")
    bench.swap.prepare(bench.manifest, str(bench.archive))
    bench.swap.swap()
    bench.swap.start()
    bench.swap.finish()
    assert bench.state() == NEW
    assert bench.sql("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'kept'") == "f"


class KilledError(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("number", range(7))
@pytest.mark.parametrize("again", [False, True])
def test_killed_at_any_rename_the_old_data_comes_back_finding_backup(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int, again: bool
) -> None:
    bench.swap.prepare(bench.manifest, str(bench.archive))
    kill_at(monkeypatch, bench, number)
    killed = False
    try:
        bench.swap.swap()
    except KilledError:
        killed = True
    # Two renames for each volume, and one transaction.
    assert killed == (number < 5)
    monkeypatch.undo()
    fresh = swap.Swap(bench.host, sources(bench.host))
    if again:  # and the way back is cut as well
        kill_at(monkeypatch, bench, number % 3)
        try:
            fresh.undo()
        except KilledError:
            monkeypatch.undo()
            swap.Swap(bench.host, sources(bench.host)).undo()
        monkeypatch.undo()
    else:
        fresh.undo()
    fresh.start()
    assert bench.host.stopped == []
    assert bench.state() == OLD
    assert bench.left() == []
    # And the next restore goes to its end.
    fresh.prepare(bench.manifest, str(bench.archive))
    fresh.swap()
    fresh.finish()
    assert bench.state() == NEW
    assert bench.left() == []


def kill_at(monkeypatch: pytest.MonkeyPatch, bench: Bench, number: int) -> None:
    """The n-th rename of directories or databases from now on never happens, nor does anything after it."""
    count = [number]
    rename, databases = os.rename, postgres.Server.rename

    def checked() -> None:
        count[0] -= 1
        if count[0] < 0:
            raise KilledError

    def renamed(*words: str) -> None:
        checked()
        rename(*words)

    def renamed_databases(self: postgres.Server, pairs: Sequence[tuple[str, str]]) -> None:
        checked()
        databases(self, pairs)

    monkeypatch.setattr(swap.os, "rename", renamed)
    monkeypatch.setattr(postgres.Server, "rename", renamed_databases)


def test_killed_while_the_old_data_is_removed_the_new_stays_finding_backup(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.swap.prepare(bench.manifest, str(bench.archive))
    bench.swap.swap()

    def killed(*_words: object, **_more: object) -> None:
        raise KilledError

    monkeypatch.setattr(swap.shutil, "rmtree", killed)
    with pytest.raises(KilledError):
        bench.swap.finish()
    monkeypatch.undo()
    assert not swap.Swap(bench.host, sources(bench.host)).undo()
    assert bench.state() == NEW
    assert bench.left() == []


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_damaged_archive_changes_nothing_finding_backup(bench: Bench, damage: str) -> None:
    path = bench.archive / ARCHIVE
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data if damage == "flip" else data[:-512])
    with pytest.raises(BackupError, match="damaged"):
        bench.swap.prepare(bench.manifest, str(bench.archive))
    assert bench.state() == OLD
    assert bench.left() == []


def test_rows_that_differ_are_noticed_whatever_their_order(bench: Bench) -> None:
    first = bench.server.rows("app")
    bench.sql("UPDATE t SET b = b WHERE a < 5")  # moves rows
    assert bench.server.rows("app") == first
    bench.sql("UPDATE t SET b = 'x' WHERE a = 5")
    assert bench.server.rows("app").digest != first.digest
    assert bench.server.rows("app").rows == first.rows == 10


def test_a_dump_that_is_cut_off_is_no_dump() -> None:
    lines = [b"COPY public.t (a) FROM stdin;\n1\n2\n\\.\n", b"SELECT pg_catalog.setval('s', 3, true);\n"]
    whole = postgres.digest(lines)
    assert (whole.tables, whole.rows) == (1, 2)
    assert postgres.digest([piece for line in lines for piece in (line[:5], line[5:])]) == whole
    with pytest.raises(BackupError, match="ends in the middle"):
        postgres.digest([lines[0][:-3]])


def test_a_copy_that_another_run_has_left_is_replaced(bench: Bench) -> None:
    (bench.archive / "trial").mkdir()
    (bench.archive / "trial" / "x").touch()
    before = time.time()
    again = bench.collect()
    assert again.time >= before
    assert sorted(path.name for path in bench.archive.iterdir()) == ["archive.tar", "manifest.json"]
