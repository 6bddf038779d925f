# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Many processes on one store, and processes that are killed while they write."""

from __future__ import annotations

import collections
import json
import os
import random
import re
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.tickets.store import TicketStore
from ansible_collections.dockfra.core.tests.unit.support import python_command

# Creates tickets, each with a key of its own and one that every process wants, changes each, and comments on a ticket that
# all processes comment on; says so after each change.
WORKER = """
from ansible_collections.dockfra.core.plugins.module_utils.tickets.store import TicketStore
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = TicketStore(path)
def say(*words):
    os.write(1, (" ".join(words) + "\\n").encode())
for number in range(count):
    ticket = store.create("manager", {"title": f"{name} {number}"}).after
    say("created", ticket.id, f"{name} {number}")
    store.update("manager", ticket.id, {"priority": "high", "extra": {"by": name}})
    say("changed", ticket.id, name)
    shared = f"T-{number % 4 + 1:04d}"
    store.update("manager", shared, {}, comment=f"{name} {number}")
    say("commented", shared, f"{name} {number}")
    say("keyed", store.create("manager", {"title": "Shared", "external_key": f"key {number % 3}"}).after.id, str(number % 3))
"""


def start(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        python_command(WORKER, str(path), name, str(count)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
    )


def prepared(tmp_path: Path) -> TicketStore:
    store = TicketStore(tmp_path / "tickets")
    for number in range(1, 5):
        store.create("manager", {"title": f"Ticket {number} for everybody"})
    return store


def acknowledged(output: str) -> set[tuple[str, str, str]]:
    """What a worker said it had done; a line it did not end counts for nothing."""
    done = set()
    for line in output.split("\n")[:-1]:
        what, ticket_id, detail = line.split(" ", 2)
        done.add((what, ticket_id, detail))
    return done


def check(store: TicketStore, path: Path, done: set[tuple[str, str, str]]) -> None:
    """Everything acknowledged is there, and every file is whole."""
    listing = store.select()
    assert listing.damaged == []
    files = {name for name in os.listdir(path) if not name.startswith(".")}
    assert files == {f"{ticket.id}.json" for ticket in listing.tickets}
    for name in files:
        assert json.loads((path / name).read_text())["id"] == name.removesuffix(".json")
    tickets = {ticket.id: ticket for ticket in listing.tickets}
    assert len({detail for what, _id, detail in done if what == "created"}) == len(
        {ticket_id for what, ticket_id, _detail in done if what == "created"}
    )
    for what, ticket_id, detail in done:
        ticket = tickets[ticket_id]
        if what == "created":
            assert ticket.title == detail
        elif what == "changed":
            assert (ticket.priority, ticket.extra) == ("high", {"by": detail})
        elif what == "commented":
            assert [comment.text for comment in ticket.comments].count(detail) == 1
        else:
            assert ticket.external_key == f"key {detail}"
    keys = collections.Counter(ticket.external_key for ticket in listing.tickets if ticket.external_key)
    assert set(keys.values()) <= {1}


def read_until_done(store: TicketStore, workers: list[subprocess.Popen[str]]) -> int:
    """List while others write: nothing is torn, no ticket goes away again, no time runs backwards."""
    seen: dict[str, str] = {}
    rounds = 0
    while any(worker.poll() is None for worker in workers):
        listing = store.select()
        assert listing.damaged == []
        now = {ticket.id: ticket.updated_at for ticket in listing.tickets}
        assert len(now) == len(listing.tickets)
        assert seen.keys() <= now.keys()
        assert all(now[ticket_id] >= updated for ticket_id, updated in seen.items())
        seen = now
        rounds += 1
        time.sleep(0.005)
    return rounds


@pytest.mark.parametrize(
    ("processes", "tickets"), [(6, 60), pytest.param(50, 2000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_nothing_is_lost_between_processes(tmp_path: Path, processes: int, tickets: int) -> None:
    store = prepared(tmp_path)
    each = tickets // processes
    workers = [start(tmp_path / "tickets", f"worker {number}", each) for number in range(processes)]
    rounds = read_until_done(store, workers)
    outputs = [worker.communicate() for worker in workers]
    assert [error for _output, error in outputs if error] == []
    done = set[tuple[str, str, str]]().union(*(acknowledged(output) for output, _error in outputs))
    count = collections.Counter(what for what, _id, _detail in done)
    assert (count["created"], count["changed"], count["commented"]) == (tickets, tickets, tickets)
    check(store, tmp_path / "tickets", done)
    # No number is left out either: nobody failed.
    found = store.select().tickets
    assert [ticket.number for ticket in found] == list(range(1, 4 + tickets + min(3, each) + 1))
    assert sum(len(ticket.comments) for ticket in found) == tickets
    assert rounds > 1


@pytest.mark.parametrize("kills", [8, pytest.param(200, marks=pytest.mark.slow)])
def test_a_killed_process_takes_nothing_with_it(tmp_path: Path, kills: int) -> None:
    store = prepared(tmp_path)
    path = tmp_path / "tickets"
    done: set[tuple[str, str, str]] = set()
    chance = random.Random(7)
    for number in range(0, kills, 4):
        workers = [start(path, f"worker {number + index}", 250) for index in range(4)]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stderr is not None
            # Not while Python still starts; what is read here is acknowledged as well.
            first = worker.stdout.readline()
            time.sleep(chance.uniform(0, 0.03))
            worker.kill()
            # Not communicate(), which passes over what readline() has read ahead.
            rest, error = worker.stdout.read(), worker.stderr.read()
            worker.wait()
            assert error == ""
            done |= acknowledged(first + rest)
        if number % 20 == 0:
            check(store, path, done)
    check(store, path, done)
    left = {name for name in os.listdir(path) if not re.fullmatch(r"T-\d{4,}\.json", name)}
    assert left <= {".lock", ".last-id", ".last-id.new", ".new"}
    assert store.create("manager", {"title": "Goes on"}).changed
    assert not (path / ".new").exists()
    assert not (path / ".last-id.new").is_symlink()
