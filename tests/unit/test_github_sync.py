"""Tickets and GitHub issues kept the same, over HTTP, against a server that speaks as GitHub does and fails as it does."""

from __future__ import annotations

import datetime
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils import errors
from ansible_collections.dockfra.core.plugins.module_utils.github import mapping
from ansible_collections.dockfra.core.plugins.module_utils.github.issues import IssueGateway
from ansible_collections.dockfra.core.plugins.module_utils.github.report import Report
from ansible_collections.dockfra.core.plugins.module_utils.github.state import path_for
from ansible_collections.dockfra.core.plugins.module_utils.github.sync import GitHubSync
from ansible_collections.dockfra.core.plugins.module_utils.tickets.model import Ticket
from ansible_collections.dockfra.core.plugins.module_utils.tickets.store import TicketStore
from ansible_collections.dockfra.core.tests.unit.support import run_module, slow
from tests.fakes.github import FakeGitHub
from tests.fakes.github.server import running

ROOT = Path(__file__).parents[2]
TOKEN = "ghp_0123456789secret"

WORKER = """
import os, signal, sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/collections"]
from ansible_collections.dockfra.core.plugins.module_utils.github.issues import IssueGateway
from ansible_collections.dockfra.core.plugins.module_utils.tickets.store import TicketStore
from ansible_collections.dockfra.core.plugins.module_utils.github.sync import GitHubSync
from ansible_collections.dockfra.core.plugins.module_utils.github.state import path_for
path, url, repo, token, last = sys.argv[2:7]
left = int(last)
def counted(call):
    def wrapper(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return wrapper
if left:
    for name in ("write", "rename", "link", "symlink"):
        setattr(os, name, counted(getattr(os, name)))
gateway = IssueGateway(token, repo, url, write_pause=0, backoff=0.001)
GitHubSync(TicketStore(path), gateway, path_for(path, url, repo), settle=0).sync()
"""


class Side:
    """A platform: its tickets, and how it reaches GitHub."""

    def __init__(self, path: Path, github: FakeGitHub) -> None:
        self.path = path
        self.github = github
        self.store = TicketStore(path)
        self.waited: list[float] = []
        path.mkdir(exist_ok=True)

    def gateway(self, **options: Any) -> IssueGateway:
        settings: dict[str, Any] = {
            "write_pause": 0,
            "backoff": 0.001,
            "sleep": self.waited.append,
            "timeout": 5,
        }
        return IssueGateway(
            **{"token": TOKEN, "repo": self.github.repo, "api_url": self.github.url, **settings, **options}
        )

    def sync(self, **options: Any) -> GitHubSync:
        gateway = self.gateway(**options)
        return GitHubSync(self.store, gateway, path_for(self.path, gateway.api_url, gateway.repo), settle=0)

    def both(self) -> Report:
        return self.sync().sync()

    def create(self, title: str = "Fix it", **fields: Any) -> str:
        return self.store.create("manager", {"title": title, "assigned_to": None, **fields}).after.id

    def update(self, ticket_id: str, comment: str | None = None, **changes: Any) -> None:
        self.store.update("manager", ticket_id, changes, comment=comment)

    def get(self, ticket_id: str = "T-0001") -> Ticket:
        return self.store.get(ticket_id)

    def tickets(self) -> list[Ticket]:
        return self.store.select().tickets

    def files(self) -> dict[str, bytes]:
        return {str(file): file.read_bytes() for file in self.path.rglob("*") if file.is_file()}


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    yield from running(token=TOKEN)


@pytest.fixture
def here(tmp_path: Path, github: FakeGitHub) -> Side:
    return Side(tmp_path / "tickets", github)


def settled(side: Side) -> None:
    """Nothing is left to do, on either side."""
    report = side.both()
    assert not report.changed, [str(result) for result in report.results]


def texts(ticket: Ticket) -> list[str]:
    return [comment.text for comment in ticket.comments]


def bodies(github: FakeGitHub, number: int = 1) -> list[str]:
    return [comment["body"] for comment in github.issue(number)["comments"]]


# -- what becomes of what --


def test_a_ticket_becomes_one_issue(here: Side, github: FakeGitHub) -> None:
    here.create(
        "Add login",
        description="With JWT.\n",
        priority="high",
        assigned_to="developer",
        labels=["web", "Auth"],
    )
    report = here.sync().push()
    (result,) = report.results
    assert (result.ticket, result.issue, result.pushed, result.failed) == ("T-0001", 1, "created", False)
    issue = github.issue(1)
    assert (issue["title"], issue["state"]) == ("Add login", "open")
    assert issue["body"].startswith("With JWT.\n\n<!-- dockfra:T-0001 -->")
    assert issue["labels"] == ["Auth", "assigned:developer", "priority:high", "web"]
    assert here.get().github_issue_number == 1
    for _again in range(2):
        assert not here.sync().push().changed
    settled(here)
    assert len(github.issues()) == 1


def test_states_go_both_ways(here: Side, github: FakeGitHub) -> None:
    for status in ("open", "in_progress", "closed"):
        here.create(status, status=status)
    here.both()
    assert [(issue["state"], issue["labels"]) for issue in github.issues()] == [
        ("open", []),
        ("open", ["status:in_progress"]),
        ("closed", []),
    ]
    github.edit(1, labels=["Status:In_Progress", "priority:critical", "assigned:monitor", "new"])
    github.edit(2, state="closed")
    github.edit(3, state="open")
    here.both()
    first, second, third = here.tickets()
    assert (first.status, first.priority, first.assigned_to, first.labels) == (
        "in_progress",
        "critical",
        "monitor",
        ("new",),
    )
    assert (second.status, third.status) == ("closed", "open")
    here.update("T-0001", status="closed", priority="normal", assigned_to=None)
    here.both()
    assert (github.issue(1)["state"], github.issue(1)["labels"]) == ("closed", ["new"])
    settled(here)


def test_who_works_on_a_ticket_is_not_taken_off_it_by_a_label(here: Side, github: FakeGitHub) -> None:
    here.create(status="in_progress")
    here.both()
    github.edit(1, labels=[])
    report = here.both()
    assert "stays in_progress" in str(report.results[0])
    assert (here.get().status, github.issue(1)["labels"]) == ("in_progress", ["status:in_progress"])
    settled(here)


