# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""From a commit to what serves, and back: whoever asks, it goes these steps.

The commit is fixed first. The bastions are held for as long as all of it takes, then the playbooks do the work. Whatever ends it before the
end, an error, a signal or a cut connection, what serves is put back to what it was.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...module_utils.errors import CommandError, DockfraError
from ...module_utils.processes.signals import Signals
from ...module_utils.releases import history
from ..cli import verbs
from . import blame, fleet, ledger, plan, playbook, requested
from .configuration import Configuration, Deployable
from .fleet import Move
from .ledger import Deploy, Ledger
from .mirror import MAIN, Mirror
from .plan import Step

# Where a run's files are while it goes on.
RUNS = Path("~/.local/state/dockfra/runs")

# Seconds for a bastion to say that it is held, for a whole deploy, and for a switch of all services.
_HOLD_SECONDS = 20.0
_DEPLOY_SECONDS = 3600.0
_SWITCH_SECONDS = 900.0
# Seconds for all devices that change at one share; what has not changed then does with the next deploy.
_FLEET_SECONDS = 1500.0

Tell = Callable[..., None]


class Request(NamedTuple):
    """What somebody asks for.

    Attributes:
        target: one of the platform's, or ``all``.
        ref: a branch or a commit.
        who: asks for it.
        avoid: whether what failed before is left out.
        judged: whether only what is new on the main branch may be deployed; see `requested`.
        reboot: whether devices that change start anew.
    """

    target: str
    ref: str
    who: str
    avoid: bool = False
    judged: bool = False
    reboot: bool = False


class Work(NamedTuple):
    """How services get to where they are to be.

    Attributes:
        playbook: the file's name.
        seconds: how long it may take.
        variables: those of its run, beside what every run has.
        served: called when the services are there.
        commit: what is not to be tried again by itself if it fails; empty for none.
        reboot: whether devices that change start anew.
        result: how the deploy is noted then.
    """

    playbook: str
    seconds: float
    variables: Mapping[str, Any]
    served: Callable[[], None]
    commit: str = ""
    reboot: bool = False
    result: str = ledger.DEPLOYED


