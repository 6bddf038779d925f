# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The variables of the services: worked out, checked against the roles' argument specifications, and where they are written."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible._internal._datatag._tags import Origin
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator, ValidationResult
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ...module_utils.errors import TopologyError
from ...module_utils.topology.link import Server
from . import vaults
from .role_files import Role, RoleFinder

SERVICE_ROLE = "dockfra.core.service"
PLATFORM_ROLE = "dockfra.core.platform"
BASE_ROLE = "dockfra.core.base"
ACCOUNT_ROLE = "dockfra.core.link_account"

# What every service has and nothing else: a host with any of them is one, so that a misspelt other is noticed.
_SERVICE_MARKS = {"dockfra_networks", "dockfra_user", "dockfra_uid"}

# Variables that playbooks and plugins set themselves.
_INTERNAL = {
    "dockfra_desired",
    "dockfra_plan",
    "dockfra_image_routes",
    "dockfra_upgrade_order",
    vaults.VARIABLE,
}

# Settings of the platform as a whole, which no service can have for itself.
_OF_ALL = (
    "dockfra_project",
    "dockfra_state_dir",
    "dockfra_vault_file",
    "dockfra_vault_id",
    "dockfra_network_options",
    "dockfra_ipv4_range",
    "dockfra_capabilities",
    "dockfra_commands",
    "dockfra_further_commands",
    "dockfra_data_root",
    "dockfra_hostnames",
    "dockfra_link_user",
    "dockfra_sshd_directory",
    "dockfra_upgrade",
)

# What is to be known of a service to reach it.
_NEIGHBOUR_VARIABLES = (
    "dockfra_address",
    "dockfra_binds",
    "dockfra_description",
    "dockfra_device",
    "dockfra_device_share",
    "dockfra_docker_host",
    "dockfra_health",
    "dockfra_host_key",
    "dockfra_image",
    "dockfra_image_context",
    "dockfra_links",
    "dockfra_needs",
    "dockfra_networks",
    "dockfra_port_offset",
    "dockfra_ports",
    "dockfra_publish_address",
    "dockfra_publish_addresses",
    "dockfra_reads_audit",
    "dockfra_release",
    "dockfra_release_targets",
    "dockfra_reverse_proxy",
    "dockfra_routes",
    "dockfra_ssh_client_key",
    "dockfra_ssh_forwards",
    "dockfra_ssh_logins",
    "dockfra_ssh_port",
    "dockfra_ssh_tunnels",
    "dockfra_ssh_user",
    "dockfra_stack",
    "dockfra_user",
    "dockfra_volumes",
)


