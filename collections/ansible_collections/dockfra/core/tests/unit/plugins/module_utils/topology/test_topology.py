# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What follows from an inventory, and what is refused in one."""

from __future__ import annotations

import ipaddress
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.module_utils.backups.parts import Source
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.module_utils.topology.backups import sources
from ansible_collections.dockfra.core.plugins.module_utils.topology.model import (
    Edge,
    Reach,
    Service,
    Volume,
)
from ansible_collections.dockfra.core.plugins.module_utils.topology.ports import Port
from ansible_collections.dockfra.core.plugins.module_utils.topology.problems import problems as problems_of
from ansible_collections.dockfra.core.plugins.module_utils.topology.topology import Topology

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGV4YW1wbGVleGFtcGxlZXhhbXBsZWV4YW1wbGVleGFt device"


def make(name: str, *networks: str, uid: int | None = None, **variables: Any) -> Service:
    values = {f"dockfra_{key}": value for key, value in variables.items()}
    own = 10000 + zlib.crc32(name.encode()) % 50000 if uid is None else uid
    return Service.from_variables(name, {"dockfra_networks": list(networks), "dockfra_uid": own, **values})


def port(name: str, number: int, publish: int | None = None, *networks: str) -> dict[str, Any]:
    return {
        "name": name,
        "port": number,
        **({"publish": publish} if publish is not None else {}),
        **({"networks": list(networks)} if networks else {}),
    }


def problems(
    *services: Service, project: str = "dockfra", options: dict[str, Any] | None = None
) -> list[str]:
    return problems_of(Topology(project, services, options))


# From variables ------------------------------------------------------------------------------------------------------


def test_a_port_listens_on_all_networks_of_its_service_unless_it_names_some() -> None:
    service = make("web", "a", "b", ports=[port("http", 80), port("admin", 81, None, "b")])
    assert service.port("http") == Port("http", 80, None, ("a", "b"))
    assert service.port("admin").networks == ("b",)
    with pytest.raises(KeyError):
        service.port("https")


def test_the_offset_moves_published_ports_only() -> None:
    service = make("web", "a", ports=[port("http", 80, 8080), port("admin", 81)], port_offset=1000)
    assert [(entry.number, entry.publish) for entry in service.ports] == [(80, 9080), (81, None)]


def test_it_listens_on_networks_in_the_order_of_the_inventory() -> None:
    service = make("web", "c", "a", "b", ports=[port("http", 80, None, "a"), port("admin", 81, None, "c")])
    assert service.listen_networks == ("c", "a")
    assert [service.host_on(network) for network in service.listen_networks] == ["web.c", "web.a"]


def test_names_on_the_docker_host_carry_the_project() -> None:
    topology = Topology("two", [make("web", "a")])
    assert topology.container_name("web") == "two-web"
    assert topology.network_name("a") == "two-a"
    assert topology.volume_name("data") == "two-data"


# Gateways ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("networks", "options", "expected"),
    [
        (("b", "a"), {}, "a"),  # a tie: Docker takes the first name
        (("b", "a"), {"b": {"gateway": True}}, "b"),
        (("c", "b", "a"), {"b": {"gateway": True}, "c": {"gateway": True}}, "b"),  # a tie among gateways
        (("b", "a"), {"a": {"internal": True}}, "b"),
        (("b", "a"), {"a": {"internal": True, "gateway": True}}, "b"),  # no way out of an internal network
        (("b", "a"), {"a": {"internal": True}, "b": {"internal": True}}, None),
        (("a-net", "Z-net", "a.net"), {}, "Z-net"),  # byte order, capitals first
        ((), {}, None),
    ],
)
def test_the_gateway_network_is_dockers_choice(
    networks: tuple[str, ...], options: dict[str, Any], expected: str | None
) -> None:
    service = make("web", *networks)
    assert Topology("p", [service], options).gateway_network(service) == expected


# Edges and peers -----------------------------------------------------------------------------------------------------


