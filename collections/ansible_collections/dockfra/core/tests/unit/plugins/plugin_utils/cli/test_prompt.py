# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The prompt, on a real terminal: help, completion, denial, Ctrl-C, Ctrl-D, odd bytes, and the end of the connection."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator

import pytest

from ansible_collections.dockfra.core.tests.unit.plugins.plugin_utils.cli.support import AT, Box

PROMPT = "developer@ssh-manager> "
# What readline says to a terminal beside the text: cursor movement, bracketed paste, colours.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x07|\x08")


class Session:
    """A person at the gate."""

    def __init__(self, box: Box, *, term: str = "dumb", columns: int = 120) -> None:
        self._terminal, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.process = subprocess.Popen(
            box.gate_command("developer"),
            env=box.environment(TERM=term, INPUTRC="/dev/null"),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            # The controlling terminal, which Ctrl-C needs.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        os.close(slave)
        self._seen = ""

    def send(self, text: str | bytes) -> None:
        os.write(self._terminal, text.encode() if isinstance(text, str) else text)

    def until(self, text: str, again: str = "") -> str:
        """Return what is shown up to a text, which has to come; meanwhile press a key again and again."""
        deadline = time.monotonic() + 30
        while text not in self._seen:
            if not select.select([self._terminal], [], [], 1)[0]:
                if time.monotonic() > deadline:
                    pytest.fail(f"{text!r} did not come: {self._seen!r}")
                self.send(again)
                continue
            try:
                data = os.read(self._terminal, 65536)
            except OSError:  # the other side has ended
                data = b""
            if not data:
                pytest.fail(f"{text!r} did not come before the end: {self._seen!r}")
            self._seen = _CONTROL.sub("", self._seen + data.decode(errors="replace"))
        found, _text, self._seen = self._seen.partition(text)
        return found.replace("\r", "")

    def answer(self, line: str) -> str:
        """Type a line and return what is shown before the next prompt."""
        self.send(f"{line}\n")
        return self.until(PROMPT).partition("\n")[2]

    def end(self) -> tuple[int, str]:
        """Return the exit status and what was still shown."""
        rest = self._seen
        while True:
            if not select.select([self._terminal], [], [], 30)[0]:
                pytest.fail(f"it does not end: {rest!r}")
            try:
                data = os.read(self._terminal, 65536)
            except OSError:
                break
            if not data:
                break
            rest += data.decode(errors="replace")
        return self.process.wait(30), _CONTROL.sub("", rest).replace("\r", "")

    def hang_up(self) -> None:
        os.close(self._terminal)
        self._terminal = -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self._terminal >= 0:
            os.close(self._terminal)


@pytest.fixture
def session(box: Box) -> Iterator[Session]:
    found = Session(box)
    try:
        yield found
    finally:
        found.close()


def test_it_begins_with_the_commands_of_the_caller(session: Session) -> None:
    shown = session.until(PROMPT)
    named = {line.split()[0] for line in shown.splitlines() if re.match("  [a-z]", line)}
    assert "ticket-work" in named
    assert named <= {verb for verb, at in AT.items() if "developer" in at.get("manager", [])} | {"help"}
    assert "exit or Ctrl-D leaves." in shown


def test_a_command_runs_and_is_audited(session: Session, box: Box) -> None:
    session.until(PROMPT)
    assert "Add user auth" in session.answer("ticket-show T-0001")
    assert "in_progress" in session.answer("ticket-work T-0001")
    assert box.store.get("T-0001").status == "in_progress"
    assert [entry["verb"] for entry in box.entries("manager")] == ["ticket-show", "ticket-work"]
    session.send("exit\n")
    assert session.end()[0] == 0


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("ticket-create x", 77, "denied: the developer may not use ticket-create at the manager"),
        ("rm -rf /", 77, "denied: there is no command 'rm'"),
        ("!ls", 77, "denied: there is no command '!ls'"),
        ("ticket-show T-9999", 1, "ticket-show: "),
        ("ticket-show 'x", 2, "gate: the quotation marks"),
        ("ticket-done T-0001 --comment -", 2, "ticket-done: the prompt has no input to read"),
    ],
)
def test_an_error_is_one_line_and_the_status_of_the_last_command_stays(
    session: Session, box: Box, line: str, status: int, said: str
) -> None:
    session.until(PROMPT)
    shown = session.answer(line)
    assert shown.startswith(said)
    assert shown.count("\n") == 1
    assert box.entries("manager")[-1]["result"] == status
    session.send("exit\n")
    assert session.end()[0] == status
    assert box.store.get("T-0001").status == "open"


