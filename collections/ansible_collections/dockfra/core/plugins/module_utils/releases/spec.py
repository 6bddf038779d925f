# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a service's releases are made of and how they run, as plain data that has been checked.

``release.yml`` of the service's source says it (see `spec_file`); the builder writes the same, checked and complete, as
``spec.json`` beside the content of a release, so that what starts the service needs no YAML. Both pass through `checked`.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from ..errors import ReleaseDamagedError, ReleaseValueError
from ..text import shown

KINDS = ("python", "static", "files")
# In a release's content: the complete specification, and the packages that a python release brings.
SPEC_NAME = "spec.json"
PACKAGES = "packages"
RESERVED = (SPEC_NAME, PACKAGES)
# Servers that the tests of a release may ask for.
SERVERS = ("postgresql", "redis")

MAX_SPEC = 64 * 1024
_MAX_ITEMS = 100
_MAX_TEXT = 1000

_APP = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_URL_PATH = re.compile(r"/[!-~]{0,199}", re.ASCII)
_HEADER = re.compile(r"[A-Za-z0-9-]{1,60}", re.ASCII)
_PRINTABLE = re.compile(r"[ -~]{1,500}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# What the server itself says of a connection or an answer.
_SERVERS_OWN = {"connection", "content-length", "date", "keep-alive", "transfer-encoding", "x-release"}

T = TypeVar("T")
Where = tuple["str | int", ...]


@dataclass(frozen=True)
class Start:
    """How the application of a release starts.

    Attributes:
        app: the ASGI application, ``module:attribute``.
        factory: whether that is a function that returns it.
        headers: what each answer says beside what the application says.
        seconds: how long it may take until it is healthy.
    """

    app: str
    factory: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: int = 30


@dataclass(frozen=True)
class Health:
    """How a release proves that it works.

    Attributes:
        path: answers 200.
        pages: further paths, each of which answers below 400.
    """

    path: str = "/health"
    pages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Build:
    """How what is not in the source is made: command lines in the service's directory, in turn, and packages for them."""

    commands: tuple[tuple[str, ...], ...]
    requirements: str = ""


@dataclass(frozen=True)
class Tests:
    """How a release is tested: a command line in the service's directory, packages for it, servers it needs."""

    command: tuple[str, ...]
    requirements: str = ""
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spec:
    """A service's ``release.yml``.

    Attributes:
        kind: python (an ASGI application and its packages), static (pages of a web server) or files (what the application
            that the image brought serves).
        files: what of the service's directory goes into a release; everything where it is empty.
        build: what the builder does there before.
        requirements: pinned packages with hashes, which go into a python release.
        root: the directory of pages or files, of the kinds static and files.
        index: a file in it that has to be there.
        drain_seconds: how long what the old release has begun may take.
        settle_seconds: how long a new release is watched: one that ends meanwhile is taken back.
        schema_min: the oldest state of the database's tables that a release has to know to work with what this one makes of them.
    """

    kind: str
    files: tuple[str, ...] = ()
    build: Build | None = None
    requirements: str = ""
    test: Tests | None = None
    start: Start | None = None
    root: str = ""
    index: str = ""
    health: Health = Health()
    drain_seconds: int = 30
    settle_seconds: int = 5
    schema_min: int = 0

    @property
    def start_seconds(self) -> int:
        """How long it may take until a release of this kind is healthy."""
        return self.start.seconds if self.start else 30

    def to_json(self) -> bytes:
        """Return it as `from_json` reads it."""
        return json.dumps(_said(asdict(self)), indent=1, sort_keys=True).encode()


def from_json(data: bytes) -> Spec:
    """Return what `Spec.to_json` wrote, checked again; raises ReleaseDamagedError for anything else."""
    try:
        return checked(json.loads(data))
    except (ValueError, RecursionError, ReleaseValueError) as error:
        raise ReleaseDamagedError(f"{SPEC_NAME} of the release is damaged: {error}") from error


def load(content: str | os.PathLike[str]) -> Spec:
    """Return the specification of a release from its content directory; raises ReleaseDamagedError."""
    path = os.path.join(content, SPEC_NAME)
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_SPEC + 1)
    except OSError as error:
        raise ReleaseDamagedError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > MAX_SPEC:
        raise ReleaseDamagedError(f"{path} has more than {MAX_SPEC} bytes.")
    return from_json(data)


