# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a service's releases are made of and how they run, as plain data that has been checked.

``release.yml`` of the service's source says it (see `spec_file`); the builder writes the same, checked and complete, as
``spec.json`` beside the content of a release, so that what starts the service needs no YAML. Both pass through `checked`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import DocumentError, ReleaseDamagedError
from ..files.checks import MAX_ITEMS, Section, boolean, line, list_of, matching, one_of
from ..files.document import Where
from ..text import shown

KINDS = ("python", "static", "files")
# In a release's content: the complete specification, and the packages that a python release brings.
SPEC_NAME = "spec.json"
PACKAGES = "packages"
RESERVED = (SPEC_NAME, PACKAGES)
# Servers that the tests of a release may ask for.
SERVERS = ("postgresql", "redis")

MAX_SPEC = 64 * 1024

_APP = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_URL_PATH = re.compile(r"/[!-~]{0,199}", re.ASCII)
_HEADER = re.compile(r"[A-Za-z0-9-]{1,60}", re.ASCII)
_PRINTABLE = re.compile(r"[ -~]{1,500}", re.ASCII)
# What the server itself says of a connection or an answer.
_SERVERS_OWN = {"connection", "content-length", "date", "keep-alive", "transfer-encoding", "x-release"}


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
    except (ValueError, RecursionError, DocumentError) as error:
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
    """Return the specification that plain data makes; raises DocumentError for the first thing that cannot be meant."""
    top = Section(values, (), set(Spec.__dataclass_fields__))
    kind = top.take("kind", one_of(KINDS))
    if kind is None:
        raise DocumentError(f"kind is missing: {', '.join(KINDS)}")
    python = kind == "python"
    foreign = {"python": ("root", "index"), "static": ("requirements", "start"), "files": ("requirements",)}
    top.refuse(f"a release of kind {kind} has none", *foreign[kind])
    start = top.take("start", _start)
    root = top.take("root", plain_path)
    if kind != "static" and start is None:
        raise DocumentError(f"start is missing: how what serves a release of kind {kind} starts")
    if not python and root is None:
        raise DocumentError(f"root is missing: the directory of what a release of kind {kind} serves")
    return Spec(
        kind=kind,
        files=top.take("files", list_of(plain_path)) or (),
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
    text = line(value, where)
    parts = text.split("/")
    if len(text) > 500 or any(part in ("", ".", "..") or len(part) > 200 for part in parts) or "\\" in text:
        raise DocumentError(f"{shown(text)} is no plain path below the service's directory", where)
    if text.startswith("-"):
        raise DocumentError(f"{shown(text)} looks like an option", where)
    if parts[0] in RESERVED:
        raise DocumentError(f"the name {parts[0]} is a release's own", where)
    return text


def _said(data: Mapping[str, Any]) -> dict[str, Any]:
    """What is not left at nothing."""
    pruned = {key: _said(value) if isinstance(value, Mapping) else value for key, value in data.items()}
    return {key: value for key, value in pruned.items() if value not in (None, "", (), {})}


def _start(value: object, where: Where) -> Start:
    keys = Section(value, where, set(Start.__dataclass_fields__))
    app = keys.take("app", _app)
    if app is None:
        raise DocumentError("is missing: the application, as module:attribute", (*where, "app"))
    return Start(
        app=app,
        factory=keys.take("factory", boolean) or False,
        headers=keys.take("headers", _headers) or {},
        seconds=keys.number("seconds", 30, 1, 120),
    )


def _health(value: object, where: Where) -> Health:
    keys = Section(value, where, set(Health.__dataclass_fields__))
    return Health(
        keys.take("path", matching(_URL_PATH, "path of a URL")) or "/health",
        keys.take("pages", list_of(matching(_URL_PATH, "path of a URL"))) or (),
    )


def _build(value: object, where: Where) -> Build:
    keys = Section(value, where, set(Build.__dataclass_fields__))
    commands = keys.take("commands", list_of(_command))
    if not commands:
        raise DocumentError("is missing: a list of commands, each a list of words", (*where, "commands"))
    return Build(commands, keys.take("requirements", plain_path) or "")


def _tests(value: object, where: Where) -> Tests:
    keys = Section(value, where, set(Tests.__dataclass_fields__))
    command = keys.take("command", _command)
    if command is None:
        raise DocumentError("is missing: a list of words", (*where, "command"))
    return Tests(
        command,
        keys.take("requirements", plain_path) or "",
        keys.take("needs", list_of(one_of(SERVERS))) or (),
    )


def _headers(value: object, where: Where) -> dict[str, str]:
    if not isinstance(value, Mapping) or len(value) > MAX_ITEMS:
        raise DocumentError(f"{shown(value)} is no mapping of names to values", where)
    found: dict[str, str] = {}
    for name, text in value.items():
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            raise DocumentError("that is no name of a header", (*where, str(name)[:60]), at_key=True)
        if name.lower() in _SERVERS_OWN:
            raise DocumentError("the server says that itself", (*where, name), at_key=True)
        found[name] = matching(_PRINTABLE, "value of a header")(text, (*where, name))
    return found


def _command(value: object, where: Where) -> tuple[str, ...]:
    words = list_of(line)(value, where)
    if not words:
        raise DocumentError("a command has at least one word", where)
    return words


def _app(value: object, where: Where) -> str:
    return matching(_APP, "application; one looks like package.module:attribute")(value, where)
