# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the autopilot works with in its container: where its files are, and what its role has written for it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...module_utils.audit.log import AuditLog
from ...module_utils.autopilot import catalogue, pause
from ...module_utils.autopilot.actions import Catalogue
from ...module_utils.autopilot.approvals import Approvals
from ...module_utils.autopilot.inventory import Inventory
from ...module_utils.autopilot.judgement import Circumstances, Engine
from ...module_utils.autopilot.ledger import Ledger
from ...module_utils.autopilot.snapshot import Budget
from ...module_utils.errors import AutopilotError, CommandError, DockfraError
from ...module_utils.locks.work_lock import WorkLock
from ...module_utils.settings.file import EnvFile
from ..cli import libraries
from ..cli.call import Place
from ..cli.journal import log_path
from . import playbook
from .gather import PLAYBOOK, Gatherer
from .playbook import Outcome

# What there is to act on, from the topology.
CONFIGURATION = Path("/etc/dockfra/autopilot/inventory.json")
PLAYBOOKS = Path("/usr/local/share/dockfra/playbooks/autopilot")

# On the volume of the home: what was decided, what waits for people, and until when nothing is to be done.
STATE = Path("~/.local/state/dockfra/autopilot")
# In memory: the directories of the playbooks that run.
RUNS = Path("/run/dockfra/pilot-runs")

# What says whether and how far it acts. The default of one that is mistyped would act where somebody wanted it not to.
_STEERING = ("AUTOPILOT_ENABLED", "AUTOPILOT_MODE")


@dataclass(frozen=True)
class Means:
    """All of it.

    Attributes:
        place: this container.
        settings: the file of the settings.
        state: the directory of what is kept.
        runs: the directory of the runs.
        playbooks: the directory of the catalogue.
        inventory: the names there are.
        actions: the catalogue.
        engine: the policy.
        audit: the container's audit log.
    """

    place: Place
    settings: EnvFile
    state: Path
    runs: Path
    playbooks: Path
    inventory: Inventory
    actions: Catalogue
    engine: Engine
    audit: AuditLog

    @classmethod
    def load(cls, place: Place) -> Means:
        """Read what the container has; raises AutopilotError, whose message names file and line of a wrong catalogue."""
        libraries.enable()
        inventory = _inventory(CONFIGURATION)
        actions = catalogue.read(PLAYBOOKS, inventory, place.policy)
        return cls(
            place,
            EnvFile.of(place.name),
            state(),
            RUNS,
            PLAYBOOKS,
            inventory,
            actions,
            Engine(actions, inventory, place.policy),
            AuditLog(log_path(place.service)),
        )

    @property
    def ledger(self) -> Ledger:
        return Ledger(ledger_path(self.state))

    @property
    def approvals(self) -> Approvals:
        return Approvals(approvals_path(self.state))

    @property
    def pause(self) -> Path:
        return pause_path(self.state)

    @property
    def lock(self) -> WorkLock:
        """Whoever holds it does a cycle."""
        return WorkLock(self.state, "cycle", "a cycle of the autopilot")

    def circumstances(self, now: float) -> Circumstances:
        """Return what else counts when an action is judged now; raises AutopilotError."""
        mode = str(self.settings.latest().get("AUTOPILOT_MODE"))
        return Circumstances(mode, self.stopped(now), self.approvals.approved(now))

    def stopped(self, now: float) -> str:
        """Return why nothing is to be done now, an empty text for no reason."""
        return unusable(self.settings) or pause.paused(self.pause, now)

    def gatherer(self, budget: Callable[[], Budget] = Budget) -> Gatherer:
        """Return what looks at the platform."""
        return Gatherer(self.run, self.playbooks / PLAYBOOK, self.place.services, self.inventory, budget)

    def run(
        self,
        path: Path,
        variables: Mapping[str, str],
        seconds: float,
        hosts: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Outcome:
        """Run a playbook; see `playbook.run`."""
        return playbook.run(path, variables, self.runs, seconds, hosts)


def state() -> Path:
    """Return the directory of what is kept; raises AutopilotError where it cannot be made."""
    path = STATE.expanduser()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise AutopilotError(f"{path} cannot be made: {error.strerror}.") from error
    return path


def ledger_path(folder: Path) -> Path:
    """Where the ledger is."""
    return folder / "ledger.jsonl"


def approvals_path(folder: Path) -> Path:
    """Where it stands what waits for people."""
    return folder / "approvals.json"


def pause_path(folder: Path) -> Path:
    """The file by which people stop it."""
    return folder / "paused.json"


def unusable(settings: EnvFile) -> str:
    """Return why nobody knows how far it may act, an empty text where the settings say it; a file that cannot be read does not."""
    try:
        settings.latest().require_usable(_STEERING)
    except CommandError as error:
        return f"nothing is done until {settings.path} is put right: {error}"
    return ""


def budget_left(settings: EnvFile) -> Budget:
    """Return what is left for a model today; nothing where that is not known, or there is no key."""
    from ...module_utils.llm.budget import Budget as Used
    from ...module_utils.llm.budget import Use

    found = settings.latest()
    if not found.get("OPENROUTER_API_KEY"):
        return Budget()
    most = Use(int(found.get("LLM_DAILY_TOKENS")), float(found.get("LLM_DAILY_COST")))
    try:
        used = Used(settings.path.parent / ".local/state/dockfra/llm/budget.json", most, time.time).used()
    except DockfraError:
        return Budget()
    return Budget(max(0, most.tokens - used.tokens), max(0.0, most.cost - used.cost))


def _inventory(path: Path) -> Inventory:
    try:
        data = json.loads(path.read_bytes())
        return Inventory.from_variables(data["groups"], data["hosts"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AutopilotError(f"{path} cannot be read ({error}); run site.yml again.") from error
