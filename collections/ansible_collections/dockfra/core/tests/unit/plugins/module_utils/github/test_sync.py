# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How tickets and issues are compared and merged, without HTTP: GitHub is a dictionary here."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import itertools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.module_utils import errors
from ansible_collections.dockfra.core.plugins.module_utils.github import mapping
from ansible_collections.dockfra.core.plugins.module_utils.github import state as states
from ansible_collections.dockfra.core.plugins.module_utils.github.objects import RemoteComment, RemoteIssue
from ansible_collections.dockfra.core.plugins.module_utils.github.sync import GitHubSync
from ansible_collections.dockfra.core.plugins.module_utils.tickets.model import Comment, Ticket
from ansible_collections.dockfra.core.plugins.module_utils.tickets.store import TicketStore
from ansible_collections.dockfra.core.plugins.module_utils.tickets.values import MAX_COMMENTS

START = datetime.datetime(2026, 11, 22, 10, tzinfo=datetime.UTC)


class FakeIssues:
    """GitHub as a dictionary, which also says what time it is."""

    repo = "octo/hello"

    def __init__(self) -> None:
        self.requests = 0
        self.listed_at: datetime.datetime | None = None
        self.moment = START
        self.there: dict[int, RemoteIssue] = {}
        self.remarks: list[RemoteComment] = []
        self.unclear: list[str] = []
        self._ids = itertools.count(1)

    def now(self) -> datetime.datetime:
        self.moment += datetime.timedelta(seconds=1)
        return self.moment

    def text(self) -> str:
        return f"{self.now():%Y-%m-%dT%H:%M:%SZ}"

    def clock(self) -> float:
        return 0.0

    def pause(self, seconds: float, why: str) -> None:
        pass

    def issues(self, since: str | None = None) -> list[RemoteIssue]:
        self.requests += 1
        self.listed_at = self.now()
        return [issue for _number, issue in sorted(self.there.items()) if issue.updated_at >= (since or "")]

    def comments(self, since: str | None = None) -> list[RemoteComment]:
        self.requests += 1
        return [remark for remark in self.remarks if remark.updated_at >= (since or "")]

    def comments_of(self, number: int) -> list[RemoteComment]:
        self.requests += 1
        return [remark for remark in self.remarks if remark.number == number]

    def issue(self, number: int) -> RemoteIssue:
        self.requests += 1
        if number not in self.there:
            raise errors.GitHubGoneError("gone")
        return self.there[number]

    def create(self, title: str, body: str, labels: list[str]) -> RemoteIssue:
        self.requests += 1
        issue = self.open(title, body, labels, "sync-bot")
        self._fail("create")
        return issue

    def edit(self, number: int, values: Mapping[str, Any]) -> RemoteIssue:
        self.requests += 1
        self.issue(number)
        known = dict(values)
        if "state" in known:
            known["closed"] = known.pop("state") == "closed"
        return self.change(number, **known)

    def add_labels(self, number: int, labels: list[str]) -> tuple[str, ...]:
        self.requests += 1
        return self.change(number, labels=(*self.issue(number).labels, *labels)).labels

    def remove_label(self, number: int, label: str) -> tuple[str, ...]:
        self.requests += 1
        kept = tuple(other for other in self.issue(number).labels if other != label)
        return self.change(number, labels=kept).labels

    def comment(self, number: int, body: str) -> RemoteComment:
        self.requests += 1
        remark = self.say(number, body, "sync-bot")
        self._fail("comment")
        return remark

    def _fail(self, what: str) -> None:
        if what in self.unclear:
            self.unclear.remove(what)
            raise errors.GitHubUnclearError("unclear")

    # -- what people do --

    def open(self, title: str, body: str = "", labels: Any = (), author: str = "octocat") -> RemoteIssue:
        number, now = len(self.there) + 1, self.text()
        self.there[number] = RemoteIssue(
            number=number,
            id=next(self._ids),
            place=f"{self.repo}#{number}",
            title=title,
            body=body,
            labels=tuple(labels),
            closed=False,
            locked=False,
            comments=0,
            author=author,
            created_at=now,
            updated_at=now,
            url="",
        )
        return self.there[number]

    def change(self, number: int, **values: Any) -> RemoteIssue:
        self.there[number] = dataclasses.replace(self.there[number], **values, updated_at=self.text())
        return self.there[number]

    def say(self, number: int, body: str, author: str = "octocat") -> RemoteComment:
        now = self.text()
        remark = RemoteComment(next(self._ids), f"{self.repo}#{number}", body, author, now, now)
        self.remarks.append(remark)
        self.change(number, comments=self.there[number].comments + 1)
        return remark


