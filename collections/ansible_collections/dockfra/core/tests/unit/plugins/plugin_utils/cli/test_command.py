# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A role's own commands: those of its place at home, the others through a gate, and ssh-to; ssh is a program of the test."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.plugin_utils.cli import command, grammar
from ansible_collections.dockfra.core.tests.unit.plugins.plugin_utils.cli.support import (
    ROLES,
    Box,
    Platform,
    message,
    one_line,
)

# Says how it was called, then does as it is told.
SSH = """#!/bin/sh
status=$(cat "$HOME/ssh-status")
# With -E, what ssh itself has to say goes to a file.
said=/dev/stderr
if [ "$2" = -E ]; then
    [ "$status" = 255 ] && said=$3
    kind=$1
    shift 3
    set -- "$kind" "$@"
fi
printf '%s\\0' "$@" >"$HOME/ssh-arguments"
cat >"$HOME/ssh-input"
cat "$HOME/ssh-output"
cat "$HOME/ssh-error" >>"$said"
exit "$status"
"""


class Home:
    """A role's container with an ssh that answers as the test says."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.root = box.root
        programs = self.root / "bin"
        programs.mkdir(exist_ok=True)
        (programs / "ssh").write_text(SSH)
        (programs / "ssh").chmod(0o755)
        self.path = f"{programs}:/usr/bin:/bin"
        (self.root / "ssh-arguments").unlink(missing_ok=True)
        self.answers(0, b"{}")

    def answers(self, status: int, output: bytes = b"", error: bytes = b"") -> None:
        for name, content in (("status", str(status).encode()), ("output", output), ("error", error)):
            (self.root / f"ssh-{name}").write_bytes(content)

    def run(self, *words: str, stdin: bytes = b"", path: str = "") -> subprocess.CompletedProcess[bytes]:
        return self.box.run(self.box.command(*words), self.box.environment(PATH=path or self.path), stdin)

    @property
    def sent(self) -> list[str] | None:
        """The arguments of ssh, or None when it was not called."""
        path = self.root / "ssh-arguments"
        return path.read_text().split("\0")[:-1] if path.exists() else None

    @property
    def line(self) -> list[str]:
        """The words that went to the other side."""
        assert self.sent is not None
        return shlex.split(self.sent[-1])


@pytest.fixture
def home(box: Box) -> Home:
    return Home(box)


@pytest.fixture
def developer(home: Home) -> Home:
    home.box.use("developer")
    return home


TICKET: dict[str, Any] = {
    "id": "T-0001", "title": "Fix", "status": "closed", "priority": "normal", "assigned_to": "developer", "labels": [],
    "created_at": "2026-11-22T10:00:00.000000Z", "updated_at": "2026-11-22T10:00:00.000000Z", "created_by": "manager",
    "github_issue_number": None, "description": "", "comments": [],
}  # fmt: skip


def test_at_home_nothing_is_connected_or_audited(home: Home) -> None:
    done = home.run("ticket-list")
    assert done.returncode == 0
    assert b"T-0001" in done.stdout
    assert home.sent is None
    assert home.box.entries("manager") == []


def test_elsewhere_the_words_arrive_as_they_are(developer: Home) -> None:
    developer.answers(0, json.dumps(TICKET).encode())
    comment = '\'; rm -rf / $(id) `id` "*" \\ \n --json'
    done = developer.run("ticket-done", "T-0001", "--comment", comment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == "Closed T-0001: Fix\n"
    assert developer.sent is not None
    assert developer.sent[:-1] == ["-T", "-o", "BatchMode=yes", "--", "ssh-manager"]
    assert developer.line == ["ticket-done", "--json", "T-0001", "--comment", comment]


@pytest.mark.parametrize(
    ("status", "said", "shown"),
    [
        (77, "denied: The developer may not finish T-0002.", "denied: The developer may not finish T-0002."),
        (2, "ticket-done: wrong; try help", "ticket-done: wrong; try help"),
        (1, "ticket-done: There is no ticket T-0002.", "ticket-done: There is no ticket T-0002."),
        (1, "", "ticket-done: failed without a reason"),
        (1, "a\nb\nticket-done: \x1b]0;title\x07 last", "ticket-done: \\x1b]0;title\\x07 last"),
    ],
)
def test_an_error_there_is_the_same_error_here(developer: Home, status: int, said: str, shown: str) -> None:
    developer.answers(status, error=f"{said}\n".encode())
    done = developer.run("ticket-done", "T-0002")
    assert (done.returncode, done.stdout) == (status, b"")
    assert message(done) == shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("ssh: connect to host 10.0.0.1 port 2222: Connection refused", "connect to host 10.0.0.1 port 2222: Connection refused"),
        ("@@@@@\nWARNING: changed!\nHost key verification failed.", "Host key verification failed"),
        ("", "the connection was closed"),
    ],
)  # fmt: skip
def test_a_place_that_cannot_be_reached(developer: Home, said: str, shown: str) -> None:
    developer.answers(255, error=said.encode())
    done = developer.run("ticket-work", "T-0001")
    assert done.returncode == 1
    assert message(done) == f"ticket-work: ssh-manager cannot be reached: {shown}; see 'status'"


def test_what_comes_from_elsewhere_reaches_no_terminal_as_a_command(developer: Home) -> None:
    developer.answers(0, json.dumps({**TICKET, "title": "\x1b]0;x\x07\x9b2J"}).encode())
    done = developer.run("ticket-work", "T-0001")
    assert done.returncode == 0
    assert not {0x1B, 0x07}.intersection(done.stdout)
    assert "\x9b" not in done.stdout.decode()


@pytest.mark.parametrize("answer", [b"<html>", b"[1", b"5", b'{"id": 1}', b"\xff"])
def test_an_answer_that_is_none(developer: Home, answer: bytes) -> None:
    developer.answers(0, answer)
    done = developer.run("ticket-work", "T-0001")
    assert (done.returncode, done.stdout) == (1, b"")
    message(done)


def test_a_slip_costs_no_connection(developer: Home) -> None:
    assert developer.run("ticket-work", "T-x").returncode == 2
    assert developer.run("ticket-create", "x").returncode == 77
    assert developer.run("ticket-done", "--help").returncode == 0
    assert developer.run("ticket-done", "T-0001", "--comment", "x" * 131_040).returncode == 2
    assert developer.sent is None


def test_without_ssh(developer: Home) -> None:
    done = developer.run("ticket-work", "T-0001", path="/nonexistent")
    assert done.returncode == 1
    assert message(done).startswith("ticket-work: ssh cannot be started: No such file")


# -- ssh-to --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["developer", "id"], ["id"]),
        (["ssh-developer", "id", "--json"], ["id", "--json"]),
        (["developer", "--", "id"], ["id"]),
        (["developer", "config-get", "a b; $(id)", "-oProxyCommand=x"], ["config-get", "a b; $(id)", "-oProxyCommand=x"]),
        (["developer", "-oProxyCommand=x"], ["-oProxyCommand=x"]),
    ],
)  # fmt: skip
def test_ssh_to_hands_over_one_line(home: Home, words: Sequence[str], line: Sequence[str]) -> None:
    home.answers(0, b"answer\n")
    done = home.run("ssh-to", *words, stdin=b"input")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"answer\n", b"")
    assert home.sent is not None
    assert home.sent[:-1] == ["-T", "-o", "BatchMode=yes", "--", "ssh-developer"]
    assert home.line == line
    assert (home.root / "ssh-input").read_bytes() == b"input"


def test_ssh_to_without_a_command_and_without_a_terminal(home: Home) -> None:
    home.answers(2, error=b"gate: there is no command; try help\n")
    done = home.run("ssh-to", "monitor")
    assert home.sent == ["-T", "-o", "BatchMode=yes", "--", "ssh-monitor"]
    assert (done.returncode, message(done)) == (2, "gate: there is no command; try help")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["-oProxyCommand=x"], 2),
        (["-oProxyCommand=x", "developer"], 2),
        ([], 2),
        (["--", "-oProxyCommand=x"], 77),
        (["--", "-F/dev/null", "developer"], 77),
        (["manager"], 77),
        (["git"], 77),
        (["example.org"], 77),
        (["developer@example.org"], 77),
        (["../developer"], 77),
        (["developer\n"], 77),
        (["ssh-ssh-developer"], 77),
        (["\x1b[2J"], 77),
        ([""], 77),
    ],
)
def test_ssh_to_connects_to_no_other_name(home: Home, words: Sequence[str], status: int) -> None:
    done = home.run("ssh-to", *words)
    assert (done.returncode, done.stdout) == (status, b"")
    said = message(done)
    assert said.startswith("denied: " if status == 77 else "ssh-to: ")
    assert home.sent is None


@pytest.mark.parametrize("status", [1, 2, 77])
def test_ssh_to_ends_as_the_command_there(home: Home, status: int) -> None:
    home.answers(status, error=b"denied: \x1b[2J no\n")
    done = home.run("ssh-to", "developer", "id")
    assert (done.returncode, message(done)) == (status, "denied: \\u001b[2J no")


def test_ssh_to_a_place_that_cannot_be_reached(home: Home) -> None:
    home.answers(255, error=b"ssh: connect to host ssh-developer port 2222: Connection timed out\n")
    done = home.run("ssh-to", "developer", "id")
    assert done.returncode == 1
    assert message(done) == (
        "ssh-to: ssh-developer cannot be reached: connect to host ssh-developer port 2222: Connection timed out; see 'status'"
    )


# -- the PATH ------------------------------------------------------------------------------------------------------------


def test_what_runs_elsewhere_goes_there_by_itself_finding_u2(developer: Home) -> None:
    developer.answers(0, json.dumps(TICKET).encode())
    done = developer.run("ticket-show", "t-1")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().startswith("T-0001  Fix\n")
    assert developer.line == ["ticket-show", "--json", "t-1"]
    home = developer
    home.box.use("autopilot")
    home.answers(0, json.dumps(TICKET).encode())
    assert home.run("ticket-create", "Fix").returncode == 0
    assert home.sent is not None
    assert (home.sent[-2], home.line) == ("ssh-manager", ["ticket-create", "--json", "Fix"])
    home.answers(0, b'{"services": [], "limits": []}')
    assert home.run("status").returncode == 0
    assert home.sent[-2] == "ssh-monitor"


@pytest.mark.parametrize("role", ROLES)
def test_the_directory_on_the_path_follows_the_policy_finding_u2(
    platform: Platform, tmp_path: Path, role: str
) -> None:
    place = platform.place(role)
    directory = tmp_path / "run" / "commands"
    for _start in range(2):  # the second one finds the first one's
        command.link(place, directory)
        assert sorted(os.listdir(directory)) == sorted(grammar.own(place.policy, role))
        assert {os.readlink(directory / name) for name in os.listdir(directory)} == {command.PROGRAM}
        (directory / "ticket-frobnicate").symlink_to(command.PROGRAM)


# -- about commands ------------------------------------------------------------------------------------------------------


def test_the_list_completion_and_refusal(home: Home) -> None:
    listed = home.run("dockfra-commands").stdout.decode()
    assert "ticket-create" in listed
    assert "my-tickets" not in listed
    assert "--priority" in home.run("dockfra-complete", "ticket-create", "").stdout.decode().split()
    assert home.run("dockfra-complete", "my-tickets").returncode == 77
    refused = home.run("dockfra-refuse", "my-tickets")
    assert (refused.returncode, message(refused)[:8]) == (77, "denied: ")
    assert home.run("dockfra-refuse", "vi\x1bm").returncode == 127
    refused = home.run("dockfra-refuse", "config-set")
    assert (refused.returncode, "help" in message(refused)) == (1, True)


def test_a_command_the_policy_lacks_does_not_hide_the_others(home: Home) -> None:
    path = home.root / "policy.json"
    policy = json.loads(path.read_text())
    del policy["commands"]["ticket-create"]
    path.write_text(json.dumps(policy))
    done = home.run("dockfra-commands")
    assert done.returncode == 0
    assert "ticket-list" in done.stdout.decode()
    assert "ticket-create" not in done.stdout.decode()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["ticket-create", "--priority", ""], {"low", "normal", "high", "critical"}),
        (["ticket-create", "--priority", "=", "hi"], {"high"}),
        (["ticket-create", "--priority", "="], {"low", "normal", "high", "critical"}),
        (["config-monitor", "MONITOR_POLL_INTERVAL", "=", "5", "MONITOR_A"], {"MONITOR_AUTO_DEPLOY="}),
        (["ssh-to", "d"], {"developer"}),
    ],
)
def test_bash_gets_what_it_may_put_there_finding_u6(
    home: Home, words: Sequence[str], offered: set[str]
) -> None:
    """bash takes = for a word of its own."""
    assert set(home.run("dockfra-complete", *words).stdout.decode().split()) == offered


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_list_of_commands_breaks_no_word_finding_u7(home: Home, columns: int) -> None:
    environment = home.box.environment(COLUMNS=str(columns))
    wide = home.run("dockfra-commands").stdout.decode()
    command = ["script", "-qec", shlex.join(home.box.command("dockfra-commands")), "/dev/null"]
    shown = home.box.run(command, environment).stdout.decode()
    shown = re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\r", "")
    assert shown.split() == wide.split()
    assert max(map(len, shown.splitlines())) <= columns
    assert "help" in shown.split()


def test_the_autopilot_has_commands_too_finding_u7(home: Home) -> None:
    home.box.use("autopilot")
    listed = home.run("dockfra-commands").stdout.decode()
    assert {"ticket-create", "ticket-list", "status", "help"} <= set(listed.split())


def test_the_words_of_an_ssh_line_finding_u8(home: Home) -> None:
    """At home sshd's shell has taken the quotes; a person at a terminal of the container lost none."""
    for variables, said in (
        ({"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, "ssh ssh-manager \"ticket-create 'two words'\""),
        (
            {"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22", "SSH_TTY": "/dev/pts/0"},
            "is quoted: ticket-create 'two",
        ),
    ):
        environment = home.box.environment(PATH=home.path, **variables)
        done = home.box.run(home.box.command("ticket-create", "two", "words"), environment)
        assert done.returncode == 2
        assert said in message(done)
        assert ("ssh" in message(done)) == ("SSH_TTY" not in variables)


@pytest.mark.parametrize("words", [["dockfra-refuse"], ["dockfra-refuse", "a", "b"], ["dockfra-complete"]])
def test_wrong_use_is_one_line(home: Home, words: Sequence[str]) -> None:
    done = home.run(*words)
    assert done.returncode == 2
    one_line(message(done))


def test_id_tells_numbers_where_there_are_no_names(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_001)
    monkeypatch.setattr(os, "getgid", lambda: 4_000_000_002)
    outcome = platform.ask("manager", "developer", "id")
    assert outcome.text == (
        "uid=4000000001(4000000001) gid=4000000002(4000000002) service=ssh-developer caller=manager"
    )
