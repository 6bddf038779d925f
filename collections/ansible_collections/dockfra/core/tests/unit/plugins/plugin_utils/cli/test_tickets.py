# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the roles do with tickets every day, each through the gate or at home."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.plugin_utils.cli import runner
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.outcome import Outcome
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style
from ansible_collections.dockfra.core.tests.unit.plugins.plugin_utils.cli.support import Platform, one_line

OK, FAILED, USAGE, DENIED = 0, 1, 2, 77


def manager(platform: Platform, *words: str, stdin: str = "") -> Outcome:
    """Type a command in the manager's own shell."""
    return runner.run(platform.place("manager"), "manager", words, io.BytesIO(stdin.encode()), Style())


def developer(platform: Platform, line: str, stdin: str = "") -> Outcome:
    return platform.ask("developer", "manager", line, stdin.encode())


def data(outcome: Outcome) -> dict[str, Any]:
    assert outcome.status == OK, outcome
    found: dict[str, Any] = json.loads(outcome.text)
    return found


# -- whose a ticket is -------------------------------------------------------------------------------------------------


def test_the_first_ticket_reaches_the_developer_finding_u1(platform: Platform) -> None:
    """The flow of the first description, word by word."""
    made = manager(platform, "ticket-create", "Add login", "--priority=high", "--desc=Implement JWT auth")
    assert (made.status, made.text) == (OK, "Created T-0004, assigned to the developer: Add login")
    assert "T-0004" in developer(platform, "my-tickets").text
    assert developer(platform, "ticket-work T-0004").status == OK
    assert developer(platform, "ticket-done T-0004").status == OK
    ticket = platform.store.get("T-0004")
    assert (ticket.status, ticket.priority, ticket.description) == ("closed", "high", "Implement JWT auth")


@pytest.mark.parametrize(
    ("role", "stored"), [("none", None), ("monitor", "monitor"), ("developer", "developer")]
)
def test_assign_names_another_or_nobody_finding_u1(platform: Platform, role: str, stored: str | None) -> None:
    assert data(manager(platform, "ticket-create", "x", "--assign", role, "--json"))["assigned_to"] == stored


def test_what_is_nobodys_is_shown_with_how_to_take_it_finding_u1(platform: Platform) -> None:
    assert " nobody " in manager(platform, "ticket-list").text
    listed = developer(platform, "my-tickets")
    assert "T-0003" not in listed.text.splitlines()[1]
    way = "ticket-update T-0003 --assign developer"
    assert listed.text.endswith(way)
    assert data(developer(platform, "my-tickets --json"))["unassigned"] == ["T-0003"]
    refused = developer(platform, "ticket-work T-0003")
    assert refused.status == DENIED
    assert way in one_line(refused.message)

    assert manager(platform, *way.split()).status == OK
    assert developer(platform, "ticket-work T-0003").status == OK
    assert data(developer(platform, "my-tickets --json"))["unassigned"] == []


def test_many_of_nobody_take_one_line_finding_u1(platform: Platform) -> None:
    for number in range(30):
        platform.store.create("manager", {"title": str(number), "assigned_to": None})
    last = developer(platform, "my-tickets").text.splitlines()[-1]
    assert "T-0003, T-0004, T-0005, T-0006, T-0007 and 26 more" in last


def test_a_closed_ticket_of_nobody_is_offered_to_nobody_finding_u1(platform: Platform) -> None:
    platform.store.update("manager", "T-0003", {"status": "closed"})
    assert data(developer(platform, "my-tickets --status closed --json"))["unassigned"] == []


# -- the daily verbs ---------------------------------------------------------------------------------------------------


def test_every_field_can_be_changed_finding_u3(platform: Platform) -> None:
    changed = manager(
        platform,
        *("ticket-update", "T-0003", "--assign", "monitor", "--priority", "critical", "--title", "Now"),
        *("--desc", "-", "--label", "b", "--label", "a", "--comment", "It is urgent"),
        stdin="All of it\n",
    )
    assert changed.status == OK
    ticket = platform.store.get("T-0003")
    assert (ticket.title, ticket.description, ticket.priority) == ("Now", "All of it", "critical")
    assert (ticket.assigned_to, ticket.labels, ticket.status) == ("monitor", ("a", "b"), "open")
    assert [(comment.author, comment.text) for comment in ticket.comments] == [("manager", "It is urgent")]
    assert manager(platform, "ticket-update", "T-0003", "--assign", "none").status == OK
    assert platform.store.get("T-0003").assigned_to is None


def test_labels_are_put_on_and_taken_off_finding_u3(platform: Platform) -> None:
    for words, labels in (
        (["--label", "a", "--label", "b"], ("a", "b")),
        (["--label", "c"], ("a", "b", "c")),
        (["--unlabel", "b", "--unlabel", "none-such"], ("a", "c")),
        (["--label", "d", "--unlabel", "a"], ("c", "d")),
    ):
        assert manager(platform, "ticket-update", "T-0001", *words).status == OK
        assert platform.store.get("T-0001").labels == labels