class Sides:
    """A store and GitHub."""

    def __init__(self, path: Path) -> None:
        self.github = FakeIssues()
        self.store = TicketStore(path, now=self.github.now)
        self.state = states.path_for(path, "https://api.github.com", self.github.repo)
        path.mkdir()
        self.sync = GitHubSync(self.store, self.github, self.state, now=self.github.now, settle=0)

    def settle(self) -> None:
        """After one more run there is nothing left to do, and both sides say the same."""
        self.sync.sync()
        report = self.sync.sync()
        assert [str(result) for result in report.results if result.changed] == []
        tickets = self.store.select().tickets
        assert sorted(ticket.github_issue_number or 0 for ticket in tickets) == sorted(self.github.there)
        for ticket in tickets:
            issue = self.github.there[ticket.github_issue_number or 0]
            assert mapping.remote_view(issue) == {
                name: mapping.as_remote(name, value, ticket)
                for name, value in mapping.local_view(ticket).items()
            }
            assert mapping.plain_labels(issue.labels).keys() == mapping.plain_labels(ticket.labels).keys()
            assert issue.comments == len(ticket.comments)


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    return Sides(tmp_path / "tickets")


TEXT = st.sampled_from(["", "one", "two", "three\nlines\n", "<!-- dockfra:T-0001 -->", "ends with space "])
LABELS = st.lists(
    st.sampled_from(["a", "B", "b", "c", "x,y", "priority:huge"]), max_size=3, unique_by=str.casefold
)
STEP = st.one_of(
    st.tuples(st.just("here"), st.just("title"), st.sampled_from(["A", "B", "C"])),
    st.tuples(st.just("here"), st.just("description"), TEXT),
    st.tuples(st.just("here"), st.just("priority"), st.sampled_from(["low", "normal", "critical"])),
    st.tuples(st.just("here"), st.just("status"), st.sampled_from(["open", "in_progress", "closed"])),
    st.tuples(
        st.just("here"), st.just("labels"), LABELS.map(lambda labels: [x.replace(",", " ") for x in labels])
    ),
    st.tuples(st.just("here"), st.just("comment"), st.sampled_from(["Hm", "Ah"])),
    st.tuples(st.just("there"), st.just("title"), st.sampled_from(["A", "B", "D"])),
    st.tuples(st.just("there"), st.just("body"), TEXT),
    st.tuples(st.just("there"), st.just("closed"), st.booleans()),
    st.tuples(st.just("there"), st.just("labels"), LABELS.map(lambda x: [*x, "priority:low"])),
    st.tuples(st.just("there"), st.just("labels"), LABELS.map(lambda x: [*x, "status:in_progress"])),
    st.tuples(st.just("there"), st.just("comment"), st.sampled_from(["Oh", "Ah"])),
    st.tuples(st.just("run"), st.sampled_from(["push", "pull", "sync"]), st.just("")),
    st.tuples(st.just("unclear"), st.sampled_from(["create", "comment"]), st.just("")),
    st.tuples(st.just("forget"), st.just(""), st.just("")),
    st.tuples(st.just("wait"), st.just(""), st.just("")),
)