def test_edges_need_a_shared_network_on_which_the_listener_listens() -> None:
    topology = Topology(
        "p",
        [
            make("bastion", "ssh", "web", ports=[port("ssh", 2222, None, "ssh")]),
            make("monitor", "ssh"),
            make("web", "web", ports=[port("http", 80)]),
            make("stranger", "other"),
        ],
    )
    assert topology.edges() == {Edge("monitor", "bastion", 2222, "ssh"), Edge("bastion", "web", 80, "web")}


def test_a_real_device_has_no_edges_and_no_container_but_is_a_peer() -> None:
    device = make("pi", "iot", ports=[port("ssh", 2222)], address="192.0.2.7", host_key=HOST_KEY)
    caller = make("caller", "iot")
    topology = Topology("p", [device, caller])
    assert topology.edges() == set()
    assert list(topology.containers()) == [caller]
    assert topology.ssh_peers("caller") == [device]
    assert problems_of(topology) == []


def test_ssh_peers_are_those_reachable_over_ssh_in_the_order_of_the_inventory() -> None:
    services = [
        make("z", "a", ports=[port("ssh", 2222)]),
        make("me", "a", "b", ports=[port("ssh", 2222)]),
        make("hidden", "a", "c", ports=[port("ssh", 2222, None, "c")]),
        make("web", "a", ports=[port("http", 80)]),
        make("b", "b", ports=[port("ssh", 22)]),
    ]
    assert [peer.name for peer in Topology("p", services).ssh_peers("me")] == ["z", "b"]


def test_ports_are_reachable_over_a_shared_network_on_which_they_listen() -> None:
    topology = Topology(
        "p",
        [
            make("me", "a", "b", ports=[port("ssh", 2222, None, "a")]),
            make("web", "a", "c", ports=[port("https-page", 443), port("metrics", 9000, None, "c")]),
            make("hidden", "a", "c", ports=[port("http", 80, None, "c")]),
            make("db", "b", ports=[port("postgres", 5432)]),
            make("silent", "a", "b"),
        ],
    )
    assert topology.reachable_ports("me") == [
        Reach("me", "ssh", "ssh", "me", 2222),
        Reach("web", "https-page", "https", "web", 443),
        Reach("db", "postgres", "postgres", "db", 5432),
    ]


def test_a_port_on_some_of_the_shared_networks_is_found_by_the_name_it_has_on_one_of_them() -> None:
    """The plain name may lead to an address where only the other port listens."""
    both = make("both", "a", "b", ports=[port("http", 80), port("admin", 81, None, "b")])
    assert Topology("p", [make("me", "a", "b"), both]).reachable_ports("me") == [
        Reach("both", "http", "http", "both", 80),
        Reach("both", "admin", "tcp", "both.b", 81),
    ]


def test_a_real_device_is_reachable_at_its_own_address() -> None:
    device = make(
        "pi", "iot", ports=[port("ssh", 2222)], address="192.0.2.7", ssh_port=2022, host_key=HOST_KEY
    )
    assert Topology("p", [device, make("me", "iot")]).reachable_ports("me") == [
        Reach("pi", "ssh", "ssh", "192.0.2.7", 2022)
    ]


def test_a_reader_has_the_audit_logs_of_its_host_and_others_have_their_own() -> None:
    policy = Policy({}, {"look": {"at": {"one": ["two"], "two": ["one"], "far": ["one"]}}})
    topology = Topology(
        "p",
        [
            make("one", "a", reads_audit=True, volumes=[{"name": "home", "path": "/home"}]),
            make("two", "a"),
            make("far", "a", docker_host="elsewhere"),
            make("none", "a", reads_audit=True),
        ],
        policy=policy,
    )
    assert [topology.audit_logs(name) for name in ("one", "two", "far", "none")] == [
        ["one", "two"],
        ["two"],
        ["far"],
        ["one", "two"],
    ]
    assert topology.volumes("one") == [
        Volume("home", "/home"),
        Volume("audit-one", "/shared/logs/audit", backup="files"),
        Volume("audit-two", "/shared/logs/others/two", read_only=True),
    ]


