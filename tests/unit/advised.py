"""A platform whose autopilot is advised by a model, for tests: what its gates answer, a client of the fake server, and a cycle."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.dockfra.core.plugins.module_utils.autopilot import gathered, planner, told
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.advisor import BREAKER_CYCLES, Advisor
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.judgement import ADMITTED, Circumstances
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.past import Event, Past
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.schema import Proposal
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.snapshot import Budget, Snapshot
from ansible_collections.dockfra.core.plugins.module_utils.errors import DockfraError
from ansible_collections.dockfra.core.plugins.module_utils.llm.budget import Use
from ansible_collections.dockfra.core.plugins.module_utils.llm.client import LLMClient
from ansible_collections.dockfra.core.plugins.module_utils.llm.model import Configuration
from ansible_collections.dockfra.core.plugins.module_utils.llm.transport import Service
from ansible_collections.dockfra.core.tests.unit.piloting import NOW
from tests.fakes.openrouter import FakeOpenRouter
from tests.unit.test_autopilot import COMMIT, actions, engine, inventory

KEY = "sk-or-v1-5f1c0d9a7b3e42688c1d"
CANARY = "Zq7xK2mWv9Lp4TnB8cRy5HgD3sFj6AeU"
INTERVAL = 60.0
ACT = Circumstances("act")
RUNNING = {"state": "running", "health": "healthy", "exit_code": None}
ENDED = {"state": "exited", "health": "", "exit_code": 137}
SICK = {"state": "running", "health": "unhealthy", "exit_code": None}


def service(name: str, state: str = "up", detail: str = "HTTP 200", **more: Any) -> dict[str, Any]:
    probe = {
        "port": "http",
        "state": state,
        "detail": detail,
        "milliseconds": 1,
        "address": "x:1",
        "kind": "http",
    }
    found = {"service": name, "state": state, "since": NOW - 600, "probes": [probe], "container": RUNNING}
    return {**found, **more}


def ticket(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": f"T-{number:04d}",
        "title": "The page is slow",
        "description": "It takes long since Monday.",
        "status": "open",
        "priority": "normal",
        "assigned_to": "developer",
        "labels": [],
        "comments": [],
        "created_by": "manager",
        "updated_at": "2027-01-15T07:00:00.000000Z",
        **more,
    }


@dataclass
class Answers:
    """What the gates answer."""

    status: dict[str, Any] = field(default_factory=dict)
    tickets: list[dict[str, Any]] = field(default_factory=list)
    git: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def healthy(cls) -> Answers:
        git = {"main": {"commit": COMMIT, "subject": "Colours", "name": "main"}, "branches": []}
        return cls(
            {"services": [service(name) for name in inventory().services], "age": 2.0, "deploys": []}, [], git
        )

    def copy(self) -> Answers:
        return copy.deepcopy(self)

    def set(self, name: str, entry: Mapping[str, Any]) -> None:
        services = self.status["services"]
        services[[each["service"] for each in services].index(name)] = dict(entry)

    def snapshot(self, now: float = NOW, budget: Budget | None = None) -> Snapshot:
        """What the autopilot makes of it, with what is told."""
        listed = {"tickets": self.tickets}
        budget = budget or Budget(10**6, 10.0)
        found = gathered.snapshot(inventory(), 7, now, self.status, listed, self.git, budget)
        return replace(found, told=told.told(inventory(), listed, self.git, self.status))


@dataclass
class Cycle:
    """What one cycle came to.

    Attributes:
        rules: what the rules proposed.
        model: what the model added.
        admitted: what the policy let through, in order.
        note: why the model was of no use.
        cost: of the model.
    """

    rules: list[Proposal]
    model: list[Proposal]
    admitted: list[Proposal]
    note: str = ""
    cost: float = 0.0


def of(proposals: list[Proposal]) -> set[tuple[str, str]]:
    """Proposals as their actions and subjects."""
    return {(each.action, each.subject(actions())) for each in proposals}


@dataclass
class Pilot:
    """An autopilot with a model: real planners, policy and client; what would be done is only noted.

    Attributes:
        now: the time, seconds since the epoch.
        events: what was done.
        records: what the client wrote into the audit.
    """

    fake: FakeOpenRouter
    folder: Path
    seconds: float = 20.0
    most: Use = field(default_factory=lambda: Use(10**8, 1000.0))
    now: float = NOW
    events: list[Event] = field(default_factory=list)
    records: list[Any] = field(default_factory=list)

    def client(self) -> LLMClient:
        configuration = Configuration(Service(self.fake.url, KEY), ("a/b",), self.most, max_tokens=4096)
        return LLMClient(
            configuration,
            self.folder / "llm",
            [CANARY],
            self.records.append,
            breaker_seconds=BREAKER_CYCLES * INTERVAL,
            clock=lambda: self.now,
        )

    def advisor(self, client: Callable[[], LLMClient] | None = None) -> Advisor:
        memory = self.folder / "asked.json"
        return Advisor(
            client or self.client,
            actions(),
            inventory(),
            memory,
            seconds=self.seconds,
            clock=lambda: self.now,
        )

    def cycle(self, answers: Answers, client: Callable[[], LLMClient] | None = None) -> Cycle:
        """One cycle, as the daemon does it: the rules first, then what a model adds, each judged just before it is done."""
        snapshot, past = answers.snapshot(self.now), Past(self.events, self.now)
        rules = planner.plan(
            actions(),
            inventory(),
            replace(snapshot, told=()),
            past,
            functools.partial(engine().exhausted, snapshot=snapshot, past=past, around=ACT),
        )
        found = Cycle(rules, [], [])
        try:
            added = self.advisor(client).propose(snapshot, past)
            found.model, found.cost = list(added.proposals), added.cost
        except DockfraError as error:
            found.note = str(error)
        for proposal in [*found.rules, *found.model]:
            until_now = Past(self.events, self.now)
            if engine().judge(proposal, snapshot, until_now, ACT).verdict == ADMITTED:
                self._do(proposal)
                found.admitted.append(proposal)
        self.now += INTERVAL
        return found

    def _do(self, proposal: Proposal) -> None:
        risk = actions().actions[proposal.action].risk
        of = (proposal.action, proposal.subject(actions()), risk, "done", "", proposal.planner)
        self.events.append(Event(self.now, *of, proposal.parameters))


def plan(*proposals: Mapping[str, Any]) -> str:
    """A model's answer."""
    return json.dumps({"proposals": [{"reason": "It helps.", **each} for each in proposals]})


def wants(action: str, *evidence: str, **parameters: str) -> dict[str, Any]:
    """A proposal in an answer."""
    return {"action": action, "parameters": parameters, "evidence": list(evidence)}
