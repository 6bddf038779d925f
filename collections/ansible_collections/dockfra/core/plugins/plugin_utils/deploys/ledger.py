# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What was deployed from here, and which commits are not to be tried again by themselves.

One file, replaced whole at each change. A deploy is noted before it begins, so that one which was killed is known as such.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ...module_utils.errors import CommandError
from ...module_utils.files import atomic
from ...module_utils.locks import file_lock, work_lock

PLACE = Path("~/.local/state/dockfra/deploys.json")
# So many deploys are remembered, and of each target so many commits that failed.
MAX_DEPLOYS = 300
MAX_FAILED = 100
_MAX_BYTES = 4 * 1024 * 1024
_PATIENCE = 10.0

RUNNING = "running"
DEPLOYED = "deployed"
FAILED = "failed"
ROLLED_BACK = "rolled-back"
INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Deploy:
    """One deploy or rollback.

    Attributes:
        id: tells it from all others.
        target: what was deployed.
        services: those that changed, or were to.
        commit: the whole hash; empty where a rollback goes to what the images brought.
        release: the id of the release; empty likewise.
        who: asked for it.
        started: seconds since the epoch.
        seconds: how long it took.
        result: one of the words above.
        reason: why it failed, in one line.
        tickets: those that its commits name; of a rollback those of the commits that it took back.
        left: the release that a rollback took back; empty likewise, and of a deploy.
        told: whether the backend has it and the tickets know.
        process: which process does it, as `work_lock.Holder` knows one.
    """

    target: str
    services: tuple[str, ...]
    commit: str
    release: str
    who: str
    started: float
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    seconds: float = 0.0
    result: str = RUNNING
    reason: str = ""
    tickets: tuple[str, ...] = ()
    left: str = ""
    told: bool = False
    process: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Deploy:
        """Return what `asdict` made plain data of; raises KeyError, or TypeError."""
        # What was written before there was a word of what is left.
        values = {"left": "", **values}
        known = {entry.name: values[entry.name] for entry in fields(cls)}
        return cls(**{**known, "services": tuple(known["services"]), "tickets": tuple(known["tickets"])})

    @property
    def alive(self) -> bool:
        """Whether the process that does it goes on."""
        holder = work_lock.Holder.from_dict(self.process)
        return holder is not None and holder.alive


class Ledger:
    """All of them.

    Args:
        place: the file.
    """

    def __init__(self, place: Path | None = None) -> None:
        self._place = (place or PLACE).expanduser()

    def latest(self, most: int = MAX_DEPLOYS) -> list[Deploy]:
        """Return the last deploys, the newest first; raises CommandError."""
        return list(reversed(self._read()[0]))[:most]

    def failed(self, target: str) -> frozenset[str]:
        """Return the commits that failed for a target or were rolled back there; raises CommandError."""
        return frozenset(self._read()[1].get(target, ()))

    def begin(self, deploy: Deploy) -> Deploy:
        """Note that a deploy begins in this process, and return what was noted; raises CommandError."""
        here = work_lock.Holder.of(os.getpid(), deploy.who, deploy.target)
        noted = replace(deploy, process=here.to_dict())
        self._change(lambda deploys, _failed: deploys.append(noted))
        return noted

    def end(self, deploy: Deploy, result: str, reason: str = "") -> Deploy:
        """Note how a deploy ended, and return what was noted.

        Args:
            deploy: it.
            result: one of the words above.
            reason: why it failed.

        Raises:
            CommandError: that cannot be written.
        """
        seconds = round(time.time() - deploy.started, 3)
        ended = replace(deploy, result=result, reason=reason[:500], seconds=seconds, process={})

        def change(deploys: list[Deploy], _marked: dict[str, list[str]]) -> None:
            deploys[:] = [ended if other.id == deploy.id else other for other in deploys]

        self._change(change)
        return ended

    def mark(self, target: str, commit: str) -> None:
        """Note that a commit is not to be deployed to a target again by itself; raises CommandError."""

        def change(_deploys: list[Deploy], marked: dict[str, list[str]]) -> None:
            marks = [other for other in marked.get(target, []) if other != commit]
            marked[target] = [*marks, commit][-MAX_FAILED:]

        self._change(change)

    def unmark(self, target: str, commit: str) -> None:
        """Take such a note back: somebody asked for the commit, and it serves; raises CommandError."""

        def change(_deploys: list[Deploy], marked: dict[str, list[str]]) -> None:
            marked[target] = [other for other in marked.get(target, []) if other != commit]

        self._change(change)

    def told(self, deploy: Deploy) -> None:
        """Note that all know of a deploy who are to; raises CommandError."""

        def change(deploys: list[Deploy], _failed: dict[str, list[str]]) -> None:
            deploys[:] = [replace(other, told=True) if other.id == deploy.id else other for other in deploys]

        self._change(change)

    def _change(self, change: Callable[[list[Deploy], dict[str, list[str]]], None]) -> None:
        with self._alone():
            deploys, failed = self._read()
            change(deploys, failed)
            kept = [asdict(deploy) for deploy in deploys[-MAX_DEPLOYS:]]
            data = json.dumps({"deploys": kept, "failed": failed}, indent=1).encode()
            atomic.replace(self._place, data, mode=0o600)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self._place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = file_lock.open_file(self._place.with_suffix(".lock"))
            try:
                if not file_lock.take(lock, _PATIENCE):
                    raise CommandError(f"{self._place} is in use for {_PATIENCE:g} s; try again")
                yield
            finally:
                os.close(lock)
        except OSError as error:
            raise CommandError(f"{self._place} cannot be written: {error.strerror}") from error

    def _read(self) -> tuple[list[Deploy], dict[str, list[str]]]:
        try:
            with open(self._place, "rb") as file:
                data = json.loads(file.read(_MAX_BYTES))
            deploys = [Deploy.from_dict(values) for values in data["deploys"]]
            return deploys, {str(target): [*map(str, marks)] for target, marks in data["failed"].items()}
        except FileNotFoundError:
            return [], {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CommandError(
                f"{self._place} cannot be read ({error}); move it away, and deploys go on without what it remembers"
            ) from error
