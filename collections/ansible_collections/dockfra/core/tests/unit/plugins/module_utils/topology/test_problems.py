# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Mistakes in an inventory are told in a sentence that begins with the service to change."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.module_utils.topology.link import Server
from ansible_collections.dockfra.core.plugins.module_utils.topology.model import Service
from ansible_collections.dockfra.core.plugins.module_utils.topology.problems import problems
from ansible_collections.dockfra.core.plugins.module_utils.topology.topology import Topology


def make(name: str, *networks: str, source: str = "topology.yml:1", **variables: Any) -> Service:
    values = {
        "dockfra_networks": list(networks),
        "dockfra_user": "app",
        "dockfra_uid": 10000 + zlib.crc32(name.encode()) % 50000,
        **{f"dockfra_{key}": value for key, value in variables.items()},
    }
    return Service.from_variables(name, values, dict.fromkeys(values, source))


def found(*services: Service, policy: Policy | None = None) -> list[str]:
    return problems(Topology("p", services, {}, policy))


SSH_PORT = {"name": "ssh", "port": 22}
# Both ends of a link, which is sound.
ENDS: tuple[dict[str, Any], dict[str, Any]] = (
    {"docker_host": "here", "ssh_client_key": "tunnel", "links": ["exit"]},
    {"docker_host": "there", "ports": [{"name": "ssh", "port": 22, "publish": 2225}], "links": []},
)

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGV4YW1wbGVleGFtcGxlZXhhbXBsZWV4YW1wbGVleGFt device"
TUNNELS = [make("tunnel", "link-net", **ENDS[0]), make("exit", "link-net", **ENDS[1])]
PROXY = make("proxy", "front", reverse_proxy=True, ports=[{"name": "https", "port": 443}])
DB = make("db", "back-net", uid=10006, ports=[{"name": "postgres", "port": 5432}])
WEB = make("web", "back-net", "front", ports=[{"name": "http", "port": 80}], routes=[{"path": "/"}])


def test_the_platform_that_the_mistakes_are_made_in_is_sound() -> None:
    assert found(PROXY, DB, WEB) == []


@pytest.mark.parametrize(
    ("service", "message"),
    [
        (
            make("api", "backnet", source="hello.yml:4"),
            "api: dockfra_networks has 'backnet', where it is alone. Did you mean 'back-net'? If not, give the network an "
            "entry in dockfra_network_options, such as backnet: {}. (hello.yml:4)",
        ),
        (
            make("api", "back-net", uid=10006, source="hello.yml:3"),
            "api: dockfra_uid is 10006, which is that of db; choose another, such as {free}. (hello.yml:3)",
        ),
        (
            make(
                "api",
                "front",
                ports=[{"name": "http", "port": 1}],
                routes=[{"path": "/"}],
                source="hello.yml:9",
            ),
            "api: has the route /, as web has; change its `path`, or give the two a different `priority`. (hello.yml:9)",
        ),
        (
            make("api", "back-net", ports=[{"name": "http", "port": 1}], routes=[{"path": "/api"}]),
            "api: the route /api cannot be served, because proxy shares no network on which the port 'http' listens; "
            "add one of front to dockfra_networks. (topology.yml:1)",
        ),
        (
            make("Hello_1", "back-net", source="hello.yml:2"),
            "Hello_1: a service's name has lower-case letters, digits and '-', at most 42 of them, and begins and ends with "
            "a letter or digit, because it becomes a host name; rename the host in the inventory. (hello.yml:2)",
        ),
        (
            make("api", "back-net", ports=[{"name": "http", "port": 1}, {"name": "more", "port": 1}]),
            "api: the ports 'http' and 'more' are both 1 on back-net; change `port` of one of them. (topology.yml:1)",
        ),
        (
            make("api", "back-net", ssh_client_key="key", ssh_tunnels={"key": "localhost:7"}),
            "api: dockfra_ssh_tunnels leads 'key' to 'localhost:7', where nothing listens; dockfra_ports of api has none. "
            "(topology.yml:1)",
        ),
        (
            make("api", "back-net", ssh_client_key="key", ssh_tunnels={"key": "bd:7"}),
            "api: dockfra_ssh_tunnels leads 'key' to 'bd:7', but there is no service 'bd'. Did you mean 'db'? (topology.yml:1)",
        ),
        (
            make("api", "back-net", volumes=[{"name": "a", "path": "relative"}]),
            "api: dockfra_volumes puts a at 'relative'; write an absolute path, like /srv/data. (topology.yml:1)",
        ),
    ],
)
def test_the_culprit_and_the_nearest_name_are_told_finding_p9(service: Service, message: str) -> None:
    free = max(each.uid for each in (PROXY, DB, WEB, service)) + 1
    # Whoever comes first: the one of the reader's own file is to be changed.
    orders = [(PROXY, DB, WEB, service), (service, PROXY, DB, WEB)]
    for services in orders if "hello" in message else orders[:1]:
        assert found(*services) == [message.replace("{free}", str(free))]


