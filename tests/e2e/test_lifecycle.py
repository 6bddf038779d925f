"""A platform's life: repaired, changed, cloned anew, interrupted, grown and shrunk, always by the same command."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from docker.errors import APIError

from ansible_collections.dockfra.core.plugins.module_utils.locks.work_lock import DIRECTORY, run_lock_name
from ansible_collections.dockfra.core.plugins.module_utils.topology.model import Edge
from tests.e2e.support import runs
from tests.e2e.support.clients import sql
from tests.e2e.support.engines import as_root
from tests.e2e.support.platform import Platform, eventually, read_topology
from tests.e2e.support.runs import INVENTORY
from tests.e2e.test_reachability import reached_edges

Change = Callable[[dict[str, Any], dict[str, Any]], None]


@pytest.fixture(autouse=True)
def good(platform: Platform, request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test does, it leaves the platform as declared and healthy; after a failed one that is put right."""
    failures = request.session.testsfailed
    yield
    if request.session.testsfailed > failures:
        runs.playbook("site.yml", name="put-right").ok()
    assert set(platform.ids()) == set(platform.names)
    platform.wait_healthy(*platform.names)


@pytest.fixture
def kept(platform: Platform, web: requests.Session) -> Iterator[Callable[[Platform], None]]:
    """Data in volumes: a row in the database and a file in a home; returns what checks that they are there."""
    name = f"kept-{uuid.uuid4().hex[:8]}"
    body = {"installation_id": str(uuid.uuid4()), "name": name, "platform": "ios", "version": "1"}
    assert web.post(platform.url("/mobile/device/register"), json=body).status_code == 201
    assert platform.ssh("developer", f"echo {name} > kept").returncode == 0

    def check(current: Platform) -> None:
        rows = sql(current, "readonly", f"SELECT count(*) FROM mobile.devices WHERE name = '{name}'")
        assert rows == (0, "1", "")
        assert current.ssh("developer", "cat kept").stdout.strip() == name

    yield check
    platform.ssh("developer", "rm -f kept")


def by_hand(platform: Platform, service: str, change: Change) -> None:
    """Replace a service's container by one that differs, as somebody with Docker in his hands would."""
    api, name = platform.docker.api, platform.topology.container_name(service)
    details = api.inspect_container(name)
    config, host = details["Config"], details["HostConfig"]
    aliases = {
        # Docker adds the container's short id, which the new one has not.
        network: {"Aliases": [alias for alias in entry["Aliases"] or () if alias != details["Id"][:12]]}
        for network, entry in details["NetworkSettings"]["Networks"].items()
    }
    change(config, host)
    api.remove_container(name, force=True)
    first = host["NetworkMode"]
    networking = {"EndpointsConfig": {first: aliases.pop(first)}}
    api.create_container_from_config({**config, "HostConfig": host, "NetworkingConfig": networking}, name)
    for network, entry in aliases.items():
        api.connect_container_to_network(name, network, aliases=entry["Aliases"])
    api.start(name)


def test_nothing_to_do(platform: Platform) -> None:
    before = platform.snapshot()
    run = runs.playbook("site.yml", name="nothing-to-do").ok()
    assert run.changed == 0
    assert platform.snapshot() == before
    assert "https://localhost:" in run.output, "the access map is missing"
    assert runs.playbook("playbooks/verify.yml", name="verify").ok().changed == 0


def test_a_run_ends_when_every_service_answers_finding_p5(platform: Platform) -> None:
    """As after a restart of the engine: nothing is to be done, but for waiting."""
    container = platform.container("frontend")
    container.restart(timeout=5)
    container.reload()
    assert container.attrs["State"]["Health"]["Status"] == "starting"
    assert runs.playbook("site.yml", name="starting").ok().changed == 0
    container.reload()
    assert container.attrs["State"]["Health"]["Status"] == "healthy"


