# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The store: a release is there whole or not at all, whatever is killed when, and what is needed stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import (
    LateError,
    LockBusyError,
    ReleaseDamagedError,
    ReleaseInvalidError,
    ReleaseNotFoundError,
    ReleaseSpaceError,
    ReleaseStoreError,
    TooMuchError,
)
from ansible_collections.dockfra.core.plugins.module_utils.releases import archive, links
from ansible_collections.dockfra.core.plugins.module_utils.releases import store as stores
from ansible_collections.dockfra.core.plugins.module_utils.releases.store import Announced, Store
from ansible_collections.dockfra.core.tests.unit.made_releases import add, packed, record, sent, store
from ansible_collections.dockfra.core.tests.unit.support import python_command

DATA = packed({"site/index.html": b"one", "site/a.js": b"two"})


def visible(where: Store) -> list[str]:
    return sorted(name for name in os.listdir(where.folder) if name != ".lock")


def test_a_release_is_received_checked_and_readable_by_others(tmp_path: Path) -> None:
    where = store(tmp_path)
    release = add(where, DATA)
    folder = tmp_path / "frontend" / release
    assert (folder / "content/site/index.html").read_bytes() == b"one"
    assert where.record(release).who == "monitor"
    assert where.spec(release).root == "site"
    assert visible(where) == [release]
    for path in (folder, *folder.rglob("*")):
        assert path.stat().st_mode & 0o7777 == (0o755 if path.is_dir() else 0o644), path
    assert where.ids() == [release]


def test_what_is_there_already_is_not_read_again(tmp_path: Path) -> None:
    where = store(tmp_path)
    add(where, DATA)
    reading, writing = os.pipe()  # nothing comes
    assert where.add(record(DATA), Announced(len(DATA), 1000), reading, 0.1) is False
    other = packed({"site/index.html": b"other"})
    with pytest.raises(ReleaseDamagedError, match="another release"):
        where.add(record(other), Announced(len(other), 1000), reading, 0.1)
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize(
    ("data", "announced", "error"),
    [
        (DATA[:-1] + b"x", Announced(len(DATA), 10_000), ReleaseDamagedError),
        (DATA, Announced(len(DATA) - 1, 10_000), TooMuchError),
        (DATA, Announced(len(DATA) + 1, 10_000), ReleaseDamagedError),
        (DATA, Announced(len(DATA), 100), TooMuchError),
        (DATA, Announced(2**40, 10_000), ReleaseSpaceError),
        (DATA, Announced(len(DATA), 2**40), ReleaseSpaceError),
        (DATA, Announced(0, 10_000), ReleaseSpaceError),
    ],
)
def test_what_is_not_as_announced_leaves_nothing(
    tmp_path: Path, data: bytes, announced: Announced, error: type[Exception]
) -> None:
    where = store(tmp_path)
    with sent(data) as descriptor, pytest.raises(error):
        where.add(record(DATA), announced, descriptor, 10)
    assert visible(where) == []
    add(where, DATA)


def test_a_release_that_could_not_serve_leaves_nothing(tmp_path: Path) -> None:
    where = store(tmp_path)
    for damaged in (packed({"spec.json": b"{}"}), packed({"../x": b""}), b"nothing"):
        with pytest.raises(ReleaseDamagedError):
            add(where, damaged)
    assert visible(where) == []
    assert os.listdir(tmp_path) == ["frontend"]


def test_the_archive_of_another_service_is_refused(tmp_path: Path) -> None:
    with sent(DATA) as descriptor, pytest.raises(ReleaseDamagedError, match="of backend"):
        store(tmp_path).add(record(DATA, service="backend"), Announced(len(DATA), 1000), descriptor, 1)


def test_who_sends_too_slowly_is_left_in_time(tmp_path: Path) -> None:
    where = store(tmp_path)
    reading, writing = os.pipe()
    os.write(writing, DATA[:10])
    with pytest.raises(LateError):
        where.add(record(DATA), Announced(len(DATA), 1000), reading, 0.2)
    os.close(reading)
    os.close(writing)
    assert visible(where) == []