def test_two_writers_of_one_volume_are_told_finding_p9() -> None:
    volume = {"name": "data", "path": "/data"}
    one, two = make("one", "front", volumes=[volume]), make("two", "front", volumes=[volume])
    (problem,) = found(PROXY, one, two)
    assert problem.startswith("two: writes to the volume 'data', as one does; say read_only: true")
    assert found(PROXY, one, make("two", "front", volumes=[{**volume, "read_only": True}])) == []


def test_a_shared_uid_is_fine_where_both_say_so() -> None:
    both = [make(name, "front", uid=10015, shared_uid=True) for name in ("one", "two")]
    assert found(PROXY, *both) == []
    assert len(found(PROXY, both[0], make("two", "front", uid=10015))) == 1


# Binds ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"source": "/var/run/docker.sock"}, "and with that the whole Docker host"),
        ({"source": "/run/docker.sock"}, "and with that the whole Docker host"),
        ({"source": "/"}, "part of the Docker host's own system"),
        ({"source": "/etc"}, "part of the Docker host's own system"),
        ({"source": "/var/run"}, "part of the Docker host's own system"),
        ({"source": "/var/lib/docker/volumes"}, "part of the Docker host's own system"),
        ({"source": "/srv/../etc"}, "write an absolute path without '..'"),
        ({"source": "/bin"}, "part of the Docker host's own system"),
        ({"source": "/lib64/x"}, "part of the Docker host's own system"),
        ({"source": "/var/lib/containerd"}, "part of the Docker host's own system"),
        # POSIX keeps two slashes at the beginning.
        ({"source": "//run/docker.sock"}, "write an absolute path without '..'"),
        ({"source": "//etc"}, "write an absolute path without '..'"),
        ({"source": "srv"}, "write an absolute path without '..'"),
    ],
)
def test_binds_of_the_host_itself_are_refused(variables: dict[str, Any], message: str) -> None:
    (problem,) = found(make("web", "a", binds=[{"path": "/x", **variables}]))
    assert problem.startswith("web: dockfra_binds ")
    assert message in problem


@pytest.mark.parametrize(
    ("service", "message"),
    [
        (make("web", "a", uid=2**40), "dockfra_uid is 1099511627776; choose 2147483647 or less"),
        (make("web", "a", user="a b"), "dockfra_user is 'a b', no name of a user"),
        (make("web", "a", user="-x"), "dockfra_user is '-x', no name of a user"),
        (make("web", "a", "a"), "dockfra_networks has 'a' twice"),
        (
            make("web", "a", volumes=[{"name": "data", "path": "/data"}, {"name": "data", "path": "/data"}]),
            "puts data at /data, where data is already",
        ),
        (make("web", "a", volumes=[{"name": "data", "path": "//data"}]), "write an absolute path"),
        (make("web", "a", ports=[{"name": "http-a=b\nX", "port": 80}]), "no name of a port"),
        (
            make("web", "a", ports=[{"name": "http-a", "port": 80}, {"name": "http_a", "port": 81}]),
            "two entries named 'http-a'",
        ),
    ],
)
def test_what_docker_would_refuse_or_lose_is_refused_by_the_plan_finding_p4(
    service: Service, message: str
) -> None:
    assert [problem for problem in found(service) if message in problem], found(service)


def test_routes_of_two_services_never_share_a_name_finding_p9() -> None:
    """Whatever the services are called: a name that stands twice would take one of them away."""
    one = make("web", "front", ports=[{"name": "http", "port": 80}], routes=[{"path": "/a"}, {"path": "/b"}])
    other = make("web-2", "front", ports=[{"name": "http", "port": 80}], routes=[{"path": "/c"}])
    routes = Topology("p", (PROXY, one, other), {}, None).served_routes("proxy")
    assert [route.path for route in routes] == ["/a", "/b", "/c"]
    assert len({route.name for route in routes}) == 3


def test_the_docker_socket_is_for_those_that_say_so() -> None:
    binds = [
        {"source": "/var/run/docker.sock", "path": "/run/docker.sock"},
        {"source": "/srv/x", "path": "/x"},
    ]
    assert found(make("web", "a", binds=binds, docker_socket=True, groups=["112"])) == []
    assert found(make("web", "a", groups=["0"])) == [
        "web: dockfra_groups has root's group; choose another. (topology.yml:1)"
    ]


# Docker hosts --------------------------------------------------------------------------------------------------------


