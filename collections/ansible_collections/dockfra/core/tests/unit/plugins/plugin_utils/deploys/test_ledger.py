# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What was deployed: remembered, bounded, and true after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import CommandError
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys import ledger
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.ledger import Deploy, Ledger
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def new(**values: object) -> Deploy:
    given = {
        "target": "backend",
        "services": ("backend",),
        "commit": COMMIT,
        "release": "",
        "who": "monitor",
        "started": 1.0,
    }
    return Deploy(**{**given, **values})  # type: ignore[arg-type]


@pytest.fixture
def notes(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "home" / "deploys.json")


def test_a_deploy_is_noted_before_it_begins_and_when_it_ends(notes: Ledger) -> None:
    assert notes.latest() == []
    begun = notes.begin(new())
    [found] = notes.latest()
    assert (found.id, found.result, found.alive) == (begun.id, "running", True)
    notes.end(begun, ledger.FAILED, "for a reason")
    [found] = notes.latest()
    assert (found.result, found.reason, found.alive, found.told) == ("failed", "for a reason", False, False)
    notes.told(found)
    assert notes.latest()[0].told


def test_the_newest_comes_first_and_the_oldest_goes(notes: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_DEPLOYS", 3)
    for number in range(5):
        notes.begin(new(who=f"n{number}"))
    assert [deploy.who for deploy in notes.latest()] == ["n4", "n3", "n2"]
    assert [deploy.who for deploy in notes.latest(1)] == ["n4"]


def test_what_failed_is_marked_for_its_target_until_it_serves(
    notes: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "MAX_FAILED", 2)
    for commit in ("a", "b", "b", "c"):
        notes.mark("backend", commit)
    assert (notes.failed("backend"), notes.failed("frontend")) == ({"b", "c"}, frozenset())
    notes.unmark("backend", "b")
    assert notes.failed("backend") == {"c"}


def test_what_a_service_is_blamed_for_is_its_content(notes: Ledger, tmp_path: Path) -> None:
    notes.mark("backend", "a")
    notes.blame("backend", "tree-1", "b")
    notes.blame("backend", "tree-2", "c")
    assert (notes.blamed("backend"), notes.blamed("frontend")) == ({"tree-1", "tree-2"}, frozenset())
    assert (notes.commits(), notes.failed("backend")) == ({"a", "b", "c"}, {"a"})
    notes.acquit("backend", "tree-1")
    assert (notes.blamed("backend"), notes.commits()) == ({"tree-2"}, {"a", "c"})


def test_a_file_from_before_services_were_blamed_is_read(tmp_path: Path) -> None:
    place = tmp_path / "deploys.json"
    place.write_text('{"deploys": [], "failed": {"backend": ["a"]}}')
    notes = Ledger(place)
    assert (notes.failed("backend"), notes.blamed("backend"), notes.commits()) == ({"a"}, frozenset(), {"a"})
    notes.blame("backend", "tree", "b")
    assert (notes.failed("backend"), notes.commits()) == ({"a"}, {"a", "b"})


def test_many_at_once_lose_nothing(notes: Ledger) -> None:
    threads = [
        threading.Thread(target=lambda number=number: notes.mark("backend", f"c{number}"))
        for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(notes.failed("backend")) == 20


def test_of_a_killed_process_it_is_known_that_it_does_not_go_on(tmp_path: Path) -> None:
    place = tmp_path / "deploys.json"
    program = f"""
        import sys, time, pathlib
        sys.path.insert(0, {str(COLLECTIONS)!r})
        from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.ledger import Deploy, Ledger
        Ledger(pathlib.Path({str(place)!r})).begin(Deploy("backend", ("backend",), "c", "", "monitor", time.time()))
        print("begun", flush=True)
        time.sleep(60)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    assert Ledger(place).latest()[0].alive
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not Ledger(place).latest()[0].alive


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"deploys": [{}], "failed": {}}', '{"deploys": []}', "null"]
)
def test_a_damaged_file_is_told_and_not_overwritten(tmp_path: Path, content: str) -> None:
    place = tmp_path / "deploys.json"
    place.write_text(content)
    with pytest.raises(CommandError, match="cannot be read"):
        Ledger(place).begin(new())
    assert place.read_text() == content


def test_it_is_for_its_owner_alone(notes: Ledger, tmp_path: Path) -> None:
    notes.begin(new())
    place = tmp_path / "home" / "deploys.json"
    assert place.stat().st_mode & 0o777 == 0o600
    assert json.loads(place.read_text())["deploys"][0]["commit"] == COMMIT
