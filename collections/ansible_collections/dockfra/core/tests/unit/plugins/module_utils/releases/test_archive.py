# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Archives: whatever is in them, nothing lands outside, nothing odd inside, and nothing grows without a bound."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import (
    LateError,
    ReleaseDamagedError,
    TooMuchError,
)
from ansible_collections.dockfra.core.plugins.module_utils.releases import archive
from ansible_collections.dockfra.core.tests.unit.made_releases import packed, sent
from ansible_collections.dockfra.core.tests.unit.support import python_command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "releases" / "content"
    path.mkdir(parents=True)
    return path


def unpack(data: bytes, folder: Path, limits: archive.Limits = archive.LIMITS) -> archive.Content:
    path = folder.parent / "archive"
    path.write_bytes(data)
    return archive.unpack(str(path), str(folder), limits)


def tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as file:
        for entry, data in members:
            file.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, **values: object) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = size, kind
    for key, value in values.items():
        setattr(entry, key, value)
    return entry


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_files_come_out_as_they_went_in_with_modes_of_ours(folder: Path, mode: str) -> None:
    old = os.umask(0o077)
    try:
        data = packed({"site/a/index.html": b"x" * 300_000, "./site/b": b"y"}, mode=mode)
        found = unpack(data, folder)
    finally:
        os.umask(old)
    assert (folder / "site/a/index.html").read_bytes() == b"x" * 300_000
    assert found.files == 3
    assert found.size > 300_000
    state = (folder / "site/b").stat()
    assert (state.st_mode & 0o7777, int(state.st_mtime)) == (0o644, 1_700_000_000)
    assert (folder / "site/a").stat().st_mode & 0o7777 == 0o755


def test_what_may_run_may_run_and_no_more(folder: Path) -> None:
    unpack(tar((member("run", mode=0o6777), b""), (member("data", mode=0o6666), b"")), folder)
    assert [(folder / name).stat().st_mode & 0o7777 for name in ("run", "data")] == [0o755, 0o644]


@pytest.mark.parametrize(
    "entry",
    [
        member("../outside"),
        member("/tmp/outside"),
        member("a/../../outside"),
        member("a//b"),
        member("a/./b"),
        member("a\nb"),
        member("a\u202eb"),
        member("x" * 256),
        member("/".join("abcdefgh" * 2 for _round in range(80))),
        member("link", kind=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("link", kind=tarfile.SYMTYPE, linkname="data"),
        member("hard", kind=tarfile.LNKTYPE, linkname="data"),
        member("device", kind=tarfile.CHRTYPE, devmajor=1, devminor=3),
        member("disk", kind=tarfile.BLKTYPE, devmajor=8),
        member("pipe", kind=tarfile.FIFOTYPE),
        member("odd", kind=b"Z"),
    ],
    ids=lambda entry: ascii(entry.name)[:30] + str(entry.type),
)
def test_odd_members_are_refused_and_named(folder: Path, entry: tarfile.TarInfo) -> None:
    before = set(folder.parent.parent.rglob("*"))
    with pytest.raises(ReleaseDamagedError, match=r"no release has|no plain file"):
        unpack(tar((member("data"), b""), (entry, b"")), folder)
    new = set(folder.parent.parent.rglob("*")) - before
    assert new <= {folder / "data", folder.parent / "archive"}


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("a", "./a")])
def test_a_name_stands_there_once(folder: Path, names: tuple[str, str]) -> None:
    with pytest.raises(ReleaseDamagedError, match="twice"):
        unpack(tar(*((member(name), b"") for name in names)), folder)


def test_files_and_bytes_are_counted(folder: Path) -> None:
    with pytest.raises(TooMuchError, match="3 members"):
        unpack(tar(*((member(f"f{n}"), b"") for n in range(4))), folder, archive.Limits(members=3))
    with pytest.raises(TooMuchError, match="100 bytes"):
        unpack(
            tar((member("big1", 60), b"x" * 60), (member("big2", 60), b"x" * 60)),
            folder,
            archive.Limits(content=100),
        )
    assert not (folder / "big2").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:10] + bytes(len(data) - 10),
        lambda data: b"",
        lambda data: b"\x1f\x8b" + data,
        lambda data: gzip.decompress(data)[:700],
        lambda data: b"PK\x03\x04" + data,
    ],
)
def test_damage_is_one_line(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ReleaseDamagedError) as raised:
        unpack(damage(packed({"site/x": os.urandom(5000)})), folder)
    assert "\n" not in str(raised.value)


def test_a_bomb_takes_neither_memory_nor_disk(folder: Path) -> None:
    """Gigabytes announced by a header, in an archive of a few megabytes."""
    bombs = []
    for kind, size in ((b"x", 3 * 1024**3), (b"L", 3 * 1024**3), (b"0", 7 * 1024**3), (b"g", 3 * 1024**3)):
        made = tarfile.TarInfo("x")
        made.size, made.type = size, kind
        bombs.append(made.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    for number, head_of_bomb in enumerate(bombs):
        path = folder.parent / f"bomb{number}"
        with gzip.open(path, "wb", 1) as file:
            file.write(head_of_bomb)
            for _round in range(64):
                file.write(bytes(4 * 1024 * 1024))
    code = f"""
        import resource
        from ansible_collections.dockfra.core.plugins.module_utils.errors import DockfraError
        from ansible_collections.dockfra.core.plugins.module_utils.releases import archive
        resource.setrlimit(resource.RLIMIT_AS, (400 * 1024 * 1024,) * 2)
        for number in range({len(bombs)}):
            try:
                archive.unpack({str(folder.parent)!r} + f"/bomb{{number}}", {str(folder)!r})
            except DockfraError as error:
                print(type(error).__name__)
        """
    begin = time.monotonic()
    done = subprocess.run(python_command(code), capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == [
        "ReleaseDamagedError",
        "ReleaseDamagedError",
        "TooMuchError",
        "ReleaseDamagedError",
    ]
    assert time.monotonic() - begin < 30
    assert sum(path.stat().st_size for path in folder.rglob("*")) < 1000, done.stderr


def receive(data: bytes, size: int, path: Path, seconds: float = 5) -> str:
    with sent(data) as descriptor:
        return archive.receive(descriptor, str(path), size, time.monotonic() + seconds)


def test_what_comes_is_as_long_as_announced(tmp_path: Path) -> None:
    assert len(receive(b"abc", 3, tmp_path / "a")) == 64
    assert (tmp_path / "a").read_bytes() == b"abc"
    with pytest.raises(TooMuchError, match="more than the 2 bytes"):
        receive(b"abc", 2, tmp_path / "b")
    with pytest.raises(ReleaseDamagedError, match="ends after 3 of 4 bytes"):
        receive(b"abc", 4, tmp_path / "c")
    with pytest.raises(FileExistsError):
        receive(b"abc", 3, tmp_path / "a")


def test_who_sends_nothing_more_is_not_waited_for(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"ab")
    begin = time.monotonic()
    with pytest.raises(LateError):
        archive.receive(reading, str(tmp_path / "a"), 3, begin + 0.3)
    assert 0.2 < time.monotonic() - begin < 2
    os.close(reading)
    os.close(writing)
