# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A container as declared and the same container as Docker tells it have equal options, and no change by hand goes unseen."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.containers import labels
from ansible_collections.dockfra.core.plugins.module_utils.containers import options as containers
from ansible_collections.dockfra.core.tests.unit import fake_engine

FIXTURES = Path(__file__).resolve().parents[3] / "fixtures"
IMAGE = fake_engine.image(
    "dockfra/db:1", Env=["PATH=/bin", "LANG=C"], Cmd=["serve"], Labels={"dockfra.managed": "true"}
)

SPEC: dict[str, Any] = {
    "name": "p-db",
    "image": "dockfra/db:1",
    "hostname": "p-db",
    "user": "10006:10006",
    "env": {"LANG": "C.UTF-8", "SIZE": 5},
    "networks": [{"name": "p-back", "aliases": ["db", "db.back"]}, {"name": "p-front", "aliases": []}],
    "published_ports": ["127.0.0.1:5432:5432/tcp", "[::1]:80:8080/tcp"],
    "mounts": [
        {"type": "volume", "source": "p-db-data", "target": "/data", "read_only": False},
        {"type": "bind", "source": "/srv/db", "target": "/etc/dockfra", "read_only": True},
    ],
    "tmpfs": ["/tmp:rw,size=64m", "/run:rw,size=64m"],
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opts": ["no-new-privileges"],
    "memory": 268435456,
    "memory_swap": 268435456,
    "stop_timeout": 10,
    "pids_limit": 128,
    "sysctls": {"net.ipv6.conf.all.disable_ipv6": "1"},
    "init": True,
    "restart_policy": "unless-stopped",
    "log_driver": "json-file",
    "log_options": {"max-size": "10m", "max-file": "3"},
    "labels": {
        "dockfra.project": "p",
        "dockfra.service": "db",
        "dockfra.config": "c",
        "dockfra.revision": "r",
    },
    "healthcheck": {"test": ["CMD", "/check"], "interval": "10s", "timeout": "5s", "start_period": "60s"},
}


def wanted(**changes: Any) -> dict[str, Any]:
    return containers.wanted({**SPEC, **changes}, containers.image_defaults(IMAGE))


def observed(change: Callable[[dict[str, Any]], object] = lambda details: None) -> dict[str, Any]:
    details = copy.deepcopy(fake_engine.container(SPEC, IMAGE))
    change(details)
    return containers.observed(details)


def test_a_container_made_from_its_specification_does_not_differ() -> None:
    assert containers.differences(wanted(), observed()) == {}


def test_both_sides_have_the_same_settings() -> None:
    assert set(wanted()) == set(observed())


# A real container, as Docker Engine 20.10 described it ---------------------------------------------------------------


def specification(details: dict[str, Any], **own: Any) -> dict[str, Any]:
    """What the planner says of a service of the platform the samples come from."""
    return {
        "name": details["Name"].lstrip("/"),
        "hostname": details["Name"].lstrip("/"),
        "env": {},
        "tmpfs": [f"{path}:rw,noexec,nosuid,nodev,size=64m,mode=1777" for path in ("/tmp", "/run")],
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opts": ["no-new-privileges"],
        "memory": 256 * 2**20,
        "memory_swap": 256 * 2**20,
        "stop_timeout": 10,
        "pids_limit": 128,
        "init": True,
        "restart_policy": "unless-stopped",
        "log_driver": "json-file",
        "log_options": {"max-size": "10m", "max-file": "3"},
        "labels": {
            key: text for key, text in details["Config"]["Labels"].items() if key != "dockfra.managed"
        },
        "healthcheck": {
            "test": ["CMD", "/usr/local/bin/healthcheck"],
            "interval": "10s",
            "timeout": "10s",
            "start_period": "60s",
        },
        **own,
    }


def mounts(volume: str, path: str, service: str) -> list[dict[str, Any]]:
    directory = f"/var/lib/dockfra/dockfra/services/{service}"
    return [
        {"type": "volume", "source": volume, "target": path, "read_only": False},
        {"type": "bind", "source": directory, "target": "/etc/dockfra", "read_only": True},
    ]


@pytest.mark.parametrize(
    ("name", "own"),
    [
        (
            "dockfra-db",
            {
                "user": "10006:10006",
                "networks": [{"name": "dockfra-backend-net", "aliases": ["db", "db.backend-net"]}],
                "published_ports": ["127.0.0.1:5432:5432/tcp"],
                "mounts": mounts("dockfra-db-data", "/var/lib/postgresql/data", "db"),
            },
        ),
        (
            "dockfra-ssh-monitor",
            {
                "user": "10013:10013",
                "networks": [
                    {"name": f"dockfra-{name}-net", "aliases": aliases}
                    for name, aliases in [
                        ("mgmt", ["ssh-monitor", "ssh-monitor.mgmt-net"]),
                        ("shared", ["ssh-monitor", "ssh-monitor.shared-net"]),
                        ("ssh", []),
                        ("proxy", []),
                        ("backend", []),
                        ("frontend", []),
                        ("rpi3", []),
                    ]
                ],
                "published_ports": ["127.0.0.1:2201:2222/tcp"],
                "mounts": mounts("dockfra-monitor-home", "/home/monitor", "ssh-monitor"),
            },
        ),
    ],
)
def test_a_real_container_is_as_declared(name: str, own: dict[str, Any]) -> None:
    sample = json.loads((FIXTURES / f"{name}.json").read_text())
    details, image = sample["container"], containers.image_defaults(sample["image"])
    view = containers.wanted(specification(details, **own), image)
    assert containers.differences(view, containers.observed(details)) == {}
    assert containers.status(details) == "healthy"