@given(st.lists(STEP, max_size=14), st.sampled_from(["here", "there"]))
@example([("run", "sync", ""), ("here", "title", "B"), ("run", "pull", ""), ("there", "title", "D")], "here")
def test_whatever_happens_both_sides_agree_in_the_end(steps: list[tuple[str, str, Any]], origin: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sides = Sides(Path(folder) / "tickets")
        if origin == "here":
            sides.store.create("manager", {"title": "A", "description": "one"})
        else:
            sides.github.open("A", "one")
        for step in steps:
            take(sides, *step)
        sides.settle()
        assert len(sides.store.select().tickets) == 1


def take(sides: Sides, where: str, what: str, value: Any) -> None:
    tickets, issues = sides.store.select().tickets, sides.github.there
    if where == "run":
        getattr(sides.sync, what)()
    elif where == "unclear":
        sides.github.unclear.append(what)
    elif where == "forget":
        Path(sides.state).unlink(missing_ok=True)
    elif where == "wait":
        sides.github.moment += datetime.timedelta(minutes=5)
    elif where == "here" and tickets:
        fields = {} if what == "comment" else {what: value}
        with contextlib.suppress(errors.TicketConflictError):  # a way that no status goes
            sides.store.update("manager", tickets[0].id, fields, comment=value if what == "comment" else None)
    elif where == "there" and issues:
        if what == "comment":
            sides.github.say(1, value)
        else:
            sides.github.change(1, **{what: tuple(value) if what == "labels" else value})


@pytest.mark.parametrize("order", [("sync",), ("push", "pull", "push"), ("pull", "push", "pull")])
@pytest.mark.parametrize("later", ["here", "there"])
def test_no_edit_is_lost_whichever_way_it_is_run(sides: Sides, order: tuple[str, ...], later: str) -> None:
    sides.store.create("manager", {"title": "Title", "description": "Text", "priority": "low"})
    sides.sync.sync()

    def here() -> None:
        changes = {"title": "Title here", "description": "Text here", "priority": "high"}
        sides.store.update("manager", "T-0001", changes)

    def there() -> None:
        sides.github.change(1, title="Title there", body="Text there", labels=("priority:critical",))

    for edit in (there, here) if later == "here" else (here, there):
        edit()
    for run in order:
        getattr(sides.sync, run)()
    sides.settle()
    ticket = sides.store.get("T-0001")
    lost = "there" if later == "here" else "here"
    assert (ticket.title, ticket.description) == (f"Title {later}", f"Text {later}")
    assert ticket.priority == {"here": "high", "there": "critical"}[later]
    kept = "\n".join(comment.text for comment in ticket.comments)
    assert f"Title {lost}" in kept
    assert f"Text {lost}" in kept
    assert {"here": "high", "there": "critical"}[lost] in kept
    assert len(ticket.comments) == 3


def test_a_ticket_changed_while_it_is_merged_is_merged_again(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides.store.create("manager", {"title": "Title"})
    sides.sync.sync()
    sides.github.change(1, title="Title there")
    update, times = sides.store.update, itertools.count()

    def busy(*arguments: Any, **options: Any) -> Any:
        if next(times) < 2:
            update("manager", "T-0001", {}, comment="Meanwhile")
        return update(*arguments, **options)

    monkeypatch.setattr(sides.store, "update", busy)
    sides.sync.sync()
    ticket = sides.store.get("T-0001")
    assert (ticket.title, len(ticket.comments)) == ("Title there", 2)
    sides.settle()


def nothing_is_left(sides: Sides) -> None:
    sides.sync.sync()
    assert not sides.sync.sync().changed


def test_a_full_ticket_takes_what_fits_and_says_so(sides: Sides) -> None:
    issue = sides.github.open("Much ado")
    for number in range(MAX_COMMENTS + 2):
        sides.github.say(issue.number, f"Comment {number}")
    (result,) = sides.sync.pull().results
    assert "22 comments stay on GitHub only" in str(result)
    assert len(sides.store.get("T-0001").comments) == MAX_COMMENTS - 20
    # There is room left for what a synchronisation has to say.
    sides.github.change(1, title="Title there")
    sides.store.update("manager", "T-0001", {"title": "Title here"})
    nothing_is_left(sides)
    assert "Title there" in sides.store.get("T-0001").comments[-1].text


def fill(sides: Sides) -> None:
    """Write as many comments into the ticket as it can hold."""
    ticket = sides.store.get("T-0001")
    comments = [
        *ticket.comments,
        *(
            {
                "author": "x",
                "text": str(number),
                "timestamp": ticket.created_at,
                "github_comment_id": 10_000 + number,
            }
            for number in range(MAX_COMMENTS - len(ticket.comments))
        ),
    ]
    sides.store.update("manager", ticket.id, {"comments": comments}, expected=ticket.updated_at)


def test_where_no_comment_fits_work_goes_on(sides: Sides) -> None:
    sides.github.open("Theirs")
    nothing_is_left(sides)
    fill(sides)
    sides.store.update("manager", "T-0001", {"title": "Title here"})
    sides.github.change(1, title="Title there")
    (result,) = sides.sync.sync().results
    assert (result.failed, result.conflicts) == (False, ["title"])
    assert "The ticket is full, so the other title is not kept" in str(result)
    assert result.before["ticket"]["title"] == "Title here"
    nothing_is_left(sides)
    del sides.github.there[1]
    sides.store.update("manager", "T-0001", {"title": "Later"})
    (result,) = sides.sync.push().results
    assert (result.pushed, result.failed) == ("gone", False)
    assert "no comment in it says so" in str(result)
    assert sides.store.get("T-0001").github_issue_number is None


def test_an_issue_with_too_much_text_becomes_a_ticket(sides: Sides) -> None:
    sides.github.open("Long", "\N{GRINNING FACE}" * 60_000)
    for _number in range(80):
        sides.github.say(1, "\n" * 5 + "x" * 60_000)
    (result,) = sides.sync.pull().results
    assert (result.failed, result.pulled) == (False, "created")
    kept = len(sides.store.get("T-0001").comments)
    assert 40 < kept < 60
    assert f"{80 - kept} comments stay on GitHub only" in str(result)
    nothing_is_left(sides)


def test_a_dry_run_writes_nothing(sides: Sides, tmp_path: Path) -> None:
    sides.store.create("manager", {"title": "Ours", "status": "closed"})
    sides.github.open("Theirs")
    files = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    report = sides.sync.sync(dry_run=True)
    assert [(result.ticket, result.pulled, result.pushed) for result in report.results] == [
        (None, "created", "unchanged"),
        ("T-0001", "unchanged", "created"),
    ]
    assert report.results[1].after["issue"]["state"] == "closed"
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == files
    assert len(sides.github.there) == 1
    assert not (tmp_path / "tickets" / states.DIRECTORY).exists()


def test_a_long_run_looks_again_before_it_writes(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    sides.store.create("manager", {"title": "First"})
    sides.store.create("manager", {"title": "Second"})
    sides.sync.sync()
    for ticket_id in ("T-0001", "T-0002"):
        sides.store.update("manager", ticket_id, {"title": f"{ticket_id} here"})
    edit = sides.github.edit

    def slow(number: int, values: Mapping[str, Any]) -> RemoteIssue:
        monkeypatch.setattr(sides.github, "clock", lambda: 100.0)
        if number == 1:
            sides.github.change(2, title="Second there")
        return edit(number, values)

    monkeypatch.setattr(sides.github, "edit", slow)
    sides.sync.sync()
    monkeypatch.undo()
    sides.settle()
    assert sides.store.get("T-0002").title == "Second there"
    assert "T-0002 here" in sides.store.get("T-0002").comments[0].text


def test_without_tickets_there_is_no_state(tmp_path: Path) -> None:
    store = TicketStore(tmp_path / "none" / "tickets")
    sync = GitHubSync(store, FakeIssues(), str(tmp_path / "none" / "tickets" / ".github" / "x.jsonl"))
    for run in (sync.push, sync.pull, sync.sync):
        with pytest.raises(errors.TicketStoreError, match="no ticket directory"):
            run()
    assert list(tmp_path.iterdir()) == []


# -- mapping --


def ticket(**fields: Any) -> Ticket:
    values: dict[str, Any] = {"id": "T-0001", "title": "Title", "created_by": "manager"}
    time = "2026-11-22T10:00:00.000000Z"
    return Ticket(**{**values, "created_at": time, "updated_at": time, **fields})


def test_a_key_is_of_one_ticket_only() -> None:
    same = mapping.ticket_key(ticket(title="Other"))
    assert same == mapping.ticket_key(ticket())
    for other in ({"id": "T-0002"}, {"created_at": "2026-11-22T10:00:00.000001Z"}, {"created_by": "octocat"}):
        assert mapping.ticket_key(ticket(**other)) != same
    comment = Comment("manager", "Text", "2026-11-22T10:00:00.000000Z")
    assert mapping.comment_key(ticket(), comment) != mapping.comment_key(ticket(id="T-0002"), comment)


@pytest.mark.parametrize(
    ("own", "base_own", "theirs", "base_theirs", "expected"),
    [
        (["a"], [], ["b"], [], ["a", "b"]),
        (["a", "b"], ["a", "b"], ["a"], ["a", "b"], ["a"]),
        (["A"], ["A"], [], ["a"], []),
        (["new"], [], [], ["new"], ["new"]),
        (["x y"], [], ["x,y"], [], ["x y"]),
        (["a"], ["a"], ["a", "priority:high"], ["a"], ["a"]),
    ],
)
def test_labels_are_merged_one_by_one(
    own: list[str], base_own: list[str], theirs: list[str], base_theirs: list[str], expected: list[str]
) -> None:
    assert mapping.merged_labels(own, base_own, theirs, base_theirs) == expected


# -- state --


def test_the_state_survives_what_is_written_by_halves(tmp_path: Path) -> None:
    path = str(tmp_path / states.DIRECTORY / "x.jsonl")
    with states.opened(path) as state:
        state.entries["T-0001"] = states.Entry(number=1, comments={"k": 5})
        state.save("T-0001")
        state.cursor = "2026-11-22T10:00:00Z"
        state.finish()
        state.entries["T-0002"] = states.Entry(number=2)
        state.save("T-0002")
    with open(path, "ab") as file:
        file.write(b'{"ticket":"T-0003","num')
    for _again in range(2):
        with states.opened(path) as state:
            assert (state.interrupted, state.cursor) == (True, "2026-11-22T10:00:00Z")
            assert {key: entry.number for key, entry in state.entries.items()} == {"T-0001": 1, "T-0002": 2}
    with states.opened(path) as state:
        del state.entries["T-0001"]
        state.save("T-0001")
        state.finish()
    with states.opened(path) as state:
        assert (state.interrupted, list(state.entries)) == (False, ["T-0002"])


def test_the_state_does_not_grow_for_ever(tmp_path: Path) -> None:
    path = tmp_path / states.DIRECTORY / "x.jsonl"
    with states.opened(str(path)) as state:
        for number in range(3000):
            state.entries["T-0001"] = states.Entry(number=number)
            state.save("T-0001")
        state.finish()
    assert len(path.read_text().splitlines()) == 2
    with states.opened(str(path)) as state:
        assert (state.entries["T-0001"].number, state.interrupted) == (2999, False)


def test_a_state_that_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / states.DIRECTORY / "x.jsonl").mkdir(parents=True)
    with (
        pytest.raises(errors.TicketStoreError, match=states.DIRECTORY),
        states.opened(str(tmp_path / states.DIRECTORY / "x.jsonl")),
    ):
        pass
