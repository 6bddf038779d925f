"""One running platform for all end-to-end tests: brought up at the start, removed at the end.

It runs under the project name and on the ports of tests/inventory (of tests/inventory_beside for the second of two parts), beside any
other platform of this machine. With
DOCKFRA_KEEP=1 it stays for the next session, which then goes on with it; else what an earlier one has left, data too, is removed
first. With DOCKFRA_SHARED_HOST=1 changes to containers of others, which then
come from the others themselves, are only told.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest
import requests

from ansible_collections.dockfra.core.plugins.module_utils.containers.labels import LABEL_PROJECT

# Ordinary imports of what lies beside the tests, however pytest is started.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.e2e.support import runs
from tests.e2e.support.engines import OF_TESTS
from tests.e2e.support.platform import Platform, read_topology
from tests.servers import run as servers

# Options of teardown.yml; images stay for the next session.
REMOVE_DATA = ("-e", "dockfra_remove_data=true", "-e", "dockfra_remove_images=false")

HERE = Path(__file__).resolve().parent
KEEP = bool(os.environ.get("DOCKFRA_KEEP"))
SHARED = bool(os.environ.get("DOCKFRA_SHARED_HOST"))

# First what only looks, then what disturbs the platform, and its end last.
ORDER = [
    "reachability", "hardening", "ssh", "services", "proxy", "data", "page", "resources", "roles", "between_roles", "tickets", "daily_use", "git", "health", "docker_gateway", "docker_engine", "builder", "github", "secrets", "guides", "watch", "deploys", "deploys_slow", "devices", "devices_arm64", "screens", "models", "implement", "autopilot", "faults", "cycles", "whole_loop", "servers", "failures", "daemons", "rotation", "wrong_use", "registry", "backup", "move", "canaries", "lifecycle", "customize", "teardown",
]  # fmt: skip
# With DOCKFRA_E2E_PART=second only these run, on a platform of their own, and with "first" the others: so both can go on side by side.
SECOND = {
    "health", "docker_gateway", "docker_engine", "builder", "github", "watch", "deploys", "deploys_slow", "devices", "devices_arm64", "screens", "models", "implement", "autopilot", "failures", "registry",
}  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        # Tests of the library, in the same session, need no platform and come first.
        if item.path.parent != HERE:
            return -1
        return ORDER.index(item.path.stem.removeprefix("test_"))

    items.sort(key=place)
    elsewhere = "one_host" if runs.SERVERS else "two_servers"
    dropped = [
        item
        for item in items
        if item.get_closest_marker(elsewhere) is not None or (runs.PART and not in_part(item))
    ]
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if item not in dropped]


def in_part(item: pytest.Item) -> bool:
    """Whether an item belongs to the part that was asked for; those of the library are in the first one."""
    second = item.path.parent == HERE and item.path.stem.removeprefix("test_") in SECOND
    return second == (runs.PART == "second")


def others(client: docker.DockerClient, own: set[str]) -> dict[str, str]:
    """Start time by name and id of every container of others, which are not of one's own projects.

    Nor those that tests beside these make and remove.
    """
    return {
        f"{container.name} {str(container.id)[:12]}": str(container.attrs["State"]["StartedAt"])
        for container in client.containers.list(all=True, ignore_removed=True)
        if container.labels.get(LABEL_PROJECT) not in own
        and not {OF_TESTS, servers.LABEL} & container.labels.keys()
    }


@pytest.fixture(scope="session")
def untouched() -> Iterator[None]:
    """Fails the session's end when a container of somebody else was removed, stopped or restarted."""
    # The other part and the scenarios of molecule may run beside.
    inventories = ("tests/inventory", "tests/inventory_beside", "molecule/default/inventory")
    own = {read_topology(inventory).project for inventory in inventories}
    try:
        before = others(docker.from_env(), own)
    except docker.errors.DockerException:
        before = {}  # no engine answers yet, so nobody has a container
    yield
    after = others(docker.from_env(), own)
    harmed = [name for name, started in before.items() if after.get(name) != started]
    if harmed and SHARED:
        warnings.warn(f"containers of others have changed: {', '.join(harmed)}", stacklevel=1)
    else:
        assert not harmed, f"containers of others were removed or restarted: {', '.join(harmed)}"


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest, untouched: None) -> Iterator[Platform]:
    """The running platform, as its inventory says."""
    found = Platform(read_topology())
    try:
        bring_up(found)
    except BaseException:
        request.session.shouldstop = "there is no platform to test"
        raise
    yield found
    if runs.SERVERS and not KEEP:
        servers.destroy()
    elif not KEEP and (found.ids() or found.state.exists()):
        remove(found)


def bring_up(found: Platform) -> None:
    """Start it, with what acts by itself turned off."""
    if runs.SERVERS:
        prepare_servers()
    elif not KEEP and left_over(found):
        remove(found, "session-clean")
    if runs.PART:
        build_images()
    runs.playbook("site.yml", name="session-start").ok()
    # What tests push is deployed by those that deploy, and what they break is repaired by those of the autopilot.
    for line in ("config-monitor MONITOR_AUTO_DEPLOY=false", "config-autopilot AUTOPILOT_ENABLED=false"):
        done = found.ssh("manager", line)
        assert done.returncode == 0, done.stderr


def build_images() -> None:
    """Build what is missing while no other part does: its images are the same."""
    runs.REPORTS.mkdir(parents=True, exist_ok=True)
    with (runs.REPORTS / "images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        runs.playbook("site.yml", "--tags", "images", name="session-images").ok()


def prepare_servers() -> None:
    """Two bare servers, unless those of an earlier session are to be gone on with."""
    if KEEP:
        with contextlib.suppress(docker.errors.DockerException, LookupError):
            servers.find(servers.NAMES[0])
            return
    servers.create()


def left_over(platform: Platform) -> bool:
    """Whether a session that was ended before its end has left containers, volumes or state."""
    of_it = {"label": f"{LABEL_PROJECT}={platform.topology.project}"}
    try:
        client = docker.from_env()
        found = client.containers.list(all=True, filters=of_it) or client.volumes.list(filters=of_it)
    except docker.errors.DockerException:
        found = []  # no engine answers yet
    return bool(found) or platform.state.exists()


def remove(platform: Platform, name: str = "session-end") -> runs.Run:
    """Remove the platform with its data; images stay for the next session."""
    return runs.playbook(
        "playbooks/teardown.yml",
        *REMOVE_DATA,
        *("-e", f"dockfra_confirm={platform.topology.project}"),
        name=name,
    ).ok()


@pytest.fixture(scope="session")
def web(platform: Platform) -> Iterator[requests.Session]:
    """HTTP as a browser on this machine speaks it: TLS verified by the platform's own authority, no proxy."""
    with requests.Session() as session:
        session.verify = str(platform.authority)
        session.trust_env = False
        yield session
