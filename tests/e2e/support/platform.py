"""The platform under test as data: its topology from the inventory, and what Docker has of it."""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import docker
import yaml
from docker.models.containers import Container

from ansible_collections.dockfra.core.plugins.module_utils.containers.labels import LABEL_PROJECT
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.module_utils.topology.model import Service
from ansible_collections.dockfra.core.plugins.module_utils.topology.topology import Topology
from tests.servers import run as servers

from .engines import Engine, as_root
from .runs import BESIDE, INVENTORY, PATIENCE, ROOT, SERVERS, VAULT, environment

# As in the inventory's group_vars/all, where it is a template.
STATE = ROOT / ".dockfra" / ("molecule-production" if SERVERS else "beside" if BESIDE else "test")
LOCALHOST = "127.0.0.1"


def read_inventory(*inventories: str | Path, root: Path = ROOT) -> dict[str, dict[str, Any]]:
    """The host variables of every service, untemplated."""
    given = [word for inventory in inventories or (INVENTORY,) for word in ("-i", str(inventory))]
    command = [str(Path(sys.executable).parent / "ansible-inventory"), *given, "--list"]
    done = subprocess.run(
        command, cwd=root, env=environment(root), capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    hostvars: dict[str, dict[str, Any]] = json.loads(done.stdout)["_meta"]["hostvars"]
    return {host: values for host, values in hostvars.items() if "dockfra_networks" in values}


def read_topology(*inventories: str | Path, root: Path = ROOT) -> Topology:
    """The topology of one or several inventories together."""
    hosts = read_inventory(*inventories, root=root)
    first = next(iter(hosts.values()))
    return Topology(
        project=first.get("dockfra_project", "dockfra"),  # as in the role platform
        services=[Service.from_variables(host, values) for host, values in hosts.items()],
        network_options=first.get("dockfra_network_options"),
        policy=Policy(
            first["dockfra_capabilities"],
            {**first["dockfra_commands"], **(first.get("dockfra_further_commands") or {})},
        ),
    )


@dataclass
class Platform:
    """The platform of the tests.

    Attributes:
        topology: what it should be.
        state: its state directory.
        vaulted: whether its secrets are in a vault there.
    """

    topology: Topology
    state: Path = STATE
    vaulted: bool = SERVERS

    @cached_property
    def engines(self) -> dict[str, Engine]:
        """The engines by their Docker hosts; a run of site.yml may have to install one first."""
        hosts = dict.fromkeys(service.docker_host for service in self.topology.containers())
        return {host: Engine(host, host if host in servers.NAMES else "") for host in hosts}

    @property
    def docker(self) -> docker.DockerClient:
        """The engine where there is only one."""
        (engine,) = self.engines.values()
        return engine.client

    def engine(self, service: str) -> Engine:
        """The engine that runs a service."""
        return self.engines[self.topology.services[service].docker_host]

    # Containers -----------------------------------------------------------------------------------------------------

    @cached_property
    def names(self) -> list[str]:
        """The services that are containers."""
        return [service.name for service in self.topology.containers()]

    def container(self, service: str) -> Container:
        return self.engine(service).client.containers.get(self.topology.container_name(service))

    def ids(self) -> dict[str, str]:
        """Container id by service, of all containers that carry the platform's label."""
        label = {"label": f"{LABEL_PROJECT}={self.topology.project}"}
        return {
            container.name.removeprefix(f"{self.topology.project}-"): str(container.id)
            for engine in self.engines.values()
            for container in engine.client.containers.list(all=True, filters=label)
        }

    def snapshot(self) -> dict[str, str]:
        """What Docker and the state directory have of the platform; equal snapshots mean that nothing was changed."""
        label = {"label": f"{LABEL_PROJECT}={self.topology.project}"}
        found: dict[str, str] = {}
        for host, engine in self.engines.items():
            api = engine.client.api
            found |= {f"volume {host} {each['Name']}": "" for each in api.volumes(label)["Volumes"] or ()}
            found |= {f"network {host} {each['Name']}": each["Id"] for each in api.networks(filters=label)}
            for container in engine.client.containers.list(all=True, filters=label):
                found[f"container {container.name}"] = (
                    f"{container.id} {container.attrs['State']['StartedAt']}"
                )
        for path in self.state.rglob("*"):
            if path.is_file():
                found[f"file {path.relative_to(self.state)}"] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def pid(self, service: str) -> int:
        """A process of the service's container, as its Docker host counts."""
        number = int(self.container(service).attrs["State"]["Pid"])
        assert number, f"{service} does not run"
        return number

    def on_network(self, service: str, *command: str) -> list[str]:
        """A command line that runs a program of this machine in the network of a service's container."""
        return as_root("nsenter", f"--net={self.engine(service).network_of(self.pid(service))}", *command)

    @property
    def here(self) -> str:
        """The address at which containers with a way out reach this machine."""
        if SERVERS:
            return servers.gateway()
        network = self.docker.networks.get(self.topology.network_name("shared-net"))
        parts = network.attrs["IPAM"]["Config"]
        subnet = ipaddress.ip_network(next(part["Subnet"] for part in parts if "." in part["Subnet"]))
        return str(
            next(subnet.hosts())
        )  # Docker's own choice, which it does not tell of a subnet that it was given

    def addresses(self, service: str) -> dict[str, tuple[str, str]]:
        """Address by (network's full name, "4" or "6") turned around: address → (network, family)."""
        found = {}
        for network, details in self.container(service).attrs["NetworkSettings"]["Networks"].items():
            for family, key in (("4", "IPAddress"), ("6", "GlobalIPv6Address")):
                if details.get(key):
                    found[str(details[key])] = (str(network), family)
        return found

    def found_at(self, service: str, caller: str) -> dict[str, tuple[str, str]]:
        """The addresses at which a caller's Docker host has a service, as `addresses`: of one elsewhere those of the tunnel there."""
        host = self.topology.services[caller].docker_host
        if self.topology.services[service].docker_host == host:
            return self.addresses(service)
        networks = {
            self.topology.network_name(crossing.network)
            for crossing in self.topology.crossings
            if (crossing.docker_host, crossing.service) == (host, service)
        }
        if not networks:
            return {}
        there = self.addresses(self.topology.tunnels[host].name)
        return {address: place for address, place in there.items() if place[0] in networks}

    def exec(self, service: str, *command: str, options: Sequence[str] = ()) -> list[str]:
        """A command line that runs a command in a service's container; options are those of ``docker exec``."""
        return self.engine(service).command("exec", *options, self.topology.container_name(service), *command)

    def run(
        self, service: str, *command: str, user: str = "", text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a service's container, as its own user unless another is named."""
        options = [*(["--interactive"] if text is not None else []), *(["--user", user] if user else [])]
        return subprocess.run(
            self.exec(service, *command, options=options),
            input=text,
            stdin=None if text is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
        )

    def wait_healthy(self, *services: str, timeout: float = PATIENCE) -> None:
        """Wait until the services' health checks say so."""
        deadline = time.monotonic() + timeout
        waiting = set(services)
        while waiting:
            waiting = {
                name
                for name in waiting
                if self.container(name).attrs["State"]["Health"]["Status"] != "healthy"
            }
            assert time.monotonic() < deadline, f"not healthy after {timeout} s: {', '.join(sorted(waiting))}"
            time.sleep(0.5)

    def wait_answering(self, *services: str) -> None:
        """Wait until the services' health checks pass, run here and now: Docker's next round of them is seconds away."""
        for service in services:
            eventually(functools.partial(self.passes, service), f"{service} answers")

    def passes(self, service: str) -> bool:
        """Whether a service's health check passes, run here and now."""
        kind, *command = self.container(service).attrs["Config"]["Healthcheck"]["Test"]
        assert kind == "CMD", f"{service}: no health check that can be run: {kind}"
        return self.run(service, *command).returncode == 0

    @contextmanager
    def stopped(self, service: str) -> Iterator[None]:
        """A service is stopped inside, and runs again afterwards; its health check takes a moment longer."""
        self.container(service).stop(timeout=5)
        try:
            yield
        finally:
            self.container(service).start()

    # Secrets --------------------------------------------------------------------------------------------------------

    @property
    def secrets(self) -> dict[str, str]:
        """The passwords and private keys of the platform, by their names in the state directory or the vault."""
        if not self.vaulted:
            files = [*(self.state / "secrets").rglob("*"), *self.state.glob("tls/*.key")]
            files += [*self.state.glob("keys/*/id_ed25519"), *self.state.glob("host_keys/*/ssh_host_*_key")]
            return {
                path.relative_to(self.state).as_posix(): path.read_text() for path in files if path.is_file()
            }
        program = str(Path(sys.executable).parent / "ansible-vault")
        done = subprocess.run(
            [program, "view", *VAULT, str(self.state / "vault.yml")],
            env=environment(ROOT),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        found: dict[str, str] = yaml.safe_load(done.stdout)["dockfra_vault"]
        return found

    def secret(self, name: str) -> str:
        return self.secrets[f"secrets/{name}"].strip()

    def key(self, name: str) -> Path:
        """The private key file of an SSH client key."""
        path = self.state / "keys" / name / "id_ed25519"
        if not path.exists() and self.vaulted:
            # Only what the operator's ssh needs is a file there.
            path = self.state / "keys-of-tests" / name
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(self.secrets[f"keys/{name}/id_ed25519"])
        return path

    @property
    def authority(self) -> Path:
        """The certificate of the platform's own certificate authority."""
        return self.state / "tls" / "ca.crt"

    # The way in -----------------------------------------------------------------------------------------------------

    def published(self, service: str, port: str) -> int:
        number = self.topology.services[service].port(port).publish
        assert number is not None, f"{service} does not publish {port}"
        return number

    def url(self, path: str = "/") -> str:
        """An address of the platform's web page."""
        name = self.engine("traefik").address if self.vaulted else "localhost"
        return f"https://{name}:{self.published('traefik', 'https')}{path}"

    def ssh_servers(self) -> list[Service]:
        """The services with a published SSH port."""
        return [
            service
            for service in self.topology.containers()
            if any(port.publish is not None for port in service.ssh_ports)
        ]

    def client_keys(self) -> dict[str, str]:
        """Service by the name of the SSH client key that lives in it."""
        return {
            service.client_key: service.name
            for service in self.topology.services.values()
            if service.client_key
        }

    def ssh(
        self, host: str, *command: str, options: Sequence[str] = (), text: str = "", timeout: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run a command over SSH as people do, with the generated configuration."""
        return subprocess.run(
            ["ssh", "-F", str(self.state / "ssh_config"), "-o", "BatchMode=yes", *options, host, *command],
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )

    # The network, from inside ---------------------------------------------------------------------------------------

    def listening(self, services: Iterable[str]) -> dict[str, set[tuple[str, int]]]:
        """Where each container listens, all addresses of its network namespace counted."""
        found: dict[str, set[tuple[str, int]]] = {}
        for engine, pids in self._pids(services):
            answer = engine.netprobe("listening", list(pids))
            found |= {
                pids[int(pid)]: {(address, port) for address, port in places}
                for pid, places in answer.items()
            }
        return found

    def reachable(
        self, services: Iterable[str], targets: Iterable[tuple[str, int]]
    ) -> dict[str, set[tuple[str, int]]]:
        """Which targets accept a connection that a container opens."""
        found: dict[str, set[tuple[str, int]]] = {}
        wanted = sorted(set(targets))
        for engine, pids in self._pids(services):
            answer = engine.netprobe("connect", {"pids": list(pids), "targets": wanted})
            found |= {
                pids[int(pid)]: {(address, port) for address, port in places}
                for pid, places in answer.items()
            }
        return found

    @staticmethod
    def reachable_from(pid: int, targets: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
        """Which targets accept a connection from the network namespace of a process of this machine."""
        answer = Engine("").netprobe("connect", {"pids": [pid], "targets": sorted(set(targets))})
        return {(address, port) for address, port in answer[str(pid)]}

    def _pids(self, services: Iterable[str]) -> Iterator[tuple[Engine, dict[int, str]]]:
        """Service by process, for each engine."""
        found: dict[str, dict[int, str]] = {}
        for service in services:
            host = self.topology.services[service].docker_host
            found.setdefault(host, {})[self.pid(service)] = service
        return ((self.engines[host], pids) for host, pids in found.items())


def eventually(check: Callable[[], bool], what: str, timeout: float = 180) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < deadline, f"not within {timeout:.0f} s: {what}"
        time.sleep(0.3)
