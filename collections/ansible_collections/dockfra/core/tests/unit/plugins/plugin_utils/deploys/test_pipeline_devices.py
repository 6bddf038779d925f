# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A deploy with devices behind a service: what comes first, what is put back and what stays, and what is noted of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import CommandError
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import verbs
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys import (
    fleet,
    ledger,
    pipeline,
    plan,
    playbook,
)
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.blame import BlamedError
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.configuration import (
    Configuration,
    Deployable,
    Device,
)
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.fleet import Move
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.ledger import Ledger
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.pipeline import Pipeline, Request
from ansible_collections.dockfra.core.plugins.plugin_utils.deploys.plan import Known

ENTRY = Deployable("files", "rpi3", "files", "ssh-rpi3", "files", 8083, "/health", "tree-of-image")
COMMITS = {number: f"{number:x}" * 40 for number in range(1, 4)}
ONE, TWO = (f"2026112{number}T131500Z-{COMMITS[number][:12]}" for number in (1, 2))
NAMES = ("a-1", "a-2", "a-3")


class World:
    """A service, its devices, and what the playbooks would do with them.

    Attributes:
        current: what the service serves.
        there: its releases and their commits.
        uses: the release of each device.
        off: devices that are off.
        bad: devices that get well with no new release.
        full: devices whose card has no room for one.
        service_fails: whether the service does not change.
        played: the playbooks that ran, each with its hosts.
    """

    def __init__(self) -> None:
        self.current = ONE
        self.there = {ONE: COMMITS[1]}
        self.uses = dict.fromkeys(NAMES, ONE)
        self.off: set[str] = set()
        self.bad: set[str] = set()
        self.full: set[str] = set()
        self.service_fails = False
        self.played: list[tuple[str, list[str]]] = []

    def known(self, _entries: Any) -> dict[str, Known]:
        trees = {release: commit[:4] for release, commit in self.there.items()}
        return {"files": Known(self.current, self.current, "", self.there, trees, (), "")}

    def moves(self, devices: Any, wanted: Mapping[str, str]) -> list[Move]:
        found = []
        for device in devices:
            name, after = device.device, wanted[device.service]
            if name in self.off:
                found.append(Move(device, "", after, f"{name} cannot be reached"))
            elif self.uses[name] != after:
                found.append(Move(device, self.uses[name], after))
        return found

    def run(self, path: Path, hosts: Mapping[str, Any], variables: Mapping[str, Any], *_rest: Any) -> None:
        self.played.append((path.name, [*hosts]))
        if path.name != "devices.yml":
            if self.service_fails and path.name == "deploy.yml":
                raise BlamedError("files: it is ill", "files")
            self.current = hosts["files"]["deploy_after"]
            self.there.setdefault(self.current, variables.get("deploy_commit", ""))
            return
        for name, values in hosts.items():
            if name in self.bad:
                raise BlamedError(f"{name}: it is too hot", name)
            if name in self.full:
                raise CommandError(f"{name}: has no room left")
            self.uses[name] = values["deploy_after"]


