# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The commands' own files, and the arguments they take."""

from __future__ import annotations

import argparse
import importlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, TypeAlias

from ...module_utils.errors import DeniedError, DockfraError, UsageError
from ...module_utils.policy.model import Policy
from ...module_utils.text import shown
from .call import Call, Place
from .output import Style, beside, columns

COMMANDS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "commands")
_PACKAGE = f"{__package__.rpartition('.')[0]}.commands"

# sshd hands a command to the gate in its environment, where Linux ends a string at this many bytes (execve(2)).
MAX_LINE = 128 * 1024

# The most that completion offers at a time.
MAX_OFFERED = 100

# What completion offers for an argument, from the place where it is typed and the arguments before it.
Suggestions: TypeAlias = Callable[[Place, Sequence[str]], Iterable[str]]

# How somebody asks for help in the first word.
HELP = ("help", "--help", "-h", "?")


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
        raise UsageError(
            f"the quotation marks in {shown(line)} do not match ({error}); ssh takes one level of quotes away, "
            "so the whole line is quoted once more"
        ) from error
    if not words:
        raise UsageError("there is no command; try help")
    return words


# Seconds that a command may take whose file names no other TIME_LIMIT.
TIME_LIMIT = 60.0


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
        changes: whether, with these options, it changes something. At home that is audited, as all is at the gate.
        time_limit: seconds it may take; None for as long as it wants.
        streams: whether, with these options, it writes with ``--json`` its events before the result, each on a line.
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
    changes: Callable[[argparse.Namespace], bool] = lambda _options: False
    time_limit: float | None = TIME_LIMIT
    streams: Callable[[argparse.Namespace], bool] = lambda _options: False

    @property
    def summary(self) -> str:
        """What it does, in one line."""
        return self.description.partition("\n")[0].rstrip(".")

    def parse(self, words: Sequence[str], host: str = "") -> argparse.Namespace:
        """Return the options that the words stand for.

        Args:
            words: the command's arguments.
            host: the host in whose ssh line they stood, if they did.

        Raises:
            UsageError: they cannot be meant; the message has the line that was, where one can be told.
            HelpShown: help was asked for.
        """
        for word in words:
            try:
                word.encode()
            except UnicodeEncodeError as error:
                raise UsageError(
                    f"{_legible(word)} is no UTF-8 text; set your terminal to UTF-8 and type it again"
                ) from error
        parser = _Parser(self)
        options, surplus = parser.parse_known_args(list(words))
        if surplus:
            parser.error(f"unrecognized arguments: {' '.join(surplus)}{self._quoted(parser, words, host)}")
        return options

    def completions(self, place: Place, words: Sequence[str]) -> list[str]:
        """Return what may stand where the last of the words is being typed, at most `MAX_OFFERED` of it.

        Args:
            place: where the command is typed.
            words: what follows the command, the last one not yet complete.
        """
        *before, current = words
        parser = _Parser(self)
        options = parser._option_string_actions
        name, sign, _value = current.partition("=")
        given, awaited = _arguments(before, options)
        if sign and name in options:
            found = [f"{name}={value}" for value in _offered(options[name], place, given)]
        elif awaited is not None:
            found = _offered(awaited, place, given)
        else:
            found = _offered(_positional(parser, len(given)), place, given)
            found += [option for option in options if option.startswith("--")]
        return [word for word in dict.fromkeys(found) if word.startswith(current)][-MAX_OFFERED:]

    def _quoted(self, parser: _Parser, words: Sequence[str], host: str) -> str:
        """For a text of several words that was not quoted: how to, if that is what happened."""
        meant = _joined(parser, words)
        try:
            parser.parse_args(meant)
        except (UsageError, HelpShown):
            return ""
        import shlex

        line = shlex.join([self.name, *meant])
        if not host:
            return f"; a text of several words is quoted: {line}"
        whole = f'"{line}"' if not re.search(r'["$`\\!]', line) else shlex.quote(line)
        return f"; ssh takes one level of quotes away, so quote the whole line once more: ssh {host} {whole}"


def find(command: str, place: str, caller: str) -> Command:
    """Return a command that the policy knows.

    One that every role has in the same form is in ``common``, one of all bastions in ``bastion``, one that only a caller from elsewhere has is in that
    caller's directory.

    Raises:
        DeniedError: this platform has no such command.
    """
    name = _module(command, place, caller)
    if name is None:
        raise DeniedError(f"{command} has not come to this platform yet; help lists what has")
    module = importlib.import_module(f"{_PACKAGE}.{name}")
    needed = ["stream"] if hasattr(module, "stream") else ["run", "render"]
    optional = [name for name in ("reads_input", "exit_status", "changes") if hasattr(module, name)]
    functions = {name: getattr(module, name) for name in (*needed, *optional)}
    streams = getattr(module, "STREAMS", False)
    return Command(
        command,
        (module.__doc__ or "").strip(),
        module.EXAMPLES,
        module.arguments,
        time_limit=getattr(module, "TIME_LIMIT", TIME_LIMIT),
        streams=streams if callable(streams) else lambda _options: streams,
        **functions,
    )


def own(policy: Policy, role: str) -> list[str]:
    """The names of the commands a role finds on its PATH: those the policy gives it that have come to this platform."""
    return [name for name in policy.own(role) if _module(name, policy.place(role, name), role)]


