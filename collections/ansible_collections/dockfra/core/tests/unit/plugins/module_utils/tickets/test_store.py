# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The store on a real directory: what it writes, what it refuses, and what it does with files that are none of its own."""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import itertools
import json
import os
import shutil
import socket
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import (
    TicketConflictError,
    TicketDamagedError,
    TicketDeniedError,
    TicketError,
    TicketInvalidError,
    TicketNewerError,
    TicketNotFoundError,
    TicketStorageFullError,
    TicketStoreError,
)
from ansible_collections.dockfra.core.plugins.module_utils.tickets import model, values
from ansible_collections.dockfra.core.plugins.module_utils.tickets.query import Filter
from ansible_collections.dockfra.core.plugins.module_utils.tickets.reading import BadFile
from ansible_collections.dockfra.core.plugins.module_utils.tickets.store import TicketStore
from ansible_collections.dockfra.core.tests.unit.support import open_to_all, run_python

STORE = "from ansible_collections.dockfra.core.plugins.module_utils.tickets.store import TicketStore\n"
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tickets"


@pytest.fixture
def store(path: Path) -> TicketStore:
    return TicketStore(path, lock_timeout=5)


def add(store: TicketStore, title: str = "Title", **fields: Any) -> model.Ticket:
    return store.create("manager", {"title": title, **fields}).after


def content(path: Path) -> dict[str, str]:
    """Everything below the directory: name and content, or what a link points to."""
    return {
        entry.relative_to(path).as_posix(): os.readlink(entry) if entry.is_symlink() else entry.read_text()
        for entry in sorted(path.rglob("*"))
        if entry.is_symlink() or entry.is_file()
    }


@contextlib.contextmanager
def unchanged(path: Path) -> Iterator[None]:
    before = content(path)
    yield
    assert content(path) == before


# -- what is written --


def test_a_ticket_is_a_readable_file_of_the_contract(store: TicketStore, path: Path) -> None:
    change = store.create(
        "autopilot", {"title": " Add JWT ", "priority": "high", "labels": ["b", "a"]}, comment="Soon"
    )
    ticket = change.after
    assert (change.before, change.changed, ticket.id) == (None, True, "T-0001")
    written = json.loads((path / "T-0001.json").read_text())
    comment = {"author": "autopilot", "text": "Soon", "timestamp": ticket.comments[0].timestamp}
    assert (
        written
        == ticket.to_dict()
        == {
            "schema": 1,
            "id": "T-0001",
            "title": "Add JWT",
            "description": "",
            "status": "open",
            "priority": "high",
            "assigned_to": "developer",
            "labels": ["a", "b"],
            "created_by": "autopilot",
            "created_at": ticket.created_at,
            "updated_at": ticket.created_at,
            "comments": [comment],
            "github_issue_number": None,
            "external_key": None,
        }
    )
    assert store.get("T-0001") == ticket
    assert sorted(entry.name for entry in path.iterdir()) == [".last-id", ".lock", "T-0001.json"]


def test_modes_let_others_read_and_nobody_else_lock(store: TicketStore, path: Path) -> None:
    old = os.umask(0o077)
    try:
        add(store)
    finally:
        os.umask(old)
    modes = {name: stat.S_IMODE((path / name).stat().st_mode) for name in (".", "T-0001.json", ".lock")}
    assert modes == {".": 0o755, "T-0001.json": 0o644, ".lock": 0o600}


def test_ids_grow_beyond_four_digits(store: TicketStore, path: Path) -> None:
    path.mkdir()
    (path / ".last-id").symlink_to("9998")
    assert [add(store).id for _again in range(3)] == ["T-9999", "T-10000", "T-10001"]
    assert [ticket.id for ticket in store.select().tickets] == ["T-9999", "T-10000", "T-10001"]