def test_an_issue_becomes_one_ticket(here: Side, github: FakeGitHub) -> None:
    github.add_issue("It is down", "Since noon.\r\nHelp!", ["Bug", "priority:critical", "assigned:monitor"])
    github.comment(1, "Me too", "hubot")
    github.comment(1, "I saw it", None)
    github.comment(1, "I am in charge", "Manager")
    github.add_issue("Change", pull_request=True)
    github.add_issue("Done", author="gone-soon")
    github.edit(3, state="closed")
    report = here.sync().pull()
    assert [(result.ticket, result.issue, result.pulled) for result in report.results] == [
        ("T-0001", 1, "created"),
        ("T-0002", 3, "created"),
    ]
    ticket = here.get()
    assert (ticket.title, ticket.description, ticket.labels) == ("It is down", "Since noon.\nHelp!", ("Bug",))
    assert (ticket.priority, ticket.assigned_to, ticket.created_by) == ("critical", "monitor", "octocat")
    assert ticket.external_key == f"github:octo/hello#1:{github.issue(1)['id']}"
    # Nobody speaks as a role by taking its name.
    assert [(comment.author, comment.text) for comment in ticket.comments] == [
        ("hubot", "Me too"),
        ("ghost", "I saw it"),
        ("Manager@github", "I am in charge"),
    ]
    assert here.get("T-0002").status == "closed"
    before = here.files()
    assert not here.sync().pull().changed
    assert {name: data for name, data in here.files().items() if ".github" not in name} == {
        name: data for name, data in before.items() if ".github" not in name
    }
    settled(here)


def test_what_only_one_side_changed_reaches_the_other(here: Side, github: FakeGitHub) -> None:
    here.create("Title", description="Text", labels=["a", "b"])
    here.both()
    here.update("T-0001", title="New title", labels=["b", "here"])
    github.edit(1, body="New text", labels=["A", "there"])
    report = here.both()
    assert report.results[0].conflicts == []
    ticket, issue = here.get(), github.issue(1)
    assert (ticket.title, ticket.description, ticket.labels) == ("New title", "New text", ("here", "there"))
    assert (issue["title"], issue["body"], sorted(issue["labels"])) == (
        "New title",
        "New text",
        ["here", "there"],
    )
    # Whoever removed the marker from the body took nothing away: the number is what counts.
    here.update("T-0001", description="Once more")
    here.both()
    assert github.issue(1)["body"].startswith("Once more\n\n<!-- dockfra:T-0001 -->")
    settled(here)


@pytest.mark.parametrize("newer", ["here", "there"])
def test_the_newer_edit_counts_and_the_other_is_kept(here: Side, github: FakeGitHub, newer: str) -> None:
    here.create("Title", description="Text")
    here.both()
    if newer == "there":
        github.advance(3600)
    else:
        later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
        here.store = TicketStore(here.path, now=lambda: later)
    here.update("T-0001", title="From here", description="Text from here")
    github.edit(1, title="From there", body="Text from there")
    report = here.both()
    assert report.results[0].conflicts == ["title", "description"]
    lost = "there" if newer == "here" else "here"
    assert (here.get().title, github.issue(1)["title"]) == (f"From {newer}", f"From {newer}")
    assert here.get().description == f"Text from {newer}"
    for kept in (texts(here.get()), bodies(github)):
        assert len(kept) == 2
        assert f"From {lost}" in kept[0]
        assert f"Text from {lost}" in kept[1]
    settled(here)


def test_push_leaves_what_is_newer_there_and_pull_what_is_newer_here(here: Side, github: FakeGitHub) -> None:
    here.create("Title", description="Text")
    here.both()
    github.advance(3600)
    here.update("T-0001", title="From here", priority="low")
    github.edit(1, title="From there", body="Text from there")
    (result,) = here.sync().push().results
    assert (result.pushed, result.conflicts) == ("updated", ["title"])
    assert (github.issue(1)["title"], github.issue(1)["labels"]) == ("From there", ["priority:low"])
    assert (here.get().title, here.get().description) == ("From here", "Text")
    here.sync().pull()
    assert (here.get().title, here.get().description) == ("From there", "Text from there")
    assert "From here" in texts(here.get())[0]
    here.both()
    assert "From here" in bodies(github)[0]
    settled(here)


def test_comments_appear_once_on_the_other_side(here: Side, github: FakeGitHub) -> None:
    here.create()
    here.update("T-0001", comment="First @here")
    here.both()
    here.update("T-0001", comment="Second")
    github.advance(5)
    github.comment(1, "Third", "hubot")
    here.both()
    settled(here)
    assert texts(here.get()) == ["First @here", "Second", "Third"]
    assert [re.sub(r"at .* UTC|<!--.*-->", "", body).strip() for body in bodies(github)] == [
        "**manager** :\n\nFirst @here",
        "Third",
        "**manager** :\n\nSecond",
    ]
    assert here.get().comments[0].timestamp[:10] in bodies(github)[0]
    # Edited there, both what came from there and what came from here.
    first, third, _second = (comment["id"] for comment in github.issue(1)["comments"])
    github.edit_comment(1, third, "Third, edited")
    github.edit_comment(1, first, bodies(github)[0].replace("First", "Very first"))
    github.comment(1, bodies(github)[2], "copycat")
    here.both()
    settled(here)
    assert texts(here.get()) == ["Very first @here", "Second", "Third, edited", "Second"]
    assert [comment.author for comment in here.get().comments] == ["manager", "manager", "hubot", "copycat"]
    assert len(bodies(github)) == 4


def test_what_a_ticket_cannot_hold_is_made_to_fit(here: Side, github: FakeGitHub) -> None:
    github.add_issue("x" * 256, "a\x00b\u202ec" + "y" * 65_000, ["a,b", *(f"label {n}" for n in range(30))])
    github.add_issue("\u2028 \t", "\r\n\r\n")
    github.comment(2, "\x07")
    github.comment(2, " ")
    here.both()
    settled(here)
    first, second = here.tickets()
    assert (len(first.title), len(first.labels), first.description[:5]) == (200, 20, "a\ufffdb\ufffdc")
    assert "a b" in first.labels
    assert (second.title.strip("\ufffd "), len(second.comments)) == (
        "" if "\ufffd" in second.title else "Issue 2",
        1,
    )
    # What did not fit is not taken for removed.
    here.update(first.id, priority="low")
    here.both()
    assert len(github.issue(1)["labels"]) == 32
    assert len(github.issue(1)["title"]) == 256


