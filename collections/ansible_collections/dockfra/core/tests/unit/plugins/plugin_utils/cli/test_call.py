# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The gate and the commands as processes: exit statuses, one line of error, signals, pipes, closed streams, damage."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import MAX_INPUT, Place
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.remote import MAX_LINE
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.slots import MAX_CALLS
from ansible_collections.dockfra.core.tests.unit.plugins.plugin_utils.cli.support import (
    Box,
    message,
    one_line,
    policy_file,
)
from ansible_collections.dockfra.core.tests.unit.support import is_root

HEAVY = {
    "ansible",
    "github",
    "openai",
    "requests",
    "docker",
    "asyncio",
    "urllib.request",
    "http.client",
    "yaml",
    "readline",
    # Of the standard library, what a short command does without: loading it would make each command wait for nothing.
    "dataclasses",
    "inspect",
    "pathlib",
    "pkgutil",
    "shutil",
    "subprocess",
}


# -- what comes back -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caller", "line", "status", "said"),
    [
        ("autopilot", "ticket-show T-0001", 0, ""),
        ("autopilot", "ticket-show T-0404", 1, "ticket-show: "),
        ("autopilot", "ticket-show T-1-2", 2, "ticket-show: argument ID: "),
        ("autopilot", "ticket-list --assign nobody", 2, "ticket-list: argument --assign: invalid choice"),
        ("autopilot", "ticket-push", 77, "denied: the autopilot may not use ticket-push"),
        ("developer", "ticket-create x", 77, "denied: the developer may not use ticket-create"),
        ("autopilot", "bash -c id", 77, "denied: there is no command 'bash'"),
        ("autopilot", "ticket-list 'x", 2, "gate: the quotation marks"),
        ("autopilot", "", 2, "gate: there is no command; try help"),
        ("nobody", "ticket-list", 77, "denied: the nobody may not use ticket-list"),
    ],
)
def test_exit_status_and_one_line(box: Box, caller: str, line: str, status: int, said: str) -> None:
    done = box.connect(caller, line)
    assert done.returncode == status
    assert bool(done.stdout) == (status == 0)
    if status:
        assert message(done).startswith(said)
    else:
        assert done.stderr == b""
    [entry] = box.entries("manager")
    assert (entry["caller"], entry["result"]) == (caller, status)


@pytest.mark.parametrize("language", ["C", "POSIX", "en_US.ISO-8859-1", "tr_TR.UTF-8", "no_such", ""])
def test_the_output_is_utf_8_whatever_the_language(box: Box, language: str) -> None:
    done = box.connect("autopilot", "ticket-show T-0003", variables={"LANG": language, "LC_ALL": language})
    assert (done.returncode, done.stderr) == (0, b"")
    assert "Für später, 你好" in done.stdout.decode()
    done = box.connect(
        "autopilot", "ticket-list --assign Größe", variables={"LANG": language, "LC_ALL": language}
    )
    assert done.returncode == 2
    assert "Größe" in message(done)