def checked(values: object) -> Spec:
    """Return the specification that plain data makes; raises ReleaseValueError for the first thing that cannot be meant."""
    top = _Section(values, (), set(Spec.__dataclass_fields__))
    kind = top.take("kind", _one_of(KINDS))
    if kind is None:
        raise ReleaseValueError(f"kind is missing: {', '.join(KINDS)}")
    python = kind == "python"
    top.only(python, kind, "requirements")
    top.only(kind != "static", kind, "start")
    top.only(not python, kind, "root", "index")
    start = top.take("start", _start)
    root = top.take("root", plain_path)
    if kind != "static" and start is None:
        raise ReleaseValueError(f"start is missing: how what serves a release of kind {kind} starts")
    if not python and root is None:
        raise ReleaseValueError(f"root is missing: the directory of what a release of kind {kind} serves")
    return Spec(
        kind=kind,
        files=top.take("files", _list(plain_path)) or (),
        build=top.take("build", _build),
        requirements=top.take("requirements", plain_path) or "",
        test=top.take("test", _tests),
        start=start,
        root=root or "",
        index=top.take("index", plain_path) or ("index.html" if kind == "static" else ""),
        health=top.take("health", _health) or Health(),
        # Never shorter than an idle connection lives at a proxy, see the supervisor.
        drain_seconds=top.number("drain_seconds", 30, 3, 120),
        settle_seconds=top.number("settle_seconds", 1 if kind == "static" else 5, 0, 60),
        schema_min=top.number("schema_min", 0, 0, 9999),
    )


def plain_path(value: object, where: Where) -> str:
    """Return a path that stays within a service's directory and collides with nothing of a release."""
    text = _text(value, where)
    parts = text.split("/")
    if len(text) > 500 or any(part in ("", ".", "..") or len(part) > 200 for part in parts) or "\\" in text:
        raise ReleaseValueError(f"{shown(text)} is no plain path below the service's directory", where)
    if text.startswith("-"):
        raise ReleaseValueError(f"{shown(text)} looks like an option", where)
    if parts[0] in RESERVED:
        raise ReleaseValueError(f"the name {parts[0]} is a release's own", where)
    return text


def _said(data: Mapping[str, Any]) -> dict[str, Any]:
    """What is not left at nothing."""
    pruned = {key: _said(value) if isinstance(value, Mapping) else value for key, value in data.items()}
    return {key: value for key, value in pruned.items() if value not in (None, "", (), {})}


class _Section:
    """The keys of a mapping, each taken by who knows it."""

    def __init__(self, values: object, where: Where, known: set[str]) -> None:
        if not isinstance(values, Mapping):
            raise ReleaseValueError(f"{shown(values)} is no mapping of keys to values", where)
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(str(key), sorted(known), 1, 0.5)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
                raise ReleaseValueError(f"there is no such key; {hint}", (*where, str(key)[:60]), at_key=True)
        self._values, self._where = values, where

    def take(self, key: str, check: Callable[[object, Where], T]) -> T | None:
        if self._values.get(key) is None:
            return None
        return check(self._values[key], (*self._where, key))

    def number(self, key: str, default: int, least: int, most: int) -> int:
        value = self._values.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            where = (*self._where, key)
            raise ReleaseValueError(f"{shown(value)} is no whole number from {least} to {most}", where)
        return value

    def only(self, holds: bool, kind: str, *keys: str) -> None:
        for key in keys:
            if not holds and self._values.get(key) is not None:
                raise ReleaseValueError(
                    f"a release of kind {kind} has none", (*self._where, key), at_key=True
                )