def test_a_backup_takes_what_is_said_once_from_its_writer_and_audit_logs_last() -> None:
    policy = Policy({}, {"look": {"at": {"one": ["two"]}}})
    volumes = [
        {"name": "home", "path": "/home", "backup": "files"},
        {"name": "cache", "path": "/cache"},
    ]
    topology = Topology(
        "p",
        [
            make("one", "a", uid=10001, volumes=volumes),
            make("two", "a", uid=10002, volumes=[{**volumes[0], "read_only": True}]),
            make("db", "a", uid=10003, volumes=[{"name": "rows", "path": "/data", "backup": "postgres"}]),
            make("far", "a", docker_host="elsewhere", volumes=[{**volumes[0], "name": "other"}]),
        ],
        policy=policy,
    )
    assert sources(topology, "localhost") == [
        Source("home", "files", "p-one", "/home", 10001),
        Source("rows", "postgres", "p-db", "/data", 10003),
        Source("audit-one", "files", "p-one", "/shared/logs/audit", 10001),
    ]
    assert [source.volume for source in sources(topology, "elsewhere")] == ["other"]


def test_only_callers_with_the_command_for_it_get_a_prompt_at_a_gate() -> None:
    everywhere = {"at": {"one": ["two", "far"], "two": ["one"]}}
    services = [make(name, "a", ssh_client_key=name) for name in ("one", "two", "far")]
    policy = Policy({}, {"look": everywhere, "ssh-to": {"at": {"two": ["two"]}}})
    topology = Topology("p", services, policy=policy)
    assert (topology.gate_callers("one"), topology.gate_prompts("one")) == (["two", "far"], ["two"])
    assert topology.gate_prompts("two") == []
    assert Topology("p", services, policy=Policy({}, {"look": everywhere})).gate_prompts("one") == []


# Problems ------------------------------------------------------------------------------------------------------------

GOOD = make("web", "a", ports=[port("http", 80, 8080)])


def test_a_sound_topology_has_no_problems() -> None:
    assert problems(GOOD, options={"a": {"gateway": True, "internal": False, "subnet": "10.9.0.0/24"}}) == []
    assert problems(GOOD, options={"a": None}) == []


@pytest.mark.parametrize("project", ["", "Big", "-x", "a b", "a/b", "ä", "a\n"])
def test_a_project_name_docker_refuses(project: str) -> None:
    (problem,) = problems(GOOD, project=project)
    assert problem.startswith(f"dockfra_project is '{project}'; use lower-case")


