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

from ...module_utils.errors import CommandError, DeniedError, DockfraError
from ...module_utils.processes.signals import Signals
from ...module_utils.releases import history
from ..cli import verbs
from . import ledger, plan, playbook
from .configuration import Configuration, Deployable
from .ledger import Deploy, Ledger
from .mirror import MAIN, Mirror
from .plan import Step

# Where a run's files are while it goes on.
RUNS = Path("~/.local/state/dockfra/runs")

# Seconds for a bastion to say that it is held, for a whole deploy, and for a switch of all services.
_HOLD_SECONDS = 20.0
_DEPLOY_SECONDS = 3600.0
_SWITCH_SECONDS = 900.0

Tell = Callable[..., None]


class Request(NamedTuple):
    """What somebody asks for.

    Attributes:
        target: one of the platform's, or ``all``.
        ref: a branch or a commit.
        who: asks for it.
        avoid: whether what failed before is left out.
        only_main: whether the commit has to be on the main branch.
    """

    target: str
    ref: str
    who: str
    avoid: bool = False
    only_main: bool = False


class Pipeline:
    """The deploys of a platform.

    Args:
        tell: gets a line for each thing that happens, and data about it.
        configuration: what can be deployed.
        notes: where deploys are noted.
    """

    def __init__(
        self, tell: Tell, configuration: Configuration | None = None, notes: Ledger | None = None
    ) -> None:
        self._configuration = configuration or Configuration.load()
        self._ledger = notes or Ledger()
        self._mirror = Mirror(self._configuration.origin)
        self._tell_raw = tell
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
        return self._result(request, "planned" if steps else "unchanged", commit, steps)

    def deploy(self, request: Request) -> dict[str, Any]:
        """Bring a commit to the services of a target, and return what was done.

        Raises:
            UsageError: there is no such target or commit, or it lacks a service.
            DeniedError: the commit is not on main, and has to be.
            BusyError: somebody else deploys there.
            CommandError: it was not deployed, and what served serves.
        """
        entries = self._configuration.of(request.target)
        commit, steps = self._planned(request, entries)
        if not steps:
            return self._result(request, "unchanged", commit, steps)
        with self._held(entries, f"deploys {commit[:12]}", request.who):
            # Somebody may have been faster.
            steps = self._steps(request, entries, commit)
            if not steps:
                return self._result(request, "unchanged", commit, steps)
            result = self._result(request, ledger.DEPLOYED, commit, steps)
            noted = self._noted(request, commit, steps, result["tickets"])
            self._work(noted, "deploy.yml", steps, {"deploy_commit": commit}, _DEPLOY_SECONDS, commit)
            for target in sorted({step.entry.target for step in steps}):
                self._ledger.unmark(target, commit)
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
            steps = plan.back(entries, there, release, failed)
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
            noted = self._noted(request, commit, steps, [])
            self._work(noted, "switch.yml", steps, {}, _SWITCH_SECONDS, "", ledger.ROLLED_BACK)
            for step in steps:
                if left[step.entry.service] and step.after < step.before:
                    self._ledger.mark(step.entry.target, left[step.entry.service])
        result = self._result(request, ledger.ROLLED_BACK, commit, steps)
        return {**result, "seconds": round(time.monotonic() - self._begin, 3)}

    # The plan -------------------------------------------------------------------------------------------------------

    def _planned(self, request: Request, entries: Sequence[Deployable]) -> tuple[str, list[Step]]:
        self._mirror.fetch()
        commit = self._mirror.commit(request.ref or MAIN)
        if request.only_main and not self._mirror.on_main(commit):
            raise DeniedError(
                f"{commit[:12]} is not on {MAIN}, and only what is there is deployed on request; merge it first"
            )
        return commit, self._steps(request, entries, commit)

    def _steps(self, request: Request, entries: Sequence[Deployable], commit: str) -> list[Step]:
        there = plan.known(entries)
        avoid: dict[str, Collection[str]] = {}
        if request.avoid:
            avoid = {target: self._ledger.failed(target) for target in self._configuration.targets()}
        return plan.to_commit(self._mirror, entries, there, commit, avoid)

    def _result(self, request: Request, result: str, commit: str, steps: Sequence[Step]) -> dict[str, Any]:
        before = self._before(steps) if commit else ""
        back = result == ledger.ROLLED_BACK
        return {
            "target": request.target,
            "result": result,
            "commit": commit,
            "release": max((step.after for step in steps), default=""),
            "services": [
                {
                    "service": step.entry.service,
                    "before": step.before,
                    "after": step.after,
                    "build": step.build,
                }
                for step in steps
            ],
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

    def _noted(self, request: Request, commit: str, steps: Sequence[Step], tickets: Sequence[str]) -> Deploy:
        names = tuple(step.entry.service for step in steps)
        release = max(step.after for step in steps)
        new = Deploy(request.target, names, commit, release, request.who, time.time(), tickets=tuple(tickets))
        return self._ledger.begin(new)

    def _work(
        self,
        noted: Deploy,
        name: str,
        steps: Sequence[Step],
        variables: Mapping[str, Any],
        seconds: float,
        failed: str,
        result: str = ledger.DEPLOYED,
    ) -> None:
        """Run a playbook; where that does not come to its end all services go back to what they served."""
        # A second signal waits until that is done.
        with Signals() as signals:
            try:
                with signals.heeded():
                    self._played(noted, name, steps, variables, seconds)
            except BaseException as error:
                self._put_back(steps)
                stopped = not isinstance(error, Exception)
                reason = "it was ended from outside" if stopped else plan.reason(error)
                self._ledger.end(noted, ledger.INTERRUPTED if stopped else ledger.FAILED, reason)
                if not stopped and failed:
                    for target in sorted({step.entry.target for step in steps}):
                        self._ledger.mark(target, failed)
                if isinstance(error, DockfraError):
                    serves = "; ".join(f"{step.entry.service} serves {_shown(step.before)}" for step in steps)
                    raise CommandError(
                        f"{noted.target} was not changed: {reason.rstrip('.')}. As before, {serves}."
                    ) from error
                raise
            self._ledger.end(noted, result)

    def _played(
        self, noted: Deploy, name: str, steps: Sequence[Step], variables: Mapping[str, Any], seconds: float
    ) -> None:
        with _folder() as folder:
            given = {
                **variables,
                "deploy_release": noted.release,
                "deploy_who": noted.who,
                "deploy_folder": str(folder),
                "deploy_origin": str(self._mirror.place),
            }
            path = Path(self._configuration.playbooks, name)
            playbook.run(path, _hosts(steps), given, folder, self._tell, seconds)

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
