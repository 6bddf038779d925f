"""The benchmarks put the tickets of a platform back, wherever they were interrupted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import store


def content(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in directory.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def use(directory: Path) -> None:
    store.set_aside(directory)
    assert [path.name for path in directory.iterdir()] == [store.ASIDE]
    store.fill(directory, 3)
    store.measure_writes(directory, 1, 2)
    store.restore(directory)


class Killed(BaseException):
    pass


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes names or removes files ends the process at this step, before or after it is done."""
    steps = iter(range(1000))

    def counted(work: Callable[..., object]) -> Callable[..., object]:
        def count(*arguments: object, **options: object) -> object:
            if next(steps) == step:
                raise Killed
            done = work(*arguments, **options)
            if next(steps) == step:
                raise Killed
            return done

        return count

    for name in ("rename", "unlink", "mkdir", "rmdir"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))


def test_tickets_are_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in range(100):
        directory = tmp_path / str(step)
        (directory / "damaged").mkdir(parents=True)
        (directory / "damaged" / "T-0002.json").write_text("half")
        (directory / "T-0001.json").write_text("whole")
        (directory / ".lock").touch()
        (directory / ".last-id").symlink_to("2")
        before = content(directory)
        with monkeypatch.context() as patch:
            killed_at(step, patch)
            try:
                use(directory)
                ended = True
            except Killed:
                ended = False
        if not ended:
            store.restore(directory)
        assert content(directory) == before
        assert not [path for path in directory.iterdir() if path.name.startswith(".bench")]
        if ended:
            assert step > 20
            return
    raise AssertionError("it never ended")