def test_what_an_issue_cannot_hold_is_cut_there_only(here: Side, github: FakeGitHub) -> None:
    here.create(description="x" * 65_536)
    here.update("T-0001", comment="y" * 65_536)
    here.both()
    settled(here)
    assert len(here.get().description) == 65_536
    assert len(github.issue(1)["body"]) == 65_536
    assert "dockfra:T-0001" in github.issue(1)["body"]
    assert texts(here.get()) == ["y" * 65_536]


# -- identity --


def test_two_platforms_share_a_repository(here: Side, github: FakeGitHub, tmp_path: Path) -> None:
    other = Side(tmp_path / "other", github)
    here.create("Ours")
    other.create("Theirs")
    for side in (here, other, here, other):
        side.both()
    assert sorted(issue["title"] for issue in github.issues()) == ["Ours", "Theirs"]
    for side in (here, other):
        settled(side)
        assert sorted(ticket.title for ticket in side.tickets()) == ["Ours", "Theirs"]
    other.update(next(t.id for t in other.tickets() if t.title == "Ours"), title="Yours", description="More")
    other.both()
    here.both()
    assert (here.get().title, here.get().description) == ("Yours", "More")
    assert "dockfra:T-0001" in github.issue(1)["body"]


def test_a_copied_marker_is_no_ticket(here: Side, github: FakeGitHub) -> None:
    here.create("Ours")
    here.both()
    github.add_issue("Copy", github.issue(1)["body"])
    here.both()
    settled(here)
    assert [ticket.title for ticket in here.tickets()] == ["Ours", "Copy"]


def test_without_its_state_nothing_is_made_twice(here: Side, github: FakeGitHub) -> None:
    github.add_issue("Theirs")
    github.comment(1, "Theirs")
    here.create("Ours")
    here.update("T-0001", comment="Ours")
    here.both()
    shutil.rmtree(here.path / ".github")
    github.advance(1000)
    settled(here)
    assert (len(github.issues()), len(here.tickets())) == (2, 2)
    assert [len(ticket.comments) for ticket in here.tickets()] == [1, 1]
    # A line that cannot be read is found again as well.
    (state,) = (here.path / ".github").glob("*.jsonl")
    state.write_text(state.read_text().replace('{"ticket":"T-0001"', "{broken", 1))
    github.advance(1000)
    settled(here)


def test_an_issue_can_be_given_to_a_ticket_by_hand(here: Side, github: FakeGitHub) -> None:
    github.add_issue("Old")
    here.both()
    github.add_issue("Another", repo=None)
    github.advance(1000)
    here.create("By hand")
    here.update("T-0002", github_issue_number=2)
    here.both()
    assert len(github.issues()) == 2
    assert {here.get("T-0002").title, github.issue(2)["title"]} <= {"Another", "By hand"}
    here.create("Nowhere")
    here.update("T-0003", github_issue_number=77)
    for _again in range(2):
        (result,) = here.both().results
        assert (result.pushed, result.failed) == ("left", False)
    assert len(github.issues()) == 2
    here.sync().push(["T-0003"], recreate=True)
    assert github.issue(3)["title"] == "Nowhere"


@pytest.mark.parametrize("run", ["sync", "pull", "push"])
def test_an_issue_of_a_repository_made_anew_is_another(here: Side, github: FakeGitHub, run: str) -> None:
    github.add_issue("Login page", "Long text")
    here.both()
    github.advance(300)
    here.both()
    github.make_anew()
    github.advance(300)
    github.add_issue("Something else", "Other text")
    before = here.files()
    assert getattr(here.sync(), run)(dry_run=True).changed
    assert here.files() == before
    getattr(here.sync(), run)()
    here.update("T-0001", title="Login page, later")
    here.both()
    ticket = here.get()
    assert (ticket.title, ticket.description, ticket.github_issue_number) == (
        "Login page, later",
        "Long text",
        None,
    )
    assert texts(ticket) == [
        "The issue octo/hello#1 was deleted on GitHub. This ticket stays, without an issue."
    ]
    assert (here.get("T-0002").title, here.get("T-0002").github_issue_number) == ("Something else", 1)
    assert [(issue["title"], issue["body"]) for issue in github.issues()] == [
        ("Something else", "Other text")
    ]
    settled(here)


@pytest.mark.parametrize("newer", ["ticket", "issue"])
def test_an_issue_of_another_server_is_another(here: Side, github: FakeGitHub, newer: str) -> None:
    github.add_issue("Login page", "Long text")
    here.both()
    for other in running(token=TOKEN):
        other._data["next_id"] += 50
        other.advance(300 if newer == "issue" else -300)
        other.add_issue("Something else", "Other text")
        here.update("T-0001", priority="high")
        there = Side(here.path, other)
        there.both()
        settled(there)
        assert [ticket.title for ticket in there.tickets()] == ["Login page", "Something else"]
        assert (other.issue(1)["title"], other.issue(1)["labels"]) == ("Something else", [])
        assert texts(here.get()) == []


# -- issues that are not what they were --


@pytest.mark.parametrize("how", ["deleted", "transferred"])
@pytest.mark.parametrize("change", ["title", "comment", "label"])
def test_an_issue_that_is_gone_leaves_its_ticket(
    here: Side, github: FakeGitHub, how: str, change: str
) -> None:
    here.create("Ours", labels=["a"])
    here.both()
    if how == "deleted":
        github.delete(1)
    else:
        assert github.transfer(1, "octo/other") == 1
    changes: dict[str, Any] = {"title": {"title": "New"}, "label": {"priority": "high"}}.get(change, {})
    here.update("T-0001", "New" if change == "comment" else None, **changes)
    (result,) = here.both().results
    assert (result.pushed, result.failed) == ("gone", False)
    assert ("octo/other#1" in str(result)) == (how == "transferred")
    ticket = here.get()
    assert (ticket.github_issue_number, ticket.labels) == (None, ("a",))
    assert "octo/hello#1" in texts(ticket)[-1]
    if how == "transferred":  # the other repository is somebody else's, and the edit stays in the ticket
        moved = github.issue(1, "octo/other")
        assert (moved["title"], moved["labels"], moved["comments"]) == ("Ours", ["a"], [])
    settled(here)
    assert not here.sync().push(["T-0001"]).changed
    assert github.issues() == []
    assert here.sync().push(["T-0001"], recreate=True).changed
    assert (len(github.issues()), here.get().github_issue_number) == (1, 2)
    settled(here)


