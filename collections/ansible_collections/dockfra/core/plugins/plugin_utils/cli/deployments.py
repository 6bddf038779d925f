# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the monitor tells the application of its deploys, for the application's own list of them.

That a deploy begins is told once, if it can be told at once. How it ended is on the disk before it is told, and goes from there once
the application has it: what cannot be told now is told with the next, or by `announce_all`. The application knows a deploy by its id, so
telling it twice does no harm. Where the inventory names no application that lists deploys, nothing is told and nothing kept.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...module_utils.errors import AnnouncementError, AnnouncementRefusedError, CommandError
from ...module_utils.files import atomic
from . import application
from .application import REFUSED, TAKEN, Place

KEPT = Path("~/.local/state/dockfra/deployments")

# Deploys that are kept until they can be told, and bytes of one; of more the oldest are given up.
MOST_KEPT = 100
MOST_BYTES = 32 * 1024

# What became of a deploy, in the application's words.
RESULTS = {"running": "started", "deployed": "succeeded", "failed": "failed", "rolled-back": "rolled_back"}

# Seconds for all of them, and for one that begins: it does not wait for being told.
_PATIENCE_FOR_ALL = 30.0
_PATIENCE_AT_BEGIN = 2.0

# What the application takes of a text, and of a list.
_MOST_LINE, _MOST_NOTE, _MOST_LISTED = 200, 2000, 50


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
        "finished_at": None if result == "running" else _time(started + max(0.0, seconds)),
        "tickets": list(tickets[:_MOST_LISTED]),
        "note": _line(note, _MOST_NOTE),
    }


def announce_begin(row: Mapping[str, Any]) -> None:
    """Tell that a deploy begins; that is not kept, because it is no news later.

    Args:
        row: what `row` returns of one that runs.

    Raises:
        AnnouncementError: it could not be told.
        CommandError: the place cannot be read.
    """
    place = application.load()
    if place is None:
        return
    data = json.dumps(dict(row), allow_nan=False).encode()
    answer = application.send(place, "POST", place.path, data, _PATIENCE_AT_BEGIN)
    if answer.status not in TAKEN:
        raise AnnouncementError(
            f"{place.service} was not told that it begins: {answer.reason}; it is told how it ends"
        )


def announce(row: Mapping[str, Any]) -> None:
    """Keep a deploy, and tell it with all that is left over from before.

    Args:
        row: what `row` returns.

    Raises:
        AnnouncementError: not all could be told now; what was not is kept, and told with the next.
        AnnouncementRefusedError: the application does not take what it was told; that is given up.
        CommandError: the place cannot be read, or nothing be kept.
    """
    if application.load() is None:
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
    place = application.load()
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
        if status in TAKEN:
            taken += 1
        elif status in REFUSED:
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
    except FileNotFoundError:  # somebody else has told it meanwhile
        return TAKEN[0], ""
    except OSError as error:
        return 0, f"{path}: {error.strerror}"
    answer = application.send(place, "POST", place.path, data)
    number = _still_open(answer)
    if number is not None:
        answer = application.send(place, "PUT", f"{place.path}/{number}", data)
    return answer.status, answer.reason


def _still_open(answer: application.Answer) -> int | None:
    """The number of a deploy that goes on by what the application says, though it was told how it ended: it took that for told twice."""
    if answer.status != 200:
        return None
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):  # it says nothing
        return None
    number = found.get("id") if isinstance(found, dict) and found.get("status") == "started" else None
    return number if isinstance(number, int) else None


def _line(text: str, most: int) -> str:
    """A text of somebody else as one line, with nothing in it that nobody sees or that turns what follows."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return " ".join(plain.split())[:most]


def _time(seconds: float) -> str:
    whole, part = divmod(round(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{part:03d}Z"
