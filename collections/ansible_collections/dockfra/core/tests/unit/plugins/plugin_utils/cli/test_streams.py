# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Commands that are longer than a moment: what they tell, how long they may take, and that they end whole."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.plugin_utils.cli import remote
from ansible_collections.dockfra.core.tests.unit.plugins.module_utils.processes.test_processes import (
    STUBBORN,
    gone,
    written,
)
from ansible_collections.dockfra.core.tests.unit.plugins.plugin_utils.cli.support import (
    Box,
    message,
    policy_file,
)

# Tells how it goes on, as one in its directory does; the test is its user.
COMMAND = '''
"""Work for a while."""
import argparse, os, time
from ....module_utils.processes import child

EXAMPLES = ["long-work"]
STREAMS = True
TIME_LIMIT = 300.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", default="")


def changes(options: argparse.Namespace) -> bool:
    return True


def run(call):
    call.tell("half of it", done=1)
    call.write("a part \\x1b[2J")
    if call.options.what == "wait":
        open(os.path.join({root!r}, "works"), "w").write(f"{{os.getpid()}}\\n")
        while not os.path.exists(os.path.join({root!r}, "go")):
            time.sleep(0.01)
    elif call.options.what == "tree":
        open(os.path.join({root!r}, "works"), "w").write(f"{{os.getpid()}}\\n")
        child.run(["sh", "-c", {stubborn!r}], timeout=600)
    elif call.options.what == "late":
        time.sleep(600)
    elif call.options.what:
        raise FileNotFoundError(2, "No such file or directory", call.options.what)
    return {{"parts": 2}}


def render(data, style):
    return f"{{data['parts']}} parts"
'''


# What ssh does between two containers, here between two processes.
SSH = """#!{python}
import os, sys
service, line = sys.argv[-2:]
with open({root!r} + "/policy-" + service) as file:
    policy = file.read()
with open({root!r} + "/policy.json", "w") as file:
    file.write(policy)
os.environ["SSH_ORIGINAL_COMMAND"] = line
os.execv(sys.executable, [sys.executable, "-I", {gate!r}, "developer"])
"""


@pytest.fixture
def long(box: Box) -> Iterator[Box]:
    """The manager's container with a command that works for a while, which the developer may call too."""
    commands = box.python / "ansible_collections/dockfra/core/plugins/plugin_utils/commands/manager"
    file = commands / "long_work.py"
    file.write_text(COMMAND.format(root=str(box.root), stubborn=STUBBORN.format(box.root)))
    for name in ("works", "go", "child", "grandchild"):
        (box.root / name).unlink(missing_ok=True)
    (box.root / "policy.json").write_text(json.dumps(policy("manager")))
    yield box
    file.unlink()


def policy(place: str) -> dict[str, Any]:
    found = policy_file(place)
    rule = {"at": {"manager": ["manager", "developer"]}, "capability": ""}
    return {**found, "commands": {**found["commands"], "long-work": rule}}


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


EVENTS = [
    {"event": "progress", "text": "half of it", "done": 1},
    {"event": "output", "text": "a part \x1b[2J"},
    {"event": "result", "data": {"parts": 2}},
]


def test_people_get_lines_and_programs_json_lines(long: Box) -> None:
    done = long.run(long.command("long-work"), long.environment())
    assert (done.returncode, done.stderr, done.stdout) == (
        0,
        b"half of it\n",
        b"a part \\u001b[2J\n2 parts\n",
    )
    done = long.run(long.command("long-work", "--json"), long.environment())
    assert (done.returncode, done.stderr, lines(done.stdout)) == (0, b"", EVENTS)


