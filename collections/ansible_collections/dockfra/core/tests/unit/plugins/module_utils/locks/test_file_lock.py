# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The lock on a file, with real processes."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import LockBusyError
from ansible_collections.dockfra.core.plugins.module_utils.locks import file_lock
from ansible_collections.dockfra.core.tests.unit.support import is_root, python_command, run_python


@pytest.fixture
def taken(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of the file "lock"."""
    code = """
        from ansible_collections.dockfra.core.plugins.module_utils.locks import file_lock
        with file_lock.held(sys.argv[1], 0):
            print("has it", flush=True)
            sys.stdin.read()
        """
    process = subprocess.Popen(
        python_command(code, str(tmp_path / "lock")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "has it\n"
    yield process
    process.kill()
    process.communicate()


def test_waiting_ends_finding_s11(taken: subprocess.Popen[str], tmp_path: Path) -> None:
    """Whoever can open the file can lock it for ever; nobody waits as long."""
    began = time.monotonic()
    with (
        pytest.raises(LockBusyError, match="is locked by somebody else"),
        file_lock.held(tmp_path / "lock", 0.2),
    ):
        raise AssertionError("two have it")
    assert 0.2 <= time.monotonic() - began < 5


def test_a_lock_ends_with_its_holder(taken: subprocess.Popen[str], tmp_path: Path) -> None:
    threading.Timer(0.1, taken.kill).start()
    with file_lock.held(tmp_path / "lock", 20):
        assert taken.wait(10) != 0


def test_it_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), file_lock.held(tmp_path / "lock", 0):
        raise ZeroDivisionError
    with file_lock.held(tmp_path / "lock", 0):
        pass


def test_a_directory_can_be_locked_too(tmp_path: Path) -> None:
    one, two = (os.open(tmp_path, os.O_RDONLY) for _number in range(2))
    try:
        assert file_lock.take(one)
        assert not file_lock.take(two)
        os.close(one)
        assert file_lock.take(two)
    finally:
        os.close(two)


def test_a_file_that_was_removed_meanwhile_is_not_what_others_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    old = file_lock.open_file(path)
    take = file_lock.take
    assert take(old)
    waits, entered = threading.Event(), threading.Event()

    def waited(descriptor: int, timeout: float = 0.0) -> bool:
        waits.set()
        return take(descriptor, timeout)

    monkeypatch.setattr(file_lock, "take", waited)

    def second() -> None:
        with file_lock.held(path, 20):
            entered.set()

    waiting = threading.Thread(target=second)
    waiting.start()
    assert waits.wait(20), "it has the file open that is to be removed"
    path.unlink()
    new = file_lock.open_file(path)
    assert take(new)
    os.close(old)
    assert not entered.wait(0.2)
    os.close(new)
    assert entered.wait(20)
    waiting.join()


@pytest.mark.parametrize("there", ["link", "dangling", "pipe", "directory"])
def test_what_lies_in_its_place_is_refused_at_once(tmp_path: Path, there: str) -> None:
    path, target = tmp_path / "lock", tmp_path / "precious"
    if there == "pipe":
        os.mkfifo(path)
    elif there == "directory":
        path.mkdir()
    else:
        if there == "link":
            target.write_text("precious")
        path.symlink_to(target)
    with pytest.raises(OSError):  # noqa: PT011  which one depends on what is there
        file_lock.open_file(path)
    assert target.exists() == (there == "link")


@is_root
def test_what_root_makes_belongs_to_the_directorys_owner(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12346)
    os.close(file_lock.open_file(tmp_path / "lock"))
    folder = os.open(tmp_path, os.O_RDONLY)
    os.close(file_lock.open_file("relative", dir_fd=folder))
    os.close(folder)
    for name in ("lock", "relative"):
        found = (tmp_path / name).stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (12345, 12346, 0o600)


def test_an_existing_file_is_opened_without_the_flag_that_protected_regular_refuses(tmp_path: Path) -> None:
    """With fs.protected_regular=2 (Debian's default) O_CREAT on another user's file in /run/lock is refused to root."""
    code = """
        from ansible_collections.dockfra.core.plugins.module_utils.locks import file_lock
        opened, flags = os.open, []
        os.open = lambda path, mode, *more, **options: flags.append(mode) or opened(path, mode, *more, **options)
        for attempt in range(2):
            file_lock.open_file(sys.argv[1])
        print(bool(flags[-1] & os.O_CREAT), bool(flags[-1] & os.O_NOFOLLOW))
        """
    assert run_python(code, str(tmp_path / "lock")) == "False True\n"
