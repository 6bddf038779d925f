# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The monitor's daemon that looks after every service: asks each all the time, writes down what it found, and tells what is wrong.

It asks by the probes of `status`, in this process. What takes longer than a look (bastions, links, alerts on their way, the
application's history) is done beside it.
"""

from __future__ import annotations

import functools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...module_utils.audit import files
from ...module_utils.audit.log import AuditLog
from ...module_utils.errors import CommandError, DockfraError, HistoryError
from ...module_utils.settings.file import EnvFile
from ...module_utils.watch import requests, snapshot
from ...module_utils.watch.damping import BACK, Damper
from ...module_utils.watch.history import Alert, Change, History, Round
from ..cli import backed_up, fleets, health, links, watched
from ..cli.bastions import Bastions, rooms
from ..cli.call import Place
from ..cli.containers import Containers
from ..cli.journal import log_path
from ..deploys import ledger
from .chronicle import Chronicle
from .courier import Courier
from .daemon import Daemon

# Seconds between two looks, and that all services together have for one.
PERIOD = 5.0
TIMEOUT = 3.0

# Seconds between two samples for the history, and after which one that could not be used is tried again.
SAMPLE = 300.0
RETRY = 30.0

# Seconds of the container's life in which the other services may still be starting.
STARTING = 60.0

# Seconds for which an alert that nobody was told of yet is worth being sent.
OLD = 600.0

# What is no service and people are told of all the same, and seconds for which the poll's word counts.
ORIGIN, DEPLOY, PLATFORM, BACKUP, LINK = "origin", "deploy", "platform", "backup", "link"
POLL_FRESH = 30.0

# Seconds between two times that the tunnels are asked.
LINKS = 15.0

# Bytes at the end of the audit log in which a line is looked for that a killed daemon may have written.
TAIL = 256 * 1024

# Bytes of a thread's stack: the default of 8 MiB for each would count against the daemon's memory.
STACK = 256 * 1024


class Watch:
    """Looks after the services.

    Args:
        daemon: whose step it is.
        place: this container.
        log: its audit log.
        courier: takes alerts along.
        bastions: says what they said of the releases they keep.
        containers: says what the Docker Engines said of the containers, by service.
        history: the file of the history.
        age: returns for how many seconds this container has lived.
        clock: seconds since the epoch.
        asked: where the alerts are that others asked for.
        devices: says what the bastions said of the devices that they reach.
        sampled: called when there is a sample more.
        linked: says how the links to other Docker hosts stand, see `links.ask`.
    """

    def __init__(
        self,
        daemon: Daemon,
        place: Place,
        log: AuditLog,
        courier: Courier,
        bastions: Callable[[], Sequence[Mapping[str, Any]]],
        containers: Callable[[], Mapping[str, Mapping[str, Any]]],
        history: Path,
        age: Callable[[], float],
        clock: Callable[[], float] = time.time,
        asked: Path | None = None,
        devices: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
        sampled: Callable[[], None] = lambda: None,
        linked: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
    ) -> None:
        self._daemon = daemon
        self._place = place
        self._log = log
        self._courier = courier
        self._bastions = bastions
        self._devices = devices
        self._linked = linked
        self._containers = containers
        self._sampled = sampled
        self._path = history
        self._asked = asked or watched.ASKED.expanduser()
        self._age = age
        self._clock = clock
        self._history: History | None = None
        self._retry = 0.0
        self._sample = clock() + SAMPLE
        self._round = Round()
        self._states: dict[str, str] = {}
        self._since: dict[str, float] = {}
        self._dampers: dict[str, Damper] = {}
        self._alerts: dict[str, Alert] = {}
        self._untold: list[Alert] = []
        self._told = ""

    def step(self) -> Iterator[str]:
        """Look once; yields what is wrong with the watch itself."""
        try:
            found = health.services(health.Configuration.load(), TIMEOUT)
        except CommandError as error:
            yield str(error)
            return
        now = self._clock()
        self._open(now)
        changes = self._changes(found, now)
        self._keep(changes, found, now)
        for service in [*_judged(found), *self._polled(), *_backed_up(now), *_links(self._linked())]:
            self._judge(service, now)
        self._take_asked()
        self._tell()
        try:
            snapshot.write(self._daemon.run / watched.SNAPSHOT, self._seen(found))
        except OSError as error:
            yield f"the snapshot of the services cannot be written: {error.strerror}"

    # History ----------------------------------------------------------------------------------------------------------

    def _open(self, now: float) -> None:
        """Use the history, from now on, or again."""
        if self._history is not None or now < self._retry:
            return
        try:
            self._history = History(self._path)
            if self._history.damage:
                self._daemon.log("history", problem=self._history.damage)
            self._history.prune(now)
            last = self._history.last()
            self._states = {name: change.state for name, change in last.items()} | self._states
            self._since = {name: change.time for name, change in last.items()} | self._since
            self._dampers = {**self._history.dampers(), **self._dampers}
            waiting = {alert.id for alert in self._untold}
            self._untold = [
                *(alert for alert in self._history.untold() if alert.id not in waiting),
                *self._untold,
            ]
            self._told = ""
        except HistoryError as error:
            self._give_up(error, now)

    def _give_up(self, error: HistoryError, now: float) -> None:
        if str(error) != self._told:
            self._daemon.log("history", problem=str(error))
        self._told = str(error)
        self._retry = now + RETRY
        if self._history is not None:
            self._history.close()
        self._history = None

    def _kept(self, keep: Callable[[History], None], now: float) -> None:
        """Do something with the history, if there is one."""
        if self._history is not None:
            try:
                keep(self._history)
            except HistoryError as error:
                self._give_up(error, now)

    def _changes(self, found: Sequence[Mapping[str, Any]], now: float) -> list[Change]:
        changes = []
        for service in found:
            name, state = service["service"], service["state"]
            if self._states.get(name) != state:
                changes.append(Change(now, name, state, detail(service)))
                self._since[name] = now
            self._states[name] = state
        return changes

    def _keep(self, changes: Sequence[Change], found: Sequence[Mapping[str, Any]], now: float) -> None:
        asked = [service for service in found if service["state"] != health.UNKNOWN]
        self._round.look({each["service"]: (each["state"] == health.UP, _slowest(each)) for each in asked})
        # A clock that was set back must not put the next sample off.
        due = not 0 < self._sample - now <= SAMPLE
        samples = self._round.samples(now) if due else []
        if changes or samples:
            self._kept(lambda history: history.add(changes, samples), now)
        if due:
            self._sample = now + SAMPLE
            self._kept(lambda history: history.prune(now), now)
            self._sampled()

    def _polled(self) -> list[dict[str, Any]]:
        """What the poll says of the origin and of its own deploys, as if each were a service: people are told alike."""
        said = snapshot.read(self._daemon.run / watched.POLLED, POLL_FRESH) or {}
        found = []
        for name in (ORIGIN, DEPLOY):
            entry = said.get(name)
            if isinstance(entry, dict):
                state = health.DOWN if entry.get("wrong") else health.UP
                found.append(
                    {
                        "service": name,
                        "state": state,
                        "probes": [],
                        "detail": str(entry.get("detail") or "all is well"),
                    }
                )
        return found

    # Alerts -----------------------------------------------------------------------------------------------------------

    def _judge(self, service: Mapping[str, Any], now: float) -> None:
        """Raise the alert that is due for a service, if one is."""
        name, state = service["service"], service["state"]
        damper = self._dampers.setdefault(name, Damper())
        turns = damper.turns
        kind = damper.look(state in (health.DEGRADED, health.DOWN), now, quiet=self._age() < STARTING)
        if not kind:
            return
        text = detail(service)
        if kind != BACK and turns > 1:
            text += f" (it changed {turns} times since the last alert)"
        alert = Alert(os.urandom(8).hex(), now, name, kind, state, text)
        self._kept(lambda history: history.add_alert(alert), now)
        self._untold.append(alert)

    def _take_asked(self) -> None:
        """Take in the alerts that others asked for."""
        known = {alert.id for alert in self._untold}
        self._untold += [alert for alert in requests.waiting(self._asked) if alert.id not in known]

    def _tell(self) -> None:
        """Write alerts into the audit log, each once, and then send them."""
        while self._untold:
            alert = self._untold[0]
            try:
                if not self._is_told(alert):
                    self._log.append(self._line(alert))
            except DockfraError as error:
                self._daemon.log("audit", problem=str(error))
                return
            self._kept(functools.partial(History.told, alert=alert), self._clock())
            requests.told(self._asked, alert)
            self._untold.pop(0)
            if abs(self._clock() - alert.time) < OLD:
                self._courier.put(alert)

    def _is_told(self, alert: Alert) -> bool:
        """Whether the alert stands in the log: a daemon before this one may have been killed just after it wrote it."""
        # Its own line, and not that of whoever asked for it, which names it too.
        own = json.dumps({"alert": {"id": alert.id}})[1:-2]
        with suppress(OSError):
            return own.encode() in files.tail(self._log.path, TAIL)
        return False

    def _line(self, alert: Alert) -> dict[str, Any]:
        return {
            "caller": self._daemon.name,
            "role": self._place.name,
            "verb": "alert",
            "arguments": [alert.service, alert.kind],
            "alert": alert._asdict(),
            "verdict": "allowed",
            "result": 0,
            "duration": 0.0,
        }

    # Snapshot ---------------------------------------------------------------------------------------------------------

    def _seen(self, found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        known = {PLATFORM, ORIGIN, DEPLOY, BACKUP, LINK, *(service["service"] for service in found)}
        releases = list(self._bastions())
        services = [{**service, "since": self._since.get(service["service"])} for service in found]
        return {
            "services": health.joined(services, self._containers(), rooms(releases)),
            "alerts": sorted(
                name for name, damper in self._dampers.items() if damper.is_open and name in known
            ),
            "releases": releases,
            "devices": fleets.compared(self._devices(), releases),
            "problem": self._told or self._courier.problem(),
        }


def _judged(found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What people may have to be told of after a look. Where nothing at all answers, that is one thing and says little of each."""
    asked = [service for service in found if service["state"] != health.UNKNOWN]
    silent = len(asked) > 1 and all(service["state"] == health.DOWN for service in asked)
    text = f"none of {len(asked)} services answers: this machine is overloaded, or its network is gone"
    whole = {
        "service": PLATFORM,
        "state": health.DOWN if silent else health.UP,
        "probes": [],
        "detail": text if silent else "services answer again",
    }
    return [whole] if silent else [whole, *found]


def _backed_up(now: float) -> list[dict[str, Any]]:
    """What there is to say of the last backup, as if it were a service; nothing before the first one."""
    said = backed_up.last(now=now)
    if said is None:
        return []
    state = health.DEGRADED if said["old"] else health.UP
    return [{"service": BACKUP, "state": state, "probes": [], "detail": said["detail"]}]


def _links(said: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How the links to other Docker hosts stand, as if they were one service; nothing where there is none."""
    if not said:
        return []
    wrong = "; ".join(
        f"{entry.get('tunnel') or 'tunnels'}: {entry['problem']}" for entry in said if entry.get("problem")
    )
    state = health.DOWN if wrong else health.UP
    return [{"service": LINK, "state": state, "probes": [], "detail": wrong or "every link is up"}]


def detail(service: Mapping[str, Any]) -> str:
    """Return in one line what a service answered, or where and why it does not work."""
    if service.get("detail"):
        return str(service["detail"])
    wrong = [probe for probe in service["probes"] if probe["state"] != health.UP]
    found = [f"{probe['port']} at {probe['address']}: {probe['detail']}" for probe in wrong]
    return "; ".join(found) or "all its ports answer"


def _slowest(service: Mapping[str, Any]) -> int:
    return max((probe["milliseconds"] for probe in service["probes"]), default=0)


def container_age() -> float:
    """Return for how many seconds the first process of this container has lived."""
    with open("/proc/1/stat", encoding="utf-8", errors="replace") as file:
        # Field 22, counted behind the name, which may hold anything; see proc(5).
        started = int(file.read().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


def main() -> int:
    threading.stack_size(STACK)
    daemon = Daemon("watch")
    place = Place.load()
    log = AuditLog(log_path(place.service))
    courier = Courier(EnvFile.of(place.name), daemon.log)
    # The first is another file at the beginning and at the end of each deploy.
    deploys = ledger.PLACE.expanduser()
    bastions = Bastions(place, (deploys, watched.RUN / watched.CLEANED))
    devices = Bastions(place, (deploys,), fleets.ask)
    # On one Docker host there is nobody to ask.
    has_links = links.COMMAND in place.policy.rules
    linked = Bastions(place, (), links.ask, LINKS).latest if has_links else tuple
    history, containers = watched.HISTORY.expanduser(), Containers()
    chronicle = Chronicle(history, daemon.log)
    watch = Watch(
        daemon,
        place,
        log,
        courier,
        bastions.latest,
        containers.latest,
        history,
        container_age,
        devices=devices.latest,
        sampled=chronicle.sampled,
        linked=linked,
    )
    return daemon.serve(watch.step, PERIOD)
