# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the commands of a bastion share: the releases of a service it keeps, the lock on them, and a change from one to another."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...module_utils.errors import CommandError, LateError, ReleaseDamagedError, ReleaseStoreError
from ...module_utils.releases import ids, links, state, switch
from ...module_utils.releases.store import Store
from .call import Call
from .grammar import checked
from .output import Style

# Where the releases of all services are, and what the services say of them.
ROOT = links.ROOT
STATES = links.STATES

# Seconds that a change may take: longer than the largest times that a release.yml may name, together.
CHANGE_SECONDS = 420.0


def add_service(parser: argparse.ArgumentParser) -> None:
    """The argument that names a service whose releases are here."""
    parser.add_argument(
        "service", metavar="SERVICE", type=checked(ids.checked_service), help="its name, for example backend"
    )


IMAGE = "image"


def checked_source(text: str) -> str:
    """Return a release's id, or an empty text for the word that means what the image brought; raises ReleaseInvalidError."""
    return "" if text == IMAGE else ids.checked_id(text)


def add_source(parser: argparse.ArgumentParser) -> None:
    """The argument that names a release, or what the image of the service brought."""
    what = f"its id, or {IMAGE} for what the image of the service brought"
    parser.add_argument("release", metavar="RELEASE", type=checked(checked_source), help=what)


def add_release(parser: argparse.ArgumentParser, **options: Any) -> None:
    """The argument that names a release."""
    parser.add_argument("release", metavar="RELEASE", type=checked(ids.checked_id), help="its id", **options)


def store(service: str) -> Store:
    """Return the releases of a service; raises ReleaseError where there are none here."""
    return Store(service, ROOT)


@contextmanager
def held(call: Call, what: str) -> Iterator[Store]:
    """Have the releases of the call's service for its caller, for as long as the work within takes.

    Args:
        call: the call.
        what: the work, for everybody who comes meanwhile.

    Raises:
        LockBusyError: somebody else has them, and says what for and since when.
        CommandError: something has not come in time. That is a failure like any other here.
        DockfraError: what the work raises.
    """
    kept = store(call.options.service)
    try:
        with kept.locked(call.caller, what):
            yield kept
    except LateError as error:
        raise CommandError(str(error)) from error


def said(service: str) -> state.State:
    """Return what a service says of its releases; raises ReleaseDamagedError."""
    return state.read(os.path.join(STATES, service)) or state.State()


def change(call: Call, kept: Store, release: str) -> dict[str, Any]:
    """Let a service change to a release, and tell each phase; the caller holds the lock.

    Raises:
        ReleaseError: it serves the old one as before; the message says why.
        LateError: the service does not answer.
    """
    begin = time.monotonic()

    def told(phase: str) -> None:
        seconds = round(time.monotonic() - begin, 3)
        call.tell(
            f"{kept.service}: {phase} {release or switch.IMAGE}",
            phase=phase,
            service=kept.service,
            seconds=seconds,
        )

    before = kept.current()
    if before == release and _running(kept.service) == release:
        return _changed(kept.service, before, release, 0.0)
    if release:
        kept.record(release)  # nobody is asked for what is not there
    told("asking")
    done = switch.switch(kept, release, STATES, told)
    return _changed(kept.service, done.before, done.now, done.seconds)


def _running(service: str) -> str | None:
    """What a service says it runs; None where it says nothing that can be understood."""
    try:
        return said(service).running
    except ReleaseDamagedError:
        return None


def _changed(service: str, before: str, now: str, seconds: float) -> dict[str, Any]:
    return {
        "service": service,
        "changed": before != now or seconds > 0,
        "before": before,
        "now": now,
        "seconds": round(seconds, 3),
    }


def render_change(data: dict[str, Any], _style: Style) -> str:
    """Return the result of a change for people."""
    before, now = (data[name] or switch.IMAGE for name in ("before", "now"))
    if not data["changed"]:
        return f"{data['service']} serves {now} already"
    return f"{data['service']} serves {now} now, after {data['seconds']:.1f} s; before it was {before}"


def services() -> list[str]:
    """Return the services whose releases are here; raises ReleaseStoreError."""
    try:
        if not os.path.lexists(ROOT):  # each has a ready-made image
            return []
        return sorted(entry.name for entry in os.scandir(ROOT) if entry.is_dir(follow_symlinks=False))
    except OSError as error:
        raise ReleaseStoreError(
            f"{ROOT} cannot be read: {error.strerror}; no service has releases here."
        ) from error
