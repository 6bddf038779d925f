# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The gate for a person: a prompt that knows the caller's commands and nothing else."""

from __future__ import annotations

import io
import readline
import signal
import sys
from typing import TYPE_CHECKING

from ...module_utils.errors import UsageError
from . import codes, grammar, output, runner
from .outcome import Outcome
from .output import Style
from .runner import available, help_text

if TYPE_CHECKING:
    from .gate import Gate

_END = ("exit", "quit", "logout")


class _NoInput(io.BytesIO):
    """What a command finds that wants to read: the terminal belongs to the prompt."""

    def read(self, _size: int | None = -1) -> bytes:
        raise UsageError(
            "the prompt has no input to read; put the text into the arguments, or run it over SSH"
        )


class Prompt:
    """Reads lines until the person leaves.

    Args:
        gate: what answers them.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._matches: list[str] = []

    def loop(self) -> int:
        """Answer lines; returns the exit status of the last one."""
        readline.set_completer(self._complete)
        readline.set_completer_delims(" ")
        readline.parse_and_bind("tab: complete")
        style = Style.of(sys.stdout)
        output.write(sys.stdout, help_text(self._gate.place, self._gate.caller, style))
        output.write(sys.stdout, "exit or Ctrl-D leaves.")
        status = codes.OK
        while True:
            try:
                line = self._read()
                if line in _END:
                    return status
                if line:
                    status = runner.show(self._gate.answer(line, _NoInput(), style, terminal=True))
            except EOFError:
                output.write(sys.stdout, "")
                return status
            except KeyboardInterrupt:
                output.write(sys.stdout, "")
            except UnicodeDecodeError:
                status = runner.show(
                    Outcome(codes.USAGE, "", codes.line("gate", "the line is no UTF-8 text"))
                )

    def _read(self) -> str:
        # Nothing is under way, so the end of the connection simply ends the process. A handler of Python would run only
        # after the next key, when the signal came just before input() began to wait.
        handlers = {
            number: signal.signal(number, signal.SIG_DFL)
            for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM)
        }
        try:
            return input(f"{self._gate.caller}@{self._gate.place.service}> ").strip()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _complete(self, text: str, state: int) -> str | None:
        if state == 0:
            self._matches = [word if word.endswith("=") else f"{word} " for word in self._candidates(text)]
        return self._matches[state] if state < len(self._matches) else None

    def _candidates(self, text: str) -> list[str]:
        before = readline.get_line_buffer()[: readline.get_begidx()].split()
        commands = [command for command, _summary in available(self._gate.place, self._gate.caller)]
        if not before or before[0] in grammar.HELP:
            offered = [*commands, *(() if before else (grammar.HELP[0], _END[0]))]
            return [word for word in offered if word.startswith(text)]
        if before[0] not in commands:
            return []
        found = grammar.find(before[0], self._gate.place.name, self._gate.caller)
        return found.completions(self._gate.place, [*before[1:], text])
