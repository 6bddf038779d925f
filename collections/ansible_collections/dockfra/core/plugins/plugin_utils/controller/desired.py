# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The desired state of every service, worked out from the inventory and the roles on the controller.

Nothing here talks to a Docker host. Variables are validated against the roles' argument specifications before anything
is derived from them, so a wrong value is refused before anything is touched.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.text.formatters import human_to_bytes
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ...module_utils.containers import views as containers
from ...module_utils.errors import TopologyError
from ...module_utils.files.tree import WantedFile
from ...module_utils.policy.model import Policy
from ...module_utils.topology.model import Service, Topology, ssh_ports
from .images import Image, image_sources
from .role_files import TEMPLATE_SUFFIX, Role, RoleFinder

SERVICE_ROLE = "dockfra.core.service"
PLATFORM_ROLE = "dockfra.core.platform"
BASE_ROLE = "dockfra.core.base"
CONFIG_MOUNT = "/etc/dockfra"

# What every service has and nothing else: a host with any of them is one, so that a misspelt other is noticed.
_SERVICE_MARKS = {"dockfra_networks", "dockfra_user", "dockfra_uid"}

# Variables that playbooks and plugins set themselves.
_INTERNAL = {"dockfra_desired", "dockfra_plan"}

# What is to be known of a service to reach it.
_NEIGHBOUR_VARIABLES = (
    "dockfra_address",
    "dockfra_docker_host",
    "dockfra_host_key",
    "dockfra_networks",
    "dockfra_ports",
    "dockfra_ssh_client_key",
    "dockfra_ssh_logins",
    "dockfra_ssh_port",
    "dockfra_ssh_tunnels",
    "dockfra_ssh_user",
    "dockfra_user",
)


@dataclass
class Desired:
    """What one service should be.

    Attributes:
        service: its place in the topology.
        images: images to build, the parents first; empty when the image comes ready-made.
        container: options for ``community.docker.docker_container``.
        directory: where its configuration files live on the Docker host.
        files: the rendered configuration files by path.
    """

    service: Service
    images: list[Image]
    container: dict[str, Any]
    directory: str
    files: dict[str, WantedFile] = field(repr=False)