class Pipeline:
    """The deploys of a platform.

    Args:
        tell: gets a line for each thing that happens, and data about it.
        configuration: what can be deployed.
        notes: where deploys are noted.
        begins: called when one begins, with what is noted of it.
    """

    def __init__(
        self,
        tell: Tell,
        configuration: Configuration | None = None,
        notes: Ledger | None = None,
        begins: Callable[[Deploy], None] = lambda _deploy: None,
    ) -> None:
        self._configuration = configuration or Configuration.load()
        self._ledger = notes or Ledger()
        self._mirror = Mirror(self._configuration.origin)
        self._tell_raw = tell
        self._begins = begins
        self._begin = time.monotonic()

    def _tell(self, text: str, data: Mapping[str, Any] | None = None) -> None:
        elapsed = time.monotonic() - self._begin
        self._tell_raw(f"{elapsed:6.1f} s  {text}", elapsed=round(elapsed, 3), **(data or {}))

    def check_target(self, target: str) -> None:
        """Raise UsageError where there is no such target."""
        self._configuration.of(target)

    # What is asked for ----------------------------------------------------------------------------------------------

    def plan(self, request: Request) -> dict[str, Any]:
        """Return what a deploy would do, without a change; raises as `deploy` does."""
        entries = self._configuration.of(request.target)
        commit, steps = self._planned(request, entries)
        moves = self._moves(request, entries, steps, commit)
        return self._result(request, "planned" if steps or moves else "unchanged", commit, steps, moves)

    def deploy(self, request: Request) -> dict[str, Any]:
        """Bring a commit to the services of a target, and return what was done.

        Raises:
            UsageError: there is no such target or commit, or it lacks a service.
            DeniedError: the commit is judged, and not what may be deployed.
            BusyError: somebody else deploys there.
            CommandError: it was not deployed, and what served serves; or devices are behind, and which.
        """
        entries = self._configuration.of(request.target)
        commit, steps = self._planned(request, entries)
        if not steps and not self._moves(request, entries, steps, commit):
            return self._result(request, "unchanged", commit, steps)
        with self._held(entries, f"deploys {commit[:12]}", request.who):
            # Somebody may have been faster.
            steps = self._steps(request, entries, commit)
            moves = self._moves(request, entries, steps, commit)
            if not steps and not moves:
                return self._result(request, "unchanged", commit, steps)
            result = self._result(request, ledger.DEPLOYED, commit, steps, moves)
            noted = self._noted(request, commit, steps, result["tickets"], moves=moves)

            def served() -> None:
                for target in sorted({step.entry.target for step in steps}):
                    self._ledger.unmark(target, commit)
                for step in steps:
                    self._ledger.acquit(step.entry.service, step.tree)

            variables = {"deploy_commit": commit}
            work = Work("deploy.yml", _DEPLOY_SECONDS, variables, served, commit, request.reboot)
            self._work(noted, work, steps, moves)
            for target, made in sorted({(self._target(move), move.commit) for move in moves}):
                self._ledger.unmark(target, made)
        return {**result, "seconds": round(time.monotonic() - self._begin, 3)}

    def rollback(self, target: str, release: str, who: str) -> dict[str, Any]:
        """Bring the services of a target back, and return what was done.

        Args:
            target: one of the platform's, or ``all``.
            release: what served when that was made; empty for what served before the last change.
            who: asks for it.

        Raises: as `deploy` does.
        """
        entries = self._configuration.of(target)
        request = Request(target, release, who)
        failed = {name: self._ledger.failed(name) for name in self._configuration.targets()}
        with self._held(entries, f"goes back to {release or 'the release before'}", who):
            there = plan.known(entries)
            steps = plan.back(entries, there, release, failed, self._blamed(entries))
            if not steps:
                return self._result(request, "unchanged", "", steps)
            left = {
                step.entry.service: there[step.entry.service].commits.get(step.before, "") for step in steps
            }
            reached = max(step.after for step in steps)
            commit = next(
                (
                    there[step.entry.service].commits[step.after]
                    for step in steps
                    if step.after == reached and reached
                ),
                "",
            )
            back = [step for step in steps if step.after < step.before]
            tickets = self._taken_back(commit, [left[step.entry.service] for step in back])
            moves = self._moves(request, entries, steps, commit)
            newest = max((step.before for step in back), default="")
            noted = self._noted(request, commit, steps, tickets, newest, moves)

            def served() -> None:
                for step in back:
                    if left[step.entry.service]:
                        self._ledger.mark(step.entry.target, left[step.entry.service])

            work = Work("switch.yml", _SWITCH_SECONDS, {}, served, result=ledger.ROLLED_BACK)
            self._work(noted, work, steps, moves)
        result = self._result(request, ledger.ROLLED_BACK, commit, steps, moves)
        return {**result, "tickets": tickets, "seconds": round(time.monotonic() - self._begin, 3)}

    def _taken_back(self, commit: str, left: Sequence[str]) -> list[str]:
        """The tickets of the commits that are served no more; the mirror has them also while the origin is away."""
        found = [
            ticket for each in dict.fromkeys(left) if each for ticket in self._mirror.tickets(commit, each)
        ]
        return list(dict.fromkeys(found))

    # The plan -------------------------------------------------------------------------------------------------------

    def _planned(self, request: Request, entries: Sequence[Deployable]) -> tuple[str, list[Step]]:
        self._mirror.fetch()
        commit = self._mirror.commit(request.ref or MAIN)
        return commit, self._steps(request, entries, commit)

    def _steps(self, request: Request, entries: Sequence[Deployable], commit: str) -> list[Step]:
        there = plan.known(entries)
        avoid = blamed = None
        if request.avoid:
            avoid = {target: self._ledger.failed(target) for target in self._configuration.targets()}
            blamed = self._blamed(entries)
        steps = plan.to_commit(self._mirror, entries, there, commit, avoid, blamed)
        if request.judged:
            requested.check(self._mirror, self._ledger, entries, there, steps, commit)
        return steps

    def _blamed(self, entries: Sequence[Deployable]) -> dict[str, Collection[str]]:
        return {entry.service: self._ledger.blamed(entry.service) for entry in entries}

    def _moves(
        self, request: Request, entries: Sequence[Deployable], steps: Sequence[Step], commit: str
    ) -> list[Move]:
        """The devices that are not at what their service serves, or will serve after these steps."""
        devices = self._configuration.devices_of(entries)
        if not devices:
            return []
        leading = {device.service for device in devices}
        there = plan.known([entry for entry in entries if entry.service in leading])
        wanted = {service: now.current for service, now in there.items()}
        wanted |= {step.entry.service: step.after for step in steps if step.entry.service in leading}
        found = [
            # A release that is not there yet will be made of the commit.
            move._replace(commit=there[move.device.service].commits.get(move.after, commit))
            for move in fleet.moves(devices, wanted)
        ]
        if not request.avoid or steps:
            return found
        # By itself nobody waits for what is off, nor tries again what did not do well.
        return [
            move
            for move in found
            if not move.problem and move.commit not in self._ledger.failed(self._target(move))
        ]

    def _result(
        self,
        request: Request,
        result: str,
        commit: str,
        steps: Sequence[Step],
        moves: Sequence[Move] = (),
    ) -> dict[str, Any]:
        before = self._before(steps) if commit else ""
        back = result == ledger.ROLLED_BACK
        return {
            "target": request.target,
            "result": result,
            "commit": commit,
            "release": _newest(steps, moves),
            "services": [
                {
                    "service": step.entry.service,
                    "before": step.before,
                    "after": step.after,
                    "build": step.build,
                }
                for step in steps
            ],
            "devices": [move.to_dict() for move in moves],
            "commits": [] if back or not steps else self._mirror.subjects(before, commit),
            "tickets": [] if back or not steps else self._mirror.tickets(before, commit),
            "seconds": round(time.monotonic() - self._begin, 3),
        }

    def _before(self, steps: Sequence[Step]) -> str:
        """The oldest commit that one of the services serves; empty where that is what an image brought."""
        served = [step.before for step in steps]
        oldest = min(served, default=history.IMAGE)
        if not oldest:
            return ""
        there = plan.known([step.entry for step in steps])
        return next((now.commits[oldest] for now in there.values() if oldest in now.commits), "")

    # The work -------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _held(self, entries: Sequence[Deployable], what: str, who: str) -> Iterator[None]:
        """Be the only one who deploys these services."""
        bastions: dict[str, list[str]] = {}
        for entry in entries:
            bastions.setdefault(entry.bastion, []).append(entry.service)
        with contextlib.ExitStack() as held:
            for bastion, services in sorted(bastions.items()):
                words = ["release-hold", *services, "--for", what, "--who", who]
                held.enter_context(verbs.held(bastion, words, timeout=_HOLD_SECONDS))
            yield

    def _noted(
        self,
        request: Request,
        commit: str,
        steps: Sequence[Step],
        tickets: Sequence[str],
        left: str = "",
        moves: Sequence[Move] = (),
    ) -> Deploy:
        names = (*(step.entry.service for step in steps), *(move.device.device for move in moves))
        release = _newest(steps, moves)
        new = Deploy(
            request.target,
            names,
            commit,
            release,
            request.who,
            time.time(),
            tickets=tuple(tickets),
            left=left,
        )
        return self._ledger.begin(new)

    def _work(self, noted: Deploy, work: Work, steps: Sequence[Step], moves: Sequence[Move]) -> None:
        """Bring services and then the devices that follow them to where they are to be.

        Where the services do not get there all of them go back to what they served, and no device is touched. Where a device does
        not, those that have keep what they have.
        """
        # A second signal waits until things are in order.
        with Signals() as signals:
            try:
                with signals.heeded():
                    self._begins(noted)
                    self._played(noted, work, steps)
            except BaseException as error:
                to_blame = blame.found(error, steps) if work.commit else []
                self._put_back(steps)
                self._failed(noted, error)
                for step in to_blame:
                    self._ledger.blame(step.entry.service, step.tree, work.commit)
                if isinstance(error, DockfraError):
                    reason = plan.reason(error).rstrip(".")
                    serves = "; ".join(f"{step.entry.service} serves {_shown(step.before)}" for step in steps)
                    raise CommandError(
                        f"{noted.target} was not changed: {reason}. As before, {serves}."
                    ) from error
                raise
            work.served()
            try:
                with signals.heeded():
                    self._followed(noted, work, moves)
            except BaseException as error:
                refused = work.commit and isinstance(error, fleet.BehindError) and error.refused
                bad = {(self._target(move), move.commit) for move in moves} if refused else set()
                self._failed(noted, error, bad)
                raise
            self._ledger.end(noted, work.result)

    def _target(self, move: Move) -> str:
        return self._configuration.services[move.device.service].target

    def _failed(self, noted: Deploy, error: BaseException, bad: Collection[tuple[str, str]] = ()) -> None:
        """Note how a deploy has failed, and for each target the commit that is not to be tried again by itself; empty for none."""
        stopped = not isinstance(error, Exception)
        reason = "it was ended from outside" if stopped else plan.reason(error)
        self._ledger.end(noted, ledger.INTERRUPTED if stopped else ledger.FAILED, reason)
        for target, commit in sorted(bad):
            if commit and not stopped:
                self._ledger.mark(target, commit)

    def _followed(self, noted: Deploy, work: Work, moves: Sequence[Move]) -> None:
        """Let devices follow their services, as far as they answer; raises fleet.BehindError for those that are behind then."""
        if not moves:
            return
        reason, refused = "", False
        for share, part in fleet.shares(moves).items():
            try:
                with _folder() as folder:
                    path = Path(self._configuration.playbooks, "devices.yml")
                    hosts = fleet.hosts(part, work.reboot)
                    playbook.run(path, hosts, {"deploy_share": share}, folder, self._tell, _FLEET_SECONDS)
            except DockfraError as error:
                reason, refused = plan.reason(error), isinstance(error, blame.BlamedError)
                break
        wanted = {move.device.service: move.after for move in moves}
        left = fleet.moves([move.device for move in moves], wanted)
        if left or reason:
            leading = {move.device.service for move in moves}
            total = sum(device.service in leading for device in self._configuration.devices)
            raise fleet.BehindError(left, total, reason, refused)

    def _played(self, noted: Deploy, work: Work, steps: Sequence[Step]) -> None:
        if not steps:
            return
        with _folder() as folder:
            given = {
                **work.variables,
                "deploy_release": noted.release,
                "deploy_who": noted.who,
                "deploy_folder": str(folder),
                "deploy_origin": str(self._mirror.place),
            }
            path = Path(self._configuration.playbooks, work.playbook)
            playbook.run(path, _hosts(steps), given, folder, self._tell, work.seconds)

    def _put_back(self, steps: Sequence[Step]) -> None:
        """Let services serve again what they served before, as far as they do not."""
        with contextlib.suppress(DockfraError):
            there = plan.known([step.entry for step in steps])
            back = [
                Step(step.entry, there[step.entry.service].current, step.before, False)
                for step in steps
                if there[step.entry.service].current != step.before
            ]
            if not back:
                return
            self._tell(f"back to what served before: {', '.join(step.entry.service for step in back)}")
            with _folder() as folder:
                path = Path(self._configuration.playbooks, "switch.yml")
                playbook.run(
                    path, _hosts(back), {"deploy_folder": str(folder)}, folder, self._tell, _SWITCH_SECONDS
                )


def _newest(steps: Sequence[Step], moves: Sequence[Move]) -> str:
    """The newest release that a deploy brings to anything; empty where that is what images brought."""
    return max([*(step.after for step in steps), *(move.after for move in moves)], default="")


def _shown(release: str) -> str:
    return release or "what its image brought"


def _hosts(steps: Sequence[Step]) -> dict[str, dict[str, Any]]:
    """The variables of the services, for a playbook."""
    return {
        step.entry.service: {
            "deploy_bastion": step.entry.bastion,
            "deploy_path": step.entry.path,
            "deploy_tree": step.tree,
            "deploy_after": step.after,
            "deploy_build": step.build,
            "deploy_host": step.entry.host,
            "deploy_port": step.entry.port,
            "deploy_health": step.entry.health,
        }
        for step in steps
    }


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A directory of a run, which ends with it; those of runs that were killed are removed first."""
    root = RUNS.expanduser()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in root.iterdir():
        owner = left.name.partition("-")[0]
        if not (owner.isdigit() and os.path.isdir(f"/proc/{owner}")):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{os.getpid()}-", dir=root) as folder:
        yield Path(folder)
