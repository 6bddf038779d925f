# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The gate: the forced command behind a role's key on another role's container.

sshd starts it with the caller's name, which stands in authorized_keys, and what the caller sent in
SSH_ORIGINAL_COMMAND. The words of that line are looked up in the policy and parsed by the command's own grammar; nothing
is ever handed to a shell. Every call leaves a line in the audit log, and where that cannot be written nothing is done.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import IO, Any, NoReturn

from ...module_utils.audit.files import DIRECTORY as AUDIT
from ...module_utils.audit.log import AuditLog
from ...module_utils.errors import DockfraError, UsageError
from ...module_utils.text import shown
from . import codes, grammar, output, runner
from .call import CONFIGURATION, Place, StrPath
from .output import Style
from .slots import DIRECTORY as SLOTS
from .slots import Slots

# What an audit line keeps of a call, in words, in characters of each, and in bytes of all, which leaves room for the rest
# of `lines.MAX_LINE`.
MAX_WORDS = 40
MAX_WORD = 200
MAX_BYTES = 16 * 1024

# Values that are secrets come on the input. One that was typed into the line by mistake must not stay in the log, under
# the name of a setting or any other.
_SECRET_NAME = re.compile(r"(?i)(key|token|secret|password|passwd|credential)")
_SECRET_FOLLOWS = re.compile(r"--?[\w-]+|[A-Z][A-Z0-9_]*")
_NAMED = r"(?:^|[^a-z])(?:api_?)?(?:key|token|secret|password|passwd|credential|authorization)[\"']?\s*[=:]"
_SECRET_WITHIN = re.compile(rf"(?is)({_NAMED}).*")
_SECRET_BEFORE = re.compile(rf"(?is){_NAMED}$")
_SECRET_VALUE = re.compile(
    r"\b(sk-[A-Za-z0-9_-]{8,}|gh[a-z]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|(?i:bearer)\s+[\w.~+/=-]{8,})"
)

HELP = ("help", "--help", "-h", "?")


def main(
    arguments: Sequence[str],
    environment: Mapping[str, str] | None = None,
    configuration: StrPath = CONFIGURATION,
    audit_directory: str = AUDIT,
    slots_directory: str = SLOTS,
) -> int:
    """Answer one connection and return the exit status.

    Args:
        arguments: of the process: its name, and the caller's.
        environment: with SSH_ORIGINAL_COMMAND, unless the caller wants to be prompted.
        configuration: what the role ``dockfra.core.gate`` has written.
        audit_directory: where the audit logs are.
        slots_directory: where the calls under way are counted.
    """
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, _ended)
    for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
        # A caller's terminal could stop the process with locks in its hands.
        signal.signal(number, signal.SIG_IGN)
    environment = os.environ if environment is None else environment
    try:
        output.prepare()
        if len(arguments) != 2:
            raise UsageError("it takes one argument, the caller's name; authorized_keys gives it")
        caller = arguments[1]
        place = Place.load(configuration)
        log = AuditLog(os.path.join(audit_directory, f"{place.service}.jsonl"))
        gate = Gate(place, caller, log, Slots(caller, slots_directory))
        line = environment.get("SSH_ORIGINAL_COMMAND")
        terminal = output.is_terminal(sys.stdin)
        if line is None and terminal:
            from .prompt import Prompt  # only people need it

            gate.enter()
            return Prompt(gate).loop()
        outcome = gate.answer(line or "", output.standard_input(), Style.of(sys.stdout), terminal)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  a traceback is for nobody here
        outcome = runner.Outcome(codes.status(error), "", codes.message("gate", error))
    return runner.show(outcome)


class Gate:
    """Answers the lines of one caller.

    Args:
        place: this container.
        caller: whose key opened the connection.
        log: the audit log of this container.
        slots: the calls that the caller may have under way; without them there is no limit.
    """

    def __init__(self, place: Place, caller: str, log: AuditLog, slots: Slots | None = None) -> None:
        self.place = place
        self.caller = caller
        self._log = log
        self._slots = slots

    def enter(self) -> None:
        """Take one of the caller's places until the process ends; raises BusyError when there is none."""
        if self._slots is not None:
            self._slots.take()

    def answer(self, line: str, stdin: IO[bytes], style: Style, terminal: bool = False) -> runner.Outcome:
        """Run one line and return how it ended; it is in the audit log by then."""
        started = time.monotonic()
        entry: dict[str, Any] = {}
        ended: BaseException | None = None
        # A signal ends what the command does. It cannot come between that and the audit line.
        with _Signals() as signals:
            try:
                with signals.heeded():
                    self._log.check()
                    words = grammar.split(line)
                    entry = record(words)  # before anything is done that has to be in the log
                    self.enter()
                    if words[0] in HELP:
                        outcome = self._help(words[1:], stdin, style)
                    else:
                        outcome = runner.run(self.place, self.caller, words, stdin, style, terminal)
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  a traceback is for nobody here
                outcome = runner.Outcome(codes.status(error), "", codes.message("gate", error))
            except BaseException as error:  # noqa: BLE001  raised again below
                ended = error
                outcome = runner.Outcome(codes.status(error))
            outcome = self._record(entry or record(line.split()), outcome, started)
        if ended is not None:
            raise ended
        return outcome

    def _help(self, words: Sequence[str], stdin: IO[bytes], style: Style) -> runner.Outcome:
        if len(words) > 1:
            raise UsageError("help is for one command; try help COMMAND")
        if words and words[0] not in HELP:
            return runner.run(self.place, self.caller, [words[0], "--help"], stdin, style)
        return runner.Outcome(codes.OK, runner.help_text(self.place, self.caller, style))

    def _record(self, entry: Mapping[str, Any], outcome: runner.Outcome, started: float) -> runner.Outcome:
        try:
            self._log.append(
                {
                    "caller": self.caller,
                    "role": self.place.name,
                    **entry,
                    "verdict": _VERDICTS.get(outcome.status, "allowed"),
                    "result": outcome.status,
                    "duration": round(time.monotonic() - started, 3),
                }
            )
        except DockfraError as error:
            return runner.Outcome(codes.status(error), "", codes.message("gate", error))
        return outcome


