# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The platform's containers as the Docker Engines have them, asked through the gateways: one list for each engine."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ...module_utils.containers.client import Client
from ...module_utils.errors import CommandError, EngineError
from . import engines
from .engines import Engine

# Seconds that an engine has to answer, between two times that it is asked, and for which its answer counts.
TIMEOUT = 3.0
PERIOD = 5.0
FRESH = 15.0

# Bytes of a list: an engine says about two KiB of each container.
MAX_LIST = 1024 * 1024

STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")

# As an engine writes it for people: "Up 3 minutes (healthy)", "Up 2 seconds (health: starting)", "Exited (137) 2 hours ago".
_HEALTH = re.compile(r"\((?:health: )?(healthy|unhealthy|starting)\)$")
_ENDED = re.compile(r"(?:Exited|Restarting) \(([0-9]{1,3})\)")


def ask(timeout: float = TIMEOUT) -> dict[str, dict[str, Any]]:
    """Ask every engine at the same time; what one that does not answer has is left out.

    Args:
        timeout: seconds to connect, and again for the answer.

    Returns: ``state``, ``health`` (empty without a check) and ``exit_code`` (None while it runs) by service.
    """
    try:
        known = engines.load()
    except CommandError:  # no gateway is in reach
        return {}
    with ThreadPoolExecutor(len(known)) as pool:
        parts = pool.map(lambda engine: _listed(engine, timeout), known)
        return {service: container for part in parts for service, container in part.items()}


def _listed(engine: Engine, timeout: float) -> dict[str, dict[str, Any]]:
    try:
        client = Client({"DOCKER_HOST": engine.address}, timeout, MAX_LIST)
        try:
            listed = client.get("/containers/json", all="1")
        finally:
            client.close()
        names = {name: service for service, name in engine.containers.items()}
        found = ((names.get(entry["Names"][0].lstrip("/")), _described(entry)) for entry in listed)
        return {service: container for service, container in found if service and container}
    except (EngineError, KeyError, IndexError, TypeError, AttributeError):  # it is away, or is no engine
        return {}


def _described(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a list says of a container; None where that is in no form that is known."""
    state, status = entry["State"], str(entry["Status"])
    if state not in STATES:
        return None
    health, ended = _HEALTH.search(status), _ENDED.match(status)
    return {
        "state": state,
        "health": health[1] if health else "",
        "exit_code": int(ended[1]) if ended else None,
    }


class Containers:
    """Asks the engines again and again, in a thread of its own: none that hangs holds a look up.

    Args:
        asked: asks them.
        period: seconds between two times.
        fresh: seconds for which an answer counts.
    """

    def __init__(
        self,
        asked: Callable[[], Mapping[str, Mapping[str, Any]]] = ask,
        period: float = PERIOD,
        fresh: float = FRESH,
    ) -> None:
        self._ask = asked
        self._period = period
        self._fresh = fresh
        self._latest: tuple[float, Mapping[str, Mapping[str, Any]]] = (0.0, {})
        threading.Thread(target=self._work, daemon=True).start()

    def latest(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what they said last, nothing where that was too long ago."""
        when, found = self._latest
        return found if time.monotonic() - when <= self._fresh else {}

    def _work(self) -> None:
        while True:
            begun = time.monotonic()
            try:
                self._latest = (begun, self._ask())
            except (OSError, RuntimeError):  # no thread to be had just now
                self._latest = (begun, {})
            time.sleep(self._period)
