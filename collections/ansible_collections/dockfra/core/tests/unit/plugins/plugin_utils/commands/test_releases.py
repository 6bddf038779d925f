# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The bastion's commands behind a real gate, each call a process of its own, with a service that answers in its state."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.releases import ids, links, state
from ansible_collections.dockfra.core.plugins.module_utils.releases.state import State, Try
from ansible_collections.dockfra.core.tests.unit.made_releases import packed, record, store
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

ROLE = COLLECTIONS / "ansible_collections/dockfra/core/roles/gate/files/image/rootfs/usr/local/bin"
VERBS = ["release-receive", "release-switch", "release-hold", "release-status", "release-prune"]
POLICY = {
    "place": "ssh-frontend",
    "service": "ssh-frontend",
    "services": {"ssh-frontend": "ssh-frontend", "monitor": "ssh-monitor"},
    "capabilities": {"deploy": {"title": "Deploy", "roles": ["monitor"]}},
    "commands": {verb: {"capability": "deploy", "at": {"ssh-frontend": ["monitor"]}} for verb in VERBS},
}
GATE = """
    #!{python}
    import encodings.ascii, os, pathlib, sys
    sys.path.insert(0, {collections!r})
    from ansible_collections.dockfra.core.plugins.plugin_utils.cli import gate, releases
    from ansible_collections.dockfra.core.plugins.module_utils.releases import switch
    releases.ROOT, releases.STATES = {root!r} + "/releases", {root!r} + "/states"
    switch.NOTICE_SECONDS, switch.BACK_SECONDS = 1.0, 0.2
    sys.exit(gate.main(["gate", sys.argv[1]], None, pathlib.Path({root!r}, "policy.json"), {root!r}, {root!r} + "/slots"))
    """
DATA = packed({"site/index.html": b"one"})
Done = subprocess.CompletedProcess[bytes]


