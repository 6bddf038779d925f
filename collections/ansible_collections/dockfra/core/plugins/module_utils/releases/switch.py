# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A switch from one release of a service to another, as its bastion does it.

It asks with the link ``next``, waits for what the service reports, and then either moves ``previous`` and ``current``
or takes ``next`` back. Whatever ends it in between takes ``next`` back as well, and the service returns to the current
release by itself: when the link is gone, or when a switch that it has made is not confirmed within `state.CONFIRM_SECONDS`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import NamedTuple

from ..errors import LateError, ReleaseDamagedError, ReleaseRefusedError
from ..processes.signals import Signals
from ..text import shown
from . import state
from .links import STATES
from .spec import Spec
from .state import UNDER_WAY, State, Try
from .store import Store

# Seconds within which a service has to take notice of what it is asked.
NOTICE_SECONDS = 10.0
# Seconds for what comes beside starting and settling.
SPARE_SECONDS = 10.0
# Seconds within which a service is back at its old release.
BACK_SECONDS = 10.0

# How messages call what has no id.
IMAGE = "what its image brought"

_PAUSE = 0.05

OnPhase = Callable[[str], None]


class Switched(NamedTuple):
    """What a switch did: the release before (empty for what the image brought), the one now, and how long that took."""

    before: str
    now: str
    seconds: float


def longest(spec: Spec) -> float:
    """Return how many seconds it may take until a release is ready or not."""
    # The old one of the switch before may have to finish first.
    return spec.drain_seconds + spec.start_seconds + spec.settle_seconds + SPARE_SECONDS


def switch(
    store: Store,
    release: str,
    states: str | os.PathLike[str] = STATES,
    on_phase: OnPhase = lambda _phase: None,
) -> Switched:
    """Let a service change to a release that is there, or back to what its image brought; the caller holds the lock.

    Args:
        store: the service's releases.
        release: the id; empty for what the image brought.
        states: where the services' own words are.
        on_phase: called with ``trying`` and ``settling`` when the service says so.

    Raises:
        ReleaseRefusedError: the service has gone on with the old one; says why.
        LateError: the service does not answer.
        ReleaseError: there is no such release, or its links cannot be moved.
    """
    begin = time.monotonic()
    folder = os.path.join(os.fspath(states), store.service)
    before = store.current()
    if not release and not before:
        return Switched("", "", 0.0)
    # What the image brought is described in there: it is given the time that the release has.
    limit = longest(store.spec(release or before))
    with Signals() as signals:
        asked = store.ask(release)
        try:
            with signals.heeded():
                found = _answer(store, folder, asked.token, limit, on_phase)
            if found.result != "ready":
                raise ReleaseRefusedError(
                    f"{store.service} does not serve {release or IMAGE}: {found.result}"
                    f"{': ' + shown_reason(found.reason) if found.reason else ''}. "
                    f"It serves {before or IMAGE} as before.",
                    found.result,
                    found.reason,
                )
            store.confirm(release)
        except BaseException:
            store.take_back()
            _wait_back(folder, release, before)
            raise
    return Switched(before, release, time.monotonic() - begin)


def shown_reason(reason: str) -> str:
    """Return a service's own words for a message."""
    return reason.rstrip(".") if reason.isprintable() else shown(reason)


def _answer(store: Store, folder: str, token: str, limit: float, on_phase: OnPhase) -> Try:
    """Wait until the service says how the try ended that a link asked for."""
    begin, phase = time.monotonic(), ""
    while True:
        tried = _tried(folder, token)
        if tried and tried.result not in UNDER_WAY:
            return tried
        if tried and tried.result != phase:
            phase = tried.result
            on_phase(phase)
        waited = time.monotonic() - begin
        if waited > limit or (not tried and waited > NOTICE_SECONDS):
            told = f"is {phase} since then" if phase else "takes no notice; see whether it runs"
            raise LateError(f"{store.service} was asked for a release {waited:.0f} s ago and {told}.")
        time.sleep(_PAUSE)


def _tried(folder: str, token: str) -> Try | None:
    found = _state(folder)
    return found.tried if found and found.tried and found.tried.token == token else None


def _state(folder: str) -> State | None:
    # What says nothing is as good as no word: the time limit ends the wait.
    with contextlib.suppress(ReleaseDamagedError):
        return state.read(folder)
    return None


def _wait_back(folder: str, release: str, before: str) -> None:
    """Wait, for a limited time, until the service has left a release."""
    if release == before:
        return
    deadline = time.monotonic() + BACK_SECONDS
    while time.monotonic() < deadline:
        found = _state(folder)
        if found is None or (
            found.running != release and not (found.tried and found.tried.result in UNDER_WAY)
        ):
            return
        time.sleep(_PAUSE)