def _start(value: object, where: Where) -> Start:
    keys = _Section(value, where, set(Start.__dataclass_fields__))
    app = keys.take("app", _app)
    if app is None:
        raise ReleaseValueError("is missing: the application, as module:attribute", (*where, "app"))
    return Start(
        app=app,
        factory=keys.take("factory", _boolean) or False,
        headers=keys.take("headers", _headers) or {},
        seconds=keys.number("seconds", 30, 1, 120),
    )


def _health(value: object, where: Where) -> Health:
    keys = _Section(value, where, set(Health.__dataclass_fields__))
    return Health(
        keys.take("path", _matching(_URL_PATH, "path of a URL")) or "/health",
        keys.take("pages", _list(_matching(_URL_PATH, "path of a URL"))) or (),
    )


def _build(value: object, where: Where) -> Build:
    keys = _Section(value, where, set(Build.__dataclass_fields__))
    commands = keys.take("commands", _list(_command))
    if not commands:
        raise ReleaseValueError("is missing: a list of commands, each a list of words", (*where, "commands"))
    return Build(commands, keys.take("requirements", plain_path) or "")


def _tests(value: object, where: Where) -> Tests:
    keys = _Section(value, where, set(Tests.__dataclass_fields__))
    command = keys.take("command", _command)
    if command is None:
        raise ReleaseValueError("is missing: a list of words", (*where, "command"))
    return Tests(
        command,
        keys.take("requirements", plain_path) or "",
        keys.take("needs", _list(_one_of(SERVERS))) or (),
    )


def _headers(value: object, where: Where) -> dict[str, str]:
    if not isinstance(value, Mapping) or len(value) > _MAX_ITEMS:
        raise ReleaseValueError(f"{shown(value)} is no mapping of names to values", where)
    found: dict[str, str] = {}
    for name, text in value.items():
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            raise ReleaseValueError("that is no name of a header", (*where, str(name)[:60]), at_key=True)
        if name.lower() in _SERVERS_OWN:
            raise ReleaseValueError("the server says that itself", (*where, name), at_key=True)
        found[name] = _matching(_PRINTABLE, "value of a header")(text, (*where, name))
    return found


def _command(value: object, where: Where) -> tuple[str, ...]:
    words = _list(_text)(value, where)
    if not words:
        raise ReleaseValueError("a command has at least one word", where)
    return words


def _list(check: Callable[[object, Where], T]) -> Callable[[object, Where], tuple[T, ...]]:
    def whole(value: object, where: Where) -> tuple[T, ...]:
        if not isinstance(value, list | tuple):
            raise ReleaseValueError(f"{shown(value)} is no list", where)
        if len(value) > _MAX_ITEMS:
            raise ReleaseValueError(f"has more than {_MAX_ITEMS} entries", where)
        return tuple(check(entry, (*where, position)) for position, entry in enumerate(value))

    return whole


def _one_of(choices: tuple[str, ...]) -> Callable[[object, Where], str]:
    def one(value: object, where: Where) -> str:
        if not isinstance(value, str) or value not in choices:
            near = difflib.get_close_matches(str(value)[:60], choices, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(choices)}"
            raise ReleaseValueError(f"{shown(value)} is not known; {hint}", where)
        return value

    return one


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[object, Where], str]:
    def text(value: object, where: Where) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ReleaseValueError(f"{shown(value)} is no {what}", where)
        return value

    return text


def _app(value: object, where: Where) -> str:
    return _matching(_APP, "application; one looks like package.module:attribute")(value, where)


def _boolean(value: object, where: Where) -> bool:
    if not isinstance(value, bool):
        raise ReleaseValueError(f"{shown(value)} is neither true nor false", where)
    return value


def _text(value: object, where: Where) -> str:
    if not isinstance(value, str) or not value or len(value) > _MAX_TEXT or _CONTROL.search(value):
        raise ReleaseValueError(f"{shown(value)} is no text of 1 to {_MAX_TEXT} signs in one line", where)
    return value
