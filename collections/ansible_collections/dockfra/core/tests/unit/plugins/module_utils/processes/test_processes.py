# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Programs that are started: what is read of them, and that nothing of them is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import LateError, TooMuchError
from ansible_collections.dockfra.core.plugins.module_utils.processes import child, tree
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

# A tree of the stubborn kind: a child that ignores being asked, and a grandchild in a session of its own.
STUBBORN = """
trap '' TERM HUP INT
setsid sh -c 'echo $$ >{0}/grandchild; exec sleep 600' &
echo $$ >{0}/child
while :; do sleep 1; done
"""


def gone(pid: int, patience: float = 10.0) -> bool:
    """Whether a process ends within some seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state in "ZX":
            return True
        time.sleep(0.02)
    return False


def written(path: Path, patience: float = 20.0) -> int:
    """The number that appears in a file."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()).endswith("\n"):
            return int(text)
        time.sleep(0.02)
    raise AssertionError(f"{path} was not written")


@pytest.fixture
def left() -> Callable[[], set[int]]:
    """What the test has started and not ended; what an earlier test of this process left is not counted."""
    before = set(tree.descendants(os.getpid()))
    return lambda: set(tree.descendants(os.getpid())) - before


def test_what_a_program_says_comes_back() -> None:
    done = child.run(["sh", "-c", "cat; echo no >&2; exit 3"], timeout=60, data=b"x" * 300_000)
    assert done == child.Ended(3, b"x" * 300_000, b"no\n")


def test_a_signal_is_told_as_a_shell_does() -> None:
    assert child.run(["sh", "-c", "kill -9 $$"], timeout=60).status == 137


def test_input_that_nobody_reads_is_no_error() -> None:
    assert child.run(["true"], timeout=60, data=b"x" * 1_000_000).status == 0


def test_lines_come_one_by_one() -> None:
    lines: list[bytes] = []
    done = child.run(["printf", "a\\nb\\n\\nc"], timeout=60, on_line=lines.append)
    assert lines == [b"a", b"b", b"", b"c"]
    assert done.status == 0


@pytest.mark.parametrize("descriptor", [1, 2])
def test_more_than_the_limit_is_not_read_finding_s4(descriptor: int, left: Callable[[], set[int]]) -> None:
    command = ["sh", "-c", f"echo $$; exec yes >&{descriptor}"]
    with pytest.raises(TooMuchError, match="more than 100000 bytes"):
        child.run(command, timeout=60, limit=100_000)
    assert not left()


def test_who_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    with pytest.raises(LateError, match=r"within 1\.5 s"):
        child.run(["sh", "-c", STUBBORN.format(tmp_path)], timeout=1.5)
    assert gone(written(tmp_path / "child"))
    assert gone(written(tmp_path / "grandchild"))


def test_what_is_started_at_the_last_moment_is_ended_too(left: Callable[[], set[int]]) -> None:
    with pytest.raises(TooMuchError):
        child.run(["sh", "-c", "while :; do echo x; sleep 600 & done"], timeout=60, limit=100)
    assert not left()


def test_a_program_that_closes_its_outputs_and_goes_on_is_late(left: Callable[[], set[int]]) -> None:
    with pytest.raises(LateError):
        child.run(["sh", "-c", "exec >&- 2>&-; sleep 600"], timeout=0.5)
    assert not left()


@pytest.mark.parametrize(
    ("program", "error"), [("no-such-program", FileNotFoundError), ("/etc/passwd", PermissionError)]
)
def test_a_program_that_cannot_be_started_is_named(program: str, error: type[OSError]) -> None:
    with pytest.raises(error) as caught:
        child.run([program], timeout=60)
    assert caught.value.filename == program


PARENT = """
import sys
sys.path.insert(0, {collections!r})
from ansible_collections.dockfra.core.plugins.module_utils.processes import child
child.run(["sh", "-c", "echo $$ >{path}; exec sleep 600"], timeout=600)
"""


def test_a_program_ends_with_its_parent_however_that_ends(tmp_path: Path) -> None:
    code = PARENT.format(collections=str(COLLECTIONS), path=tmp_path / "pid")
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        pid = written(tmp_path / "pid")
        parent.send_signal(signal.SIGKILL)
    assert gone(pid)


def test_where_nothing_was_started_nothing_is_ended() -> None:
    tree.end()


def test_a_file_can_be_the_input(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "data").write_bytes(data)
    with (tmp_path / "data").open("rb") as source:
        assert child.run(["cat"], timeout=30, source=source).output == data


def test_a_bound_process_ends_with_its_parent(tmp_path: Path) -> None:
    code = f"""
import os, sys, time
sys.path.insert(0, {str(COLLECTIONS)!r})
from ansible_collections.dockfra.core.plugins.module_utils.processes import tree
if os.fork() == 0:
    tree.bind()
    open({str(tmp_path / "pid")!r}, "w").write(f"{{os.getpid()}}\\n")
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        deadline = time.monotonic() + 20
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().endswith("\n"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        parent.kill()
    assert gone(int((tmp_path / "pid").read_text()))


REAPING = """
    import os, sys, threading, time
    from pathlib import Path
    from ansible_collections.dockfra.core.plugins.module_utils.processes import child

    def children(dead):
        found = [Path(f"/proc/{pid}/stat") for pid in os.listdir("/proc") if pid.isdigit()]
        count = 0
        for path in found:
            try:
                state, parent = path.read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            count += (state == "Z") == dead and int(parent) == os.getpid()
        return count

    statuses = []
    def work(number):
        for _turn in range(20):
            statuses.append(child.run(["sh", "-c", f"(sleep 0.2 >/dev/null 2>&1 &) ; exit {number}"], timeout=20).status == number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        child.reap()
    while children(False):
        time.sleep(0.05)
    before = children(True)
    child.reap()
    print(len(statuses), all(statuses), before > 0, children(True))
"""


def test_orphans_that_were_adopted_are_buried_and_no_exit_status_is_lost() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(REAPING)],
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.split() == ["80", "True", "True", "0"], done.stderr