def test_the_language_may_be_one_that_has_no_such_characters(box: Box) -> None:
    done = box.connect(
        "autopilot",
        "ticket-show T-0003",
        options=["-X", "utf8=0"],
        variables={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert "你好" in done.stdout.decode()


def test_bytes_that_are_no_text_are_refused_in_one_line(box: Box) -> None:
    environment: dict[bytes, bytes] = {
        os.fsencode(key): os.fsencode(value) for key, value in box.environment().items()
    }
    environment[b"SSH_ORIGINAL_COMMAND"] = b"ticket-list \xff\xfe"
    done = subprocess.run(box.gate_command("autopilot"), env=environment, capture_output=True, check=False)
    assert done.returncode == 2
    assert message(done).startswith("ticket-list: '\\xff\\xfe' is no UTF-8 text")
    assert len(box.entries("manager")) == 1


def test_json_may_stand_anywhere_and_help_is_a_success(box: Box) -> None:
    for line in ("ticket-show --json T-0001", "ticket-show T-0001 --json"):
        assert json.loads(box.connect("autopilot", line).stdout)["id"] == "T-0001"
    done = box.connect("autopilot", "ticket-create --help")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Examples:" in done.stdout


def test_the_longest_line_that_arrives(box: Box) -> None:
    # One string of a process's environment has at most 128 KiB on Linux.
    longest = "ticket-show " + "x" * (128 * 1024 - len("SSH_ORIGINAL_COMMAND=") - 1 - len("ticket-show "))
    done = box.connect("autopilot", longest)
    assert done.returncode == 2
    message(done)
    assert len(longest) > MAX_LINE


@pytest.mark.parametrize(
    ("size", "status"), [(1000, 0), (60_000, 0), (MAX_INPUT, 2), (MAX_INPUT + 1, 2), (8 * MAX_INPUT, 2)]
)
def test_a_description_from_the_input(box: Box, size: int, status: int) -> None:
    done = box.connect("autopilot", "ticket-create Long --desc - --json", b"x" * size)
    assert done.returncode == status
    if status == 0:
        assert json.loads(done.stdout)["description"] == "x" * size
    else:
        message(done)
        assert len(box.store.select().tickets) == 3


# -- streams -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["ticket-list", "help", "ticket-list --json"])
def test_a_reader_that_leaves_early_sees_no_complaint(box: Box, line: str) -> None:
    for number in range(300):
        box.store.create("manager", {"title": f"Ticket {number} {'x' * 150}"})
    reading, writing = os.pipe()
    process = subprocess.Popen(
        box.gate_command("autopilot"),
        env=box.environment(line),
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    _out, said = process.communicate(timeout=60)
    assert said == b""
    assert process.returncode == 0
    assert box.entries("manager")[-1]["result"] == 0


def test_an_output_nobody_reads_from_the_start(box: Box) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = box.connect("autopilot", "ticket-create x", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(box.store.select().tickets) == 4


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_output_that_is_full(box: Box) -> None:
    with open("/dev/full", "wb") as full:
        done = box.connect("autopilot", "ticket-list", stdout=full)
        assert done.returncode == 1
        assert message(done) == "error: the output cannot be written: No space left on device"
        assert box.connect("autopilot", "ticket-nothing", stderr=full).returncode == 77


@pytest.mark.parametrize("program", ["gate", "ticket-list"])
@pytest.mark.parametrize(
    ("closed", "status"), [("<&-", 0), (">&-", 1), ("2>&-", 0), ("<&- >&-", 1), ("<&- >&- 2>&-", 1)]
)
def test_closed_streams(box: Box, program: str, closed: str, status: int) -> None:
    command = box.gate_command("autopilot") if program == "gate" else box.command(program)
    done = box.run(["sh", "-c", f"exec {shlex.join(command)} {closed}"], box.environment("ticket-list"))
    assert done.returncode == status
    if status and "2>" not in closed:
        assert message(done) == "error: the output cannot be written: Bad file descriptor"
    else:
        assert done.stderr == b""
    assert (b"T-0001" in done.stdout) == (status == 0)
    # No file of the platform got the number of a stream, and so what is written to that.
    assert len(box.tree()) == 3
    assert len(box.entries("manager")) == (1 if program == "gate" else 0)


def test_a_closed_input_is_an_empty_one(box: Box) -> None:
    command = shlex.join(box.gate_command("autopilot"))
    done = box.run(["sh", "-c", f"exec {command} <&-"], box.environment("ticket-create x --desc -"))
    assert (done.returncode, done.stderr) == (0, b"")
    assert box.store.get("T-0004").description == ""


# -- signals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_while_the_input_is_awaited(box: Box, number: signal.Signals, status: int) -> None:
    process = subprocess.Popen(
        box.gate_command("autopilot"),
        env=box.environment("ticket-create Half --desc -"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(b"the first half")
    process.stdin.flush()
    _wait_until_reading(process)
    process.send_signal(number)
    process.wait(60)
    out, said = process.communicate()
    assert process.returncode == status
    assert out == b""
    assert said in (b"", b"ticket-create: interrupted\n")
    [entry] = box.entries("manager")
    assert (entry["verb"], entry["result"]) == ("ticket-create", status)
    assert len(box.tree()) == 3


def _wait_until_reading(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process waits for more on its input: a signal before that could come before the command, too."""
    call = Path(f"/proc/{process.pid}/syscall")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        # The numbers of select(2) and pselect6(2) (proc_pid_syscall(5)).
        if call.read_text().split()[0] in ("23", "270", "72"):
            return
        time.sleep(0.01)
    pytest.fail("the process never waited for its input")


def test_many_at_once_leave_a_line_each(box: Box) -> None:
    calls = [("autopilot", f"ticket-create 'Number {number}'") for number in range(MAX_CALLS)]
    calls += [("developer", "ticket-nothing")] * 4
    done: list[int] = []
    threads = [
        threading.Thread(target=lambda call=call: done.append(box.connect(*call).returncode))
        for call in calls
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [0] * MAX_CALLS + [77] * 4
    assert len(box.entries("manager")) == MAX_CALLS + 4
    assert len(box.tree()) == MAX_CALLS + 3


def test_a_caller_has_so_many_calls_and_no_more(box: Box) -> None:
    """Calls that are held hold no more than their share of the container, and keep no other caller out."""
    line = "ticket-create Held --desc -"
    command, environment = box.gate_command("autopilot"), box.environment(line)
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    held = [subprocess.Popen(command, env=environment, cwd="/", **pipes) for _number in range(MAX_CALLS)]
    try:
        for process in held:
            _wait_until_reading(process)
        refused = box.connect("autopilot", "ticket-list")
        assert (refused.returncode, refused.stdout) == (75, b"")
        assert message(refused) == (
            f"gate: the autopilot has {MAX_CALLS} calls under way here; try again when one has ended"
        )
        assert [(entry["verb"], entry["verdict"]) for entry in box.entries("manager")] == [
            ("ticket-list", "busy")
        ]
        assert box.connect("developer", "my-tickets").returncode == 0
        # A call gives its place back, however it ends.
        held[0].kill()
        held[0].communicate()
        assert box.connect("autopilot", "ticket-list").returncode == 0
        for process in held[1:]:
            process.communicate(b"Text")
            assert process.returncode == 0
    finally:
        for process in held:
            process.kill()
            process.wait()
    assert len(box.tree()) == 3 + MAX_CALLS - 1


# -- damage --------------------------------------------------------------------------------------------------------------


@is_root
def test_a_log_that_cannot_be_written_stops_everything(box: Box) -> None:
    box.audit.chmod(0o555)
    box.root.parent.chmod(0o755)
    # Root writes everywhere, so the log's name is taken by a directory.
    box.log("manager").mkdir()
    done = box.connect("autopilot", "ticket-create x")
    assert done.returncode == 1
    assert message(done).startswith("gate: The audit log")
    assert done.stdout == b""
    assert len(box.tree()) == 3


@pytest.mark.parametrize(
    "content",
    [None, "", "{", "[]", "null", '"x"', "{}", "[" * 100_000, '{"place": "manager"}', "\x00\xff", "1e999999"],
)
@pytest.mark.parametrize("program", ["gate", "ticket-list", "dockfra-commands", "dockfra-refuse"])
def test_a_policy_that_cannot_be_read_is_one_line(box: Box, program: str, content: str | None) -> None:
    path = box.root / "policy.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    words = ["rm"] if program == "dockfra-refuse" else []
    command = box.gate_command("autopilot") if program == "gate" else box.command(program, *words)
    done = box.run(command, box.environment("ticket-list"))
    assert done.returncode == 1
    assert done.stdout == b""
    assert "policy.json" in message(done) or "policy" in message(done) or "unexpected" in message(done)


@pytest.mark.parametrize(
    "change",
    [
        {"commands": {"ticket-list": None}},
        {"commands": {"ticket-list": {"at": None}}},
        {"commands": {"ticket-list": {}}},
        {"commands": []},
        {"capabilities": {"x": 5}},
        {"services": None},
        {"place": None},
    ],
)
def test_a_damaged_policy_admits_nobody(box: Box, change: dict[str, object]) -> None:
    (box.root / "policy.json").write_text(json.dumps({**policy_file("manager"), **change}))
    done = box.connect("autopilot", "ticket-create x")
    assert done.returncode != 0 or change == {"services": None}
    if done.returncode:
        assert done.stdout == b""
        message(done)
        assert len(box.tree()) == 3


def test_without_a_caller_there_is_no_gate(box: Box) -> None:
    for extra in ([], ["autopilot", "manager"]):
        done = box.run(
            [sys.executable, "-I", str(box.lib / "gate"), *extra], box.environment("ticket-create x")
        )
        assert done.returncode == 2
        assert message(done).startswith("gate: it takes one argument")
        assert len(box.tree()) == 3


# -- what is loaded ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["ticket-list", "ticket-create x", "ticket-nothing", "ticket-show 'x"])
def test_a_ticket_command_loads_nothing_heavy(box: Box, line: str) -> None:
    done = box.connect("autopilot", line, options=["-X", "importtime"])
    loaded = {text.rpartition("|")[2].strip() for text in done.stderr.decode().splitlines() if "|" in text}
    assert "ansible_collections.dockfra.core.plugins.plugin_utils.cli.gate" in loaded
    assert not loaded & HEAVY
    assert not {
        name for name in loaded if name.partition(".")[0] in {"ansible", "github", "openai", "docker"}
    }


def test_a_command_at_home_does_without_the_gate(box: Box) -> None:
    link = box.command("ticket-list")[-1]
    done = box.run([sys.executable, "-I", "-X", "importtime", link], box.environment())
    loaded = {text.rpartition("|")[2].strip() for text in done.stderr.decode().splitlines() if "|" in text}
    assert any(name.endswith(".cli.command") for name in loaded)
    assert not loaded & HEAVY
    assert not {name for name in loaded if name.endswith((".cli.gate", ".audit", ".settings"))}


def test_the_callers_directory_and_environment_load_nothing(box: Box, tmp_path: Path) -> None:
    for name in ("json", "argparse", "ansible_collections", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("import os; os._exit(99)")
    done = subprocess.run(
        box.gate_command("autopilot"),
        env=box.environment(
            "ticket-list",
            PYTHONPATH=str(tmp_path),
            PYTHONSTARTUP=str(tmp_path / "json.py"),
            PYTHONHOME=str(tmp_path),
        ),
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, one_line(done.stderr.decode())


@pytest.mark.parametrize(
    ("word", "place"),
    [("developer", "developer"), ("workshop", "developer"), ("ssh-developer", "ssh-developer")],
)
def test_a_place_is_meant_by_its_name_and_by_its_services_whatever_that_is(word: str, place: str) -> None:
    here = Place("manager", "office", Policy({}, {}), {"manager": "office", "developer": "workshop"})
    assert here.named(word) == place
