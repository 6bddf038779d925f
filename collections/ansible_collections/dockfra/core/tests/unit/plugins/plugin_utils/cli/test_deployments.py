# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the monitor tells of its deploys, to a real server: told, told again, kept, given up."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import (
    AnnouncementError,
    AnnouncementRefusedError,
    CommandError,
)
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import application as application_at
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import deployments
from ansible_collections.dockfra.core.tests.unit.fake_application import TOKEN, FakeApplication
from ansible_collections.dockfra.core.tests.unit.hostile_server import ANSWERS, SLOW, HostileServer
from ansible_collections.dockfra.core.tests.unit.plugins.plugin_utils.cli.support import one_line

COMMIT = "0123456789ab" + "c" * 28


@pytest.fixture
def application() -> Iterator[FakeApplication]:
    found = FakeApplication()
    yield found
    found.close()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, application: FakeApplication) -> Path:
    monkeypatch.setattr(application_at, "CONFIGURATION", tmp_path / "deployments.json")
    monkeypatch.setattr(deployments, "KEPT", tmp_path / "state" / "deployments")
    application.configure(application_at.CONFIGURATION)
    return tmp_path / "state" / "deployments"


def deploy(number: int = 1, **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "deploy_id": f"deploy-{number}",
        "target": "backend",
        "services": ["backend", "mobile-backend"],
        "commit": COMMIT,
        "release": "20261125T131500Z-0123456789ab",
        "by": "monitor",
        "started": 1_795_612_500.25,
        "seconds": 12.5,
        "result": "deployed",
        "tickets": ["T-0001"],
    }
    return deployments.row(**{**given, **changes})


def kept(folder: Path) -> list[str]:
    return sorted(json.loads(path.read_text())["deploy_id"] for path in folder.glob("*"))


def test_a_deploy_is_told_as_the_application_takes_it(application: FakeApplication, folder: Path) -> None:
    deployments.announce(deploy())
    assert application.rows == {
        "deploy-1": {
            "id": 1,
            "deploy_id": "deploy-1",
            "service": "backend",
            "services": ["backend", "mobile-backend"],
            "version": "20261125T131500Z-0123456789ab",
            "release": "20261125T131500Z-0123456789ab",
            "commit": COMMIT,
            "status": "succeeded",
            "deployed_by": "monitor",
            "started_at": "2026-11-25T13:15:00.250Z",
            "finished_at": "2026-11-25T13:15:12.750Z",
            "tickets": ["T-0001"],
            "note": "",
        }
    }
    [(method, path, headers)] = application.requests
    assert (method, path, headers["Authorization"]) == ("POST", "/api/deployments", f"Bearer {TOKEN}")
    assert kept(folder) == []
    assert deployments.announce_all() == 0


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"result": "failed"}, "status", "failed"),
        ({"result": "rolled-back"}, "status", "rolled_back"),
        ({"result": "running"}, "status", "started"),
        ({"result": "running"}, "finished_at", None),
        ({"release": ""}, "version", "0123456789ab"),
        ({"release": "", "commit": ""}, "version", "unknown"),
        ({"by": "a\x1b[2J\nb" + "x" * 300}, "deployed_by", "a [2J b" + "x" * 193),
        ({"by": "\n"}, "deployed_by", "unknown"),
        ({"note": "a\0b\udc80\u202e <b>\nc" + "x" * 3000}, "note", "a b <b> c" + "x" * 1991),
        ({"tickets": [f"T-{number:04}" for number in range(99)]}, "tickets", [f"T-{number:04}" for number in range(50)]),
        ({"seconds": -3.0}, "finished_at", "2026-11-25T13:15:00.250Z"),
    ],
)  # fmt: skip
def test_what_a_deploy_says_fits_the_list(changes: dict[str, Any], field: str, value: Any) -> None:
    assert deploy(**changes)[field] == value


@pytest.mark.parametrize("old", [False, True])
def test_one_that_was_told_when_it_began_is_told_when_it_has_ended(
    application: FakeApplication, folder: Path, old: bool
) -> None:
    """An older release of the application takes the end for told twice, and is told otherwise."""
    application.old = old
    deployments.announce_begin(deploy(result="running", seconds=0.0))
    assert (application.rows["deploy-1"]["status"], kept(folder)) == ("started", [])
    deployments.announce(deploy())
    row = application.rows["deploy-1"]
    assert (row["status"], row["finished_at"]) == ("succeeded", "2026-11-25T13:15:12.750Z")
    assert [method for method, _path, _headers in application.requests] == ["POST", "POST"] + ["PUT"] * old
    # What comes late changes nothing.
    deployments.announce_begin(deploy(result="running"))
    deployments.announce(deploy(result="failed"))
    assert (application.rows, kept(folder)) == ({"deploy-1": row}, [])
    assert row["status"] == "succeeded"


@pytest.mark.parametrize("status", [404, 422, 503])
def test_that_one_begins_is_no_news_later(application: FakeApplication, folder: Path, status: int) -> None:
    application.status = status
    with pytest.raises(
        AnnouncementError, match=f"was not told that it begins: it answers with HTTP {status}"
    ):
        deployments.announce_begin(deploy(result="running"))
    assert kept(folder) == []
    application_at.CONFIGURATION.unlink()
    deployments.announce_begin(deploy(result="running"))
    assert len(application.requests) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"status": "started", "id": "../x"}', b"[" * 60_000])
def test_an_answer_that_says_nothing_of_a_deploy_is_one_all_the_same(folder: Path, body: bytes) -> None:
    assert deployments._still_open(application_at.Answer(200, "", body)) is None