_VERDICTS = {codes.DENIED: "denied", codes.USAGE: "invalid", codes.BUSY: "busy"}


def record(words: Sequence[str]) -> dict[str, Any]:
    """Return a call's words as the audit log keeps them: cut, and without what looks like a secret."""
    kept: list[str] = []
    size = 0
    before = ""
    for word in words[:MAX_WORDS]:
        masked = _masked(word, before)
        if word in ("=", ":"):  # on their own they belong to the name before them
            before += word
        elif word.lower() != "basic":  # nor is this a secret that follows "Authorization:"
            before = word
        entry = masked if len(masked) <= MAX_WORD else f"{masked[:MAX_WORD]}…"
        size += len(json.dumps(entry))
        if size > MAX_BYTES:
            break
        kept.append(entry)
    if len(kept) < len(words):
        kept.append(f"… {len(words) - len(kept)} words more")
    return {"verb": kept[0] if kept else "", "arguments": kept[1:]}


def _masked(word: str, before: str) -> str:
    """A word of a call without secrets: those told by the word before, by a name in the word, or by their own form."""
    if word in ("=", ":"):
        return word
    if not word.startswith("-") and _tells_secret(before, word):
        return "***"
    name, sign, _value = word.partition("=")
    if sign and not re.search(r"\s", name) and _names_secret(name):
        word = f"{name}=***"
    return _SECRET_VALUE.sub("***", _SECRET_WITHIN.sub(r"\1***", word))


def _tells_secret(before: str, word: str) -> bool:
    if before.lower() == "bearer":
        return len(word) >= 8  # and no word of a sentence
    return bool(
        (_SECRET_FOLLOWS.fullmatch(before) and _names_secret(before)) or _SECRET_BEFORE.search(before)
    )


def _names_secret(name: str) -> bool:
    from ...module_utils.settings import catalogue  # most calls name nothing that could be a setting

    setting = catalogue.TABLE.get(name)
    return setting.secret if setting else _SECRET_NAME.search(name) is not None


def refuse(command: str, caller: str, place: Place) -> runner.Outcome:
    """What somebody gets who types a command at home that is not on the PATH: another role's, or none at all."""
    if command not in place.policy.rules:
        return runner.Outcome(codes.NOT_FOUND, "", f"{shown(command)[1:-1]}: command not found")
    try:
        grammar.find(command, place.policy.place(caller, command), caller)
    except DockfraError as error:
        return runner.Outcome(codes.status(error), "", codes.message(command, error))
    return runner.Outcome(
        codes.FAILED, "", f"{command}: programs ask for it at a gate; help lists what people type"
    )


class _Signals:
    """Holds back what ends a connection: its end, a stop of the container, Ctrl-C, Ctrl-\\.

    Where one is heeded, the first raises and those that follow wait, or a caller could end with the second what has to be
    done after the first. A mask would not do: threads that a command has started would still take signals.
    """

    # Ctrl-C is the only one that a prompt survives: it is caught first and let go last.
    _NUMBERS = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM)

    def __init__(self) -> None:
        self._heeds = False
        self._waiting: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        # Python gives signals to its main thread; in another there is nothing to hold back.
        if threading.current_thread() is not threading.main_thread():
            return self
        self._before = {number: signal.signal(number, self._came) for number in self._NUMBERS}
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in reversed(self._before.items()):
            signal.signal(number, handler)
        for number in self._waiting[:1]:
            signal.raise_signal(number)

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Let the first signal end what is done within."""
        self._heeds = True
        try:
            yield
        finally:
            self._heeds = False

    def _came(self, number: int, frame: FrameType | None) -> None:
        if not self._heeds:
            self._waiting.append(number)
            return
        self._heeds = False
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        _ended(number, frame)


def _ended(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