def test_an_id_is_never_given_again(store: TicketStore, path: Path) -> None:
    for _again in range(3):
        add(store)
    (path / "T-0003.json").unlink()
    assert TicketStore(path).create("manager", {"title": "x"}).after.id == "T-0004"
    (path / "T-0004.json").unlink()
    assert add(store).id == "T-0005"


@pytest.mark.parametrize("damage", ["missing", "text", "old", "empty file", "huge", "negative"])
def test_the_counter_heals_itself(store: TicketStore, path: Path, damage: str) -> None:
    for _again in range(3):
        add(store)
    (path / "T-0002.json").unlink()
    counter = path / ".last-id"
    counter.unlink()
    if damage == "empty file":
        counter.write_text("")
    elif damage != "missing":
        counter.symlink_to({"text": "../../etc", "old": "1", "huge": "9" * 400, "negative": "-5"}[damage])
    (path / "damaged").mkdir()
    (path / "damaged" / "T-0009.json.2").write_text("")
    # Also an object that lived through it.
    assert TicketStore(path).create("manager", {"title": "x"}).after.id == "T-0010"
    assert add(store).id == "T-0011"
    assert os.readlink(counter) == "11"


def test_a_file_that_came_by_itself_is_not_overwritten(store: TicketStore, path: Path) -> None:
    add(store)
    (path / "T-0002.json").write_text("not ours")
    assert add(store).id == "T-0003"
    assert (path / "T-0002.json").read_text() == "not ours"


def test_what_a_killed_writer_left_is_replaced(store: TicketStore, path: Path) -> None:
    add(store, "first")
    # Killed between giving the file its name and taking the other one away.
    os.link(path / "T-0001.json", path / ".new")
    (path / ".last-id.new").symlink_to("7")
    add(store, "second")
    assert store.get("T-0001").title == "first"
    assert not (path / ".new").exists()
    assert not (path / ".last-id.new").is_symlink()


def test_updates_keep_unknown_fields_and_order_of_time(path: Path) -> None:
    clock = itertools.chain(
        [datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)] * 9,
        itertools.repeat(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)),
    )
    store = TicketStore(path, now=lambda: next(clock))
    add(store, extra={"github": {"etag": "x"}})
    raw = json.loads((path / "T-0001.json").read_text())
    (path / "T-0001.json").write_text(json.dumps({**raw, "from_later": [1, {"a": None}], "null": None}))
    seen = [raw["updated_at"]]
    for number in range(10):
        change = store.update("manager", "T-0001", {"title": f"Title {number}"})
        assert change.changed
        seen.append(change.after.updated_at)
    assert seen == sorted(set(seen))
    after = json.loads((path / "T-0001.json").read_text())
    assert after == {
        **raw,
        "title": "Title 9",
        "updated_at": seen[-1],
        "from_later": [1, {"a": None}],
        "null": None,
    }
    assert after["github"] == {"etag": "x"}


def test_nothing_is_written_where_nothing_changes(store: TicketStore, path: Path) -> None:
    add(store, labels=["a", "b"])
    inode = (path / "T-0001.json").stat().st_ino
    change = store.update(
        "manager", "T-0001", {"title": "Title ", "labels": ["b", "a"], "status": "open", "extra": {"x": None}}
    )
    assert not change.changed
    assert (path / "T-0001.json").stat().st_ino == inode


def test_a_dry_run_writes_nothing(store: TicketStore, path: Path) -> None:
    assert store.create("manager", {"title": "x"}, dry_run=True).after.id == "T-0001"
    assert not path.exists()
    add(store, external_key="k")
    with unchanged(path):
        assert store.create("manager", {"title": "x"}, dry_run=True).after.id == "T-0002"
        assert not store.create("manager", {"title": "x", "external_key": "k"}, dry_run=True).changed
        change = store.update("manager", "T-0001", {"status": "in_progress"}, comment="Go", dry_run=True)
        assert change.changed
        assert (change.before, change.after.status) == (store.get("T-0001"), "in_progress")
        with pytest.raises(TicketDeniedError):
            store.update("monitor", "T-0001", {"status": "in_progress"}, dry_run=True)