class Variables:
    """The variables of all services.

    Args:
        templar: the task's templar.
        loader: the task's data loader.
        hostvars: Ansible's ``hostvars``.
        hosts: names of all inventory hosts; those that look like one are services.
        only: the services that are asked about; the others are known as neighbours, unvalidated. All by default.

    Attributes:
        raw: per service that is asked about its variables as they are written, with the defaults of its roles.
        typed: the same, worked out and checked.
        sources: per such service and variable where it is written, ``file:line``.
        neighbours: what is to be known of the other services, by name.
        chains: the roles of each service that is asked about, the nearest first.
        finder: where its roles are.

    Raises:
        TopologyError: variables are unknown or wrong.
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
        self._hostvars = hostvars
        written = {host: hostvars.raw_get(host) for host in hosts}
        self._hosts = frozenset(written)
        services = {host: values for host, values in written.items() if _SERVICE_MARKS & set(values)}
        if not services:
            raise TopologyError(
                ["The inventory has no services: no host has dockfra_networks. Use -i inventories/local."]
            )
        self.names = list(services)
        asked = {host: values for host, values in services.items() if only is None or host in only}
        self.project_root = _project_root(next(iter(services.values())))
        self.finder = RoleFinder(loader, self.project_root)
        self.chains = {host: self._role_chain(host, values) for host, values in asked.items()}
        self.raw = {host: self._with_defaults(host, values) for host, values in asked.items()}
        self.sources = {host: self._written_where(values) for host, values in asked.items()}
        self._shared: dict[int, Any] = {}
        self._checker = _Checker()
        self.typed = self._validated()
        self.neighbours = {
            host: {key: hostvars[host][key] for key in _NEIGHBOUR_VARIABLES if key in hostvars[host]}
            for host in services
            if host not in asked
        }

    def settings(self) -> dict[str, Any]:
        """Return the platform's settings; raises TopologyError where services differ in one that holds for all.

        Of what a service may have for itself, the platform has what most of them have.
        """
        hosts = list(self.typed)
        found = {}
        problems = []
        for name in self.finder.role(PLATFORM_ROLE).options:
            values = [self.typed[host][name] for host in hosts if name in self.typed[host]]
            if not values:
                continue
            # With two different values, the one that fewer services have is the odd one.
            usual = found[name] = max(values, key=values.count)
            problems += [
                f"{host}: {name} differs from that of the other services, but holds for the whole platform; "
                f"set it for all in group_vars/all.yml.{self._place(host, name)}"
                for host in hosts
                if name in _OF_ALL and self.typed[host].get(name) != usual
            ]
        if problems:
            raise TopologyError(problems)
        return found

    def of_all(self) -> dict[str, Any]:
        """Return what templates of the platform as a whole know: what is Ansible's own and none of the services'."""
        raw = next(iter(self.raw.values()))
        options = {name for chain in self.chains.values() for role in chain for name in role.options}
        names = set.intersection(*(set(values) for values in self.raw.values()))
        return {
            name: raw[name]
            for name in names
            if name not in options and not name.startswith(("dockfra_", "inventory_hostname", "group_names"))
        }

    def servers(self, names: Iterable[str]) -> dict[str, Server]:
        """Return what the inventory says of these Docker hosts, by name; raises TopologyError for what cannot be worked out."""
        found = {}
        for name in names:
            known = self._hostvars[name] if name in self._hosts else {}
            here = name == "localhost" or known.get("ansible_connection") == "local"
            try:
                found[name] = Server(
                    name=name,
                    address="" if here else str(known.get("ansible_host") or name),
                    port=int(known.get("ansible_port") or 22),
                    user=str(known.get("ansible_user") or ""),
                    host_key=str(known.get("dockfra_server_host_key") or ""),
                    key_file=os.path.expanduser(str(known.get("ansible_ssh_private_key_file") or "")),
                )
            except (AnsibleError, ValueError) as error:
                raise TopologyError([f"{name}: a variable cannot be worked out: {error}"]) from error
        return found

    def context(self, host: str) -> str:
        """Return the build context of a service's own image; empty where it has none but its role's."""
        known = self.typed.get(host) or self.neighbours.get(host) or {}
        context = known.get("dockfra_image_context")
        return os.path.normpath(os.path.join(self.project_root, context)) if context else ""

    def _written_where(self, values: Mapping[str, Any]) -> dict[str, str]:
        found = {}
        for name, value in values.items():
            origin = Origin.get_tag(value) if name.startswith("dockfra_") else None
            if origin is not None and origin.path:
                path = os.path.relpath(origin.path, self.project_root)
                path = str(origin.path) if path.startswith("..") else path
                found[name] = f"{path}:{origin.line_num}" if origin.line_num else path
        return found

    def _place(self, host: str, name: str) -> str:
        place = self.sources[host].get(name)
        return f" ({place})" if place else ""

    def _role_chain(self, host: str, values: Mapping[str, Any]) -> list[Role]:
        """The service's own role with its dependencies, then the roles every service has."""
        name = str(values.get("dockfra_role") or host.replace("-", "_"))
        if "dockfra_role" not in values and not self.finder.exists(name):
            name = SERVICE_ROLE
        chain = self.finder.chain(name)
        if name == SERVICE_ROLE and values.get("dockfra_image_context"):
            # Without a role that says otherwise, a build context stands on the image that all others stand on.
            chain.append(self.finder.role(BASE_ROLE))
        common = [self.finder.role(role) for role in (SERVICE_ROLE, PLATFORM_ROLE)]
        return chain + [role for role in common if role not in chain]

    def _with_defaults(self, host: str, values: Mapping[str, Any]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for role in reversed(self.chains[host]):
            merged.update(role.defaults)
        merged.update(values)
        merged["hostvars"] = self._hostvars
        return merged

    def _validated(self) -> dict[str, dict[str, Any]]:
        problems: dict[str, list[str]] = {}
        typed: dict[str, dict[str, Any]] = {}
        for host, raw in self.raw.items():
            options = {name for role in self.chains[host] for name in role.options}
            found = list(self._unknown(host, options))
            templar = self._templar.copy_with_new_env(available_variables=raw)
            try:
                provided = {key: self._worked_out(templar, key, raw[key]) for key in options if key in raw}
            except AnsibleError as error:
                found.append(f"a variable cannot be worked out: {error}")
                typed[host] = {}
            else:
                typed[host], messages = self._checker.check(self.chains[host], provided)
                found.extend(self._with_place(host, message) for message in messages)
            for problem in found:
                problems.setdefault(problem, []).append(host)
        if problems:
            raise TopologyError([f"{self._named(hosts)}: {problem}" for problem, hosts in problems.items()])
        return typed

    def _with_place(self, host: str, message: str) -> str:
        """Add to a message of Ansible's validator where the variable it names is written."""
        named = [
            name for name in self.sources[host] if name in message.replace("'", " ").replace(".", " ").split()
        ]
        return f"{message}{self._place(host, named[0])}" if named else message

    def _named(self, hosts: Sequence[str]) -> str:
        return "every service" if len(hosts) == len(self.raw) > 1 else ", ".join(hosts)

    def _worked_out(self, templar: Templar, name: str, value: Any) -> Any:
        """Template a variable; one of the whole platform only once, because it is the same for every service."""
        default = self.finder.role(PLATFORM_ROLE).defaults.get(name)
        if name not in _OF_ALL and (default is None or value is not default):
            return _untagged(templar.template(value))
        # The values live as long as this object does, so no other has the same identity.
        if id(value) not in self._shared:
            self._shared[id(value)] = _untagged(templar.template(value))
        return self._shared[id(value)]

    def _unknown(self, host: str, options: Collection[str]) -> Iterator[str]:
        own = [role for role in self.chains[host] if role.name not in (SERVICE_ROLE, PLATFORM_ROLE)]
        prefixes = ("dockfra_", *(f"{role.short_name}_" for role in own))
        others = {f"{role.short_name}_" for chain in self.chains.values() for role in chain} - set(prefixes)
        for name in sorted(set(self.raw[host]) - set(options) - _INTERNAL):
            if name.startswith(prefixes) and not name.startswith(tuple(others)):
                # A role that no service has can be called like one and more: rpi3_device works on hosts whose role is rpi3.
                known = self._options_beside(name, prefixes) or options
                if name in known:
                    continue
                close = difflib.get_close_matches(name, known, n=1)
                hint = (
                    f"did you mean '{close[0]}'?" if close else "see the argument specification of its role."
                )
                yield f"the variable '{name}' is unknown; {hint}{self._place(host, name)}"

    def _options_beside(self, name: str, prefixes: Collection[str]) -> Collection[str]:
        """The options of the project's role that a variable's name begins with, if that is none of the service's own."""
        roles = [
            role for role in self.finder.names() if name.startswith(f"{role}_") and f"{role}_" not in prefixes
        ]
        return self.finder.role(max(roles, key=len)).options if roles else ()


def _untagged(value: Any) -> Any:
    """Return a value without what Ansible notes on each of its parts, which costs the validator's copies most of their time."""
    if isinstance(value, dict):
        return {_untagged(key): _untagged(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_untagged(part) for part in value]
    # Of a subclass these give the plain type.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__int__(value)
    return value


class _Checker:
    """Checks values against the specifications of roles; what it has checked last for a role it knows already."""

    def __init__(self) -> None:
        self._validators: dict[str, ArgumentSpecValidator] = {}
        self._last: dict[str, tuple[dict[str, Any], ValidationResult]] = {}

    def check(self, chain: Sequence[Role], provided: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Return the values with the types that the roles ask for, and what is wrong with them.

        The nearer role's specification counts where two have an option of one name.
        """
        typed: dict[str, Any] = {}
        messages: list[str] = []
        seen: set[str] = set()
        for role in chain:
            hidden = seen & set(role.options)
            seen |= set(role.options)
            own = {key: provided[key] for key in role.options if key in provided and key not in hidden}
            result = self._result(role, own, hidden)
            typed.update(
                {key: value for key, value in result.validated_parameters.items() if key not in hidden}
            )
            messages += result.error_messages
        return typed, messages

    def _result(self, role: Role, values: dict[str, Any], hidden: Collection[str]) -> ValidationResult:
        if hidden:
            visible = {key: option for key, option in role.options.items() if key not in hidden}
            return ArgumentSpecValidator(visible).validate(values, validate_role_argument_spec=True)
        last = self._last.get(role.name)
        if last is None or last[0] != values:
            if role.name not in self._validators:
                self._validators[role.name] = ArgumentSpecValidator(role.options)
            result = self._validators[role.name].validate(values, validate_role_argument_spec=True)
            last = self._last[role.name] = (values, result)
        return last[1]


def _project_root(values: Mapping[str, Any]) -> str:
    """The directory of the project: that of its ansible.cfg, else the current one."""
    return os.path.dirname(str(values.get("ansible_config_file") or "")) or os.getcwd()
