"""``pilot-plan``, and the model in real cycles: real playbooks, gates that stand in files, and a fake OpenRouter on a socket."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.autopilot.ledger import Ledger
from ansible_collections.dockfra.core.plugins.plugin_utils.autopilot import effects, planning, playbook
from ansible_collections.dockfra.core.plugins.plugin_utils.autopilot.means import Means, ledger_path
from ansible_collections.dockfra.core.tests.unit.pilot_world import World, exited
from tests.fakes.openrouter import FakeOpenRouter, Turn
from tests.unit.advised import plan, ticket, wants
from tests.unit.asking import KEY, PASSWORD, Container

ROOT = Path(__file__).parents[2]
GOAL = "bring redis back"
RESTART = wants("request-restart", "container/redis", service="redis")
DEPLOY = wants(
    "request-deploy", "git/main", target="frontend", commit="0123456789abcdef0123456789abcdef01234567"
)


@pytest.fixture
def fake() -> Iterator[FakeOpenRouter]:
    with FakeOpenRouter(KEY) as running:
        yield running
        assert running.problems == []


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setattr(playbook, "PYTHON", playbook.PYTHON)
    monkeypatch.setattr(playbook, "COLLECTIONS", playbook.COLLECTIONS)
    monkeypatch.setattr(effects, "PAUSE", 0.1)
    return World.of(tmp_path / "world", ROOT)


@pytest.fixture
def autopilot(
    fake: FakeOpenRouter, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Container:
    """The autopilot's container, which works in the world."""
    found = Container(tmp_path / "container", "autopilot", fake, monkeypatch)
    world.set(OPENROUTER_API_KEY=KEY, OPENROUTER_BASE_URL=fake.url)
    means = world.means()
    monkeypatch.setattr(Means, "load", lambda _place: means)
    world.put(exited("redis"))
    world.write(tickets=[ticket(title=f"The password is {PASSWORD}")])
    return found


def data(found: Any) -> dict[str, Any]:
    assert found.status == 0, found.message
    answer: dict[str, Any] = json.loads(found.text)
    return answer


def test_a_plan_for_a_goal_is_judged_and_not_done(autopilot: Container, world: World) -> None:
    autopilot.fake.script(Turn(plan(RESTART, DEPLOY), cost=0.01))
    found = data(autopilot.run("pilot-plan", "--json", GOAL))
    verdicts = [(each["action"], each["risk"], each["verdict"], each["rule"]) for each in found["proposals"]]
    assert verdicts == [
        ("request-restart", "medium", "admitted", "mode"),
        ("request-deploy", "high", "waiting", "approval"),
    ]
    assert (found["goal"], found["problems"], found["model"]["cost"]) == (GOAL, [], 0.01)
    # Nothing was done, asked for or written down but what the question cost.
    assert world.effects() == []
    assert Ledger(ledger_path(world.state)).decisions() == []
    assert list(world.state.glob("approvals*")) == []
    assert [line["verb"] for line in autopilot.audit] == ["model"]
    [sent] = autopilot.sent()
    assert GOAL in sent
    assert PASSWORD not in sent
    assert "a/password" not in sent


def test_people_see_what_becomes_of_each_and_what_it_cost(autopilot: Container) -> None:
    autopilot.fake.script(Turn(plan(RESTART), cost=0.01), Turn(plan()))
    text = autopilot.run("pilot-plan", GOAL).text
    assert "request-restart" in text
    assert "AUTOPILOT_MODE is act" in text
    assert text.splitlines()[-1] == "Nothing was done."
    assert autopilot.run("pilot-plan", GOAL).text == "The model proposes nothing."


def test_the_prompt_is_shown_without_a_question(autopilot: Container) -> None:
    found = data(autopilot.run("pilot-plan", "--show-prompt", "--json", GOAL))
    assert [message["role"] for message in found["prompt"]] == ["system", "user"]
    document = json.loads(found["prompt"][1]["content"])
    assert document["goal"] == GOAL
    assert PASSWORD not in json.dumps(found)
    assert found["schema"]["properties"]["proposals"]
    assert autopilot.sent() == []


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (Turn(fault="status", status=503, times=9), "says 503"),
        pytest.param(
            Turn('{"proposals": [{"action": "run-shell"}]}', times=9),
            "breaks the schema",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_without_an_answer_that_is_said(autopilot: Container, world: World, turn: Turn, words: str) -> None:
    autopilot.fake.script(turn)
    found = autopilot.run("pilot-plan", GOAL)
    assert (found.status, words in found.message) == (1, True)
    assert world.effects() == []


def test_what_is_no_goal_is_refused(autopilot: Container) -> None:
    for goal in ("  ", "x" * 1001):
        assert autopilot.run("pilot-plan", goal).status == 2
    assert autopilot.sent() == []


@pytest.mark.slow
def test_in_a_cycle_the_model_adds_to_the_rules_and_the_ledger_tells_whose_it_was(
    autopilot: Container, world: World
) -> None:
    comment = wants("ticket-raise", "told/T-0001/title", ticket="T-0001", priority="high")
    autopilot.fake.script(Turn(plan(RESTART, comment), cost=0.03))
    world.write(heals=["redis"])
    report = planning.pilot(world.means()).cycle("test")
    assert report.problems == []
    found = [(each.planner, each.action, each.verdict, each.cost) for each in report.decisions]
    assert found == [("rules", "request-restart", "done", 0.0), ("llm", "ticket-raise", "done", 0.03)]
    assert PASSWORD not in "".join(autopilot.sent())


def test_without_a_key_and_in_observe_no_model_is_asked(autopilot: Container, world: World) -> None:
    for settings in ({"AUTOPILOT_MODE": "observe"}, {"AUTOPILOT_MODE": "act", "OPENROUTER_API_KEY": None}):
        world.set(**settings)
        report = planning.pilot(world.means()).cycle("test", dry=True)
        assert [each.planner for each in report.decisions] == ["rules"]
        assert report.problems == []
    assert autopilot.sent() == []