def test_an_external_key_makes_creation_idempotent(store: TicketStore, path: Path) -> None:
    first = add(store, "first", external_key="alarm/1")
    for other in (store, TicketStore(path)):
        again = other.create("manager", {"title": "again", "external_key": " alarm/1 "})
        assert (again.changed, again.after) == (False, first)
    assert add(store, external_key="alarm/2").id == "T-0002"
    assert store.find("alarm/2") == store.get("T-0002")
    assert store.find("alarm/3") is None
    # What this object remembers must not bring a removed ticket back.
    (path / "T-0001.json").unlink()
    assert add(store, external_key="alarm/1").id == "T-0003"


def test_the_sync_may_set_what_others_may_not(store: TicketStore) -> None:
    comment = {
        "author": "octocat",
        "text": "Hi\r\nthere",
        "timestamp": "2026-01-01T00:00:00Z",
        "github_id": 5,
    }
    fields = {
        "title": "Imported",
        "status": "closed",
        "created_by": "octocat",
        "created_at": "2025-01-01T00:00:00Z",
        "comments": [comment],
        "github_issue_number": 12,
        "extra": {"github": {"state": "closed"}},
    }
    ticket = store.create("manager", fields).after
    assert (ticket.created_by, ticket.status, ticket.github_issue_number) == ("octocat", "closed", 12)
    assert ticket.comments[0].extra == {"github_id": 5}
    for name in fields.keys() - {"title"}:
        with pytest.raises(TicketDeniedError, match="may not set imported fields"):
            store.create("autopilot", {"title": "x", name: fields[name]})
    with pytest.raises(TicketDeniedError, match="may not set imported fields of T-0001"):
        store.update("autopilot", "T-0001", {"github_issue_number": 13})
    with pytest.raises(TicketInvalidError, match="expected"):
        store.update("manager", "T-0001", {"comments": []})
    assert (
        store.update("manager", "T-0001", {"comments": []}, expected=ticket.updated_at).after.comments == ()
    )


def test_a_change_made_for_an_older_version_is_refused(store: TicketStore, path: Path) -> None:
    old = add(store)
    store.update("manager", old.id, {"title": "By somebody else"})
    with unchanged(path), pytest.raises(TicketConflictError, match="read it again"):
        store.update("manager", old.id, {"title": "Mine"}, expected=old.updated_at)
    now = store.get(old.id).updated_at
    assert store.update("manager", old.id, {"title": "Mine"}, expected=now).after.title == "Mine"


def test_comments(store: TicketStore) -> None:
    add(store, assigned_to="developer")
    store.update("developer", "T-0001", {}, comment="One\r\nTwo")
    store.update("developer", "T-0001", {}, comment="One\nTwo", comment_once=True)
    change = store.update("manager", "T-0001", {}, comment="One\nTwo", comment_once=True)
    assert [(c.author, c.text) for c in change.after.comments] == [
        ("developer", "One\nTwo"),
        ("manager", "One\nTwo"),
    ]
    assert change.after.comments[-1].timestamp == change.after.updated_at
    many = [{"author": "a", "text": "x", "timestamp": "2026-01-01T00:00:00Z"}] * values.MAX_COMMENTS
    full = store.update("manager", "T-0001", {"comments": many}, expected=change.after.updated_at)
    with pytest.raises(TicketInvalidError, match="the most there may be"):
        store.update("manager", full.after.id, {}, comment="one more")


def test_the_way_of_a_ticket(store: TicketStore) -> None:
    add(store, assigned_to="developer")
    assert store.update("developer", "T-0001", {"status": "in_progress"}).changed
    assert not store.update("developer", "T-0001", {"status": "in_progress"}).changed
    assert store.update("developer", "T-0001", {"status": "closed"}).changed
    assert store.update("manager", "T-0001", {"status": "open"}).changed
    assert store.update("manager", "T-0001", {"status": "closed"}).changed


