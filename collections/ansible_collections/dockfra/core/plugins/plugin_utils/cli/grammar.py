# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The commands' own files, and the arguments they take."""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, NoReturn

from ...module_utils.errors import DeniedError, DockfraError, UsageError
from ...module_utils.text import shown
from .call import Call
from .output import Style, columns

COMMANDS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "commands")
_PACKAGE = f"{__package__.rpartition('.')[0]}.commands"

# sshd hands a command to the gate in its environment, where Linux ends a string at this many bytes (execve(2)).
MAX_LINE = 128 * 1024


def split(line: str) -> list[str]:
    """Return the words of a command line, quoted as in a shell but with nothing expanded or executed.

    Raises:
        UsageError: a quotation is not ended, or the line holds what cannot be meant.
    """
    if len(line) > MAX_LINE or "\0" in line:
        raise UsageError(
            f"a command line has at most {MAX_LINE} characters, none of them NUL; send text on the input"
        )
    import shlex  # only the gate gets lines

    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"the quotation marks in {shown(line)} do not match ({error})") from error
    if not words:
        raise UsageError("there is no command; try help")
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"{shown(word)} is no UTF-8 text") from error
    return words


class Command(NamedTuple):
    """A command, as its file says.

    Attributes:
        name: what people type.
        description: the file's docstring: a line, and perhaps more after an empty one.
        examples: how it is used.
        arguments: adds its arguments to a parser.
        run: does the work and returns data, which JSON can hold.
        render: turns that data into text for people.
        stream: instead of both, speaks a protocol of its own on the process's input and output, and returns the exit status.
        reads_input: whether, with these options, it reads its standard input.
        exit_status: what the data means for the exit status.
    """

    name: str
    description: str
    examples: Sequence[str]
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Call], Any] = lambda _call: None
    render: Callable[[Any, Style], str] = lambda _data, _style: ""
    stream: Callable[[Call], int] | None = None
    reads_input: Callable[[argparse.Namespace], bool] = lambda _options: False
    exit_status: Callable[[Any], int] = lambda _data: 0

    @property
    def summary(self) -> str:
        """What it does, in one line."""
        return self.description.partition("\n")[0].rstrip(".")

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Return the options that the words stand for; raises UsageError, or HelpShown."""
        return _Parser(self).parse_args(list(words))

    def words(self) -> list[str]:
        """Return what may follow the command, for completion: its options and the words it chooses from."""
        found = []
        for action in _Parser(self)._actions:
            found += [option for option in action.option_strings if option.startswith("--")]
            if not action.option_strings:
                found += list(map(str, action.choices or ()))
        return sorted(found)


def find(command: str, place: str, caller: str) -> Command:
    """Return a command that the policy knows.

    One that every role has in the same form is in ``common``, one that only a caller from elsewhere has is in that
    caller's directory.

    Raises:
        DeniedError: this platform has no such command.
    """
    file = command.replace("-", "_")
    for folder in (part.replace("-", "_") for part in (place, "common", caller)):
        # A name that leads out of the directory is none, also where nobody asked the policy first.
        if file.isidentifier() and os.path.isfile(os.path.join(COMMANDS, folder, f"{file}.py")):
            module = importlib.import_module(f"{_PACKAGE}.{folder}.{file}")
            needed = ["stream"] if hasattr(module, "stream") else ["run", "render"]
            optional = [name for name in ("reads_input", "exit_status") if hasattr(module, name)]
            functions = {name: getattr(module, name) for name in (*needed, *optional)}
            description = (module.__doc__ or "").strip()
            return Command(command, description, module.EXAMPLES, module.arguments, **functions)
    raise DeniedError(f"{command} has not come to this platform yet; help lists what has")


def own(role: str) -> list[str]:
    """The names of the commands a role finds on its PATH."""
    import pkgutil  # only lists need it

    folder = os.path.join(COMMANDS, role.replace("-", "_"))
    return sorted(found.name.replace("_", "-") for found in pkgutil.iter_modules([folder]))


class HelpShown(Exception):
    """Help was asked for; the text is the message."""


class _Help(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_rest: Any) -> NoReturn:
        raise HelpShown(parser.format_help().rstrip())


def _formatter(prog: str) -> argparse.HelpFormatter:
    # argparse makes one for each argument; left to find the width itself, it loads far more than it needs.
    return argparse.RawDescriptionHelpFormatter(prog, width=columns(80) - 2)


class _Parser(argparse.ArgumentParser):
    """argparse that never exits and never prints; wrong words are a UsageError of one line."""

    def __init__(self, command: Command) -> None:
        super().__init__(
            prog=command.name,
            description=command.description,
            epilog="\n".join(["Examples:", *(f"  {example}" for example in command.examples)]),
            formatter_class=_formatter,
            add_help=False,
            allow_abbrev=False,
        )
        command.arguments(self)
        self.add_argument("--json", action="store_true", help="print data for programs")
        self.add_argument("-h", "--help", action=_Help, nargs=0, help="show this help")

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; try {self.prog} --help")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise UsageError((message or f"unexpected end with status {status}").strip())


def checked(clean: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return an argument's type from a function that raises a DockfraError for a wrong value."""

    def convert(text: str) -> Any:
        try:
            return clean(text)
        except DockfraError as error:
            raise argparse.ArgumentTypeError(str(error).rstrip(".")) from error

    return convert


def choices(values: Iterable[str]) -> dict[str, Any]:
    """Options of an argument that is one of some words, for ``add_argument``."""
    listed = list(values)
    return {"choices": listed, "metavar": "|".join(listed)}
