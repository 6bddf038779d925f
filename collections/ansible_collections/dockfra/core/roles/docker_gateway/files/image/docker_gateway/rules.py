# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What may be asked of the Docker Engine.

A request is taken apart into what is listed here, and a new one is made of that: nothing that was sent reaches the engine as
it came, neither path, query, headers nor body. Whatever is not listed is refused. The names are those of the Docker
Engine API, https://docs.docker.com/reference/api/engine/version/v1.41/.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# The label of what belongs to a platform (module_utils/containers/labels.py of the collection).
LABEL = "dockfra.project"

# The oldest version of the API that may be named. Before it, a start could bring a new HostConfig along.
OLDEST_API = 24

# The longest that a stop may wait before it kills, in seconds.
LONGEST_STOP = 600

_MAX_PARAMETERS = 16
_MAX_FILTER_VALUES = 32

# Segments of plain letters: nothing encoded, no empty one, none that begins with a dot.
_PATH = re.compile(r"(?:/v1\.(?P<version>[1-9][0-9]{0,2}))?(?P<path>(?:/[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})+)")
_CONTAINER = re.compile(r"/containers/(?P<container>[A-Za-z0-9][A-Za-z0-9_.-]*)/(?P<verb>[a-z]+)")

# Headers by which a request asks for more than an answer, or announces a body.
_MORE_THAN_AN_ANSWER = ("upgrade", "http2-settings", "expect", "transfer-encoding", "trailer", "te")


