# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The gate: the forced command behind a role's key on another role's container.

sshd starts it with the caller's name, which stands in authorized_keys, and what the caller sent in
SSH_ORIGINAL_COMMAND. The words of that line are looked up in the policy and parsed by the command's own grammar; nothing
is ever handed to a shell. Every call leaves a line in the audit log, and where that cannot be written nothing is done; of
refusals without end it has the number (see `refusals`).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import IO

from ...module_utils.audit.files import DIRECTORY as AUDIT
from ...module_utils.audit.log import AuditLog
from ...module_utils.errors import DockfraError, UsageError
from ...module_utils.text import shown
from . import codes, grammar, output, runner, signals
from .call import CONFIGURATION, Place, StrPath
from .journal import Journal, log_path
from .outcome import Outcome
from .output import Style
from .refusals import Refusals
from .slots import DIRECTORY as SLOTS
from .slots import Slots


def main(
    arguments: Sequence[str],
    environment: Mapping[str, str] | None = None,
    configuration: StrPath = CONFIGURATION,
    audit_directory: StrPath = AUDIT,
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
    signals.install()
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
        log = AuditLog(log_path(place.service, audit_directory))
        gate = Gate(place, caller, log, Slots(caller, slots_directory), Refusals(caller, slots_directory))
        line = environment.get("SSH_ORIGINAL_COMMAND")
        terminal = output.is_terminal(sys.stdin)
        if line is None and terminal:
            from .prompt import Prompt  # only people need it

            gate.enter()
            return Prompt(gate).loop()
        outcome = gate.answer(line or "", output.standard_input(), Style.of(sys.stdout), terminal)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  a traceback is for nobody here
        outcome = Outcome(codes.status(error), "", codes.message("gate", error))
    return runner.show(outcome)


class Gate:
    """Answers the lines of one caller.

    Args:
        place: this container.
        caller: whose key opened the connection.
        log: the audit log of this container.
        slots: the calls that the caller may have under way; without them there is no limit.
        refusals: counts its refused calls; without them there is no limit of their lines in the log.
    """

    def __init__(
        self,
        place: Place,
        caller: str,
        log: AuditLog,
        slots: Slots | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self.place = place
        self.caller = caller
        self._journal = Journal(log, place.name, caller, refusals)
        self._slots = slots

    def enter(self) -> None:
        """Take one of the caller's places until the process ends; raises BusyError when there is none."""
        if self._slots is not None:
            self._slots.take()

    def answer(self, line: str, stdin: IO[bytes], style: Style, terminal: bool = False) -> Outcome:
        """Run one line and return how it ended; it is in the audit log by then, as `Journal.kept` says."""
        wrong: UsageError | None = None
        try:
            words = grammar.split(line)
        except UsageError as error:
            words, wrong = line.split(), error

        def work() -> Outcome:
            if wrong is not None:
                raise wrong
            self.enter()
            if words[0] in grammar.HELP:
                return self._help(words[1:], stdin, style)
            return runner.run(self.place, self.caller, words, stdin, style, terminal, audited=True)

        return self._journal.kept("gate", words, work)

    def _help(self, words: Sequence[str], stdin: IO[bytes], style: Style) -> Outcome:
        if len(words) > 1:
            raise UsageError("help is for one command; try help COMMAND")
        if words and words[0] not in grammar.HELP:
            return runner.run(self.place, self.caller, [words[0], "--help"], stdin, style)
        return Outcome(codes.OK, runner.help_text(self.place, self.caller, style))


def refuse(command: str, caller: str, place: Place) -> Outcome:
    """What somebody gets who types a command at home that is not on the PATH: another role's, or none at all."""
    if command not in place.policy.rules:
        return Outcome(codes.NOT_FOUND, "", f"{shown(command)[1:-1]}: command not found")
    try:
        grammar.find(command, place.policy.place(caller, command), caller)
    except DockfraError as error:
        return Outcome(codes.status(error), "", codes.message(command, error))
    return Outcome(codes.FAILED, "", f"{command}: programs ask for it at a gate; help lists what people type")
