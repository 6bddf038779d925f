# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The desired state of every service, worked out from the inventory and the roles on the controller.

Nothing here talks to a Docker host. Variables are validated against the roles' argument specifications before anything
is derived from them, so a wrong value is refused before anything is touched.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ...module_utils.containers.labels import LABEL_CONFIG, LABEL_REVISION, digest
from ...module_utils.errors import TopologyError
from ...module_utils.files.tree import WantedFile
from ...module_utils.policy.model import Policy
from ...module_utils.secrets.changes import OLD
from ...module_utils.secrets.keyring import Keyring
from ...module_utils.topology import forwards
from ...module_utils.topology.link import AUDIT_PORT, audit_port
from ...module_utils.topology.model import Service
from ...module_utils.topology.problems import problems
from ...module_utils.topology.topology import Topology, short_names
from . import keyrings, vaults
from .images import Image, image_sources, tree_name
from .keyrings import keyring_of
from .role_files import TEMPLATE_SUFFIX, Role
from .specification import specification
from .variables import ACCOUNT_ROLE, PLATFORM_ROLE, SERVICE_ROLE, Variables


@dataclass
class Desired:
    """What one service should be.

    Attributes:
        service: its place in the topology.
        images: images to build, the parents first; empty when the image comes ready-made.
        container: the specification of its container, see `specification`.
        directory: where its configuration files live on the Docker host.
        files: the rendered configuration files by path.
        with_secrets: those with a secret that the service takes up while it runs.
    """

    service: Service
    images: list[Image]
    container: dict[str, Any]
    directory: str
    files: dict[str, WantedFile] = field(repr=False)
    with_secrets: set[str] = field(default_factory=set)