@pytest.mark.parametrize(
    ("services", "options", "message"),
    [
        (
            [GOOD],
            {"b": {}},
            "dockfra_network_options names the network 'b', which no service uses; the networks are a.",
        ),
        (
            [GOOD],
            {"a": {"internl": True}},
            "dockfra_network_options: a has the unknown option 'internl'; there are internal, gateway, subnet.",
        ),
        ([GOOD], {"a": {"gateway": "no"}}, "dockfra_network_options: gateway of a cannot be 'no'."),
        (
            [GOOD],
            {"a": {"subnet": "10.0.0.300/24"}},
            "dockfra_network_options: subnet of a cannot be '10.0.0.300/24'.",
        ),
        (
            [make("web", "a", ports=[port("http", 80), port("http", 81)])],
            {},
            "web: dockfra_ports has two entries named 'http'; give each a name of its own.",
        ),
        (
            [make("web", "a", "b", ports=[port("http", 80, None, "c")])],
            {},
            "web: port 'http' listens on c, which is not among its dockfra_networks (a, b).",
        ),
        (
            [make("web", "a", ports=[port("http", 0)])],
            {},
            "web: port 'http' is 0; choose one between 1 and 65535.",
        ),
        (
            [make("web", "a", ports=[port("http", 80, 8080)], port_offset=60000)],
            {},
            "web: the published port of 'http' is 68080 with dockfra_port_offset; "
            "choose an offset that keeps it between 1 and 65535.",
        ),
        (
            [make("web", "a", ports=[port("http", 80, 8080)])],
            {"a": {"internal": True}},
            "web: port 'http' is published, but every network of the service is internal; "
            "remove `publish` or add an outward network.",
        ),
        (
            [make("web", "a", "b", ports=[port("http", 80, 8080, "b")])],
            {},
            "web: port 'http' is published through a, where it does not listen; "
            "mark one of b as `gateway` in dockfra_network_options.",
        ),
        (
            [GOOD, make("other", "a", ports=[port("api", 81, 8080)])],
            {},
            "other: publishes port 8080 on localhost, as web does; change `publish` in dockfra_ports of one of them.",
        ),
        (
            [make("web", "a", ports=[port("https", 443)], routes=[{"path": "/x"}], reverse_proxy=True)],
            {},
            "web: the route /x leads to the port 'http', but dockfra_ports has https. Did you mean 'https'?",
        ),
        (
            [make("web", "a", routes=[{"path": "/x", "port": "api"}])],
            {},
            "web: the route /x leads to the port 'api', but dockfra_ports has none.",
        ),
        (
            [make("ssh", "a", ssh_logins=["ghost"]), make("me", "a", ssh_client_key="real")],
            {},
            "ssh: admits the key 'ghost', but no service has it as dockfra_ssh_client_key; known keys are real.",
        ),
        (
            [make("ssh", "a", ssh_tunnels={"ghost": "localhost:1"}), make("me", "a", ssh_client_key="real")],
            {},
            "ssh: admits the key 'ghost', but no service has it as dockfra_ssh_client_key; known keys are real.",
        ),
        (
            [make("one", "a", ssh_client_key="same"), make("two", "a", ssh_client_key="same")],
            {},
            "two: dockfra_ssh_client_key is 'same', which is that of one; give each a key of its own.",
        ),
        ([make("web", "a", uid=0)], {}, "web: dockfra_uid is 0; choose 1000 or more."),
        ([make("web", "a", uid=999)], {}, "web: dockfra_uid is 999; choose 1000 or more."),
        ([make("web")], {}, "web: dockfra_networks is empty; name at least one network."),
        (
            [make("pi", "a", address="192.0.2.7", host_key="192.0.2.7 ssh-ed25519 AAAA")],
            {},
            "pi: dockfra_host_key is '192.0.2.7 ssh-ed25519 AAAA', which is no public key; "
            "it begins with the key's type, such as ssh-ed25519, and the key follows.",
        ),
        (
            [make("pi", "a", address="192.0.2.7")],
            {},
            "pi: has dockfra_address but no dockfra_host_key, and host keys are pinned; "
            "set it to what `ssh-keyscan -t ed25519 192.0.2.7` prints after the address, "
            "once you have checked that.",
        ),
    ],
)
def test_each_contradiction_is_named_once(
    services: list[Service], options: dict[str, Any], message: str
) -> None:
    assert problems(*services, options=options) == [message]


def test_the_same_port_on_two_docker_hosts_is_no_clash() -> None:
    other = make("other", "b", ports=[port("api", 81, 8080)], docker_host="two")
    assert problems(GOOD, other) == []


def test_all_problems_are_told_at_once() -> None:
    found = problems(make("web", "a", uid=1, ports=[port("http", 0, 8080, "b")]), project="Big")
    assert len(found) == 4
    assert all(text.endswith((".", ")")) and "\n" not in text for text in found)


# Whatever the inventory ----------------------------------------------------------------------------------------------

