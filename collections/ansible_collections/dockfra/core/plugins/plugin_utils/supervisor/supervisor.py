# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a service serves, and how it changes from one release to another without losing a request.

The links of its releases say what is wanted (see ``releases.links``). A new release is started beside the one that serves and
proves that it works before anybody can reach it. Then it accepts, and the old one stops to, finishes what it has begun, and
stands by for as long as the new one is watched: if that ends or hangs meanwhile the old one accepts again. Each step is
reported in the service's state (see ``releases.state``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ...module_utils.errors import (
    ReleaseDamagedError,
    ReleaseError,
    ReleaseHopelessError,
    ReleaseRefusedError,
)
from ...module_utils.releases import links, state
from ...module_utils.releases.links import Link
from ...module_utils.releases.state import CONFIRM_SECONDS, UNDER_WAY, State, Try, one_line
from .instance import Instance, Problem
from .source import IMAGE, Source, Sources

# So many starts in a row that end within the settling time, until another release is taken.
MAX_FAILURES = 3
# Seconds before a start that follows on a failure, at most.
_MAX_PAUSE = 5.0
# Old instances that may finish what they have begun while the next switch is made: each takes memory, beside the one that serves
# and the one that is to.
_MAX_ENDING = 1
# Seconds that an instance which is not needed any more has to end.
_STOP = 3.0

_WITHDRAWN = Problem("withdrawn", "it is not asked for any more")

Log = Callable[..., None]


@dataclass
class Trial:
    """A release on its way to serve.

    Attributes:
        instance: it.
        link: that led to it.
        asked: whether somebody waits for the answer; else it is just what the links say.
        settles_at: when it counts as ready, in seconds of the monotonic clock; 0 until it serves.
    """

    instance: Instance
    link: Link
    asked: bool
    settles_at: float = 0.0


