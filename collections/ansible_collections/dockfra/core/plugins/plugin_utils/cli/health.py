# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The state of the services as a container sees them over the network, for the commands that tell it.

What to ask comes from the topology: the role of the container has written it down (see `CONFIGURATION`).
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ...module_utils.answers.http import BoundedSocket, Bounds
from ...module_utils.errors import CommandError, LateError, TooMuchError
from ...module_utils.probes.probe import NAMELESS, Result, Target, answered, connected, probe_all, works
from .output import Style, table

CONFIGURATION = Path("/etc/dockfra/monitor/targets.json")

# The states of a service, the worst last: works; could not be asked; answers, and says that it does not work; is silent.
UP, UNKNOWN, DEGRADED, DOWN = STATES = ("up", "unknown", "degraded", "down")
# What is shown of one that cannot be asked, and whose container does not run.
STOPPED = "stopped"
COLOURS = {STOPPED: "red", UP: "green", UNKNOWN: "dim", DEGRADED: "yellow", DOWN: "red"}

# Bytes of an answer over TLS that are read: its status and headers are all that is looked at.
MAX_HEAD = 64 * 1024

# What a container is that does not run, in words by its state.
_STOPPED = {
    "created": "was never started",
    "paused": "is paused",
    "exited": "ended",
    "dead": "is dead",
    "removing": "is being removed",
    "restarting": "is started again",
}

_TARGET_FIELDS = {field.name for field in fields(Target)}
_HTTP_STATUS = re.compile(r"HTTP (\d{3})\b")


@dataclass(frozen=True)
class Route:
    """What the reverse proxy passes on.

    Attributes:
        service: to whom.
        path: what the paths begin with.
        strip: whether the service gets them without that.
        health: the service's own path that tells its health.
        below: the lowest HTTP status that means that it does not work.
    """

    service: str
    path: str
    strip: bool
    health: str
    below: int = 400

    def reach(self, pages: Iterable[str]) -> str:
        """A path at the proxy that the service answers with one of its pages, its health if that is passed on."""
        prefix = self.path.rstrip("/")
        if self.strip:
            return f"{prefix}{self.health}"
        return next((page for page in (self.health, *pages) if page.startswith(f"{prefix}/")), f"{prefix}/")


