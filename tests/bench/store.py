"""What the benchmarks do with a directory of tickets. It runs inside a container too, where there is Python and the library.

As a program it answers on standard output in JSON: ``store.py OPERATION DIRECTORY [ARGUMENT …]``, see `OPERATIONS`.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.dockfra.core.plugins.module_utils.policy.roles import ROLES
from ansible_collections.dockfra.core.plugins.module_utils.tickets import codec as ticket_codec
from ansible_collections.dockfra.core.plugins.module_utils.tickets import model as ticket_model
from ansible_collections.dockfra.core.plugins.module_utils.tickets import values as ticket_values
from ansible_collections.dockfra.core.plugins.module_utils.tickets.store import TicketStore

# Where the tickets of a platform are while a benchmark uses their directory. Under the first name they are complete, and
# what lies beside belongs to the benchmark. Under the second one they are on their way, and so is what lies beside.
ASIDE = ".bench-aside"
MOVING = ".bench-moving"


# -- tickets -----------------------------------------------------------------------------------------------------------


def fields(number: int) -> dict[str, Any]:
    """A ticket of ordinary size: some 900 bytes of description and two labels."""
    return {
        "title": f"The backend answers 503 after deploy {number}",
        "description": "What happens, what should happen, how to see it.\n" * 18,
        "priority": ticket_values.PRIORITIES[number % 4],
        "assigned_to": ROLES[number % 4],
        "labels": ["backend", f"release-{number % 7}"],
    }


def fill(directory: Path, count: int) -> None:
    """Write tickets as the store would, without waiting for the disk."""
    now = "2026-01-01T12:00:00.000000Z"
    comments = [{"author": "developer", "text": "Seen as well, with the log attached.", "timestamp": now}] * 2
    for number in range(1, count + 1):
        values = ticket_model.clean_fields(
            {
                **fields(number),
                "comments": comments,
                "created_by": "manager",
                "created_at": now,
                "updated_at": now,
            }
        )
        ticket = ticket_model.Ticket(id=ticket_values.ticket_id(number), **values)
        (directory / f"{ticket.id}.json").write_bytes(ticket_codec.encode(ticket))


def set_aside(directory: Path) -> None:
    """Empty the directory for a benchmark; `restore` brings back what is in it."""
    restore(directory)
    moving = directory / MOVING
    moving.mkdir()
    for path in directory.iterdir():
        if path != moving:
            path.rename(moving / path.name)
    moving.rename(directory / ASIDE)


def restore(directory: Path) -> None:
    """Make the directory what it was before `set_aside`, also where that or this was interrupted."""
    aside, moving = directory / ASIDE, directory / MOVING
    if aside.is_dir():
        for path in directory.iterdir():
            if path.is_dir() and path != aside:
                shutil.rmtree(path)
            elif path != aside:
                path.unlink()
        aside.rename(moving)
    if moving.is_dir():
        for path in moving.iterdir():
            path.rename(directory / path.name)
        moving.rmdir()


# -- figures -----------------------------------------------------------------------------------------------------------


def bare_loop(directory: Path, count: int, data: bytes) -> float:
    """Return files per second of write, fsync and rename alone."""
    started = time.perf_counter()
    for number in range(count):
        temporary = directory / ".bare"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(descriptor, data)
        os.fsync(descriptor)
        os.close(descriptor)
        os.rename(temporary, directory / f"bare-{number}")
    return count / (time.perf_counter() - started)


def creates(store: TicketStore, count: int) -> float:
    """Return created tickets per second, one call each."""
    started = time.perf_counter()
    for number in range(count):
        store.create("manager", fields(number))
    return count / (time.perf_counter() - started)


def updates(store: TicketStore, count: int) -> float:
    """Return added comments per second."""
    started = time.perf_counter()
    for number in range(1, count + 1):
        store.update(
            "manager", ticket_values.ticket_id(number), {}, comment="Seen again after the last deploy."
        )
    return count / (time.perf_counter() - started)


def measure_writes(directory: Path, rounds: int, count: int) -> dict[str, float]:
    """Alternate the bare loop and the store, in directories of their own below this one."""
    (directory / "bare").mkdir()
    store = TicketStore(directory / "created")
    data = ticket_codec.encode(store.create("manager", fields(0)).after)
    bare, created, updated = [], [], []
    for number in range(rounds):
        bare.append(bare_loop(directory / "bare", count, data))
        created.append(creates(store, count))
        updated.append(updates(store, count))
        print(
            f"round {number + 1}: bare loop {bare[-1]:.0f}/s, create {created[-1]:.0f}/s, comment {updated[-1]:.0f}/s",
            file=sys.stderr,
        )
    return {
        "bare_loop_per_s": statistics.median(bare),
        "creates_per_s": statistics.median(created),
        "comments_per_s": statistics.median(updated),
        "creates_to_bare_loop": statistics.median(a / b for a, b in zip(created, bare, strict=True)),
    }


def timed(*command: str) -> float:
    """Return the seconds that a command takes, which must succeed; what it prints goes nowhere."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


# -- as a program ------------------------------------------------------------------------------------------------------


def _measure_writes(directory: Path, rounds: str, count: str) -> dict[str, float]:
    return measure_writes(directory, int(rounds), int(count))


def _timed(_directory: Path, rounds: str, *command: str) -> list[float]:
    return [timed(*command) for _round in range(int(rounds))]


OPERATIONS: dict[str, Callable[..., Any]] = {
    "set-aside": set_aside,
    "restore": restore,
    "fill": lambda directory, count: fill(directory, int(count)),
    "measure-writes": _measure_writes,
    "timed": _timed,
}


def main(operation: str, directory: str, *arguments: str) -> None:
    # One after the other, also where whoever asked for the one before did not wait for its end.
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    print(json.dumps(OPERATIONS[operation](Path(directory), *arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
