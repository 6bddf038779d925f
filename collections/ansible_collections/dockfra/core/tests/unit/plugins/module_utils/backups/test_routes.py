# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Backups of one Docker host that come to two, and the other way round: out of a real repository, with real archives."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.backups import (
    archive,
    collection,
    restic,
    routes,
    snapshots,
    swap,
)
from ansible_collections.dockfra.core.plugins.module_utils.backups.parts import (
    ARCHIVE,
    CONTROLLER,
    FILES,
    GIT,
    MANIFEST,
    POSTGRES,
    Manifest,
    Part,
    Source,
    sha256_of,
)
from ansible_collections.dockfra.core.plugins.module_utils.errors import BackupError
from ansible_collections.dockfra.core.tests.unit.plugins.module_utils.backups.places import Places
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS, slow

pytestmark = pytest.mark.skipif(not shutil.which("restic"), reason="restic is not installed")

PROJECT = "unit"
ONE = ("localhost",)
TWO = ("management", "app")
# Where each volume is on two Docker hosts.
VOLUMES = {
    "tickets": "management",
    "git-data": "management",
    "audit-manager": "management",
    "developer-home": "app",
    "releases": "app",
    "audit-developer": "app",
}


def sources(docker_host: str, *more: str) -> list[Source]:
    """The volumes of a Docker host."""
    names = [*VOLUMES, *more] if docker_host in ONE else [n for n in VOLUMES if VOLUMES[n] == docker_host]
    return [
        Source(name, GIT if name == "git-data" else FILES, f"unit-{name}", f"/{name}", 10011)
        for name in (names if docker_host in ONE else [*names, *more])
    ]