class Platform:
    """The desired state of the whole platform.

    Args:
        templar: the task's templar.
        loader: the task's data loader.
        hostvars: Ansible's ``hostvars``.
        hosts: names of all inventory hosts; those with ``dockfra_networks`` are services.
        only: the services that are asked about; the others are known as neighbours, unvalidated. All by default.

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
        self._templar = templar
        self._loader = loader
        self._hostvars = hostvars
        raw = {host: hostvars.raw_get(host) for host in hosts}
        services = {host: values for host, values in raw.items() if _SERVICE_MARKS & set(values)}
        if not services:
            raise TopologyError(
                ["The inventory has no services: no host has dockfra_networks. Use -i inventories/local."]
            )
        neighbours = [host for host in services if only is not None and host not in only]
        services = {host: values for host, values in services.items() if host not in neighbours}
        self.root = _project_root(next(iter(services.values())))
        self._finder = RoleFinder(loader, self.root)
        self._chains = {host: self._role_chain(host, values) for host, values in services.items()}
        self._raw = {host: self._with_defaults(host, values) for host, values in services.items()}
        self._platform_defaults: dict[str, Any] = {}
        self.variables = self._validated()
        first = next(iter(self.variables.values()))
        self.settings = {key: first[key] for key in self._finder.role(PLATFORM_ROLE).options if key in first}
        self.topology = Topology(
            project=first["dockfra_project"],
            # In the order of the inventory, whoever is asked about: what is derived from it is the same every time.
            services=[
                Service.from_variables(host, self.variables.get(host) or _neighbour(hostvars[host]))
                for host in raw
                if host in self.variables or host in neighbours
            ],
            network_options=first.get("dockfra_network_options"),
            policy=Policy(first["dockfra_capabilities"], first["dockfra_commands"]),
        )

    def check(self) -> None:
        """Raise TopologyError when the services contradict each other; meaningful for all services together only."""
        problems = self.topology.problems()
        if problems:
            raise TopologyError(problems)

    def role_name(self, service: str) -> str:
        """The role that applies a service: the nearest of its chain that has tasks."""
        return next((role.name for role in self._chains[service] if role.has_tasks), SERVICE_ROLE)

    # Variables ------------------------------------------------------------------------------------------------------

    def _role_chain(self, host: str, values: Mapping[str, Any]) -> list[Role]:
        """The service's own role with its dependencies, then the roles every service has."""
        name = str(values.get("dockfra_role") or host.replace("-", "_"))
        if "dockfra_role" not in values and not self._finder.exists(name):
            name = SERVICE_ROLE
        chain = self._finder.chain(name)
        if name == SERVICE_ROLE and values.get("dockfra_image_context"):
            # Without a role that says otherwise, a build context stands on the image that all others stand on.
            chain.append(self._finder.role(BASE_ROLE))
        common = [self._finder.role(role) for role in (SERVICE_ROLE, PLATFORM_ROLE)]
        return chain + [role for role in common if role not in chain]

    def _with_defaults(self, host: str, values: Mapping[str, Any]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for role in reversed(self._chains[host]):
            merged.update(role.defaults)
        merged.update(values)
        merged["hostvars"] = self._hostvars
        return merged

    def _validated(self) -> dict[str, dict[str, Any]]:
        problems: dict[str, list[str]] = {}
        variables = {}
        for host, raw in self._raw.items():
            options: dict[str, Any] = {}
            for role in reversed(self._chains[host]):
                options.update(role.options)
            found = list(self._unknown(raw, options, self._chains[host]))
            templar = self._templar.copy_with_new_env(available_variables=raw)
            try:
                provided = {key: self._worked_out(templar, key, raw[key]) for key in options if key in raw}
            except AnsibleError as error:
                found.append(f"a variable cannot be worked out: {error}")
                provided = {}
            outcome = ArgumentSpecValidator(options).validate(provided, validate_role_argument_spec=True)
            if provided:
                found.extend(outcome.error_messages)
            variables[host] = outcome.validated_parameters
            for problem in found:
                problems.setdefault(problem, []).append(host)
        if problems:
            raise TopologyError([f"{self._named(hosts)}: {problem}" for problem, hosts in problems.items()])
        return variables

    def _named(self, hosts: Sequence[str]) -> str:
        return "every service" if len(hosts) == len(self._raw) > 1 else ", ".join(hosts)

    def _worked_out(self, templar: Templar, name: str, value: Any) -> Any:
        """Template a variable; a default of the whole platform only once, because it is the same for every service."""
        if value is not self._finder.role(PLATFORM_ROLE).defaults.get(name):
            return templar.template(value)
        if name not in self._platform_defaults:
            self._platform_defaults[name] = templar.template(value)
        return self._platform_defaults[name]

    def _unknown(
        self, raw: Mapping[str, Any], options: Mapping[str, Any], chain: Sequence[Role]
    ) -> Iterable[str]:
        own = [role for role in chain if role.name not in (SERVICE_ROLE, PLATFORM_ROLE)]
        prefixes = ("dockfra_", *(f"{role.short_name}_" for role in own))
        others = {f"{role.short_name}_" for chain in self._chains.values() for role in chain} - set(prefixes)
        for name in sorted(set(raw) - set(options) - _INTERNAL):
            if name.startswith(prefixes) and not name.startswith(tuple(others)):
                close = difflib.get_close_matches(name, options, n=1)
                hint = (
                    f"did you mean '{close[0]}'?" if close else "see the argument specification of its role."
                )
                yield f"the variable '{name}' is unknown; {hint}"

    # Images ---------------------------------------------------------------------------------------------------------

    def _images(self, service: Service) -> list[Image]:
        values = self.variables[service.name]
        if values.get("dockfra_image"):
            return []
        images: list[Image] = []
        chain = [
            (role, role.image_context) for role in reversed(self._chains[service.name]) if role.image_context
        ]
        own_context = values.get("dockfra_image_context")
        if not chain and not own_context:
            raise TopologyError(
                [
                    f"{service.name}: has no image; set dockfra_image or dockfra_image_context, or give it a role."
                ]
            )
        own_role = self._chains[service.name][0]
        for number, (role, context) in enumerate(chain):
            last = number == len(chain) - 1 and not own_context
            images.append(
                Image(
                    repository=f"dockfra/{service.name if last else role.short_name}",
                    parent=images[-1].reference if images else values["dockfra_base_image"],
                    arguments=self._arguments(service) if last else (),
                    sources=image_sources(context, self._extra_files(service, role)),
                )
            )
        if own_context:
            images.append(
                Image(
                    repository=f"dockfra/{service.name}",
                    parent=images[-1].reference if images else values["dockfra_base_image"],
                    arguments=self._arguments(service),
                    sources=image_sources(
                        Path(_project_root(self._raw[service.name]), own_context),
                        self._extra_files(service, own_role),
                    ),
                )
            )
        return images

    def _arguments(self, service: Service) -> tuple[tuple[str, str], ...]:
        return (("SERVICE_USER", service.user), ("SERVICE_UID", str(service.uid)))

    def _extra_files(self, service: Service, role: Role) -> Mapping[str, str]:
        files = self.variables[service.name].get(f"{role.short_name}_image_files") or {}
        return {place: os.path.join(role.path, pattern) for place, pattern in files.items()}

    # Configuration files --------------------------------------------------------------------------------------------

    def render(self, name: str) -> dict[str, WantedFile]:
        """Return the service's configuration files; a template that renders to white space only makes no file."""
        service = self.topology.services[name]
        typed = self.variables[name]
        available = {
            # What was validated is worked out already; only what no specification knows is left to be templated.
            **{key: typed.get(key, value) for key, value in self._raw[name].items()},
            "dockfra_audit_logs": self.topology.audit_logs(name),
            "dockfra_gate": self._gate(service),
            "dockfra_gate_callers": self.topology.gate_callers(name),
            "dockfra_gate_prompts": self.topology.gate_prompts(name),
            "dockfra_listen_hosts": service.listen_hosts,
            "dockfra_service_names": list(self.topology.services),
            "dockfra_probe_targets": [asdict(reach) for reach in self.topology.reachable_ports(name)],
            "dockfra_ssh_peers": [
                {**ssh_address(peer), "admits": self.topology.admits(peer.name, service.client_key)}
                for peer in self.topology.ssh_peers(name)
            ],
        }
        files: dict[str, WantedFile] = {}
        templates: dict[str, Path] = {}
        for role in reversed(self._chains[name]):
            templates.update(role.templates())
        for path, source in templates.items():
            text = self._render_file(source, available)
            if text.strip():
                files[path] = WantedFile(text.encode(), 0o400)
        return files

    def _gate(self, service: Service) -> dict[str, Any]:
        """What the commands of a container know of themselves and of each other."""
        return {
            "place": service.place,
            "service": service.name,
            # Those the policy speaks of: another service changes nothing here.
            "services": {
                place: name
                for place, name in self.topology.places().items()
                if place in self.topology.policy.places()
            },
            **self.topology.policy.to_dict(),
        }

    def render_operator_files(self, variables: Mapping[str, Any]) -> dict[str, str]:
        """Return the files that the role ``dockfra.core.platform`` has for the person at the controller, by name."""
        first = next(iter(self._raw.values()))
        root = self._finder.role(PLATFORM_ROLE).path / "templates" / "operator"
        available = {**first, **variables}
        return {
            path.stem: self._render_file(path, available) for path in sorted(root.glob(f"*{TEMPLATE_SUFFIX}"))
        }

    def _render_file(self, source: Path, available: dict[str, Any]) -> str:
        templar = self._templar.copy_with_new_env(
            searchpath=[str(source.parent)], available_variables=available
        )
        try:
            rendered = templar.template(
                trust_as_template(source.read_text(encoding="utf-8")),
                escape_backslashes=False,
                overrides={"trim_blocks": True, "lstrip_blocks": False},
            )
        except AnsibleError as error:
            raise TopologyError(
                [f"{available['inventory_hostname']}: {source} cannot be rendered: {error}"]
            ) from error
        return str(rendered if rendered is not None else "")

    # Containers -----------------------------------------------------------------------------------------------------

    def desired(self, name: str) -> Desired:
        """Return the desired state of one service."""
        service = self.topology.services[name]
        values = self.variables[name]
        images = self._images(service)
        files = self.render(name)
        directory = f"{values['dockfra_data_root']}/{self.topology.project}/services/{name}"
        container = self._container(
            service, images[-1].reference if images else values["dockfra_image"], directory, bool(files)
        )
        fingerprints = {path: file.fingerprint() for path, file in files.items()}
        container["labels"][containers.LABEL_CONFIG] = containers.digest(fingerprints)
        container["labels"][containers.LABEL_REVISION] = containers.digest(container)
        return Desired(service, images, container, directory, files)

    def _container(self, service: Service, image: str, directory: str, has_files: bool) -> dict[str, Any]:
        values = self.variables[service.name]
        project = {containers.LABEL_PROJECT: self.topology.project}
        mounts: list[dict[str, Any]] = [
            {
                "type": "volume",
                "source": self.topology.volume_name(volume.name),
                "target": volume.path,
                "read_only": volume.read_only,
                # Who may write gives a fresh volume its owner and first content, whoever comes first.
                **({"no_copy": True} if volume.read_only else {}),
                # Docker makes a missing volume with these.
                "labels": project,
            }
            for volume in self.topology.volumes(service.name)
        ]
        if has_files:
            mounts.append({"type": "bind", "source": directory, "target": CONFIG_MOUNT, "read_only": True})
        spec: dict[str, Any] = {
            "name": self.topology.container_name(service.name),
            "image": image,
            # Docker makes the host name an alias on every network, so it must not be the service's name (see _aliases).
            "hostname": self.topology.container_name(service.name),
            "user": f"{service.uid}:{service.uid}",
            "env": {key: str(value) for key, value in values["dockfra_env"].items()},
            "networks": [
                {"name": self.topology.network_name(network), "aliases": _aliases(service, network)}
                for network in service.networks
            ],
            "published_ports": [
                f"{values['dockfra_publish_address']}:{port.publish}:{port.number}/tcp"
                for port in service.ports
                if port.publish is not None
            ],
            "mounts": mounts,
            "tmpfs": [f"{path}:{_tmpfs_options(options)}" for path, options in _tmpfs(values).items()],
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opts": ["no-new-privileges"],
            "memory": _memory(service.name, values["dockfra_memory"]),
            "pids_limit": values["dockfra_pids"],
            "init": True,
            "restart_policy": "unless-stopped",
            "stop_timeout": values["dockfra_stop_timeout"],
            "log_driver": "json-file",
            "log_options": {"max-size": "10m", "max-file": "3"},
            "labels": {**project, containers.LABEL_SERVICE: service.name},
        }
        if values["dockfra_health"]:
            spec["healthcheck"] = {
                "test": ["CMD", *values["dockfra_health"]],
                "interval": f"{values['dockfra_health_interval']}s",
                "timeout": "10s",
                "start_period": "60s",
            }
        if values.get("dockfra_command"):
            spec["command"] = values["dockfra_command"]
        return spec

    def networks(self, docker_host: str) -> dict[str, dict[str, Any]]:
        """Return the networks a Docker host needs, by full name, in the terms of `engine.read_state`."""
        used = {
            network
            for service in self.topology.containers()
            if service.docker_host == docker_host
            for network in service.networks
        }
        wanted = {}
        for network in (self.topology.networks[name] for name in sorted(used)):
            subnets = [network.subnet] if network.subnet else []
            if network.gateway:
                subnets.append(self.topology.ipv6_subnet(network.name))
            wanted[self.topology.network_name(network.name)] = {
                "internal": network.internal,
                "ipv6": network.gateway,
                "subnets": subnets,
            }
        return wanted


def _project_root(values: Mapping[str, Any]) -> str:
    """The directory of the project: that of its ansible.cfg, else the current one."""
    return os.path.dirname(str(values.get("ansible_config_file") or "")) or os.getcwd()


def _neighbour(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: values[key] for key in _NEIGHBOUR_VARIABLES if key in values}


def ssh_address(service: Service) -> dict[str, Any]:
    """Return what an SSH client needs to know of a server, for templates."""
    values = service.variables
    return {
        "name": service.name,
        "address": service.external_address or service.name,
        "port": int(values.get("dockfra_ssh_port") or 22)
        if service.external_address
        else ssh_ports(service)[0].number,
        "user": values.get("dockfra_ssh_user") or service.user,
        "host_key": values.get("dockfra_host_key") or "",
        "host_key_name": service.name,
    }


def _aliases(service: Service, network: str) -> list[str]:
    """Names of the service on a network: callers find it only where it listens, and itself everywhere it does."""
    return [service.name, f"{service.name}.{network}"] if network in service.listen_networks else []


def _memory(service: str, limit: str) -> int:
    try:
        return human_to_bytes(limit.upper())
    except ValueError as error:
        raise TopologyError([f"{service}: dockfra_memory is '{limit}'; write it like 256m or 1g."]) from error


def _tmpfs(values: Mapping[str, Any]) -> dict[str, str]:
    return {"/tmp": "", "/run": "", **values["dockfra_tmpfs"]}  # noqa: S108  inside the container, in memory


def _tmpfs_options(options: str) -> str:
    return options or "rw,noexec,nosuid,nodev,size=64m,mode=1777"
