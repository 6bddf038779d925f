# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Plain data that somebody wrote, taken apart by those who know what each part may be; what is wrong is told with its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from ..errors import DocumentError
from ..text import shown
from .document import Where

MAX_ITEMS = 100
MAX_TEXT = 1000

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

T = TypeVar("T")


class Section:
    """The keys of a mapping, each taken by who knows it."""

    def __init__(self, values: object, where: Where, known: set[str]) -> None:
        if not isinstance(values, Mapping):
            raise DocumentError(f"{shown(values)} is no mapping of keys to values", where)
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(str(key), sorted(known), 1, 0.5)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
                raise DocumentError(f"there is no such key; {hint}", (*where, str(key)[:60]), at_key=True)
        self._values, self._where = values, where

    def take(self, key: str, check: Callable[[object, Where], T]) -> T | None:
        if self._values.get(key) is None:
            return None
        return check(self._values[key], (*self._where, key))

    def number(self, key: str, default: int, least: int, most: int) -> int:
        value = self._values.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            where = (*self._where, key)
            raise DocumentError(f"{shown(value)} is no whole number from {least} to {most}", where)
        return value

    def refuse(self, reason: str, *keys: str) -> None:
        """Raise DocumentError where one of the keys is there."""
        for key in keys:
            if self._values.get(key) is not None:
                raise DocumentError(reason, (*self._where, key), at_key=True)


def list_of(check: Callable[[object, Where], T]) -> Callable[[object, Where], tuple[T, ...]]:
    def whole(value: object, where: Where) -> tuple[T, ...]:
        if not isinstance(value, list | tuple):
            raise DocumentError(f"{shown(value)} is no list", where)
        if len(value) > MAX_ITEMS:
            raise DocumentError(f"has more than {MAX_ITEMS} entries", where)
        return tuple(check(entry, (*where, position)) for position, entry in enumerate(value))

    return whole


def one_of(choices: tuple[str, ...]) -> Callable[[object, Where], str]:
    def one(value: object, where: Where) -> str:
        if not isinstance(value, str) or value not in choices:
            near = difflib.get_close_matches(str(value)[:60], choices, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(choices)}"
            raise DocumentError(f"{shown(value)} is not known; {hint}", where)
        return value

    return one


def matching(pattern: re.Pattern[str], what: str) -> Callable[[object, Where], str]:
    def text(value: object, where: Where) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise DocumentError(f"{shown(value)} is no {what}", where)
        return value

    return text


def boolean(value: object, where: Where) -> bool:
    if not isinstance(value, bool):
        raise DocumentError(f"{shown(value)} is neither true nor false", where)
    return value


def line(value: object, where: Where) -> str:
    if not isinstance(value, str) or not value or len(value) > MAX_TEXT or _CONTROL.search(value):
        raise DocumentError(f"{shown(value)} is no text of 1 to {MAX_TEXT} signs in one line", where)
    return value
