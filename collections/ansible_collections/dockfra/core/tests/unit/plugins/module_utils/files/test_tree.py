# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A directory becomes exactly what it should be, whatever was there before."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.module_utils.errors import FileTreeError
from ansible_collections.dockfra.core.plugins.module_utils.files import tree as file_tree
from ansible_collections.dockfra.core.plugins.module_utils.files.tree import Changes, WantedFile
from ansible_collections.dockfra.core.tests.unit.support import is_root, python_command

TREE = {"a.conf": WantedFile(b"one", 0o400), "sub/deep/b": WantedFile(b"\x00two", 0o644)}
NOTHING = Changes([], [], [])


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


# Making, changing, removing ------------------------------------------------------------------------------------------


def test_a_tree_is_made_and_then_left_alone(tmp_path: Path) -> None:
    root = tmp_path / "not/yet/there"
    assert file_tree.apply(root, TREE) == Changes(["a.conf", "sub/deep/b"], [], [])
    assert contents(root) == {"a.conf": b"one", "sub/deep/b": b"\x00two"}
    assert (mode(root / "a.conf"), mode(root / "sub/deep/b")) == (0o400, 0o644)
    assert {mode(root), mode(root / "sub"), mode(root / "sub/deep")} == {0o700}
    inode = (root / "a.conf").stat().st_ino
    assert file_tree.apply(root, TREE) == NOTHING
    assert (root / "a.conf").stat().st_ino == inode


