# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""``release.yml`` in the directory of a service's source: read, with the line of whatever is wrong in it.

The file comes from whoever pushes. It is bounded, has no aliases (which could make it large) and no tags (which could make
objects), and names nothing outside its directory, by links neither.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import ReleaseError, ReleaseInvalidError, ReleaseValueError
from ..text import shown
from .spec import MAX_SPEC, Spec, Where, checked

NAME = "release.yml"

_MAX_DEPTH = 8
_MAX_NODES = 2000
_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]{0,8})", re.ASCII)
_WORDS: Mapping[str, bool] = {
    "true": True,
    "yes": True,
    "on": True,
    "false": False,
    "no": False,
    "off": False,
}
_TAG = "tag:yaml.org,2002:"


def read(directory: str | os.PathLike[str], name: str = NAME) -> Spec:
    """Return what a service's directory says of its releases.

    Args:
        directory: the service's source, as it is in the commit.
        name: how messages call the file, for example by its path in the repository.

    Raises:
        ReleaseInvalidError: there is no such file, or what it says cannot be meant; names file and line.
    """
    try:
        descriptor = os.open(os.path.join(directory, NAME), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            data = file.read(MAX_SPEC + 1)
    except OSError as error:
        raise ReleaseInvalidError(f"{name} cannot be read: {error.strerror}.") from error
    spec, lines = _parsed(data, name)
    for where, place in _paths(spec):
        # What a build makes is not there yet.
        problem = _problem(directory, place, may_miss=bool(spec.build and where[0] in ("files", "root")))
        if problem:
            raise ReleaseInvalidError(f"{name}:{_line(lines, where)}: {shown(place)} {problem}")
    return spec


def parse(data: bytes, name: str = NAME) -> Spec:
    """Return what the content of a ``release.yml`` says, without a look at the files it names; raises as `read` does."""
    return _parsed(data, name)[0]


def _parsed(data: bytes, name: str) -> tuple[Spec, dict[Where, int]]:
    if len(data) > MAX_SPEC:
        raise ReleaseInvalidError(f"{name} has more than {MAX_SPEC} bytes.")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ReleaseInvalidError(f"{name}:{line}: that is no UTF-8") from error
    lines: dict[Where, int] = {}
    keys: dict[Where, int] = {}
    try:
        values = _Document(text, lines, keys).values()
        return checked(values), lines
    except ReleaseValueError as error:
        line = keys.get(error.where, 0) if error.at_key else 0
        raise ReleaseInvalidError(f"{name}:{line or _line(lines, error.where)}: {error}") from error


def _line(lines: Mapping[Where, int], where: Where) -> int:
    """The line of a value, or of the nearest that surrounds it."""
    while where and where not in lines:
        where = where[:-1]
    return lines.get(where, 1)


def _paths(spec: Spec) -> Iterator[tuple[Where, str]]:
    for position, place in enumerate(spec.files):
        yield ("files", position), place
    if spec.requirements:
        yield ("requirements",), spec.requirements
    if spec.build and spec.build.requirements:
        yield ("build", "requirements"), spec.build.requirements
    if spec.test and spec.test.requirements:
        yield ("test", "requirements"), spec.test.requirements
    if spec.root:
        yield ("root",), spec.root


def _problem(directory: str | os.PathLike[str], place: str, may_miss: bool) -> str:
    """What is wrong with a path below the directory, in a phrase; empty when nothing is."""
    root = os.path.realpath(directory)
    found = os.path.realpath(os.path.join(root, place))
    if found != root and not found.startswith(root + os.sep):
        return "leads out of the service's directory"
    return "" if may_miss or os.path.lexists(found) else "does not exist"


class _Document:
    """One YAML document, as plain data and the line of each of its parts."""

    def __init__(self, text: str, lines: dict[Where, int], keys: dict[Where, int]) -> None:
        self._text, self._lines, self._keys = text, lines, keys

    def values(self) -> object:
        # Only who builds and ships needs it; what starts a service has no YAML.
        try:
            import yaml
        except ImportError as error:
            raise ReleaseError(f"The Python library PyYAML is missing ({error}).") from error
        try:
            self._bound(yaml)
            node = yaml.compose(self._text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            self._lines[()] = mark.line + 1 if mark else 1
            problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
            raise ReleaseValueError(f"that is no YAML: {problem}") from error
        if node is None:
            raise ReleaseValueError("the file is empty")
        return self._value(yaml, node, ())

    def _bound(self, yaml: Any) -> None:
        """Refuse what could be large or deep before anything is made of it."""
        depth = nodes = 0
        for event in yaml.parse(self._text, Loader=yaml.SafeLoader):
            nodes += isinstance(event, yaml.NodeEvent)
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            self._lines[()] = event.start_mark.line + 1
            if isinstance(event, yaml.NodeEvent) and event.anchor:
                raise ReleaseValueError("anchors and aliases are not read here")
            if nodes > _MAX_NODES or depth > _MAX_DEPTH:
                raise ReleaseValueError(f"that is more than {_MAX_NODES} values or {_MAX_DEPTH} levels")
        self._lines[()] = 1

    def _value(self, yaml: Any, node: Any, where: Where) -> object:
        self._lines[where] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return dict(self._entry(yaml, key, value, where) for key, value in self._unique(node, where))
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self._value(yaml, entry, (*where, index)) for index, entry in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag.startswith(_TAG):
            return self._scalar(node.tag.removeprefix(_TAG), node.value, where)
        raise ReleaseValueError(f"the tag {shown(node.tag)} is not read here", where)

    def _unique(self, node: Any, where: Where) -> Iterator[tuple[Any, Any]]:
        seen: set[str] = set()
        for key, value in node.value:
            text = key.value if isinstance(key.value, str) else ""
            self._keys[(*where, text[:60])] = key.start_mark.line + 1
            if not text or text in seen:
                reason = "the key stands there twice" if text else "a key is a word"
                raise ReleaseValueError(reason, (*where, text[:60]), at_key=True)
            seen.add(text)
            yield key, value

    def _entry(self, yaml: Any, key: Any, value: Any, where: Where) -> tuple[str, object]:
        return key.value, self._value(yaml, value, (*where, key.value))

    def _scalar(self, kind: str, text: str, where: Where) -> object:
        if kind == "null":
            return None
        if kind == "bool":
            return _WORDS[text.lower()]
        if kind == "int":
            if not _INTEGER.fullmatch(text):
                raise ReleaseValueError(f"{shown(text)} is no plain whole number", where)
            return int(text)
        # Times and fractions mean nothing here: as text they are told in messages as they stand.
        return text
