# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A file is replaced whole or stays as it was, whoever writes, reads or is killed meanwhile."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.files import atomic
from ansible_collections.dockfra.core.tests.unit.support import is_root, python_command

ATOMIC = "from ansible_collections.dockfra.core.plugins.module_utils.files import atomic\n"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("write", [atomic.replace, atomic.create])
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_content_and_mode_are_as_asked(tmp_path: Path, write: type, umask: int) -> None:
    before = os.umask(umask)
    try:
        write(tmp_path / "a", b"one\x00two", mode=0o640)
    finally:
        os.umask(before)
    assert ((tmp_path / "a").read_bytes(), mode(tmp_path / "a")) == (b"one\x00two", 0o640)
    assert names(tmp_path) == ["a"]


def test_an_existing_file_is_another_one_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        atomic.replace(path, b"new", mode=0o600)
        assert (reader.read(), path.read_bytes()) == (b"old", b"new")


def test_what_is_there_is_not_created_again(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        atomic.create(tmp_path / "a", b"new", mode=0o600)
    assert names(tmp_path) == ["a"]
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("temporary", [None, ".new"])
def test_a_link_is_replaced_and_not_followed(tmp_path: Path, temporary: str | None) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"foreign")
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a", ".new"):
        (folder / name).symlink_to(foreign)
    atomic.replace(folder / "a", b"new", mode=0o600, temporary=temporary)
    assert (foreign.read_bytes(), (folder / "a").read_bytes()) == (b"foreign", b"new")
    assert not (folder / "a").is_symlink()


def test_a_directory_in_the_way_stays(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match=r"/a'$") as caught:
        atomic.replace(tmp_path / "a", b"new", mode=0o600)
    assert caught.value.filename == str(tmp_path / "a")
    assert names(tmp_path) == ["a"]


def test_a_missing_directory_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        atomic.replace(tmp_path / "not/there", b"new", mode=0o600)
    assert caught.value.filename == str(tmp_path / "not/there")


def test_paths_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    atomic.replace("a", b"here", mode=0o600)
    with atomic.opened_directory("sub") as folder:
        atomic.replace("a", b"there", mode=0o600, dir_fd=folder)
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "sub/a").read_bytes()) == (b"here", b"there")


@is_root
def test_the_owner_is_as_asked(tmp_path: Path) -> None:
    atomic.replace(tmp_path / "a", b"", mode=0o600, owner=(12345, 23456))
    assert ((tmp_path / "a").stat().st_uid, (tmp_path / "a").stat().st_gid) == (12345, 23456)
    os.chown(tmp_path, 12345, 23456)
    with atomic.opened_directory(tmp_path) as folder:
        assert atomic.inherited_owner(folder) == (12345, 23456)


@pytest.mark.parametrize("failing", ["write", "fsync", "fchmod", "rename"])
def test_what_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def full(*_arguments: object, **_more: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/a'$"):
        atomic.replace(path, b"new", mode=0o600)
    monkeypatch.undo()
    assert (path.read_bytes(), names(tmp_path)) == (b"old", ["a"])


def test_a_disk_that_becomes_full_leaves_the_old_file(tmp_path: Path) -> None:
    """A limit on the size of files stops a write in its middle, as a full disk does."""
    (tmp_path / "a").write_bytes(b"old")
    script = ATOMIC + (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
        "try:\n    atomic.replace(sys.argv[1], bytes(2000), mode=0o600)\n"
        "except OSError as error:\n    print(error.strerror, error.filename)\n"
    )
    command = python_command(script, str(tmp_path / "a"))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"File too large {tmp_path}/a\n"
    assert ((tmp_path / "a").read_bytes(), names(tmp_path)) == (b"old", ["a"])


def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    """With a fixed temporary name, the next writer also clears up behind it."""
    path = tmp_path / "a"
    script = ATOMIC + (
        "import sys\nnumber = 0\n"
        "while True:\n    number += 1\n"
        "    atomic.replace(sys.argv[1], str(number % 10).encode() * 100_000, mode=0o600, temporary='.new')\n"
        "    print(number, flush=True)\n"
    )
    for _again in range(5):
        writer = subprocess.Popen(python_command(script, str(path)), stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        content = path.read_bytes()
        assert (len(content), len(set(content))) == (100_000, 1)
    atomic.replace(path, b"end", mode=0o600, temporary=".new")
    assert (path.read_bytes(), names(tmp_path)) == (b"end", ["a"])


def test_writers_without_a_lock_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "a"
    wrong: list[bytes] = []

    def write(sign: bytes) -> None:
        for _again in range(30):
            atomic.replace(path, sign * 50_000, mode=0o600)
            content = path.read_bytes()
            if len(content) != 50_000 or len(set(content)) != 1:
                wrong.append(content)

    writers = [threading.Thread(target=write, args=(sign,)) for sign in (b"x", b"y", b"z")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert (wrong, names(tmp_path)) == ([], ["a"])


def test_of_several_creators_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "a"
    won: list[bytes] = []

    def create(sign: bytes) -> None:
        try:
            atomic.create(path, sign, mode=0o600)
            won.append(sign)
        except FileExistsError:
            pass

    creators = [threading.Thread(target=create, args=(bytes([sign]),)) for sign in range(10)]
    for creator in creators:
        creator.start()
    for creator in creators:
        creator.join()
    assert [path.read_bytes()] == won