class Refused(Exception):
    """The request is not among those that pass.

    Args:
        message: one line for whoever asked.
        status: of HTTP.
    """

    def __init__(self, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Request:
    """What is asked, once it was admitted.

    Attributes:
        verb: one of `VERBS`.
        method: of HTTP.
        version: of the API, as ``41`` for 1.41, or None for the engine's own.
        container: what the client calls it, empty for requests about none.
        query: what goes along.
    """

    verb: str
    method: str
    version: int | None
    container: str
    query: Mapping[str, str]

    @property
    def changes(self) -> bool:
        """Whether it changes something."""
        return self.method == "POST"

    @property
    def streams(self) -> bool:
        """Whether the answer goes on until somebody ends it."""
        if self.verb == "logs":
            return _is_true(self.query.get("follow", ""))
        return self.verb == "events" or (
            self.verb == "stats" and _is_true(self.query.get("stream") or "true")
        )

    def target(self, identity: str = "") -> str:
        """The path and query for the engine; ``identity`` is the container's full id."""
        path = {"ping": "/_ping", "list": "/containers/json"}.get(self.verb) or (
            f"/containers/{identity}/{self.verb}" if self.container else f"/{self.verb}"
        )
        prefix = "" if self.version is None else f"/v1.{self.version}"
        query = urllib.parse.urlencode(self.query)
        return f"{prefix}{path}{'?' if query else ''}{query}"


# What a parameter may be. A check returns the value that goes on, or raises ValueError.
Check = Callable[[str, str], str]


def _is_true(value: str) -> bool:
    """As the engine reads it (httputils.BoolValue)."""
    return value.strip().lower() not in ("", "0", "no", "false", "none")


def _matching(pattern: str) -> Check:
    expression = re.compile(pattern)

    def check(value: str, _project: str) -> str:
        if not expression.fullmatch(value):
            raise ValueError
        return value

    return check


def _seconds(value: str, _project: str) -> str:
    if not re.fullmatch(r"[0-9]{1,4}", value) or int(value) > LONGEST_STOP:
        raise ValueError
    return value


def _filters(allowed: Iterable[str], forced: Mapping[str, str]) -> Check:
    """Filters of these names, and beside them the platform's label and what else is forced."""
    names = frozenset(allowed)

    def check(value: str, project: str) -> str:
        asked = _filter_values(value)
        if not set(asked) <= names:
            raise ValueError
        for name, only in forced.items():
            if asked.setdefault(name, [only]) != [only]:
                raise ValueError
        # Several labels are all wanted at once.
        asked["label"] = list(dict.fromkeys([*asked.get("label", ()), f"{LABEL}={project}"]))
        return json.dumps({name: dict.fromkeys(values, True) for name, values in asked.items()})

    return check


def _filter_values(text: str) -> dict[str, list[str]]:
    """Read filters in either form that clients write: ``{"label": ["a"]}`` or ``{"label": {"a": true}}``."""
    try:
        filters: Any = json.loads(text or "{}")
    except RecursionError as error:
        raise ValueError from error
    if not isinstance(filters, dict):
        raise ValueError
    found = {}
    for name, values in filters.items():
        if isinstance(values, dict):
            if not all(value is True for value in values.values()):
                raise ValueError
        elif not isinstance(values, list):
            raise ValueError
        wanted = list(values)
        if len(wanted) > _MAX_FILTER_VALUES:
            raise ValueError
        if not all(isinstance(value, str) and value.isprintable() for value in wanted):
            raise ValueError
        if wanted:
            found[name] = wanted
    return found


# What `docker top` may show of a process.
_COLUMN = (
    r"pid|ppid|pgid|sid|user|uid|group|gid|comm|args|cmd|command|s|stat|state|start|stime|lstart|time"
    r"|etime|etimes|pcpu|%cpu|pmem|%mem|rss|vsz|sz|ni|pri|nlwp|psr|tty|tname|wchan"
)
# Arguments of ps(1), which the engine runs as root on the host: none that shows a process's environment.
_PS = _matching(rf"-ef|aux|-e?o ?(?:{_COLUMN})(?:,(?:{_COLUMN}))*")

_FLAG = _matching("|0|1|true|false|True|False")
_TIME = _matching(r"[0-9A-Za-z.:+-]{0,40}")
_COUNT = _matching(r"-?[0-9]{1,6}")

_LISTED = ("expose", "exited", "health", "id", "label", "name", "network", "publish", "status", "volume")
_HAPPENED = ("container", "event", "label", "type")

# What may be asked: the methods, and what may go along. Filters that are always there are made where none were sent.
VERBS: Mapping[str, tuple[Sequence[str], Mapping[str, Check]]] = {
    "ping": (("GET", "HEAD"), {}),
    "version": (("GET",), {}),
    "events": (
        ("GET",),
        {"since": _TIME, "until": _TIME, "filters": _filters(_HAPPENED, {"type": "container"})},
    ),
    "list": (
        ("GET",),
        {"all": _FLAG, "limit": _COUNT, "size": _FLAG, "filters": _filters(_LISTED, {})},
    ),
    "json": (("GET",), {"size": _FLAG}),
    "logs": (
        ("GET",),
        {
            "follow": _FLAG,
            "stdout": _FLAG,
            "stderr": _FLAG,
            "timestamps": _FLAG,
            "details": _FLAG,
            "since": _TIME,
            "until": _TIME,
            "tail": _matching("|all|[0-9]{1,9}"),
        },
    ),
    "top": (("GET",), {"ps_args": _PS}),
    "stats": (("GET",), {"stream": _FLAG, "one-shot": _FLAG}),
    "start": (("POST",), {}),
    "stop": (("POST",), {"t": _seconds}),
    "restart": (("POST",), {"t": _seconds}),
}
_WITHOUT_CONTAINER = {
    "/_ping": "ping",
    "/version": "version",
    "/events": "events",
    "/containers/json": "list",
}
_OF_A_CONTAINER = frozenset(VERBS) - set(_WITHOUT_CONTAINER.values())

PASSES = "what passes is ps, inspect, logs, top, stats, events, version, start, stop and restart"


def admitted(method: str, target: str, headers: Iterable[tuple[str, str]], project: str) -> Request:
    """Return what a request asks; raises Refused where it is not listed.

    Args:
        method: as it was sent.
        target: path and query, as they were sent.
        headers: names in lower case, with values.
        project: the platform.
    """
    path, sign, query = target.partition("?")
    found = _PATH.fullmatch(path)
    if found is None:
        raise Refused(f"the path is none that passes; {PASSES}")
    version = int(found["version"]) if found["version"] else None
    if version is not None and version < OLDEST_API:
        raise Refused(f"version 1.{version} of the API does not pass; 1.{OLDEST_API} is the oldest that does")
    verb, container = _meant(found["path"])
    methods, checks = VERBS[verb]
    if method not in methods:
        raise Refused(f"{method[:10]} does not pass for {verb}; {' or '.join(methods)} does")
    _plain(headers)
    return Request(verb, method, version, container, _checked(query if sign else "", checks, project))


def _plain(headers: Iterable[tuple[str, str]]) -> None:
    """Raise Refused where headers ask for more than an answer, or announce a body."""
    for name, value in headers:
        if (
            name in _MORE_THAN_AN_ANSWER
            or (name == "content-length" and value.strip("0"))
            or (name == "connection" and "upgrade" in value.lower())
        ):
            raise Refused(f"the header {name} does not pass")


def _meant(path: str) -> tuple[str, str]:
    """The verb of a path, and its container."""
    if verb := _WITHOUT_CONTAINER.get(path):
        return verb, ""
    found = _CONTAINER.fullmatch(path)
    if found is None or found["verb"] not in _OF_A_CONTAINER:
        raise Refused(f"{path[:60]} does not pass; {PASSES}")
    return found["verb"], found["container"]


def _checked(query: str, checks: Mapping[str, Check], project: str) -> dict[str, str]:
    """The parameters that go on; raises Refused where one is not listed, comes twice or has another value."""
    try:
        pairs = urllib.parse.parse_qsl(
            query,
            keep_blank_values=True,
            strict_parsing=bool(query),
            max_num_fields=_MAX_PARAMETERS,
            errors="strict",
        )
    except ValueError as error:
        raise Refused("the query cannot be read") from error
    sent = dict(pairs)
    if len(sent) < len(pairs):
        raise Refused("a parameter comes twice")
    if "filters" in checks:
        sent.setdefault("filters", "")
    values = {}
    for name, value in sent.items():
        check = checks.get(name)
        try:
            if check is None:
                raise ValueError
            values[name] = check(value, project)
        except ValueError as error:
            raise Refused(f"the parameter {name[:30]!a} does not pass with this value") from error
    return values