def test_close_and_reopen_finding_u3(platform: Platform) -> None:
    for option, status in (("--close", "closed"), ("--reopen", "open"), ("--reopen", "open")):
        assert manager(platform, "ticket-update", "T-0001", option).status == OK
        assert platform.store.get("T-0001").status == status


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["T-0001"], USAGE, "nothing is to be changed"),
        ([], USAGE, "ID"),
        (["T-0001", "--close", "--reopen"], USAGE, "not allowed with argument"),
        (["T-0001", "--assign", "nobody"], USAGE, "invalid choice"),
        (["T-0001", "--title", ""], USAGE, "The title is empty"),
        (["T-0001", "--comment", " ", "--priority", "high"], USAGE, "A comment"),
        (["T-0001", "--label", "a,b", "--priority", "high"], USAGE, "label"),
        (["T-0099", "--close"], FAILED, "There is no ticket T-0099"),
    ],
)
def test_a_change_that_cannot_be_meant_changes_nothing_finding_u3(
    platform: Platform, words: list[str], status: int, said: str
) -> None:
    before = platform.store.get("T-0001")
    refused = manager(platform, "ticket-update", *words)
    assert (refused.status, refused.text) == (status, "")
    assert said in one_line(refused.message)
    assert platform.store.get("T-0001") == before


def test_the_autopilot_edits_and_comments_but_closes_nothing_finding_u3(platform: Platform) -> None:
    line = "ticket-update T-0002 --priority high --comment Seen"
    assert platform.ask("autopilot", "manager", line).status == OK
    before = platform.store.get("T-0002")
    assert (before.priority, before.comments[0].author) == ("high", "autopilot")
    for option in ("--close", "--reopen"):
        assert platform.ask("autopilot", "manager", f"ticket-update T-0002 {option}").status == DENIED
    for role in ("developer", "monitor"):
        assert platform.ask(role, "manager", "ticket-update T-0002 --priority low").status == DENIED
    assert platform.store.get("T-0002") == before


def test_the_developer_comments_on_own_tickets_only_finding_u3(platform: Platform) -> None:
    assert developer(platform, "ticket-comment T-0001 'It works; $(id)'").status == OK
    assert developer(platform, "ticket-comment T-0001 -", stdin="Two\nlines\n").status == OK
    comments = [(comment.author, comment.text) for comment in platform.store.get("T-0001").comments]
    assert comments == [("developer", "It works; $(id)"), ("developer", "Two\nlines")]
    for ticket in ("T-0002", "T-0003"):
        assert developer(platform, f"ticket-comment {ticket} x").status == DENIED
        assert platform.store.get(ticket).comments == ()
    assert developer(platform, "ticket-comment T-0001 ''").status == USAGE


# -- the monitor's only word -------------------------------------------------------------------------------------------

RELEASE = "20261125T131500Z-0123456789ab"


def comments(platform: Platform, ticket: str) -> list[tuple[str, str]]:
    return [(comment.author, comment.text) for comment in platform.store.get(ticket).comments]


@pytest.mark.parametrize("ticket", ["T-0001", "T-0002", "T-0003"])
@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("deployed", f"Release {RELEASE} is deployed."),
        ("failed", f"Release {RELEASE} could not be deployed; the one before it serves."),
        ("rolled-back", f"Release {RELEASE} was rolled back."),
    ],
)
def test_the_monitor_says_what_became_of_a_release(
    platform: Platform, ticket: str, result: str, words: str
) -> None:
    """On anybody's ticket, also a closed one, and nothing else of it changes."""
    platform.store.update("manager", ticket, {"status": "closed"})
    before = platform.store.get(ticket)
    told = platform.ask("monitor", "manager", f"ticket-deployed {ticket} {RELEASE} {result} --json")
    assert data(told) == {
        "id": ticket,
        "title": before.title,
        "release": RELEASE,
        "result": result,
        "changed": True,
    }
    after = platform.store.get(ticket)
    assert comments(platform, ticket) == [("monitor", words)]
    assert after.updated_at > before.updated_at
    assert after._replace(comments=(), updated_at=before.updated_at) == before


