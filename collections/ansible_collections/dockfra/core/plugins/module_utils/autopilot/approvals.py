# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What waits for a person, and what people said to it.

One file, replaced whole at each change. A yes holds for exactly one plan, is good for some time, and is used up when it is taken.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..errors import AutopilotError, BusyError, LockBusyError, UsageError
from ..files import atomic
from ..locks import file_lock
from ..text import finite, shown
from .judgement import Approval

# Seconds that a plan waits for a person, and that a yes is good for.
WAITS = 24 * 3600.0
HOLDS = 3600.0
MOST = 100

_MAX_SIZE = 4 * 1024 * 1024
_PATIENCE = 10.0
# Seconds that one process may have waited for its turn while another wrote.
_SKEW = 60.0
_ID = 12


@dataclass(frozen=True)
class Request:
    """A plan that waits, or that somebody said yes to.

    Attributes:
        digest: of the plan; its beginning is the id that people type.
        action: its id.
        parameters: by name.
        risk: of the action.
        reasons: why it is wanted.
        asked: when, seconds since the epoch.
        by: who said yes; empty while nobody has.
        until: when it is forgotten.
    """

    digest: str
    action: str
    parameters: Mapping[str, str]
    risk: str
    reasons: tuple[str, ...]
    asked: float
    by: str = ""
    until: float = 0.0

    @property
    def id(self) -> str:
        return self.digest[:_ID]


class Approvals:
    """All of them.

    Args:
        path: the file; its directory exists.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)

    def ask(self, request: Request, now: float, most: int = MOST) -> None:
        """Let a plan wait for a person; what waits already goes on waiting.

        Args:
            request: it.
            now: seconds since the epoch.
            most: how many may wait together with it.

        Raises:
            BusyError: as many wait as may.
            AutopilotError: that cannot be kept.
        """

        def change(kept: dict[str, Request]) -> None:
            if request.digest not in kept:
                if len(kept) >= most:
                    raise BusyError(f"{len(kept)} plans wait already; approve or reject some")
                kept[request.digest] = replace(request, asked=now, by="", until=now + WAITS)

        self._change(change, now)

    def approve(self, request_id: str, by: str, now: float) -> Request:
        """Say yes to one plan; returns it. Raises UsageError where none of that id waits, and AutopilotError."""
        found: list[Request] = []

        def change(kept: dict[str, Request]) -> None:
            request = replace(_named(kept, request_id), by=by[:100], until=now + HOLDS)
            kept[request.digest] = request
            found.append(request)

        self._change(change, now)
        return found[0]

    def reject(self, request_id: str, now: float) -> Request:
        """Say no to one plan, or take a yes back; returns it. Raises as `approve` does."""
        found: list[Request] = []
        self._change(lambda kept: found.append(kept.pop(_named(kept, request_id).digest)), now)
        return found[0]

    def take(self, digest: str, now: float) -> bool:
        """Use a yes up, just before what it is for is begun; returns whether there was one. Raises AutopilotError."""
        taken: list[bool] = []

        def change(kept: dict[str, Request]) -> None:
            request = kept.get(digest)
            if request is not None and request.by:
                del kept[digest]
                taken.append(True)

        self._change(change, now)
        return bool(taken)

    def requests(self, now: float) -> list[Request]:
        """Return what waits and what is approved, the oldest first; raises AutopilotError."""
        return sorted(self._current(now).values(), key=lambda request: request.asked)

    def approved(self, now: float) -> dict[str, Approval]:
        """Return the yes to each plan by its digest, for the policy; raises AutopilotError."""
        return {
            request.digest: Approval(request.digest, request.by, request.until)
            for request in self._current(now).values()
            if request.by
        }

    def _current(self, now: float) -> dict[str, Request]:
        kept = self._read()
        if all(_holds(request, now) for request in kept.values()):
            return kept
        # Forgotten is forgotten: a clock that is set back brings nothing again.
        return self._change(lambda _kept: None, now)

    def _change(self, change: Callable[[dict[str, Request]], object], now: float) -> dict[str, Request]:
        with self._alone():
            kept = {digest: request for digest, request in self._read().items() if _holds(request, now)}
            change(kept)
            data = json.dumps([asdict(request) for request in kept.values()], indent=1).encode()
            atomic.replace(self._path, data, mode=0o600, temporary=f".{os.path.basename(self._path)}.new")
            return kept

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with file_lock.held(f"{self._path}.lock", _PATIENCE):
                yield
        except LockBusyError as error:
            raise AutopilotError(str(error)) from error
        except OSError as error:
            raise AutopilotError(f"{self._path} cannot be written: {error.strerror}.") from error

    def _read(self) -> dict[str, Request]:
        try:
            with open(self._path, "rb") as file:
                data = json.loads(file.read(_MAX_SIZE))
            requests = [_request(values) for values in data]
            return {request.digest: request for request in requests}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise AutopilotError(
                f"{self._path} cannot be read ({error!r}); move it away, and what waits is asked for again."
            ) from error


def _holds(request: Request, now: float) -> bool:
    """Whether it is not over yet; what would last longer than it may was made by a clock that was wrong."""
    return now < request.until <= now + (HOLDS if request.by else WAITS) + _SKEW


def _request(values: Mapping[str, Any]) -> Request:
    """A request as it is kept; raises ValueError and others where it has another form."""
    request = Request(**{**values, "reasons": tuple(values["reasons"])})
    words = (request.digest, request.action, request.risk, request.by, *request.reasons)
    words += (*request.parameters.keys(), *request.parameters.values())
    if not all(isinstance(word, str) for word in words):
        raise ValueError("no request looks like that")
    return replace(request, asked=finite(request.asked), until=finite(request.until))


def _named(kept: Mapping[str, Request], request_id: str) -> Request:
    found = [request for request in kept.values() if request.id == request_id]
    if not found:
        waiting = ", ".join(request.id for request in kept.values()) or "none"
        raise UsageError(f"no plan {shown(request_id)} waits for a person; there are {waiting}")
    return found[0]
