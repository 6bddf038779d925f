# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a service says of its releases: one small file that it alone writes, and that the bastion reads.

Whoever can write as the service can write anything there: what is read is bounded, checked, and never a path.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..errors import ReleaseDamagedError
from ..files import atomic
from ..text import finite
from .ids import valid_id

NAME = "state.json"
MAX_STATE = 16 * 1024
MAX_REASON = 300
# Of so many releases it is remembered that they crashed, the latest.
MAX_CRASHED = 20

# Seconds that a service waits for its new release to become the current one.
CONFIRM_SECONDS = 30.0

# How a try ended: trying and settling have not. What a release that is not ready leaves behind is the old one, serving.
RESULTS = ("trying", "settling", "ready", "unhealthy", "crashed", "hung", "refused", "damaged", "withdrawn")
UNDER_WAY = ("trying", "settling")

_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")
_TOKEN = re.compile(r"[0-9.]{1,60}", re.ASCII)


@dataclass(frozen=True)
class Try:
    """What was tried last.

    Attributes:
        release: the id.
        token: of the link that asked for it, see `links.Link`; empty where none did.
        result: one of `RESULTS`.
        reason: why, in one line.
        time: when that was said, seconds since the epoch.
    """

    release: str
    token: str
    result: str
    reason: str = ""
    time: float = 0.0


@dataclass(frozen=True)
class State:
    """What a service says of its releases.

    Attributes:
        running: the release that serves; empty where that is what the image brought.
        tried: what was tried last.
        crashed: when a release ended within its settling time, seconds since the epoch; a start passes it over.
        time: when this was written.
    """

    running: str = ""
    tried: Try | None = None
    crashed: Mapping[str, float] = field(default_factory=dict)
    time: float = 0.0

    def with_crash(self, release: str) -> State:
        """Return it with a mark for a release."""
        marks = sorted({**self.crashed, release: time.time()}.items(), key=lambda mark: mark[1])
        return replace(self, crashed=dict(marks[-MAX_CRASHED:]))

    def without_crash(self, release: str) -> State:
        """Return it without a mark for a release."""
        return replace(self, crashed={key: when for key, when in self.crashed.items() if key != release})


def one_line(text: str) -> str:
    """Return a reason as it may stand in a state: one line of limited length."""
    return _CONTROL.sub(" ", text).strip()[:MAX_REASON]


def write(folder: str | os.PathLike[str], state: State) -> None:
    """Say it; where there is no room, what a release has left there goes first. Raises OSError."""
    data = json.dumps(asdict(replace(state, time=time.time()))).encode()
    try:
        _replace(folder, data)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        clear(folder)
        _replace(folder, data)


def _replace(folder: str | os.PathLike[str], data: bytes) -> None:
    atomic.replace(os.path.join(folder, NAME), data, mode=0o644, temporary=f".{NAME}.new")


def clear(folder: str | os.PathLike[str]) -> None:
    """Remove what is not a state: what releases have left there. Raises OSError."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        elif entry.name != NAME:
            os.unlink(entry.path)


def read(folder: str | os.PathLike[str]) -> State | None:
    """Return what the service said; None where it has said nothing yet.

    Raises:
        ReleaseDamagedError: that is no state, or cannot be read.
    """
    path = os.path.join(folder, NAME)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            data = file.read(MAX_STATE + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ReleaseDamagedError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return _state(json.loads(data[:MAX_STATE]))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise ReleaseDamagedError(f"{path} says nothing that a service says of its releases.") from error


def _state(values: Any) -> State:
    tried = values["tried"]
    return State(
        running=_id(values["running"]),
        tried=None if tried is None else _try(tried),
        crashed={_id(key): finite(when) for key, when in list(values["crashed"].items())[:MAX_CRASHED]},
        time=finite(values["time"]),
    )


def _try(values: Any) -> Try:
    if values["result"] not in RESULTS or not (values["token"] == "" or _TOKEN.fullmatch(values["token"])):
        raise ValueError("no result")
    reason = one_line(values["reason"])
    return Try(_id(values["release"]), values["token"], values["result"], reason, finite(values["time"]))


def _id(text: Any) -> str:
    if text != "" and not valid_id(text):
        raise ValueError("no release")
    return text