@pytest.mark.parametrize("fault", ["error-after", "cut-after"])
@pytest.mark.parametrize("before", ["deleted", "elsewhere"])
def test_an_issue_is_made_anew_once(here: Side, github: FakeGitHub, before: str, fault: str) -> None:
    here.create("Ours")
    if before == "deleted":
        here.both()
        github.delete(1)
        here.update("T-0001", title="New")
    else:
        here.update("T-0001", github_issue_number=77)
    here.sync().push()
    github.advance(300)
    github.fault(fault, verb="POST", path="/issues$")
    here.sync().push(["T-0001"], recreate=True)
    assert len(github.issues()) == 1
    assert here.get().github_issue_number == github.issues()[0]["number"]
    settled(here)
    assert len(here.tickets()) == 1


def test_comments_of_a_locked_issue_wait(here: Side, github: FakeGitHub) -> None:
    here.create()
    here.both()
    github.edit(1, locked=True)
    here.update("T-0001", "Waits", title="New")
    for _again in range(2):
        (result,) = here.both().results
        assert (result.pushed, result.failed) == ("locked", False)
    assert (github.issue(1)["title"], bodies(github)) == ("New", [])
    github.edit(1, locked=False)
    here.both()
    assert len(bodies(github)) == 1
    settled(here)


INDENTED = "    code()\n\n\tmore()  \n  then words  with   blanks"


@pytest.mark.parametrize("text", [INDENTED, "\u2003wide", "a  \nb", "  - item"])
def test_texts_are_not_changed_on_their_way_finding_h1(here: Side, github: FakeGitHub, text: str) -> None:
    here.create("Two  blanks", description=f"\n \n{text}\n \n")
    here.update("T-0001", comment=f"\n{text} \n")
    github.add_issue("Three   blanks", f"\r\n{text}\r\n  \r\n")
    github.comment(1, f"\n\n{text}\n")
    here.both()
    ours, theirs = here.tickets()
    assert (theirs.title, theirs.description, texts(theirs)) == ("Three   blanks", text, [text])
    issue = github.issue(2)
    assert (issue["title"], issue["body"]) == ("Two  blanks", f"{text}\n\n{mapping.marker(ours)}")
    assert bodies(github, 2)[0].split(" UTC:\n\n", 1)[1].split("\n\n<!-- dockfra")[0] == text
    settled(here)
    github.edit(2, body=f"{text}!\n\n{mapping.marker(ours)}")
    github.edit_comment(2, issue["comments"][0]["id"], bodies(github, 2)[0].replace(text, f"{text}?"))
    here.both()
    assert (here.get().description, texts(here.get())) == (f"{text}!", [f"{text}?"])
    settled(here)


@pytest.mark.parametrize("label", [".", "..", "a/b", "../..", "%2e", "?", "#1", " x"])
def test_a_label_is_removed_whatever_its_name_is_finding_h3(
    here: Side, github: FakeGitHub, label: str
) -> None:
    here.create("Ours", labels=[label, "stays"])
    here.both()
    assert github.issue(1)["labels"] == sorted([label.strip(), "stays"])
    here.update("T-0001", labels=["stays"])
    here.both()
    assert github.issue(1)["labels"] == ["stays"]
    assert not any(re.search(r"//|/\.{0,2}(/|$)", path) for _verb, path, _status in github.requests)
    settled(here)


def test_nobody_is_called_by_a_copy(here: Side, github: FakeGitHub) -> None:
    here.create("Ask @alice", description="Ask @alice\n\n```\n@property\n```")
    here.update("T-0001", comment="@octo/team, see me@example.com")
    here.both()
    issue = github.issue(1)
    assert issue["body"].startswith("Ask @<!-- -->alice\n\n```\n@property\n```\n\n<!-- dockfra:")
    assert "@<!-- -->octo/team, see me@example.com" in bodies(github, 1)[0]
    settled(here)
    github.edit(1, body=issue["body"].replace("Ask", "Tell"))
    here.both()
    assert here.get().description == "Tell @alice\n\n```\n@property\n```"
    settled(here)


# -- faults --

