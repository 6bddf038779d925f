# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""One run at a time, with real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import RunLockedError
from ansible_collections.dockfra.core.plugins.module_utils.locks.run_lock import (
    Holder,
    acquire,
    process_start,
)
from ansible_collections.dockfra.core.tests.unit.support import (
    is_root,
    open_to_all,
    python_command,
    run_python,
)

Run = subprocess.Popen[str]


def me(what: str = "this test") -> Holder:
    return Holder(os.getpid(), process_start(os.getpid()), "me", "12:00:00", what)


def take(
    folder: Path, wait: float = 0, told: list[Holder] | None = None, holder: Holder | None = None
) -> float:
    seen: list[Holder] = [] if told is None else told
    return acquire("unit", holder or me(), wait, seen.append, folder, interval=0.02)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Start processes that take the lock, say so, and end when their input does."""
    running: list[Run] = []
    code = """
        import pathlib
        from ansible_collections.dockfra.core.plugins.module_utils.locks import run_lock
        holder = run_lock.Holder(os.getpid(), run_lock.process_start(os.getpid()), "them", "11:00:00", "site.yml")
        if len(sys.argv) > 2:
            become(int(sys.argv[2]))
        run_lock.acquire("unit", holder, 20, lambda other: print("waits for", other.pid, flush=True),
                         pathlib.Path(sys.argv[1]), interval=0.02)
        print("has it", flush=True)
        sys.stdin.read()
        """

    def starter(*arguments: str, folder: Path = tmp_path) -> Run:
        command = python_command(code, str(folder), *arguments)
        running.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return running[-1]

    yield starter
    for run in running:
        run.kill()
        run.communicate()


def says(run: Run) -> str:
    assert run.stdout
    return run.stdout.readline().strip()


def test_the_second_waits_until_the_first_has_ended(start: Callable[..., Run]) -> None:
    first = start()
    assert says(first) == "has it"
    second = start()
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
            with_lock = (
                json.loads((tmp_path / "dockfra-unit.lock").read_text() or "{}")
                if list(tmp_path.iterdir())
                else {}
            )
            holder = left.get(with_lock.get("pid", 0))
        assert holder is not None
        order.append(holder.pid)
        output, _errors = holder.communicate("")
        assert output.endswith("has it\n")
    assert len(set(order)) == 5


def test_a_wait_that_is_too_long_ends_with_who_runs(start: Callable[..., Run], tmp_path: Path) -> None:
    first = start()
    says(first)
    told: list[Holder] = []
    began = time.monotonic()
    with pytest.raises(RunLockedError) as caught:
        take(tmp_path, wait=0.2, told=told)
    assert 0.2 <= time.monotonic() - began < 5
    expected = f"Another run works on the platform 'unit': them since 11:00:00 (pid {first.pid}: site.yml). Waited 0 s;"
    assert str(caught.value).startswith(expected)
    assert [holder.pid for holder in told] == [first.pid]  # told once, however long it takes


def test_the_same_process_may_ask_again(tmp_path: Path) -> None:
    assert take(tmp_path) < 1
    assert take(tmp_path) < 1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_holder_leaves_it_free(
    start: Callable[..., Run], tmp_path: Path, how: signal.Signals
) -> None:
    first = start()
    says(first)
    first.send_signal(how)
    first.wait()
    told: list[Holder] = []
    take(tmp_path, told=told)
    assert not told


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
    take(tmp_path, holder=Holder(os.getppid(), "12345", "old", "yesterday", "site.yml"))
    told: list[Holder] = []
    take(tmp_path, told=told)
    assert not told


def test_locks_of_two_platforms_are_two(start: Callable[..., Run], tmp_path: Path) -> None:
    says(start())
    acquire("other", me(), 0, lambda holder: None, tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "rubbish",
        "[]",
        "{}",
        '{"pid": 1}',
        '{"pid": "1", "started": "", "user": "", "since": "", "what": ""}',
        "null",
    ],
)
def test_a_damaged_lock_file_is_nobodys(tmp_path: Path, content: str) -> None:
    (tmp_path / "dockfra-unit.lock").write_text(content)
    take(tmp_path)
    assert json.loads((tmp_path / "dockfra-unit.lock").read_text())["pid"] == os.getpid()


def test_a_holder_without_a_start_time_is_not_alive(tmp_path: Path) -> None:
    """As written by a run that could not see itself: neither process exists, which is no sign of life."""
    gone = Holder(2**22 + 1, "", "them", "11:00:00", "site.yml")
    assert not gone.alive
    take(tmp_path, holder=gone)
    take(tmp_path)


def test_a_planted_link_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/dockfra-unit.lock").symlink_to(target)
    with pytest.raises(RunLockedError, match="cannot be used: Too many levels of symbolic links"):
        take(tmp_path / "locks")
    assert target.read_text() == "precious"
    target.unlink()
    with pytest.raises(RunLockedError):
        take(tmp_path / "locks")
    assert not target.exists()


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/x", "a\0b"])
def test_a_name_cannot_leave_the_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunLockedError, match=r"cannot be locked.*dockfra_project"):
        acquire(name, me(), 0, lambda holder: None, tmp_path / "locks")
    assert not (tmp_path / "locks").exists()


def test_a_lock_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunLockedError, match=re.escape(f"{tmp_path}/file/dockfra-unit.lock cannot be used")):
        take(tmp_path / "file")
    (tmp_path / "dockfra-unit.lock").mkdir()
    with pytest.raises(RunLockedError, match="Is a directory"):
        take(tmp_path)


@is_root
def test_two_users_see_each_other_and_take_turns(start: Callable[..., Run], tmp_path: Path) -> None:
    folder = tmp_path / "lock"
    folder.mkdir()
    open_to_all(folder)
    folder.chmod(0o1777)  # as /run/lock: everybody may write, and only the owner may remove
    first = start("12345", folder=folder)
    assert says(first) == "has it"
    path = folder / "dockfra-unit.lock"
    assert path.stat().st_uid == 12345
    with pytest.raises(RunLockedError, match="Another run"):
        take(folder)
    first.communicate("")
    take(folder)  # root over another user's file
    assert path.stat().st_uid == 12345
    path.unlink()
    take(folder)
    second = start("12346", folder=folder)  # another user over root's file
    assert says(second) == f"waits for {os.getpid()}"
    path.write_text("")
    assert says(second) == "has it"


@is_root
def test_an_existing_file_is_opened_without_the_flag_that_protected_regular_refuses(tmp_path: Path) -> None:
    """With fs.protected_regular=2 (Debian's default) O_CREAT on another user's file in /run/lock is refused to root."""
    code = """
        import pathlib
        from ansible_collections.dockfra.core.plugins.module_utils.locks import run_lock
        opened, flags = os.open, []
        os.open = lambda path, mode, *more, **options: flags.append(mode) or opened(path, mode, *more, **options)
        holder = run_lock.Holder(os.getpid(), run_lock.process_start(os.getpid()), "", "", "")
        for attempt in range(2):
            run_lock.acquire("unit", holder, 0, print, pathlib.Path(sys.argv[1]))
        print(bool(flags[-1] & os.O_CREAT), bool(flags[-1] & os.O_NOFOLLOW))
        """
    assert run_python(code, str(tmp_path)) == "False True\n"


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
