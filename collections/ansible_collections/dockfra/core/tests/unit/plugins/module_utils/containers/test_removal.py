# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What goes with a platform, and what stays because somebody else uses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from ansible_collections.dockfra.core.plugins.module_utils.containers import removal
from ansible_collections.dockfra.core.plugins.module_utils.locks.work_lock import WorkLock, run_lock_name
from ansible_collections.dockfra.core.tests.unit import fake_engine
from ansible_collections.dockfra.core.tests.unit.fake_engine import FakeEngine
from ansible_collections.dockfra.core.tests.unit.plugins.module_utils.containers.test_engine import spec
from ansible_collections.dockfra.core.tests.unit.support import run_module

Q_NET = {"name": "q-net", "aliases": []}

Remove = Callable[..., removal.Removal]


def image(engine: FakeEngine, tag: str, *layers: str) -> None:
    engine.images[tag] = {
        **fake_engine.image(tag, Labels={"dockfra.managed": "true"}),
        "RootFS": {"Layers": list(layers)},
    }


def stranger(engine: FakeEngine, **changes: Any) -> None:
    """A container of somebody else, on an image of its own."""
    engine.images.setdefault("theirs", {**fake_engine.image("theirs"), "RootFS": {"Layers": ["t"]}})
    engine.apply(spec("stranger", **{"project": "other", "image": "theirs", "networks": [Q_NET], **changes}))


@pytest.fixture
def host(engine: FakeEngine) -> FakeEngine:
    """A host with a platform "p" of one service, whose image stands on two others, beside a network of somebody else."""
    image(engine, "debian", "1")
    image(engine, "dockfra/base:a", "1", "2")
    image(engine, "dockfra/web:a", "1", "2", "3")
    engine.networks["p-net"] = fake_engine.network("p-net", "p")
    engine.networks["q-net"] = fake_engine.network("q-net", "q")
    engine.volumes = {"p-data": {"dockfra.project": "p"}, "q-data": {"dockfra.project": "q"}}
    for name in ("p-web", "p-old"):
        engine.apply(spec(name, image="dockfra/web:a", networks=[{"name": "p-net", "aliases": []}]))
    return engine


@pytest.fixture
def remove(host: FakeEngine, tmp_path: Path) -> Remove:
    client = docker.APIClient(base_url=host.url, version="1.41")

    def call(**options: Any) -> removal.Removal:
        return removal.remove(client, "p", locks=tmp_path / "locks", **options)

    return call


def test_all_of_it_goes_and_nothing_else(host: FakeEngine, remove: Remove) -> None:
    done = remove(volumes=True, images=True)
    assert done.containers == ["p-old", "p-web"]
    assert (done.networks, done.volumes, done.kept) == (["p-net"], ["p-data"], [])
    assert done.images == ["dockfra/web:a", "dockfra/base:a", "debian"]  # children first
    assert (host.containers, list(host.networks), list(host.volumes), host.images) == (
        {},
        ["q-net"],
        ["q-data"],
        {},
    )
    assert not remove(volumes=True, images=True)


def test_data_and_images_stay_unless_they_are_asked_for(host: FakeEngine, remove: Remove) -> None:
    done = remove()
    assert (done.volumes, done.images) == ([], [])
    assert len(host.images) == 3
    assert "p-data" in host.volumes


def test_a_dry_run_only_tells(host: FakeEngine, remove: Remove) -> None:
    told = remove(volumes=True, images=True, dry_run=True)
    assert {request.split()[0] for request in host.requests} == {"GET"}
    assert told == remove(volumes=True, images=True)


def test_of_some_services_the_containers_alone_go(host: FakeEngine, remove: Remove) -> None:
    done = remove(only=["p-web", "p-none", "stranger"], volumes=True, images=True)
    assert done == removal.Removal(containers=["p-web"])
    assert list(host.containers) == ["p-old"]
    assert "p-net" in host.networks


@pytest.mark.parametrize("status", ["running", "exited"])
def test_a_network_with_somebody_elses_container_stays_finding_p1(
    host: FakeEngine, remove: Remove, status: str
) -> None:
    stranger(host, networks=[{"name": "p-net", "aliases": []}])
    host.containers["stranger"]["State"]["Status"] = status
    done = remove()
    assert done.networks == []
    (kept,) = done.kept
    assert "p-net stays: the container stranger of somebody else is on it" in kept
    assert list(host.containers) == ["stranger"]
    assert "p-net" in host.networks
    assert not [request for request in host.requests if "disconnect" in request or "stranger" in request]


def test_a_volume_that_somebody_else_mounts_stays_finding_p1(host: FakeEngine, remove: Remove) -> None:
    stranger(host)
    host.containers["stranger"]["Mounts"] = [{"Type": "volume", "Name": "p-data"}]
    done = remove(volumes=True)
    assert done.volumes == []
    assert "p-data stays: the container stranger" in done.kept[0]
    assert "p-data" in host.volumes


def test_what_another_platforms_image_stands_on_stays_finding_p8(host: FakeEngine, remove: Remove) -> None:
    image(host, "dockfra/api:a", "1", "2", "4")
    stranger(host, image="dockfra/api:a")
    assert remove(images=True).images == ["dockfra/web:a"]
    assert {"debian", "dockfra/base:a", "dockfra/api:a"} <= set(host.images)


@pytest.mark.parametrize("tags", [["<none>:<none>"], [], None])
def test_an_image_that_lost_its_name_goes_by_its_id_finding_p8(tags: list[str] | None) -> None:
    """As engines say it, by their version; an interrupted build leaves one."""
    assert removal._names({"Id": "sha256:1", "RepoTags": tags}) == ["sha256:1"]
    assert removal._names({"Id": "sha256:1", "RepoTags": ["dockfra/web:a"]}) == ["dockfra/web:a"]


def test_while_another_platform_is_built_all_images_stay_finding_p8(
    host: FakeEngine, remove: Remove, tmp_path: Path
) -> None:
    locks = tmp_path / "locks"
    with WorkLock(locks, run_lock_name("p")).hold("me", "teardown.yml"):
        with WorkLock(locks, run_lock_name("q")).hold("ann", "site.yml in /srv/q"):
            done = remove(images=True)
        assert done.images == []
        assert "q (ann since" in done.kept[0]
        assert len(host.images) == 3
        assert len(remove(images=True).images) == 3  # the platform's own run counts for nothing


def test_a_platform_of_another_checkout_is_refused_finding_p7(host: FakeEngine, tmp_path: Path) -> None:
    owner = {"id": "theirs", "checkout": "/srv/theirs", "who": "ann", "since": "2026-01-01 12:00:00"}
    (tmp_path / "owner.json").write_text(json.dumps(owner))
    options = {"project": "p", "locks": str(tmp_path / "locks"), "owner_file": str(tmp_path / "owner.json")}
    refused = run_module("platform_absent", {**options, "owner": "mine"}, DOCKER_HOST=host.url)
    assert refused["failed"]
    assert "/srv/theirs" in refused["msg"]
    assert "p-web" in host.containers
    done = run_module("platform_absent", {**options, "owner": "theirs"}, DOCKER_HOST=host.url)
    assert done["removed"]["containers"] == ["p-old", "p-web"]
    assert host.containers == {}


def test_no_engine_has_nothing_to_remove() -> None:
    done = run_module("platform_absent", {"project": "p"}, DOCKER_HOST="unix:///nowhere/docker.sock")
    assert (done["changed"], done["kept"]) == (False, [])
