# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the monitor does not deploy again by itself: the content of services that failed, and of no others; nor on request."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import BusyError, CommandError, DeniedError
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import judgement, verbs
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys import ledger, pipeline, plan, playbook
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.blame import BlamedError
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.configuration import (
    Configuration,
    Deployable,
)
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.ledger import Ledger
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.pipeline import Pipeline, Request
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.plan import Known

SERVICES = ("backend", "frontend")
COMMITS = {number: f"{number:x}" * 40 for number in range(1, 5)}
# What each commit has of each service: the second changes both, the third mends the backend, the fourth changes neither.
TREES = {
    COMMITS[1]: {"backend": "b1", "frontend": "f1"},
    COMMITS[2]: {"backend": "b2", "frontend": "f2"},
    COMMITS[3]: {"backend": "b3", "frontend": "f2"},
    COMMITS[4]: {"backend": "b2", "frontend": "f2"},
}
SIDE = "e" * 40
TREES[SIDE] = {"backend": "b9", "frontend": "f9"}
ONE = f"20261121T131500Z-{COMMITS[1][:12]}"


class World:
    """Two services, and what the playbooks would do with them.

    Attributes:
        newest: the commit that main is at.
        serves: the release of each service, and git's name for what it is made of.
        tried: what each service says that it tried last.
        error: what the next deploy ends with.
    """

    def __init__(self) -> None:
        self.newest = COMMITS[2]
        self.serves = {name: (ONE, f"{name[0]}1") for name in SERVICES}
        self.tried = dict.fromkeys(SERVICES, ("", ""))
        self.error: CommandError | None = None

    def known(self, entries: Any) -> dict[str, Known]:
        found = {}
        for entry in entries:
            release, tree = self.serves[entry.service]
            commit = next(made for made in TREES if release.endswith(made[:12]))
            commits, trees = {release: commit}, {release: tree}
            found[entry.service] = Known(
                release, release, "", commits, trees, (), "", self.tried[entry.service]
            )
        return found

    def run(self, path: Path, hosts: Mapping[str, Any], *_rest: Any) -> None:
        if self.error and path.name == "deploy.yml":
            fail(self.error)
        for name, values in hosts.items():
            self.serves[name] = (values["deploy_after"], values["deploy_tree"])


def fail(error: CommandError) -> None:
    raise error


class Mirror:
    """The copy of an origin."""

    place = "/nowhere"
    world: World

    def __init__(self, _origin: str) -> None: ...

    def fetch(self) -> None: ...

    def commit(self, ref: str) -> str:
        return self.world.newest if ref == "main" else ref

    def tree(self, commit: str, path: str) -> str:
        return TREES[commit][path]

    def known(self, _commit: str) -> bool:
        return True

    def on_main(self, commit: str) -> bool:
        return commit != SIDE

    def before(self, commit: str, other: str) -> bool:
        return commit < other

    def subjects(self, *_commits: str) -> list[str]:
        return []

    def tickets(self, *_commits: str) -> list[str]:
        return []