def test_what_differs_is_shown_then_repaired_and_nothing_else_is_touched(
    platform: Platform, kept: Callable[[Platform], None]
) -> None:
    other_image = platform.container("desktop-app").commit("dockfra-test/altered")
    platform.container("db").remove(force=True)
    platform.container("ssh-developer").remove(force=True)
    platform.container("frontend").stop(timeout=5)
    platform.container("redis").kill()
    by_hand(platform, "desktop-app", lambda config, host: config.update(Image=other_image.id))
    platform.docker.networks.get(platform.topology.network_name("ssh-net")).connect(
        platform.topology.container_name("mobile-backend")
    )
    by_hand(platform, "backend", lambda config, host: config["Env"].append("DEBUG=1"))
    by_hand(
        platform,
        "ssh-backend",
        lambda config, host: host.update(CapAdd=["CAP_NET_RAW"], ReadonlyRootfs=False),
    )
    platform.container("ssh-frontend").update(mem_limit="300m", memswap_limit="300m")
    remade = {
        "db",
        "ssh-developer",
        "desktop-app",
        "mobile-backend",
        "backend",
        "ssh-backend",
        "ssh-frontend",
    }
    restarted = {"frontend", "redis"}
    reasons = {
        "db": "no container",
        "ssh-developer": "no container",
        "frontend": "exited",
        "redis": "exited",
        "desktop-app": "image differs",
        "mobile-backend": "networks differs",
        "backend": "env differs",
        "ssh-backend": "capabilities differs",
        "ssh-frontend": "memory differs",
    }

    verify = runs.playbook("playbooks/verify.yml", name="verify-altered")
    assert verify.code != 0
    assert {error.split()[0] for error in verify.errors} == remade | restarted
    assert all(
        any(error.startswith(name) and reason in error for error in verify.errors)
        for name, reason in reasons.items()
    )

    before, ids = platform.snapshot(), platform.ids()
    shown = runs.playbook("site.yml", "--check", "--diff", name="check-altered").ok()
    assert platform.snapshot() == before
    for name, reason in reasons.items():
        assert any(
            line.startswith(f"--- before: {name} (") and reason in line for line in shown.output.splitlines()
        ), name
    untouched = set(platform.names) - remade - restarted
    assert not [
        line
        for line in shown.output.splitlines()
        for name in untouched
        if line.startswith(f"--- before: {name} (")
    ]

    runs.playbook("site.yml", name="repair").ok()
    after = platform.ids()
    assert {name for name in after if after[name] != ids.get(name)} == remade
    snapshot = platform.snapshot()
    for name in untouched:
        key = f"container {platform.topology.container_name(name)}"
        assert snapshot[key] == before[key], f"{name} was touched"
    kept(platform)
    platform.docker.images.remove(other_image.id)
    assert runs.playbook("site.yml", name="after-repair").ok().changed == 0


def lock_holder(platform: Platform) -> int:
    """The process that has the platform's lock."""
    path = f"{DIRECTORY}/{run_lock_name(platform.topology.project)}.lock"
    # It is root's.
    done = subprocess.run(as_root("cat", path), capture_output=True)
    with contextlib.suppress(ValueError):
        return int(json.loads(done.stdout)["pid"])
    return 0