FAULTS: dict[str, dict[str, Any]] = {
    "error": {},
    "error-after": {},
    "error-503-after": {"kind": "error-after", "status": 503},
    "cut": {},
    "cut-after": {},
    "429": {"retry_after": 7},
    "429-bare": {"kind": "429"},
    "rate-limit": {"retry_after": 7},
    "secondary": {},
    "html": {},
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("verb", ["GET", "POST", "PATCH"])
def test_a_fault_makes_nothing_twice_and_loses_nothing(
    here: Side, github: FakeGitHub, name: str, times: int, verb: str
) -> None:
    here.create("Ours", status="closed")
    here.update("T-0001", comment="Ours")
    github.add_issue("Theirs")
    github.comment(1, "Theirs")
    github.fault(**{"kind": name, "verb": verb, "times": times, **FAULTS[name]})
    here.both()
    assert [issue["title"] for issue in github.issues()] == ["Theirs", "Ours"]
    assert [ticket.title for ticket in here.tickets()] == ["Ours", "Theirs"]
    assert (len(bodies(github, 1)), len(bodies(github, 2))) == (1, 1)
    assert [len(ticket.comments) for ticket in here.tickets()] == [1, 1]
    assert github.issue(2)["state"] == "closed"
    if FAULTS[name].get("retry_after"):
        assert any(6 <= wait <= 9 for wait in here.waited)
    settled(here)


@pytest.mark.parametrize("kind", ["abuse", "silent"])
@pytest.mark.parametrize("verb", ["GET", "POST", "PATCH"])
def test_a_refusal_that_may_be_a_limit_is_waited_for_finding_h2(
    here: Side, github: FakeGitHub, kind: str, verb: str
) -> None:
    here.create("Ours", status="closed")
    github.fault(kind, verb=verb)
    here.both()
    assert [(issue["title"], issue["state"]) for issue in github.issues()] == [("Ours", "closed")]
    assert len([wait for wait in here.waited if wait > 0]) == 1
    settled(here)


def test_a_refusal_without_a_reason_is_waited_for_once_finding_h2(here: Side, github: FakeGitHub) -> None:
    here.create("Ours")
    github.fault("silent", verb="POST", times=99)
    with pytest.raises(errors.GitHubDeniedError, match="may not do that"):
        here.both()
    assert [verb for verb, _path, _status in github.requests].count("POST") == 2


def test_waiting_has_an_end(here: Side, github: FakeGitHub) -> None:
    here.create()
    before = here.files()
    for kind in ("429", "rate-limit"):
        github.fault(kind, retry_after=9999)
        with pytest.raises(errors.GitHubUnavailableError, match=r"wait \d+ s") as caught:
            here.both()
        assert "\n" not in str(caught.value)
        assert here.waited == []
    github.fault("error", times=99)
    with pytest.raises(errors.GitHubUnavailableError, match="502, 5 times"):
        here.both()
    github.fault("slow", retry_after=3, times=99)
    with pytest.raises(errors.GitHubUnavailableError):
        here.sync(timeout=1, max_wait=1).pull()
    assert {name: data for name, data in here.files().items() if ".github" not in name} == {
        name: data for name, data in before.items() if ".github" not in name
    }


def test_a_server_that_never_says_what_became_of_it(here: Side, github: FakeGitHub) -> None:
    for number in range(20):
        here.create(f"Ticket {number}")
    fault = github.fault("error", verb="POST", times=999)
    with pytest.raises(errors.GitHubUnavailableError, match="the next run"):
        here.both()
    assert len(github.requests) < 60
    fault.times = 0
    here.both()
    assert len(github.issues()) == 20
    settled(here)


def test_wrong_settings_change_nothing(here: Side, github: FakeGitHub) -> None:
    ticket = here.create()
    before = here.files()
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"token": ""}, errors.GitHubSettingError, "GITHUB_TOKEN"),
        ({"token": "a b"}, errors.GitHubSettingError, "token"),
        ({"repo": "hello"}, errors.GitHubSettingError, "owner/name"),
        ({"repo": "octo/../etc"}, errors.GitHubSettingError, "owner/name"),
        ({"api_url": "ftp://x"}, errors.GitHubSettingError, "address"),
        ({"api_url": "http://user:pw@x"}, errors.GitHubSettingError, "address"),
        ({"token": "wrong"}, errors.GitHubDeniedError, "refuses the token"),
        ({"repo": "octo/none"}, errors.GitHubDeniedError, "no repository octo/none"),
        ({"api_url": f"{github.url}/nowhere"}, errors.GitHubDeniedError, "no repository"),
        ({"api_url": "http://127.0.0.1:9"}, errors.GitHubUnavailableError, "the connection failed"),
    ]
    for options, error, message in wrong:
        with pytest.raises(error, match=message) as caught:
            here.sync(**options).push([ticket])
        assert "\n" not in str(caught.value)
        assert "pw" not in str(caught.value)
    sent = len(github.requests)
    with pytest.raises(errors.TicketNotFoundError, match="T-0099"):
        here.sync().push(["T-0001", "T-0099"])
    assert len(github.requests) == sent
    github.fault("forbidden", verb="POST")
    with pytest.raises(errors.GitHubDeniedError, match="may not do that"):
        here.both()
    assert github.issues() == []
    for name, data in before.items():
        assert Path(name).read_bytes() == data


def test_a_token_that_may_only_read_is_told_from_a_deleted_issue(here: Side, github: FakeGitHub) -> None:
    here.create()
    here.both()
    here.update("T-0001", title="New")
    github.fault("error", status=404, verb="PATCH")
    with pytest.raises(errors.GitHubDeniedError, match="may read"):
        here.both()
    assert here.get().github_issue_number == 1
    here.both()
    assert github.issue(1)["title"] == "New"


def test_a_renamed_repository_is_named(here: Side, github: FakeGitHub) -> None:
    github.add_issue("Theirs")
    here.create("Ours")
    here.both()
    old = here.sync()
    github.rename("octo/renamed")
    with pytest.raises(errors.GitHubDeniedError, match="moved to octo/renamed"):
        old.sync()
    settled(here)
    assert (len(github.issues()), len(here.tickets())) == (2, 2)


def test_only_one_at_a_time(here: Side, github: FakeGitHub) -> None:
    here.create()
    found = []
    second = here.sync()

    def meanwhile() -> None:
        from ansible_collections.dockfra.core.plugins.module_utils.github import state as ticket_sync_state

        with (
            pytest.raises(errors.SyncBusyError),
            ticket_sync_state.opened(second._state_path, lock_timeout=0),
        ):
            pass
        found.append(second.sync(dry_run=True).changed)  # which waits for nobody

    github.fault("hook", verb="POST", call=meanwhile)
    here.both()
    assert len(found) == 1
    settled(here)


def test_what_is_edited_while_a_run_writes_is_seen_by_the_next(here: Side, github: FakeGitHub) -> None:
    for number in range(3):
        here.create(f"Ticket {number}")
    here.both()
    for number in range(3):
        here.update(f"T-000{number + 1}", priority="high")

    def meanwhile() -> None:
        github.edit(1, title="Edited", labels=[*github.issue(1)["labels"], "added"])
        github.comment(1, "Just now")
        github.edit(3, title="Edited")
        here.update("T-0001", description="Also just now")

    github.fault("hook", verb="POST", path="/issues/1/labels", call=meanwhile)
    here.both()
    here.both()
    settled(here)
    assert (here.get().title, here.get().description, texts(here.get())) == (
        "Edited",
        "Also just now",
        ["Just now"],
    )
    assert here.get().labels == ("added",)
    assert here.get("T-0003").title == "Edited"
    assert [issue["labels"] for issue in github.issues()][1:] == [["priority:high"]] * 2