_NETWORKS = st.sampled_from(["a", "b", "c", "d", "e"])


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    services = []
    for name in draw(st.lists(st.sampled_from("pqrstuvw"), min_size=1, max_size=6, unique=True)):
        networks = draw(st.lists(_NETWORKS, min_size=1, max_size=4, unique=True))
        entries = [
            port(
                f"port{number}",
                draw(st.integers(1, 65535)),
                draw(st.none() | st.integers(1, 65535)),
                *draw(st.lists(st.sampled_from(networks), max_size=3, unique=True)),
            )
            for number in range(draw(st.integers(0, 3)))
        ]
        address = draw(st.sampled_from(["", "", "", "192.0.2.1"]))
        services.append(make(name, *networks, ports=entries, address=address, host_key=HOST_KEY))
    used = {network for service in services for network in service.networks}
    options = draw(
        st.dictionaries(
            st.sampled_from(sorted(used)),
            st.fixed_dictionaries({"internal": st.booleans(), "gateway": st.booleans()}),
        )
    )
    return Topology(draw(st.sampled_from(["dockfra", "dockfra-test"])), services, options)


@given(topologies())
def test_an_edge_is_there_exactly_when_both_are_on_a_network_that_is_listened_on(topology: Topology) -> None:
    edges = topology.edges()
    containers = {service.name: service for service in topology.containers()}
    for edge in edges:
        assert edge.caller != edge.listener
        assert edge.network in containers[edge.caller].networks
        assert edge.network in containers[edge.listener].listen_networks
    for listener in containers.values():
        for entry in listener.ports:
            callers = {
                edge.caller for edge in edges if (edge.listener, edge.port) == (listener.name, entry.number)
            }
            able = {
                caller.name
                for caller in containers.values()
                for same in listener.ports
                if same.number == entry.number
                and caller is not listener
                and set(caller.networks) & set(same.networks)
            }
            assert callers == able
    # Two services that listen on a network they share reach each other.
    for one in containers.values():
        for two in containers.values():
            if one is not two:
                for network in set(one.listen_networks) & set(two.listen_networks):
                    pairs = {(edge.caller, edge.listener) for edge in edges if edge.network == network}
                    assert {(one.name, two.name), (two.name, one.name)} <= pairs


@given(topologies())
def test_what_is_reachable_are_the_edges_and_the_own_ports(topology: Topology) -> None:
    for caller in topology.containers():
        reached = {
            (reach.service, reach.port)
            for reach in topology.reachable_ports(caller.name)
            if not topology.services[reach.service].external_address
        }
        edges = {(edge.listener, edge.port) for edge in topology.edges() if edge.caller == caller.name}
        assert reached == edges | {(caller.name, entry.number) for entry in caller.ports}


@given(topologies())
def test_what_is_published_listens_where_it_comes_in_or_is_refused(topology: Topology) -> None:
    complaints = " ".join(problems_of(topology))
    for service in topology.services.values():
        gateway = topology.gateway_network(service)
        assert gateway is None or (gateway in service.networks and not topology.networks[gateway].internal)
        for entry in service.ports:
            refused = f"{service.name}: port '{entry.name}' is published" in complaints
            assert refused == (entry.publish is not None and gateway not in entry.networks)


@given(topologies())
def test_no_two_services_publish_one_port_unnoticed(topology: Topology) -> None:
    published = [
        entry.publish for service in topology.containers() for entry in service.ports if entry.publish
    ]
    assert any("publishes port" in problem for problem in problems_of(topology)) == (
        len(published) != len(set(published))
    )


@given(
    st.lists(
        st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,20}", fullmatch=True), min_size=2, max_size=30, unique=True
    )
)
def test_ipv6_subnets_are_valid_unique_local_and_stay_the_same(networks: list[str]) -> None:
    first, second = (Topology("dockfra", [make("web", *names)]) for names in (networks, reversed(networks)))
    subnets = [ipaddress.IPv6Network(first.ipv6_subnet(network)) for network in networks]
    assert subnets == [ipaddress.IPv6Network(second.ipv6_subnet(network)) for network in networks]
    assert all(subnet.prefixlen == 64 for subnet in subnets)
    # RFC 4193: fd00::/8 is what a site may choose itself.
    assert all(subnet.subnet_of(ipaddress.IPv6Network("fd00::/8")) for subnet in subnets)
    assert len(set(subnets)) == len(networks)
    assert first.ipv6_subnet(networks[0]) != Topology("other", []).ipv6_subnet(networks[0])


