# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What is new on main is deployed once, the newest of several pushes, and what failed or was rolled back is a person's to ask for."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.settings.file import EnvFile
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons import poll as module
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.beside import Beside
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.daemon import Daemon
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.poll import Ended, Poll
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.ledger import Ledger
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.mirror import Mirror
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

TARGET = "backend"


class Origin:
    """A repository that can be pushed to, and that can go away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "app.git"
        self.git("init", "--quiet", "--initial-branch=main", str(self.folder), cwd=folder)

    def git(self, *words: str, cwd: Path | None = None) -> str:
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
        done = subprocess.run(
            ["git", *identity, *words], cwd=cwd or self.folder, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def push(self) -> str:
        self.git("commit", "--quiet", "--allow-empty", "-m", "T-0001 Change something")
        return self.git("rev-parse", "HEAD")

    def leave(self) -> None:
        self.folder.rename(self.folder.with_name("away.git"))

    def come_back(self) -> None:
        self.folder.with_name("away.git").rename(self.folder)


class Bench:
    """A poll with a real origin and ledger, a clock of its own, and a deploy that ends as it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.origin = Origin(folder)
        self.settings = EnvFile(folder / ".env", "monitor")
        self.notes = Ledger(folder / "deploys.json")
        self.now = 1000.0
        self.deployed: list[str] = []
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.fetched = 0
        self.ends: Callable[[str], Ended] = lambda _commit: Ended(0, "")
        self.poll = self.started()

    def started(self) -> Poll:
        daemon = Daemon("poll", self.folder)
        daemon.log = lambda event, **fields: self.said.append((event, fields))  # type: ignore[method-assign]
        return Poll(
            daemon,
            self.settings,
            self.fetch,
            self.deploy,
            self.notes.commits,
            self.folder / "state" / "polled.json",
            lambda: self.now,
        )

    def fetch(self) -> str:
        self.fetched += 1
        return Mirror(str(self.origin.folder), self.folder / "mirror.git").fetch()

    def deploy(self, commit: str) -> Ended:
        self.deployed.append(commit)
        return self.ends(commit)

    def pass_time(self, seconds: float = 30.0) -> None:
        """Let time pass, as the daemon's thread does."""
        end = self.now + seconds
        while self.now < end:
            self.now += 1
            self.poll.look()

    def set(self, **settings: object) -> None:
        self.settings.update(settings)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_is_new_is_deployed_once_by_its_whole_hash(bench: Bench) -> None:
    first = bench.origin.push()
    bench.pass_time(100)
    assert bench.deployed == [first]
    assert bench.fetched == 4
    second = bench.origin.push()
    bench.pass_time(31)
    assert bench.deployed == [first, second]
    assert bench.poll.state() == {
        "commit": second,
        "settled": second,
        "deploying": "",
        "automatic": True,
        "origin": {"wrong": False, "detail": ""},
        "deploy": {"wrong": False, "detail": ""},
    }


def test_of_several_pushes_the_newest_is_deployed(bench: Bench) -> None:
    first = bench.origin.push()
    pushed: list[str] = []

    def slow(_commit: str) -> Ended:
        if not pushed:
            pushed.extend(bench.origin.push() for _push in range(3))
        return Ended(0, "")

    bench.ends = slow
    bench.pass_time(70)
    assert bench.deployed == [first, pushed[-1]]


def test_only_main_is_deployed(bench: Bench) -> None:
    first = bench.origin.push()
    bench.pass_time()
    bench.origin.git("checkout", "--quiet", "-b", "other")
    bench.origin.push()
    bench.pass_time(100)
    assert bench.deployed == [first]