def test_the_same_word_on_a_release_is_said_once(platform: Platform) -> None:
    other = "20261125T140000Z-0123456789ab"
    for release, result, changed in (
        (RELEASE, "deployed", True),
        (RELEASE, "deployed", False),
        (RELEASE, "rolled-back", True),
        (other, "deployed", True),
        (RELEASE, "deployed", False),
    ):
        told = platform.ask("monitor", "manager", f"ticket-deployed T-0001 {release} {result} --json")
        assert data(told)["changed"] is changed
    assert len(comments(platform, "T-0001")) == 3
    again = platform.ask("monitor", "manager", f"ticket-deployed T-0001 {other} deployed")
    assert again.text == "It was said before on T-0001: Add user auth"
    # What somebody else has written in the same words is another's word.
    words = comments(platform, "T-0001")[0][1]
    platform.store.update("manager", "T-0002", {}, comment=words)
    assert platform.ask("monitor", "manager", f"ticket-deployed T-0002 {RELEASE} deployed").status == OK
    assert comments(platform, "T-0002") == [("manager", words), ("monitor", words)]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (f"T-0099 {RELEASE} deployed", FAILED, "There is no ticket T-0099"),
        (f"#1 {RELEASE} deployed", USAGE, "write T-0001 for the ticket"),
        (f"../T-0001 {RELEASE} deployed", USAGE, "no ticket id"),
        ("T-0001 latest deployed", USAGE, "is no release"),
        ("T-0001 20261325T131500Z-0123456789ab deployed", USAGE, "is no release"),
        (f"T-0001 {RELEASE}x deployed", USAGE, "is no release"),
        (f"T-0001 '{RELEASE} and much more' deployed", USAGE, "is no release"),
        (f"T-0001 {RELEASE} great", USAGE, "invalid choice"),
        (f"T-0001 {RELEASE} deployed well", USAGE, "unrecognized arguments"),
        (f"T-0001 {RELEASE}", USAGE, "deployed|failed|rolled-back"),
        (f"T-0001 {RELEASE} deployed --comment x", USAGE, "unrecognized arguments"),
    ],
)
def test_the_monitor_has_no_other_words(platform: Platform, words: str, status: int, said: str) -> None:
    refused = platform.ask("monitor", "manager", f"ticket-deployed {words}")
    assert (refused.status, refused.text) == (status, "")
    assert said in one_line(refused.message)
    assert [comments(platform, f"T-000{number}") for number in (1, 2, 3)] == [[], [], []]


@pytest.mark.parametrize("caller", ["manager", "autopilot", "developer"])
def test_nobody_else_speaks_for_the_monitor(platform: Platform, caller: str) -> None:
    refused = platform.ask(caller, "manager", f"ticket-deployed T-0001 {RELEASE} deployed")
    assert (refused.status, refused.text) == (DENIED, "")
    assert comments(platform, "T-0001") == []


@pytest.mark.parametrize(
    "line",
    [
        "ticket-create x",
        "ticket-list",
        "ticket-show T-0002",
        "ticket-update T-0002 --comment x",
        "my-tickets",
        "ticket-work T-0002",
        "ticket-comment T-0002 x",
        "ticket-done T-0002",
    ],
)
def test_the_monitor_has_no_other_verb_for_tickets(platform: Platform, line: str) -> None:
    assert platform.ask("monitor", "manager", line).status == DENIED
    assert len(platform.store.select().tickets) == 3
    assert comments(platform, "T-0002") == []


# -- one name for one thing --------------------------------------------------------------------------------------------


def test_create_update_and_list_name_a_role_alike_finding_u12(platform: Platform) -> None:
    made = data(manager(platform, "ticket-create", "x", "--assign", "monitor", "--json"))
    assert manager(platform, "ticket-update", made["id"], "--assign", "autopilot").status == OK
    listed = data(manager(platform, "ticket-list", "--assign", "autopilot", "--json"))["tickets"]
    assert [ticket["id"] for ticket in listed] == [made["id"]]
    listed = data(manager(platform, "ticket-list", "--assign", "none", "--json"))["tickets"]
    assert [ticket["id"] for ticket in listed] == ["T-0003"]


@pytest.mark.parametrize("text", ["1", "t-1", "T-1", "T-0001"])
def test_ids_are_understood_wherever_one_is_taken_finding_u11(platform: Platform, text: str) -> None:
    assert data(manager(platform, "ticket-show", text, "--json"))["id"] == "T-0001"
    assert manager(platform, "ticket-update", text, "--priority", "low").status == OK
    for verb in ("ticket-work", "ticket-comment", "ticket-done"):
        words = f"{verb} '{text}' Yes" if verb == "ticket-comment" else f"{verb} '{text}'"
        assert developer(platform, words).status == OK
    ticket = platform.store.get("T-0001")
    assert (ticket.priority, ticket.status, len(ticket.comments)) == ("low", "closed", 1)


def test_an_issues_number_is_refused_wherever_an_id_is_taken(platform: Platform) -> None:
    before = platform.store.get("T-0001")
    outcomes = [manager(platform, "ticket-show", "#1"), manager(platform, "ticket-update", "#1", "--close")]
    outcomes += [developer(platform, "ticket-work '#1'"), developer(platform, "ticket-comment '#1' Yes")]
    for outcome in outcomes:
        assert (outcome.status, outcome.text) == (USAGE, "")
        assert "write T-0001 for the ticket, or for the issue the id" in outcome.message
    assert platform.store.get("T-0001") == before
