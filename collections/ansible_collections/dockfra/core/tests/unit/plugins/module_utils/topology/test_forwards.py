# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a key may be led to through an SSH server, and what nobody can mean."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.topology import forwards as ways
from ansible_collections.dockfra.core.plugins.module_utils.topology.model import Service
from ansible_collections.dockfra.core.plugins.module_utils.topology.problems import problems
from ansible_collections.dockfra.core.plugins.module_utils.topology.topology import Topology


def make(name: str, *networks: str, **variables: Any) -> Service:
    values = {
        "dockfra_networks": list(networks),
        "dockfra_user": "app",
        "dockfra_uid": 10000 + zlib.crc32(name.encode()) % 50000,
        **{f"dockfra_{key}": value for key, value in variables.items()},
    }
    return Service.from_variables(name, values, dict.fromkeys(values, "topology.yml:1"))


def found(*services: Service) -> list[str]:
    return problems(Topology("p", services))


PROXY = make("proxy", "front", reverse_proxy=True, ports=[{"name": "https", "port": 443}])
DB = make("db", "back-net", ports=[{"name": "postgres", "port": 5432}])
SSH = {"name": "ssh", "port": 2222}
SOURCE = make("source", "front", ports=[{"name": "http", "port": 80}], release={"target": "t", "path": "s"})
DEVICE = make(
    "pi",
    "pi-net",
    ports=[SSH, {"name": "vnc", "port": 5900, "loopback": True}],
    ssh_logins=["bastion"],
    device={"runs": "source"},
)


def bastion(forwards: Any, publish: int | None = 2224, **variables: Any) -> Service:
    return make(
        "bastion",
        *("out-net", "pi-net", "front"),
        ports=[{**SSH, "publish": publish}],
        ssh_client_key="bastion",
        ssh_forwards=forwards,
        release_targets=["t"],
        **variables,
    )


@pytest.mark.parametrize(
    "forwards",
    [
        {"operator": ["pi:ssh"]},
        {"operator": ["devices"]},
        {"operator": "devices"},
        {"operator": ["source:http"]},
        {},
    ],
)
def test_a_forward_to_what_is_there_is_fine(forwards: dict[str, Any]) -> None:
    assert found(PROXY, SOURCE, DEVICE, bastion(forwards)) == []


@pytest.mark.parametrize(
    ("forwards", "message"),
    [
        (
            {"operator": ["bi:ssh"]},
            "leads 'operator' to 'bi:ssh', but there is no service 'bi'. Did you mean 'pi'?",
        ),
        (
            {"operator": ["pi:shs"]},
            "leads 'operator' to 'pi:shs', where nothing listens; dockfra_ports of pi has ssh, vnc. Did you mean 'ssh'?",
        ),
        (
            {"operator": ["pi:vnc"]},
            "leads 'operator' to 'pi:vnc', and bastion shares no network on which that listens (none but a tunnel of its "
            "own); add one to dockfra_networks, or take it out.",
        ),
        (
            {"operator": ["db:postgres"]},
            "leads 'operator' to 'db:postgres', and bastion shares no network on which that listens (back-net); add one to "
            "dockfra_networks, or take it out.",
        ),
        (
            {"operator": ["pi"]},
            "leads 'operator' to 'pi'; write a service and the name of its port, like rpi3:ssh, or devices for the SSH port "
            "of each device that gets its releases from here.",
        ),
    ],
)
def test_a_forward_to_nowhere_is_told(forwards: dict[str, Any], message: str) -> None:
    assert found(PROXY, SOURCE, DEVICE, DB, bastion(forwards)) == [
        f"bastion: dockfra_ssh_forwards {message} (topology.yml:1)"
    ]


def test_a_key_that_opens_something_else_gets_no_forward() -> None:
    monitor = make("monitor", "out-net", ssh_client_key="monitor")
    through = bastion({"monitor": ["devices"]}, ssh_logins=["monitor"])
    (problem,) = found(PROXY, SOURCE, DEVICE, monitor, through)
    assert problem.startswith(
        "bastion: dockfra_ssh_forwards names the key 'monitor', which opens something else here"
    )
    (problem,) = found(PROXY, SOURCE, DEVICE, bastion({"ghost": ["devices"]}))
    assert problem.startswith(
        "bastion: admits the key 'ghost', but no service has it as dockfra_ssh_client_key"
    )


def test_a_forward_needs_a_server_that_its_key_reaches() -> None:
    (problem,) = found(PROXY, SOURCE, DEVICE, bastion({"operator": ["devices"]}, publish=None))
    assert "which comes from the controller, and no SSH port here is published" in problem
    (problem,) = found(PROXY, make("deaf", "front", ssh_forwards={"operator": ["proxy:https"]}))
    assert problem.startswith("deaf: has dockfra_ssh_forwards, but no port that speaks SSH")


def test_the_operators_key_lives_in_no_container() -> None:
    (problem,) = found(PROXY, make("me", "front", ssh_client_key="operator"))
    assert problem.startswith(
        "me: dockfra_ssh_client_key is 'operator', which is that of the person at the controller"
    )


def test_what_is_permitted_is_what_the_client_asks_for() -> None:
    real = make(
        "pi",
        "pi-net",
        ports=[SSH],
        ssh_logins=["bastion"],
        device={"runs": "source"},
        address="fd00::7",
        ssh_port=2022,
        ssh_user="me",
        host_key="ssh-ed25519 " + "A" * 68,
    )
    other = make("pi-4", "pi-net", ports=[SSH], ssh_logins=["bastion"], device={"runs": "source"})
    through = bastion({"operator": ["pi-4:ssh", "devices"]}, ssh_tunnels={"vnc": "bastion:2222"})
    vnc = make("vnc", "out-net", ssh_client_key="vnc")
    topology = Topology("p", [PROXY, SOURCE, real, other, through, vnc])
    assert problems(topology) == []
    assert ways.permitted(topology, "bastion") == {
        "vnc": ["bastion:2222"],
        "operator": ["pi-4:2222", "[fd00::7]:2022"],
    }
    assert ways.permitted(topology, "pi") == {}
    told = [(way.name, way.user, way.host, way.port, way.through) for way in ways.operator_ways(topology)]
    assert told == [("pi-4", "app", "pi-4", 2222, "bastion"), ("pi", "me", "fd00::7", 2022, "bastion")]