def test_what_failed_is_not_tried_again_and_the_next_commit_is(bench: Bench) -> None:
    def fail(commit: str) -> Ended:
        bench.notes.blame("backend", "tree", commit)
        return Ended(1, "deploy-all: backend: its tests fail")

    bench.ends = fail
    first = bench.origin.push()
    bench.pass_time(3600)
    assert bench.deployed == [first]
    state = bench.poll.state()["deploy"]
    assert state == {
        "wrong": True,
        "detail": f"{first[:12]} of main was not deployed: deploy-all: backend: its tests fail",
    }
    bench.ends = lambda _commit: Ended(0, "")
    second = bench.origin.push()
    bench.pass_time(61)
    assert bench.deployed == [first, second]
    assert bench.poll.state()["deploy"] == {"wrong": False, "detail": ""}


def test_what_was_rolled_back_stays_so_also_for_a_new_daemon(bench: Bench) -> None:
    first = bench.origin.push()
    bench.pass_time()
    bench.notes.mark(TARGET, first)
    bench.pass_time(200)
    bench.poll = bench.started()
    bench.pass_time(200)
    shutil.rmtree(bench.folder / "state")
    bench.poll = bench.started()
    bench.pass_time(200)
    assert bench.deployed == [first]


def test_a_new_daemon_does_not_deploy_what_the_last_one_did(bench: Bench) -> None:
    """A person may have deployed something older since."""
    first = bench.origin.push()
    bench.pass_time()
    bench.poll = bench.started()
    bench.pass_time(200)
    assert bench.deployed == [first]
    (bench.folder / "state" / "polled.json").write_text("[")
    bench.poll = bench.started()
    bench.pass_time()
    assert bench.deployed == [first, first]


def test_a_deploy_of_somebody_else_is_waited_for(bench: Bench) -> None:
    bench.ends = lambda _commit: Ended(75, "deploy-all: backend is held by monitor")
    first = bench.origin.push()
    bench.pass_time(91)
    assert bench.deployed == [first] * 4
    assert bench.poll.state()["deploy"]["wrong"] is False
    bench.ends = lambda _commit: Ended(0, "")
    bench.pass_time(200)
    assert bench.deployed == [first] * 5


def test_one_that_failed_for_another_reason_is_tried_again_ever_more_seldom(bench: Bench) -> None:
    bench.ends = lambda _commit: Ended(1, "deploy-all: ssh-backend cannot be reached")
    first = bench.origin.push()
    bench.pass_time(3600)
    assert 10 <= len(bench.deployed) <= 3600 / 300 + 5
    assert set(bench.deployed) == {first}
    bench.ends = lambda _commit: Ended(0, "")
    bench.pass_time(301)
    tries = len(bench.deployed)
    bench.pass_time(700)
    assert len(bench.deployed) == tries


def test_without_automatic_deploys_it_only_looks_until_they_are_on(bench: Bench) -> None:
    bench.set(MONITOR_AUTO_DEPLOY=False)
    first = bench.origin.push()
    bench.pass_time(100)
    assert bench.deployed == []
    assert {key: bench.poll.state()[key] for key in ("commit", "settled", "automatic")} == {
        "commit": first,
        "settled": "",
        "automatic": False,
    }
    bench.set(MONITOR_AUTO_DEPLOY=None)
    bench.pass_time(31)
    assert bench.deployed == [first]


def test_another_interval_holds_without_a_restart(bench: Bench) -> None:
    bench.origin.push()
    bench.set(MONITOR_POLL_INTERVAL=3600)
    bench.pass_time(100)
    assert bench.fetched == 1
    bench.set(MONITOR_POLL_INTERVAL=5)
    bench.pass_time(11)
    assert bench.fetched in (3, 4)


def test_an_origin_that_is_away_is_told_once_asked_ever_more_seldom_and_found_again(bench: Bench) -> None:
    first = bench.origin.push()
    bench.pass_time()
    bench.origin.leave()
    bench.pass_time(31)
    assert bench.poll.state()["origin"]["wrong"] is False
    before = bench.fetched
    bench.pass_time(3600)
    assert 12 <= bench.fetched - before <= 3600 / 300 + 5
    assert bench.poll.state()["origin"]["wrong"] is True
    assert "cannot be read" in bench.poll.state()["origin"]["detail"]
    assert [event for event, _fields in bench.said].count("origin") == 1
    bench.origin.come_back()
    second = bench.origin.push()
    bench.pass_time(301)
    assert bench.deployed == [first, second]
    assert bench.poll.state()["origin"] == {"wrong": False, "detail": ""}
    assert bench.said[-3] == ("origin", {"problem": ""})


