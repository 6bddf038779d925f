# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A YAML document that somebody wrote, as plain data and the line of each of its parts.

It is bounded, has no aliases (which could make it large) and no tags (which could make objects). A key stands once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from ..errors import DockfraError, DocumentError, MisplacedError
from ..text import shown

Where = tuple["str | int", ...]
T = TypeVar("T")

_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]{0,8})", re.ASCII)
_WORDS: Mapping[str, bool] = {
    "true": True,
    "yes": True,
    "on": True,
    "false": False,
    "no": False,
    "off": False,
}
# Halves of surrogate pairs have no form in UTF-8; an escape can write them.
_HALVES = re.compile("[\ud800-\udfff]")
_TAG = "tag:yaml.org,2002:"


class Bounds(NamedTuple):
    """What a document may be.

    Attributes:
        size: bytes.
        nodes: values and collections.
        depth: levels.
    """

    size: int
    nodes: int = 2000
    depth: int = 8


def parse(data: bytes, bounds: Bounds, check: Callable[[object], T]) -> tuple[T, Lines]:
    """Return what a document says, checked, and where its parts stand.

    Args:
        data: the document.
        bounds: what it may be.
        check: makes of plain data what it stands for; raises DocumentError with the place of what is wrong.

    Raises:
        MisplacedError: it cannot be meant; knows the line.
        DockfraError: PyYAML is missing.
    """
    lines = Lines({(): 1}, {})
    try:
        return check(_Document(_text(data, bounds, lines), bounds, lines).values()), lines
    except DocumentError as error:
        raise MisplacedError(lines.of_error(error), str(error)) from error


class Lines(NamedTuple):
    """The lines of values and of keys, by the keys and positions that lead to them."""

    values: dict[Where, int]
    keys: dict[Where, int]

    def of(self, where: Where) -> int:
        """The line of a value, or of the nearest that surrounds it."""
        while where and where not in self.values:
            where = where[:-1]
        return self.values.get(where, 1)

    def of_error(self, error: DocumentError) -> int:
        """The line of what is wrong."""
        return (self.keys.get(error.where, 0) if error.at_key else 0) or self.of(error.where)


def _text(data: bytes, bounds: Bounds, lines: Lines) -> str:
    if len(data) > bounds.size:
        raise DocumentError(f"there are more than {bounds.size} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        lines.values[()] = data.count(b"\n", 0, error.start) + 1
        raise DocumentError("that is no UTF-8") from error


class _Document:
    """One YAML document on its way to plain data."""

    def __init__(self, text: str, bounds: Bounds, lines: Lines) -> None:
        self._text, self._bounds = text, bounds
        self._lines, self._keys = lines

    def values(self) -> object:
        # Only who reads what people write needs it; what starts a service has no YAML.
        try:
            import yaml
        except ImportError as error:
            raise DockfraError(f"The Python library PyYAML is missing ({error}).") from error
        try:
            self._bound(yaml)
            node = yaml.compose(self._text, Loader=yaml.SafeLoader)
        # PyYAML lets through what its own conversions raise, such as for a sign beyond Unicode.
        except (yaml.YAMLError, ValueError, ArithmeticError) as error:
            mark = getattr(error, "problem_mark", None)
            self._lines[()] = mark.line + 1 if mark else 1
            problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
            raise DocumentError(f"that is no YAML: {problem}") from error
        if node is None:
            raise DocumentError("the file is empty")
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
                raise DocumentError("anchors and aliases are not read here")
            if nodes > self._bounds.nodes or depth > self._bounds.depth:
                raise DocumentError(
                    f"that is more than {self._bounds.nodes} values or {self._bounds.depth} levels"
                )
        self._lines[()] = 1

    def _value(self, yaml: Any, node: Any, where: Where) -> object:
        self._lines[where] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return dict(self._entry(yaml, key, value, where) for key, value in self._unique(node, where))
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self._value(yaml, entry, (*where, index)) for index, entry in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag.startswith(_TAG):
            return self._scalar(node.tag.removeprefix(_TAG), node.value, where)
        raise DocumentError(f"the tag {shown(node.tag)} is not read here", where)

    def _unique(self, node: Any, where: Where) -> Iterator[tuple[Any, Any]]:
        seen: set[str] = set()
        for key, value in node.value:
            text = key.value if isinstance(key.value, str) else ""
            self._keys[(*where, text[:60])] = key.start_mark.line + 1
            if not text or text in seen:
                reason = "the key stands there twice" if text else "a key is a word"
                raise DocumentError(reason, (*where, text[:60]), at_key=True)
            if _HALVES.search(text):
                raise DocumentError("a key has half of a sign", (*where, text[:60]), at_key=True)
            seen.add(text)
            yield key, value

    def _entry(self, yaml: Any, key: Any, value: Any, where: Where) -> tuple[str, object]:
        return key.value, self._value(yaml, value, (*where, key.value))

    def _scalar(self, kind: str, text: str, where: Where) -> object:
        if kind == "null":
            return None
        if kind == "bool":
            if text.lower() not in _WORDS:
                raise DocumentError(f"{shown(text)} is neither true nor false", where)
            return _WORDS[text.lower()]
        if kind == "int":
            if not _INTEGER.fullmatch(text):
                raise DocumentError(f"{shown(text)} is no plain whole number", where)
            return int(text)
        if _HALVES.search(text):
            raise DocumentError(f"{shown(text)} has a sign that is none by itself (half of a pair)", where)
        # Times and fractions mean nothing here: as text they are told in messages as they stand.
        return text