class Supervisor:
    """One service.

    Args:
        sources: what it can serve.
        folder: where it reports; empty where nobody reads that.
        make: makes an instance of a source.
        log: writes an event with its fields to the container's log.
    """

    def __init__(self, sources: Sources, folder: str, make: Callable[[Source], Instance], log: Log) -> None:
        self._sources, self._folder, self._make, self._log = sources, folder, make, log
        self._state = self._remembered()
        self.serving: Instance | None = None
        self._standby: Instance | None = None
        self._trial: Trial | None = None
        self._ending: list[Instance] = []
        # Links that are not followed: what they lead to could not serve.
        self._given_up: set[str] = set()
        self._failures = 0
        self._start_at = 0.0
        # Since when `serving` does so; None before.
        self._since: float | None = None

    def _remembered(self) -> State:
        try:
            return (state.read(self._folder) if self._folder else None) or State()
        except ReleaseDamagedError as error:
            self._log("forgotten", reason=str(error))
            return State()

    def instances(self) -> list[Instance]:
        """Return all there are."""
        trial = [self._trial.instance] if self._trial else []
        one = [instance for instance in (self.serving, self._standby, *trial) if instance]
        return [*dict.fromkeys([*one, *self._ending])]

    def step(self) -> None:
        """Do what is to be done now; raises ReleaseHopelessError."""
        for instance in self.instances():
            instance.pump()
        self._see_off()
        if self._trial and self._trial.settles_at:
            self._settle(self._trial)
        elif self._trial:
            self._try(self._trial)
        self._keep_serving()
        if not self._trial:
            self._look()

    def stop(self) -> None:
        """End all, with some seconds for what is under way."""
        for instance in self.instances():
            instance.stop(_STOP)

    def _see_off(self) -> None:
        """Forget what has ended, and remove what it wrote where only reports are to be."""
        ending = [instance for instance in self._ending if not instance.gone]
        if len(ending) < len(self._ending) and self._folder:
            try:
                state.clear(self._folder)
            except OSError as error:
                self._log("cannot clear", reason=error.strerror or str(error))
        self._ending = ending

    # What serves ----------------------------------------------------------------------------------------------------

    def _keep_serving(self) -> None:
        now = time.monotonic()
        if self.serving is None:
            if now >= self._start_at:
                self._start(self._first())
        elif self.serving.problem:
            self._restart(self.serving, now)
        elif self.serving.proved and not self.serving.admitted:
            self.serving.accept()
            self._since = now
            self._say(running=self.serving.release)
            self._log("serves", release=self.serving.release)

    def _first(self) -> Source:
        """What to serve when nothing does."""
        for name in self._sources.names():
            if name in self._state.crashed:
                continue
            try:
                return self._sources.get(name)
            except ReleaseError as error:
                self._log("passed over", release=name, reason=str(error))
        return self._sources.image

    def _start(self, source: Source) -> None:
        self.serving, self._since = self._make(source), None
        # Nothing else serves: it is better than nothing, also while what it depends on is away.
        self.serving.start(prove=False)

    def _restart(self, instance: Instance, now: float) -> None:
        """Start anew what has ended; what ends at once again and again is passed over."""
        problem = instance.problem or _WITHDRAWN
        self._log("ended", release=instance.release, result=problem.result, reason=problem.reason)
        lasted = now - self._since if self._since else 0.0
        self._failures = 1 if lasted > max(1, instance.source.spec.settle_seconds) else self._failures + 1
        self._end(instance)
        self.serving = None
        if self._failures >= MAX_FAILURES:
            if instance.release == IMAGE:
                raise ReleaseHopelessError(problem.reason)
            self._say(self._state.with_crash(instance.release))
            self._failures = 0
        elif self._failures > 1:
            self._start_at = now + min(0.25 * 2**self._failures, _MAX_PAUSE)

    # What is wanted -------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Begin with what is wanted, if that is another than what serves."""
        wanted = self._wanted()
        if wanted is None:
            return
        asked = wanted == self._sources.link(links.NEXT)
        if self.serving and wanted.release == self.serving.release:
            if asked and self.serving.accepting and not self._tried(wanted):
                self._tell(wanted, asked, Problem("ready", "it serves already"))
            return
        # While nothing serves yet, what the links say is started anyway.
        if asked or (self.serving and self.serving.accepting):
            if asked and not self._under_way(wanted):
                self._tell(wanted, asked, Problem("trying", ""))
            if len(self._ending) < _MAX_ENDING:
                self._begin(wanted, asked)

    def _wanted(self) -> Link | None:
        """Where the links lead, those left out that were given up; None where that is nowhere else."""
        asked = self._sources.link(links.NEXT)
        if asked and asked.token not in self._given_up and not self._refused(asked):
            return asked
        current = self._sources.link(links.CURRENT)
        if current is None:
            return None if "" in self._given_up else Link(IMAGE, "")
        follow = current.token not in self._given_up and current.release not in self._state.crashed
        return current if follow else None

    def _tried(self, link: Link) -> Try | None:
        tried = self._state.tried
        return tried if tried and tried.token == link.token else None

    def _under_way(self, link: Link) -> bool:
        tried = self._tried(link)
        return bool(tried and tried.result in UNDER_WAY)

    def _refused(self, link: Link) -> bool:
        """Whether a request was answered, and that is the end of it."""
        tried = self._tried(link)
        if tried is None or tried.result in UNDER_WAY:
            return False
        if tried.result == "ready":
            # The bastion makes it the current one, unless it has ended.
            return time.time() - tried.time > CONFIRM_SECONDS
        return True

    # On the way -----------------------------------------------------------------------------------------------------

    def _begin(self, link: Link, asked: bool) -> None:
        try:
            instance = self._make(self._sources.get(link.release))
        except ReleaseRefusedError as error:
            self._tell(link, asked, Problem(error.result, error.reason))
        except ReleaseError as error:
            self._tell(link, asked, Problem("damaged", str(error)))
        else:
            self._trial = Trial(instance, link, asked)
            instance.start(prove=True)

    def _try(self, trial: Trial) -> None:
        """Go on with a release that nobody reaches yet."""
        instance = trial.instance
        if instance.problem:
            self._fail(trial, instance.problem)
        elif self._still_wanted(trial) is False:
            self._fail(trial, _WITHDRAWN)
        elif instance.proved and not instance.admitted:
            instance.accept()
        if instance.accepting and not instance.problem and self._trial:
            self._swap(trial)

    def _swap(self, trial: Trial) -> None:
        """From here on the new one serves; the old one stops to accept."""
        old, self.serving = self.serving, trial.instance
        if old and old.accepting:
            self._standby = old
            old.drain()
        elif old:
            self._end(old)
        self._since = time.monotonic()
        trial.settles_at = self._since + trial.instance.source.spec.settle_seconds
        self._state = replace(self._state, running=trial.instance.release)
        self._tell(trial.link, trial.asked, Problem("settling", ""))

    def _settle(self, trial: Trial) -> None:
        """Watch a release that serves."""
        instance = trial.instance
        instance.watch()
        if self._standby and self._standby.gone:
            self._standby = None
        if instance.problem:
            self._take_back(trial, instance.problem)
        elif self._still_wanted(trial) is False:
            self._take_back(trial, _WITHDRAWN)
        elif time.monotonic() >= trial.settles_at and instance.answers:
            self._trial = None
            self._failures = 0
            self._state = self._state.without_crash(trial.instance.release)
            self._tell(trial.link, trial.asked, Problem("ready", ""))
            self._retire_standby()

    def _still_wanted(self, trial: Trial) -> bool:
        wanted = self._wanted()
        return wanted is None or wanted.release == trial.instance.release

    def _take_back(self, trial: Trial, problem: Problem) -> None:
        """Let the old one serve again."""
        old, self._standby = self._standby, None
        if problem is not _WITHDRAWN:
            self._state = self._state.with_crash(trial.instance.release)
        if old is None or old.problem:
            # It has ended too. What the links say is started, as after any end.
            self.serving = None
            if old:
                self._end(old)
        else:
            self.serving = old
            old.resume()
        # Also where nothing serves for now: what is retired and still accepts would never be through.
        trial.instance.drain()
        self._state = replace(
            self._state, running=self.serving.release if self.serving else self._state.running
        )
        self._fail(trial, problem, served=True)

    def _fail(self, trial: Trial, problem: Problem, served: bool = False) -> None:
        self._trial = None
        self._tell(trial.link, trial.asked, problem)
        if served and problem.result != "hung" and not trial.instance.gone:
            trial.instance.retire()
            self._ending.append(trial.instance)
        else:
            self._end(trial.instance)

    def _end(self, instance: Instance) -> None:
        instance.stop(0.5)
        self._ending.append(instance)

    def _retire_standby(self) -> None:
        if self._standby:
            self._standby.retire()
            self._ending.append(self._standby)
        self._standby = None

    # Reports --------------------------------------------------------------------------------------------------------

    def _tell(self, link: Link, asked: bool, problem: Problem) -> None:
        """Report how far a release has come, and remember which way leads nowhere."""
        self._log(problem.result, release=link.release, reason=problem.reason)
        if problem.result not in (*UNDER_WAY, "ready", "withdrawn"):
            there = {
                found.token for name in (links.NEXT, links.CURRENT) if (found := self._sources.link(name))
            }
            self._given_up = (self._given_up & there) | {link.token}
        if asked:
            tried = Try(link.release, link.token, problem.result, one_line(problem.reason), time.time())
            self._state = replace(self._state, tried=tried)
        self._say()

    def _say(self, said: State | None = None, **changes: Any) -> None:
        self._state = replace(said or self._state, **changes)
        if not self._folder:
            return
        try:
            state.write(self._folder, self._state)
        except OSError as error:
            # It serves on; whoever waits for the report is told by his own time limit.
            self._log("cannot report", reason=error.strerror or str(error))
