# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The application knows of a deploy while it goes on and of its end, whatever that is; tickets know of the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import CommandError
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import application, deployments
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Call
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys import ledger, telling
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.ledger import Deploy, Ledger
from ansible_collections.dockfra.core.tests.unit.fake_application import FakeApplication
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS

COMMIT = "0123456789abcdef0123456789abcdef01234567"
RELEASE = f"20261125T131500Z-{COMMIT[:12]}"


class Caller:
    """Keeps what a call says and asks."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.asked: list[Sequence[str]] = []

    def tell(self, text: str, **_data: Any) -> None:
        self.said.append(text)

    def ask(self, _place: str, words: Sequence[str]) -> None:
        self.asked.append(words)


@pytest.fixture
def listed() -> Iterator[FakeApplication]:
    found = FakeApplication()
    yield found
    found.close()


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: FakeApplication) -> Ledger:
    monkeypatch.setattr(ledger, "PLACE", tmp_path / "deploys.json")
    monkeypatch.setattr(application, "CONFIGURATION", tmp_path / "deployments.json")
    monkeypatch.setattr(deployments, "KEPT", tmp_path / "kept")
    listed.configure(application.CONFIGURATION)
    return Ledger()


def new() -> Deploy:
    return Deploy("backend", ("backend",), COMMIT, RELEASE, "monitor", 1_795_612_500.0, tickets=("T-0001",))


def done(
    notes: Ledger, caller: Caller, listed: FakeApplication, error: BaseException | None = None
) -> Deploy:
    """A deploy, which ends well or so; while it goes on it is listed as such."""
    with telling.told(cast(Call, caller)) as begins:
        noted = notes.begin(new())
        begins(noted)
        assert [row["status"] for row in listed.rows.values()][-1:] == ([] if listed.status else ["started"])
        if error:
            how = ledger.FAILED if isinstance(error, Exception) else ledger.INTERRUPTED
            notes.end(noted, how, str(error))
            raise error
        notes.end(noted, ledger.DEPLOYED)
    return noted


def test_one_that_works_is_told_twice_and_listed_once(notes: Ledger, listed: FakeApplication) -> None:
    caller = Caller()
    noted = done(notes, caller, listed)
    [(name, row)] = listed.rows.items()
    assert (name, row["status"], row["release"], row["tickets"]) == (
        noted.id,
        "succeeded",
        RELEASE,
        ["T-0001"],
    )
    assert (caller.asked, caller.said) == ([["ticket-deployed", "T-0001", RELEASE, "deployed"]], [])
    assert notes.latest()[0].told


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (CommandError("its tests fail"), [["ticket-deployed", "T-0001", RELEASE, "failed"]]),
        (KeyboardInterrupt("it was ended from outside"), []),
    ],
)
def test_one_that_ends_badly_is_not_under_way_any_more(
    notes: Ledger, listed: FakeApplication, error: BaseException, asked: list[list[str]]
) -> None:
    caller = Caller()
    with pytest.raises(type(error), match=str(error)):
        done(notes, caller, listed, error)
    [row] = listed.rows.values()
    assert (row["status"], row["note"], caller.asked) == ("failed", str(error), asked)


def test_a_release_that_does_not_know_of_beginnings_has_the_end_all_the_same(
    notes: Ledger, listed: FakeApplication
) -> None:
    listed.old = True
    done(notes, Caller(), listed)
    assert [row["status"] for row in listed.rows.values()] == ["succeeded"]


def test_where_nobody_can_be_told_the_deploy_goes_on_and_its_end_is_told_with_the_next(
    notes: Ledger, listed: FakeApplication
) -> None:
    listed.status = 503
    caller = Caller()
    noted = done(notes, caller, listed)
    assert [text.split(": ", 1)[0] for text in caller.said] == [f"deploy {noted.id[:8]}"] * 2
    assert "was not told that it begins: it answers with HTTP 503" in caller.said[0]
    listed.status = 0
    done(notes, caller, listed)
    assert [row["status"] for row in listed.rows.values()] == ["succeeded"] * 2
    assert noted.id in listed.rows


def test_one_that_was_killed_is_not_under_way_any_more_with_the_next(
    notes: Ledger, listed: FakeApplication, tmp_path: Path
) -> None:
    source = f"""
        import os, signal, sys
        from pathlib import Path
        from ansible_collections.dockfra.core.plugins.plugin_utils.cli import application, deployments
        from ansible_collections.dockfra.core.plugins.plugin_utils.deploys import ledger, telling
        folder = Path(sys.argv[1])
        ledger.PLACE, application.CONFIGURATION = folder / "deploys.json", folder / "deployments.json"
        with telling.told(None) as begins:
            begins(ledger.Ledger().begin(ledger.Deploy("frontend", ("frontend",), "{COMMIT}", "", "x", 1795612500.0)))
            os.kill(os.getpid(), signal.SIGKILL)
    """
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(COLLECTIONS)}
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source), str(tmp_path)],
        env=environment,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert [row["status"] for row in listed.rows.values()] == ["started"]
    done(notes, Caller(), listed)
    told = {row["service"]: (row["status"], row["note"]) for row in listed.rows.values()}
    assert told == {"frontend": ("failed", "its process was killed"), "backend": ("succeeded", "")}
