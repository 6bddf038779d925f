# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The gate in one process: whatever is sent, only what the policy's file allows is done, and every call leaves one line."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import termios
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.module_utils.audit import log as audit
from ansible_collections.dockfra.core.plugins.module_utils.audit.lines import MAX_LINE
from ansible_collections.dockfra.core.plugins.module_utils.errors import AuditError, CommandError
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import call as calls
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import gate as gates
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import grammar, runner, signals
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import MAX_INPUT, Call
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.journal import record
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.outcome import Outcome
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style
from ansible_collections.dockfra.core.tests.unit.plugins.plugin_utils.cli.gate_lines import (
    DENIED,
    FAILED,
    LATE,
    OK,
    REQUESTS,
    USAGE,
    VERBS,
    expected,
    words_of,
)
from ansible_collections.dockfra.core.tests.unit.plugins.plugin_utils.cli.support import (
    AT,
    CALLERS,
    PLACES,
    SERVICES,
    Box,
    Platform,
    Tripwire,
    one_line,
)

# The commands that really run here. What the others do is theirs to test; that they run for nobody else is tested here.
REAL = {
    "ticket-create",
    "ticket-list",
    "ticket-show",
    "my-tickets",
    "ticket-work",
    "ticket-done",
    "id",
    "git-upload-pack",
    "git-receive-pack",
}
WRITES = {"ticket-create", "ticket-work", "ticket-done"}


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that ran. Those that are not REAL only say so."""
    done: list[str] = []
    find = grammar.find

    def noted(command: str, place: str, caller: str) -> grammar.Command:
        found = find(command, place, caller)

        def note(work: Callable[[Call], Any], call: Call) -> Any:
            done.append(command)
            return work(call) if command in REAL else {}

        if found.stream is not None:
            stream = found.stream
            return found._replace(stream=lambda call: note(stream, call) or 0)
        if command in REAL:
            return found._replace(run=lambda call: note(found.run, call))
        return found._replace(
            run=lambda call: note(found.run, call),
            render=lambda _data, _style: command,
            exit_status=lambda _data: 0,
        )

    monkeypatch.setattr(grammar, "find", noted)
    return done


@pytest.fixture
def loaded(platform: Platform) -> None:
    """Every command and what it imports is in memory, so that a file opened later is opened by a request."""
    for place in PLACES:
        for caller in CALLERS:
            runner.available(platform.place(place), caller)
            for line in ("help", "ticket-list", "ticket-create x", "id", "ticket-list --status 'x y'", "'"):
                platform.ask(caller, place, line)
    for log in platform.audit.iterdir():
        log.unlink()


def state(directory: Path) -> dict[str, tuple[int, int]]:
    return {
        entry.name: (entry.stat(follow_symlinks=False).st_mtime_ns, entry.inode())
        for entry in os.scandir(directory)
        if entry.name != ".lock"
    }


@pytest.mark.usefixtures("loaded")
def test_nothing_outside_the_policy_is_done_whatever_is_sent(
    platform: Platform, ran: list[str], tripwire: Tripwire, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the tests' own process has started is nothing of a command's.
    monkeypatch.setattr(runner.tree, "end", lambda: None)
    # Waiting for the disk shows nothing here.
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    monkeypatch.setattr(os, "fdatasync", lambda _descriptor: None)
    keepers = {(caller, place): platform.gate(caller, place) for caller in CALLERS for place in PLACES}
    logged: Counter[str] = Counter()
    outcomes: Counter[int] = Counter()

    @settings(max_examples=250, phases=[Phase.generate])
    @given(st.lists(REQUESTS, min_size=10, max_size=10))
    def check(requests: list[tuple[tuple[str, str], str, bytes]]) -> None:
        for (caller, place), line, stdin in requests:
            verb, statuses = expected(caller, place, line)
            before, size = state(platform.tickets), _size(platform.log(place))
            ran.clear()
            tripwire.arm(platform.tickets, platform.audit)
            try:
                outcome = keepers[caller, place].answer(line, io.BytesIO(stdin), Style())
            finally:
                tripped = tripwire.disarm()

            said = f"{caller} at {place}: {line[:200]!r}: {outcome}"[:2000]
            assert not tripped, said
            assert outcome.status in statuses, said
            assert set(ran) <= {verb}, said
            if outcome.status == OK:
                assert outcome.message == "", said
                assert ran == ([verb] if ran else []), said
                assert verb in ("", *ran) or "usage: " in outcome.text, said
            else:
                assert outcome.text == "", said
                one_line(outcome.message)
                assert outcome.message.startswith("denied: ") == (outcome.status == DENIED), said
                assert "unexpected" not in outcome.message.partition(": ")[2][:11], said
            if not (outcome.status == OK and ran and verb in WRITES):
                assert state(platform.tickets) == before, said

            with platform.log(place).open("rb") as log:
                log.seek(size)
                added = log.read()
            assert added.count(b"\n") == 1, said
            assert added.endswith(b"\n"), said
            assert len(added) < MAX_LINE // 2, said
            entry = json.loads(added)
            assert entry["caller"] == caller, said
            assert entry["role"] == place, said
            assert entry["result"] == outcome.status, said
            assert entry["verdict"] == {DENIED: "denied", USAGE: "invalid"}.get(outcome.status, "allowed"), (
                said
            )
            words = words_of(line)
            if words and len(words[0]) <= 40 and "=" not in words[0]:
                assert entry["verb"] == words[0], said
            logged[place] += 1
            outcomes[outcome.status] += 1

    check()

    assert outcomes.total() >= 2000
    # The lines are such that all of it happens.
    assert all(outcomes[status] >= 5 for status in (OK, FAILED, USAGE, DENIED)), outcomes
    for place in PLACES:
        assert len(platform.entries(place)) == logged[place]
    assert not platform.store.select().damaged


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.mark.usefixtures("loaded")
def test_each_verb_runs_for_each_caller_exactly_where_the_policy_says(
    platform: Platform, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Arguments stand in nobody's way here.
    monkeypatch.setattr(grammar.Command, "parse", lambda _self, _words, _host: _anything())
    monkeypatch.setattr(runner, "_finished", lambda found, data, _json, _style: Outcome(OK, found.name))
    monkeypatch.setitem(globals(), "REAL", set())
    missing = set()
    for place in PLACES:
        for caller in CALLERS:
            for verb in VERBS:
                ran.clear()
                outcome = platform.ask(caller, place, verb)
                if caller == place and caller not in AT[verb].get(place, []):
                    continue  # nobody has a key on the own container; what runs elsewhere is asked there
                if caller not in AT[verb].get(place, []):
                    assert (outcome.status, ran) == (DENIED, []), (caller, place, verb, outcome)
                elif "has not come to this platform yet" in outcome.message:
                    missing.add(verb)
                    assert (outcome.status, ran) == (DENIED, [])
                else:
                    assert (outcome.status, ran) == (OK, [verb]), (caller, place, verb, outcome)
    assert not missing & REAL


def _anything() -> Any:
    return type("Options", (), {"json": False, "__getattr__": lambda _self, _name: None})()


# -- single lines --------------------------------------------------------------------------------------------------------


def test_a_title_of_shell_code_arrives_as_it_is(platform: Platform) -> None:
    title = '\'; touch /tmp/x; $(touch /tmp/y) `id` "${HOME}" * ~ \\ && || | > #'
    outcome = platform.ask("autopilot", "manager", shlex.join(["ticket-create", title, "--json"]))
    assert outcome.status == OK
    assert platform.store.get(json.loads(outcome.text)["id"]).title == title


def test_the_author_is_the_owner_of_the_key(platform: Platform) -> None:
    outcome = platform.ask("autopilot", "manager", "ticket-create Mine --json")
    assert json.loads(outcome.text)["created_by"] == "autopilot"


@pytest.mark.parametrize(
    "line", ["ticket-list\nticket-create x", "ticket-list;ticket-create x", "ticket-list $(id)"]
)
def test_a_second_command_in_the_line_is_arguments_of_the_first(platform: Platform, line: str) -> None:
    outcome = platform.ask("autopilot", "manager", line)
    assert outcome.status in (USAGE, DENIED)
    assert len(platform.store.select().tickets) == 3


@pytest.mark.parametrize("line", ["", "   ", "\n", "\t\r\n"])
def test_a_connection_without_a_command_is_told_about_help(platform: Platform, line: str) -> None:
    outcome = platform.ask("autopilot", "manager", line)
    assert (outcome.status, outcome.message) == (USAGE, "gate: there is no command; try help")
    assert platform.entries("manager")[-1]["verb"] == ""


def test_help_names_the_commands_of_the_caller_and_no_other(platform: Platform) -> None:
    for line in ("help", "--help", "-h", "?", "help help"):
        outcome = platform.ask("developer", "manager", line)
        assert outcome.status == OK
        named = {text.split()[0] for text in outcome.text.splitlines() if re.match("  [a-z]", text)}
        allowed = {verb for verb in VERBS if "developer" in AT[verb].get("manager", [])}
        assert "ticket-work" in named
        assert named <= {*allowed, "help"}


def test_help_for_a_command_is_its_own(platform: Platform) -> None:
    outcome = platform.ask("developer", "manager", "help ticket-done")
    assert (outcome.status, outcome.text) == (
        OK,
        platform.ask("developer", "manager", "ticket-done -h").text,
    )
    assert "--comment" in outcome.text
    assert platform.ask("developer", "manager", "help ticket-create").status == DENIED
    assert platform.ask("developer", "manager", "help ticket-done ticket-work").status == USAGE


def test_a_denial_says_who_may(platform: Platform) -> None:
    assert platform.ask("developer", "manager", "ticket-create x").message == (
        "denied: the developer may not use ticket-create at the manager; it is for the autopilot and the manager"
    )
    assert platform.ask("monitor", "manager", "'\x1b[31mrm'").message == (
        "denied: there is no command '\\x1b[31mrm'; help lists those of the monitor"
    )


def test_a_ticket_of_somebody_else_is_denied_after_the_policy_allowed(platform: Platform) -> None:
    outcome = platform.ask("developer", "manager", "ticket-work T-0002")
    assert outcome.status == DENIED
    assert outcome.message.startswith("denied: The developer may not start T-0002")
    assert platform.store.get("T-0002").status == "open"
    assert platform.entries("manager")[-1]["verdict"] == "denied"


@pytest.mark.parametrize("size", [MAX_INPUT, MAX_INPUT + 1, 4 * MAX_INPUT])
def test_the_input_has_a_limit(platform: Platform, size: int) -> None:
    outcome = platform.ask("autopilot", "manager", "ticket-create Big --desc -", b"x" * size)
    assert outcome.status == USAGE  # of the ticket's own limit, or of the input's
    assert ("the input has more than" in outcome.message) == (size > MAX_INPUT)
    assert len(platform.store.select().tickets) == 3


def test_an_input_that_does_not_end_is_waited_for_no_longer_than_a_while(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "INPUT_TIMEOUT", 0.2)
    reader, writer = os.pipe()
    os.write(writer, b"A beginning")
    with open(reader, "rb") as stdin, open(writer, "wb"):
        outcome = platform.gate("autopilot", "manager").answer("ticket-create Held --desc -", stdin, Style())
    assert (outcome.status, outcome.text) == (LATE, "")
    assert outcome.message == "ticket-create: the input did not end within 0.2 s; send it again, all at once"
    assert len(platform.store.select().tickets) == 3
    [entry] = platform.entries("manager")
    assert (entry["verdict"], entry["result"]) == ("allowed", LATE)


def test_an_input_that_comes_in_parts_arrives_whole(platform: Platform) -> None:
    text = "".join(f"line {number}\n" for number in range(6000))
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        for start in range(0, len(text), 10_000):
            os.write(writer, text[start : start + 10_000].encode())
            time.sleep(0.005)
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as stdin:
        outcome = platform.gate("autopilot", "manager").answer(
            "ticket-create Parts --desc - --json", stdin, Style()
        )
    os.waitpid(process, 0)
    assert json.loads(outcome.text)["description"] == text.rstrip("\n")


def test_an_input_that_is_no_text_is_refused(platform: Platform) -> None:
    outcome = platform.ask("autopilot", "manager", "ticket-create Odd --desc -", b"abc\xff")
    assert outcome.status == USAGE
    assert "at byte 3" in outcome.message


def test_an_input_that_cannot_be_read_is_a_failure_of_one_line(platform: Platform) -> None:
    class Broken(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    outcome = platform.gate("autopilot", "manager").answer("ticket-create x --desc -", Broken(), Style())
    assert (outcome.status, outcome.message) == (
        FAILED,
        "ticket-create: the input cannot be read: Input/output error",
    )


# -- audit ---------------------------------------------------------------------------------------------------------------


def test_the_longest_line_of_the_widest_characters_is_still_audited(platform: Platform) -> None:
    words = ["ticket-create", *["🦊" * 200] * 60]
    outcome = platform.ask("autopilot", "manager", shlex.join(words))
    assert outcome.status == USAGE
    [entry] = platform.entries("manager")
    # Of a call that was refused little is kept.
    assert (entry["verb"], entry["arguments"]) == ("ticket-create", ["… 60 words more"])
    assert record(words)["arguments"][-1] == "… 54 words more"

    # A ticket that was made is in the log, however its labels look.
    labels = [word for number in range(20) for word in ("--label", f"{number}{'🦊' * 40}")]
    assert platform.ask("autopilot", "manager", shlex.join(["ticket-create", "x", *labels])).status == OK
    assert len(platform.entries("manager")) == 2


def test_long_words_are_cut_and_say_so() -> None:
    assert record(["a", "x" * 201]) == {"verb": "a", "arguments": ["x" * 200 + "…"]}
    assert record([]) == {"verb": "", "arguments": []}
    assert len(record(["a"] * 1000)["arguments"]) == 40


@pytest.mark.parametrize(
    "line",
    [
        "config-set OPENROUTER_API_KEY=hunter2hunter2",
        "config-set OPENROUTER_API_KEY hunter2hunter2",
        "config-set --api-key hunter2hunter2",
        "config-set --token=hunter2hunter2",
        "config-set 'GITHUB_TOKEN = hunter2hunter2'",
        """config-set '{"OPENROUTER_API_KEY": "hunter2hunter2"}'""",
        "ticket-create 'The password: hunter2hunter2'",
        "ticket-create sk-or-v1-hunter2hunter2",
        "ticket-create 'a key sk-or-v1-hunter2hunter2 and x=y'",
        "ticket-create 'ghp_hunter2hunter2hunter2'",
        "ticket-create --desc='github_pat_11hunter2hunter2hunter2'",
        "config-set OPENROUTER_API_KEY = hunter2hunter2",
        "config-set password : hunter2hunter2",
        "ticket-create The password: hunter2",
        "ticket-create 'Authorization: Bearer hunter2hunter2'",
        "ticket-create Authorization: Bearer hunter2hunter2",
        "ticket-create Authorization: Basic hunter2hunter2",
        "ticket-create 'with bearer hunter2hunter2'",
        "ticket-create with Bearer hunter2hunter2",
        "config-set GITHUB_TOKEN='hunter2hunter2",  # cannot be split
        "config-set --token 'hunter2hunter2",
        "GITHUB_TOKEN=hunter2hunter2",
    ],
)
def test_a_secret_in_the_line_does_not_stay_in_the_log(platform: Platform, line: str) -> None:
    platform.ask("manager", "developer", line)
    assert len(platform.entries("developer")) == 1
    assert "hunter2" not in platform.log("developer").read_text()
    assert "***" in platform.log("developer").read_text()


@pytest.mark.parametrize(
    "line",
    ["ticket-create 'Keyboard: broken'", "ticket-create token --priority high", "config-set LLM_MAX_TOKENS=4096",
     "ticket-list --status open", "ticket-show T-0001", "ticket-create 'monkey = patch'",
     "ticket-create Keyboard: broken", "ticket-create monkey = patch", "ticket-create the bearer of news", "ticket-create Basic page"],
)  # fmt: skip
def test_what_is_no_secret_stays(platform: Platform, line: str) -> None:
    platform.ask("manager", "developer", line)
    [entry] = platform.entries("developer")
    assert [entry["verb"], *entry["arguments"]] == shlex.split(line)


def test_without_a_log_nothing_is_done(platform: Platform) -> None:
    platform.log("manager").mkdir()
    outcome = platform.ask("autopilot", "manager", "ticket-create x")
    assert outcome.status == FAILED
    assert one_line(outcome.message).startswith("gate: The audit log")
    assert outcome.text == ""
    assert len(platform.store.select().tickets) == 3


def test_what_cannot_be_logged_afterwards_is_a_failure(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: audit.AuditLog, _entry: object) -> None:
        raise AuditError("The disk is full.")

    monkeypatch.setattr(audit.AuditLog, "append", full)
    outcome = platform.ask("autopilot", "manager", "ticket-list")
    assert (outcome.status, outcome.text, outcome.message) == (FAILED, "", "gate: The disk is full.")


def test_an_unforeseen_error_tells_its_kind_and_nothing_else(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_self: object, *_rest: object, **_options: object) -> None:
        raise RuntimeError("sk-or-v1-hunter2hunter2")

    monkeypatch.setattr(type(platform.store), "select", broken)
    outcome = platform.ask("autopilot", "manager", "ticket-list")
    assert (outcome.status, outcome.text) == (FAILED, "")
    assert outcome.message.startswith("ticket-list: unexpected RuntimeError in test_gate.py, line ")
    assert outcome.message.endswith("; please report it with what you did")
    assert "hunter2" not in outcome.message
    assert platform.entries("manager")[-1]["result"] == FAILED


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)]
)
def test_a_signal_that_comes_before_the_audit_line_waits_for_it(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, status: int
) -> None:
    append = audit.AuditLog.append

    def interrupted(self: audit.AuditLog, entry: dict[str, Any]) -> None:
        signal.raise_signal(number)
        append(self, entry)

    before = signal.signal(number, signals.ended)
    monkeypatch.setattr(audit.AuditLog, "append", interrupted)
    try:
        with pytest.raises(SystemExit) as ended:
            platform.ask("autopilot", "manager", "ticket-create x")
    finally:
        signal.signal(number, before)
    assert ended.value.code == status
    assert len(platform.store.select().tickets) == 4
    assert [entry["result"] for entry in platform.entries("manager")] == [OK]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT])
def test_a_signal_while_a_command_works_ends_it_and_is_logged(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def interrupted(_self: object, *_rest: object, **_options: object) -> None:
        signal.raise_signal(number)
        raise CommandError("nobody was interrupted")

    handler = signal.default_int_handler if number == signal.SIGINT else signals.ended
    before = signal.signal(number, handler)
    monkeypatch.setattr(type(platform.store), "select", interrupted)
    try:
        if number == signal.SIGINT:
            outcome = platform.ask("autopilot", "manager", "ticket-list")
            assert (outcome.status, outcome.message) == (130, "ticket-list: interrupted")
        else:
            with pytest.raises(SystemExit):
                platform.ask("autopilot", "manager", "ticket-list")
    finally:
        signal.signal(number, before)
    [entry] = platform.entries("manager")
    assert entry["result"] == 128 + number


@pytest.mark.parametrize("numbers", [[signal.SIGINT, signal.SIGQUIT], [signal.SIGQUIT] * 3])
def test_of_several_signals_only_the_first_ends_the_command(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, numbers: list[signal.Signals]
) -> None:
    """Those that come while the first is dealt with cannot end what follows it."""

    def interrupted(_self: object, *_rest: object, **_options: object) -> None:
        try:
            signal.raise_signal(numbers[0])
        finally:
            for number in numbers[1:]:
                signal.raise_signal(number)

    handlers = {number: signal.signal(number, signals.ended) for number in (signal.SIGINT, signal.SIGQUIT)}
    monkeypatch.setattr(type(platform.store), "select", interrupted)
    try:
        with pytest.raises(SystemExit):
            platform.ask("autopilot", "manager", "ticket-list")
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    [entry] = platform.entries("manager")
    assert entry["result"] == 128 + numbers[0]


@pytest.mark.parametrize("key", [b"\x03", b"\x1a", b"\x1c"])
def test_a_key_at_the_callers_terminal_cannot_hide_what_was_done(box: Box, key: bytes) -> None:
    """Ctrl-C, Ctrl-Z, Ctrl-\\ between a change and its line, held down."""
    box.audit.mkdir(exist_ok=True)
    log = audit.AuditLog(box.log("manager"))
    terminal, slave = pty.openpty()
    try:
        with log._locked():
            process = subprocess.Popen(
                box.gate_command("autopilot"),
                env=box.environment("ticket-create Hidden"),
                stdin=slave,
                stdout=slave,
                stderr=slave,
                start_new_session=True,
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
            )
            deadline = time.monotonic() + 30
            while len(box.store.select().tickets) == 3:
                assert time.monotonic() < deadline, "no ticket is made"
                time.sleep(0.01)
            for _again in range(3):
                os.write(terminal, key)
                time.sleep(0.05)
        process.wait(30)
    finally:
        os.close(slave)
        os.close(terminal)
    assert process.returncode >= 0
    # The key may come before the command has said that it is done.
    [entry] = box.entries("manager")
    assert (entry["verb"], entry["result"] in (OK, 130, 131)) == ("ticket-create", True)


# -- what a role types at home -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("ticket-create", DENIED, "denied: the developer may not use ticket-create; it is for the autopilot and the manager"),
        ("deploy-all", DENIED, "denied: the developer may not use deploy-all; it is for the monitor"),
        ("no-such", 127, "no-such: command not found"),
        ("\x1b[31m", 127, "\\x1b[31m: command not found"),
        ("x" * 1000, 127, "x" * 56 + "..: command not found"),
    ],
)  # fmt: skip
def test_refuse(platform: Platform, command: str, status: int, said: str) -> None:
    outcome = gates.refuse(command, "developer", platform.place("developer"))
    assert (outcome.status, outcome.text) == (status, "")
    assert one_line(outcome.message) == said


def test_services_of_the_places_are_known() -> None:
    assert set(SERVICES) == set(PLACES)


def test_a_refused_call_leaves_a_short_line_finding_s8(platform: Platform) -> None:
    long = " ".join(["\N{PILE OF POO}" * 200] * 39)
    outcome = platform.gate("developer", "autopilot").answer(f"config-set {long}", io.BytesIO(), Style())
    assert outcome.status in (DENIED, USAGE)
    [entry] = platform.entries("autopilot")
    [kept] = entry["arguments"]
    assert kept.endswith(" words more")
    assert platform.log("autopilot").stat().st_size < 1000


def test_a_gate_that_is_killed_within_a_call_leaves_its_line_to_the_next(box: Box) -> None:
    reading = subprocess.Popen(
        box.gate_command("developer"),
        env=box.environment("ticket-done T-0001 --comment=-"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
    )
    with reading:
        deadline = time.monotonic() + 20
        while not [note for note in box.audit.glob(".*.call.*") if note.stat().st_size]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        reading.kill()
    assert box.connect("autopilot", "ticket-list").returncode == OK
    lost, following = box.entries("manager")
    assert (lost["caller"], lost["verb"], lost["result"]) == ("developer", "ticket-done", "lost")
    assert (following["caller"], following["verb"], following["result"]) == ("autopilot", "ticket-list", OK)