def test_tab_completes_verbs_and_options(session: Session) -> None:
    session.until(PROMPT)
    session.send("my-t\t")
    session.until("my-tickets ")
    session.send("--sta\t")
    session.until("--status ")
    session.send("closed\n")
    assert "No tickets." in session.until(PROMPT)


def test_tab_completes_values_finding_u6(session: Session) -> None:
    session.until(PROMPT)
    session.send("my-tickets --priority=hi\t")
    session.until("--priority=high ")
    session.send("--status clo\t")
    session.until("--status closed ")
    session.send("\x15ticket-work T-0002\t")
    session.until("T-0002 ")
    session.send("\x15\n")
    session.until(PROMPT)


def test_tab_offers_only_what_the_caller_has(session: Session) -> None:
    session.until(PROMPT)
    session.send("ticket-\t\t")
    shown = session.until(PROMPT)
    assert {"ticket-show", "ticket-work", "ticket-done"} <= set(shown.split())
    assert "ticket-create" not in shown
    # No file name is offered, neither for an argument nor for a command of somebody else.
    session.send("\x15ticket-show /et\t\t\n")
    assert "/etc" not in session.until(PROMPT).replace("/et\n", "")
    session.send("ticket-create --pri\t\n")
    assert "--priority" not in session.until(PROMPT)


def test_help(session: Session) -> None:
    session.until(PROMPT)
    assert "ticket-done" in session.answer("help")
    assert "Examples:" in session.answer("help ticket-done")
    assert session.answer("help ticket-create").startswith("denied: ")


def test_ctrl_c_drops_the_line_and_ctrl_d_leaves(session: Session, box: Box) -> None:
    session.until(PROMPT)
    session.send("ticket-work T-0001")
    session.until("T-0001")
    session.send("\x03")
    # Python notices a signal that came just before it began to wait for a key only after that key.
    session.until(PROMPT, again="\x03")
    session.send("\x04")
    status, rest = session.end()
    assert (status, rest.strip()) == (0, "")
    assert box.entries("manager") == []


def test_an_empty_line_asks_again(session: Session, box: Box) -> None:
    session.until(PROMPT)
    assert session.answer("").strip() == ""
    assert session.answer("   ").strip() == ""
    assert box.entries("manager") == []


def test_bytes_that_are_no_text_do_not_end_the_session(session: Session) -> None:
    session.until(PROMPT)
    session.send(b"ticket-show \xff\xfe\n")
    shown = session.until(PROMPT)
    assert "Traceback" not in shown
    assert "no UTF-8 text" in shown
    assert "Add user auth" in session.answer("ticket-show T-0001")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM])
def test_the_end_of_the_connection_ends_it(session: Session, number: signal.Signals) -> None:
    session.until(PROMPT)
    session.process.send_signal(number)
    ended, rest = session.end()
    assert ended == -number
    assert "Traceback" not in rest


def test_a_terminal_that_is_gone_ends_it(session: Session) -> None:
    session.until(PROMPT)
    session.hang_up()
    assert session.process.wait(30) in (0, 1, -signal.SIGHUP)


@pytest.mark.parametrize("term", ["xterm-256color", "", "../../etc/passwd", "x" * 5000])
def test_any_terminal(box: Box, term: str) -> None:
    session = Session(box, term=term, columns=1)
    try:
        session.until("@ssh-manager>")
        session.send("exit\n")
        assert session.end()[0] == 0
    finally:
        session.close()