class Platform:
    """The desired state of the whole platform.

    Args:
        templar: the task's templar.
        loader: the task's data loader.
        hostvars: Ansible's ``hostvars``.
        hosts: names of all inventory hosts, see `Variables`.
        only: the services that are asked about; the others are known as neighbours, unvalidated. All by default.

    Attributes:
        variables: those of the services that are asked about, worked out and checked, by service.
        settings: those of the platform as a whole.
        topology: all services and what follows from them.
        root: the project's directory.

    Raises:
        TopologyError: variables are unknown, wrong or contradict each other.
    """

    def __init__(
        self,
        templar: Templar,
        loader: DataLoader,
        hostvars: Any,
        hosts: Iterable[str],
        only: Sequence[str] | None = None,
    ) -> None:
        self._file_templar = templar.copy_with_new_env(searchpath=os.sep)
        self._variables = Variables(templar, loader, hostvars, hosts, only)
        self.root = self._variables.project_root
        self.variables = self._variables.typed
        self.settings = self._variables.settings()
        # In the order of the inventory, whoever is asked about: what is derived from it is the same every time.
        services = [self._service(name) for name in self._variables.names]
        commands = {**self.settings["dockfra_commands"], **self.settings["dockfra_further_commands"]}
        self.topology = Topology(
            project=self.settings["dockfra_project"],
            services=services,
            network_options=self.settings["dockfra_network_options"],
            policy=Policy(self.settings["dockfra_capabilities"], commands),
            ipv4_range=self.settings["dockfra_ipv4_range"],
            servers=self._variables.servers(dict.fromkeys(service.docker_host for service in services)),
        )

    def _service(self, name: str) -> Service:
        if name in self.variables:
            return Service.from_variables(name, self.variables[name], self._variables.sources[name])
        return Service.from_variables(name, self._variables.neighbours[name])

    def check(self) -> None:
        """Raise TopologyError when the services contradict each other; meaningful for all services together only."""
        found = problems(self.topology)
        if found:
            raise TopologyError(found)

    def role_name(self, service: str) -> str:
        """The role that applies a service: the nearest of its chain that has tasks."""
        chain = self._variables.chains[service]
        return next((role.name for role in chain if role.has_tasks), SERVICE_ROLE)

    # Images ---------------------------------------------------------------------------------------------------------

    def _images(self, service: Service) -> list[Image]:
        values = self.variables[service.name]
        if values.get("dockfra_image"):
            return []
        chain = self._variables.chains[service.name]
        contexts = [(role, role.image_context) for role in reversed(chain) if role.image_context]
        if values.get("dockfra_image_context"):
            own_context = Path(self._variables.project_root, values["dockfra_image_context"])
            contexts.append((chain[0], own_context))
        if not contexts:
            raise TopologyError(
                [
                    f"{service.name}: has no image; set dockfra_image or dockfra_image_context, or give it a role."
                ]
            )
        images: list[Image] = []
        for role, context in contexts:
            last = len(images) == len(contexts) - 1
            images.append(
                Image(
                    repository=f"dockfra/{service.name if last else role.short_name}",
                    parent=images[-1].reference if images else values["dockfra_base_image"],
                    arguments=self._arguments(service) if last else (),
                    sources=image_sources(context, self._extra_files(service, role)),
                )
            )
        return images

    def _arguments(self, service: Service) -> tuple[tuple[str, str], ...]:
        """The build arguments of a service's own image."""
        own = (("SERVICE_USER", service.user), ("SERVICE_UID", str(service.uid)))
        kept = " ".join(other.name for other in self.topology.released_through(service.name))
        return (*own, ("SERVICE_RELEASES", kept)) if kept else own

    def _extra_files(self, service: Service, role: Role) -> Mapping[str, str]:
        files = self.variables[service.name].get(f"{role.short_name}_image_files") or {}
        return {place: os.path.join(role.path, pattern) for place, pattern in files.items()}

    # Configuration files --------------------------------------------------------------------------------------------

    def render(self, name: str) -> dict[str, WantedFile]:
        """Return the service's configuration files; a template that renders to white space only makes no file."""
        templates: dict[str, Path] = {}
        for role in reversed(self._variables.chains[name]):
            templates.update(role.templates())
        if not templates:
            return {}
        raw, typed = self._variables.raw[name], self.variables[name]
        # What was validated is worked out already; only what no specification knows is left to be templated.
        available = {**{key: typed.get(key, value) for key, value in raw.items()}, **self.derived(name)}
        files: dict[str, WantedFile] = {}
        for path, source in templates.items():
            text = self._render(source, available)
            if text.strip():
                files[path] = WantedFile(text.encode(), 0o400)
        return files

    def derived(self, name: str) -> dict[str, Any]:
        """What follows from the topology for a service, for its templates (docs: README, "How it works")."""
        topology = self.topology
        service = topology.services[name]
        served = topology.served_logs(name)
        gate, callers = self._gate(service), topology.gate_callers(name)
        reachable = [asdict(reach) for reach in topology.reachable_ports(name)]
        reach: dict[str, dict[str, Any]] = {}
        for port in reachable:
            reach.setdefault(port["service"], {}).setdefault(port["kind"], port)
        return {
            "dockfra_audit_logs": topology.audit_logs(name),
            "dockfra_collected_logs": {
                tunnel: {"port": audit_port(topology.services[tunnel], topology.tunnels), "logs": logs}
                for tunnel, logs in topology.collected_logs(name).items()
            },
            "dockfra_deployables": [
                {**asdict(entry), "tree": self.tree(entry.service)} for entry in topology.deployables(name)
            ],
            "dockfra_devices": [asdict(entry) for entry in topology.devices(name)],
            "dockfra_engines": [asdict(engine) for engine in topology.engines(name)],
            "dockfra_far_logs": [
                other for other in topology.audit_logs(name) if topology.is_far(name, other)
            ],
            "dockfra_gate": gate,
            "dockfra_gate_callers": callers,
            # As `to_nice_json` would write it, which takes a sixth of the time of all templates.
            "dockfra_gate_json": json.dumps(gate, indent=4, separators=(",", ": ")),
            "dockfra_gate_prompts": topology.gate_prompts(name),
            "dockfra_gate_verbs": {
                caller: topology.policy.commands(caller, service.place) for caller in callers
            },
            "dockfra_gates": topology.gates_of(name),
            "dockfra_kept_links": [asdict(link) for link in topology.links(name)],
            "dockfra_link_permits": {
                key: {
                    "open": [forwards.place(forward.host, forward.target) for forward in link.local],
                    "listen": [forwards.place(forward.listen, forward.port) for forward in link.remote],
                }
                for key, link in topology.accepted_links(name).items()
            },
            "dockfra_listen_hosts": [service.host_on(network) for network in service.listen_networks],
            "dockfra_listeners": [asdict(listener) for listener in topology.listeners(name)],
            "dockfra_own_devices": {device.name: device.runs for device in topology.devices_through(name)},
            "dockfra_pages": {
                other.name: list(other.health.pages)
                for other in topology.services.values()
                if other.health.pages
            },
            "dockfra_permitted_tunnels": forwards.permitted(topology, name),
            "dockfra_probe_targets": reachable,
            "dockfra_published": {port.name: port.port for port in topology.published_ports(name)},
            "dockfra_reach": reach,
            "dockfra_role_logins": [asdict(login) for login in topology.role_logins()],
            "dockfra_served_logs": {"port": AUDIT_PORT, "logs": served} if served else {},
            "dockfra_served_routes": [asdict(route) for route in topology.routes_within_reach(name)],
            "dockfra_service_names": list(topology.services),
            "dockfra_service_needs": topology.needs(),
            "dockfra_ssh_peers": self._ssh_peers(service),
            "dockfra_stacks": [
                {
                    "name": stack,
                    "services": [
                        {"name": member.name, "description": member.description} for member in members
                    ],
                }
                for stack, members in topology.stacks().items()
            ],
            "dockfra_tunnels": {
                other.name: other.tunnels[service.client_key]
                for other in topology.services.values()
                if service.client_key in other.tunnels
            },
        }

    def tree(self, name: str) -> str:
        """Git's name for the directory that a service's image is made of, as an origin made of the same source has it.

        Empty for a service without releases, and for one whose image is not made of the directory that its releases are made of.
        """
        release = self.topology.services[name].release
        context = str(self._variables.context(name))
        if release is None or not context.endswith(f"/{release.path}"):
            return ""
        return tree_name(context.removesuffix(f"/{release.path}"), release.path)

    def _ssh_peers(self, service: Service) -> list[dict[str, Any]]:
        """What the SSH client of a service needs to know of the servers it can reach."""
        peers = self.topology.ssh_peers(service.name)
        reach = {
            port.service: port for port in self.topology.reachable_ports(service.name) if port.kind == "ssh"
        }
        short = short_names(peers)
        return [
            {
                "name": peer.name,
                "short_name": short.get(peer.name, ""),
                "address": reach[peer.name].host,
                "port": reach[peer.name].port,
                "user": peer.variables.get("dockfra_ssh_user") or peer.user,
                "host_key": peer.variables.get("dockfra_host_key") or "",
                "admits": self.topology.admits(peer.name, service.client_key),
            }
            for peer in peers
        ]

    def _gate(self, service: Service) -> dict[str, Any]:
        """What the commands of a container know of themselves and of each other."""
        spoken_of = self.topology.policy.places()
        return {
            "place": service.place,
            "service": service.name,
            # Those the policy speaks of: another service changes nothing here.
            "services": {place: name for place, name in self.topology.places().items() if place in spoken_of},
            **self.topology.policy.to_dict(),
        }

    def render_operator_files(self, variables: Mapping[str, Any]) -> dict[str, str]:
        """Return the files that the role ``dockfra.core.platform`` has for the person at the controller, by name."""
        root = self._variables.finder.role(PLATFORM_ROLE).path / "templates" / "operator"
        available = {**self._platform_variables(), **variables}
        return {path.stem: self._render(path, available) for path in sorted(root.glob(f"*{TEMPLATE_SUFFIX}"))}

    def link_account(self, docker_host: str) -> dict[str, str]:
        """Return the account of a Docker host through which links come, see the role ``dockfra.core.link_account``; empty where none does."""
        tunnel = self.topology.tunnels.get(docker_host)
        ways = [
            {"key": key, "place": forwards.place(link.address, link.port)}
            for key, link in (self.topology.accepted_links(tunnel.name) if tunnel else {}).items()
        ]
        if not ways:
            return {}
        templates = self._variables.finder.role(ACCOUNT_ROLE).path / "templates"
        variables = {**self._platform_variables(), "link_account_ways": ways}
        return {
            "user": self.settings["dockfra_link_user"],
            "home": f"{self.settings['dockfra_data_root']}/{self.topology.project}/link",
            "authorized_keys": self._render(templates / "authorized_keys.j2", variables),
            "sshd_directory": self.settings["dockfra_sshd_directory"],
            "sshd_config": self._render(templates / "sshd_config.j2", variables),
        }

    def _platform_variables(self) -> dict[str, Any]:
        """What templates know that are no service's. Who renders is the platform: what cannot be rendered is told by a name."""
        first = next(iter(self._variables.raw.values()))
        return {
            **self._variables.of_all(),
            # Without what is decrypted already, the first template with a secret would have it decrypted.
            **{name: first[name] for name in (vaults.VARIABLE,) if name in first},
            "inventory_hostname": self.topology.project,
            **self.settings,
        }

    def _render(self, source: Path, available: dict[str, Any]) -> str:
        # One environment for all templates: it knows the filters and tests that they use, and compiles a file that it includes
        # once, however many services have it.
        templar = self._file_templar
        templar.available_variables = available
        try:
            rendered = templar.template(trust_as_template(f"{{% include {str(source)!r} %}}"))
        except AnsibleError as error:
            raise TopologyError(
                [f"{available['inventory_hostname']}: {source} cannot be rendered: {error}"]
            ) from error
        text = str(rendered if rendered is not None else "")
        # Jinja takes the end of a file's last line away.
        return text + "\n" * (_line_ends(source.read_text(encoding="utf-8")) - _line_ends(text))

    def keyring(self, persist: bool | None = None) -> Keyring:
        """Return the platform's keyring; ``persist`` as in `keyrings.keyring_of`."""
        first = next(iter(self._variables.raw.values()))
        available = {**first, **self.settings}
        return keyring_of(
            self._file_templar.copy_with_new_env(available_variables=available), available, persist
        )

    # Containers and networks ----------------------------------------------------------------------------------------

    def desired(self, name: str) -> Desired:
        """Return the desired state of one service."""
        service = self.topology.services[name]
        images = self._images(service)
        files = self.render(name)
        root = self.settings["dockfra_data_root"]
        directory = f"{root}/{self.topology.project}/services/{name}"
        image = images[-1].reference if images else self.variables[name]["dockfra_image"]
        container = specification(self.topology, service, image, directory if files else "")
        # What is taken up while the container runs is no reason to make it anew.
        named = {path: keyrings.named(file.content) for path, file in files.items()}
        fingerprints = {
            path: WantedFile(named[path], file.mode).fingerprint()
            for path, file in files.items()
            if not (path.endswith(OLD) and path.removesuffix(OLD) in files)
        }
        container["labels"][LABEL_CONFIG] = digest(fingerprints)
        container["labels"][LABEL_REVISION] = digest(container)
        with_secrets = {
            path
            for path, file in files.items()
            if named[path] != file.content and keyrings.taken_up(file.content)
        }
        # What was used before lies beside what is used, for a part of a change.
        with_secrets |= {f"{path}{OLD}" for path in with_secrets}
        return Desired(service, images, container, directory, files, with_secrets)

    def networks(self, docker_host: str) -> dict[str, dict[str, Any]]:
        """Return the networks a Docker host needs, by full name, in the terms of `engine.read_state`."""
        used = {network for service in self.topology.on_host(docker_host) for network in service.networks}
        wanted = {}
        ipv4 = self.topology.ipv4_subnets()
        for network in (self.topology.networks[name] for name in sorted(used)):
            subnets = [ipv4[network.name]] if network.name in ipv4 else []
            if network.gateway:
                subnets.append(self.topology.ipv6_subnet(network.name))
            wanted[self.topology.network_name(network.name)] = {
                "internal": network.internal,
                "ipv6": network.gateway,
                "subnets": subnets,
            }
        return wanted


def _line_ends(text: str) -> int:
    """How many there are at a text's end."""
    return len(text) - len(text.rstrip("\n"))