def test_what_crosses_docker_hosts_is_told_with_both_ends() -> None:
    policy = Policy({}, {"look": {"at": {"one": ["two"], "two": ["one"]}}})
    services = [
        make(
            "one",
            "a",
            ssh_client_key="one",
            reads_audit=True,
            docker_host="here",
            ports=[{"name": "ssh", "port": 22}],
            volumes=[{"name": "v", "path": "/v"}],
        ),
        make(
            "two",
            "a",
            ssh_client_key="two",
            docker_host="there",
            ports=[{"name": "ssh", "port": 22}],
            volumes=[{"name": "v", "path": "/v", "read_only": True}],
        ),
    ]
    told = found(*services, policy=policy)
    assert [problem.split(";")[0] for problem in told] == [
        "one: runs on here and cannot reach two on there, because a does not span Docker hosts and no link joins the two",
        "two: runs on there and cannot reach one on here, because a does not span Docker hosts and no link joins the two",
        "one: runs on here and cannot read the audit log of two on there, because nobody here has that from a tunnel "
        "there",
    ]
    assert Topology("p", services).edges() == set()


def test_a_volume_of_another_docker_host_is_read_through_the_gate_there() -> None:
    """The reader has no volume then, which would be an empty copy. Without a command for it there it is refused."""
    policy = Policy({}, {"look": {"at": {"one": ["two"]}}})
    volumes = [{"name": "v", "path": "/v", "read_only": True}]
    services = [
        make(
            "one",
            "a",
            docker_host="here",
            ssh_client_key="one",
            ports=[SSH_PORT],
            volumes=[{"name": "v", "path": "/v"}],
        ),
        make("two", "a", docker_host="there", ssh_client_key="two", volumes=volumes),
        *TUNNELS,
    ]
    servers = {"there": Server("there", "192.0.2.1", host_key=HOST_KEY)}
    topology = Topology("p", services, {}, policy, servers=servers)
    assert problems(topology) == []
    assert [volume.name for volume in topology.volumes("two")] == []
    (told,) = problems(Topology("p", services, servers=servers))
    assert told.startswith(
        "two: runs on there and shares the volume 'v' with one on here, but a volume does not span Docker hosts"
    )


@pytest.mark.parametrize(
    ("tunnel", "end", "server", "message"),
    [
        ({}, {"links": None}, {}, "tunnel: dockfra_links has 'exit', which is no tunnel"),
        (
            {"links": ["exi"]},
            {},
            {},
            "tunnel: dockfra_links has 'exi', which is no tunnel (a service with dockfra_links, though it may be empty). Did you mean 'exit'?",
        ),
        ({"ssh_client_key": ""}, {}, {}, "tunnel: opens links, but has no key for that"),
        ({}, {"docker_host": "here"}, {}, "tunnel: dockfra_links has 'exit', which runs on here as well"),
        ({}, {"links": ["tunnel"]}, {}, "tunnel: dockfra_links has 'exit', which has a link to here itself"),
        (
            {},
            {"ports": []},
            {},
            "exit: is where the link of tunnel ends, but publishes no port that speaks SSH",
        ),
        (
            {},
            {"publish_address": "0.0.0.0"},
            {},
            "exit: is where the link of tunnel ends, which comes over there itself",
        ),
        (
            {},
            {},
            {"address": ""},
            "exit: runs on there, to which a link leads, but that has no address; set ansible_host of there.",
        ),
        (
            {},
            {},
            {"host_key": ""},
            "exit: runs on there, to which a link leads, and host keys are pinned; set dockfra_server_host_key",
        ),
        (
            {},
            {},
            {"host_key": "ssh-ed25519 AAAA"},
            "exit: runs on there, to which a link leads, and dockfra_server_host_key of there cannot be 'ssh-ed25519 AAAA': it is a public key of the type",
        ),
    ],
)
def test_a_link_that_cannot_be_opened_is_told(
    tunnel: dict[str, Any], end: dict[str, Any], server: dict[str, str], message: str
) -> None:
    one, other = ({**said, **changed} for said, changed in zip(ENDS, (tunnel, end), strict=True))
    known = {"address": "192.0.2.1", "host_key": HOST_KEY, **server}
    services = [make("tunnel", "link-net", **one), make("exit", "link-net", **other)]
    told = problems(Topology("p", services, servers={"there": Server("there", **known)}))
    assert told[0].startswith(message), told


def test_a_server_of_ipv6_alone_is_told() -> None:
    services = [make("web", "a", docker_host="there"), make("other", "a", docker_host="there")]
    servers = {"there": Server("there", "2001:db8::1")}
    (told,) = problems(Topology("p", services, servers=servers))
    assert told.startswith(
        "web: runs on there, and ansible_host of there cannot be '2001:db8::1': it is a name or an IPv4 address"
    )