@dataclass(frozen=True)
class Configuration:
    """Whom to ask, and how.

    Attributes:
        services: every service of the platform.
        targets: the ports that can be reached from here, each with its name.
        pages: paths of web services that show that they do their work.
        routes: what the reverse proxy passes on.
        hostname: a name that the proxy's certificate is good for.
        authority: certificate of the authority that signed it.
        audit_logs: the services whose audit log is here.
    """

    services: tuple[str, ...]
    targets: tuple[tuple[str, Target], ...]
    pages: Mapping[str, Sequence[str]]
    routes: tuple[Route, ...]
    hostname: str
    authority: str
    audit_logs: tuple[str, ...]

    @classmethod
    def load(cls, path: Path | None = None) -> Configuration:
        """Read what the container's role has written; raises CommandError."""
        path = path or CONFIGURATION
        try:
            data = json.loads(path.read_bytes())
            return cls(
                tuple(data["services"]),
                tuple((entry["name"], _target(entry)) for entry in data["targets"]),
                data["pages"],
                tuple(_route(route) for route in data["routes"]),
                data["hostname"],
                data["authority"],
                tuple(data["audit_logs"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CommandError(
                f"{path} cannot be read ({type(error).__name__}); run site.yml again"
            ) from error


def _route(entry: Mapping[str, Any]) -> Route:
    return Route(**{field.name: entry[field.name] for field in fields(Route)})


def _target(entry: Mapping[str, Any]) -> Target:
    return Target(**{key: value for key, value in entry.items() if key in _TARGET_FIELDS})


def services(configuration: Configuration, timeout: float) -> list[dict[str, Any]]:
    """Ask every service at the same time and return their states as data.

    Args:
        configuration: whom to ask.
        timeout: seconds for all of it.
    """
    found: dict[str, list[dict[str, Any]]] = {target.service: [] for _name, target in configuration.targets}
    results = ask(configuration, [target for _name, target in configuration.targets], timeout)
    for (name, target), result in zip(configuration.targets, results, strict=True):
        state, detail = judge(result)
        found[target.service].append(
            {
                "port": name,
                "kind": target.kind,
                "address": f"{target.host}:{target.port}",
                "state": state,
                "detail": detail,
                "away": result.away,
                "milliseconds": result.milliseconds,
            }
        )
    for service in configuration.services:
        found.setdefault(service, [])
    return [
        {"service": service, "state": _worst(probe["state"] for probe in probes), "probes": probes}
        for service, probes in found.items()
    ]


def ask(configuration: Configuration, targets: Sequence[Target], timeout: float) -> list[Result]:
    """Ask targets at the same time; besides what `probe_all` knows there is the kind ``https``."""
    results: list[Result | None] = [None] * len(targets)
    plain = [number for number, target in enumerate(targets) if target.kind != "https"]
    secure = [number for number, target in enumerate(targets) if target.kind == "https"]
    deadline = time.monotonic() + timeout

    def asked(number: int) -> None:
        results[number] = _https(configuration, targets[number], timeout)

    threads = [threading.Thread(target=asked, args=(number,), daemon=True) for number in secure]
    for thread in threads:
        thread.start()
    for number, result in zip(plain, probe_all([targets[number] for number in plain], timeout), strict=True):
        results[number] = result
    for thread in threads:
        thread.join(max(0.0, deadline + 0.25 - time.monotonic()))
    late = f"no answer in {timeout:g} s"
    return [
        result or Result(target.service, target.kind, False, late, round(timeout * 1000))
        for target, result in zip(targets, list(results), strict=True)
    ]


def judge(result: Result) -> tuple[str, str]:
    """Return the state that a result stands for, and the detail to it."""
    if result.ok:
        return UP, result.detail
    if result.kind in ("http", "https") and _HTTP_STATUS.match(result.detail):
        return DEGRADED, result.detail
    return DOWN, result.detail


def _https(configuration: Configuration, target: Target, timeout: float) -> Result:
    # Only those who need them pay for them.
    import http.client
    import ssl

    begin = time.monotonic()
    ok, away = False, ""
    try:
        context = ssl.create_default_context(cadata=configuration.authority)
        with (
            connected(target.host, target.port, timeout) as connection,
            context.wrap_socket(connection, server_hostname=configuration.hostname) as secured,
        ):
            request = http.client.HTTPConnection(configuration.hostname, timeout=timeout)
            left = max(0.01, begin + timeout - time.monotonic())
            request.sock = BoundedSocket(secured, Bounds(target.service, MAX_HEAD, left))
            request.request("GET", target.path, headers={"User-Agent": "dockfra", "Connection": "close"})
            answer = request.getresponse()
            ok = works(answer.status, target.below)
            detail = answered(answer.status)
            if not ok:
                detail += f": {answer.reason or 'no reason given'}"
            detail += f", {secured.version()}"
    except ssl.SSLCertVerificationError as error:
        detail = f"its certificate is not good: {error.verify_message}"
    except socket.gaierror:
        away, detail = NAMELESS, f"nobody is called {target.host} here"
    except (TimeoutError, LateError):
        detail = f"no answer in {timeout:g} s"
    except TooMuchError as error:
        detail = str(error)
    except OSError as error:
        detail = (error.strerror or str(error) or type(error).__name__).lower()
    except (http.client.HTTPException, ValueError) as error:
        detail = f"the answer is not what https sends ({str(error) or type(error).__name__})"
    taken = round((time.monotonic() - begin) * 1000)
    return Result(target.service, target.kind, ok, " ".join(detail.split()), taken, away)


def joined(
    services: Iterable[Mapping[str, Any]],
    found: Mapping[str, Mapping[str, Any]],
    rooms: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return services as `health.services` has them, each with its ``container`` and ``room`` where these are known."""
    return [
        {
            **service,
            **{
                key: dict(known[service["service"]])
                for key, known in (("container", found), ("room", rooms))
                if service["service"] in known
            },
        }
        for service in services
    ]


def stopped(service: Mapping[str, Any]) -> str:
    """Return in words that a service's container does not run, and nothing where it does or nobody knows."""
    container = service.get("container") or {}
    state, code = container.get("state"), container.get("exit_code")
    if state == "exited" and code is not None:
        return f"its container ended with exit code {code}"
    if state == "restarting" and code is not None:
        return f"its container ended with exit code {code} and is started again"
    return f"its container {_STOPPED[state]}" if state in _STOPPED else ""


def failing(found: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a service does not work."""
    return any(service["state"] in (DEGRADED, DOWN) or stopped(service) for service in found)


def render(found: Sequence[Mapping[str, Any]], style: Style) -> str:
    """Return the services for people: a row for each port, and a line that sums up."""
    rows = []
    for service in found:
        container = stopped(service)
        for number, probe in enumerate(service["probes"]):
            first = number == 0
            rows.append(
                (
                    service["service"] if first else "",
                    probe["state"],
                    probe["port"],
                    str(probe["milliseconds"]),
                    f"{container}; {probe['detail']}" if first and container else probe["detail"],
                )
            )
        if not service["probes"]:
            state = STOPPED if container else UNKNOWN
            rows.append((service["service"], state, "-", "-", container or "not reachable from here"))
    return "\n".join(
        [table(style, ("SERVICE", "STATE", "PORT", "MS", "DETAIL"), rows, COLOURS), summary(found, style)]
    )


def summary(found: Sequence[Mapping[str, Any]], style: Style) -> str:
    """Return one line that sums up: how many services work, and the names of those that do not."""
    names: dict[str, list[str]] = {state: [] for state in STATES}
    for service in found:
        names[service["state"]].append(service["service"])
    parts = [f"{len(names[UP])} of {len(found)} services are up"]
    parts += [f"{state}: {', '.join(names[state])}" for state in (DOWN, DEGRADED) if names[state]]
    unseen = [service["service"] for service in found if service["state"] == UNKNOWN and stopped(service)]
    if unseen:
        parts.append(f"{STOPPED}: {', '.join(unseen)}")
    if others := [name for name in names[UNKNOWN] if name not in unseen]:
        parts.append(f"not reachable from here: {', '.join(others)}")
    return style.paint("; ".join(parts), "red" if failing(found) else "green")


def _worst(states: Iterable[str]) -> str:
    return max(states, key=STATES.index, default=UNKNOWN)
