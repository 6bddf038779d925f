# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What goes over the line between a builder and whoever asks it for a build.

```text
POST /build?tests=yes&service=backend:backend&service=mobile-backend:mobile-backend     the tree of a commit, as tar
200  {"event": "begin", "service": "backend", "step": "packages", "elapsed": 0.4}      one JSON object in a line
     {"event": "archive", "service": "backend", "size": 123}                           and then so many bytes
     {"event": "done"}                                                                 or "failed", and nothing behind it
409  another build is under way
503  one has just ended; soon there is room
```

The builder runs foreign code. It keeps that from its own process, but whoever listens does not rely on that: `Reader` takes
nothing that is not expected, and no more of anything than is declared here.
"""

from __future__ import annotations

import json
import re
import socket
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from ..errors import BuildAnswerError, ReleaseInvalidError, UsageError
from ..releases.archive import Limits
from ..releases.ids import checked_service
from ..text import finite, shown

PATH = "/build"
HEALTH = "/health"

# What the tree of a commit may have.
TREE = Limits(archive=128 * 1024 * 1024, content=192 * 1024 * 1024, members=20_000)
MAX_SERVICES = 16

# The steps of a build, in their order; each service has those that its release.yml asks for.
STEPS = ("receive", "spec", "build", "packages", "compile", "test", "archive")

# Bytes of a line, of all lines together, and of the log that one of them may have.
MAX_LINE = 128 * 1024
MAX_LINES = 8 * 1024 * 1024
MAX_LOG = 16 * 1024
MAX_TEXT = 300

# After how many seconds without a word the other side is asked whether it is there, how often, and how many times; see tcp(7).
_KEEPALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}

_PATH = re.compile(r"[A-Za-z0-9._+@~-]{1,100}(/[A-Za-z0-9._+@~-]{1,100}){0,9}", re.ASCII)
_TERMINAL = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)", re.DOTALL)
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def notice_gone(connection: socket.socket) -> None:
    """Let a connection fail soon after its other side went away without a word, as a container's network does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


@dataclass(frozen=True)
class Order:
    """What is to be built.

    Attributes:
        services: their directories in the tree, by name.
        tests: whether they are tested.

    Raises:
        UsageError: that cannot be meant.
    """

    services: Mapping[str, str]
    tests: bool = True

    def __post_init__(self) -> None:
        if not 0 < len(self.services) <= MAX_SERVICES:
            raise UsageError(f"a build is of 1 to {MAX_SERVICES} services, not {len(self.services)}")
        for name, path in self.services.items():
            try:
                checked_service(name)
            except ReleaseInvalidError as error:
                raise UsageError(str(error)) from error
            if not _PATH.fullmatch(path) or any(part in (".", "..") for part in path.split("/")):
                raise UsageError(f"{shown(path)} is no plain path of a directory in the tree")

    def target(self) -> str:
        """Return path and query of its request."""
        pairs = [("tests", "yes" if self.tests else "no")]
        pairs += [("service", f"{name}:{path}") for name, path in self.services.items()]
        return f"{PATH}?{urlencode(pairs)}"

    @classmethod
    def from_query(cls, query: str) -> Order:
        """Return what a query asks for; raises UsageError where that cannot be meant."""
        try:
            pairs = parse_qsl(
                query, keep_blank_values=True, strict_parsing=True, max_num_fields=MAX_SERVICES + 1
            )
        except ValueError as error:
            raise UsageError(f"the query cannot be read: {error}") from error
        tests = [value for key, value in pairs if key == "tests"]
        services = [value.partition(":") for key, value in pairs if key == "service"]
        if tests not in (["yes"], ["no"]) or len(services) + 1 != len(pairs):
            raise UsageError("a query has tests=yes or tests=no, and service=NAME:PATH for each service")
        found = {name: path for name, _colon, path in services}
        if len(found) != len(services):
            raise UsageError("a service stands there twice")
        return cls(found, tests == ["yes"])


def line(event: str, **values: Any) -> bytes:
    """Return an event as it goes over the line."""
    return json.dumps({"event": event, **values}, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def cleaned(text: str, most: int = MAX_TEXT) -> str:
    """Return the end of a text as it may be shown: without terminal sequences and signs that nobody sees."""
    lines = _TERMINAL.sub("", text).replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    plain = "".join(
        sign for sign in lines if sign == "\n" or (sign.isascii() and sign.isprintable()) or _seen(sign)
    )
    return plain.strip("\n").encode("utf-8", "replace")[-most:].decode("utf-8", "ignore")


def _seen(sign: str) -> bool:
    return not sign.isascii() and unicodedata.category(sign) not in _HIDDEN


class Step(NamedTuple):
    """A step that has ended."""

    service: str
    step: str
    seconds: float
    ok: bool


@dataclass(frozen=True)
class Failure:
    """Why there is no release: of which service, at which step, and the end of what that said."""

    service: str
    step: str
    reason: str
    log: str = ""


@dataclass
class Reader:
    """Takes the lines of an answer one by one, each checked.

    Attributes:
        services: those that were asked for.
        steps: what has ended so far.
        archives: the services whose archive was announced.
        failure: why there will be none.
        done: whether the builder has said its last word.
    """

    services: Sequence[str]
    steps: list[Step] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)
    failure: Failure | None = None
    done: bool = False

    def take(self, data: bytes) -> dict[str, Any]:
        """Return the event of a line, with the keys that it has and no others.

        Raises:
            BuildAnswerError: that is no line of a builder, or none that can come now.
        """
        try:
            values = json.loads(data)
            found = self._event(values)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BuildAnswerError(f"the builder says {shown(data[:60].decode(errors='replace'))}") from error
        return found

    def _event(self, values: Any) -> dict[str, Any]:
        if self.done:
            raise ValueError("nothing comes behind the last word")
        event = values["event"]
        if event == "done":
            if sorted(self.archives) != sorted(self.services):
                raise ValueError("an archive is missing")
            self.done = True
            return {"event": event}
        if event == "archive":
            return self._archive(values)
        where = {"event": event, "service": self._service(values), "step": _step(values["step"])}
        if event == "failed":
            self.failure = Failure(
                where["service"], where["step"], _word(values["reason"]), cleaned(values["log"], MAX_LOG)
            )
            self.done = True
            return {**where, "reason": self.failure.reason}
        if event not in ("begin", "output", "end"):
            raise ValueError("no event")
        found = {**where, "text": "", "elapsed": _seconds(values["elapsed"])}
        if event == "output":
            found["text"] = _word(values["text"])
        if event == "end":
            found["seconds"], found["ok"] = _seconds(values["seconds"]), values["ok"] is True
            if len(self.steps) >= (len(self.services) + 1) * len(STEPS):
                raise ValueError("too many steps")
            self.steps.append(Step(where["service"], where["step"], found["seconds"], found["ok"]))
        return found

    def _archive(self, values: Any) -> dict[str, Any]:
        service, size = self._service(values), values["size"]
        if not service or service in self.archives:
            raise ValueError("an archive that nobody waits for")
        if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
            raise ValueError("no size")
        self.archives.append(service)
        return {"event": "archive", "service": service, "size": size}

    def _service(self, values: Any) -> str:
        """The service, empty for what concerns all."""
        service = values["service"]
        if service != "" and service not in self.services:
            raise ValueError("no service")
        return str(service)


def _step(value: Any) -> str:
    if value not in STEPS:
        raise ValueError("no step")
    return str(value)


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return cleaned(value).replace("\n", " ")


def _seconds(value: Any) -> float:
    return min(max(0.0, finite(value)), 1e6)
