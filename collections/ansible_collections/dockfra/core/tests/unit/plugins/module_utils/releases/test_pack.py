# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Archives that are made: always the same of the same, and of nothing that a release does not have."""

from __future__ import annotations

import hashlib
import io
import os
import socket
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import ReleaseDamagedError, TooMuchError
from ansible_collections.dockfra.core.plugins.module_utils.releases import archive
from ansible_collections.dockfra.core.plugins.module_utils.releases.archive import Limits
from ansible_collections.dockfra.core.plugins.module_utils.releases.pack import pack

WHEN = 1_800_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    (path / "b/deep").mkdir(parents=True)
    (path / "b/deep/file").write_bytes(b"x" * 100_000)
    (path / "a b").write_bytes(b"")
    (path / "run").write_text("#!/bin/sh\n")
    (path / "run").chmod(0o4775)
    return path


def packed(folder: Path, limits: Limits = archive.LIMITS) -> bytes:
    file = io.BytesIO()
    pack(folder, file, WHEN, limits)
    return file.getvalue()


def test_what_is_packed_is_unpacked_and_measured_the_same(folder: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "archive", tmp_path / "out"
    path.write_bytes(packed(folder))
    out.mkdir()
    assert archive.measure(str(path)) == archive.unpack(str(path), str(out)) == (3, 100_010)
    assert (out / "b/deep/file").read_bytes() == b"x" * 100_000
    assert [(out / name).stat().st_mode & 0o7777 for name in ("run", "a b")] == [0o755, 0o644]
    assert {int(file.stat().st_mtime) for file in out.rglob("*") if file.is_file()} == {WHEN}


def test_the_same_content_gives_the_same_bytes(folder: Path) -> None:
    before = hashlib.sha256(packed(folder)).digest()
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
    assert hashlib.sha256(packed(folder)).digest() == before


def odd(folder: Path, kind: str) -> None:
    place = folder / "b/odd"
    if kind == "link":
        place.symlink_to("/etc/passwd")
    elif kind == "link to a directory":
        place.symlink_to("/etc")
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(place))
    elif kind == "no text":
        (folder / "b" / os.fsdecode(b"odd\xff")).touch()
    else:
        (folder / "b/odd\n").touch()


@pytest.mark.parametrize("kind", ["link", "link to a directory", "pipe", "socket", "no text", "line end"])
def test_what_no_release_has_is_refused_by_name(folder: Path, kind: str) -> None:
    odd(folder, kind)
    with pytest.raises(ReleaseDamagedError, match="b/odd") as caught:
        packed(folder)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("limits", [{"content": 100_005}, {"members": 4}, {"archive": 100}])
def test_more_than_the_limits_is_refused(folder: Path, limits: dict[str, int]) -> None:
    (folder / "b/noise").write_bytes(os.urandom(50_000))
    with pytest.raises(TooMuchError):
        packed(folder, archive.LIMITS._replace(**limits))


def test_a_file_without_end_is_not_read(folder: Path) -> None:
    with (folder / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TooMuchError, match="sparse"):
        packed(folder)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-3000], lambda data: b"x" + data[1:], lambda _data: b""]
)
def test_a_damaged_archive_is_not_measured(folder: Path, tmp_path: Path, damage: object) -> None:
    path = tmp_path / "archive"
    path.write_bytes(damage(packed(folder)))  # type: ignore[operator]
    with pytest.raises(ReleaseDamagedError):
        archive.measure(str(path))


def test_only_what_is_wanted_is_unpacked(folder: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "archive", tmp_path / "out"
    path.write_bytes(packed(folder))
    out.mkdir()
    assert archive.unpack(str(path), str(out), below=["b/deep"]).files == 1
    assert [file.relative_to(out).as_posix() for file in sorted(out.rglob("*"))] == [
        "b",
        "b/deep",
        "b/deep/file",
    ]
