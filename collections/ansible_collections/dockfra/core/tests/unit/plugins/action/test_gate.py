# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The action ``dockfra.core.gate`` in real playbooks, with a stand-in for ssh that keeps what it was called with."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.tests.unit.support import Project, service

# Does what its line's first word says. `hang` has a child too, and neither heeds SIGTERM.
SSH = """#!{python} -I
import hashlib, json, os, signal, subprocess, sys, time
with open({calls!r}, "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
verb = sys.argv[-1].split()[0]
def tell(**event):
    print(json.dumps(event), flush=True)
if verb == "hang":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "300"])
    with open({pids!r}, "w") as file:
        file.write(f"{{os.getpid()}} {{child.pid}}\\n")
    tell(event="progress", text="it hangs")
    time.sleep(300)
elif verb == "steps":
    tell(event="progress", text="one \\x1b[2J", phase="trying")
    time.sleep(2)
    tell(event="progress", text="two", phase="settling")
    tell(event="result", data={{"now": "x"}})
elif verb == "plain":
    print(json.dumps({{"a": [1, 2]}}, indent=2))
elif verb == "sum":
    print(json.dumps(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()))
elif verb == "odd":
    print("this is no JSON")
else:
    for word in sys.argv[-1].split()[1:]:
        if word != "--json":
            tell(event="progress", text="it is to blame", blamed=word)
    sys.stderr.write(f"{{verb}}: somebody else works on it: alice since 12:00\\n")
    sys.exit(int(verb.removeprefix("exit-")))
"""
Task = dict[str, Any]


