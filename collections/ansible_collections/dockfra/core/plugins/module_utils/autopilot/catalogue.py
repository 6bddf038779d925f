# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The catalogue of actions: read from its file, checked against the inventory and the policy, or refused with the line.

One entry and one playbook beside the file are one action. Nothing else says which actions there are: the schema that a model is
given, the check of every plan, what the rules may propose and the documentation come from here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template
from typing import TypeVar

from ..errors import AutopilotError, CatalogueError, DeniedError, DockfraError, DocumentError, MisplacedError
from ..files import document
from ..files.checks import Section, line, list_of, matching, one_of
from ..files.document import Where
from ..policy.model import Policy
from ..text import shown
from . import facts, windows
from .actions import PLANNERS, RISKS, Action, Catalogue, Condition, Parameter, Rule, digest_of, domains_of
from .inventory import Inventory
from .kinds import KINDS, MOST_TEXT, Given
from .windows import Window

NAME = "catalogue.yml"
# Who acts.
AUTOPILOT = "autopilot"

MOST_ACTIONS = 50
_BOUNDS = document.Bounds(128 * 1024, nodes=8000, depth=10)
_MOST_PLAYBOOK = 64 * 1024
_HOUR, _DAY = 3600, 86_400

_ID = re.compile(r"(?=.{1,40}$)[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
_WORD = re.compile(r"[a-z][a-z0-9_-]{0,39}", re.ASCII)

T = TypeVar("T")


def read(folder: str | os.PathLike[str], inventory: Inventory, policy: Policy) -> Catalogue:
    """Return the catalogue of a directory.

    Args:
        folder: has `NAME` and the playbooks.
        inventory: the names there are.
        policy: what the autopilot may call where.

    Raises:
        CatalogueError: it cannot be read or cannot be meant; names file and line.
    """
    place = Path(folder, NAME)
    reader = _Reader(place.parent, inventory, policy)
    try:
        return document.parse(_read(place, _BOUNDS.size), _BOUNDS, reader.catalogue)[0]
    except MisplacedError as error:
        raise CatalogueError(f"{place}:{error}") from error
    except CatalogueError:
        raise
    except AutopilotError as error:
        raise CatalogueError(f"{place}: {error}") from error


def _read(path: Path, most: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise CatalogueError(f"{path} cannot be read: {error.strerror}.") from error


class _Reader:
    """Makes a catalogue of plain data; every method raises DocumentError with the place of what is wrong."""

    def __init__(self, folder: Path, inventory: Inventory, policy: Policy) -> None:
        self._folder, self._inventory, self._policy = folder, inventory, policy
        self._windows: Mapping[str, Window] = {}

    def catalogue(self, values: object) -> Catalogue:
        top = Section(values, (), {"windows", "quiet", "changes_per_hour", "tells_per_hour", "actions"})
        self._windows = top.take("windows", _mapping_of(self._window, "window")) or {}
        actions = top.take("actions", _mapping_of(self._action, "action"))
        if not actions:
            raise DocumentError("actions are missing: at least one")
        if len(actions) > MOST_ACTIONS:
            raise DocumentError(f"there are more than {MOST_ACTIONS}", ("actions",))
        for action in actions.values():
            self._check_undo(action, actions)
        return Catalogue(
            actions,
            self._windows,
            top.take("quiet", list_of(one_of(tuple(self._windows)))) or (),
            top.number("changes_per_hour", 12, 1, 1000),
            top.number("tells_per_hour", 30, 1, 1000),
        )

    def _window(self, _name: str, value: object, where: Where) -> Window:
        keys = Section(value, where, {"begins", "minutes"})
        begins = _needed(keys.take("begins", line), where, "begins", "a cron expression, in UTC")
        _explained((*where, "begins"), lambda: windows.check(begins))
        return Window(begins, keys.number("minutes", 60, 1, windows.LONGEST))

    def _action(self, name: str, value: object, where: Where) -> Action:
        keys = Section(value, where, {*Action.__dataclass_fields__} - {"id", "digest"})
        parameters = _needed(
            keys.take("parameters", _mapping_of(self._parameter, "parameter")),
            where,
            "parameters",
            "at least one",
        )
        domains = domains_of(parameters)
        subjects = tuple(
            each for each, parameter in parameters.items() if parameter.kind.domain in facts.DOMAINS
        )
        if not subjects:
            raise DocumentError(
                "no parameter is a service, a target or a ticket, so nobody knows what it is about",
                (*where, "parameters"),
            )
        words = tuple(each for each, parameter in parameters.items() if parameter.kind.name == "word")
        title = _needed(keys.take("title", line), where, "title", "one line for people")
        risk = _needed(keys.take("risk", one_of(tuple(RISKS))), where, "risk", ", ".join(RISKS))
        verbs = _needed(keys.take("verbs", self._verbs), where, "verbs", "which commands it calls, by place")
        subject = keys.take("subject", one_of(subjects)) or subjects[0]
        precondition = keys.take("precondition", list_of(_condition(domains))) or ()
        if risk != "low" and not precondition:
            raise DocumentError(
                "is missing: what has to hold before what runs is changed", (*where, "precondition")
            )
        probe = keys.take("probe", list_of(_condition(domains))) or ()
        if risk != "low" and not probe:
            raise DocumentError("is missing: what has to hold afterwards", (*where, "probe"))
        return Action(
            id=name,
            title=title,
            risk=risk,
            waits=keys.take("waits", list_of(one_of(PLANNERS))) or (),
            verbs=verbs,
            subject=subject,
            parameters=parameters,
            timeout=keys.number("timeout", 60, 1, _HOUR),
            cooldown=keys.number("cooldown", 60, 1, 30 * _DAY),
            per_hour=keys.number("per_hour", 2, 1, 100),
            distinct=keys.take("distinct", list_of(one_of(words))) or (),
            precondition=precondition,
            probe=probe,
            within=keys.number("within", 60, 1, _HOUR),
            undo=keys.take("undo", matching(_ID, "id of an action")) or "",
            windows=keys.take("windows", list_of(one_of(tuple(self._windows)))) or (),
            rules=keys.take("rules", list_of(_rule(parameters))) or (),
            digest=digest_of(value, self._playbook(name, where)),
        )

    def _playbook(self, name: str, where: Where) -> bytes:
        path = self._folder / f"{name}.yml"
        try:
            data = _read(path, _MOST_PLAYBOOK)
        except CatalogueError as error:
            raise DocumentError(f"its playbook {error}", where, at_key=True) from error
        if not data.strip() or len(data) > _MOST_PLAYBOOK:
            raise DocumentError(
                f"its playbook {path} is empty or has over {_MOST_PLAYBOOK} bytes", where, at_key=True
            )
        return data

    def _verbs(self, value: object, where: Where) -> dict[str, tuple[str, ...]]:
        command = matching(_ID, "name of a command")
        found = _mapping_of(lambda _name, words, place: list_of(command)(words, place), "place")(value, where)
        for place, words in found.items():
            for position, word in enumerate(words):
                try:
                    self._policy.authorize(AUTOPILOT, place, word)
                except DeniedError as error:
                    raise DocumentError(str(error), (*where, place, position)) from error
        return found

    def _parameter(self, _name: str, value: object, where: Where) -> Parameter:
        keys = Section(value, where, {"kind", "among", "most"})
        kind = KINDS[_needed(keys.take("kind", one_of(tuple(KINDS))), where, "kind", ", ".join(KINDS))]
        keys.refuse(f"a {kind.name} has none", *({"among", "most"} - {*kind.takes}))
        given = Given()
        if "among" in kind.takes:
            among = keys.take("among", list_of(line)) or ()
            _needed(among or None, where, "among", kind.meaning)
            given = Given(among=among)
        if "most" in kind.takes:
            given = Given(most=keys.number("most", MOST_TEXT, 1, MOST_TEXT))
        parameter = Parameter(_name, kind, given)
        schema = _explained((*where, "among"), lambda: parameter.schema(self._inventory))
        if not schema.get("enum", True):
            raise DocumentError("nothing is left that it could be", where)
        return parameter

    def _check_undo(self, action: Action, actions: Mapping[str, Action]) -> None:
        if not action.undo:
            return
        where = ("actions", action.id, "undo")
        other = actions.get(action.undo)
        if other is None:
            raise DocumentError(f"there is no action {shown(action.undo)}", where)
        missing = set(other.parameters) - set(action.parameters)
        if missing:
            raise DocumentError(
                f"{action.undo} needs {', '.join(sorted(missing))}, which {action.id} lacks", where
            )


def _condition(domains: set[str]) -> Callable[[object, Where], Condition]:
    known = tuple(name for name in facts.FACTS if name.partition(".")[0] in domains)

    def condition(value: object, where: Where) -> Condition:
        keys = Section(value, where, {"fact", "is", "least", "most"})
        name = _needed(keys.take("fact", one_of(known)), where, "fact", f"one of {', '.join(known)}")
        fact = facts.FACTS[name]
        if fact.words:
            keys.refuse(f"{name} is a word, not a number", "least", "most")
            words = keys.take("is", list_of(one_of(fact.words)))
            return Condition(name, _needed(words or None, where, "is", f"some of {', '.join(fact.words)}"))
        keys.refuse(f"{name} is a number; say least or most", "is")
        least, most = keys.take("least", _whole), keys.take("most", _whole)
        if least is None and most is None:
            raise DocumentError(f"{name} is a number; say least or most", where)
        return Condition(name, (), least, most)

    return condition


def _rule(parameters: Mapping[str, Parameter]) -> Callable[[object, Where], Rule]:
    def rule(value: object, where: Where) -> Rule:
        keys = Section(value, where, {"for", "when", "with"})
        domain = _needed(keys.take("for", one_of(facts.DOMAINS)), where, "for", ", ".join(facts.DOMAINS))
        when = _needed(
            keys.take("when", list_of(_condition({domain}))) or None, where, "when", "at least one condition"
        )
        values = _needed(
            keys.take("with", _mapping_of(_text(domain), "parameter")), where, "with", "the parameters"
        )
        wrong = set(values) ^ set(parameters)
        if wrong:
            raise DocumentError(
                f"these are to be {', '.join(parameters)}; look at {', '.join(sorted(wrong))}",
                (*where, "with"),
            )
        return Rule(domain, when, values)

    return rule


def _text(domain: str) -> Callable[[str, object, Where], str]:
    def text(_name: str, value: object, where: Where) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= MOST_TEXT:
            raise DocumentError(f"{shown(value)} is no text of 1 to {MOST_TEXT} signs", where)
        template = Template(value)
        if not template.is_valid():
            raise DocumentError("a $ stands before a name, or twice for itself", where)
        unknown = sorted(set(template.get_identifiers()) - facts.names(domain))
        if unknown:
            known = ", ".join(sorted(facts.names(domain)))
            raise DocumentError(f"nothing is called ${unknown[0]} here; there are {known}", where)
        return value

    return text


def _mapping_of(
    make: Callable[[str, object, Where], T], what: str
) -> Callable[[object, Where], dict[str, T]]:
    def whole(value: object, where: Where) -> dict[str, T]:
        if not isinstance(value, Mapping):
            raise DocumentError(f"{shown(value)} is no mapping of names to values", where)
        found = {}
        for name, entry in value.items():
            if not _WORD.fullmatch(str(name)):
                raise DocumentError(
                    f"{shown(name)} is no name of a {what}; use lower-case words",
                    (*where, str(name)[:60]),
                    at_key=True,
                )
            found[str(name)] = make(str(name), entry, (*where, str(name)))
        return found

    return whole


def _needed(value: T | None, where: Where, key: str, what: str) -> T:
    if value is None:
        raise DocumentError(f"is missing: {what}", (*where, key))
    return value


def _explained(where: Where, make: Callable[[], T]) -> T:
    try:
        return make()
    except DocumentError:
        raise
    except DockfraError as error:
        raise DocumentError(str(error), where) from error


def _whole(value: object, where: Where) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 10**9:
        raise DocumentError(f"{shown(value)} is no whole number", where)
    return value