# Changes by hand -----------------------------------------------------------------------------------------------------

CHANGES: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("image", lambda c: c.update(Image="sha256:other")),
    ("hostname", lambda c: c["Config"].update(Hostname="other")),
    ("user", lambda c: c["Config"].update(User="")),
    ("user", lambda c: c["Config"].update(User="0:0")),
    ("env", lambda c: c["Config"]["Env"].append("DEBUG=1")),
    ("env", lambda c: c["Config"]["Env"].remove("SIZE=5")),
    ("env", lambda c: c["Config"].update(Env=None)),
    ("command", lambda c: c["Config"].update(Cmd=["sh"])),
    ("command", lambda c: c["Config"].update(Cmd=None)),
    ("entrypoint", lambda c: c["Config"].update(Entrypoint=["sh"])),
    ("healthcheck", lambda c: c["Config"].pop("Healthcheck")),
    ("healthcheck", lambda c: c["Config"]["Healthcheck"].update(Test=["CMD", "true"])),
    ("healthcheck", lambda c: c["Config"]["Healthcheck"].update(Interval=60_000_000_000)),
    ("healthcheck", lambda c: c["Config"]["Healthcheck"].pop("Timeout")),
    ("healthcheck", lambda c: c["Config"]["Healthcheck"].update(StartPeriod=0)),
    ("labels", lambda c: c["Config"]["Labels"].update({"dockfra.revision": "other"})),
    ("labels", lambda c: c["Config"]["Labels"].pop("dockfra.config")),
    ("networks", lambda c: c["NetworkSettings"]["Networks"].pop("p-front")),
    ("networks", lambda c: c["NetworkSettings"]["Networks"].update(bridge={"Aliases": None})),
    ("networks", lambda c: c["NetworkSettings"]["Networks"]["p-front"]["Aliases"].append("redis")),
    ("networks", lambda c: c["NetworkSettings"]["Networks"]["p-back"].update(Aliases=None)),
    ("mounts", lambda c: c["Mounts"].pop()),
    ("mounts", lambda c: c["Mounts"][1].update(RW=True)),
    ("mounts", lambda c: c["Mounts"][0].update(Name="other")),
    (
        "mounts",
        lambda c: c["Mounts"].append({"Type": "bind", "Source": "/", "Destination": "/host", "RW": True}),
    ),
    ("tmpfs", lambda c: c["HostConfig"]["Tmpfs"].pop("/run")),
    ("tmpfs", lambda c: c["HostConfig"]["Tmpfs"].update({"/tmp": "rw,exec"})),
    ("tmpfs", lambda c: c["HostConfig"].update(Tmpfs=None)),
    ("published_ports", lambda c: c["HostConfig"]["PortBindings"].pop("8080/tcp")),
    ("published_ports", lambda c: c["HostConfig"]["PortBindings"]["5432/tcp"][0].update(HostIp="")),
    ("published_ports", lambda c: c["HostConfig"]["PortBindings"]["5432/tcp"][0].update(HostPort="5433")),
    (
        "published_ports",
        lambda c: c["HostConfig"]["PortBindings"].update({"53/udp": [{"HostIp": "", "HostPort": "53"}]}),
    ),
    ("published_ports", lambda c: c["HostConfig"].update(PortBindings=None)),
    ("read_only", lambda c: c["HostConfig"].update(ReadonlyRootfs=False)),
    ("privileged", lambda c: c["HostConfig"].update(Privileged=True)),
    ("capabilities", lambda c: c["HostConfig"].update(CapAdd=["NET_ADMIN"])),
    ("cap_drop", lambda c: c["HostConfig"].update(CapDrop=None)),
    ("security_opts", lambda c: c["HostConfig"].update(SecurityOpt=None)),
    (
        "security_opts",
        lambda c: c["HostConfig"].update(SecurityOpt=["no-new-privileges", "seccomp=unconfined"]),
    ),
    ("groups", lambda c: c["HostConfig"].update(GroupAdd=["docker"])),
    ("devices", lambda c: c["HostConfig"].update(Devices=[{"PathOnHost": "/dev/sda"}])),
    ("host_namespaces", lambda c: c["HostConfig"].update(NetworkMode="host")),
    ("host_namespaces", lambda c: c["HostConfig"].update(PidMode="host")),
    ("host_namespaces", lambda c: c["HostConfig"].update(IpcMode="host")),
    ("host_namespaces", lambda c: c["HostConfig"].update(UTSMode="host")),
    ("memory", lambda c: c["HostConfig"].update(Memory=0)),
    ("memory_swap", lambda c: c["HostConfig"].update(MemorySwap=-1)),
    ("stop_timeout", lambda c: c["Config"].update(StopTimeout=None)),
    ("other_limits", lambda c: c["HostConfig"].update(NanoCpus=100_000_000)),
    ("sysctls", lambda c: c["HostConfig"].update(Sysctls=None)),
    ("pids_limit", lambda c: c["HostConfig"].update(PidsLimit=None)),
    ("cpu_shares", lambda c: c["HostConfig"].update(CpuShares=100)),
    ("init", lambda c: c["HostConfig"].update(Init=None)),
    ("restart_policy", lambda c: c["HostConfig"].update(RestartPolicy={"Name": "no"})),
    ("restart_policy", lambda c: c["HostConfig"].update(RestartPolicy=None)),
    ("log_driver", lambda c: c["HostConfig"]["LogConfig"].update(Type="none")),
    ("log_options", lambda c: c["HostConfig"]["LogConfig"].update(Config={"max-size": "10m"})),
]