class Machines:
    """Docker hosts with volumes, the repository of their backups, and what a run fetches of it."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        self.hosts = {name: Places(folder / name, PROJECT) for name in names}
        (folder / "state").mkdir(parents=True, exist_ok=True)
        (folder / "state" / "key").write_text("key\n")
        (folder / "password").write_text("canary\n")
        (folder / "password").chmod(0o600)
        self.fetched = folder / "fetched"

    def fill(self, text: str, *more: str) -> None:
        for name, host in self.hosts.items():
            for source in sources(name, *more):
                host.make(source.volume)
                host.write(source.volume, "file", text)
                host.write(source.volume, "deep/er/" + "x" * 120, f"{source.volume} {text}")
                (host.folder / source.volume / "_data" / "link").unlink(missing_ok=True)
                (host.folder / source.volume / "_data" / "link").symlink_to("file")

    def digests(self) -> dict[str, str]:
        return {
            source.volume: archive.contents(host.directory(source.volume)).digest
            for name, host in self.hosts.items()
            for source in sources(name)
        }

    def repository(self) -> restic.Repository:
        return restic.Repository(str(self.folder / "repository"), str(self.folder / "password"))

    def back_up(self, *more: str) -> None:
        run = self.folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        for name, host in self.hosts.items():
            place = run / snapshots.HOSTS / name
            place.parent.mkdir(parents=True, exist_ok=True)
            collection.of_host(host, name, sources(name, *more), str(place), (os.geteuid(), os.getegid()))
        collection.of_directories(
            PROJECT, {"state": str(self.folder / "state")}, str(run / snapshots.HOSTS / CONTROLLER)
        )
        snapshots.store(self.repository(), str(run), PROJECT, {})

    def fetch(self, repository: restic.Repository) -> dict[str, Manifest]:
        return snapshots.fetch(repository, "latest", str(self.fetched), PROJECT)[1]

    def route(
        self, found: Mapping[str, Manifest], without: Sequence[str] = (), *more: str
    ) -> dict[str, Manifest]:
        hosts = {name: sources(name, *more) for name in self.hosts}
        chosen = routes.ways(found, hosts, without)
        return routes.regroup(str(self.fetched), found, hosts, chosen)

    def swaps(self) -> dict[str, swap.Swap]:
        return {name: swap.Swap(host, sources(name)) for name, host in self.hosts.items()}

    def prepare(self) -> None:
        for name, each in self.swaps().items():
            target = str(self.fetched / routes.TARGETS / name)
            each.prepare(Manifest.read(target), target)

    def restore(self) -> None:
        """Every step on all Docker hosts before the next one."""
        self.prepare()
        for step in ("stop", "swap", "start", "decide", "finish"):
            for each in self.swaps().values():
                getattr(each, step)()

    def left(self) -> list[str]:
        return [str(path) for host in self.hosts.values() for path in host.folder.glob("*/dockfra.*")]


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swap.os, "sync", lambda: None)


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> dict[Sequence[str], Machines]:
    """A platform of one Docker host and one of two, each with a backup; nothing is changed there."""
    found: dict[Sequence[str], Machines] = {}
    for names in (ONE, TWO):
        found[names] = Machines(tmp_path_factory.mktemp("old"), names)
        found[names].fill("of the backup")
        found[names].back_up()
    return found


def now(folder: Path, names: Sequence[str]) -> Machines:
    """A platform with other data, which is to become what a backup has."""
    machines = Machines(folder / "new", names)
    machines.fill("of now")
    return machines


@pytest.mark.parametrize(
    ("before", "after"),
    [(ONE, TWO), (TWO, ONE), slow(ONE, ONE), slow(TWO, TWO)],
    ids=["1-2", "2-1", "1-1", "2-2"],
)
def test_each_volume_comes_to_where_it_is_today_finding_backup(
    tmp_path: Path, backed_up: dict[Sequence[str], Machines], before: Sequence[str], after: Sequence[str]
) -> None:
    old, new = backed_up[before], now(tmp_path, after)
    assert set(new.digests().values()) & set(old.digests().values()) == set()
    found = new.fetch(old.repository())
    inodes = {name: (new.fetched / "hosts" / name / ARCHIVE).stat().st_ino for name in before}
    targets = new.route(found)
    assert set(targets) == set(after)
    assert new.fetched.stat().st_mode & 0o777 == 0o700
    assert sorted(part.name for each in targets.values() for part in each.parts) == sorted(VOLUMES)
    for name in after:
        archived = new.fetched / routes.TARGETS / name / ARCHIVE
        # Where nothing moves nothing is copied, and nothing is there twice.
        assert (archived.stat().st_ino in inodes.values()) == (before == after)
        listed = subprocess.run(["tar", "-tf", archived], capture_output=True, text=True, check=True)
        assert listed.stderr == ""
        volumes = {line.split("/")[1] for line in listed.stdout.splitlines()}
        assert volumes == {source.volume for source in sources(name)}
    assert not list((new.fetched / "hosts").glob(f"[!_]*/{ARCHIVE}"))
    new.restore()
    assert new.digests() == old.digests()
    assert new.left() == []


def test_what_is_brought_over_is_bounded_in_memory(tmp_path: Path) -> None:
    """An archive much larger than what a process may have."""
    data = tmp_path / "data"
    data.mkdir()
    with (data / "x").open("wb") as file:
        file.truncate(300 * 1024 * 1024)
    source = tmp_path / ARCHIVE
    with source.open("xb+") as file:
        writer = archive.Writer(file)
        writer.add(data, "files/one")
        writer.close()
    program = """
import resource, sys
from ansible_collections.dockfra.core.plugins.module_utils.backups import archive
resource.setrlimit(resource.RLIMIT_DATA, (64 * 1024 * 1024,) * 2)
with open(sys.argv[2], "xb") as file:
    archive.share(sys.argv[1], lambda name: file)
    archive.end(file)