def _module(command: str, place: str, caller: str) -> str | None:
    """The module of a command's file, if there is one."""
    file = command.replace("-", "_")
    for folder in (part.replace("-", "_") for part in (place, "common", "bastion", caller)):
        # A name that leads out of the directory is none, also where nobody asked the policy first.
        if file.isidentifier() and os.path.isfile(os.path.join(COMMANDS, folder, f"{file}.py")):
            return f"{folder}.{file}"
    return None


def _legible(word: str) -> str:
    """A word of bytes that are no UTF-8, as one may have meant it: Python keeps such a byte as U+DC00 and its value."""
    return shown("".join(chr(ord(sign) - 0xDC00) if "\udc80" <= sign <= "\udcff" else sign for sign in word))


def suggest(action: argparse.Action, values: Suggestions) -> None:
    """Say what completion offers for an argument that has no fixed choices."""
    action.suggestions = values  # type: ignore[attr-defined]


def _offered(action: argparse.Action | None, place: Place, given: Sequence[str]) -> list[str]:
    """What an argument may be, as far as that is known: words it chooses from, or that were suggested for it."""
    if action is None:
        return []
    suggestions: Suggestions = getattr(action, "suggestions", lambda _place, _given: ())
    return list(map(str, action.choices or suggestions(place, given)))


def _arguments(
    words: Sequence[str], options: Mapping[str, argparse.Action]
) -> tuple[list[str], argparse.Action | None]:
    """Return those of the words that belong to no option, and the option that the next word belongs to."""
    given: list[str] = []
    awaited = None
    for word in words:
        if awaited is not None:
            awaited = None
        elif word in options:
            awaited = options[word] if options[word].nargs != 0 else None
        elif not word.startswith("--"):
            given.append(word)
    return given, awaited


def _positional(parser: argparse.ArgumentParser, number: int) -> argparse.Action | None:
    """The argument that the word with this number, counted without options, belongs to."""
    actions = parser._positionals._group_actions
    if number < len(actions):
        return actions[number]
    return actions[-1] if actions and actions[-1].nargs in ("*", argparse.REMAINDER) else None


def _joined(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[str]:
    """The words as they may have been before their quotes were lost: each free text is one word again."""
    groups: list[tuple[str, list[str]]] = [("", [])]
    for word in words:
        if word.startswith("-") and word != "-":
            groups.append((word, []))
        else:
            groups[-1][1].append(word)
    plain: list[str] = groups[0][1]
    options: list[str] = []
    for word, values in groups[1:]:
        name, sign, _value = word.partition("=")
        action = parser._option_string_actions.get(name)
        if values and _is_text(action):
            options += [" ".join([word, *values])] if sign else [word, " ".join(values)]
        else:
            takes = 0 if sign or action is None or action.nargs == 0 else 1
            options += [word, *values[:takes]]
            plain += values[takes:]
    actions = parser._positionals._group_actions
    if actions and _is_text(actions[-1]) and len(plain) > len(actions):
        plain[len(actions) - 1 :] = [" ".join(plain[len(actions) - 1 :])]
    return [*plain, *options]


def _is_text(action: argparse.Action | None) -> bool:
    return action is not None and action.nargs in (None, "?") and action.type is None and not action.choices


class HelpShown(Exception):
    """Help was asked for; the text is the message."""


class _Help(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_rest: Any) -> NoReturn:
        raise HelpShown(parser.format_help().rstrip())


class _Formatter(argparse.HelpFormatter):
    """Fits descriptions to the terminal: prose is filled, indented lines stay lines of their own."""

    def __init__(self, prog: str) -> None:
        # argparse makes one for each argument; left to find the width itself, it loads far more than it needs.
        super().__init__(prog, width=columns(80) - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        blocks: list[str] = []
        for line in text.splitlines():
            if row := _ROW.fullmatch(line):
                blocks.append(row[1] + beside(row[2], len(row[1]), width))
            elif line.strip() and blocks and blocks[-1] and not _is_apart(line) and not _is_apart(blocks[-1]):
                blocks[-1] = f"{blocks[-1]} {line}"
            else:
                blocks.append(line)
        return "\n".join(block if _is_apart(block) else beside(block, 0, width) for block in blocks)


# Something indented, and what is said of it.
_ROW = re.compile(r"( +\S+ {2,})(.+)")


def _is_apart(line: str) -> bool:
    return line.startswith(" ")


class _Parser(argparse.ArgumentParser):
    """argparse that never exits and never prints; wrong words are a UsageError of one line."""

    def __init__(self, command: Command) -> None:
        super().__init__(
            prog=command.name,
            description=command.description,
            epilog="\n".join(["Examples:", *(f"  {example}" for example in command.examples)]),
            formatter_class=_Formatter,
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


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MOST_DAYS = 30


def duration(text: str) -> int:
    """Return the seconds of a time such as 90s, 30m, 1h or 2d, as an argument's type."""
    match = re.fullmatch(r"([0-9]{1,7})([smhd])", text, re.ASCII)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < seconds <= _MOST_DAYS * _UNITS["d"]:
        raise argparse.ArgumentTypeError(
            f"must be a time such as 90s, 30m, 1h or 2d, and at most {_MOST_DAYS}d"
        )
    return seconds