def test_a_deploy_does_not_wait_for_being_told(
    application: FakeApplication, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployments, "_PATIENCE_AT_BEGIN", 0.3)
    with HostileServer("silence") as server:
        application.configure(application_at.CONFIGURATION, port=server.port)
        begin = time.monotonic()
        with pytest.raises(AnnouncementError, match="was not told that it begins"):
            deployments.announce_begin(deploy(result="running"))
        assert time.monotonic() - begin < 1.5


def test_what_cannot_be_told_is_kept_and_told_with_the_next(
    application: FakeApplication, folder: Path
) -> None:
    free = HostileServer(b"")
    application.configure(application_at.CONFIGURATION, port=free.port)
    free.__enter__()
    free.__exit__()
    for number in (1, 2):
        with pytest.raises(AnnouncementError, match=rf"backend was not told of {number} deploy"):
            deployments.announce(deploy(number))
    assert kept(folder) == ["deploy-1", "deploy-2"]
    assert {oct(path.stat().st_mode & 0o777) for path in folder.glob("*")} == {"0o600"}
    application.configure(application_at.CONFIGURATION)
    deployments.announce(deploy(3))
    assert list(application.rows) == ["deploy-1", "deploy-2", "deploy-3"], "the oldest first"
    assert kept(folder) == []


@pytest.mark.parametrize("status", [301, 401, 403, 408, 429, 500, 502, 503])
def test_an_answer_that_may_change_is_waited_for(
    application: FakeApplication, folder: Path, status: int
) -> None:
    """A token that is renewed, a release that starts, a redirection: nothing follows it."""
    application.status = status
    with pytest.raises(AnnouncementError, match=f"HTTP {status}") as caught:
        deployments.announce(deploy())
    assert not isinstance(caught.value, AnnouncementRefusedError)
    assert TOKEN not in one_line(str(caught.value))
    assert kept(folder) == ["deploy-1"]
    application.status = 0
    assert deployments.announce_all() == 1


@pytest.mark.parametrize("status", [400, 404, 405, 409, 413, 422, 501])
def test_what_is_refused_for_good_is_given_up(
    application: FakeApplication, folder: Path, status: int
) -> None:
    application.status = status
    with pytest.raises(AnnouncementRefusedError, match=f"takes no deploys at /api/deployments.*{status}"):
        deployments.announce(deploy())
    assert kept(folder) == []


def test_the_same_deploy_is_kept_and_listed_once(application: FakeApplication, folder: Path) -> None:
    application.status = 503
    for note in ("first", "second"):
        with pytest.raises(AnnouncementError):
            deployments.announce(deploy(note=note))
    assert kept(folder) == ["deploy-1"]
    application.status = 0
    assert deployments.announce_all() == 1
    deployments.announce(deploy(note="third"))
    assert application.rows["deploy-1"]["note"] == "second"


def test_no_more_are_kept_than_may_be(
    application: FakeApplication, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployments, "MOST_KEPT", 3)
    application.status = 503
    for number in range(6):
        with pytest.raises(AnnouncementError):
            deployments.announce(deploy(number))
        newest = max(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, ns=(number, number))
    assert kept(folder) == ["deploy-3", "deploy-4", "deploy-5"]
    with pytest.raises(AnnouncementRefusedError, match="bytes is not told"):
        deployments.announce({"deploy_id": "x", "note": "x" * deployments.MOST_BYTES})
    assert kept(folder) == ["deploy-3", "deploy-4", "deploy-5"]


def test_where_nobody_lists_deploys_nothing_is_told_or_kept(
    application: FakeApplication, folder: Path
) -> None:
    application_at.CONFIGURATION.unlink()
    deployments.announce(deploy())
    assert deployments.announce_all() == 0
    assert not folder.exists()
    assert application.requests == []


@pytest.mark.parametrize("text", ["", "[]", '{"service": "backend"}', '{"port": "x"}', "\xff"])
def test_a_damaged_place_is_one_line_without_its_content(text: str) -> None:
    application_at.CONFIGURATION.write_text(text + TOKEN)
    with pytest.raises(CommandError, match=r"run site.yml again$") as caught:
        deployments.announce(deploy())
    assert TOKEN not in one_line(str(caught.value))


@pytest.mark.parametrize("parts", [*ANSWERS, *SLOW])
def test_an_answer_without_end_is_bounded_and_the_deploy_kept(
    application: FakeApplication, folder: Path, parts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application_at, "PATIENCE", 0.5)
    with HostileServer(parts) as server:
        application.configure(application_at.CONFIGURATION, port=server.port)
        with pytest.raises(AnnouncementError, match="backend was not told of 1 deploy"):
            deployments.announce(deploy())
        assert server.sent < 20_000_000
    assert kept(folder) == ["deploy-1"]


def test_all_of_them_together_have_a_time(
    application: FakeApplication, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    application.status = 503
    for number in (1, 2):
        with pytest.raises(AnnouncementError):
            deployments.announce(deploy(number))
    application.status = 0
    monkeypatch.setattr(deployments, "_PATIENCE_FOR_ALL", 0.0)
    with pytest.raises(AnnouncementError, match="not told of 2 deploys: not all could be told in 0 s"):
        deployments.announce_all()
    assert kept(folder) == ["deploy-1", "deploy-2"]


def test_the_token_is_nowhere_but_in_its_header(
    application: FakeApplication,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    application.status = 500
    with pytest.raises(AnnouncementError):
        deployments.announce(deploy())
    assert TOKEN not in caplog.text + "".join(capfd.readouterr())
    assert all(TOKEN not in path.read_text() for path in folder.glob("*"))