@pytest.mark.parametrize(("setting", "change"), CHANGES)
def test_a_change_by_hand_is_seen_and_nothing_else(
    setting: str, change: Callable[[dict[str, Any]], object]
) -> None:
    differences = containers.differences(wanted(), observed(change))
    assert list(differences) == [setting]
    assert differences[setting] == (wanted()[setting], observed(change)[setting])


def test_every_setting_is_tried_above() -> None:
    assert {setting for setting, _change in CHANGES} == set(wanted())


def test_what_is_no_difference() -> None:
    def shuffle(details: dict[str, Any]) -> None:
        details["Config"]["Env"].reverse()
        details["Mounts"].reverse()
        details["Config"]["Labels"]["org.opencontainers.image.title"] = "from the image"
        details["Config"]["Labels"]["dockfra.managed"] = "true"
        networks = details["NetworkSettings"]["Networks"]
        details["NetworkSettings"]["Networks"] = dict(reversed(networks.items()))
        networks["p-back"]["Aliases"].reverse()
        details["Mounts"].append({"Type": "tmpfs", "Source": "", "Destination": "/tmp", "RW": True})

    assert containers.differences(wanted(), observed(shuffle)) == {}


# Wanted values ---------------------------------------------------------------------------------------------------------------


def test_the_specification_wins_over_the_image() -> None:
    assert wanted()["env"] == {"PATH": "/bin", "LANG": "C.UTF-8", "SIZE": "5"}
    assert wanted()["command"] == ["serve"]
    assert wanted(command=["sh"])["command"] == ["sh"]
    assert wanted(healthcheck=None)["healthcheck"] is None


def test_without_the_image_nothing_is_made_up() -> None:
    view = containers.wanted(SPEC, None)
    assert (view["image"], view["entrypoint"], view["command"]) == ("not built yet", None, None)
    assert "image" in containers.differences(view, observed())


def test_capabilities_and_groups_are_compared_when_declared() -> None:
    view = wanted(capabilities=["NET_BIND_SERVICE"], groups=[999])
    assert containers.differences(view, observed()) == {
        "capabilities": (["NET_BIND_SERVICE"], []),
        "groups": (["999"], []),
    }


def test_what_is_handed_over_is_the_specification_and_how_to_compare_it() -> None:
    given = containers.arguments(SPEC)
    assert {key: given[key] for key in SPEC} == SPEC
    assert given["network_mode"] == "p-back"
    assert {"env", "mounts", "groups", "networks"} <= set(given["comparisons"])
    assert set(given["comparisons"].values()) == {"strict"}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"Status": "running"}, "running"),
        ({"Status": "running", "Health": {"Status": "starting"}}, "starting"),
        ({"Status": "running", "Health": {"Status": "unhealthy"}}, "unhealthy"),
        ({"Status": "exited", "Health": {"Status": "unhealthy"}}, "exited"),
        ({"Status": "paused", "Health": {"Status": "healthy"}}, "paused"),
        ({"Status": "running", "Health": None}, "running"),
    ],
)
def test_status(state: dict[str, Any], expected: str) -> None:
    assert containers.status({"State": state}) == expected


def test_an_image_without_anything() -> None:
    empty: dict[str, Any] = {"id": "sha256:x", "env": [], "command": None, "entrypoint": None}
    assert containers.image_defaults({"Id": "sha256:x", "Config": None}) == empty
    assert containers.image_defaults({"Id": "sha256:x", "Config": {"Env": None}}) == empty


def test_a_digest_is_short_and_depends_on_everything_but_order() -> None:
    assert labels.digest({"a": 1, "b": [2]}) == labels.digest({"b": [2], "a": 1})
    assert (
        len({labels.digest(value) for value in ({}, [], "", None, {"a": 1}, {"a": "1"}, [1, 2], [2, 1])}) == 8
    )
    assert len(labels.digest({})) == 16
