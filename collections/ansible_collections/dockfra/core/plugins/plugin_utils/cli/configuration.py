# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the config commands share: a role's settings here or behind its gate, words that change them, and how they look."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...module_utils.errors import CommandError, UsageError
from ...module_utils.settings import catalogue
from ...module_utils.settings import file as settings_file
from ...module_utils.settings.catalogue import Setting, Value
from ...module_utils.settings.file import EnvFile
from .call import Call, Place
from .grammar import checked, suggest
from .output import Style, cut, table

# Answers in the interview.
_KEEP = ""
_RESET = "-"

_COLOURS = {"set": "green", "default": "dim", "unset": "dim", "error": "red"}
_HEADINGS = ("SETTING", "SOURCE", "VALUE")


# -- a role's settings, here or elsewhere ------------------------------------------------------------------------------


def state(place: Place) -> dict[str, Any]:
    """Return the settings of this container; of a secret only whether it is set."""
    return _described(place, EnvFile.of(place.name).read())


def change(place: Place, changes: Mapping[str, object], *, dry_run: bool = False) -> dict[str, Any]:
    """Change settings of this container, all or none, and return what `state` does and which names changed, or would."""
    done = EnvFile.of(place.name).update(changes, dry_run=dry_run)
    return {**_described(place, done.settings), "changed": list(done.changed), "dry_run": dry_run}


def read(call: Call, role: str) -> dict[str, Any]:
    """Return a role's settings as `state` does, through its gate where it lives elsewhere."""
    return state(call.place) if role == call.place.name else call.ask(role, ["config-get"])


def write(call: Call, role: str, changes: Mapping[str, Value | None]) -> dict[str, Any]:
    """Change a role's settings as `change` does; elsewhere they travel on the input of its gate."""
    if role == call.place.name:
        return change(call.place, changes)
    return call.ask(role, ["config-set"], json.dumps(changes))


def parse_changes(text: str) -> dict[str, object]:
    """Return the changes that a JSON object stands for; raises UsageError, whose message holds nothing of the text."""
    try:
        changes = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise UsageError("the input is no JSON") from error
    if not isinstance(changes, dict):
        raise UsageError(
            'the input is no JSON object of names and values; one looks like {"LLM_MODEL": "openai/gpt-4o"}'
        )
    return changes


def _described(place: Place, found: settings_file.Settings) -> dict[str, Any]:
    return {
        "role": place.name,
        "service": place.service,
        "settings": found.to_dict(),
        "problems": [problem.to_dict() for problem in found.problems],
    }


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UsageError("the input names a setting twice")
    return found


# -- config-<role>: show, ask, set -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Word:
    """One argument: ``NAME=value``, ``NAME=`` (``value`` is None) or ``NAME`` (``read``: the value is yet to come)."""

    name: str
    value: Value | None = None
    read: bool = False


_HOW = """Without arguments, a person is shown each setting and asked for a new value, and a program gets them all. A new value holds
at once. Secrets are typed, or read from the input; never write one into the arguments."""

# Seconds that the command may take; a person may be asked for each setting.
_TIME_LIMIT = 3600.0


class Face(NamedTuple):
    """What the file of a command that configures a role has to say, see `grammar.Command`."""

    arguments: Callable[[argparse.ArgumentParser], None]
    changes: Callable[[argparse.Namespace], bool]
    run: Callable[[Call], dict[str, Any]]
    render: Callable[[dict[str, Any], Style], str]
    time_limit: float


def face(role: str) -> Face:
    """Return the command that shows a role's settings, asks for new ones, or sets those of its arguments."""
    return Face(
        arguments=lambda parser: _add_arguments(parser, role),
        changes=lambda options: bool(options.settings),
        run=lambda call: _configure(call, role),
        render=render,
        time_limit=_TIME_LIMIT,
    )


def _add_arguments(parser: argparse.ArgumentParser, role: str) -> None:
    action = parser.add_argument(
        "settings",
        nargs="*",
        type=checked(lambda text: _word(text, role, parser.prog)),
        metavar="NAME[=VALUE]",
        help="a setting and its value; NAME= resets it, NAME alone reads the value from the input or asks for it",
    )
    found = catalogue.of(role)
    # A secret is typed, or comes on the input.
    names = [setting.name if setting.secret else f"{setting.name}=" for setting in found]
    suggest(action, lambda _place, _given: names)
    width = max(len(setting.name) for setting in found)
    rows = [f"  {setting.name:<{width}}  {setting.meaning}" for setting in found]
    parser.description = "\n".join([parser.description or "", "", _HOW, "", "Settings:", *rows])


def _configure(call: Call, role: str) -> dict[str, Any]:
    words: list[Word] = call.options.settings
    if words:
        return write(call, role, _values(call, words, role))
    found = read(call, role)
    if not call.terminal or call.options.json:
        return found
    changes = _interview(found, role)
    return write(call, role, changes) if changes else {**found, "changed": []}