class Bastion:
    """A bastion with the releases of frontend, and that service.

    Attributes:
        root: of all its files.
        answers: the results that the service gives in turn; it keeps silent where there are none.
        running: what it runs.
        phase: set when it has given its first answer to what it was asked last.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = store(root / "releases")
        self.folder = root / "states" / "frontend"
        self.folder.mkdir(parents=True)
        self.answers = ["trying", "settling", "ready"]
        self.running = ""
        self.phase = threading.Event()
        self.stopped = threading.Event()
        (root / "policy.json").write_text(json.dumps(POLICY))
        self.gate = root / "gate"
        values = {"python": sys.executable, "collections": str(COLLECTIONS), "root": str(root)}
        self.gate.write_text(textwrap.dedent(GATE).lstrip().format(**values))
        self.gate.chmod(0o755)

    def serve(self) -> None:
        """Be the service."""
        seen = ""
        while not self.stopped.wait(0.01):
            asked = links.read(self.store.folder, "next")
            if asked is None:
                if self.running != self.store.current():
                    self.running = self.store.current()
                    if not self.running:  # it is back at what its image brought
                        state.write(self.folder, State())
            elif asked.token != seen and self.answers:
                seen = asked.token
                for result in self.answers:
                    self.running = asked.release if result in ("settling", "ready") else self.store.current()
                    state.write(self.folder, State(self.running, Try(asked.release, seen, result, "so")))
                    self.phase.set()
                    time.sleep(0.2)

    def start(self, line: str, caller: str = "monitor", **options: Any) -> subprocess.Popen[bytes]:
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | options
        environment = {"PATH": os.environ["PATH"], "SSH_ORIGINAL_COMMAND": line, "LC_ALL": "C.UTF-8"}
        return subprocess.Popen([str(self.gate), caller], env=environment, **pipes)

    def call(self, line: str, data: bytes = b"", caller: str = "monitor") -> Done:
        process = self.start(line, caller)
        output, errors = process.communicate(data, timeout=60)
        assert b"Traceback" not in errors
        return subprocess.CompletedProcess(line, process.returncode, output, errors)

    def receive(self, number: int = 1, data: bytes = DATA, line: str = "{}") -> tuple[str, Done]:
        made = record(DATA, number)
        said = f"release-receive frontend {made.id} --commit {made.commit} --sha256 {made.sha256}"
        said += f" --size {len(DATA)} --content 100000"
        return made.id, self.call(line.format(said), data)

    def status(self) -> dict[str, Any]:
        [found] = json.loads(self.call("release-status --json").stdout)
        return dict(found)

    def left(self) -> set[str]:
        """What lies there beside releases and the lock."""
        return {name for name in os.listdir(self.store.folder) if not ids.valid_id(name)} - {".lock"}


@pytest.fixture
def bastion(tmp_path: Path) -> Iterator[Bastion]:
    found = Bastion(tmp_path)
    thread = threading.Thread(target=found.serve)
    thread.start()
    yield found
    found.stopped.set()
    thread.join(5)


def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it has not come"
        time.sleep(0.01)


def line_of(done: Done) -> str:
    [line] = done.stderr.decode().splitlines()
    return line


def test_a_release_is_received_switched_to_and_taken_back(bastion: Bastion) -> None:
    one, done = bastion.receive(1)
    assert (done.returncode, done.stdout.decode()) == (0, f"frontend has {one}\n")
    assert (Path(bastion.store.folder) / one / "content/site/index.html").read_bytes() == b"one"
    assert bastion.receive(1)[1].stdout.decode() == f"frontend has {one} already\n"
    two, _done = bastion.receive(2)

    assert bastion.call(f"release-switch frontend {one}").returncode == 0
    done = bastion.call(f"release-switch frontend {two} --json")
    *events, result = map(json.loads, done.stdout.splitlines())
    assert [event["phase"] for event in events] == ["asking", "trying", "settling"]
    assert all(event["event"] == "progress" and two in event["text"] for event in events)
    assert (result["event"], result["data"]["before"], result["data"]["now"]) == ("result", one, two)
    assert bastion.store.current() == two

    again = json.loads(bastion.call(f"release-switch frontend {two} --json").stdout)
    assert (again["data"]["changed"], again["data"]["seconds"]) == (False, 0)
    back = bastion.call(f"release-switch frontend {one}")
    assert back.stdout.decode().startswith(f"frontend serves {one} now, after ")
    assert b"frontend: settling" in back.stderr
    found = bastion.status()
    assert (found["running"], found["current"], found["previous"]) == (one, one, two)
    assert [entry["id"] for entry in found["releases"]] == [one, two]
    assert [entry["who"] for entry in found["releases"]] == ["monitor", "monitor"]
    assert [entry["served"] for entry in found["releases"]] == [True, True]
    assert (found["tried"]["release"], found["tried"]["result"], found["holder"]) == (one, "ready", None)
    shown = bastion.call("release-status").stdout.decode()
    assert f"frontend runs {one}" in shown
    for number in range(2):
        image = bastion.call("release-switch frontend image --json")
        assert json.loads(image.stdout.splitlines()[-1])["data"]["changed"] == (number == 0)
        assert (bastion.store.current(), bastion.store.previous()) == ("", one)


def test_old_releases_go_and_none_that_is_needed(bastion: Bastion) -> None:
    made = [bastion.receive(number)[0] for number in range(1, 8)]
    bastion.store.confirm(made[0])
    bastion.store.confirm(made[1])
    state.write(bastion.folder, State(made[2]))
    found = bastion.status()
    assert (found["cleanable"], found["used"] in range(101)) == (2, True)
    assert "2 releases can be removed" in bastion.call("release-status").stdout.decode()
    done = json.loads(bastion.call("release-prune frontend --json").stdout)
    assert done == {"service": "frontend", "removed": made[3:5], "kept": [*made[:3], *made[5:]]}
    assert bastion.status()["cleanable"] == 0
    (bastion.folder / state.NAME).write_text("nonsense")
    assert bastion.call("release-prune frontend").returncode == 1
    assert bastion.status()["problem"].endswith("says nothing that a service says of its releases.")
    # Where nobody can say what runs, nobody says what can go.
    assert bastion.status()["cleanable"] is None


@pytest.mark.parametrize("answer", ["unhealthy", "crashed", "refused", ""])
def test_what_does_not_serve_leaves_the_old_one(bastion: Bastion, answer: str) -> None:
    one, two = bastion.receive(1)[0], bastion.receive(2)[0]
    bastion.call(f"release-switch frontend {one}")
    bastion.answers = ["trying", answer] if answer else []
    done = bastion.call(f"release-switch frontend {two}")
    assert done.returncode == 1
    last = done.stderr.decode().splitlines()[-1]
    told = (
        f"frontend does not serve {two}: {answer}: so. It serves {one} as before."
        if answer
        else "takes no notice"
    )
    assert last.startswith("release-switch: ")
    assert told in last
    assert (bastion.store.current(), bastion.left()) == (one, {"current"})


def test_what_is_not_the_announced_archive_is_not_kept(bastion: Bastion) -> None:
    other = packed({"site/index.html": b"two"})
    for data, told in (
        (DATA[:-1] + b"x", "has the SHA-256"),
        (DATA[:-10], f"ends after {len(DATA) - 10} of {len(DATA)} bytes"),
        (DATA + b"x", "has more than the"),
        (other + bytes(len(DATA)), ""),
    ):
        _release, done = bastion.receive(1, data)
        assert done.returncode == 1
        assert told in line_of(done)
        assert (bastion.store.ids(), bastion.left()) == ([], set())
    assert bastion.receive(1)[1].returncode == 0


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("release-receive frontend x --commit y --sha256 z --size 1 --content 1", 2),
        ("{} --size -1", 1),
        ("{} --size 999999999999", 1),
        ("{} --sha256 ../../x", 2),
        ("{} --who 'a\nb'", 2),
        ("{} --commit 0123456789", 2),
        ("release-switch ../frontend 20261125T131500Z-0123456789ab", 2),
        ("release-switch frontend ../../etc", 2),
        ("release-switch frontend 20261125T131500Z-0123456789ab", 1),
        ("release-switch backend 20261125T131500Z-0123456789ab", 1),
        ("release-status backend", 1),
        ("release-switch frontend", 2),
        ("release-hold frontend", 2),
        ("release-hold ../frontend --for work", 2),
        ("release-hold backend --for work", 1),
        ("release-hold frontend --for 'a\nb'", 2),
        ("release-status /etc", 2),
    ],
)
def test_what_cannot_be_meant_changes_nothing(bastion: Bastion, line: str, status: int) -> None:
    _release, done = bastion.receive(1, DATA, line)
    assert done.returncode == status, done
    assert line_of(done).startswith("release-")
    assert (bastion.store.ids(), bastion.left()) == ([], set())


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("caller", ["autopilot", "developer", "manager", "ssh-backend"])
def test_nobody_else_deploys(bastion: Bastion, caller: str, verb: str) -> None:
    done = bastion.call(f"{verb} frontend", caller=caller)
    assert done.returncode == 77
    assert line_of(done).startswith("denied: ")


def test_who_comes_second_is_told_who_works_there(bastion: Bastion) -> None:
    bastion.receive(1)
    made = record(DATA, 2)
    said = (
        f"release-receive frontend {made.id} --commit {made.commit} --sha256 {made.sha256} --size {len(DATA)}"
    )
    first = bastion.start(f"{said} --content 100000")
    until(bastion.store.holder)
    for line in (f"release-switch frontend {made.id}", "release-prune frontend"):
        done = bastion.call(line)
        assert done.returncode == 75
        assert f"monitor since {time.strftime('%Y')}" in line_of(done)
        assert f"receives {made.id}" in line_of(done)
    holder = bastion.status()["holder"]
    assert (holder["who"], holder["what"]) == ("monitor", f"receives {made.id}")
    assert first.communicate(DATA, timeout=30) == (f"frontend has {made.id}\n".encode(), b"")
    assert bastion.call("release-prune frontend").returncode == 0


@pytest.mark.parametrize("end", ["closed", "cut", "terminated", "killed"])
def test_who_deploys_is_alone_until_the_input_ends(bastion: Bastion, end: str) -> None:
    line = "release-hold frontend --for 'deploys 0123456789ab' --json"
    first = bastion.start(f"{line} --who alice")
    assert first.stdin is not None
    assert first.stdout is not None
    assert json.loads(first.stdout.readline())["phase"] == "held"
    second = bastion.call(line)
    assert second.returncode == 75
    assert "Somebody else works on a deploy of frontend: alice since " in line_of(second)
    assert "deploys 0123456789ab" in line_of(second)
    holder = bastion.status()["holder"]
    assert (holder["who"], holder["what"]) == ("alice", "deploys 0123456789ab")
    # Its own calls are not in its way.
    assert bastion.receive(1)[1].returncode == 0
    if end in ("closed", "cut"):
        first.stdin.close()
    if end == "cut":
        first.stdout.close()
    elif end != "closed":
        first.send_signal(signal.SIGTERM if end == "terminated" else signal.SIGKILL)
    assert (first.wait(20) == 0) == (end in ("closed", "cut"))
    assert bastion.status()["holder"] is None


@pytest.mark.parametrize("end", ["cut", "terminated", "killed"])
def test_a_switch_that_is_ended_leaves_the_old_release(bastion: Bastion, end: str) -> None:
    one, two = bastion.receive(1)[0], bastion.receive(2)[0]
    assert bastion.call(f"release-switch frontend {one}").returncode == 0
    bastion.answers = ["trying", "settling"]
    bastion.phase.clear()
    process = bastion.start(f"release-switch frontend {two} --json")
    assert bastion.phase.wait(20)
    if end == "cut":
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()
    else:
        process.send_signal(signal.SIGTERM if end == "terminated" else signal.SIGKILL)
    process.wait(20)
    assert (bastion.store.current(), bastion.store.holder()) == (one, None)
    if end != "killed":
        assert bastion.left() == {"current"}
    bastion.answers = ["trying", "settling", "ready"]
    assert bastion.call(f"release-switch frontend {two}").returncode == 0
    assert bastion.left() == {"current", "previous"}


@pytest.mark.parametrize("end", ["cut", "killed"])
def test_an_archive_that_does_not_come_to_its_end_is_no_release(bastion: Bastion, end: str) -> None:
    made = record(DATA, 1)
    said = f"release-receive frontend {made.id} --commit {made.commit} --sha256 {made.sha256}"
    process = bastion.start(f"{said} --size {len(DATA)} --content 100000")
    assert process.stdin is not None
    process.stdin.write(DATA[:50])
    process.stdin.flush()
    until(lambda: any(name.startswith(".new-") for name in bastion.left()))
    if end == "killed":
        process.kill()
    for pipe in (process.stdin, process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()
    process.wait(20)
    assert (bastion.store.ids(), bastion.store.holder()) == ([], None)
    assert bastion.receive(1)[1].returncode == 0
    assert bastion.left() == set()


def test_the_record_says_who_asked(bastion: Bastion) -> None:
    release, done = bastion.receive(1, DATA, "{} --who alice")
    assert done.returncode == 0
    found = bastion.store.record(release)
    assert (found.who, found.sha256, found.time) == (
        "alice",
        hashlib.sha256(DATA).hexdigest(),
        ids.time_of(release),
    )


# The key's forced command --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("release-status --json", "gate monitor release-status --json"),
        ("release-status", "gate monitor release-status"),
        ("release-statusx", "shell -c release-statusx"),
        ("id; release-status", "shell -c id; release-status"),
        ("id -un", "shell -c id -un"),
        ("", "shell"),
    ],
)
def test_a_key_with_a_shell_reaches_the_gate_for_its_commands_only(
    tmp_path: Path, line: str, said: str
) -> None:
    program = tmp_path / "gate-or-shell"
    program.write_text(
        (ROLE / "gate-or-shell").read_text().replace("/usr/local/bin/gate ", f"{tmp_path}/gate ")
    )
    (tmp_path / "gate").write_text('#!/bin/bash\necho "gate $* $SSH_ORIGINAL_COMMAND"\n')
    (tmp_path / "shell").write_text('#!/bin/bash\necho "shell${*:+ $*}${SSH_ORIGINAL_COMMAND+ leaked}"\n')
    for path in tmp_path.iterdir():
        path.chmod(0o755)
    environment = {"SHELL": str(tmp_path / "shell"), **({"SSH_ORIGINAL_COMMAND": line} if line else {})}
    done = subprocess.run(
        [str(program), "monitor", *VERBS],
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.stdout, done.stderr) == (f"{said}\n", "")