class Mirror:
    """The copy of an origin whose commits each have a content of their own."""

    place = "/nowhere"

    def __init__(self, _origin: str) -> None: ...

    def fetch(self) -> None: ...

    def commit(self, ref: str) -> str:
        return COMMITS[2] if ref == "main" else ref

    def tree(self, commit: str, _path: str) -> str:
        return commit[:4]

    def known(self, _commit: str) -> bool:
        return True

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
    monkeypatch.setattr(pipeline, "Mirror", Mirror)
    monkeypatch.setattr(pipeline, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(plan, "known", found.known)
    monkeypatch.setattr(verbs, "held", held)
    monkeypatch.setattr(playbook, "run", found.run)
    monkeypatch.setattr(fleet, "moves", found.moves)
    return found


@pytest.fixture
def notes(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "deploys.json")


@pytest.fixture
def deploys(world: World, notes: Ledger) -> Pipeline:
    devices = tuple(Device(name, "files", "ssh-rpi3", "1") for name in NAMES)
    configuration = Configuration("git:app.git", "/playbooks", {"files": ENTRY}, devices)
    return Pipeline(lambda *_words, **_data: None, configuration, notes)


def request(**values: Any) -> Request:
    return Request("rpi3", "", "monitor", **values)


def test_devices_follow_their_service(world: World, deploys: Pipeline, notes: Ledger) -> None:
    planned = deploys.plan(request())
    assert [entry["device"] for entry in planned["devices"]] == [*NAMES]
    done = deploys.deploy(request())
    assert world.played == [("deploy.yml", ["files"]), ("devices.yml", [*NAMES])]
    assert (set(world.uses.values()), done["result"]) == ({world.current}, ledger.DEPLOYED)
    [noted] = notes.latest()
    assert (noted.result, noted.services) == (ledger.DEPLOYED, ("files", *NAMES))
    assert deploys.deploy(request())["result"] == "unchanged"


def test_no_device_is_touched_where_the_service_fails(world: World, deploys: Pipeline, notes: Ledger) -> None:
    world.service_fails = True
    with pytest.raises(
        CommandError, match=r"rpi3 was not changed: files: it is ill. As before, files serves"
    ):
        deploys.deploy(request())
    assert [name for name, _hosts in world.played] == ["deploy.yml"]
    assert set(world.uses.values()) == {ONE}
    assert (notes.failed("rpi3"), notes.commits()) == (frozenset(), {COMMITS[2]})
    # By itself nobody tries that again.
    assert deploys.deploy(request(avoid=True))["result"] == "unchanged"


def test_the_first_that_does_not_get_well_ends_it_and_what_is_behind_is_named(
    world: World, deploys: Pipeline, notes: Ledger
) -> None:
    world.off, world.bad = {"a-1"}, {"a-3"}
    with pytest.raises(CommandError) as caught:
        deploys.deploy(request())
    assert str(caught.value).startswith(
        f"a-3: it is too hot. 2 of 3 devices are behind: a-1 (a-1 cannot be reached), a-3 (uses {ONE}); "
    )
    # The service and what got well stay where they are.
    assert world.current != ONE
    assert world.uses == {"a-1": ONE, "a-2": world.current, "a-3": ONE}
    assert [name for name, _hosts in world.played] == ["deploy.yml", "devices.yml"]
    [noted] = notes.latest()
    assert (noted.result, "a-3" in noted.reason) == (ledger.FAILED, True)
    assert notes.failed("rpi3") == {COMMITS[2]}
    # By itself nobody tries that again; a person does, and a newer commit.
    assert deploys.deploy(request(avoid=True))["result"] == "unchanged"
    world.off, world.bad = set(), set()
    assert deploys.deploy(request())["result"] == ledger.DEPLOYED
    assert world.played[-1] == ("devices.yml", ["a-1", "a-3"])
    assert set(world.uses.values()) == {world.current}
    assert notes.failed("rpi3") == frozenset()


def test_what_a_device_refused_counts_for_its_release_whatever_commit_is_deployed(
    world: World, deploys: Pipeline, notes: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.bad = {"a-3"}
    with pytest.raises(CommandError):
        deploys.deploy(request())
    # A later commit has the same content there.
    monkeypatch.setattr(Mirror, "commit", lambda _self, _ref: COMMITS[3])
    monkeypatch.setattr(Mirror, "tree", lambda _self, _commit, _path: COMMITS[2][:4])
    assert deploys.deploy(request(avoid=True))["result"] == "unchanged"
    world.bad = set()
    assert deploys.deploy(request())["result"] == ledger.DEPLOYED
    assert notes.failed("rpi3") == frozenset()


def test_a_card_without_room_says_nothing_of_the_release(
    world: World, deploys: Pipeline, notes: Ledger
) -> None:
    world.full = {"a-3"}
    with pytest.raises(
        CommandError, match=rf"^a-3: has no room left. 1 of 3 devices are behind: a-3 \(uses {ONE}\)"
    ):
        deploys.deploy(request())
    assert notes.failed("rpi3") == frozenset()
    # By itself it is tried again.
    world.full = set()
    assert deploys.deploy(request(avoid=True))["result"] == ledger.DEPLOYED
    assert set(world.uses.values()) == {world.current}


def test_a_device_that_is_off_is_named_and_comes_later(
    world: World, deploys: Pipeline, notes: Ledger
) -> None:
    world.off = {"a-2"}
    with pytest.raises(CommandError, match=r"^1 of 3 devices are behind: a-2 \(a-2 cannot be reached\)"):
        deploys.deploy(request())
    assert world.played[-1] == ("devices.yml", ["a-1", "a-3"])
    assert notes.failed("rpi3") == frozenset()
    # By itself nobody waits for it; once it is back it is brought along.
    assert deploys.deploy(request(avoid=True))["result"] == "unchanged"
    world.off = set()
    assert deploys.deploy(request(avoid=True))["result"] == ledger.DEPLOYED
    assert world.played[-1] == ("devices.yml", ["a-2"])
    assert [entry.result for entry in notes.latest()] == [ledger.DEPLOYED, ledger.FAILED]


def test_a_rollback_takes_devices_along(world: World, deploys: Pipeline, notes: Ledger) -> None:
    deploys.deploy(request())
    left = world.current
    world.off = {"a-1"}
    with pytest.raises(CommandError, match="1 of 3 devices are behind: a-1"):
        deploys.rollback("rpi3", "", "monitor")
    assert world.played[-2:] == [("switch.yml", ["files"]), ("devices.yml", ["a-2", "a-3"])]
    assert (world.current, world.uses) == (ONE, {"a-1": left, "a-2": ONE, "a-3": ONE})
    assert notes.failed("rpi3") == {COMMITS[2]}


def test_what_ends_it_from_outside_leaves_devices_that_are_done(
    world: World, deploys: Pipeline, notes: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(path: Path, *words: Any) -> None:
        if path.name == "devices.yml":
            raise KeyboardInterrupt
        world.run(path, *words)

    monkeypatch.setattr(playbook, "run", ended)
    with pytest.raises(KeyboardInterrupt):
        deploys.deploy(request())
    assert (world.current != ONE, notes.latest()[0].result) == (True, ledger.INTERRUPTED)
    assert notes.failed("rpi3") == frozenset()


def test_whoever_wants_to_know_knows_when_it_begins(
    world: World, deploys: Pipeline, notes: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[str, str, int]] = []

    def begins(deploy: ledger.Deploy) -> None:
        begun.append((deploy.result, notes.latest()[0].id, len(world.played)))
        assert begun[-1][1] == deploy.id

    monkeypatch.setattr(deploys, "_begins", begins)
    deploys.deploy(request())
    deploys.deploy(request())  # there is nothing to do
    deploys.rollback("rpi3", "", "monitor")
    assert [(result, played) for result, _id, played in begun] == [(ledger.RUNNING, 0), (ledger.RUNNING, 2)]
    # One that is ended while it is told is noted as such, and nothing was changed.

    def ended(_deploy: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(deploys, "_begins", ended)
    world.uses["a-1"] = "another"
    before = list(world.played)
    with pytest.raises(KeyboardInterrupt):
        deploys.deploy(request())
    assert (notes.latest()[0].result, world.played) == (ledger.INTERRUPTED, before)