class Play:
    """Playbooks with one task, and the ssh they find."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.calls = project.root / "calls"
        self.pids = project.root / "pids"
        program = project.root / "bin" / "ssh"
        program.parent.mkdir()
        program.write_text(SSH.format(python=sys.executable, calls=str(self.calls), pids=str(self.pids)))
        program.chmod(0o755)
        project.inventory({"one": service(10001, "a", image="one:1")})
        self.environment = {"PATH": f"{program.parent}:{os.environ['PATH']}"}

    @staticmethod
    def task(*verb: str, no_log: bool = False, **options: Any) -> list[Task]:
        values = {"service": "ssh-backend", "verb": list(verb), **options}
        return [{"name": "call", "dockfra.core.gate": values, "no_log": no_log}]

    def run(self, *verb: str, arguments: tuple[str, ...] = (), **options: Any) -> dict[str, Any]:
        """The task's result."""
        [found] = self.results(self.task(*verb, **options), *arguments)
        return found

    def results(self, tasks: list[Task], *arguments: str) -> list[dict[str, Any]]:
        """What became of each task; one that fails holds up none of the others."""
        environment = {**self.environment, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
        tasks = [{**task, "ignore_errors": True} for task in tasks]
        done = self.project.play(tasks, *arguments, **environment)
        assert "Traceback" not in done.stdout + done.stderr
        text = done.stdout[done.stdout.index("{\n") :]
        found = [dict(task["hosts"]["one"]) for task in json.loads(text)["plays"][0]["tasks"]]
        assert len(found) == len(tasks)
        return found

    def called(self) -> list[list[str]]:
        return (
            [json.loads(line) for line in self.calls.read_text().splitlines()] if self.calls.exists() else []
        )


@pytest.fixture
def play(empty_project: Project) -> Play:
    return Play(empty_project)


def test_the_answer_is_the_tasks_result(play: Play, tmp_path: Path) -> None:
    found = play.run("plain", "it's", "$(id)", ssh_config="/x/config")
    assert (found["rc"], found["json"], found["events"], found["changed"]) == (0, {"a": [1, 2]}, [], True)
    [words] = play.called()
    assert words[:2] == ["-F", "/x/config"]
    assert words[-3:] == ["--", "ssh-backend", "plain --json 'it'\"'\"'s' '$(id)'"]
    data = os.urandom(5_000_000)
    (tmp_path / "archive").write_bytes(data)
    found = play.run("sum", input_file=str(tmp_path / "archive"))
    assert found["json"] == hashlib.sha256(data).hexdigest()


def test_what_is_told_is_shown_as_it_comes(play: Play) -> None:
    run = play.project.start(play.task("steps"), **play.environment)
    assert run.stdout is not None
    seen = {}
    for line in run.stdout:
        seen[line.strip()] = time.monotonic()
    assert run.wait(60) == 0
    assert seen["ssh-backend: two"] - seen["ssh-backend: one \\x1b[2J"] > 1
    found = play.run("steps", check_safe=True)
    assert [event["phase"] for event in found["events"]] == ["trying", "settling"]
    assert (found["json"], found["changed"]) == ({"now": "x"}, False)


def test_a_verb_that_fails_fails_the_task_with_its_own_line(play: Play) -> None:
    statuses = (1, 2, 75, 77, 124)
    results = play.results([task for status in statuses for task in play.task(f"exit-{status}")])
    for status, found in zip(statuses, results, strict=True):
        assert (found["failed"], found["rc"], found["json"], found["changed"]) == (True, status, None, False)
        assert found["msg"] == "somebody else works on it: alice since 12:00"
        assert found["dockfra_blamed"] == ""
    assert play.run("exit-1", "rpi3")["dockfra_blamed"] == "rpi3"


def test_what_is_no_answer_fails_the_task(play: Play) -> None:
    cases: list[tuple[list[str], dict[str, Any], str]] = [
        (["exit-255"], {}, "ssh-backend cannot be reached"),
        (["odd"], {}, "an answer that is no JSON"),
        (["hang"], {"timeout": 1}, "did not end hang within 1 s"),
        (["plain"], {"service": "-oProxyCommand=id"}, "cannot name a service"),
        (["plain"], {"input_file": "/nowhere"}, "/nowhere cannot be read: No such file"),
        (["plain"], {"input_file": "/nowhere", "input": "x"}, "mutually exclusive"),
        ([], {}, "verb is empty"),
    ]
    results = play.results([task for verb, options, _told in cases for task in play.task(*verb, **options)])
    for (verb, _options, told), found in zip(cases, results, strict=True):
        assert found["failed"], verb
        assert told in found["msg"]
    # What was wrong before anybody was asked, nobody was asked.
    assert [words[-1].split()[0] for words in play.called()] == ["exit-255", "odd", "hang"]


def test_check_mode_calls_only_what_changes_nothing(play: Play) -> None:
    found = play.run("plain", arguments=("--check",))
    assert found["msg"] == "plain at ssh-backend was not called in check mode"
    assert " skipped=1 " in play.project.play(play.task("plain"), "--check", **play.environment).stdout
    assert play.called() == []
    assert play.run("plain", arguments=("--check",), check_safe=True)["json"] == {"a": [1, 2]}


def test_an_input_is_shown_nowhere(play: Play) -> None:
    secret = "s3cret-and-long"
    found = play.project.play(play.task("sum", input=secret), "-vvv", **play.environment)
    assert found.returncode == 0, found.stdout
    assert hashlib.sha256(secret.encode()).hexdigest() in found.stdout
    assert secret not in found.stdout + found.stderr + json.dumps(play.called())
    quiet = play.project.play(play.task("steps", no_log=True), **play.environment)
    assert "two" not in quiet.stdout


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_ends_the_play_ends_ssh_and_all_below_it(play: Play, end: signal.Signals) -> None:
    run = play.project.start(play.task("hang"), **play.environment)
    deadline = time.monotonic() + 60
    while not play.pids.exists() or not play.pids.read_text().endswith("\n"):
        assert time.monotonic() < deadline
        assert run.poll() is None, run.communicate()
        time.sleep(0.05)
    started = play.pids.read_text().split()
    assert all(Path("/proc", pid).exists() for pid in started)
    run.send_signal(end)
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in started):
        assert time.monotonic() < deadline, subprocess.run(["ps", "-fp", ",".join(started)], check=False)
        time.sleep(0.05)
    run.communicate(timeout=20)


def alive(pid: str) -> bool:
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
