# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a parameter of an action can be: names that are known before, and texts for tickets. There is nothing else.

Each kind is told as JSON Schema, which a model is given and every plan is held against (see `schema`). What a schema cannot say
of a text is said by the tickets' own rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..errors import DockfraError
from ..tickets import values
from .inventory import Inventory

# What begins a template of Ansible. Texts are never run as one; that they cannot look like one is a second lock on the door.
TEMPLATES = ("{{", "{%", "{#")

# Longer texts of an action are none of a ticket's: a person has to read them.
MOST_TEXT = 4000

# Python's `$` admits a line feed at the end, and that of JSON Schema does not.
_END = r"(?![\s\S])"


class Given(NamedTuple):
    """What the catalogue says of a parameter beside its kind.

    Attributes:
        among: words, or names of groups and services.
        most: signs of a text.
    """

    among: tuple[str, ...] = ()
    most: int = 0


class Kind(NamedTuple):
    """A kind of parameters.

    Attributes:
        name: in the catalogue.
        meaning: for people; completes "is …".
        takes: which of the fields of `Given` it has; those without ``?`` it has to have.
        schema: its JSON Schema, from what the catalogue says and the inventory.
        domain: which facts can be asked of it; an empty text for none.
        clean: raises DockfraError for a value that fits the schema and cannot be meant.
    """

    name: str
    meaning: str
    takes: tuple[str, ...]
    schema: Callable[[Given, Inventory], dict[str, Any]]
    domain: str = ""
    clean: Callable[[str], object] = str


def _services(given: Given, inventory: Inventory) -> dict[str, Any]:
    return _one_of(inventory.select(given.among))


def _targets(_given: Given, inventory: Inventory) -> dict[str, Any]:
    return _one_of(tuple(inventory.targets))


def _words(given: Given, _inventory: Inventory) -> dict[str, Any]:
    return _one_of(given.among)


def _tickets(_given: Given, _inventory: Inventory) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^T-[0-9]{{4,9}}{_END}"}


def _commits(_given: Given, _inventory: Inventory) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^[0-9a-f]{{40}}{_END}"}


def _texts(given: Given, _inventory: Inventory) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": given.most}


def _one_of(names: tuple[str, ...]) -> dict[str, Any]:
    return {"type": "string", "enum": list(names)}


def _clean_line(value: str) -> None:
    # A command would take it for an option.
    if value.startswith("-"):
        raise DockfraError("it begins with a hyphen")
    values.clean_title(value)
    _refuse_templates(value)


def _clean_text(value: str) -> None:
    values.clean_text(value, "The text", empty=False)
    _refuse_templates(value)


def _refuse_templates(value: str) -> None:
    value.encode()
    for sign in TEMPLATES:
        if sign in value:
            raise DockfraError(f"it holds {sign}, which begins a template")


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("service", "a service of the groups and names in `among`", ("among",), _services, "service"),
        Kind("target", "the target of a deploy", (), _targets, "target"),
        Kind("ticket", "the id of a ticket that is there", (), _tickets, "ticket", values.clean_id),
        Kind("commit", "the whole hash of a commit", (), _commits, "commit"),
        Kind("word", "one of the words in `among`", ("among",), _words),
        Kind("line", "one line of a ticket, of at most `most` signs", ("most",), _texts, "", _clean_line),
        Kind("text", "a text of a ticket, of at most `most` signs", ("most",), _texts, "", _clean_text),
    )
}
TEXTS = ("line", "text")