def test_room_is_needed_before_anything_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = store(tmp_path)
    found = os.statvfs(tmp_path)
    free = found.f_bavail * found.f_frsize
    big = Store("frontend", tmp_path, archive.Limits(archive=2 * free, content=2 * free))
    with pytest.raises(ReleaseSpaceError, match="MiB free"):
        big.check_room(Announced(free // 2, free // 2))
    where.check_room(Announced(1000, 1000))
    monkeypatch.setattr(stores, "RESERVE", free + 2**30)
    with pytest.raises(ReleaseSpaceError, match="make room"):
        where.check_room(Announced(1000, 1000))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        where = store(disk)
        monkeypatch.setattr(stores, "RESERVE", -(2**40))
        with pytest.raises(ReleaseStoreError, match="No space left"):
            add(where, packed({"site/index.html": bytes(3_000_000)}), content=4_000_000)
        assert visible(where) == []
        add(where, DATA)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_there_is_no_store_without_its_directory(tmp_path: Path) -> None:
    with pytest.raises(ReleaseStoreError, match="no releases here"):
        Store("backend", tmp_path)
    (tmp_path / "backend").symlink_to("/etc")
    with pytest.raises(ReleaseStoreError):
        Store("backend", tmp_path)
    with pytest.raises(ReleaseInvalidError):
        Store("../etc", tmp_path)


def test_records_of_another_release_are_damage(tmp_path: Path) -> None:
    where = store(tmp_path)
    one, two = add(where, DATA, 1), add(where, DATA, 2)
    (tmp_path / "frontend" / one / "release.json").write_bytes(
        (tmp_path / "frontend" / two / "release.json").read_bytes()
    )
    with pytest.raises(ReleaseDamagedError, match="is the record of"):
        where.record(one)
    with pytest.raises(ReleaseNotFoundError, match=f"there are: {one}, {two}"):
        where.record("20200101T000000Z-000000000000")
    with pytest.raises(ReleaseInvalidError):
        where.record("../../etc")


# Links ----------------------------------------------------------------------------------------------------------------


def test_a_switch_moves_the_links(tmp_path: Path) -> None:
    where = store(tmp_path)
    one, two = add(where, DATA, 1), add(where, DATA, 2)
    assert (where.current(), where.previous()) == ("", "")
    for release, before in ((one, ""), (two, one), (two, one), (one, two)):
        asked = where.ask(release)
        assert links.read(where.folder, "next") == asked
        where.confirm(release)
        assert (where.current(), where.previous()) == (release, before)
        assert links.read(where.folder, "next") is None


def test_what_never_served_is_known_as_such(tmp_path: Path) -> None:
    where = store(tmp_path)
    one, two, three = (add(where, DATA, number) for number in (1, 2, 3))
    assert not any(map(where.served, (one, two, three)))
    where.confirm(one)
    where.ask(two)
    where.take_back()
    where.confirm(three)
    assert [where.served(release) for release in (one, two, three)] == [True, False, True]
    where.confirm(one)
    where.confirm("")
    assert [where.served(release) for release in (one, two, three)] == [True, False, True]


def test_a_confirmation_that_was_cut_counts(tmp_path: Path) -> None:
    where = store(tmp_path)
    one, two, three = (add(where, DATA, number) for number in (1, 2, 3))
    links.point(where.folder, links.CURRENT, one)
    assert where.served(one)
    where.confirm(two)
    where.confirm(three)
    assert [where.served(release) for release in (one, two, three)] == [True, True, True]


def test_a_release_from_before_there_were_marks_counts_as_served(tmp_path: Path) -> None:
    where = store(tmp_path)
    release = add(where, DATA)
    os.unlink(os.path.join(where.folder, release, "unserved"))
    assert where.served(release)


def test_each_request_has_a_token_of_its_own(tmp_path: Path) -> None:
    where = store(tmp_path)
    release = add(where, DATA)
    assert len({where.ask(release).token for _round in range(5)}) == 5
    where.take_back()
    where.take_back()
    assert links.read(where.folder, "next") is None


@pytest.mark.parametrize("target", ["../../etc", "/etc", "missing", "20261125T131500Z-0123456789AB"])
def test_a_link_elsewhere_is_none(tmp_path: Path, target: str) -> None:
    where = store(tmp_path)
    (tmp_path / "frontend" / "current").symlink_to(target)
    assert where.current() == ""


def test_only_what_is_there_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ReleaseNotFoundError):
        store(tmp_path).ask("20200101T000000Z-000000000000")


def test_what_the_image_brought_is_asked_for_and_confirmed_like_a_release(tmp_path: Path) -> None:
    where = store(tmp_path)
    one = add(where, DATA, 1)
    where.confirm("")
    assert (where.current(), where.previous()) == ("", "")
    where.confirm(one)
    asked = where.ask("")
    assert asked.release == ""
    assert links.read(where.folder, "next") == asked
    assert where.current() == one
    where.confirm("")
    assert (where.current(), where.previous()) == ("", one)
    assert links.read(where.folder, "next") is None
    assert where.ask("").token != asked.token
    where.take_back()
    assert links.read(where.folder, "next") is None


def test_five_are_kept_and_never_one_that_is_needed_removed(tmp_path: Path) -> None:
    where = store(tmp_path)
    made = [add(where, DATA, number) for number in range(1, 10)]
    where.confirm(made[1])
    where.confirm(made[0])
    where.ask(made[2])
    assert where.prune(running=made[3]) == made[4:8]
    assert where.ids() == [*made[:4], made[8]]
    assert where.prune(running=made[3]) == []


# Others ---------------------------------------------------------------------------------------------------------------

HOLD = """
    from ansible_collections.dockfra.core.plugins.module_utils.releases.store import Store
    with Store("frontend", sys.argv[1]).locked("monitor", "deploy of 0123"):
        print("held", flush=True)
        sys.stdin.read()
    """


def test_the_lock_says_who_and_dies_with_its_holder(tmp_path: Path) -> None:
    where = store(tmp_path)
    other = subprocess.Popen(
        python_command(HOLD, str(tmp_path)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with (
        pytest.raises(LockBusyError, match=r"releases of frontend: monitor since .*deploy of 0123"),
        where.locked("a", "b"),
    ):
        pass
    holder = where.holder()
    assert holder is not None
    assert holder.pid == other.pid
    other.kill()
    other.communicate()
    begin = time.monotonic()
    with where.locked("a", "b", wait=5):
        assert time.monotonic() - begin < 2


# Killed ---------------------------------------------------------------------------------------------------------------

WATCHED = ("open", "os.", "shutil.", "subprocess.Popen")


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do work in a process of its own that kills itself at the n-th thing it asks of the system; whether that came."""
    child = os.fork()
    if not child:
        left = step

        def watch(event: str, _arguments: object) -> None:
            nonlocal left
            if event.startswith(WATCHED) and event != "os.kill":
                left -= 1
                if left <= 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def everything(root: Path) -> str:
    """A deploy as the bastion does it: receive, ask, confirm, remove old ones."""
    where = Store("frontend", root)
    with where.locked("monitor", "deploy"):
        release = add(where, DATA, 9)
        where.ask(release)
        where.confirm(release)
        where.prune(release)
    return release


def kill_at(tmp_path: Path, step: int) -> bool:
    root = tmp_path / str(step)
    where = store(root)
    made = [add(where, DATA, number) for number in range(1, 6)]
    where.confirm(made[3])
    where.confirm(made[4])
    killed = killed_at(step, lambda: everything(root))
    # Whatever happened: what a link names is whole.
    for release in (where.current(), where.previous()):
        assert where.record(release).id == release
        assert (root / "frontend" / release / "content/site/a.js").read_bytes() == b"two"
    assert where.current() in (made[4], record(DATA, 9).id)
    assert where.previous() in (made[3], made[4])
    # Done again, all is as if nothing had been.
    release = everything(root)
    assert (where.current(), where.previous()) == (release, made[4])
    assert where.ids() == [*made[1:], release]
    assert visible(where) == sorted([*made[1:], release, "current", "previous"])
    return killed


@pytest.fixture
def _no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_sync", lambda _folder: None)


@pytest.mark.usefixtures("_no_disk")
def test_killed_at_any_step_it_converges(tmp_path: Path) -> None:
    step = 1
    while kill_at(tmp_path, step):
        step += 7
    assert step > 60


@pytest.mark.slow
@pytest.mark.usefixtures("_no_disk")
def test_killed_at_every_step_it_converges(tmp_path: Path) -> None:
    step = 1
    while kill_at(tmp_path, step):
        step += 1
    assert step > 60