# -- what is refused --


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda s: s.create("manager", {}), TicketInvalidError),
        (lambda s: s.create("manager", {"title": ""}), TicketInvalidError),
        (lambda s: s.create("manager", {"title": "x" * 1_000_000}), TicketInvalidError),
        (lambda s: s.create("manager", {"title": "a\x1bb"}), TicketInvalidError),
        (lambda s: s.create("manager", {"title": "x", "priority": "urgent"}), TicketInvalidError),
        (lambda s: s.create("manager", {"title": "x", "id": "T-0009"}), TicketInvalidError),
        (
            lambda s: s.create("manager", {"title": "x", "updated_at": "2026-01-01T00:00:00Z"}),
            TicketInvalidError,
        ),
        (lambda s: s.create("manager", {"title": "x"}, comment=" "), TicketInvalidError),
        (lambda s: s.create("developer", {"title": "x"}), TicketDeniedError),
        (lambda s: s.create("monitor", {"title": "x"}), TicketDeniedError),
        (lambda s: s.create("nobody", {"title": "x"}), TicketDeniedError),
        (lambda s: s.update("manager", "T-0404", {"title": "x"}), TicketNotFoundError),
        (lambda s: s.update("manager", "../T-0001", {"title": "x"}), TicketInvalidError),
        (lambda s: s.update("manager", "T-0001", {"external_key": "x"}), TicketInvalidError),
        (lambda s: s.update("manager", "T-0001", {"created_by": "x"}), TicketInvalidError),
        (lambda s: s.update("manager", "T-0001", {"title": "good", "priority": "bad"}), TicketInvalidError),
        (lambda s: s.update("manager", "T-0001", {"status": "done"}), TicketInvalidError),
        (lambda s: s.update("manager", "T-0001", {}, comment="a\0b"), TicketInvalidError),
        (lambda s: s.update("manager", "T-0001", {}, expected="yesterday"), TicketInvalidError),
        (lambda s: s.update("developer", "T-0001", {"title": "x"}), TicketDeniedError),
        (lambda s: s.update("developer", "T-0001", {"assigned_to": "developer"}), TicketDeniedError),
        (lambda s: s.update("developer", "T-0001", {"status": "in_progress"}), TicketDeniedError),
        (lambda s: s.update("developer", "T-0001", {}, comment="x"), TicketDeniedError),
        (
            lambda s: s.update("monitor", "T-0001", {"status": "in_progress", "priority": "low"}),
            TicketDeniedError,
        ),
        (lambda s: s.update("autopilot", "T-0001", {"status": "closed"}), TicketDeniedError),
        (lambda s: s.update("manager", "T-0002", {"status": "in_progress"}), TicketConflictError),
        (lambda s: s.update("autopilot", "T-0002", {"status": "open"}), TicketDeniedError),
        (lambda s: s.get("T-0404"), TicketNotFoundError),
        (lambda s: s.get("T-1-1"), TicketInvalidError),
        (lambda s: s.select(sort="size"), TicketInvalidError),
        (lambda s: s.select(Filter(status=["lost"])), TicketInvalidError),
        (lambda s: s.select(Filter(updated_since="lately")), TicketInvalidError),
        (lambda s: s.find("a\nb"), TicketInvalidError),
    ],
)
def test_a_refusal_is_one_line_and_changes_nothing(
    store: TicketStore, path: Path, call: Callable[[TicketStore], object], error: type[TicketError]
) -> None:
    add(store, assigned_to="monitor")
    add(store, status="closed")
    with unchanged(path), pytest.raises(error) as caught:
        call(store)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


