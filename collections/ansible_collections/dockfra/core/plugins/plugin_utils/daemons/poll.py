# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The monitor's daemon that looks at the origin again and again, and deploys what is new on its main branch.

It deploys as a person does, by the command ``deploy-all``, with the one commit that it found: several pushes deploy the newest. What has been
brought to an end, well or not, it does not try again; that is a person's to ask for. A long deploy holds up nothing here: the work is
done in a thread, and the daemon's heart beats on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ...module_utils.errors import DockfraError, LateError, TooMuchError
from ...module_utils.processes import child
from ...module_utils.settings.file import EnvFile
from ..cli import codes, remote, watched
from ..cli.call import Place
from ..cli.command import PATH
from ..deploys.configuration import BY, TIME_LIMIT, Configuration
from ..deploys.ledger import Ledger
from ..deploys.mirror import Mirror
from . import daemon as daemons
from .beside import Beside
from .daemon import Daemon

# Seconds between two steps of the daemon.
PERIOD = 1.0

# Seconds to the next look after one that failed: twice as many each time, from the setting's to this.
MOST_PATIENCE = 300.0

# Looks at the origin that have to fail before it counts as away.
AWAY = 2

# Bytes that a deploy may say.
MAX_TALK = 16 * 1024 * 1024

# What was brought to an end, for the next one after this.
SETTLED = Path("~/.local/state/dockfra/polled.json")


class Ended(NamedTuple):
    """How a deploy ended.

    Attributes:
        status: the exit status of the command.
        message: its line for people.
    """

    status: int
    message: str


class Poll:
    """Looks at the origin.

    Args:
        daemon: whose step it is.
        settings: the file of the monitor's settings.
        fetch: brings what is new and returns the commit of the main branch.
        deploy: deploys a commit.
        failed: returns the commits that failed or were rolled back somewhere.
        settled: the file that remembers what was brought to an end.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        daemon: Daemon,
        settings: EnvFile,
        fetch: Callable[[], str],
        deploy: Callable[[str], Ended],
        failed: Callable[[], frozenset[str]],
        settled: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._daemon = daemon
        self._settings = settings
        self._fetch = fetch
        self._deploy = deploy
        self._failed = failed
        self._place = settled
        self._clock = clock
        known = daemons.load(settled)
        self._settled = known.get("commit", "") if isinstance(known, dict) else ""
        self._commit = ""
        self._away = 0
        self._origin_problem = ""
        self._deploying = ""
        self._tries = 0
        self._deploy_problem = ""
        self._told = ""
        self._due = clock()
        self._read = 0.0

    def look(self) -> None:
        """Look at the origin, if it is time, and deploy what is new, until that has ended."""
        interval = float(self._settings.latest().get("MONITOR_POLL_INTERVAL"))
        # A shorter interval holds at once.
        self._due = min(self._due, self._clock() + max(interval, MOST_PATIENCE))
        if not self._failing() and self._read:
            self._due = min(self._due, self._read + interval)
        if self._clock() < self._due:
            return
        if self._seen() and self._wanted():
            self._bring(self._commit)
        self._read = self._clock()
        tries = max(self._away, self._tries)
        self._due = self._read + min(interval * 2**tries, max(interval, MOST_PATIENCE))

    def state(self) -> dict[str, Any]:
        """Return how things stand, for the others of this container."""
        return {
            "commit": self._commit,
            "settled": self._settled,
            "deploying": self._deploying,
            "automatic": bool(self._settings.latest().get("MONITOR_AUTO_DEPLOY")),
            "origin": {"wrong": self._away >= AWAY, "detail": self._origin_problem},
            "deploy": {"wrong": bool(self._deploy_problem), "detail": self._deploy_problem},
        }

    def _failing(self) -> bool:
        return bool(self._away or self._tries)

    def _seen(self) -> bool:
        """Learn what the main branch is at; returns whether that is known."""
        try:
            commit = self._fetch()
        except DockfraError as error:
            self._away = min(self._away + 1, 30)
            self._origin_problem = codes.line("origin", str(error)).removeprefix("origin: ")
            self._tell("origin", self._origin_problem)
            return False
        if self._away:
            self._tell("origin", "")
        self._away, self._origin_problem = 0, ""
        if commit != self._commit:
            self._tries = 0
        self._commit = commit
        return True

    def _wanted(self) -> bool:
        """Whether the commit is to be deployed now."""
        if self._commit == self._settled:
            return False
        if self._commit in self._failed():
            self._settle(self._commit)
            return False
        return bool(self._settings.latest().get("MONITOR_AUTO_DEPLOY"))

    def _bring(self, commit: str) -> None:
        self._daemon.log("deploy", commit=commit)
        self._deploying = commit
        try:
            ended = self._deploy(commit)
        finally:
            self._deploying = ""
        self._daemon.log("deployed", commit=commit, status=ended.status, message=ended.message)
        if ended.status == codes.OK:
            self._tries, self._deploy_problem = 0, ""
            self._settle(commit)
        elif ended.status == codes.BUSY:  # by somebody else; the next look finds how that ended
            self._tries = 0
        else:
            self._deploy_problem = f"{commit[:12]} of main was not deployed: {ended.message}"
            # Only what was tried and failed is noted as such; that a bastion was away says nothing of a commit.
            if commit in self._failed():
                self._tries = 0
                self._settle(commit)
            else:
                self._tries = min(self._tries + 1, 30)

    def _settle(self, commit: str) -> None:
        self._settled = commit
        try:
            self._place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            daemons.save(self._place, {"commit": commit})
        except OSError as error:
            self._daemon.log("settled", problem=f"{self._place} cannot be written: {error.strerror}")

    def _tell(self, event: str, problem: str) -> None:
        """Once for each problem."""
        if problem != self._told:
            self._daemon.log(event, problem=problem)
        self._told = problem


def deploy(commit: str) -> Ended:
    """Deploy a commit by the command that people use; it ends with this process."""
    command = [f"{PATH}/deploy-all", "--json", "--automatic", commit]
    environment = {**os.environ, BY: "poll"}
    try:
        done = child.run(
            command,
            timeout=TIME_LIMIT + 60,
            limit=MAX_TALK,
            on_line=lambda _line: None,
            env=environment,
            cwd="/",
        )
    except OSError as error:
        return Ended(codes.FAILED, f"deploy-all cannot be started: {error.strerror}")
    except (LateError, TooMuchError) as error:
        return Ended(codes.LATE, f"deploy-all: {error}")
    return Ended(done.status, remote.last_line(done.errors) if done.status else "")


def main() -> int:
    daemon = Daemon("poll")
    place = Place.load()
    configuration = Configuration.load()
    notes = Ledger()

    poll = Poll(
        daemon,
        EnvFile.of(place.name),
        Mirror(configuration.origin).fetch,
        deploy,
        notes.commits,
        SETTLED.expanduser(),
    )
    return daemon.serve(Beside(daemon, poll, daemon.run / watched.POLLED).step, PERIOD, children=True)
