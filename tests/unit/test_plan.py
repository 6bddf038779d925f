"""``plan``: what the model may propose, what is shown and kept, and that no ticket is made twice."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import TicketStoreError
from ansible_collections.dockfra.core.plugins.module_utils.tickets.store import TicketStore
from tests.fakes.openrouter import Turn
from tests.unit.asking import PASSWORD, Container

GOAL = "People can reset their password"


def entry(title: str, *depends_on: int, **fields: Any) -> dict[str, Any]:
    return {
        "title": title,
        "description": f"{title} works.",
        "priority": "normal",
        "assignee": "developer",
        "depends_on": list(depends_on),
        **fields,
    }


def plan(*tickets: dict[str, Any]) -> Turn:
    return Turn(json.dumps({"summary": "In three steps.", "tickets": tickets}))


def three() -> Turn:
    """A plan whose second ticket has to be made before the first, which needs its id."""
    letter = entry("Send a letter", 2, priority="high")
    return plan(letter, entry("Make a token"), entry("Deploy it", 1, 2, assignee="monitor"))


@pytest.fixture
def container(container_of: Callable[[str], Container]) -> Container:
    return container_of("manager")


@pytest.fixture
def store(container: Container) -> TicketStore:
    return TicketStore(container.tickets)


def test_a_plan_is_shown_and_then_made(container: Container, store: TicketStore) -> None:
    container.fake.script(three())
    shown = container.run("plan", GOAL)
    assert shown.status == 0, shown
    assert "1  Send a letter\n  high, the developer's, after 2\n" in shown.text
    assert "'plan --create' makes these tickets" in shown.text
    assert store.select().tickets == []
    made = container.run("plan", "--create")
    assert made.status == 0, made
    assert "T-0002  Send a letter\n  high, the developer's, after T-0001\n" in made.text
    assert "3 made." in made.text
    token, letter, deploy = store.select().tickets
    assert [ticket.title for ticket in (token, letter, deploy)] == [
        "Make a token",
        "Send a letter",
        "Deploy it",
    ]
    assert "depends_on" not in token.extra
    assert letter.extra["depends_on"] == ["T-0001"]
    assert deploy.extra["depends_on"] == ["T-0001", "T-0002"]
    assert (letter.priority, deploy.assigned_to, deploy.created_by) == ("high", "monitor", "manager")
    assert "Depends on:  T-0001, T-0002" in container.run("ticket-show", "T-0003").text
    assert len(container.fake.asked) == 1


def test_the_same_goal_makes_no_second_set(container: Container, store: TicketStore) -> None:
    container.fake.script(three(), plan(entry("Another")))
    first = container.run("plan", GOAL, "--create", "--json")
    again = container.run("plan", f"  {GOAL}\n", "--create", "--json")
    once_more = container.run("plan", "--create", "--json")
    found = [json.loads(outcome.text)["tickets"] for outcome in (first, again, once_more)]
    assert [[ticket["id"] for ticket in tickets] for tickets in found] == [["T-0002", "T-0001", "T-0003"]] * 3
    assert [[ticket["created"] for ticket in tickets] for tickets in found] == [
        [True] * 3,
        [False] * 3,
        [False] * 3,
    ]
    assert len(store.select().tickets) == 3
    assert len(container.fake.asked) == 1
    assert "model" in json.loads(first.text)
    assert "model" not in json.loads(again.text)


def test_an_interrupted_one_is_completed(
    container: Container, store: TicketStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    container.fake.script(three())
    create = TicketStore.create

    def full(self: TicketStore, actor: str, fields: Any, **rest: Any) -> Any:
        if fields["title"] == "Deploy it":
            raise TicketStoreError("There is no space left.")
        return create(self, actor, fields, **rest)

    with monkeypatch.context() as patched:
        patched.setattr(TicketStore, "create", full)
        failed = container.run("plan", GOAL, "--create")
    assert (failed.status, failed.message) == (1, "plan: There is no space left.")
    assert len(store.select().tickets) == 2
    done = container.run("plan", GOAL, "--create")
    assert done.status == 0
    assert "1 made, 2 there before." in done.text
    assert [ticket.title for ticket in store.select().tickets] == [
        "Make a token",
        "Send a letter",
        "Deploy it",
    ]


def test_killed_at_any_moment_it_makes_each_ticket_once(container: Container, store: TicketStore) -> None:
    container.fake.script(plan(*(entry(f"Step {number}", *range(1, number)) for number in range(1, 13))))
    assert container.run("plan", GOAL).status == 0
    for number in range(6):
        with container.start("plan", "--create") as process:
            while len(list(container.tickets.glob("T-*.json"))) < 2 * number and process.poll() is None:
                pass
            process.kill()
    assert container.run("plan", "--create").status == 0
    made = store.select().tickets
    assert [ticket.title for ticket in made] == [f"Step {number}" for number in range(1, 13)]
    assert made[-1].extra["depends_on"] == [ticket.id for ticket in made[:-1]]


def test_another_plan_is_made_when_it_is_asked_for(container: Container, store: TicketStore) -> None:
    container.fake.script(three(), plan(entry("Something else")))
    container.run("plan", GOAL, "--create")
    container.run("plan", GOAL, "--anew", "--create")
    container.run("plan", GOAL, "--create")
    assert [ticket.title for ticket in store.select().tickets][3:] == ["Something else"]
    assert len(container.fake.asked) == 2


def test_each_goal_has_its_own(container: Container, store: TicketStore) -> None:
    container.fake.script(plan(entry("Same")), plan(entry("Same")))
    container.run("plan", "One goal", "--create")
    container.run("plan", "Another goal", "--create")
    assert len(store.select().tickets) == 2
    # The last that was shown is made, also where it was made before.
    container.run("plan", "One goal")
    assert json.loads(container.run("plan", "--create", "--json").text)["goal"] == "One goal"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            plan(entry("A", 2), entry("B", 3), entry("C", 1), entry("D")),
            "Tickets 1, 2, 3 of the plan wait for each other",
        ),
        (plan(entry("A", 1)), "Tickets 1 of the plan wait"),
        (plan(entry("A", 7)), "Ticket 1 of the plan depends on 7, which is none"),
        (plan(entry("   ")), "Ticket 1 of the plan cannot be made: The title is empty"),
        (plan(), "breaks the schema"),
        (plan(*[entry("A")] * 21), "breaks the schema"),
        (plan(entry("A", priority="urgent")), "breaks the schema"),
        (plan(entry("A", assignee="root")), "breaks the schema"),
        (plan({**entry("A"), "status": "closed"}), "breaks the schema"),
        (plan(entry("A", depends_on=["1"])), "breaks the schema"),
        (Turn("I would rather not."), "no usable answer"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_and_not_kept(
    container: Container, store: TicketStore, answer: Turn, message: str
) -> None:
    container.fake.script(dataclasses.replace(answer, times=9))
    outcome = container.run("plan", GOAL, "--create")
    assert (outcome.status, outcome.text) == (1, "")
    assert message in outcome.message
    assert store.select().tickets == []
    assert "no plan is kept" in container.run("plan", "--create").message


def test_what_nobody_sees_does_not_come_into_a_ticket(container: Container, store: TicketStore) -> None:
    container.fake.script(plan(entry("Fix\u202e it\n\x1b[2J", description="a\x07b\r\nc")))
    assert container.run("plan", GOAL, "--create").status == 0
    [ticket] = store.select().tickets
    assert ticket.title == "Fix\ufffd it \ufffd[2J"
    assert ticket.description == "a\ufffdb\nc"


def test_the_prompt_is_shown_without_secrets_and_nothing_asked(container: Container) -> None:
    shown = container.run("plan", f"{GOAL}, not {PASSWORD}", "--show-prompt")
    assert shown.status == 0
    assert f"{GOAL}, not [hidden]" in shown.text
    assert '"depends_on"' in shown.text
    assert PASSWORD not in shown.text
    assert container.fake.requests == []
    assert container.audit == []


@pytest.mark.parametrize(
    "words", [[], [""], ["-"], ["--anew"], ["--create", "--anew"], ["--create", "--show-prompt"]]
)
def test_without_a_goal_it_says_what_it_takes(container: Container, words: list[str]) -> None:
    outcome = container.run("plan", *words)
    assert outcome.status == 2
    assert "it takes a goal, or --create alone" in outcome.message
    assert container.fake.requests == []


def test_a_goal_that_is_too_long_is_refused(container: Container) -> None:
    outcome = container.run("plan", "-", stdin=b"x" * 9000)
    assert (outcome.status, "shorten it" in outcome.message) == (2, True)


def test_long_plans_push_out_older_ones_and_can_be_read_again(
    container: Container, store: TicketStore
) -> None:
    container.also(LLM_MAX_TOKENS="150000")
    long = [entry(f"Step {number}", description="x" * 2000) for number in range(20)]
    for number in range(12):
        container.fake.script(plan(*long))
        assert container.run("plan", f"Goal {number}").status == 0
    assert json.loads(container.run("plan", "--create", "--json").text)["goal"] == "Goal 11"
    container.fake.script(plan(*[entry("Step", description="\u4f60" * 2000)] * 20))
    outcome = container.run("plan", "Goal 12")
    assert (outcome.status, "ask for fewer tickets" in outcome.message) == (1, True)
    assert json.loads(container.run("plan", "--create", "--json").text)["goal"] == "Goal 11"


def test_a_damaged_file_of_plans_is_told(container: Container) -> None:
    path = container.home / ".local/state/dockfra/plans.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    outcome = container.run("plan", "--create")
    assert (outcome.status, "is damaged; remove it" in outcome.message) == (1, True)


def test_only_what_changes_something_is_audited_as_a_call(container: Container) -> None:
    container.fake.script(three())
    container.run("plan", GOAL)
    container.run("plan", "--create")
    assert [line["verb"] for line in container.audit] == ["model", "plan"]
