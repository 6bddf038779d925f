# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What every daemon does: it is alone, beats, stops, takes over, and notices what changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.daemon import (
    SILENCE,
    Watched,
    ailment,
    load,
    save,
)
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

SOURCE = """
    import os, sys
    from pathlib import Path
    from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.daemon import Daemon

    daemon = Daemon("example", Path(sys.argv[1]))
    def step():
        with open(Path(sys.argv[1]) / "steps", "a") as file:
            file.write(f"{os.getpid()}\\n")
        return [sys.argv[2]] if sys.argv[2] else []
    sys.exit(daemon.serve(step, 0.05))
"""


class Daemons:
    """Processes of one daemon."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.all: list[subprocess.Popen[str]] = []

    def start(self, problem: str = "") -> subprocess.Popen[str]:
        started = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SOURCE), str(self.run), problem],
            env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.all.append(started)
        return started

    def works(self, pid: int) -> bool:
        steps = self.run / "steps"
        return steps.exists() and str(pid) in steps.read_text().split()

    def heart(self) -> list[str]:
        return (self.run / "hearts" / "example").read_text().split("\n")


def wait_for(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    found = Daemons(tmp_path)
    yield found
    for process in found.all:
        process.kill()
        process.communicate()


def test_a_daemon_beats_stops_when_told_and_says_so_in_json(daemons: Daemons) -> None:
    process = daemons.start()
    wait_for(lambda: daemons.works(process.pid))
    wait_for((daemons.run / "hearts" / "example").exists)
    beat, problem, _end = daemons.heart()
    assert 0 <= time.clock_gettime(time.CLOCK_BOOTTIME) - int(beat) < 20
    assert problem == ""
    process.terminate()
    output, _none = process.communicate(timeout=20)
    assert process.returncode == 0
    assert [json.loads(line)["event"] for line in output.splitlines()] == ["started", "stopped"]


def test_what_is_wrong_stands_in_its_heart(daemons: Daemons) -> None:
    daemons.start("one thing\nand another")
    wait_for((daemons.run / "hearts" / "example").exists)
    wait_for(lambda: daemons.heart()[1] == "one thing and another")


def test_a_second_one_waits_for_the_first_and_goes_on_when_that_was_killed(daemons: Daemons) -> None:
    first = daemons.start()
    wait_for(lambda: daemons.works(first.pid))
    second = daemons.start()
    time.sleep(0.5)
    assert not daemons.works(second.pid)
    first.kill()
    first.wait()
    wait_for(lambda: daemons.works(second.pid))


def test_settings_are_read_again_when_they_change_and_wrong_ones_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "settings"
    watched = Watched(path, int)
    with pytest.raises(FileNotFoundError):
        watched.get()
    path.write_text("wrong")
    with pytest.raises(ValueError, match="invalid literal"):
        watched.get()
    for text, value in (("5", 5), ("60", 60), ("wrong", 60), ("700", 700)):
        path.write_text(text)
        assert watched.get() == value
    path.unlink()
    assert watched.get() == 700


def test_what_was_kept_is_there_for_the_next_one(tmp_path: Path) -> None:
    assert load(tmp_path / "state") is None
    save(tmp_path / "state", [{"pid": 1}])
    assert load(tmp_path / "state") == [{"pid": 1}]
    (tmp_path / "state").write_text("{")
    assert load(tmp_path / "state") is None


def test_what_ails_a_daemon_is_what_its_health_check_says(tmp_path: Path) -> None:
    """Here and there a heart is silent for as long before it counts as dead."""
    check = (
        COLLECTIONS
        / "ansible_collections/dockfra/core/roles/sshd/files/image/rootfs/usr/local/bin/healthcheck"
    )
    assert f"readonly silence={SILENCE}\n" in check.read_text()
    assert ailment("example", tmp_path) == ""
    heart = tmp_path / "hearts" / "example"
    heart.parent.mkdir()
    now = int(time.clock_gettime(time.CLOCK_BOOTTIME))
    for content, said in (
        (f"{now}\n\n", ""),
        (f"{now}\nsomething is wrong\n", "something is wrong"),
        # A daemon that has not come to beat since it was started.
        (f"{now - SILENCE - 1}\n", f"the daemon example has said nothing for {SILENCE + 1} s"),
    ):
        heart.write_text(content)
        assert ailment("example", tmp_path) in (said, said.replace(f"{SILENCE + 1} s", f"{SILENCE + 2} s"))