@contextlib.contextmanager
def held(*_words: Any, **_options: Any) -> Iterator[None]:
    yield


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    found = World()
    monkeypatch.setattr(Mirror, "world", found, raising=False)
    monkeypatch.setattr(pipeline, "Mirror", Mirror)
    monkeypatch.setattr(pipeline, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(plan, "known", found.known)
    monkeypatch.setattr(verbs, "held", held)
    monkeypatch.setattr(playbook, "run", found.run)
    return found


@pytest.fixture
def notes(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "deploys.json")


@pytest.fixture
def deploys(world: World, notes: Ledger) -> Pipeline:
    entries = {
        name: Deployable(name, name, name, f"ssh-{name}", name, 8080, "/health", "tree-of-image")
        for name in SERVICES
    }
    configuration = Configuration("git:app.git", "/playbooks", entries, ())
    return Pipeline(lambda *_words, **_data: None, configuration, notes)


BY_ITSELF = Request("all", "", "monitor", avoid=True)


def changed(deploys: Pipeline, request: Request = BY_ITSELF) -> list[str]:
    return [entry["service"] for entry in deploys.deploy(request)["services"]]


def test_only_the_service_that_failed_is_left_out_later(
    world: World, deploys: Pipeline, notes: Ledger
) -> None:
    world.error = BlamedError("backend: test: 1 of 5 failed", "backend")
    with pytest.raises(CommandError):
        deploys.deploy(BY_ITSELF)
    assert (notes.blamed("backend"), notes.blamed("frontend")) == ({"b2"}, frozenset())
    # Whoever looks at the origin knows that this commit was tried.
    assert notes.commits() == {COMMITS[2]}
    world.error, world.newest = None, COMMITS[3]
    assert sorted(changed(deploys)) == ["backend", "frontend"]
    # What failed is not deployed again by itself, whatever commit has it.
    world.newest = COMMITS[4]
    assert changed(deploys) == []
    # A person may; then it serves, and is as good as any.
    assert changed(deploys, Request("all", "", "me")) == ["backend"]
    assert (notes.blamed("backend"), notes.commits()) == (frozenset(), frozenset())


def test_a_service_that_says_its_release_did_not_serve_is_to_blame(
    world: World, deploys: Pipeline, notes: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(_path: Path, hosts: Mapping[str, Any], *_rest: Any) -> None:
        world.tried = {name: (values["deploy_after"], "ready") for name, values in hosts.items()}
        world.tried["frontend"] = (hosts["frontend"]["deploy_after"], "crashed")
        raise CommandError("frontend: it serves as before")

    monkeypatch.setattr(playbook, "run", run)
    with pytest.raises(CommandError):
        deploys.deploy(BY_ITSELF)
    assert (notes.blamed("backend"), notes.blamed("frontend")) == (frozenset(), {"f2"})


@pytest.mark.parametrize("reason", ["the builder cannot be reached", "ssh-backend: there is no room"])
def test_what_says_nothing_of_a_commit_leaves_no_mark(
    world: World, deploys: Pipeline, notes: Ledger, reason: str
) -> None:
    # What was tried earlier is no matter.
    world.tried["backend"] = (ONE, "crashed")
    world.error = CommandError(reason)
    with pytest.raises(CommandError):
        deploys.deploy(BY_ITSELF)
    assert notes.latest()[0].result == ledger.FAILED
    assert notes.commits() == frozenset()
    world.error = None
    assert sorted(changed(deploys)) == ["backend", "frontend"]


def asked(ref: str = "") -> Request:
    """A request of somebody who is no person."""
    return Request("all", ref, "autopilot", avoid=True, judged=True)


def test_on_request_what_is_new_on_main_is_deployed(world: World, deploys: Pipeline) -> None:
    with pytest.raises(DeniedError, match="is not on main"):
        deploys.deploy(asked(SIDE))
    assert sorted(changed(deploys, asked())) == ["backend", "frontend"]
    assert deploys.deploy(asked())["result"] == "unchanged"


def test_on_request_nothing_is_deployed_that_failed_or_was_rolled_back(
    world: World, deploys: Pipeline, notes: Ledger
) -> None:
    world.error = BlamedError("backend: test: 1 of 5 failed", "backend")
    with pytest.raises(CommandError):
        deploys.deploy(asked())
    world.error = None
    before = dict(world.serves)
    with pytest.raises(DeniedError, match="failed or was rolled back"):
        deploys.deploy(asked())
    assert world.serves == before
    notes.mark("frontend", COMMITS[3])
    with pytest.raises(DeniedError, match="failed or was rolled back"):
        deploys.deploy(asked(COMMITS[3]))
    assert world.serves == before
    # Of a newer one it is left out, as by itself.
    assert changed(deploys, asked(COMMITS[4])) == []
    assert sorted(changed(deploys, Request("all", COMMITS[3], "me"))) == ["backend", "frontend"]


def test_on_request_nothing_goes_back(world: World, deploys: Pipeline) -> None:
    world.newest = COMMITS[3]
    deploys.deploy(asked())
    before = dict(world.serves)
    for old in (COMMITS[1], COMMITS[2]):
        with pytest.raises(DeniedError, match=f"{old[:12]} is older than {COMMITS[3][:12]}"):
            deploys.deploy(asked(old))
    assert world.serves == before


def test_deploys_on_request_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judgement, "DEPLOYS_COUNTED", tmp_path / "asked.json")
    monkeypatch.setattr(judgement, "ROLLBACKS_COUNTED", tmp_path / "rollbacks.json")
    for _deploy in range(judgement.MOST_DEPLOYS):
        judgement.deploy("backend")
    with pytest.raises(BusyError, match="deploys are limited: backend had 3"):
        judgement.deploy("backend")
    judgement.deploy("frontend")
    judgement.rollback("backend")