def test_a_missing_directory(store: TicketStore, path: Path, tmp_path: Path) -> None:
    for call in (
        store.select,
        lambda: store.get("T-0001"),
        lambda: store.update("manager", "T-0001", {}),
        store.set_apart_damaged,
    ):
        with pytest.raises(TicketStoreError, match="There is no ticket directory"):
            call()
    assert not path.exists()
    with pytest.raises(TicketStoreError, match="There is no ticket directory"):
        TicketStore(tmp_path / "none" / "tickets").create("manager", {"title": "x"})
    path.write_text("")
    with pytest.raises(TicketStoreError, match="Not a directory"):
        store.select()


# -- listing --


def test_filters_and_orders(store: TicketStore) -> None:
    add(store, "Backend down", priority="critical", assigned_to="monitor", labels=["backend", "alarm"])
    add(store, "Straße", assigned_to="developer", labels=["frontend"], description="Backend as well")
    add(store, "Old", priority="low", status="closed", assigned_to=None)
    add(store, "Started", priority="high", assigned_to="developer")
    store.update("developer", "T-0004", {"status": "in_progress"}, comment="See BACKEND logs")
    since = store.get("T-0004").updated_at

    def ids(sort: str = "id", reverse: bool = False, **criteria: Any) -> list[int]:
        return [ticket.number for ticket in store.select(Filter(**criteria), sort, reverse=reverse).tickets]

    assert ids() == [1, 2, 3, 4]
    assert ids(status=["open", "closed"]) == [1, 2, 3]
    assert ids(priority=["low", "critical"]) == [1, 3]
    assert ids(assigned_to=["developer"]) == [2, 4]
    assert ids(assigned_to=[None, "monitor"]) == [1, 3]
    assert ids(labels=["alarm", "backend"]) == [1]
    assert ids(labels=["alarm", "frontend"]) == []
    assert ids(text="backend") == [1, 2, 4]
    assert ids(text="STRASSE") == [2]
    assert ids(updated_since=since) == [4]
    assert ids(assigned_to=["developer"], status=["open"], text="back") == [2]
    assert ids(reverse=True) == [4, 3, 2, 1]
    assert ids("priority") == [1, 4, 2, 3]
    assert ids("status") == [4, 1, 2, 3]
    assert ids("created") == [1, 2, 3, 4]
    store.update("manager", "T-0001", {"title": "Backend up"})
    assert ids("updated") == [2, 3, 4, 1]


# -- what is no ticket --


