# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What was deployed from here, and what is not to be tried again by itself: commits, and the content of single services.

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
from typing import Any, NamedTuple

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


class _Noted(NamedTuple):
    """What the file says.

    Attributes:
        deploys: the oldest first.
        failed: commits by target that failed or were rolled back.
        blamed: of each service that failed git's name for its directory, and the commit.
    """

    deploys: list[Deploy]
    failed: dict[str, list[str]]
    blamed: dict[str, list[tuple[str, str]]]


class Ledger:
    """All of them.

    Args:
        place: the file.
    """

    def __init__(self, place: Path | None = None) -> None:
        self._place = (place or PLACE).expanduser()

    def latest(self, most: int = MAX_DEPLOYS) -> list[Deploy]:
        """Return the last deploys, the newest first; raises CommandError."""
        return list(reversed(self._read().deploys))[:most]

    def failed(self, target: str) -> frozenset[str]:
        """Return the commits that failed for a target or were rolled back there; raises CommandError."""
        return frozenset(self._read().failed.get(target, ()))

    def blamed(self, service: str) -> frozenset[str]:
        """Return git's names for the directories of which a service's releases failed; raises CommandError."""
        return frozenset(tree for tree, _commit in self._read().blamed.get(service, ()))

    def blamed_for(self, commit: str) -> frozenset[str]:
        """Return the services whose content of a commit failed; raises CommandError."""
        blamed = self._read().blamed
        return frozenset(
            service for service, marks in blamed.items() if any(made == commit for _tree, made in marks)
        )

    def commits(self) -> frozenset[str]:
        """Return the commits of which anything failed or was rolled back; raises CommandError."""
        noted = self._read()
        of_services = (commit for marks in noted.blamed.values() for _tree, commit in marks)
        return frozenset().union(*noted.failed.values(), of_services)

    def blame(self, service: str, tree: str, commit: str) -> None:
        """Note that what a commit has of a service is not to be deployed again by itself; raises CommandError.

        Args:
            service: its name.
            tree: git's name for its directory.
            commit: the whole hash.
        """

        def change(noted: _Noted) -> None:
            marks = [other for other in noted.blamed.get(service, []) if other != (tree, commit)]
            noted.blamed[service] = [*marks, (tree, commit)][-MAX_FAILED:]

        self._change(change)

    def acquit(self, service: str, tree: str) -> None:
        """Take such notes back: that content serves; raises CommandError."""

        def change(noted: _Noted) -> None:
            noted.blamed[service] = [mark for mark in noted.blamed.get(service, []) if mark[0] != tree]

        self._change(change)

    def begin(self, deploy: Deploy) -> Deploy:
        """Note that a deploy begins in this process, and return what was noted; raises CommandError."""
        here = work_lock.Holder.of(os.getpid(), deploy.who, deploy.target)
        noted = replace(deploy, process=here.to_dict())
        self._change(lambda there: there.deploys.append(noted))
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

        def change(noted: _Noted) -> None:
            noted.deploys[:] = [ended if other.id == deploy.id else other for other in noted.deploys]

        self._change(change)
        return ended

    def mark(self, target: str, commit: str) -> None:
        """Note that a commit is not to be deployed to a target again by itself; raises CommandError."""

        def change(noted: _Noted) -> None:
            marks = [other for other in noted.failed.get(target, []) if other != commit]
            noted.failed[target] = [*marks, commit][-MAX_FAILED:]

        self._change(change)

    def unmark(self, target: str, commit: str) -> None:
        """Take such a note back: somebody asked for the commit, and it serves; raises CommandError."""

        def change(noted: _Noted) -> None:
            noted.failed[target] = [other for other in noted.failed.get(target, []) if other != commit]

        self._change(change)

    def told(self, deploy: Deploy) -> None:
        """Note that all know of a deploy who are to; raises CommandError."""

        def change(noted: _Noted) -> None:
            noted.deploys[:] = [
                replace(other, told=True) if other.id == deploy.id else other for other in noted.deploys
            ]

        self._change(change)

    def _change(self, change: Callable[[_Noted], None]) -> None:
        with self._alone():
            noted = self._read()
            change(noted)
            kept = [asdict(deploy) for deploy in noted.deploys[-MAX_DEPLOYS:]]
            values = {"deploys": kept, "failed": noted.failed, "blamed": noted.blamed}
            data = json.dumps(values, indent=1).encode()
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

    def _read(self) -> _Noted:
        try:
            with open(self._place, "rb") as file:
                data = json.loads(file.read(_MAX_BYTES))
            return _Noted(
                [Deploy.from_dict(values) for values in data["deploys"]],
                {str(target): [*map(str, marks)] for target, marks in data["failed"].items()},
                {
                    str(service): [(str(tree), str(commit)) for tree, commit in marks]
                    # What was written before services were blamed has only commits.
                    for service, marks in data.get("blamed", {}).items()
                },
            )
        except FileNotFoundError:
            return _Noted([], {}, {})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CommandError(
                f"{self._place} cannot be read ({error}); move it away, and deploys go on without what it remembers"
            ) from error