def test_events_come_while_it_works_through_the_gate_too(long: Box) -> None:
    with subprocess.Popen(
        long.gate_command("developer"),
        env=long.environment("long-work wait --json"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert json.loads(process.stdout.readline()) == EVENTS[0]
        assert process.poll() is None
        (long.root / "go").touch()
        assert lines(process.stdout.read()) == EVENTS[1:]
    assert process.returncode == 0


@pytest.mark.parametrize("as_json", [False, True])
def test_events_come_home_from_another_place(long: Box, as_json: bool) -> None:
    ssh = long.root / "bin" / "ssh"
    ssh.parent.mkdir(exist_ok=True)
    ssh.write_text(SSH.format(python=sys.executable, root=str(long.root), gate=str(long.lib / "gate")))
    ssh.chmod(0o755)
    (long.root / "policy-ssh-manager").write_text(json.dumps(policy("manager")))
    (long.root / "policy.json").write_text(json.dumps(policy("developer")))
    environment = long.environment(PATH=f"{ssh.parent}:/usr/bin:/bin")
    done = long.run(long.command("long-work", *(["--json"] if as_json else [])), environment)
    assert done.returncode == 0
    if as_json:
        assert lines(done.stdout) == EVENTS
    else:
        assert done.stdout == b"a part \\u001b[2J\n2 parts\n"
        assert done.stderr == b"half of it\n"


@pytest.mark.parametrize("at_gate", [False, True])
def test_who_takes_too_long_is_ended(long: Box, at_gate: bool) -> None:
    file = next(long.python.rglob("manager/long_work.py"))
    file.write_text(file.read_text().replace("TIME_LIMIT = 300.0", "TIME_LIMIT = 2"))
    if at_gate:
        done = long.connect("developer", "long-work late --json")
    else:
        done = long.run(long.command("long-work", "late", "--json"), long.environment())
    assert done.returncode == 124
    assert message(done) == "long-work: it did not end within 2 s, and was ended"
    assert [(entry["verb"], entry["result"]) for entry in long.entries("manager")] == [("long-work", 124)]


def test_an_error_of_the_system_in_ones_own_command_names_its_object_finding_u13(long: Box) -> None:
    done = long.run(long.command("long-work", "/no/such", "--json"), long.environment())
    assert (done.returncode, message(done)) == (1, "long-work: /no/such: No such file or directory")


# -- the end of the whole tree -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_gate", [False, True])
@pytest.mark.parametrize("end", ["interrupted", "stopped", "cut off"])
def test_an_end_from_outside_leaves_no_process(long: Box, at_gate: bool, end: str) -> None:
    command = long.gate_command("developer") if at_gate else long.command("long-work", "tree")
    environment = long.environment("long-work tree" if at_gate else None)
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        pids = [written(long.root / name) for name in ("works", "child", "grandchild")]
        if end == "cut off":
            # What sshd does when a connection is lost: no signal, it only ends, and nobody reads any more.
            process.stdout.close()
            process.stderr.close()
        else:
            process.send_signal(signal.SIGINT if end == "interrupted" else signal.SIGTERM)
        assert all(gone(pid, 20) for pid in pids)
    [entry] = long.entries("manager")
    assert (entry["caller"], entry["verb"]) == ("developer" if at_gate else "manager", "long-work")
    assert entry["result"] == {"interrupted": 130, "stopped": 143, "cut off": 129}[end]


# -- audit at home -------------------------------------------------------------------------------------------------------


def test_what_changes_something_at_home_is_audited_as_at_the_gate(box: Box) -> None:
    for words in (["ticket-create", "Fix token=hunter2 it"], ["ticket-list"], ["ticket-create", ""]):
        box.run(box.command(*words), box.environment())
    entries = box.entries("manager")
    assert [(entry["caller"], entry["role"], entry["verb"], entry["result"]) for entry in entries] == [
        ("manager", "manager", "ticket-create", 0),
        ("manager", "manager", "ticket-create", 2),
    ]
    assert "hunter2" not in box.log("manager").read_text()


def test_what_cannot_be_audited_at_home_is_not_done(box: Box) -> None:
    box.log("manager").mkdir()
    before = box.tree()
    done = box.run(box.command("ticket-create", "Fix it"), box.environment())
    assert done.returncode == 1
    assert "audit log" in message(done)
    assert box.tree() == before


# -- what comes from elsewhere -------------------------------------------------------------------------------------------


def answering(box: Box, script: str) -> dict[str, str]:
    """The environment in which ssh is a script."""
    ssh = box.root / "bin" / "ssh"
    ssh.parent.mkdir(exist_ok=True)
    ssh.write_text(f"#!/bin/sh\n{script}\n")
    ssh.chmod(0o755)
    return box.environment(PATH=f"{ssh.parent}:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("yes 'x y z' | head -c 400000000", f"says more than {remote.MAX_ANSWER} bytes"),
        ("printf '['; yes '[],' | head -c 4000000; printf '0]'", "more than 400000 values"),
        ("yes '{}' | head -c 400000000 >&2", f"says more than {remote.MAX_ANSWER} bytes"),
    ],
)
def test_an_answer_without_end_is_not_read_finding_s4(box: Box, script: str, said: str) -> None:
    environment = answering(box, script)
    # As much memory as a small container has.
    limited = ["sh", "-c", 'ulimit -v 400000; exec "$@"', "sh", *box.command("config-developer")]
    done = box.run(limited, environment)
    assert done.returncode == 1
    assert message(done).startswith("config-developer: the answer of ssh-developer is too long: it ")
    assert said in message(done)


HOSTILE = r"printf 'gr\303\274n\t\033]0;title\007\033[2J\302\233\342\200\256\033[31mred\033[0m\n'"
HARMLESS = "grün\t\\u001b]0;title\\u0007\\u001b[2J\\u009b\\u202e\x1b[31mred\x1b[0m\n"


def on_terminal(command: list[str], environment: dict[str, str], stdin: bool) -> str:
    """What a command writes on a terminal."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        command,
        env=environment,
        stdin=slave if stdin else subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    ) as process:
        os.close(slave)
        shown = b""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                part = os.read(master, 4096)
            except OSError:
                break
            if not part:
                break
            shown += part
        process.wait(60)
    os.close(master)
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("stream", ["", " >&2"])
@pytest.mark.parametrize("words", [["id"], []])
def test_a_terminal_gets_nothing_to_obey_from_elsewhere_finding_s10(
    box: Box, stream: str, words: list[str]
) -> None:
    environment = answering(box, f'[ -z "$TERM" ] || [ "$TERM" = dumb ] || exit 9\n{HOSTILE}{stream}')
    shown = on_terminal(box.command("ssh-to", "developer", *words), environment, stdin=not words)
    assert shown == HARMLESS


def test_a_program_gets_what_was_sent(box: Box) -> None:
    done = box.run(box.command("ssh-to", "developer", "id"), answering(box, "printf '\\033[2J\\377'"))
    assert done.stdout == b"\x1b[2J\xff"


# -- encodings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["C.UTF-8", "C", "xx_XX.UTF-8", "de_DE.ISO-8859-1"])
def test_an_argument_in_latin_1_is_told_as_such_finding_g6(box: Box, language: str) -> None:
    command = [os.fsencode(word) for word in box.command("ticket-create")]
    done = subprocess.run(
        [*command, b"caf\xe9"], env=box.environment(LC_ALL=language), capture_output=True, check=False
    )
    assert done.returncode == 2
    assert message(done) == (
        "ticket-create: 'caf\\xe9' is no UTF-8 text; set your terminal to UTF-8 and type it again"
    )


def test_a_language_that_does_not_exist_changes_nothing_finding_g6(box: Box) -> None:
    done = box.run(box.command("ticket-show", "T-0003"), box.environment(LC_ALL="xx_XX.UTF-8"))
    assert (done.returncode, done.stderr) == (0, b"")
    assert "你好" in done.stdout.decode()