@pytest.mark.slow
def test_fresh_clone_beside_old_volumes_interrupted_and_two_at_once_finding_p7(
    platform: Platform, kept: Callable[[Platform], None], tmp_path: Path
) -> None:
    """A clone has no keys and no passwords: it makes new ones, and what the volumes hold is there again."""
    clone = runs.copy_tree(tmp_path / "clone")
    fresh = Platform(platform.topology, clone / ".dockfra/test")

    # Nobody takes a running platform over by accident.
    before = platform.snapshot()
    run = runs.playbook("site.yml", root=clone, name="clone-not-the-owner")
    assert run.code != 0
    assert len(run.errors) == 1
    assert f"belongs to another checkout: {runs.ROOT}, " in run.errors[0]
    assert "-e dockfra_takeover=true" in run.errors[0]
    assert platform.snapshot() == before

    # Ctrl-C in the middle of the work.
    first = runs.start("site.yml", "-e", "dockfra_takeover=true", root=clone, name="clone-interrupted")
    first.wait_for(r"ready after", 180)
    first.interrupt()
    assert first.end().code != 0

    # The next run completes it; others at the same time wait for it, or say who runs.
    second = runs.start("site.yml", root=clone, name="clone-completed")
    eventually_holds(platform, second)
    third = runs.playbook("site.yml", "-e", "dockfra_lock_wait=1", root=clone, name="clone-refused")
    assert third.code != 0
    assert len(third.errors) == 1
    assert f"pid {second.process.pid}" in third.errors[0]
    fourth = runs.start("site.yml", root=clone, name="clone-waited")
    assert f"pid {second.process.pid}" in fourth.wait_for(r"^Another run works on this platform.*$", 60)
    assert second.process.poll() is None
    second.end().ok()
    assert fourth.end().ok().changed == 0

    kept(fresh)
    assert fresh.secret("db/readonly") != platform.secret("db/readonly")
    assert sql(platform, "readonly", "SELECT 1")[0] != 0, "the old password still works"
    old = platform.ssh(
        "developer", "true", options=["-o", f"UserKnownHostsFile={fresh.state / 'known_hosts'}"]
    )
    assert (old.returncode, "Permission denied" in old.stderr) == (255, True), "the old key still works"

    # Back to the keys of before, beside volumes without containers; the first run is killed outright.
    for name in platform.names:
        platform.container(name).remove(force=True)
    killed = runs.start("site.yml", name="back-killed")
    killed.wait_for(r"ready after", 180)
    killed.process.send_signal(signal.SIGKILL)
    assert killed.end().code == -signal.SIGKILL
    runs.playbook("site.yml", name="back-completed").ok()
    kept(platform)
    assert runs.playbook("site.yml", name="after-clone").ok().changed == 0


def eventually_holds(platform: Platform, run: runs.Started) -> None:
    eventually(lambda: lock_holder(platform) == run.process.pid, "the run has the lock", 30)


@pytest.fixture
def changed_file(platform: Platform, tmp_path: Path) -> Iterator[str]:
    """A run after a change of one file of one role, shown to concern its service only; the next run finds the file as it was.

    Returns:
        The image that redis had before.
    """
    clone, state = runs.copy_tree(tmp_path / "clone"), f"dockfra_state_dir={platform.state}"
    ids, image = platform.ids(), platform.container("redis").attrs["Image"]
    with (clone / "roles/redis/files/image/healthcheck").open("a") as script:
        script.write(f"# {uuid.uuid4()}\n")
    runs.playbook("site.yml", "-e", state, root=clone, name="changed-file").ok()
    after = platform.ids()
    assert {name for name in after if after[name] != ids[name]} == {"redis"}
    changed = platform.container("redis").attrs["Image"]
    assert changed != image
    yield image
    with contextlib.suppress(APIError):
        platform.docker.images.remove(changed, force=True)


@pytest.fixture
def ready_made_image(platform: Platform) -> Iterator[str]:
    """An image with Python that the platform does not build, as one from a registry would be."""
    image = platform.container("desktop-app").commit(
        "dockfra-test/ready-made", uuid.uuid4().hex, changes='ENTRYPOINT ["/usr/bin/env"]'
    )
    yield image.tags[0]
    platform.docker.images.remove(image.id, force=True)