"""
    words = [sys.executable, "-c", program, str(source), str(tmp_path / "target")]
    subprocess.run(words, env={**os.environ, "PYTHONPATH": str(COLLECTIONS)}, check=True)
    assert (tmp_path / "target").stat().st_size > 300 * 1024 * 1024
    archive.unpack(tmp_path / "target", "files/one", tmp_path / "out", owned=False)
    assert archive.contents(tmp_path / "out", owned=False) == archive.contents(data, owned=False)


def test_a_volume_without_a_place_is_refused_before_anything_is_changed_finding_backup(
    tmp_path: Path,
) -> None:
    old = Machines(tmp_path / "old", ONE)
    old.fill("of the backup", "audit-tunnel")
    old.back_up("audit-tunnel")
    new = now(tmp_path, TWO)
    before = new.digests()
    found = new.fetch(old.repository())
    with pytest.raises(BackupError) as caught:
        new.route(found)
    said = str(caught.value)
    assert "The inventory has no place for audit-tunnel (of localhost, 2 files, " in said
    assert "-e dockfra_restore_without=audit-tunnel" in said
    assert said.endswith("Nothing was changed.")
    assert not (new.fetched / routes.TARGETS).exists()
    assert new.digests() == before
    # Once a person has said so, it stays where it is, and all else is restored.
    targets = new.route(found, ["audit-tunnel"])
    assert "audit-tunnel" not in {part.name for each in targets.values() for part in each.parts}
    new.restore()
    assert new.digests() == old.digests()
    with pytest.raises(BackupError, match="names tickts, of which the snapshot has nothing"):
        routes.ways(found, {}, ["tickts"])


def part(name: str, kind: str = FILES) -> Part:
    return Part(name, kind, 1, 2, "0" * 64)


def manifest(place: str, *parts: Part) -> Manifest:
    return Manifest(PROJECT, place, 1.0, 0, "", parts)


def source(volume: str, kind: str = FILES) -> Source:
    return Source(volume, kind, f"unit-{volume}", f"/{volume}", 1)


def test_hosts_own_volumes_are_different_things_finding_backup() -> None:
    """Volumes of one name on several Docker hosts: each goes home, and nothing is mixed."""
    found = {
        CONTROLLER: manifest(CONTROLLER),
        "one": manifest("one", part("logs"), part("tickets")),
        "two": manifest("two", part("logs")),
    }
    hosts = {"two": [source("logs"), source("tickets")], "one": [source("logs")]}
    assert [(way.part.name, way.place, way.target) for way in routes.ways(found, hosts)] == [
        ("logs", "one", "one"),
        ("tickets", "one", "two"),
        ("logs", "two", "two"),
    ]
    with pytest.raises(
        BackupError, match=r"logs of one and of two, and the inventory has one place for both, on local"
    ):
        routes.ways(found, {"local": [source("logs"), source("tickets")]})
    elsewhere = {"three": [source("logs"), source("tickets")], "four": [source("logs")]}
    with pytest.raises(
        BackupError, match=r"such a volume on three and on four, but no Docker host of that name"
    ):
        routes.ways(found, elsewhere)
    assert [way.target for way in routes.ways(found, elsewhere, ["logs"])] == ["three"]


def test_databases_go_with_their_servers_volume_and_stay_databases() -> None:
    found = {CONTROLLER: manifest(CONTROLLER), "one": manifest("one", part("data/app", POSTGRES))}
    (way,) = routes.ways(found, {"a": [], "b": [source("data", POSTGRES)]})
    assert (way.part.name, way.target) == ("data/app", "b")
    with pytest.raises(BackupError, match="has data/app as 'postgres', and the inventory says backup: files"):
        routes.ways(found, {"b": [source("data")]})
    with pytest.raises(BackupError, match="no place for data/app"):
        routes.ways(found, {"b": []})
    assert routes.ways(found, {"b": []}, ["data"]) == []


def test_a_host_that_gets_nothing_has_an_archive_of_nothing(tmp_path: Path) -> None:
    found = {CONTROLLER: manifest(CONTROLLER)}
    made = routes.regroup(str(tmp_path), found, ["one"], [])
    assert made["one"].parts == ()
    made["one"].check(tmp_path / routes.TARGETS / "one")
    assert list(archive.names(tmp_path / routes.TARGETS / "one" / ARCHIVE)) == []


class KilledError(BaseException):
    """The process is gone."""


@pytest.mark.parametrize(
    "step",
    [
        "prepared",
        "one swapped",
        *(slow(step) for step in ("regrouped", "one stopped", "swapped", "one decided")),
    ],
)
def test_a_move_that_is_killed_begins_anew_and_comes_to_its_end_finding_backup(
    tmp_path: Path, backed_up: dict[Sequence[str], Machines], step: str
) -> None:
    old, new = backed_up[ONE], now(tmp_path, TWO)
    before = new.digests()
    found = new.fetch(old.repository())
    if step == "regrouped":
        # The archive of one Docker host is half written.
        hosts = {name: sources(name) for name in TWO}
        chosen = routes.ways(found, hosts)
        count = [0]

        def cut(*_words: object) -> None:
            count[0] += 1
            raise KilledError

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(routes.archive, "end", cut)
            with pytest.raises(KilledError):
                routes.regroup(str(new.fetched), found, hosts, chosen)
        assert count == [1]
    else:
        new.route(found)
        new.prepare()
        first, second = new.swaps().values()
        steps = {
            "prepared": [],
            "one stopped": [first.stop],
            "one swapped": [first.stop, second.stop, first.swap],
            "swapped": [first.swap, second.swap],
            "one decided": [first.swap, second.swap, first.start, second.start, first.decide],
        }[step]
        for work in steps:
            work()
    decided = any(each.decided() for each in new.swaps().values())
    assert decided == (step == "one decided")
    for each in new.swaps().values():
        (each.finish if decided else each.undo)()
        each.start()
    assert new.digests() == (old.digests() if decided else before)
    assert new.left() == []
    assert all(host.stopped == set() for host in new.hosts.values())
    new.route(new.fetch(old.repository()))
    new.restore()
    assert new.digests() == old.digests()
    assert new.left() == []


def test_a_damaged_copy_of_what_a_host_gets_is_refused_there(
    tmp_path: Path, backed_up: dict[Sequence[str], Machines]
) -> None:
    old, new = backed_up[ONE], now(tmp_path, TWO)
    before = new.digests()
    new.route(new.fetch(old.repository()))
    path = new.fetched / routes.TARGETS / "app" / ARCHIVE
    data = bytearray(path.read_bytes())
    data[random.Random(1).randrange(len(data))] ^= 1
    path.write_bytes(data)
    with pytest.raises(BackupError, match="damaged"):
        new.prepare()
    for each in new.swaps().values():
        each.undo()
    assert new.digests() == before
    assert new.left() == []


def test_without_room_here_nothing_is_used_up(
    tmp_path: Path, backed_up: dict[Sequence[str], Machines], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = backed_up[ONE], now(tmp_path, TWO)
    found = new.fetch(old.repository())

    def full(folder: str, _needed: int, what: str) -> None:
        raise BackupError(f"There is not enough room for {what} in {folder}")

    monkeypatch.setattr(routes, "check_room", full)
    with pytest.raises(BackupError, match="not enough room for what each Docker host gets"):
        new.route(found)
    assert sha256_of(new.fetched / "hosts" / "localhost" / ARCHIVE) == found["localhost"].sha256


def test_a_snapshot_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Its manifests name no vault."""
    old, new = Machines(tmp_path / "old", ONE), now(tmp_path, TWO)
    old.fill("of the backup")
    old.back_up()
    path = tmp_path / "old" / "run" / "hosts" / "localhost" / MANIFEST
    text = path.read_text()
    assert '"vault": ""' in text
    path.write_text(text.replace(',\n "vault": ""', ""))
    assert "vault" not in path.read_text()
    assert Manifest.read(path.parent).vault == ""
    snapshots.store(old.repository(), str(tmp_path / "old" / "run"), PROJECT, {})
    new.route(new.fetch(old.repository()))
    new.restore()
    assert new.digests() == old.digests()
