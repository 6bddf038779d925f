# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How links stand, at the gate of their tunnel and in the monitor's status."""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import CommandError, UnreachableError
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.module_utils.watch import snapshot
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import links, verbs
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Call, Place
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.verbs import Answer
from ansible_collections.dockfra.core.plugins.plugin_utils.commands.monitor import link_status
from ansible_collections.dockfra.core.plugins.plugin_utils.daemons.daemon import Daemon

POLICY = Policy({}, {"link-status": {"at": {"tunnel": ["monitor"]}}})
UP = {"tunnel": "tunnel-app", "state": "up", "since": 0.5, "reconnects": 3, "failures": 0, "problem": ""}


def call(policy: Policy = POLICY, answer: Any = None) -> Call:
    def ask(_home: Place, place: str, words: Sequence[str], _text: str | None) -> Any:
        assert (place, list(words)) == ("tunnel", ["link-status"])
        if isinstance(answer, Exception):
            raise answer
        return answer

    place = Place("monitor", "ssh-monitor", policy, {})
    return Call("status", "monitor", place, argparse.Namespace(), io.BytesIO(), ask=ask)


def test_a_tunnel_says_how_its_links_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_status, "RUN", tmp_path)
    with pytest.raises(CommandError, match="says nothing"):
        link_status.run(call())
    snapshot.write(tmp_path / "link.json", {"links": [UP]})
    found = link_status.run(call())
    assert found == {"links": [UP], "problems": []}
    assert link_status.exit_status(found) == 0
    text = link_status.render(found, Style())
    assert "tunnel-app" in text
    assert "1970-01-01 00:00:00" in text
    assert link_status.exit_status({"links": [{**UP, "state": "refused"}], "problems": []}) == 1


def test_a_tunnel_says_what_is_wrong_with_the_mirrors_of_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_status, "RUN", tmp_path)
    snapshot.write(tmp_path / "link.json", {"links": [UP]})
    daemon = Daemon("audit-fetch", tmp_path)
    (tmp_path / "hearts").mkdir()
    daemon.beat()
    assert link_status.run(call())["problems"] == []
    daemon.beat(["tunnel-app says: a log is not what it was"])
    found = link_status.run(call())
    assert found["problems"] == ["tunnel-app says: a log is not what it was"]
    assert link_status.exit_status(found) == 1
    assert "is not what it was" in link_status.render(found, Style())
    now = int(time.clock_gettime(time.CLOCK_BOOTTIME))
    # As it is before the first beat, and after the last.
    (tmp_path / "hearts" / "audit-fetch").write_text(f"{now - 5}\n")
    assert link_status.run(call())["problems"] == []
    (tmp_path / "hearts" / "audit-fetch").write_text(f"{now - 90}\n\n")
    assert link_status.run(call())["problems"] == ["the daemon audit-fetch has said nothing for 90 s"]


def test_the_monitor_asks_every_tunnel_and_one_that_is_silent_is_down() -> None:
    told = links.asked(call(answer={"links": [UP], "problems": ["a log is gone"]}))
    assert told == {"links": [UP], "problems": ["tunnel: a log is gone"]}
    assert links.broken(told)
    assert not links.broken({"links": [UP], "problems": []})
    found = links.asked(call(answer=UnreachableError("tunnel cannot be reached")))
    (silent,) = found["links"]
    assert (silent["state"], silent["problem"]) == ("down", "tunnel cannot be reached")
    assert links.broken(found)
    assert "tunnel cannot be reached" in links.render(found, Style())


def test_on_one_docker_host_there_is_no_link() -> None:
    found = links.asked(call(Policy({}, {})))
    assert found == {"links": [], "problems": []}
    assert links.render(found, Style()) == ""
    assert not links.broken(found)


@pytest.mark.parametrize(
    ("answer", "problems"),
    [
        (Answer(0, {"links": [UP], "problems": []}, [], ""), [""]),
        (Answer(0, {"links": [UP]}, [], ""), [""]),  # of an earlier version
        (
            Answer(1, {"links": [{**UP, "state": "refused", "problem": "another key"}], "problems": ["no log"]}, [], ""),
            ["refused: another key", "no log"],
        ),
        (Answer(1, None, [], "the daemon says nothing"), ["the daemon says nothing"]),
        (Answer(0, {"links": [{}], "problems": []}, [], ""), ["its answer is not what link-status says"]),
        (UnreachableError("tunnel cannot be reached"), ["tunnel cannot be reached"]),
    ],
)  # fmt: skip
def test_the_watch_hears_what_is_wrong_with_links(
    answer: Answer | Exception, problems: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def called(service: str, words: Sequence[str], *, timeout: float) -> Answer:
        assert (service, list(words)) == ("tunnel", ["link-status"])
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(verbs, "call", called)
    place = Place("monitor", "ssh-monitor", POLICY, {"tunnel": "tunnel"})
    assert [entry["problem"] for entry in links.ask(place)] == problems
    assert links.ask(Place("monitor", "ssh-monitor", Policy({}, {}), {})) == []


def test_a_tunnel_of_an_earlier_version_is_understood() -> None:
    assert links.asked(call(answer={"links": [UP]})) == {"links": [UP], "problems": []}
