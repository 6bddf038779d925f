# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What is read from a Docker Engine, over a real socket."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.containers import engine as library
from ansible_collections.dockfra.core.plugins.module_utils.containers.client import Client
from ansible_collections.dockfra.core.plugins.module_utils.errors import EngineError
from ansible_collections.dockfra.core.tests.unit import fake_engine
from ansible_collections.dockfra.core.tests.unit.fake_engine import FakeEngine


def spec(name: str, project: str = "p", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "image": "i:1",
        "hostname": name,
        "user": "1000:1000",
        "env": {},
        "networks": [{"name": "p-net", "aliases": []}],
        "published_ports": [],
        "mounts": [],
        "tmpfs": [],
        "read_only": True,
        "cap_drop": [],
        "security_opts": [],
        "memory": 0,
        "pids_limit": 0,
        "init": True,
        "restart_policy": "no",
        "log_driver": "json-file",
        "log_options": {},
        "labels": {"dockfra.project": project} if project else {},
        **changes,
    }


HEALTH = {"test": ["CMD", "/check"], "interval": "1s", "timeout": "1s", "start_period": "1s"}


@pytest.fixture
def client(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    return library.connect()


# Connecting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1", "rubbish", "ssh://"])
def test_no_engine_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(EngineError, match=r"^The Docker Engine does not answer: ") as caught:
        library.connect(timeout=2)
    assert "\n" not in str(caught.value)


def test_an_engine_that_refuses_is_told(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    engine.refuse = {"/_ping": 500}
    with pytest.raises(EngineError, match=r"does not answer.*refused with 500"):
        library.connect()


def test_something_else_on_the_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker.sock").touch()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(EngineError, match="does not answer"):
        library.connect()


# Reading -------------------------------------------------------------------------------------------------------------


def test_an_engine_with_nothing(client: Client) -> None:
    assert library.read_state(client, "p", ["p-db"], ["i:1"]) == {
        "engine_version": "20.10.24",
        "containers": {},
        "networks": {},
        "volumes": [],
        "images": {},
        "records": {},
        "published": {},
    }


def test_short_files_of_the_platforms_own_containers_are_read(engine: FakeEngine, client: Client) -> None:
    for name, project in (("p-web", "p"), ("p-long", "p"), ("p-none", "p"), ("p-taken", "")):
        engine.apply(spec(name, project=project))
    engine.files = {
        ("p-web", "/srv/a"): "größer\n".encode(),
        ("p-long", "/srv/a"): b"x" * 100_000,
        ("p-taken", "/srv/a"): b"of another",
    }
    names = ("p-web", "p-long", "p-none", "p-taken", "p-missing")
    state = library.read_state(client, "p", ["p-taken"], [], dict.fromkeys(names, "/srv/a"))
    assert state["records"] == {"p-web": "größer\n", "p-long": "x" * 16384}
    # What is only told stops no run.
    engine.refuse = {"/containers/p-web/archive": 500}
    assert list(
        library.read_state(client, "p", [], [], {"p-web": "/srv/a", "p-long": "/srv/a"})["records"]
    ) == ["p-long"]


def test_what_belongs_to_the_platform_or_has_its_names_is_read(engine: FakeEngine, client: Client) -> None:
    engine.apply(spec("p-db", healthcheck=HEALTH))
    engine.apply(spec("p-gone"), Status="exited")
    engine.apply(spec("p-taken", project=""))
    engine.apply(spec("other", project="other"))
    engine.networks = {
        name: fake_engine.network(name, project)
        for name, project in [("p-net", "p"), ("p-taken-net", ""), ("o-net", "other"), ("bridge", "")]
    }
    engine.volumes = {"p-data": {"dockfra.project": "p"}, "p-old": {}, "else": {}}
    state = library.read_state(client, "p", ["p-taken", "p-taken-net", "p-old"], ["i:1", "dockfra/x:1"])
    assert {name: (found["status"], found["ours"]) for name, found in state["containers"].items()} == {
        "p-db": ("healthy", True),
        "p-gone": ("exited", True),
        "p-taken": ("running", False),
    }
    assert state["containers"]["p-db"]["options"]["hostname"] == "p-db"
    assert {name: found["ours"] for name, found in state["networks"].items()} == {
        "p-net": True,
        "p-taken-net": False,
    }
    assert state["volumes"] == ["p-data", "p-old"]
    assert list(state["images"]) == ["i:1"]


def test_networks_are_told_with_their_settings(engine: FakeEngine, client: Client) -> None:
    engine.networks["a"] = fake_engine.network("a", "p", True, True, "fd00::/64")
    engine.networks["b"] = {
        **fake_engine.network("b", "p"),
        "IPAM": {"Config": None},
        "Labels": {"dockfra.project": "p"},
    }
    state = library.read_state(client, "p")
    assert state["networks"]["a"] == {
        "id": fake_engine.identity("network a"),
        "internal": True,
        "ipv6": True,
        "subnets": ["172.30.0.0/16", "fd00::/64"],
        "ours": True,
        "others": [],
    }
    assert state["networks"]["b"]["subnets"] == []


def test_who_else_is_on_a_network_is_told_finding_p1(engine: FakeEngine, client: Client) -> None:
    engine.networks["p-net"] = fake_engine.network("p-net", "p")
    engine.apply(spec("p-web", networks=[{"name": "p-net", "aliases": []}]))
    for project in ("other", ""):
        engine.apply(spec(f"{project}-x", project=project, networks=[{"name": "p-net", "aliases": []}]))
    assert library.read_state(client, "p")["networks"]["p-net"]["others"] == ["-x", "other-x"]


def test_published_ports_say_who(engine: FakeEngine, client: Client) -> None:
    engine.apply(spec("p-web", published_ports=["127.0.0.1:80:80/tcp"]))
    engine.apply(spec("other", project="other", published_ports=["0.0.0.0:81:80/tcp"]))
    assert library.read_state(client, "p")["published"] == {"80": library.OWN, "81": "container other"}


def test_a_container_removed_while_it_is_read_is_not_there(
    engine: FakeEngine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.apply(spec("p-db"))
    gone = engine.apply(spec("p-gone"))
    monkeypatch.setattr(
        engine, "find", lambda name: None if name == gone["Id"] else engine.containers.get("p-db")
    )
    assert list(library.read_state(client, "p")["containers"]) == ["p-db"]


@pytest.mark.parametrize("path", ["/containers/json", "/networks", "/volumes", "/images", "/version"])
def test_a_request_that_is_refused_is_told(engine: FakeEngine, client: Client, path: str) -> None:
    engine.refuse = {path: 500}
    with pytest.raises(EngineError, match=r"^The Docker Engine refuses to answer: .*refused with 500"):
        library.read_state(client, "p", [], ["i:1"])


def test_an_engine_that_ends_meanwhile_is_told(
    engine: FakeEngine, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As when the daemon is stopped: the kept connection is closed, and a new one finds nothing.
    client.close()
    engine.socket.unlink()
    with pytest.raises(EngineError, match="refuses to answer"):
        library.read_state(client, "p")


# Waiting -------------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_POLL_SECONDS", 0.02)


def test_a_healthy_or_running_container_is_ready(engine: FakeEngine, client: Client) -> None:
    engine.apply(spec("p-db", healthcheck=HEALTH))
    engine.apply(spec("p-plain"))
    library.wait_ready(client, "p-db", "db", 0, 5)
    library.wait_ready(client, "p-plain", "plain", 0, 5)


def test_it_waits_until_the_container_is_healthy(engine: FakeEngine, client: Client) -> None:
    details = engine.apply(spec("p-db", healthcheck=HEALTH), Health={"Status": "starting", "Log": []})
    threading.Timer(0.2, lambda: details["State"].update(Health={"Status": "healthy"})).start()
    library.wait_ready(client, "p-db", "db", 20, 5)
    assert details["State"]["Health"] == {"Status": "healthy"}


def test_one_that_never_becomes_healthy_says_why(engine: FakeEngine, client: Client) -> None:
    checks = [{"Output": "an old one"}, {"Output": "  connection refused\n"}]
    engine.apply(spec("p-db", healthcheck=HEALTH), Health={"Status": "unhealthy", "Log": checks})
    engine.logs["p-db"] = "first\nsecond\nFATAL: größer\n"
    with pytest.raises(EngineError) as caught:
        library.wait_ready(client, "p-db", "db", 0.1, 2)
    text = str(caught.value)
    assert text.startswith("db is not ready after 0 s. Its container p-db is unhealthy.")
    assert "connection refused" in text
    assert "an old one" not in text
    assert text.endswith("second\nFATAL: größer")
    assert "first" not in text


@pytest.mark.parametrize(
    "check",
    [
        {
            "ExitCode": -1,
            "Output": 'OCI runtime exec failed: exec: "nosuch": executable file not found in $PATH',
        },
        {"ExitCode": 127, "Output": "sh: 1: nosuch: not found"},
        {"ExitCode": 126, "Output": "permission denied"},
    ],
)
def test_an_image_without_its_health_check_fails_at_once_finding_p12(
    engine: FakeEngine, client: Client, check: dict[str, Any]
) -> None:
    engine.apply(spec("p-db", healthcheck=HEALTH), Health={"Status": "starting", "Log": [check]})
    began = time.monotonic()
    with pytest.raises(EngineError, match=r"db cannot become healthy: .* lacks the program .*dockfra_health"):
        library.wait_ready(client, "p-db", "db", 60, 5)
    assert time.monotonic() - began < 30


def test_one_that_ends_again_and_again_is_given_up_early(engine: FakeEngine, client: Client) -> None:
    details = engine.apply(spec("p-db"), Status="restarting")
    details["RestartCount"] = 7  # from before

    def crash() -> None:
        for _time in range(3):
            time.sleep(0.05)
            details["RestartCount"] += 1

    threading.Thread(target=crash).start()
    began = time.monotonic()
    with pytest.raises(
        EngineError, match=r"^db ends again and again\. Its container p-db is restarting\. .*log is empty"
    ):
        library.wait_ready(client, "p-db", "db", 60, 5)
    assert time.monotonic() - began < 10


def test_one_that_has_ended_is_not_ready(engine: FakeEngine, client: Client) -> None:
    engine.apply(spec("p-db"), Status="exited")
    engine.logs["p-db"] = "boom\n"
    with pytest.raises(EngineError, match=r"(?s)is exited\..*boom"):
        library.wait_ready(client, "p-db", "db", 0, 5)


def test_one_that_is_gone_is_told(client: Client) -> None:
    with pytest.raises(EngineError, match=r"db: the container p-db is gone. Run the playbook again."):
        library.wait_ready(client, "p-db", "db", 10, 5)


def test_a_log_that_cannot_be_read_is_no_reason_to_say_nothing(engine: FakeEngine, client: Client) -> None:
    details = engine.apply(spec("p-db"), Status="exited")
    engine.refuse = {f"/containers/{name}/logs": 500 for name in ("p-db", details["Id"])}
    with pytest.raises(EngineError, match=r"(?s)p-db is exited\..*cannot be read: .*refused with 500"):
        library.wait_ready(client, "p-db", "db", 0, 5)


def test_an_engine_that_refuses_while_waiting_is_told(engine: FakeEngine, client: Client) -> None:
    engine.refuse = {"/containers": 500}
    with pytest.raises(EngineError, match=r"^db: the Docker Engine refuses to answer"):
        library.wait_ready(client, "p-db", "db", 0, 5)