def gateway(name: str, network: str, **more: Any) -> Service:
    bind = {"source": "/var/run/docker.sock", "path": "/run/docker.sock"}
    return make(name, network, ports=[port("http", 2375)], binds=[bind], docker_socket=True, **more)


def test_a_gateway_to_docker_is_known_to_those_that_reach_it() -> None:
    services = [
        gateway("gateway", "dock"),
        make("watcher", "dock", "web"),
        make("site", "web", ports=[port("http", 80)]),
    ]
    topology = Topology("p", services)
    [engine] = topology.engines("watcher")
    assert (engine.docker_host, engine.gateway, engine.host, engine.port) == (
        "localhost",
        "gateway",
        "gateway",
        2375,
    )
    assert engine.containers == {"gateway": "p-gateway", "watcher": "p-watcher", "site": "p-site"}
    assert topology.engines("site") == topology.engines("gateway") == []


def test_of_several_gateways_that_of_the_own_docker_host_is_first() -> None:
    services = [
        gateway("far", "dock", docker_host="app"),
        gateway("near", "dock", docker_host="main"),
        make("watcher", "dock", docker_host="main"),
        make("tunnel", "link-net", docker_host="main", links=["exit"]),
        make("exit", "link-net", docker_host="app", links=[]),
    ]
    engines = Topology("p", services).engines("watcher")
    assert [(engine.gateway, set(engine.containers)) for engine in engines] == [
        ("near", {"near", "watcher", "tunnel"}),
        ("far", {"far", "exit"}),
    ]


# Releases ------------------------------------------------------------------------------------------------------------


def released(**bastion: Any) -> list[Service]:
    """Two services of one target, a third of another, and the bastion of the first."""
    return [
        make("one", "a", release={"target": "both", "path": "one"}),
        make("two", "a", release={"target": "both", "path": "deep/two"}),
        make("other", "a", release={"target": "other", "path": "other"}),
        make("way", "a", release_targets=["both"], **bastion),
        make("further", "a", release_targets=["other"]),
    ]


def test_a_service_reads_its_releases_and_its_bastion_what_it_says_of_them() -> None:
    topology = Topology("p", released(volumes=[{"name": "home", "path": "/home/x"}]))
    assert problems_of(topology) == []

    def memory(name: str) -> str:
        uid = topology.services[name].uid
        return f"size=1m,nr_inodes=64,mode=0755,uid={uid},gid={uid}"

    assert topology.volumes("one") == [
        Volume("one-releases", "/srv/releases/one", read_only=True, backup="files"),
        Volume("one-state", "/srv/state/one", memory=memory("one")),
    ]
    assert topology.volumes("way") == [
        Volume("home", "/home/x"),
        Volume("one-releases", "/srv/releases/one", backup="files"),
        Volume("one-state", "/srv/state/one", True, memory("one")),
        Volume("two-releases", "/srv/releases/two", backup="files"),
        Volume("two-state", "/srv/state/two", True, memory("two")),
    ]
    assert [service.name for service in topology.released_through("further")] == ["other"]


def test_each_volume_of_releases_has_one_writer() -> None:
    topology = Topology("p", released())
    writers = [
        volume.name for name in topology.services for volume in topology.volumes(name) if not volume.read_only
    ]
    assert sorted(writers) == sorted(set(writers))
    intruder = make("intruder", "a", volumes=[{"name": "one-releases", "path": "/x"}])
    assert "writes to the volume 'one-releases', as" in problems(*released(), intruder)[0]


