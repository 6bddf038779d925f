# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the monitor tells the application of its deploys, for the application's own list of them.

A deploy is on the disk before it is told, and goes from there once the application has it: what cannot be told now is told
with the next, or by `announce_all`. The application knows a deploy by its id, so telling it twice does no harm. Where the
inventory names no application that lists deploys, nothing is told and nothing kept.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...module_utils.answers.http import Bounded, Bounds
from ...module_utils.errors import (
    AnnouncementError,
    AnnouncementRefusedError,
    CommandError,
    LateError,
    TooMuchError,
)
from ...module_utils.files import atomic

# What the role ssh_monitor has written; there is none where no application lists deploys.
CONFIGURATION = Path("/etc/dockfra/monitor/deployments.json")
KEPT = Path("~/.local/state/dockfra/deployments")

# Deploys that are kept until they can be told, and bytes of one; of more the oldest are given up.
MOST_KEPT = 100
MOST_BYTES = 32 * 1024

# What became of a deploy, in the application's words.
RESULTS = {"deployed": "succeeded", "failed": "failed", "rolled-back": "rolled_back"}

# Seconds for one, to connect as well as to answer, and for all of them; bytes of an answer.
_PATIENCE = 5.0
_PATIENCE_FOR_ALL = 30.0
_MOST_ANSWER = 64 * 1024

# The application has it, has had it already; it will not take it, however often it is asked.
_TAKEN = (200, 201)
_REFUSED = (400, 404, 405, 409, 410, 413, 415, 422, 501)

# What the application takes of a text, and of a list.
_MOST_LINE, _MOST_NOTE, _MOST_LISTED = 200, 2000, 50


class Place(NamedTuple):
    """Where deploys are told."""

    service: str
    host: str
    port: int
    path: str
    token: str


def load(path: Path | None = None) -> Place | None:
    """Return where deploys are told, or None where nobody wants to know; raises CommandError."""
    path = path or CONFIGURATION
    try:
        data = json.loads(path.read_bytes())
        return Place(
            str(data["service"]), str(data["host"]), int(data["port"]), str(data["path"]), str(data["token"])
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{path} cannot be read ({type(error).__name__}); run site.yml again") from error


def row(
    *,
    deploy_id: str,
    target: str,
    services: Sequence[str],
    commit: str,
    release: str,
    by: str,
    started: float,
    seconds: float,
    result: str,
    tickets: Sequence[str] = (),
    note: str = "",
) -> dict[str, Any]:
    """Return a deploy as the application's list takes it.

    Args:
        deploy_id: by which it is known; letters, digits and ``.:+_/-``.
        target: what was deployed.
        services: those that got the release.
        commit: the whole hash, or an empty string where it is not known.
        release: its id, or an empty string where there is none.
        by: who asked for it.
        started: when it began, in seconds since the epoch.
        seconds: how long it took.
        result: one of `RESULTS`.
        tickets: ids of those that its commits name.
        note: anything more, which becomes one line.
    """
    return {
        "deploy_id": deploy_id,
        "service": target,
        "services": list(services[:_MOST_LISTED]),
        "version": release or commit[:12] or "unknown",
        "release": release,
        "commit": commit,
        "status": RESULTS[result],
        "deployed_by": _line(by, _MOST_LINE) or "unknown",
        "started_at": _time(started),
        "finished_at": _time(started + max(0.0, seconds)),
        "tickets": list(tickets[:_MOST_LISTED]),
        "note": _line(note, _MOST_NOTE),
    }


def announce(row: Mapping[str, Any]) -> None:
    """Keep a deploy, and tell it with all that is left over from before.

    Args:
        row: what `row` returns.

    Raises:
        AnnouncementError: not all could be told now; what was not is kept, and told with the next.
        AnnouncementRefusedError: the application does not take what it was told; that is given up.
        CommandError: the place cannot be read, or nothing be kept.
    """
    if load() is None:
        return
    data = json.dumps(dict(row), allow_nan=False).encode()
    if len(data) > MOST_BYTES:
        raise AnnouncementRefusedError(
            f"a deploy of {len(data)} bytes is not told; {MOST_BYTES} are the most"
        )
    folder = KEPT.expanduser()
    # One that is told again takes the place of what is kept of it.
    name = f"{hashlib.sha256(str(row['deploy_id']).encode()).hexdigest()[:32]}.json"
    try:
        folder.mkdir(0o700, parents=True, exist_ok=True)
        atomic.replace(folder / name, data, mode=0o600)
        for path in _kept(folder)[:-MOST_KEPT]:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise CommandError(
            f"{folder}: {error.strerror}; the deploy is not told to the application"
        ) from error
    announce_all()


def announce_all() -> int:
    """Tell what is kept, the oldest first, and return how many the application took; raises as `announce`."""
    place = load()
    paths = _kept(KEPT.expanduser()) if place else []
    if place is None or not paths:
        return 0
    deadline = time.monotonic() + _PATIENCE_FOR_ALL
    taken, refusals = 0, []
    for number, path in enumerate(paths):
        reason = "" if time.monotonic() < deadline else f"not all could be told in {_PATIENCE_FOR_ALL:g} s"
        status = 0
        if not reason:
            status, reason = _told(place, path)
        if status in _TAKEN:
            taken += 1
        elif status in _REFUSED:
            refusals.append(reason)
        else:
            left = len(paths) - number
            raise AnnouncementError(
                f"{place.service} was not told of {left} deploy{'s' if left > 1 else ''}: {reason}; told with the next"
            )
        path.unlink(missing_ok=True)
    if refusals:
        raise AnnouncementRefusedError(
            f"{place.service} takes no deploys at {place.path}: {refusals[0]}; ssh_monitor_deployments_service says who does"
        )
    return taken


def _kept(folder: Path) -> list[Path]:
    """What is kept, the oldest first."""
    found = []
    for path in folder.glob("*.json"):
        try:
            found.append((path.stat().st_mtime_ns, path))
        except OSError:  # told by somebody else meanwhile
            continue
    return [path for _time, path in sorted(found)]


def _told(place: Place, path: Path) -> tuple[int, str]:
    """Tell one; returns the status of the answer, 0 where there is none, and what that means in words."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES)
    except OSError as error:
        return 0, f"{path}: {error.strerror}"
    connection = _Connection(place.host, place.port, timeout=_PATIENCE)
    connection.bounds = Bounds(place.service, _MOST_ANSWER, _PATIENCE)
    headers = {"Authorization": f"Bearer {place.token}", "Content-Type": "application/json"}
    try:
        connection.request("POST", place.path, data, headers)
        answer = connection.getresponse()
        answer.read(_MOST_ANSWER)  # with its headers that is more than it may be
    except (LateError, TooMuchError) as error:
        return 0, str(error)
    except (OSError, http.client.HTTPException) as error:
        return 0, f"{getattr(error, 'strerror', None) or type(error).__name__}"
    finally:
        connection.close()
    return answer.status, f"it answers with HTTP {answer.status}"


class _Connection(Bounded, http.client.HTTPConnection):
    """A connection whose answers have their bounds."""


def _line(text: str, most: int) -> str:
    """A text of somebody else as one line, with nothing in it that nobody sees or that turns what follows."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(plain.split())[:most]


def _time(seconds: float) -> str:
    whole, part = divmod(round(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{part:03d}Z"
