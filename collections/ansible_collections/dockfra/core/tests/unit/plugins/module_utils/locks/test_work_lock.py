# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Locks for work that must not be done twice at once, with real processes."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import LockBusyError, LockError
from ansible_collections.dockfra.core.plugins.module_utils.locks import work_lock
from ansible_collections.dockfra.core.plugins.module_utils.locks.work_lock import (
    Holder,
    WorkLock,
    holders,
    process_start,
)
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import codes
from ansible_collections.dockfra.core.tests.unit.support import (
    is_root,
    open_to_all,
    python_command,
)

Run = subprocess.Popen[str]


def me(what: str = "this test") -> Holder:
    return Holder.of(os.getpid(), "me", what)


def take(
    folder: Path, wait: float = 0, told: list[Holder] | None = None, holder: Holder | None = None
) -> float:
    seen: list[Holder] = [] if told is None else told
    return WorkLock(folder, "unit", interval=0.02).register(holder or me(), wait, seen.append)


def record(folder: Path) -> dict[str, object]:
    found = json.loads((folder / "unit.lock").read_text())
    assert isinstance(found, dict)
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Start processes that take the lock, say so, and end when their input does."""
    running: list[Run] = []
    code = """
        from ansible_collections.dockfra.core.plugins.module_utils.locks.work_lock import Holder, WorkLock
        way, folder = sys.argv[1:]
        lock = WorkLock(folder, "unit", interval=0.02)
        waiting = lambda other: print("waits for", other.pid, flush=True)
        if way == "register":
            lock.register(Holder.of(os.getpid(), "them", "site.yml"), 20, waiting)
            print("has it", flush=True)
            sys.stdin.read()
        else:
            with lock.hold("them", "site.yml", 20, waiting):
                print("has it", flush=True)
                sys.stdin.read()
        """

    def starter(way: str = "register", folder: Path = tmp_path) -> Run:
        command = python_command(code, way, str(folder))
        running.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return running[-1]

    yield starter
    for run in running:
        run.kill()
        run.communicate()


def says(run: Run) -> str:
    assert run.stdout
    return run.stdout.readline().strip()


WAYS = pytest.mark.parametrize("way", ["register", "hold"])


@WAYS
def test_the_second_waits_until_the_first_has_ended(start: Callable[..., Run], way: str) -> None:
    first = start(way)
    assert says(first) == "has it"
    second = start("hold" if way == "register" else "register")
    assert says(second) == f"waits for {first.pid}"
    time.sleep(0.1)
    assert second.poll() is None
    first.communicate("")
    assert says(second) == "has it"


def test_of_many_only_one_has_it(start: Callable[..., Run], tmp_path: Path) -> None:
    runs = [start() for _number in range(5)]
    order: list[int] = []
    while len(order) < 5:
        # Whoever holds the lock has written itself down; the others wait.
        holder = None
        deadline = time.monotonic() + 20
        while holder is None and time.monotonic() < deadline:
            left = {run.pid: run for run in runs if run.poll() is None}
            known = WorkLock(tmp_path, "unit").holder()
            holder = left.get(known.pid) if known else None
        assert holder is not None
        order.append(holder.pid)
        output, _errors = holder.communicate("")
        assert output.endswith("has it\n")
    assert len(set(order)) == 5


@WAYS
def test_a_wait_that_is_too_long_ends_with_who_what_and_since_when(
    start: Callable[..., Run], tmp_path: Path, way: str
) -> None:
    first = start(way)
    says(first)
    told: list[Holder] = []
    began = time.monotonic()
    with pytest.raises(LockBusyError) as caught:
        take(tmp_path, wait=0.3, told=told)
    assert 0.3 <= time.monotonic() - began < 5
    holder = WorkLock(tmp_path, "unit").holder()
    assert holder is not None
    assert (holder.who, holder.what, holder.pid) == ("them", "site.yml", first.pid)
    assert abs(holder.since - time.time()) < 60
    assert str(caught.value).startswith(f"Somebody else works on 'unit': {holder}. Waited 0 s;")
    assert re.fullmatch(rf"them since [0-9-]{{10}} [0-9:]{{8}} \(pid {first.pid}: site.yml\)", str(holder))
    assert told == [holder]  # told once, however long it takes
    assert codes.status(caught.value) == codes.BUSY


def test_a_look_takes_nothing(start: Callable[..., Run], tmp_path: Path) -> None:
    lock = WorkLock(tmp_path / "locks", "unit")
    assert lock.holder() is None
    assert not (tmp_path / "locks").exists()
    first = start(folder=tmp_path / "locks")
    says(first)
    assert holders(tmp_path / "locks") == {"unit": lock.holder()}
    first.communicate("")
    assert lock.holder() is None
    assert holders(tmp_path / "locks") == holders(tmp_path / "nowhere") == {}


def test_the_same_process_may_ask_again(tmp_path: Path) -> None:
    assert take(tmp_path) < 1
    assert take(tmp_path) < 1


def test_what_was_held_is_free_at_the_end_of_the_work(tmp_path: Path) -> None:
    lock = WorkLock(tmp_path, "unit")
    with pytest.raises(ZeroDivisionError), lock.hold("me", "divides"):
        raise ZeroDivisionError
    assert lock.holder() is None


def test_waiting_for_others_takes_nothing(start: Callable[..., Run], tmp_path: Path) -> None:
    lock = WorkLock(tmp_path, "unit", interval=0.02)
    lock.wait_free(0)
    first = start("hold")
    says(first)
    with pytest.raises(LockBusyError):
        lock.wait_free(0.1)
    first.communicate("")
    lock.wait_free(5)
    assert lock.holder() is None


@WAYS
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_holder_leaves_it_free(
    start: Callable[..., Run], tmp_path: Path, how: signal.Signals, way: str
) -> None:
    first = start(way)
    says(first)
    first.send_signal(how)
    first.wait()
    told: list[Holder] = []
    take(tmp_path, told=told)
    assert not told


def test_a_holder_that_ended_with_its_container_leaves_it_free(
    start: Callable[..., Run], tmp_path: Path
) -> None:
    """Its number counts nowhere any more, and its lock is gone with it."""
    first = start("hold")
    says(first)
    first.kill()
    first.wait()
    (tmp_path / "unit.lock").write_text(json.dumps({**record(tmp_path), "machine": "a container before"}))
    assert WorkLock(tmp_path, "unit").holder() is None
    take(tmp_path)


def test_a_holder_that_is_dead_but_not_buried_leaves_it_free(
    start: Callable[..., Run], tmp_path: Path
) -> None:
    first = start()
    says(first)
    first.kill()
    status = Path(f"/proc/{first.pid}/stat")
    deadline = time.monotonic() + 10
    while status.read_text().rpartition(")")[2].split()[0] != "Z" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process_start(first.pid) == ""
    take(tmp_path)


def test_another_process_with_the_holders_number_does_not_count(tmp_path: Path) -> None:
    take(tmp_path, holder=dataclasses.replace(me(), pid=os.getppid(), started="12345"))
    told: list[Holder] = []
    take(tmp_path, told=told)
    assert not told


def test_a_holder_of_another_machine_counts_for_a_while_or_until_it_is_known_to_be_gone(
    tmp_path: Path,
) -> None:
    far = dataclasses.replace(me("far away"), machine="another boot")
    take(tmp_path, holder=far)
    with pytest.raises(LockBusyError, match="far away") as told:
        take(tmp_path)
    until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(far.since + work_lock.LEASE))
    assert f"it counts until {until}." in str(told.value)
    assert str(told.value).endswith(f"If you know that it has ended, remove {tmp_path / 'unit.lock'} there.")
    (tmp_path / "unit.lock").unlink()
    take(tmp_path)
    (tmp_path / "unit.lock").unlink()
    take(tmp_path, holder=far)
    WorkLock(tmp_path, "unit").register(me(), gone=far)
    old = dataclasses.replace(far, since=time.time() - work_lock.LEASE - 1)
    (tmp_path / "unit.lock").write_text(json.dumps(old.to_dict()))
    take(tmp_path)


def test_one_that_is_given_back_is_free_before_its_holder_has_ended(
    start: Callable[..., Run], tmp_path: Path
) -> None:
    lock = WorkLock(tmp_path, "unit")
    lock.release(me())  # nobody has had it yet
    assert list(tmp_path.iterdir()) == []
    mine = me()
    take(tmp_path, holder=mine)
    lock.release(dataclasses.replace(mine, pid=1))
    assert lock.holder() == mine
    lock.release(mine)
    assert lock.holder() is None
    assert says(start()) == "has it"
    lock.release(me())
    assert lock.holder() is not None


def test_locks_of_two_platforms_are_two(start: Callable[..., Run], tmp_path: Path) -> None:
    says(start())
    WorkLock(tmp_path, "other").register(me())


@pytest.mark.parametrize(
    "content",
    [
        "",
        "rubbish",
        "[]",
        "{}",
        '{"pid": 1}',
        '{"who": "", "what": "", "since": 0, "pid": "1", "started": "", "machine": ""}',
        "null",
    ],
)
def test_a_damaged_lock_file_is_nobodys(tmp_path: Path, content: str) -> None:
    (tmp_path / "unit.lock").write_text(content)
    take(tmp_path)
    assert record(tmp_path)["pid"] == os.getpid()


def test_a_planted_link_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/unit.lock").symlink_to(target)
    with pytest.raises(LockError, match="cannot be used: Too many levels of symbolic links"):
        take(tmp_path / "locks")
    assert target.read_text() == "precious"


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/x", "a\0b"])
def test_a_name_cannot_leave_the_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(LockError, match=r"cannot be locked.*dockfra_project"):
        work_lock.for_run(tmp_path / "locks", name, me(), wait=0, waiting=print)
    with pytest.raises(LockError, match="cannot name a lock"):
        WorkLock(tmp_path / "locks", name)
    assert not (tmp_path / "locks").exists()


def test_a_lock_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LockError, match=re.escape(f"{tmp_path}/file/unit.lock cannot be used")):
        take(tmp_path / "file")
    (tmp_path / "unit.lock").mkdir()
    with pytest.raises(LockError, match="Is a directory"):
        take(tmp_path)


def test_a_new_directory_is_for_its_owner_only_finding_s11(tmp_path: Path) -> None:
    take(tmp_path / "locks")
    for path in (tmp_path / "locks", tmp_path / "locks/unit.lock"):
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("mode", [0o1777, 0o770])
def test_a_directory_in_which_others_can_write_is_refused_finding_s11(tmp_path: Path, mode: int) -> None:
    """As /run/lock, where any user could hold the lock, or write down a holder that lives for ever."""
    folder = tmp_path / "locks"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(LockError, match="cannot be trusted"):
        take(folder)
    assert list(folder.iterdir()) == []


@is_root
def test_a_directory_of_somebody_else_is_refused_finding_s11(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    folder.mkdir(mode=0o700)
    forged = dataclasses.replace(me("forged"), pid=1, started=process_start(1))
    (folder / "unit.lock").write_text(json.dumps(forged.to_dict()))
    os.chown(folder, 12345, 12345)
    with pytest.raises(LockError, match="cannot be trusted"):
        take(folder)


@is_root
def test_another_user_can_neither_hold_nor_forge_it_finding_s11(tmp_path: Path) -> None:
    open_to_all(tmp_path)
    take(tmp_path / "locks")
    for command in (
        ["flock", "-n", str(tmp_path / "locks/unit.lock"), "true"],
        ["ls", str(tmp_path / "locks")],
    ):
        done = subprocess.run(
            ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", *command],
            capture_output=True,
            check=False,
        )
        assert b"Permission denied" in done.stderr


def test_a_run_waits_until_further_locks_are_free(start: Callable[..., Run], tmp_path: Path) -> None:
    first = start("hold")
    says(first)
    told: list[Holder] = []
    options = {"free": ["unit"], "waiting": told.append, "interval": 0.02}
    with pytest.raises(LockBusyError):
        work_lock.for_run(tmp_path, "platform", me(), wait=0.2, **options)
    # Its own it has by then: who holds the other looks whose these are.
    assert set(holders(tmp_path)) == {"project-platform", "unit"}
    assert [other.pid for other in told] == [first.pid]
    first.communicate("")
    work_lock.for_run(tmp_path, "platform", me(), wait=5, **options)


def test_process_start_tells_processes_apart() -> None:
    assert process_start(os.getpid()).isdigit()
    assert process_start(2**22 + 1) == ""
    # A command's name may hold anything, brackets and spaces too.
    with subprocess.Popen(
        ["bash", "-c", "printf ') R 1' >/proc/$BASHPID/comm; read -r"], stdin=subprocess.PIPE
    ) as odd:
        time.sleep(0.1)
        assert int(process_start(odd.pid)) >= int(process_start(os.getpid()))
        odd.communicate(b"\n")