def test_what_is_edited_during_a_long_run_is_taken_first(here: Side, github: FakeGitHub) -> None:
    for number in range(3):
        here.create(f"Ticket {number}")
    here.both()
    for _again in range(2):
        github.advance(300)
        here.both()
    for ticket in here.tickets():
        here.update(ticket.id, title=f"{ticket.title} here")
    passed = 0.0

    def meanwhile() -> None:
        nonlocal passed
        passed = 100.0
        github.advance(passed)
        github.edit(3, title="Edited")

    github.fault("hook", verb="PATCH", path="/issues/1$", call=meanwhile)
    here.sync(clock=lambda: time.monotonic() + passed, max_wait=1000).sync()
    github.advance(300)
    settled(here)
    assert (here.get("T-0003").title, github.issue(3)["title"]) == ("Edited", "Edited")
    assert "Ticket 2 here" in texts(here.get("T-0003"))[0]


def test_what_people_do_to_comments_is_seen_after_writing(here: Side, github: FakeGitHub) -> None:
    for title in ("Edited", "Posted again", "Edited meanwhile"):
        github.add_issue(title)
    comments = [github.comment(number, "Old") for number in (1, 2, 3)]
    github.advance(100)
    here.both()
    for _again in range(2):
        github.advance(300)
        here.both()
    github.edit_comment(1, comments[0], "New")
    github.delete_comment(2, comments[1])
    github.comment(2, "New")
    github.advance(100)
    for ticket_id in ("T-0001", "T-0002"):
        here.update(ticket_id, "Ours")
    here.sync().push()
    github.advance(300)
    here.update("T-0003", title="Ours")

    def meanwhile() -> None:
        github.edit_comment(3, comments[2], "New")
        github.advance(5)

    github.fault("hook", verb="GET", path="/issues$", call=meanwhile)
    here.both()
    github.advance(300)
    here.both()
    assert [texts(ticket) for ticket in here.tickets()] == [["New", "Ours"], ["Old", "Ours", "New"], ["New"]]
    settled(here)


def test_a_comment_edited_in_the_second_of_the_list_is_seen_later(here: Side, github: FakeGitHub) -> None:
    github.add_issue("Theirs")
    comment = github.comment(1, "Old")
    moment = github._moment()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(github, "_moment", lambda: moment)
        here.sync().pull()
        github.edit_comment(1, comment, "New")
    github.advance(300)
    here.sync().pull()
    assert texts(here.get()) == ["New"]


@pytest.mark.parametrize("kept", ["head", "nothing"])
def test_an_edit_of_our_comment_needs_no_marker(here: Side, github: FakeGitHub, kept: str) -> None:
    here.create()
    here.update("T-0001", "Ours")
    here.both()
    github.advance(300)
    (comment,) = github.issue(1)["comments"]
    head = comment["body"].partition("\n")[0] + "\n\n" if kept == "head" else ""
    for text in ("Edited", "Edited again"):
        github.edit_comment(1, comment["id"], head + text)
        here.both()
        github.advance(300)
        assert texts(here.get()) == [text]
    settled(here)


@pytest.mark.parametrize("listed", [True, False])
def test_labels_that_people_set_meanwhile_stay(here: Side, github: FakeGitHub, listed: bool) -> None:
    here.create("Ours", labels=["base", "old"], priority="low")
    here.both()
    if not listed:
        for _again in range(2):
            github.advance(300)
            here.both()
    here.update("T-0001", priority="high", labels=["base", "new"])

    def meanwhile() -> None:
        github.advance(1)
        github.edit(1, title="Theirs", labels=["base", "old", "priority:low", "theirs"])

    github.fault("hook", verb="GET", path="/issues$", call=meanwhile)
    here.both()
    assert github.issue(1)["labels"] == ["base", "theirs", "new", "priority:high"]
    github.advance(300)
    here.both()
    assert (here.get().title, here.get().labels) == ("Theirs", ("base", "new", "theirs"))
    settled(here)


def test_labels_that_a_ticket_cannot_tell_apart_stay(here: Side, github: FakeGitHub) -> None:
    github.add_issue("Theirs", labels=["a,b", "a b", ","])
    here.both()
    here.update("T-0001", priority="high", labels=["a b", "c"])
    here.both()
    assert github.issue(1)["labels"] == ["a,b", "a b", ",", "c", "priority:high"]
    settled(here)


