# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The monitor's own rules for what others ask it to do. Whoever asks learns which rule stands in the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...module_utils.errors import BusyError, DeniedError, UsageError
from ...module_utils.policy.quota import Quota
from ...module_utils.text import shown
from .call import Place
from .engines import Engine

# Restarts of one service that others may have within an hour, and where they are counted.
MOST_RESTARTS = 3
HOUR = 3600.0
COUNTED = Path("~/.local/state/dockfra/restarts.json")
# Likewise deploys and rollbacks of one target.
MOST_DEPLOYS = 3
DEPLOYS_COUNTED = Path("~/.local/state/dockfra/deploys-asked.json")
MOST_ROLLBACKS = 3
ROLLBACKS_COUNTED = Path("~/.local/state/dockfra/rollbacks.json")


def deploy(target: str) -> None:
    """Judge how often a target is deployed on request, and count it where that is admitted; raises as `rollback` does."""
    _counted("deploys", DEPLOYS_COUNTED, MOST_DEPLOYS, target)


def rollback(target: str) -> None:
    """Judge a rollback, and count it where it is admitted.

    Raises:
        BusyError: a target had as many as there may be.
        PolicyError: what was counted cannot be read or written.
    """
    _counted("rollbacks", ROLLBACKS_COUNTED, MOST_ROLLBACKS, target)


def _counted(what: str, path: Path, most: int, target: str) -> None:
    try:
        Quota(path.expanduser(), most, HOUR).take(target)
    except BusyError as error:
        raise BusyError(f"{what} are limited: {error}") from error


def restart(
    place: Place, engines: Sequence[Engine], service: str, obstacle: str = ""
) -> tuple[Engine, str, int]:
    """Judge a restart, and count it where it is admitted.

    Args:
        place: this container.
        engines: those that can be asked.
        service: which is to be restarted.
        obstacle: why that cannot be now, if anything stands in the way.

    Returns:
        The engine, the container's name, and how many restarts of the service the last hour had, with this one.

    Raises:
        UsageError: there is no such service in a container.
        DeniedError: its restart is nobody's to ask for.
        BusyError: not now.
        PolicyError: what was counted cannot be read or written.
    """
    engine = next((engine for engine in engines if service in engine.containers), None)
    if engine is None:
        known = ", ".join(sorted(name for engine in engines for name in engine.containers))
        raise UsageError(f"there is no container of a service {shown(service)}; there are {known}")
    if service == place.service:
        raise DeniedError(f"{service} would end with the call that restarts it; a person restarts it")
    if service == engine.gateway:
        raise DeniedError(f"{service} is the way by which others are restarted; a person restarts it")
    if obstacle:
        raise BusyError(f"{service} is not restarted now: {obstacle}")
    try:
        count = Quota(COUNTED.expanduser(), MOST_RESTARTS, HOUR).take(service)
    except BusyError as error:
        raise BusyError(f"restarts are limited: {error}") from error
    return engine, engine.containers[service], count