def _word(text: str, role: str, command: str) -> Word:
    name, sign, value = text.partition("=")
    setting = catalogue.named(name, role)
    if not sign:
        return Word(name, read=True)
    if not value:
        return Word(name)
    if setting.secret:
        raise UsageError(
            f"{name} is a secret, which others can see in the arguments: use '{command} {name}' and type it, "
            f"or '{command} {name} < FILE'"
        )
    return Word(name, setting.clean(value))


def _values(call: Call, words: Sequence[Word], role: str) -> dict[str, Value | None]:
    if len({word.name for word in words}) < len(words):
        raise UsageError("a setting is named twice")
    if sum(word.read for word in words) > 1 and not call.terminal:
        raise UsageError("only one value can be read from the input; use NAME=value for the others")
    return {
        word.name: _given(call, catalogue.named(word.name, role)) if word.read else word.value
        for word in words
    }


def _given(call: Call, setting: Setting) -> Value:
    """The value of a setting that was named without one."""
    # What a person types does not come from a pipe just because the output goes to one.
    if call.terminal or (setting.secret and call.stdin.isatty()):
        text = _typed(setting, f"{setting.name}: ")
    else:
        text = call.input()
    if not text.strip():
        raise UsageError(f"no value for {setting.name} was given; {setting.name}= resets it")
    return setting.clean(text)


def _interview(found: Mapping[str, Any], role: str) -> dict[str, Value | None]:
    """Ask a person for each setting and return those that are to change."""
    print(
        f"Settings of {_line(found['service'])}. Enter keeps a value, {_RESET} resets it. Ctrl-C changes nothing."
    )
    changes: dict[str, Value | None] = {}
    for setting in catalogue.of(role):
        entry = found["settings"].get(setting.name, {})
        print(f"\n{setting.meaning}.")
        changes.update(_answer(setting, entry))
    return changes


def _answer(setting: Setting, entry: Mapping[str, Any]) -> dict[str, Value | None]:
    """Ask until an answer can be used, and return the change it means, if any."""
    while True:
        text = _typed(setting, f"{setting.name} [{cut(_value(entry), 60)}]: ").strip()
        try:
            if text == _KEEP:
                return {}
            return {setting.name: None if text == _RESET else setting.clean(text)}
        except UsageError as error:
            print(f"{error}.")


def _typed(setting: Setting, label: str) -> str:
    try:
        if setting.secret:
            import getpass

            return getpass.getpass(label)
        import readline  # noqa: F401  input() can be edited then

        return input(label)
    except EOFError as error:
        print()
        raise CommandError("the input ended; nothing was changed") from error


# -- how settings look -------------------------------------------------------------------------------------------------


def render(data: Mapping[str, Any], style: Style) -> str:
    """Return the settings of one role for people, or what became of those that were to change."""
    if "changed" not in data:
        return "\n".join([table(style, _HEADINGS, _rows(data), _COLOURS), *_notes([data], style)])
    lines = [_became(data, name) for name in data["changed"]]
    if data.get("dry_run"):
        lines = [f"{line} (in a dry run: nothing is changed)" for line in lines]
    return "\n".join([*(lines or [f"{_line(data['service'])}: nothing changed"]), *_notes([data], style)])


def render_all(data: Mapping[str, Any], style: Style) -> str:
    """Return the settings of several roles for people."""
    rows = []
    for found in data["services"]:
        own = [("-", "error", _line(found["error"]))] if "error" in found else _rows(found)
        rows += [(_line(found["service"]), *row) for row in own]
    return "\n".join(
        [table(style, ("SERVICE", *_HEADINGS), rows, _COLOURS), *_notes(data["services"], style)]
    )


def _rows(data: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [(_line(name), _source(entry), _value(entry)) for name, entry in data["settings"].items()]


def _source(entry: Mapping[str, Any]) -> str:
    if entry.get("set"):
        return "set"
    return "unset" if entry.get("value", "") == "" else "default"


def _value(entry: Mapping[str, Any]) -> str:
    if "value" not in entry:
        return "(hidden)" if entry.get("set") else "-"
    return _line(catalogue.written(entry["value"])) or "-"


def _became(data: Mapping[str, Any], name: str) -> str:
    entry = data["settings"].get(name, {})
    end = f"is now {_value(entry)}" if "value" in entry else "is set"
    if not entry.get("set"):
        end = "is reset" if _value(entry) == "-" else f"is reset to {_value(entry)}"
    return f"{_line(data['service'])}: {_line(name)} {end}"


def _notes(found: Sequence[Mapping[str, Any]], style: Style) -> list[str]:
    """A line for each thing in a file that could not be used."""
    notes = []
    for data in found:
        for problem in data.get("problems", ()):
            place = f"{data['service']}: {settings_file.FILE}" + (
                f" line {problem['line']}" if problem["line"] else ""
            )
            name = f"{problem['name']} " if problem["name"] else ""
            end = "; its default holds" if problem["name"] else ""
            notes.append(style.paint(_line(f"{place}: {name}{problem['reason']}{end}"), "red"))
    return notes


def _line(text: object) -> str:
    """A text from another container in one line, and without what a terminal would obey."""
    line = " ".join(str(text).split())
    return "".join(sign if sign.isprintable() else "?" for sign in line)
