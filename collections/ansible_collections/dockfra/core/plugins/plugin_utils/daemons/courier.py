# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Takes alerts to the addresses of ``ALERT_URLS``, beside the work of a daemon and never in its way.

Each alert is one run of `send`, bounded in time. An address that does not take it is told once, as its number in the setting, and
tried a few times more.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...module_utils.errors import LateError, TooMuchError
from ...module_utils.processes import child
from ...module_utils.settings.file import EnvFile
from ...module_utils.watch.damping import WRONG
from ...module_utils.watch.history import Alert

SETTING = "ALERT_URLS"

# Seconds after which an alert is tried again that an address has not taken.
AGAIN = (30.0, 300.0)

# Seconds for one run, and the bytes it may say.
TIMEOUT = 90.0
MAX_TALK = 64 * 1024

# Alerts that wait; of more, the oldest are given up.
MAX_WAITING = 100

# Program and arguments of `send`. The environment of the daemon is not its business.
_SOURCE = "import sys; sys.path.insert(0, sys.argv[1]); from importlib import import_module; sys.exit(import_module(sys.argv[2]).main())"
_ROOT = str(Path(__file__).resolve().parents[__name__.count(".")])
PROGRAM = (sys.executable, "-IS", "-c", _SOURCE, _ROOT, f"{__package__}.send")
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


class _Errand(NamedTuple):
    due: float
    tries: int
    alert: Alert
    only: frozenset[str] | None


class Courier:
    """Takes alerts where the settings say.

    Args:
        settings: the file of the role that has `SETTING`.
        log: gets what is to be told of addresses.
        program: what sends.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        settings: EnvFile,
        log: Callable[..., None],
        program: Sequence[str] = PROGRAM,
        clock: Callable[[], float] = time.monotonic,
        again: Sequence[float] = AGAIN,
    ) -> None:
        self._settings = settings
        self._log = log
        self._program = program
        self._clock = clock
        self._again = again
        self._waiting: list[_Errand] = []
        self._changed = threading.Condition()
        self._failing: dict[str, str] = {}
        self._count = 0
        self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take nothing along any more, and wait for what is under way."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def put(self, alert: Alert) -> None:
        """Take an alert along; returns at once."""
        self._put(_Errand(self._clock(), 0, alert, None))

    def problem(self) -> str:
        """What is wrong with the addresses, in words without them; an empty text where nothing is known to be."""
        failing, count = len(self._failing), self._count
        return f"{failing} of {count} addresses of {SETTING} did not take the last alert" if failing else ""

    def _put(self, errand: _Errand) -> None:
        with self._changed:
            self._waiting = [*self._waiting, errand][-MAX_WAITING:]
            self._changed.notify()

    def _next(self) -> _Errand | None:
        with self._changed:
            while not self._closed:
                now = self._clock()
                due = min((errand.due for errand in self._waiting), default=None)
                if due is not None and due <= now:
                    errand = next(errand for errand in self._waiting if errand.due == due)
                    self._waiting.remove(errand)
                    return errand
                self._changed.wait(None if due is None else due - now)
        return None

    def _work(self) -> None:
        while errand := self._next():
            try:
                self._take(errand)
            except Exception as error:  # noqa: BLE001  the next alert is taken all the same; a message might hold an address
                self._log("alert", alert=errand.alert.id, problem=type(error).__name__)

    def _take(self, errand: _Errand) -> None:
        text = str(self._settings.latest().get(SETTING))
        addresses = [address for address in text.split(",") if address]
        wanted = [address for address in addresses if errand.only is None or _key(address) in errand.only]
        self._count = len(addresses)
        self._failing = {key: why for key, why in self._failing.items() if key in map(_key, addresses)}
        if not wanted:
            return
        for address, why in zip(wanted, self._sent(wanted, errand.alert), strict=True):
            self._note(addresses.index(address) + 1, _key(address), why)
        failed = frozenset(_key(address) for address in wanted if _key(address) in self._failing)
        if failed and errand.tries < len(self._again):
            due = self._clock() + self._again[errand.tries]
            self._put(errand._replace(due=due, tries=errand.tries + 1, only=failed))

    def _note(self, number: int, key: str, why: str) -> None:
        if why and key not in self._failing:
            self._log("alert-address", number=number, problem=f"address {number} of {SETTING} {why}")
        if not why and key in self._failing:
            self._log("alert-address", number=number, problem="")
        if why:
            self._failing[key] = why
        else:
            self._failing.pop(key, None)

    def _sent(self, addresses: Sequence[str], alert: Alert) -> list[str]:
        request = json.dumps({"addresses": addresses, "alert": message(alert)}).encode()
        try:
            done = child.run(
                self._program, data=request, timeout=TIMEOUT, limit=MAX_TALK, env=_ENVIRONMENT, cwd="/"
            )
            found = json.loads(done.output)
        except LateError as error:
            found = [str(error)]
        except (OSError, ValueError, TooMuchError):
            found = ["could not be tried: the program that sends did not work"]
        if isinstance(found, list) and len(found) == len(addresses):
            return [str(why) for why in found]
        return [str(found[0]) if isinstance(found, list) and found else "could not be tried"] * len(addresses)


def message(alert: Alert) -> dict[str, Any]:
    """Return an alert for people, as `send` takes it."""
    moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(alert.time))
    wrong = alert.kind == WRONG
    title = f"dockfra: {alert.service} is {alert.state if wrong else 'back'}"
    body = f"{alert.detail}\nSince {moment}; alert {alert.id}."
    return {"title": title, "body": body, "kind": "failure" if wrong else "success"}


def _key(address: str) -> str:
    """What stands for an address where it is remembered."""
    return hashlib.sha256(address.encode()).hexdigest()