def test_what_a_service_needs_is_a_service_and_does_not_need_it() -> None:
    (unknown,) = found(PROXY, DB, make("web", "back-net", "front", needs=["dbb"], source="hello.yml:2"))
    assert unknown == "web: dockfra_needs has 'dbb', which is no service. Did you mean 'db'? (hello.yml:2)"
    first = make("web", "back-net", "front", needs=["api"])
    second = make("api", "back-net", needs=["web"])
    (circle,) = found(PROXY, DB, first, second)
    assert "dockfra_needs runs in a circle: " in circle
    assert found(PROXY, DB, make("web", "back-net", "front", needs=["db"])) == []


def test_whoever_has_the_page_of_a_reverse_proxy_cannot_need_that() -> None:
    page = make(
        "web",
        "back-net",
        "front",
        ports=[{"name": "http", "port": 80}],
        routes=[{"path": "/"}],
        needs=["proxy"],
    )
    (circle,) = found(PROXY, DB, page)
    assert "dockfra_needs runs in a circle: " in circle


PUBLISHED: list[dict[str, Any]] = [
    {"name": "http", "port": 80, "publish": 80},
    {"name": "https", "port": 443, "publish": 443},
    {"name": "ping", "port": 9000},
]


def publishing(**variables: Any) -> list[str]:
    return found(DB, make("proxy", "front", source="hello.yml:2", ports=PUBLISHED, **variables))


def test_addresses_are_addresses_of_published_ports() -> None:
    for address in ("0.0.0.0", "192.0.2.7", "::", "127.0.0.1"):
        assert publishing(publish_addresses={"https": address}) == []
        assert publishing(publish_address=address) == []
    assert publishing(publish_addresses={"http": "all", "htps": "0.0.0.0", "ping": "0.0.0.0"}) == [
        "proxy: dockfra_publish_addresses binds 'http' to 'all', which is no address; write one of the Docker host's own, such as "
        "192.0.2.7, or 0.0.0.0 for all of them. (hello.yml:2)",
        "proxy: dockfra_publish_addresses has 'htps', which is no published port; dockfra_ports publishes http, https. "
        "Did you mean 'https'? (hello.yml:2)",
        "proxy: dockfra_publish_addresses has 'ping', which is no published port; dockfra_ports publishes http, https. (hello.yml:2)",
    ]
    assert publishing(publish_address="public.example.org") == [
        "proxy: dockfra_publish_address is 'public.example.org', which is no address; write one of the Docker host's own, such as "
        "192.0.2.7, or 0.0.0.0 for all of them. (hello.yml:2)"
    ]


SSH: list[dict[str, Any]] = [{"name": "ssh", "port": 2222}]
CHANNEL: dict[str, Any] = {
    "ports": SSH,
    "release_targets": ["fleet"],
    "ssh_client_key": "channel",
    "uid": 10050,
}
SOURCE = make("files", "front", release={"target": "fleet", "path": "files"})


REAL = {
    "address": "192.0.2.7",
    "host_key": HOST_KEY,
}


@pytest.mark.parametrize("place", [{}, REAL])
def test_a_device_that_its_bastion_reaches_is_sound(place: dict[str, str]) -> None:
    bastion = make("channel", "things", **CHANNEL)
    device = make("thing", "things", ports=SSH, ssh_logins=["channel"], device={"runs": "files"}, **place)
    other = make("other", "things")
    services = (PROXY, DB, WEB, SOURCE, bastion, device, other)
    assert found(*services) == []
    assert [each.name for each in Topology("p", services).devices_through("channel")] == ["thing"]


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ({"device": {"runs": "file"}}, "runs 'file', which has no dockfra_release; files has one. Did you"),
        ({"device": {"runs": "db"}}, "runs 'db', which has no dockfra_release; files has one."),
        ({"ssh_logins": []}, "runs 'files', whose releases channel keeps, and that cannot log in; add"),
        ({"networks": ["front"]}, "whose releases channel keeps, and that reaches no SSH port here; put"),
    ],
)
def test_a_device_that_nothing_reaches_is_told(device: dict[str, Any], message: str) -> None:
    values = {"ports": SSH, "ssh_logins": ["channel"], "device": {"runs": "files"}, **device}
    networks = values.pop("networks", ["things"])
    channel, thing = make("channel", "things", **CHANNEL), make("thing", *networks, **values)
    other = make("other", "things", "front")
    assert [line for line in found(PROXY, DB, WEB, SOURCE, channel, thing, other) if message in line]


@pytest.mark.parametrize(
    ("share", "good"),
    [
        (1, True),
        ("25%", True),
        ("100%", True),
        (0, False),
        (-1, False),
        ("0%", False),
        ("101%", False),
        ("all", False),
    ],
)
def test_a_share_is_a_number_or_a_part(share: object, good: bool) -> None:
    bastion = make("channel", "front", **CHANNEL, device_share=share)
    told = [line for line in found(PROXY, DB, WEB, SOURCE, bastion) if "dockfra_device_share" in line]
    assert (told == []) == good
