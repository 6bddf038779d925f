# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The gate: the forced command behind a role's key on another role's container.

sshd starts it with the caller's name, which stands in authorized_keys, and what the caller sent in
SSH_ORIGINAL_COMMAND. The words of that line are looked up in the policy and parsed by the command's own grammar; nothing
is ever handed to a shell. Every call leaves a line in the audit log, and where that cannot be written nothing is done.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Any

from ...module_utils import audit
from ...module_utils.errors import DeniedError, DockfraError
from . import codes, grammar, runner
from .call import CONFIGURATION, Place
from .output import Style

# What an audit line keeps of a call, in words and in characters of each.
MAX_WORDS = 40
MAX_WORD = 200

# Values that are secrets come on the input. One that was typed into the line by mistake must not stay in the log.
_SECRET_NAME = re.compile(r"(?i)(key|token|secret|password|passwd|credential)")
_SECRET_VALUE = re.compile(r"\b(sk-[A-Za-z0-9_-]{8,}|gh[a-z]_[A-Za-z0-9]{16,}|github_pat_\w{16,})")

HELP = ("help", "--help", "-h", "?")


def main(
    arguments: Sequence[str],
    environment: Mapping[str, str] | None = None,
    configuration: Path = CONFIGURATION,
    audit_directory: str = audit.DIRECTORY,
) -> int:
    """Answer one connection and return the exit status.

    Args:
        arguments: of the process: its name, and the caller's.
        environment: with SSH_ORIGINAL_COMMAND, unless the caller wants to be prompted.
        configuration: what the role ``dockfra.core.gate`` has written.
        audit_directory: where the audit logs are.
    """
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, _ended)
    environment = os.environ if environment is None else environment
    try:
        caller = arguments[1]
        place = Place.load(configuration)
        gate = Gate(place, caller, audit.AuditLog(os.path.join(audit_directory, f"{place.service}.jsonl")))
        line = environment.get("SSH_ORIGINAL_COMMAND")
        if line is None and sys.stdin.isatty():
            from .prompt import Prompt  # only people need it

            return Prompt(gate).loop()
        outcome = gate.answer(line or "", sys.stdin.buffer, Style.of(sys.stdout), sys.stdin.isatty())
    except (DockfraError, IndexError) as error:
        outcome = runner.Outcome(codes.status(error), "", codes.message("gate", error))
    return show(outcome)


def show(outcome: runner.Outcome) -> int:
    """Print how a command ended and return its exit status."""
    try:
        if outcome.text:
            sys.stdout.write(f"{outcome.text}\n")
            sys.stdout.flush()
        if outcome.message:
            sys.stderr.write(f"{outcome.message}\n")
    except BrokenPipeError:
        # The reader has what it wanted (ticket-list | head); Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return outcome.status


class Gate:
    """Answers the lines of one caller.

    Args:
        place: this container.
        caller: whose key opened the connection.
        log: the audit log of this container.
    """

    def __init__(self, place: Place, caller: str, log: audit.AuditLog) -> None:
        self.place = place
        self.caller = caller
        self._log = log

    def answer(self, line: str, stdin: IO[bytes], style: Style, terminal: bool = False) -> runner.Outcome:
        """Run one line and return how it ended; it is in the audit log by then."""
        started = time.monotonic()
        words: list[str] = []
        try:
            self._log.check()
            words = grammar.split(line)
            if words[0] in HELP:
                outcome = self._help(words[1:], stdin, style)
            else:
                outcome = runner.run(self.place, self.caller, words, stdin, style, terminal)
        except DockfraError as error:
            outcome = runner.Outcome(codes.status(error), "", codes.message("gate", error))
        except BaseException as error:
            self._record(words or [line], runner.Outcome(codes.status(error)), started)
            raise
        return self._record(words or [line], outcome, started)

    def _help(self, words: Sequence[str], stdin: IO[bytes], style: Style) -> runner.Outcome:
        if words:
            return runner.run(self.place, self.caller, [words[0], "--help"], stdin, style)
        return runner.Outcome(codes.OK, runner.help_text(self.place, self.caller, style))

    def _record(self, words: Sequence[str], outcome: runner.Outcome, started: float) -> runner.Outcome:
        try:
            self._log.append(
                {
                    "caller": self.caller,
                    "role": self.place.name,
                    **record(words),
                    "verdict": _VERDICTS.get(outcome.status, "allowed"),
                    "result": outcome.status,
                    "duration": round(time.monotonic() - started, 3),
                }
            )
        except DockfraError as error:
            return runner.Outcome(codes.status(error), "", codes.message("gate", error))
        return outcome


_VERDICTS = {codes.DENIED: "denied", codes.USAGE: "invalid"}


def record(words: Sequence[str]) -> dict[str, Any]:
    """Return a call's words as the audit log keeps them: cut, and without what looks like a secret."""
    kept = [_masked(word)[:MAX_WORD] for word in words[:MAX_WORDS]]
    if len(words) > MAX_WORDS:
        kept.append(f"… {len(words) - MAX_WORDS} words more")
    return {"verb": kept[0] if kept else "", "arguments": kept[1:]}


def _masked(word: str) -> str:
    name, sign, _value = word.partition("=")
    if sign and _SECRET_NAME.search(name):
        return f"{name}=***"
    return _SECRET_VALUE.sub("***", word)


def refuse(command: str, caller: str, place: Place) -> runner.Outcome:
    """What somebody gets who runs a command of another role at home."""
    try:
        place.policy.authorize(caller, place.name, command)
    except DeniedError as error:
        return runner.Outcome(codes.DENIED, "", codes.message(command, error))
    return runner.Outcome(codes.FAILED, "", f"{command}: not found on the PATH; log in again")


def _ended(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
