# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The actions in real playbooks, against a fake Docker Engine on a real socket."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.locks.work_lock import WorkLock
from ansible_collections.dockfra.core.tests.unit import fake_engine
from ansible_collections.dockfra.core.tests.unit.fake_engine import FakeEngine
from ansible_collections.dockfra.core.tests.unit.support import Project, is_root, three_services

Task = dict[str, Any]
PLAN: Task = {
    "name": "plan",
    "dockfra.core.plan": {"docker_host": "localhost", "services": "{{ ansible_play_hosts_all }}"},
    "delegate_to": "localhost",
    "run_once": True,
}
SETTLED: Task = {**PLAN, "dockfra.core.plan": {**PLAN["dockfra.core.plan"], "settled": True}}
OPERATOR_FILES: Task = {"name": "operator", "dockfra.core.operator_files": None, "run_once": True}
SERVICE_CONFIG: Task = {"name": "config", "dockfra.core.service_config": None}


def run(
    project: Project, engine: FakeEngine | None, tasks: list[Task], *arguments: str
) -> tuple[dict[str, dict[str, Any]], subprocess.CompletedProcess[str]]:
    """Run tasks; return the results by task and host (``task`` for one run once), and the whole run."""
    environment = {"DOCKER_HOST": engine.url} if engine else {}
    done = project.play(tasks, *arguments, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json", **environment)
    found: dict[str, dict[str, Any]] = {}
    text = done.stdout[done.stdout.index("{\n") :] if "{\n" in done.stdout else "{}"
    for play in json.loads(text).get("plays", []):
        for task in play["tasks"]:
            found[task["task"]["name"]] = task["hosts"]
    assert found, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return found, done


def only(results: dict[str, Any]) -> dict[str, Any]:
    """The result of a task that was run once."""
    assert len(results) == 1, results.keys()
    return dict(next(iter(results.values())))


@pytest.fixture
def site(project: Project) -> Project:
    """The project with a published port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    services = three_services()
    services["web"]["dockfra_ports"][0]["publish"] = port
    project.inventory(services)
    return project


def test_check_mode_shows_the_whole_plan_and_leaves_nothing_behind(site: Project, engine: FakeEngine) -> None:
    results, done = run(site, engine, [PLAN, SERVICE_CONFIG, OPERATOR_FILES], "--check", "--diff")
    assert done.returncode == 0, done.stdout
    plan = only(results["plan"])
    assert plan["changed"]
    assert {service["name"]: service["action"] for service in plan["services"]} == dict.fromkeys(
        ("store", "web", "cache"), "create"
    )
    assert plan["dockfra_pending"]["web"] == ["no container"]
    assert plan["dockfra_total"] == plan["total"] == 3
    heads = [pair["before_header"] for pair in plan["diff"]]
    assert {"network unit-back", "network unit-front", "volume unit-store-data", "store image"} <= set(heads)
    assert "web (create: no container)" in heads
    assert "memory: 134217728" in json.dumps([pair["after"] for pair in plan["diff"]])
    assert results["config"]["store"]["created"] == ["store.conf"]
    assert only(results["operator"])["changed"]
    assert not site.state.exists()
    assert not site.data.exists()
    assert all(request.startswith("GET ") for request in engine.requests)


@is_root
def test_a_platform_comes_to_be_as_planned_and_then_needs_nothing(site: Project, engine: FakeEngine) -> None:
    context: Task = {
        "name": "context",
        "dockfra.core.image_context": {
            "path": str(site.data / "build"),
            "sources": [["", str(site.root / "roles/web/files/image")]],
        },
        "run_once": True,
    }
    results, done = run(site, engine, [PLAN, SERVICE_CONFIG, context, OPERATOR_FILES])
    assert done.returncode == 0, done.stdout
    plan = only(results["plan"])
    assert not plan["changed"]  # a plan does nothing itself
    assert sorted(plan["stale_operator_files"]) == ["access.txt", "known_hosts", "ssh_config"]
    # What the roles do with it.
    for network in plan["networks"]:
        engine.networks[network["name"]] = fake_engine.network(
            network["name"], "unit", network["internal"], network["ipv6"], *network["subnets"]
        )
    engine.volumes = {name: {"dockfra.project": "unit"} for name in plan["volumes"]}
    for service in plan["services"]:
        for image in service["build"]:
            reference = f"{image['repository']}:{image['tag']}"
            engine.images[reference] = fake_engine.image(reference)
        engine.apply(service["container"])
    assert (site.data / "build/Dockerfile").read_text() == (
        site.root / "roles/web/files/image/Dockerfile"
    ).read_text()
    assert stat.S_IMODE((site.data / "build/Dockerfile").stat().st_mode) == 0o644
    config = site.data / "unit/services/store/store.conf"
    secret = (site.state / "secrets/store/writer").read_text().strip()
    assert secret in config.read_text()
    assert (config.stat().st_uid, stat.S_IMODE(config.stat().st_mode)) == (10001, 0o400)
    assert stat.S_IMODE(config.parent.stat().st_mode) == 0o500
    assert stat.S_IMODE(site.state.stat().st_mode) == 0o700
    # Contents are nowhere in what was shown.
    assert secret not in done.stdout + done.stderr

    (site.data / "unit/owner.json").write_text(json.dumps(plan["owner"]))

    store = {**SERVICE_CONFIG, "when": "inventory_hostname == 'store'"}
    results, done = run(site, engine, [SETTLED, store, context, OPERATOR_FILES], "-v")
    assert done.returncode == 0, done.stdout
    plan = only(results["plan"])
    assert (plan["work"], plan["services"], plan["stale_operator_files"]) == (False, [], [])
    changed = {
        name: [host for host, result in hosts.items() if result["changed"]] for name, hosts in results.items()
    }
    assert changed == {"plan": [], "config": [], "context": [], "operator": []}


def test_a_limit_plans_the_chosen_services_only_and_settled_means_nothing_is_left(
    site: Project, engine: FakeEngine
) -> None:
    engine.apply(
        {
            **_empty_spec("unit-gone"),
            "labels": {"dockfra.project": "unit", "dockfra.service": "gone"},
        }
    )
    results, done = run(site, engine, [PLAN, {**SETTLED, "name": "settled"}], "--check", "--limit", "web")
    plan = only(results["plan"])
    assert [service["name"] for service in plan["services"]] == ["web"]
    assert (plan["total"], plan["orphans"]) == (1, [])
    # And what is left to do is a failure where nothing may be.
    assert done.returncode != 0
    assert "web is not as declared: no container." in only(results["settled"])["dockfra_problems"]


def _empty_spec(name: str) -> dict[str, Any]:
    lists: dict[str, Any] = {
        key: [] for key in ("published_ports", "mounts", "tmpfs", "cap_drop", "security_opts")
    }
    return {
        **lists,
        "name": name,
        "image": "i:1",
        "hostname": name,
        "user": "",
        "env": {},
        "networks": [{"name": "n", "aliases": []}],
        "read_only": True,
        "memory": 0,
        "pids_limit": 0,
        "init": True,
        "restart_policy": "no",
        "log_driver": "json-file",
        "log_options": {},
    }


def test_a_wrong_inventory_is_refused_in_plain_lines_before_the_engine_is_asked(
    site: Project, engine: FakeEngine
) -> None:
    services = three_services()
    services["web"]["dockfra_memroy"] = "1g"
    services["cache"]["dockfra_uid"] = "many"
    site.inventory(services)
    results, done = run(site, engine, [PLAN])
    assert done.returncode != 0
    plan = only(results["plan"])
    assert plan["failed"]
    problems = plan["dockfra_problems"]
    assert len(problems) == 2
    assert (
        "web: the variable 'dockfra_memroy' is unknown; did you mean 'dockfra_memory'? (hosts.yml:29)"
        in problems
    )
    assert engine.requests == []
    assert not site.state.exists()


def test_an_engine_that_does_not_answer_is_planned_for(site: Project) -> None:
    site_without = {**PLAN, "environment": {"DOCKER_HOST": "unix:///nowhere/docker.sock"}}
    results, done = run(site, None, [site_without], "--check")
    assert done.returncode == 0, done.stdout
    plan = only(results["plan"])
    assert plan["engine_error"].startswith("The Docker Engine does not answer")
    assert len(plan["services"]) == 3


# One run at a time ---------------------------------------------------------------------------------------------------


def lock(project: Project, wait: int) -> Task:
    options = {"name": "unit", "directory": str(project.data / ".locks"), "wait": wait, "free": ["images"]}
    return {"name": "lock", "dockfra.core.run_lock": options, "run_once": True, "delegate_to": "localhost"}


def held(path: Path) -> Task:
    """A task that ends when a file appears."""
    command = {"cmd": f"sh -c 'until [ -e {path} ]; do sleep 0.05; done'"}
    return {"ansible.builtin.command": command, "run_once": True}


def test_the_lock_belongs_to_the_run_and_ends_with_it_finding_t6(project: Project, tmp_path: Path) -> None:
    found = WorkLock(project.data / ".locks", "project-unit")
    go = tmp_path / "go"
    runs = []
    try:
        first = project.start([lock(project, 0), held(go)])
        runs.append(first)
        deadline = time.monotonic() + 30
        while (holder := found.holder()) is None and time.monotonic() < deadline:
            assert first.poll() is None, first.communicate()
            time.sleep(0.05)
        assert holder is not None
        assert (holder.pid, holder.what) == (first.pid, f"play.yml in {project.root}")

        # Check mode looks and takes nothing; another run is told who is at it.
        results, done = run(project, None, [lock(project, 0)], "--check")
        assert done.returncode == 0
        results, done = run(project, None, [lock(project, 0)])
        assert done.returncode != 0
        message = only(results["lock"])["msg"]
        assert message.startswith(f"Somebody else works on the platform 'unit': {holder}.")

        second = project.start([lock(project, 60)])
        runs.append(second)
        assert second.stdout
        # Ends with the message, or with the run, whose output then lacks it.
        waiting = f"Another run works on this platform: {holder}"
        output = ""
        for line in second.stdout:
            output += line
            if waiting in line:
                break
        assert waiting in output, second.communicate()
        assert found.holder() == holder
        go.touch()
        assert first.wait(30) == 0
        rest, errors = second.communicate(timeout=30)
        assert second.returncode == 0, output + rest + errors
        assert found.holder() is None
    finally:
        go.touch()
        for started in runs:
            started.communicate(timeout=60)


def test_a_plan_comes_with_the_lock_or_not_at_all(site: Project, engine: FakeEngine, tmp_path: Path) -> None:
    locks = site.data / ".locks"
    plan: Task = {**PLAN, "dockfra.core.plan": {**PLAN["dockfra.core.plan"], "lock": True}}
    found = WorkLock(locks, "project-unit")
    with found.hold("somebody", "deploys"):
        results, done = run(site, engine, [plan])
        assert done.returncode == 0
        result = only(results["plan"])
        assert (result["locked"], "services" in result, engine.requests) == (False, False, [])
        # Who only looks is in nobody's way.
        assert only(run(site, engine, [plan], "--check")[0]["plan"])["locked"]

    go = tmp_path / "go"
    back: Task = {
        "name": "back",
        "dockfra.core.run_lock": {"name": "unit", "directory": str(locks), "state": "absent"},
        "run_once": True,
        "delegate_to": "localhost",
    }
    started = site.start([plan, held(go), back, held(tmp_path / "end")], DOCKER_HOST=engine.url)
    try:
        for file, holds in ((go, True), (tmp_path / "end", False)):
            deadline = time.monotonic() + 30
            while (found.holder() is not None) != holds and time.monotonic() < deadline:
                assert started.poll() is None, started.communicate()
                time.sleep(0.05)
            holder = found.holder()
            assert (holder is not None) == holds
            assert holder is None or holder.pid == started.pid
            file.touch()
        assert started.wait(30) == 0
    finally:
        for file in (go, tmp_path / "end"):
            file.touch()
        started.communicate(timeout=60)


def test_there_is_no_plan_where_others_could_write_locks(site: Project, engine: FakeEngine) -> None:
    locks = site.data / ".locks"
    locks.mkdir(parents=True)
    locks.chmod(0o777)
    results, done = run(
        site, engine, [{**PLAN, "dockfra.core.plan": {**PLAN["dockfra.core.plan"], "lock": True}}]
    )
    assert done.returncode != 0
    assert "cannot be trusted" in only(results["plan"])["msg"]
    assert engine.requests == []


def test_a_run_waits_while_images_are_removed(project: Project) -> None:
    with WorkLock(project.data / ".locks", "images").hold("somebody", "removes images"):
        results, done = run(project, None, [lock(project, 0)])
    assert done.returncode != 0
    assert "somebody" in only(results["lock"])["msg"]
    assert run(project, None, [lock(project, 0)])[1].returncode == 0