def test_a_changed_file_and_a_sixteenth_service_concern_nobody_else_finding_t3(
    platform: Platform, changed_file: str, ready_made_image: str, tmp_path: Path
) -> None:
    """An entry in the inventory, a ready-made image, no role: it appears with the edges of its networks, and goes with its entry."""
    entry = {
        "dockfra_description": "Added by the tests",
        "dockfra_user": "extra",
        "dockfra_uid": 20000,
        "dockfra_image": ready_made_image,
        "dockfra_networks": ["desktop-net", "dev-net"],
        "dockfra_ports": [{"name": "http", "port": 8099, "networks": ["desktop-net"]}],
        "dockfra_command": [
            "python3",
            "-m",
            "http.server",
            "--bind",
            "sixteenth.desktop-net",
            "--directory",
            "/tmp",
            "8099",
        ],
        "dockfra_health": ["bash", "-c", "exec 3<>/dev/tcp/sixteenth.desktop-net/8099"],
        "dockfra_memory": "64m",
    }
    extra = tmp_path / "extra.yml"
    extra.write_text(yaml.safe_dump({"app": {"hosts": {"sixteenth": entry}}}))
    ids = platform.ids()
    runs.playbook("site.yml", inventories=[INVENTORY, extra], name="sixteenth-added").ok()
    try:
        after = platform.ids()
        # The monitor is told what to watch, the autopilot what there is, the backend how many services there are for its page; redis
        # gets the file of before, and the image, which is still there.
        changed = {name for name in after if after[name] != ids.get(name)}
        assert changed == {"sixteenth", "ssh-monitor", "ssh-autopilot", "backend", "redis"}
        assert platform.container("redis").attrs["Image"] == changed_file
        topology = read_topology(INVENTORY, extra)
        declared = topology.edges()
        assert Edge("ssh-rpi3", "sixteenth", 8099, "desktop-net") in declared
        assert Edge("sixteenth", "ssh-developer", 2222, "dev-net") in declared
        added = Platform(topology)
        assert reached_edges(added, topology) == declared
        details = added.container("sixteenth").attrs
        assert details["HostConfig"]["ReadonlyRootfs"] is True
        assert details["Config"]["User"] == "20000:20000"
    finally:
        runs.playbook("site.yml", name="sixteenth-removed").ok()
    left = platform.ids()
    changed = {name for name in left if left[name] != ids.get(name)}
    assert changed == {"ssh-monitor", "ssh-autopilot", "backend", "redis"}
    assert set(left) == set(ids)


def test_one_after_the_other_ends_at_the_first_that_does_not_get_well(
    platform: Platform, tmp_path: Path
) -> None:
    """Two services are to be replaced, and the first is broken; mended, the next run goes on with it."""
    extra = tmp_path / "changed.yml"

    def run(name: str, **first: Any) -> runs.Run:
        hosts = {"ssh-frontend": first, "ssh-rpi3": {"dockfra_memory": "200m"}}
        extra.write_text(yaml.safe_dump({"app": {"hosts": hosts}}))
        options = ("-e", "dockfra_upgrade=serial", "-e", "dockfra_healthy_timeout=60")
        return runs.playbook("site.yml", *options, inventories=[INVENTORY, extra], name=name)

    def touched() -> set[str]:
        """What is not as it was: the containers by id and start, networks, volumes and files."""
        after = platform.snapshot()
        return {name for name in {*before, *after} if before.get(name) != after.get(name)}

    first, second = (
        f"container {platform.topology.container_name(name)}" for name in ("ssh-frontend", "ssh-rpi3")
    )
    before = platform.snapshot()
    try:
        # No program of this name is there, which nobody waits for.
        failed = run("serial-broken", dockfra_health=["not-there"], dockfra_health_interval=1)
        assert failed.code != 0
        assert len(failed.errors) == 1
        assert failed.errors[0].startswith("ssh-frontend cannot become healthy: ")
        assert re.search(r"^Not touched, .*: ssh-rpi3$", failed.output, re.MULTILINE)
        assert touched() == {first}

        mended = run("serial-mended").ok()
        assert re.findall(r"(\S+) ready after", mended.output) == ["ssh-frontend", "ssh-rpi3"]
        assert touched() == {first, second}
        platform.wait_healthy("ssh-frontend", "ssh-rpi3")
    finally:
        runs.playbook("site.yml", name="serial-back").ok()


def test_check_mode_where_nothing_runs(platform: Platform, tmp_path: Path) -> None:
    """The plan of a platform that is not there, and no trace of it afterwards."""
    project, state = "dockfra-planned", tmp_path / "state"
    shown = runs.playbook(
        "site.yml",
        *("--check", "--diff", "-e", f"dockfra_project={project}", "-e", "dockfra_port_offset=25000"),
        *("-e", f"dockfra_state_dir={state}"),
        name="check-nothing-runs",
    ).ok()
    for network in platform.topology.networks:
        assert f"network {project}-{network}" in shown.output
    for name in platform.names:
        assert f"{name} (create: no container" in shown.output
    for secret in (platform.secret("db/backend"), "PRIVATE KEY"):
        assert secret not in shown.output
    assert not state.exists()
    listed = platform.docker.containers.list(all=True, ignore_removed=True)
    assert not [container for container in listed if container.name.startswith(project)]
    assert not platform.docker.networks.list(names=[project])
    assert not platform.docker.volumes.list(filters={"name": project})