@pytest.mark.parametrize("how", ["dropped", "refused"])
def test_labels_without_the_right_to_set_them_are_a_failure(
    here: Side, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    with monkeypatch.context() as patched:
        # GitHub leaves labels out in silence, and refuses a request that is about nothing else.
        patched.setattr(github, "_labels", lambda _home, _names: [])
        if how == "refused":
            github.fault("forbidden", path="/labels", times=-1)
        here.create("Ours", priority="critical", assigned_to="developer", labels=["x"])
        for title in ("Ours", "Ours, later"):
            here.update("T-0001", title=title)
            (result,) = here.both().results
            assert result.failed
            assert "did not take over priority, assigned_to, labels" in str(result)
            assert github.issue(1)["title"] == title
            github.advance(300)
    github._faults.clear()
    here.both()
    assert github.issue(1)["labels"] == ["assigned:developer", "priority:critical", "x"]
    ticket = here.get()
    assert (ticket.priority, ticket.assigned_to, ticket.labels) == ("critical", "developer", ("x",))
    settled(here)


def test_a_label_that_cannot_be_removed_is_a_failure(here: Side, github: FakeGitHub) -> None:
    here.create("Ours", labels=["x"])
    here.both()
    here.update("T-0001", labels=[])
    for _again in range(2):
        github.fault("forbidden", verb="DELETE")
        (result,) = here.both().results
        assert (result.failed, here.get().labels) == (True, ())
        github.advance(300)
    here.both()
    assert github.issue(1)["labels"] == []
    settled(here)


def test_writes_are_counted_once(here: Side) -> None:
    told: list[int] = []
    for number in range(12):
        here.create(f"Ours {number}")
    here.sync(on_write=told.append, write_pause=1.0).push()
    assert told == [*range(1, 13)]
    assert here.waited == [1.0, 1.0]  # the first ten go at once


@pytest.mark.parametrize("what", ["issue", "comment"])
def test_what_is_deleted_while_pages_are_read_hides_nothing(
    here: Side, github: FakeGitHub, what: str
) -> None:
    comments = []
    for number in range(1, 211):
        github.add_issue(f"Theirs {number}")
        comments.append(github.comment(number, "Theirs"))
        github.advance(1)

    def meanwhile() -> None:
        for number in (51, 150):  # one of them is on the page that was read, in whichever order
            if what == "issue":
                github.delete(number)
            else:
                github.delete_comment(number, comments[number - 1])

    github.fault("hook", verb="GET", path="/issues$" if what == "issue" else "/comments$", call=meanwhile)
    here.sync().pull()
    tickets = {ticket.github_issue_number: ticket for ticket in here.tickets()}
    for issue in github.issues():
        assert texts(tickets[issue["number"]]) == ["Theirs"] or issue["number"] in (51, 150)


def test_pages_within_one_second_are_all_read(here: Side, github: FakeGitHub) -> None:
    moment = github._moment()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(github, "_moment", lambda: moment)
        for number in range(250):
            github.add_issue(f"Theirs {number}")
    github.advance(10)
    for number in range(30):
        github.add_issue(f"Later {number}")
    gateway = here.gateway()
    assert [issue.number for issue in gateway.issues()] == [*range(1, 281)]
    assert gateway.requests == 3


# -- how many requests --


def test_nothing_new_is_one_request(here: Side, github: FakeGitHub) -> None:
    for number in range(130):
        github.add_issue(f"Issue {number}")
    github.comment(1, "x")
    assert here.sync().pull().requests == 2 + 1
    github.advance(120)
    here.both()
    for run in (here.sync().pull, here.sync().push, here.sync().sync):
        assert run().requests == 1
    github.advance(120)
    github.comment(5, "y")
    assert here.sync().pull().requests == 2


def test_three_hundred_both_ways(here: Side, github: FakeGitHub) -> None:
    three_hundred(here, github, lambda: None, spare=2)


@pytest.mark.parametrize(
    "seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
def test_three_hundred_both_ways_with_faults(here: Side, github: FakeGitHub, seed: int) -> None:
    chance = random.Random(seed)

    def faults() -> None:
        for index, (name, fault) in enumerate(FAULTS.items()):
            for verb in ("GET", "POST", "PATCH"):
                # Every third or so, because too many failures in a row end a run.
                skip = 3 * index + chance.randrange(2)
                github.fault(**{"kind": name, "verb": verb, "skip": skip, "every": 31, "times": 3, **fault})

    three_hundred(here, github, faults, spare=None)


def three_hundred(here: Side, github: FakeGitHub, before_each: Callable[[], None], spare: int | None) -> None:
    """150 of either side become 300 of both, and then each of them changes somewhere."""
    for number in range(150):
        here.create(f"Ours {number}", description=f"Text {number}", labels=[f"l{number % 5}"])
        github.add_issue(f"Theirs {number}", f"Text {number}", ["bug"])
    before_each()
    report = here.sync(max_wait=10_000).sync()
    if spare is not None:
        assert report.requests <= 2 + 150 + spare
    github.advance(120)
    settled(here)
    assert sorted(issue["title"] for issue in github.issues()) == sorted(
        ticket.title for ticket in here.tickets()
    )
    assert len(github.issues()) == 300
    github.advance(120)
    here.both()

    numbers = {ticket.id: ticket.github_issue_number or 0 for ticket in here.tickets()}
    changes = 0
    for index, (ticket_id, number) in enumerate(numbers.items()):
        kind = index % 6
        if kind in (0, 2):
            here.update(ticket_id, title=f"New title {index}")
        if kind in (1, 2, 4):
            github.edit(number, body=f"New text {index}", state="closed" if kind == 1 else "open")
        if kind == 3:
            here.update(ticket_id, f"Comment {index}", priority="high")
        if kind == 4:
            github.comment(number, f"Comment {index}")
        if kind == 5:
            github.edit(number, title=f"Title there {index}", labels=["x"])
            here.update(ticket_id, title=f"Title here {index}")  # later: this one counts
        changes += {0: 1, 2: 1, 3: 2, 5: 2}.get(kind, 0)
    before_each()
    report = here.sync(max_wait=10_000).sync()
    if spare is not None:
        # 200 changed issues and 50 comments on them are 3 pages.
        assert report.requests <= 3 + changes + spare
    github.advance(120)
    settled(here)
    assert len(github.issues()) == len(here.tickets()) == 300
    for index, (ticket_id, number) in enumerate(numbers.items()):
        kind, ticket, issue = index % 6, here.get(ticket_id), github.issue(number)
        assert ticket.title == issue["title"]
        if kind in (0, 2):
            assert ticket.title == f"New title {index}"
        if kind in (1, 2, 4):
            assert ticket.description == f"New text {index}"
            assert issue["body"].startswith(f"New text {index}")
            assert (ticket.status, issue["state"]) == (
                ("closed", "closed") if kind == 1 else ("open", "open")
            )
        if kind == 3:
            assert (ticket.priority, "priority:high" in issue["labels"]) == ("high", True)
        if kind in (3, 4):
            assert (len(ticket.comments), len(issue["comments"])) == (1, 1)
            assert texts(ticket) == [f"Comment {index}"]
        if kind == 5:
            kept = {f"Title there {index}", f"Title here {index}"}
            assert ticket.title in kept
            (lost,) = kept - {ticket.title}
            assert lost in texts(ticket)[0]
            assert lost in issue["comments"][0]["body"]
            assert len(ticket.comments) == len(issue["comments"]) == 1


# -- killed in the middle --


def prepared(here: Side, github: FakeGitHub) -> None:
    """Something of everything there is to do."""
    for number in range(3):
        here.create(f"Old {number}", description="Text")
    here.both()
    here.update("T-0001", title="New title here")
    here.update("T-0002", "Comment here", status="closed")
    github.edit(3, title="New title there", labels=["there"])
    github.comment(3, "Comment there")
    here.create("Ours", status="closed")
    here.update("T-0004", comment="Ours")
    github.add_issue("Theirs")
    github.comment(4, "Theirs")


@pytest.mark.parametrize(("verb", "values"), [("POST", {}), ("DELETE", {}), ("PATCH", {"status": "closed"})])
@pytest.mark.parametrize(("before", "after"), [("low", "critical"), slow("critical", "low")])
def test_killed_between_labels(
    here: Side, github: FakeGitHub, verb: str, values: dict[str, Any], before: str, after: str
) -> None:
    here.create("Ours", priority=before, assigned_to="monitor")
    here.update("T-0001", status="in_progress")
    here.both()
    here.update("T-0001", priority=after, assigned_to="developer", **values)
    running: list[subprocess.Popen[bytes]] = []
    github.fault("hook", verb=verb, path="/issues/1", call=lambda: os.kill(running[0].pid, signal.SIGKILL))
    running.append(worker(here))
    assert running[0].wait(60) == -signal.SIGKILL
    here.both()
    settled(here)
    ticket = here.get()
    assert (ticket.priority, ticket.assigned_to, texts(ticket)) == (after, "developer", [])
    status = [] if values else ["status:in_progress"]
    assert sorted(github.issue(1)["labels"]) == ["assigned:developer", f"priority:{after}", *status]


def check(here: Side, github: FakeGitHub) -> None:
    here.both()
    settled(here)
    pairs = {ticket.title: len(ticket.comments) for ticket in here.tickets()}
    assert pairs == {"New title here": 0, "Old 1": 1, "New title there": 1, "Ours": 1, "Theirs": 1}
    assert {issue["title"]: len(issue["comments"]) for issue in github.issues()} == pairs
    assert (len(here.tickets()), len(github.issues())) == (5, 5)
    assert [issue["title"] for issue in github.issues() if issue["state"] == "closed"] == ["Old 1", "Ours"]


def worker(here: Side, last: int = 0) -> subprocess.Popen[bytes]:
    arguments = [str(ROOT), str(here.path), here.github.url, here.github.repo, TOKEN, str(last)]
    return subprocess.Popen([sys.executable, "-c", WORKER, *arguments], stderr=subprocess.PIPE)


@pytest.mark.parametrize(
    ("verb", "skip"),
    [("POST", 0), slow("POST", 1), ("POST", 2), ("PATCH", 0), slow("PATCH", 2), slow("GET", 1)],
)
def test_killed_before_the_answer_came(here: Side, github: FakeGitHub, verb: str, skip: int) -> None:
    prepared(here, github)
    running: list[subprocess.Popen[bytes]] = []
    github.fault("hook", verb=verb, skip=skip, call=lambda: os.kill(running[0].pid, signal.SIGKILL))
    running.append(worker(here))
    assert running[0].wait(60) == -signal.SIGKILL
    check(here, github)


@pytest.mark.parametrize(
    "last", [pytest.param(last, marks=[] if last % 11 == 4 else pytest.mark.slow) for last in range(1, 60)]
)
def test_killed_while_it_writes(here: Side, github: FakeGitHub, last: int) -> None:
    prepared(here, github)
    process = worker(here, last)
    _out, problems = process.communicate(timeout=60)
    assert process.returncode in (-signal.SIGKILL, 0), problems.decode()
    check(here, github)


# -- the module, and the server by itself --


def module(here: Side, **options: Any) -> dict[str, Any]:
    arguments = {"path": str(here.path), "repo": here.github.repo, "api_url": here.github.url, **options}
    return run_module("ticket_sync", arguments, GITHUB_TOKEN=TOKEN)


def test_the_module(here: Side, github: FakeGitHub) -> None:
    here.create("Ours")
    github.add_issue("Theirs")
    before = here.files()
    planned = module(here, _ansible_check_mode=True)
    assert (planned["changed"], here.files(), len(github.issues())) == (True, before, 1)
    assert planned["diff"]["after"]["ticket of #1"]["title"] == "Theirs"
    assert planned["diff"]["after"]["#new of T-0001"]["title"] == "Ours"
    done = module(here)
    assert (done["changed"], [result["pulled"] for result in done["results"]]) == (
        True,
        ["created", "unchanged"],
    )
    assert done["diff"]["after"]["T-0002"]["title"] == "Theirs"
    assert done["diff"]["after"]["#2 of T-0001"]["state"] == "open"
    assert {ticket.title for ticket in here.tickets()} == {issue["title"] for issue in github.issues()}
    for options in ({}, {"direction": "pull"}, {"direction": "push", "ids": ["T-0001"]}):
        again = module(here, **options)
        assert (again["changed"], again["results"]) == (False, [])
    assert "T-0099" in module(here, direction="push", ids=["T-0099"])["msg"]
    for path in here.path.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def test_the_module_says_which_ticket_failed(here: Side, github: FakeGitHub) -> None:
    here.create("Ours")
    here.create("Other")
    here.both()
    for number in (1, 2):
        github.edit(number, title="New")
    (here.path / "T-0001.json").write_text("{")
    result = module(here)
    assert (result["failed"], "T-0001 is damaged" in result["msg"]) == (True, True)
    assert here.get("T-0002").title == "New"
    assert len(github.issues()) == 2


def test_on_github_enterprise(tmp_path: Path) -> None:
    for github in running(token=TOKEN, prefix="/api/v3"):
        here = Side(tmp_path / "tickets", github)
        for number in range(101):
            github.add_issue(f"Theirs {number}")
        here.create("Ours")
        here.both()
        assert (len(here.tickets()), len(github.issues())) == (102, 102)
        settled(here)


def test_the_server_by_itself(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.fakes.github",
        "--state",
        str(tmp_path / "state.json"),
        "--token",
        TOKEN,
    ]
    for expected in (1, 2):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                url = process.stdout.readline().strip()
                data = json.dumps({"title": "By a person"}).encode()
                urllib.request.urlopen(urllib.request.Request(f"{url}/_fake/add_issue", data))
                gateway = IssueGateway(TOKEN, "octo/hello", url)
                assert len(gateway.issues()) == expected
                state = json.load(urllib.request.urlopen(f"{url}/_fake/state"))
                assert (len(state["issues"]), state["problems"]) == (expected, [])
            finally:
                process.terminate()
        assert process.returncode == 0


def test_the_server_notices_what_github_would_not_say(github: FakeGitHub, here: Side) -> None:
    github.add_issue("x")
    github._data["repos"][github.repo]["issues"]["1"]["title"] = None
    here.gateway().issues()
    assert "Issue" in github.problems.pop()