def plant(path: Path) -> dict[str, str]:
    """Put everything into a store that should not be there; returns names of damaged files and why."""
    raw = (path / "T-0001.json").read_text()
    files = {
        "T-0002.json": ("", "empty"),
        "T-0003.json": (raw[: len(raw) // 2], "no JSON"),
        "T-0004.json": (raw, "holds the id 'T-0001'"),
        "T-0005.json": (raw.replace("T-0001", "T-0005").replace('"open"', '"lost"'), "status 'lost'"),
        "T-0006.json": ('{"a": 1}', "lacks the field 'id'"),
        "T-0007.json": ("\0" * 4096, "no JSON"),
    }
    for name, (text, _why) in files.items():
        (path / name).write_text(text)
    outside = path.parent / "outside.json"
    outside.write_text(raw.replace("T-0001", "T-0008"))
    (path / "T-0008.json").symlink_to(outside)
    (path / "T-0009.json").mkdir()
    os.mkfifo(path / "T-0010.json")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(path)  # a socket's path is short
        try:
            server.bind("T-0011.json")
        finally:
            os.chdir(here)
    (path / "T-0012.json").symlink_to("T-0012.json")
    special = {f"T-{number:04d}.json": "no regular file" for number in range(8, 13)}
    return {name: reason for name, (_content, reason) in files.items()} | special


def test_damaged_files_are_listed_by_readers_and_set_apart_by_writers(store: TicketStore, path: Path) -> None:
    good = add(store)
    reasons = plant(path)
    before = {name: (path / name).lstat().st_ino for name in reasons}

    listing = store.select()
    assert listing.tickets == [good]
    assert {file.name for file in listing.damaged} == set(reasons)
    for file in listing.damaged:
        assert (file.kind, file.apart) == ("damaged", False)
        assert reasons[file.name] in file.reason
    assert all((path / name).lstat().st_ino == inode for name, inode in before.items())
    with pytest.raises(TicketDamagedError, match=r"^T-0002 is damaged: it is empty; see /.*/T-0002\.json\.$"):
        store.get("T-0002")
    with pytest.raises(TicketDamagedError), unchanged(path):
        store.update("manager", "T-0003", {"title": "x"}, dry_run=True)

    with pytest.raises(TicketDamagedError, match=r"see /.*/damaged/T-0003\.json"):
        store.update("manager", "T-0003", {"title": "x"})
    moved = store.set_apart_damaged()
    assert {file.name for file in moved} == {f"damaged/{name}" for name in reasons.keys() - {"T-0003.json"}}
    for name, inode in before.items():
        assert (path / "damaged" / name).lstat().st_ino == inode
    listing = store.select()
    assert listing.tickets == [good]
    assert {(file.name, file.apart) for file in listing.damaged} == {
        (f"damaged/{name}", True) for name in reasons
    }
    with pytest.raises(TicketDamagedError, match=r"^T-0002 is damaged; see /.*/damaged/T-0002\.json\.$"):
        store.get("T-0002")
    assert store.set_apart_damaged() == []
    assert add(store).id == "T-0013"
    (path / ".last-id").unlink()
    shutil.rmtree(path / "T-0013.json", ignore_errors=True)
    assert TicketStore(path).create("manager", {"title": "x"}).after.number > 12


def test_files_set_apart_do_not_overwrite_each_other(store: TicketStore, path: Path) -> None:
    add(store)
    for text in ("first", "second", "third"):
        (path / "T-0001.json").write_text(text)
        store.set_apart_damaged()
    apart = {file.name: file.read_text() for file in (path / "damaged").iterdir()}
    assert apart == {"T-0001.json": "first", "T-0001.json.2": "second", "T-0001.json.3": "third"}


def test_a_keyed_creation_sets_apart_what_it_meets(store: TicketStore, path: Path) -> None:
    add(store)
    (path / "T-0001.json").write_text("{")
    assert add(TicketStore(path), external_key="k").id == "T-0002"
    assert (path / "damaged" / "T-0001.json").read_text() == "{"


def test_damage_stays_in_place_where_it_cannot_be_set_apart(
    store: TicketStore, path: Path, tmp_path: Path
) -> None:
    add(store)
    (path / "T-0001.json").write_text("{")
    (path / "damaged").symlink_to(tmp_path)
    with pytest.raises(TicketDamagedError, match=r"see /.*/tickets/T-0001\.json"):
        store.update("manager", "T-0001", {"title": "x"})
    assert store.set_apart_damaged() == [BadFile("T-0001.json", "damaged", store.select().damaged[0].reason)]
    assert (path / "T-0001.json").read_text() == "{"
    assert add(store).id == "T-0002"


def test_a_ticket_of_a_later_version_is_left_alone(store: TicketStore, path: Path) -> None:
    add(store)
    newer = {**json.loads((path / "T-0001.json").read_text()), "schema": 2, "id": "T-0005"}
    (path / "T-0005.json").write_text(json.dumps(newer))
    with unchanged(path):
        assert [(file.name, file.kind) for file in store.select().damaged] == [("T-0005.json", "newer")]
        with pytest.raises(TicketNewerError, match="update this platform"):
            store.get("T-0005")
        with pytest.raises(TicketNewerError):
            store.update("manager", "T-0005", {"title": "x"})
        assert store.set_apart_damaged() == []
    store = TicketStore(path)
    assert add(store, external_key="k").id == "T-0006"
    assert json.loads((path / "T-0005.json").read_text()) == newer


def test_foreign_files_are_left_alone(store: TicketStore, path: Path) -> None:
    add(store)
    foreign = ["T-1.json", "t-0002.json", "T-00003.json", "T-0000.json", "T-0004.json.json", "T-a\nb.json"]
    silent = ["notes.txt", "T-0001.json~", ".T-0001.json.swp", "T-0001.json.bak", "T-0001"]
    for name in foreign + silent:
        (path / name).write_text("{}")
    with open(os.fsencode(path) + b"/T-\xff.json", "w"):
        pass
    before = sorted(os.listdir(path))
    listing = store.select()
    assert [ticket.id for ticket in listing.tickets] == ["T-0001"]
    assert {file.kind for file in listing.damaged} == {"foreign"}
    assert len(listing.damaged) == len(foreign) + 1
    assert all(file.name.isprintable() for file in listing.damaged)
    json.dumps([file.to_dict() for file in listing.damaged]).encode()
    assert store.set_apart_damaged() == []
    assert sorted(os.listdir(path)) == before


@pytest.mark.parametrize("name", [".lock", ".new", ".last-id", ".last-id.new", "damaged"])
def test_a_planted_link_is_not_followed(store: TicketStore, path: Path, tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.mkdir()
    (path / name).symlink_to(victim)
    if name == ".lock":
        with pytest.raises(TicketStoreError, match="cannot be used"):
            add(store)
    else:
        add(store)
        store.update("manager", "T-0001", {"title": "x"})
    assert victim.read_text() == "precious"


def test_a_file_that_a_listing_did_not_name_is_found(
    store: TicketStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As some file systems do while files are replaced."""
    for _again in range(3):
        add(store)
    real = os.listdir
    monkeypatch.setattr(
        os, "listdir", lambda folder: [name for name in real(folder) if name != "T-0002.json"]
    )
    assert [ticket.number for ticket in store.select().tickets] == [1, 2, 3]


# -- locks, owners, disks --


def test_a_writer_waits_for_another_but_not_for_ever(path: Path) -> None:
    add(TicketStore(path))
    with open(path / ".lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with (
            unchanged(path),
            pytest.raises(TicketStoreError, match=r"locked by another writer for more than 0\.1 s"),
        ):
            TicketStore(path, lock_timeout=0.1).create("manager", {"title": "x"})
        assert len(TicketStore(path).select().tickets) == 1
        assert TicketStore(path).create("manager", {"title": "x"}, dry_run=True).after.id == "T-0002"
        threading.Timer(0.2, lambda: fcntl.flock(held, fcntl.LOCK_UN)).start()
        assert TicketStore(path).create("manager", {"title": "x"}).after.id == "T-0002"


def test_a_lock_file_that_was_removed_does_not_let_two_write(path: Path) -> None:
    add(TicketStore(path))
    with open(path / ".lock") as old:
        fcntl.flock(old, fcntl.LOCK_EX)
        waiting = threading.Thread(target=lambda: TicketStore(path).create("manager", {"title": "x"}))
        waiting.start()
        with open(path / "new", "w") as new:
            fcntl.flock(new, fcntl.LOCK_EX)
            # At once: nobody finds the place empty, or a lock there that is free.
            (path / "new").rename(path / ".lock")
            fcntl.flock(old, fcntl.LOCK_UN)
            waiting.join(0.3)
            assert not (path / "T-0002.json").exists()
    waiting.join(5)
    assert (path / "T-0002.json").exists()


def test_threads_share_one_object(store: TicketStore) -> None:
    def work() -> None:
        for number in range(20):
            store.create("manager", {"title": "x", "external_key": f"key-{number}"})

    threads = [threading.Thread(target=work) for _again in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ticket.external_key or "" for ticket in store.select().tickets) == sorted(
        f"key-{n}" for n in range(20)
    )


@is_root
def test_what_root_writes_belongs_to_the_owner_of_the_directory(tmp_path: Path) -> None:
    open_to_all(tmp_path)
    path = tmp_path / "tickets"
    path.mkdir()
    os.chown(path, 12345, 12346)
    store = TicketStore(path)
    add(store)
    (path / "T-0005.json").write_text("{")
    store.set_apart_damaged()
    owners = {name: path.joinpath(name).lstat() for name in (".lock", ".last-id", "T-0001.json", "damaged")}
    assert {(info.st_uid, info.st_gid) for info in owners.values()} == {(12345, 12346)}
    code = STORE + "become(12345); print(TicketStore(sys.argv[1]).create('manager', {'title': 'x'}).after.id)"
    assert run_python(code, str(path)) == "T-0006\n"


@is_root
def test_a_reader_can_read_and_nothing_else(tmp_path: Path) -> None:
    open_to_all(tmp_path)
    path = tmp_path / "tickets"
    add(TicketStore(path))
    code = (
        STORE
        + """
from ansible_collections.dockfra.core.plugins.module_utils.errors import TicketStoreError
become(12345)
store = TicketStore(sys.argv[1], lock_timeout=1)
print(len(store.select().tickets), store.get("T-0001").id)
for work in (
    lambda: store.create("manager", {"title": "x"}),
    lambda: store.update("manager", "T-0001", {"title": "x"}),
    store.set_apart_damaged,
):
    try:
        work()
    except TicketStoreError as error:
        print("does not permit" in str(error))
try:
    open(sys.argv[1] + "/.lock")
except PermissionError:
    print("no lock")
"""
    )
    with unchanged(path):
        assert run_python(code, str(path)).split() == ["1", "T-0001", "True", "True", "True", "no", "lock"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    path = tmp_path / "small"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=40", "small", str(path)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a file system")
    yield path
    subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("lacking", ["space", "inodes"])
def test_a_full_disk(small_disk: Path, lacking: str) -> None:
    path = small_disk / "tickets"
    store = TicketStore(path)
    add(store, description="x" * 3000)
    fill = small_disk / "fill"
    fill.mkdir()
    with contextlib.suppress(OSError):
        if lacking == "space":
            with open(fill / "big", "wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)
        for number in range(100):
            (fill / str(number)).touch()
    with unchanged(path):
        names = sorted(os.listdir(path))
        for work in (
            lambda: store.update("manager", "T-0001", {"title": "x", "description": "y" * 60000}),
            lambda: store.update("manager", "T-0001", {"title": "x"}),
            lambda: store.create("manager", {"title": "x"}),
        ):
            with pytest.raises(
                TicketStorageFullError, match=r"^No space is left in /.*; free some and try again"
            ):
                work()
            assert sorted(os.listdir(path)) == names
        assert store.get("T-0001").title == "Title"
    shutil.rmtree(fill)
    assert store.update("manager", "T-0001", {"title": "x"}).changed
    assert add(store).id == "T-0002"


@pytest.mark.parametrize(
    ("call", "number", "error"),
    [
        ("fsync", errno.EIO, TicketStoreError),
        ("fsync", errno.EDQUOT, TicketStorageFullError),
        ("write", errno.ENOSPC, TicketStorageFullError),
        ("link", errno.ENOSPC, TicketStorageFullError),
        ("rename", errno.EROFS, TicketStoreError),
        ("symlink", errno.ENOSPC, TicketStorageFullError),
    ],
)
def test_a_system_call_that_fails_leaves_no_trace(
    store: TicketStore,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
    error: type[TicketError],
) -> None:
    ticket = add(store)

    def fail(*_arguments: Any, **_options: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(os, call, fail)
        with pytest.raises(error):
            add(store)
        if call not in ("link", "symlink"):
            with pytest.raises(error):
                store.update("manager", "T-0001", {"title": "x"})
    assert store.select().tickets == [ticket]
    assert sorted(os.listdir(path)) == [".last-id", ".lock", "T-0001.json"]
    assert add(store).id in ("T-0002", "T-0003")