@pytest.mark.parametrize(
    ("service", "told"),
    [
        (
            make("x", "a", release={"target": "bot", "path": "x"}),
            "no bastion says dockfra_release_targets: [bot]. Did you mean 'both'?",
        ),
        (make("x", "a", release_targets=["both"]), "carries the deploys of 'both', as"),
        (make("x", "a", release_targets=["nothing"]), "but dockfra_release of no service names it."),
        (make("x", "a", release_targets=["all"]), "and 'all' stands for every one."),
        (make("x", "a", release={"target": "both", "path": "../etc"}), "has the path '../etc'"),
        (make("x", "a", release={"target": "both", "path": "/etc"}), "has the path '/etc'"),
        (make("x", "a", release={"target": "both", "path": "a//b"}), "has the path 'a//b'"),
        (make("x", "a", release={"target": "Both;", "path": "x"}), "has the target 'Both;'"),
        (
            make("x", "a", address="192.0.2.7", host_key=HOST_KEY, release={"target": "both", "path": "x"}),
            "is a real device; remove dockfra_release.",
        ),
        (
            make("x", "a", address="192.0.2.7", host_key=HOST_KEY, release_targets=["x"]),
            "releases are kept in a container.",
        ),
        (
            make("x", "a", docker_host="elsewhere", release={"target": "both", "path": "x"}),
            "but a volume does not span Docker hosts",
        ),
    ],
)
def test_releases_that_lead_nowhere_are_refused(service: Service, told: str) -> None:
    assert told in "\n".join(problems(*released(), service))


def test_only_a_bastion_gives_one_key_a_shell_and_the_gate() -> None:
    policy = Policy({}, {"verb": {"at": {"way": ["me"]}}})
    me = make("me", "a", ssh_client_key="me")
    ssh = {"ports": [port("ssh", 2222)], "ssh_logins": ["me"]}
    assert problems_of(Topology("p", [*released(**ssh), me], policy=policy)) == []
    [told] = problems_of(Topology("p", [make("way", "a", **ssh), me], policy=policy))
    assert "take it out of one of them" in told


def test_a_ready_made_image_has_no_releases_and_leaves_its_bastion_be() -> None:
    one = make("one", "a", image="one:1", release={"target": "both", "path": "one"})
    topology = Topology("p", [one, make("way", "a", release_targets=["both"])])
    assert problems_of(topology) == []
    assert topology.volumes("one") == topology.volumes("way") == []


# Addresses -----------------------------------------------------------------------------------------------------------


def test_networks_have_their_parts_of_a_range_and_keep_them() -> None:
    services = [make("x", *(f"n{number}" for number in range(12)))]
    assert Topology("p", services).ipv4_subnets() == {}
    options = {"n3": {"subnet": "192.0.2.0/24"}}
    few = Topology("p", services, options, ipv4_range="10.231.0.0/16").ipv4_subnets()
    assert few.keys() == {f"n{number}" for number in range(12)}
    assert few["n3"] == "192.0.2.0/24"
    assert len(set(few.values())) == 12
    assert all(
        found.startswith("10.231.") and found.endswith(".0/24")
        for found in few.values()
        if found != "192.0.2.0/24"
    )
    more = Topology("q", [*services, make("y", "a-further-one")], options, ipv4_range="10.231.0.0/16")
    assert {name: more.ipv4_subnets()[name] for name in few} == few
    full = Topology("p", services, ipv4_range="10.0.0.0/20").ipv4_subnets()
    assert len(set(full.values())) == 12


@pytest.mark.parametrize(
    "given", ["10.231.0.0/24", "10.0.0.1/16", "8.0.0.0/8", "fd00::/8", "all", "10.0.0.0/25"]
)
def test_a_range_that_cannot_be_is_refused(given: str) -> None:
    services = [make("x", "a", "b"), make("y", "a", "b")]
    assert problems_of(Topology("p", services, ipv4_range="10.231.0.0/16")) == []
    [told] = problems_of(Topology("p", services, ipv4_range=given))
    assert f"dockfra_ipv4_range is '{given}'; name a private range" in told
