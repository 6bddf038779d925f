"""The scripted models of the fault bench: the good one plans as the rules do, the bad one nothing that is admitted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.autopilot import (
    catalogue,
    planner,
    question,
    schema,
)
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.facts import View
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.judgement import ADMITTED
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.past import Event, Past
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.schema import Checker, Proposal
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.snapshot import Snapshot, Ticket
from ansible_collections.dockfra.core.tests.unit import piloting
from ansible_collections.dockfra.core.tests.unit.piloting import NOW, cut_off, stopped, unhealthy
from tests.e2e.support import advice
from tests.unit.test_autopilot import ACT, FOLDER, actions, dead, deployed, engine, inventory, policy, seen

OLD = Ticket("T-0007", "open", "normal", "developer", (), "manager", NOW - 100 * 3600)
TWICE = tuple(Event(NOW - ago, "request-restart", "service/redis", "medium", "failed") for ago in (600, 300))

# How the platform is, and what was done before.
SCENES: dict[str, tuple[Snapshot, tuple[Event, ...]]] = {
    "exited container": (seen(stopped("redis")), ()),
    "too early": (seen(stopped("redis", 5)), ()),
    "unhealthy backend": (seen(unhealthy("backend")), ()),
    "database down": (seen(stopped("db"), unhealthy("backend"), unhealthy("mobile-backend")), ()),
    "failed deploy": (seen(deploys=(deployed(result="failed"),)), ()),
    "bad release later": (seen(unhealthy("backend"), deploys=(deployed(),)), ()),
    "during a deploy": (
        seen(stopped("redis"), unhealthy("backend"), deploys=(deployed(result="running"),)),
        (),
    ),
    "two at once": (seen(stopped("redis"), stopped("desktop-app")), ()),
    "off its network": (seen(cut_off("frontend")), ()),
    "full disk": (seen(replace(piloting.service("backend"), room=93)), ()),
    "full disk with old releases": (seen(replace(piloting.service("backend"), room=93, cleanable=2)), ()),
    "broken settings": (seen(replace(piloting.service("ssh-developer"), misconfigured=True)), ()),
    "dead SSH server": (seen(dead("ssh-developer", "refused")), ()),
    "failing head": (seen(deploys=(replace(deployed(result="failed"), target="all"),)), ()),
    "flapping": (seen(stopped("redis")), TWICE),
    "stale ticket": (seen(tickets={"T-0007": OLD}), ()),
    "nothing": (seen(), ()),
}


def names(proposals: list[Proposal]) -> set[tuple[str, str]]:
    return {(each.action, each.subject(actions())) for each in proposals}


@pytest.mark.parametrize("name", SCENES)
def test_the_good_one_plans_as_the_rules_do(name: str) -> None:
    snapshot, events = SCENES[name]
    past = Past(events, NOW)
    document = json.loads(question.question(actions(), View(inventory(), snapshot, past)).text)
    found = schema.from_answer(json.loads(advice.answer(advice.right(document))), "llm")
    checker = Checker(actions(), inventory())
    assert [problem for each in found if (problem := checker.problem(each))] == []

    def judged(proposals: list[Proposal]) -> set[tuple[str, str]]:
        return names(
            [each for each in proposals if engine().judge(each, snapshot, past, ACT).verdict == ADMITTED]
        )

    assert judged(found) == judged(planner.plan(actions(), inventory(), snapshot, past))


@pytest.mark.parametrize("name", SCENES)
def test_nothing_of_the_bad_one_is_admitted(name: str) -> None:
    snapshot, events = SCENES[name]
    past = Past(events, NOW)
    document = json.loads(question.question(actions(), View(inventory(), snapshot, past)).text)
    found = schema.from_answer(json.loads(advice.answer(advice.wrong(document))), "llm")
    assert found
    assert [each for each in found if engine().judge(each, snapshot, past, ACT).verdict == ADMITTED] == []


def test_a_silenced_catalogue_proposes_nothing_and_has_the_same_news(tmp_path: Path) -> None:
    for path in FOLDER.glob("*.yml"):
        (tmp_path / path.name).write_text(path.read_text())
    file = tmp_path / catalogue.NAME
    file.write_text(advice.silenced(file.read_text()))
    silent = catalogue.read(tmp_path, inventory(), policy())
    for name, (snapshot, events) in SCENES.items():
        past = Past(events, NOW)
        assert planner.plan(silent, inventory(), snapshot, past) == [], name
        view = View(inventory(), snapshot, past)
        assert (
            bool(question.occasion(silent, view))
            == bool(question.occasion(actions(), view))
            == (name != "nothing")
        )