# Beside the daemon ----------------------------------------------------------------------------------------------------


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def end(beside: Beside) -> None:
    """No thread works on behind the tests that follow."""
    beside.close()
    thread = beside._thread
    assert thread is not None
    thread.join(30)
    assert not thread.is_alive()


def test_a_long_deploy_holds_up_no_heartbeat_and_is_seen(bench: Bench) -> None:
    ended = threading.Event()
    bench.ends = lambda _commit: Ended(0, "") if ended.wait(30) else Ended(1, "")
    first = bench.origin.push()
    beside = Beside(Daemon("poll", bench.folder), bench.poll, bench.folder / "poll.json")
    eventually(lambda: list(beside.step()) == [] and bench.poll.state()["deploying"] == first)
    begin = time.monotonic()
    assert list(beside.step()) == []
    assert time.monotonic() - begin < 0.5
    assert json.loads((bench.folder / "poll.json").read_text())["deploying"] == first
    ended.set()
    eventually(lambda: list(beside.step()) == [] and bench.poll.state()["settled"] == first)
    end(beside)


def test_what_nobody_foresaw_is_a_problem_and_the_work_goes_on(bench: Bench) -> None:
    broken = [True]

    def fetch() -> str:
        if broken[0]:
            raise KeyError("x")
        return "0" * 40

    bench.poll._fetch = fetch
    beside = Beside(Daemon("poll", bench.folder), bench.poll, bench.folder / "poll.json", 0.01)
    eventually(lambda: any("unexpected KeyError" in problem for problem in beside.step()))
    broken[0] = False
    eventually(lambda: list(beside.step()) == [])
    end(beside)


# The command that deploys ---------------------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for ``deploy-all``."""
    monkeypatch.setattr(module, "PATH", str(tmp_path))
    return tmp_path / "deploy-all"


def write(command: Path, script: str) -> None:
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)


def test_the_command_gets_the_commit_and_who_asks_and_its_reason_comes_back(command: Path) -> None:
    write(command, f'echo "$@ $DOCKFRA_DEPLOY_BY" >{command}.asked\necho "deploy-all: no room" >&2\nexit 1')
    assert module.deploy("a" * 40) == Ended(1, "no room")
    assert Path(f"{command}.asked").read_text() == f"--json --automatic {'a' * 40} poll\n"
    write(command, "echo '{}'; exit 0")
    assert module.deploy("a" * 40) == Ended(0, "")
    command.unlink()
    assert module.deploy("a" * 40).status != 0


POLLING = """
    import sys, threading
    from pathlib import Path
    from ansible_collections.dockfra.core.plugins.plugin_utils.daemons import poll
    from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.daemon import Daemon

    folder = Path(sys.argv[1])
    poll.PATH = str(folder)
    begun = []
    def step():
        if not begun:
            begun.append(threading.Thread(target=poll.deploy, args=("a" * 40,), daemon=True))
            begun[0].start()
        return []
    sys.exit(Daemon("poll", folder).serve(step, 0.05, children=True))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_deploy_ends_with_its_daemon_and_has_the_memory_it_needs(
    command: Path, number: signal.Signals
) -> None:
    write(
        command,
        f"ulimit -d >{command}.memory; trap 'kill $!; echo ended >{command}.ended; exit' TERM; sleep 60 & wait",
    )
    daemon = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(POLLING), str(command.parent)],
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
        stdout=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: Path(f"{command}.memory").exists() and bool(Path(f"{command}.memory").read_text()))
        time.sleep(0.2)
        assert Path(f"{command}.memory").read_text() == "unlimited\n"
        daemon.send_signal(number)
        eventually(Path(f"{command}.ended").exists)
        daemon.wait(10)
    finally:
        daemon.kill()
        daemon.wait()