def test_nothing_but_the_wanted_files_stays(tmp_path: Path) -> None:
    file_tree.apply(tmp_path, TREE)
    (tmp_path / "sub/extra").write_text("x")
    (tmp_path / "other/empty").mkdir(parents=True)
    (tmp_path / ".a.conf.k2j3").write_text("left by one that was killed")
    os.mkfifo(tmp_path / "pipe")
    assert file_tree.apply(tmp_path, TREE) == Changes([], [], [".a.conf.k2j3", "pipe", "sub/extra"])
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.conf", "b", "deep", "sub"]
    assert file_tree.apply(tmp_path, {}).removed == ["a.conf", "sub/deep/b"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", ["content", "mode"])
def test_a_changed_file_is_put_right(tmp_path: Path, change: str) -> None:
    file_tree.apply(tmp_path, TREE)
    path = tmp_path / "a.conf"
    path.chmod(0o644)
    if change == "content":
        path.write_bytes(b"eno")
        path.chmod(0o400)
    assert file_tree.apply(tmp_path, TREE) == Changes([], ["a.conf"], [])
    assert (path.read_bytes(), mode(path)) == (b"one", 0o400)


def test_a_directorys_mode_is_put_right(tmp_path: Path) -> None:
    file_tree.apply(tmp_path, TREE)
    (tmp_path / "sub").chmod(0o777)
    file_tree.apply(tmp_path, TREE, directory_mode=0o500)
    assert {mode(tmp_path), mode(tmp_path / "sub"), mode(tmp_path / "sub/deep")} == {0o500}


def test_a_dry_run_says_the_same_and_does_nothing(tmp_path: Path) -> None:
    root = tmp_path / "root"
    assert file_tree.apply(root, TREE, dry_run=True) == Changes(["a.conf", "sub/deep/b"], [], [])
    assert not root.exists()
    file_tree.apply(root, TREE)
    (root / "extra").touch()
    wanted = {**TREE, "a.conf": WantedFile(b"new", 0o400), "c": WantedFile(b"", 0o400)}
    before = contents(root)
    assert file_tree.apply(root, wanted, dry_run=True) == Changes(["c"], ["a.conf"], ["extra"])
    assert contents(root) == before


@is_root
def test_files_and_directories_get_their_owner(tmp_path: Path) -> None:
    file_tree.apply(tmp_path, TREE, owner=10006)
    for path in (tmp_path, *tmp_path.rglob("*")):
        assert (path.stat().st_uid, path.stat().st_gid) == (10006, 10006)
    assert file_tree.apply(tmp_path, TREE, owner=10006) == NOTHING
    assert file_tree.apply(tmp_path, TREE, owner=10007) == Changes([], ["a.conf", "sub/deep/b"], [])
    os.chown(tmp_path / "a.conf", 0, 0)
    assert file_tree.apply(tmp_path, TREE, owner=10007).updated == ["a.conf"]


@pytest.mark.parametrize("name", ["grüße.conf", "名前/設定", "sp ace", "new\nline", "-dash", "*", "a" * 200])
def test_names_of_all_kinds(tmp_path: Path, name: str) -> None:
    wanted = {name: WantedFile(b"x", 0o600)}
    assert file_tree.apply(tmp_path, wanted).created == [name]
    assert file_tree.apply(tmp_path, wanted) == NOTHING
    assert contents(tmp_path) == {name: b"x"}


def test_an_extra_whose_name_is_no_text_is_removed(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/\xff\xfe", "wb"):
        pass
    assert len(file_tree.apply(tmp_path, TREE).removed) == 1
    assert sorted(contents(tmp_path)) == sorted(TREE)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a/..", "..", ".", "", "a\0b"])
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_path_that_leaves_the_directory_is_refused_before_anything_is_done(
    tmp_path: Path, path: str, dry_run: bool
) -> None:
    root = tmp_path / "root"
    with pytest.raises(FileTreeError, match="is no path below the directory"):
        file_tree.apply(root, {"fine": WantedFile(b"", 0o600), path: WantedFile(b"", 0o600)}, dry_run=dry_run)
    assert not root.exists()


_NAMES = st.sampled_from(["a", "b", "c", "d/e", "d/f", "d/g/h", "é"])
_TREES = st.dictionaries(
    _NAMES, st.builds(WantedFile, st.binary(max_size=4), st.sampled_from([0o400, 0o644, 0o755]))
)


@given(before=_TREES, after=_TREES)
def test_any_tree_becomes_any_other(
    tmp_path_factory: pytest.TempPathFactory, before: dict[str, WantedFile], after: dict[str, WantedFile]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    file_tree.apply(root, before)
    announced = file_tree.apply(root, after, dry_run=True)
    assert file_tree.compare(after, file_tree.scan(root)) == announced
    assert file_tree.apply(root, after) == announced
    assert file_tree.scan(root) == {path: file.fingerprint() for path, file in after.items()}
    assert file_tree.apply(root, after) == NOTHING
    folders = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_dir()}
    assert folders == {parent.as_posix() for path in after for parent in list(Path(path).parents)[:-1]}


# What is in the way --------------------------------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory that must not change."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "a.conf").write_bytes(b"precious")
    (folder / "b").write_bytes(b"precious")
    folder.chmod(0o755)
    yield folder
    assert contents(folder) == {"a.conf": b"precious", "b": b"precious"}
    assert mode(folder) == 0o755


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_link_in_place_of_the_directory_is_not_followed(
    tmp_path: Path, outside: Path, dry_run: bool
) -> None:
    root = tmp_path / "root"
    root.symlink_to(outside)
    assert file_tree.apply(root, TREE, dry_run=dry_run) == Changes(["a.conf", "sub/deep/b"], [], [])
    assert root.is_symlink() == dry_run
    if not dry_run:
        assert file_tree.apply(root, TREE) == NOTHING


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_link_in_place_of_a_file_is_replaced(tmp_path: Path, outside: Path, dry_run: bool) -> None:
    root = tmp_path / "root"
    file_tree.apply(root, TREE)
    (root / "a.conf").unlink()
    (root / "a.conf").symlink_to(outside / "a.conf")
    assert file_tree.apply(root, TREE, dry_run=dry_run) == Changes([], ["a.conf"], [])
    assert (root / "a.conf").is_symlink() == dry_run


def test_a_link_in_place_of_a_folder_is_replaced(tmp_path: Path, outside: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "sub/deep").symlink_to(outside)
    changes = file_tree.apply(root, TREE)
    assert changes == Changes(["a.conf", "sub/deep/b"], [], ["sub/deep"])
    assert contents(root) == {"a.conf": b"one", "sub/deep/b": b"\x00two"}
    assert not (root / "sub/deep").is_symlink()


def test_links_nobody_wants_are_removed(tmp_path: Path, outside: Path) -> None:
    root = tmp_path / "root"
    file_tree.apply(root, TREE)
    (root / "to-folder").symlink_to(outside)
    (root / "to-file").symlink_to(outside / "b")
    (root / "to-nothing").symlink_to("/nowhere")
    (root / "old").mkdir()
    (root / "old/to-folder").symlink_to(outside)
    assert file_tree.scan(root)["to-folder"] == "not a regular file"
    changes = file_tree.apply(root, TREE)
    assert changes.removed == ["old/to-folder", "to-file", "to-folder", "to-nothing"]
    assert file_tree.apply(root, TREE) == NOTHING
    assert sorted(path.name for path in root.iterdir()) == ["a.conf", "sub"]


def test_a_folder_in_place_of_a_file_and_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.conf/full").mkdir(parents=True)
    (tmp_path / "a.conf/full/x").touch()
    (tmp_path / "sub").touch()
    changes = file_tree.apply(tmp_path, TREE)
    assert changes == Changes(["a.conf", "sub/deep/b"], [], ["a.conf/full/x", "sub"])
    assert file_tree.apply(tmp_path, TREE) == NOTHING


def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("x")
    file_tree.apply(tmp_path / "root", TREE)
    assert sorted(contents(tmp_path / "root")) == sorted(TREE)


def test_a_file_in_place_of_the_directorys_parent_is_told(tmp_path: Path) -> None:
    (tmp_path / "parent").write_text("x")
    with pytest.raises(FileTreeError, match=r"parent.* cannot be written: (Not a directory|File exists)\."):
        file_tree.apply(tmp_path / "parent/root", TREE)
    assert (tmp_path / "parent").read_text() == "x"


# Atomicity -----------------------------------------------------------------------------------------------------------


def test_a_reader_sees_the_old_or_the_new_file_and_nothing_else(tmp_path: Path) -> None:
    variants = [WantedFile(bytes([letter]) * 200_000, 0o400) for letter in b"AB"]
    file_tree.apply(tmp_path, {"f": variants[0]})
    stop, torn, looks = threading.Event(), [], [0]

    def look() -> None:
        while not stop.is_set():
            try:
                content = (tmp_path / "f").read_bytes()
            except OSError as error:
                torn.append(repr(error))
                continue
            looks[0] += 1
            if len(content) != 200_000 or len(set(content)) != 1:
                torn.append(f"{len(content)} bytes")

    reader = threading.Thread(target=look)
    reader.start()
    until = time.monotonic() + 0.7
    while time.monotonic() < until:
        for file in variants:
            file_tree.apply(tmp_path, {"f": file})
    stop.set()
    reader.join()
    assert not torn
    assert looks[0] > 20


def test_one_killed_half_way_leaves_each_file_old_or_new(tmp_path: Path) -> None:
    file_tree.apply(tmp_path, {name: WantedFile(b"old", 0o600) for name in "abc"})
    code = """
        import os, time
        from ansible_collections.dockfra.core.plugins.module_utils.files.tree import WantedFile, apply
        rename = os.rename
        def second(source, target, **directories):
            if target == "b":
                print("there", flush=True)
                time.sleep(60)
            rename(source, target, **directories)
        os.rename = second
        apply(sys.argv[1], {name: WantedFile(b"new", 0o600) for name in "abc"})
        """
    with subprocess.Popen(python_command(code, str(tmp_path)), stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"there\n"
        writer.send_signal(signal.SIGKILL)
    assert {name: (tmp_path / name).read_bytes() for name in "abc"} == {"a": b"new", "b": b"old", "c": b"old"}
    changes = file_tree.apply(tmp_path, {name: WantedFile(b"new", 0o600) for name in "abc"})
    assert changes.updated == ["b", "c"]
    assert len(changes.removed) == 1  # the temporary file
    assert contents(tmp_path) == dict.fromkeys("abc", b"new")


# A file system that refuses ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@is_root
def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "size=64k") as folder:
        file_tree.apply(folder / "root", {"a": WantedFile(b"old", 0o400)})
        with pytest.raises(
            FileTreeError, match=r"No space left on device\. Check its owner and the free space"
        ):
            file_tree.apply(folder / "root", {"a": WantedFile(bytes(200_000), 0o400)})
        assert contents(folder) == {"root/a": b"old"}


@is_root
def test_a_read_only_file_system_is_told(tmp_path: Path) -> None:
    with mounted(tmp_path / "fixed", "size=64k") as folder:
        file_tree.apply(folder / "root", TREE)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        for change in (
            lambda: file_tree.apply(folder / "root", {}),
            lambda: file_tree.apply(folder / "root", {**TREE, "c": WantedFile(b"", 0o400)}),
            lambda: file_tree.remove(folder / "root"),
            lambda: file_tree.write_file(folder / "new/file", WantedFile(b"", 0o600)),
        ):
            with pytest.raises(FileTreeError, match=re.escape(str(folder)) + ".*Read-only file system"):
                change()
        assert sorted(contents(folder / "root")) == sorted(TREE)


# The rest ------------------------------------------------------------------------------------------------------------


def test_scan_of_nothing_is_nothing(tmp_path: Path) -> None:
    assert file_tree.scan(tmp_path / "missing") == {}


@is_root
def test_scan_shows_a_foreign_owner(tmp_path: Path) -> None:
    file_tree.apply(tmp_path, {"a": WantedFile(b"", 0o400)}, owner=10006)
    assert file_tree.scan(tmp_path, 10006)["a"] == WantedFile(b"", 0o400).fingerprint()
    assert file_tree.scan(tmp_path, 10007)["a"].endswith(" uid=10006")


def test_remove(tmp_path: Path) -> None:
    file_tree.apply(tmp_path / "root", TREE)
    assert file_tree.remove(tmp_path / "root", dry_run=True)
    assert (tmp_path / "root").exists()
    assert file_tree.remove(tmp_path / "root")
    assert not (tmp_path / "root").exists()
    assert not file_tree.remove(tmp_path / "root")


def test_remove_takes_a_link_and_not_what_it_points_to(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "root").symlink_to(outside)
    assert file_tree.remove(tmp_path / "root")
    assert not os.path.lexists(tmp_path / "root")


def test_write_file_makes_a_private_directory_and_no_leftovers(tmp_path: Path) -> None:
    path = tmp_path / "new/file"
    file_tree.write_file(path, WantedFile(b"x", 0o640))
    assert (path.read_bytes(), mode(path), mode(path.parent)) == (b"x", 0o640, 0o700)
    path.unlink()
    path.mkdir()
    with pytest.raises(FileTreeError, match="Is a directory"):
        file_tree.write_file(path, WantedFile(b"x", 0o640))
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
