"""Who reaches whom: every container against every listening port of every other one, on every address."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.topology.model import Edge
from ansible_collections.dockfra.core.plugins.module_utils.topology.ports import Port
from ansible_collections.dockfra.core.plugins.module_utils.topology.topology import Topology
from tests.e2e.support import runs
from tests.e2e.support.engines import as_root
from tests.e2e.support.platform import LOCALHOST, Platform
from tests.e2e.support.runs import ROOT

_DOCKER_DNS = "127.0.0.11"


def reached_edges(platform: Platform, topology: Topology) -> set[Edge]:
    """Every connection between containers that works, tried on all their addresses at all their listening ports.

    Each Docker host has addresses of its own, and who is called on another one is the tunnel there.
    """
    found = {edge for host in platform.engines for edge in _reached_edges(platform, topology, host)}
    # While anybody makes a network, Docker takes the isolation of all others away for a moment (moby/libnetwork#1658).
    for _time in range(3):
        if found <= topology.edges():
            break
        time.sleep(2)
        found &= {edge for host in platform.engines for edge in _reached_edges(platform, topology, host)}
    return found


def _reached_edges(platform: Platform, topology: Topology, host: str) -> set[Edge]:
    names = [service.name for service in topology.on_host(host)]
    listening = platform.listening(names)
    places: dict[tuple[str, int], tuple[str, str]] = {}
    for name in names:
        ports = {port for address, port in listening[name] if not ipaddress.ip_address(address).is_loopback}
        # What is declared is tried even where nothing listens.
        ports |= {port.number for port in topology.services[name].ports}
        for address, (network, _family) in platform.addresses(name).items():
            for number in ports:
                places[address, number] = (name, network.removeprefix(f"{topology.project}-"))
    found = set()
    for caller, reached in platform.reachable(names, places).items():
        for address, number in reached:
            listener, network = places[address, number]
            if listener != caller:
                found.add(Edge(caller, listener, number, network))
    return found


def test_connections_are_exactly_the_declared_edges(platform: Platform) -> None:
    declared, reached = platform.topology.edges(), reached_edges(platform, platform.topology)
    assert len(declared) > 50
    assert reached - declared == set(), "connections that nothing declares"
    assert declared - reached == set(), "declared connections that do not work"


def test_containers_listen_where_declared_and_nowhere_else(platform: Platform) -> None:
    topology = platform.topology
    for name, places in platform.listening(platform.names).items():
        networks = {address: network for address, (network, _family) in platform.addresses(name).items()}
        listening = set()
        for address, number in places:
            parsed = ipaddress.ip_address(address)
            if parsed.is_loopback:
                continue
            # One that listens on every address listens on all the container's networks.
            hit = set(networks.values()) if parsed.is_unspecified else {networks[address]}
            listening |= {(network, number) for network in hit}
        declared = {
            (topology.network_name(network), port.number)
            for port in topology.services[name].ports
            for network in port.networks
        } | {
            # A tunnel listens for the services of the other Docker host.
            (topology.network_name(crossing.network), number)
            for crossing in topology.crossings
            if topology.tunnels[crossing.docker_host].name == name
            for number, _network in crossing.ports
        }
        assert listening == declared, name


def test_docker_and_nobody_else_resolves_names(platform: Platform) -> None:
    for name, places in platform.listening(platform.names).items():
        assert any(address == _DOCKER_DNS for address, _port in places), name


# Listens on a port of every address of one family until its standard input ends.
_LISTENER = """
import socket, sys
family, port = {"4": socket.AF_INET, "6": socket.AF_INET6}[sys.argv[1]], int(sys.argv[2])
server = socket.socket(family)
if family == socket.AF_INET6:
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("", port))
server.listen(64)
print("listening", flush=True)
sys.stdin.read()
"""


@contextmanager
def listener(platform: Platform, service: str, family: str, port: int) -> Iterator[None]:
    """Something in a service's container that the inventory does not know listens on one address family."""
    with subprocess.Popen(
        platform.exec(service, "python3", "-c", _LISTENER, family, str(port), options=["--interactive"]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "listening\n"
        try:
            yield
        finally:
            process.stdin.close()


# What an attacker in a bastion could open, on gateway networks that the callers sit on as well or beside.
_UNDECLARED = 7777


def test_nothing_is_reached_over_ipv6_finding_s2(platform: Platform) -> None:
    names = ["ssh-frontend", "ssh-manager"]
    with listener(platform, names[0], "6", _UNDECLARED), listener(platform, names[1], "6", _UNDECLARED):
        # Docker hands out addresses of the networks that order the gateways; in the containers they are gone.
        targets = [
            (address, _UNDECLARED)
            for name in platform.names
            for address, (_network, family) in platform.addresses(name).items()
            if family == "6"
        ]
        assert targets, "no network is dual-stack, so this test tries nothing"
        for name, reached in platform.reachable(platform.names, targets).items():
            assert reached == set(), f"{name} speaks IPv6"
    # The same probe, where IPv6 is on: on this machine itself.
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        place = ("::1", int(server.getsockname()[1]))
        assert platform.reachable_from(os.getpid(), [place]) == {place}


def test_no_container_has_an_ipv6_address_finding_s2(platform: Platform) -> None:
    for name in platform.names:
        shown = platform.run(name, "/bin/cat", "/proc/net/if_inet6", "/proc/net/dev")
        # The interfaces themselves are there.
        assert (shown.returncode, "eth0:" in shown.stdout) == (0, True), shown.stderr
        assert not any(line.split()[-1].startswith(("eth", "lo")) for line in shown.stdout.splitlines()), name


def test_an_undeclared_port_is_reached_over_shared_networks_only_finding_s2(platform: Platform) -> None:
    topology, name = platform.topology, "ssh-frontend"
    names = [service.name for service in topology.on_host(topology.services[name].docker_host)]
    networks = {
        address: network for address, (network, family) in platform.addresses(name).items() if family == "4"
    }
    with listener(platform, name, "4", _UNDECLARED):
        reached = platform.reachable(names, [(address, _UNDECLARED) for address in networks])
    declared = {
        (caller, network)
        for caller in names
        for network in topology.services[caller].networks
        if network in topology.services[name].networks
    }
    assert {
        (caller, networks[address].removeprefix(f"{topology.project}-"))
        for caller, places in reached.items()
        for address, _port in places
    } == declared


def host_addresses() -> set[str]:
    """Every address of this machine, those of the bridges included."""
    listed = json.loads(subprocess.run(["ip", "-json", "address"], capture_output=True, check=True).stdout)
    return {
        str(info["local"])
        for interface in listed
        for info in interface.get("addr_info", ())
        if info["family"] in ("inet", "inet6") and info.get("scope") == "global"
    }


def gateways(platform: Platform) -> dict[str, str]:
    """The network by the address that this machine has on it."""
    topology = platform.topology
    return {
        str(pool["Gateway"]): network
        for network in topology.networks
        for pool in platform.docker.networks.get(topology.network_name(network)).attrs["IPAM"]["Config"]
        if pool.get("Gateway")
    }


@pytest.mark.one_host
def test_published_ports_are_out_of_reach_through_gateways_and_host_addresses(platform: Platform) -> None:
    addresses = set(gateways(platform)) | host_addresses()
    assert len(addresses) > len(platform.topology.networks)
    numbers = {port.publish for _service, port in published(platform)}
    targets = [(address, number) for address in addresses for number in numbers if number is not None]
    for name, reached in platform.reachable(platform.names, targets).items():
        assert reached == set(), f"{name} reaches published ports through the host"
    # The same probe finds every one of them where they are meant to be, on the loopback address of this machine.
    published_here = {(LOCALHOST, number) for number in numbers if number is not None}
    assert platform.reachable_from(os.getpid(), published_here) == published_here


@contextmanager
def host_listeners(addresses: Iterable[str]) -> Iterator[set[tuple[str, int]]]:
    """Programs of this machine's own, one on each address; gives their places."""
    with ExitStack() as stack:
        servers = [
            stack.enter_context(socket.create_server((address, 0), backlog=512)) for address in addresses
        ]
        yield {(str(server.getsockname()[0]), int(server.getsockname()[1])) for server in servers}


def said_of_the_host() -> str:
    """What SECURITY.md says of containers and the Docker host, its lines joined."""
    [said] = [
        " ".join(point.split())
        for point in re.split(r"^- ", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
        if "Dockfra writes no firewall rules" in " ".join(point.split())
    ]
    return said


def outward(platform: Platform) -> set[str]:
    """The services with a way out."""
    networks = platform.topology.networks
    return {
        service.name
        for service in platform.topology.containers()
        if any(not networks[name].internal for name in service.networks)
    }


@pytest.mark.one_host
def test_finding_s14_what_containers_reach_of_the_host_is_what_security_says(platform: Platform) -> None:
    """Nothing of the host is declared. What is reached all the same is said, and nothing else is reached."""
    said = said_of_the_host()
    assert "One with a way out reaches every address of the Docker host" in said
    assert (
        "one on internal networks alone those of its own networks and with newer engines the others as well"
        in said
    )
    assert "on 127.0.0.1 none of them reaches" in said
    topology = platform.topology
    networks = {address: name for address, name in gateways(platform).items() if ":" not in address}
    assert set(networks.values()) == set(topology.networks)
    assert set() < outward(platform) < set(platform.names), "only one of the two kinds is there to be tried"
    with host_listeners([*networks, LOCALHOST]) as places:
        reached = platform.reachable(platform.names, places)
        # Each of them listens, as this machine itself sees.
        assert platform.reachable_from(os.getpid(), places) == set(places)
    outside = {place for place in places if place[0] != LOCALHOST}
    for service in topology.containers():
        own = {place for place in outside if networks[place[0]] in service.networks}
        # Engines differ in whether a container on internal networks alone has a route to the others.
        assert (outside if service.name in outward(platform) else own) <= reached[service.name] <= outside, (
            service.name
        )


@pytest.mark.one_host
def test_finding_s14_the_rule_that_security_names_closes_the_host(platform: Platform) -> None:
    """As written there, but for the one port, so that nothing else on this machine notices."""
    found = re.search(r"`iptables -I (INPUT [^`]+)`", said_of_the_host())
    assert found
    program = shutil.which("iptables", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert program, "Docker Engine makes its own rules with iptables"
    # Nobody takes the connections of three rounds, of each container to each address.
    with socket.create_server(("0.0.0.0", 0), backlog=4096) as server:
        number = int(server.getsockname()[1])
        places = [(address, number) for address in gateways(platform) if ":" not in address]
        chain, *match = found[1].split()
        rule = [*match[: match.index("-j")], "-p", "tcp", "--dport", str(number), *match[match.index("-j") :]]
        assert all(platform.reachable(platform.names, places).values())
        subprocess.run(as_root(program, "-w", "-I", chain, *rule), check=True, timeout=30)
        try:
            reached = platform.reachable(platform.names, places)
        finally:
            subprocess.run(as_root(program, "-w", "-D", chain, *rule), check=True, timeout=30)
        assert reached == {name: set() for name in platform.names}
        assert all(platform.reachable(platform.names, places).values())


def published(platform: Platform) -> list[tuple[str, Port]]:
    return [
        (service.name, port)
        for service in platform.topology.containers()
        for port in service.ports
        if port.publish is not None
    ]


@pytest.mark.one_host
def test_published_ports_answer_on_the_host_in_their_protocol(platform: Platform) -> None:
    assert len(published(platform)) > 10
    for name, port in published(platform):
        assert answer(platform, port), f"{name} does not speak {port.name} on {port.publish}"


def answer(platform: Platform, port: Port) -> bool:
    """Whether a published port answers in the protocol its name says."""
    assert port.publish is not None
    with socket.create_connection((LOCALHOST, port.publish), timeout=10) as connection:
        stream: socket.socket = connection
        if port.name.startswith("https"):
            context = ssl.create_default_context(cafile=str(platform.authority))
            stream = context.wrap_socket(connection, server_hostname="localhost")
        if port.name.startswith("http"):
            stream.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return stream.recv(9).startswith(b"HTTP/1.")
        if port.name == "ssh":
            return stream.recv(8) == b"SSH-2.0-"
        if port.name == "postgres":
            stream.sendall(bytes((0, 0, 0, 8, 4, 210, 22, 47)))  # SSLRequest
            return stream.recv(1) in (b"S", b"N")
        if port.name == "redis":
            stream.sendall(b"PING\r\n")
            return stream.recv(7) == b"-NOAUTH"
    pytest.fail(f"no test knows the protocol {port.name}")


def test_published_ports_are_bound_where_they_are_declared(platform: Platform) -> None:
    bound = {}
    for name in platform.names:
        for entries in (platform.container(name).attrs["NetworkSettings"]["Ports"] or {}).values():
            for entry in entries or ():
                bound[int(entry["HostPort"])] = entry["HostIp"]
    assert bound == {port.publish: port.address for _name, port in published(platform)}
    assert runs.SERVERS or set(bound.values()) == {LOCALHOST}
