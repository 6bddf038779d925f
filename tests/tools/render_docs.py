#!/usr/bin/env python3
"""Write what the documentation says about the topology, the policy, the commands, the settings and the variables.

    python tests/tools/render_docs.py           write the generated sections of the guides, docs/topology.svg,
                                                docs/settings.md and docs/variables.md
    python tests/tools/render_docs.py --check   write nothing; exit 1 and name what is stale

The sources are the inventory, as ansible-inventory reads it, the commands' own files, the table of settings, the catalogue of the
autopilot's actions, and each role's meta/argument_specs.yml.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "collections"))

from ansible_collections.dockfra.core.plugins.module_utils.autopilot import catalogue as action_catalogue  # noqa: E402
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.actions import RISKS, Action, Catalogue  # noqa: E402
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.facts import FACTS  # noqa: E402
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.inventory import Inventory  # noqa: E402
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.kinds import KINDS  # noqa: E402
from ansible_collections.dockfra.core.plugins.module_utils.errors import DeniedError  # noqa: E402
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy  # noqa: E402
from ansible_collections.dockfra.core.plugins.module_utils.policy.roles import ROLES  # noqa: E402  the path comes first
from ansible_collections.dockfra.core.plugins.module_utils.settings import catalogue  # noqa: E402  the path comes first
from ansible_collections.dockfra.core.plugins.module_utils.topology import forwards  # noqa: E402
from ansible_collections.dockfra.core.plugins.module_utils.topology.model import Service  # noqa: E402
from ansible_collections.dockfra.core.plugins.module_utils.topology.ports import Port  # noqa: E402
from ansible_collections.dockfra.core.plugins.module_utils.topology.topology import Topology  # noqa: E402
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import grammar  # noqa: E402

INVENTORY = "inventories/local"
STATE = ".dockfra/local"
POLICY = ROOT / "inventories" / "policy.yml"
DOCS = ROOT / "docs"
PICTURE = ROOT / "docs" / "topology.svg"
VARIABLES = ROOT / "docs" / "variables.md"
SETTINGS = ROOT / "docs" / "settings.md"
ACTIONS = ROOT / "playbooks" / "autopilot"
COLLECTION_ROLES = ROOT / "collections" / "ansible_collections" / "dockfra" / "core" / "roles"


class DocsError(Exception):
    """The documentation cannot be made."""


# -- the inventory -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Platform:
    """The topology, and who listens and calls on its networks; and the names that the autopilot knows."""

    topology: Topology
    inventory: Inventory

    def listeners(self, network: str) -> list[tuple[Service, list[Port]]]:
        """Who listens on a network, and on which ports."""
        found = [
            (service, [port for port in service.ports if network in port.networks])
            for service in self.topology.services.values()
        ]
        return [(service, ports) for service, ports in found if ports]

    def only_callers(self, network: str) -> list[Service]:
        """Who sits on a network without listening there."""
        return [
            service
            for service in self.topology.services.values()
            if network in service.networks and network not in service.listen_networks
        ]


def load_platform(inventory: str = INVENTORY) -> Platform:
    """Read the inventory with Ansible's own command; raises DocsError when it cannot be read."""
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", inventory, "--list"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise DocsError(
            f"{command[0]} is missing; use the Python of the project's environment, .venv/bin/python"
        ) from error
    if done.returncode:
        raise DocsError(f"{inventory} cannot be read:\n{done.stderr}")
    data = json.loads(done.stdout)
    hosts: dict[str, dict[str, Any]] = data["_meta"]["hostvars"]
    # The groups have them in the order of the inventory, the variables by name.
    groups: list[str] = data["all"]["children"]
    order = dict.fromkeys(host for group in groups for host in data.get(group, {}).get("hosts", ()))
    services = [
        Service.from_variables(host, hosts[host])
        for host in order
        if "dockfra_networks" in hosts.get(host, {})
    ]
    strangers = [service.name for service in services if not service.stack]
    if strangers:
        raise DocsError(f"{', '.join(strangers)}: no dockfra_stack")
    first = hosts[services[0].name]
    topology = Topology(
        first.get("dockfra_project") or "dockfra",
        services,
        first.get("dockfra_network_options"),
        Policy(*(in_order(first, name) for name in ("dockfra_capabilities", "dockfra_commands"))),
    )
    members = {name: data[name]["hosts"] for name in data if name != "_meta" and data[name].get("hosts")}
    return Platform(
        topology, Inventory.from_variables(members, {host: hosts[host] for host in order if host in hosts})
    )


def in_order(variables: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A variable of the policy in the order of its file, which ansible-inventory does not keep."""
    values: dict[str, Any] = variables.get(name) or {}
    written = list(yaml.safe_load(POLICY.read_text(encoding="utf-8"))["all"]["vars"][name])
    return {key: values[key] for key in sorted(values, key=[*written, *values].index)}


# -- tables of the guides ----------------------------------------------------------------------------------------------


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell or '-' for cell in line)} |" for line in lines)


def code(words: Iterable[object]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def services_table(platform: Platform) -> str:
    header = ["service", "what for", "user", "host port", "port inside", "networks", "stack"]
    rows = [
        [
            f"`{service.name}`",
            service.description,
            service.user,
            ", ".join(str(port.publish) for port in service.ports if port.publish is not None),
            ", ".join(str(port.number) for port in service.ports),
            ", ".join(service.networks),
            stack,
        ]
        for stack, services in platform.topology.stacks().items()
        for service in services
    ]
    return table(header, rows)


def ssh_table(platform: Platform) -> str:
    header = ["log in with", "user", "host port", "key that opens it", "can be reached inside by"]
    edges = platform.topology.edges()
    through = {way.name: way.through for way in forwards.operator_ways(platform.topology)}
    rows = []
    for service in platform.topology.services.values():
        for port in service.ssh_ports:
            callers = {
                edge.caller for edge in edges if edge.listener == service.name and edge.port == port.number
            }
            logins = list(service.variables.get("dockfra_ssh_logins") or ())
            rows.append(
                [
                    f"`ssh -F {STATE}/ssh_config {service.name}`"
                    + (f", through {through[service.name]}" if not port.publish else "")
                    if port.publish or service.name in through
                    else f"`ssh {service.name}`, inside",
                    service.user,
                    str(port.publish or ""),
                    code(f"keys/{login}" for login in logins) or "none, gate only",
                    ", ".join(name for name in platform.topology.services if name in callers),
                ]
            )
    return table(header, rows)


def networks_table(platform: Platform) -> str:
    header = ["network", "way out", "listens there", "sits there and only calls"]
    rows = [
        [
            f"`{name}`",
            "no" if network.internal else "yes",
            ", ".join(
                f"{service.name} {'/'.join(str(port.number) for port in ports)}"
                for service, ports in platform.listeners(name)
            ),
            ", ".join(service.name for service in platform.only_callers(name)),
        ]
        for name, network in platform.topology.networks.items()
    ]
    return table(header, rows)


@dataclass(frozen=True)
class Route:
    """A path that the reverse proxy leads to a service."""

    path: str
    service: Service
    port: Port
    strip: bool


def routes(platform: Platform) -> list[Route]:
    found = [
        Route(
            str(entry["path"]), service, service.port(entry.get("port") or "http"), bool(entry.get("strip"))
        )
        for service in platform.topology.services.values()
        for entry in service.variables.get("dockfra_routes") or ()
    ]
    return sorted(found, key=lambda route: route.path)


def routes_table(platform: Platform) -> str:
    header = ["address", "service", "port inside", "what the service sees"]
    rows = [
        [
            f"`{web_address(platform)}{route.path}`",
            f"`{route.service.name}`",
            str(route.port.number),
            f"the path without `{route.path}`" if route.strip else "the whole path",
        ]
        for route in routes(platform)
    ]
    return table(header, rows)


def matrix_table(platform: Platform) -> str:
    """The role matrix of the policy, and what a role with the capability types."""
    policy, roles = platform.topology.policy, platform.topology.roles()
    header = ["capability", *roles, "commands"]
    rows = [
        [
            row.title,
            *("✓" if role in row.roles else "—" for role in roles),
            split_by_state(
                (rule.command, any(there(rule.command, *pair) for pair in pairs(policy, rule.command)))
                for rule in policy.rules.values()
                if rule.capability == row.name
            ),
        ]
        for row in policy.capabilities.values()
    ]
    return table(header, rows)


def commands_table(platform: Platform) -> str:
    """What each role finds on its PATH."""
    policy = platform.topology.policy
    rows = []
    for role in platform.topology.roles():
        for name in grammar.own(policy, role):
            found = grammar.find(name, policy.place(role, name), role)
            rows.append([role, f"`{name}`", found.summary])
    return table(["role", "command", "what it does"], rows)


def gate_table(platform: Platform) -> str:
    """Which commands a container runs for whom from elsewhere."""
    topology = platform.topology
    header = ["caller", "in the container", "may run there"]
    rows = [
        [
            caller,
            f"`{service}`",
            split_by_state(
                (command, there(command, place, caller))
                for command in topology.policy.commands(caller, place)
            ),
        ]
        for place, service in topology.places().items()
        for caller in topology.gate_callers(service)
    ]
    return table(header, sorted(rows, key=lambda row: topology.roles().index(row[0])))


def pairs(policy: Policy, command: str) -> Iterator[tuple[str, str]]:
    """Where a command runs, and for whom."""
    for place, callers in policy.rules[command].places.items():
        for caller in callers:
            yield place, caller


def there(command: str, place: str, caller: str) -> bool:
    """Whether a command that the policy names has a file already."""
    try:
        grammar.find(command, place, caller)
    except DeniedError:
        return False
    return True


def split_by_state(commands: Iterable[tuple[str, bool]]) -> str:
    """Commands, first those that exist, then those to come."""
    listed = list(commands)
    existing = code(name for name, exists in listed if exists)
    pending = code(name for name, exists in listed if not exists)
    return "; ".join(filter(None, [existing, pending and f"to come: {pending}"]))


def web_address(platform: Platform) -> str:
    proxy = platform.topology.services.get("traefik")
    publish = proxy.port("https").publish if proxy else None
    return f"https://localhost{'' if publish in (None, 443) else f':{publish}'}"


def shortened(text: str) -> str:
    """As much of a description as fits its box, cut at a comma or between words."""
    if len(text) <= NOTE_LENGTH:
        return text
    clause = text[:NOTE_LENGTH].rpartition(", ")[0]
    return clause or f"{text[:NOTE_LENGTH].rpartition(' ')[0]} …"


def catalogue_of(platform: Platform) -> Catalogue:
    return action_catalogue.read(ACTIONS, platform.inventory, platform.topology.policy)


def risks_table(platform: Platform) -> str:
    return table(["risk", "what it means"], [[f"`{risk}`", meaning] for risk, meaning in RISKS.items()])


def actions_table(platform: Platform) -> str:
    """Every action, and when it is done."""
    header = ["action", "what it does", "risk", "parameters", "at most", "only where", "proved by"]
    rows = [
        [
            f"`{action.id}`",
            action.title,
            action.risk + (f"; that of {code(action.waits)} waits for a person" if action.waits else ""),
            "; ".join(f"`{name}`: {parameter_text(platform, action, name)}" for name in action.parameters),
            f"{action.per_hour} an hour about the same{' with the same ' + code(action.distinct) if action.distinct else ''}, {action.cooldown} s apart",
            "; ".join(map(str, action.precondition)),
            f"{'; '.join(map(str, action.probe))} within {action.within} s" if action.probe else "",
        ]
        for action in catalogue_of(platform).actions.values()
    ]
    return table(header, rows)


def parameter_text(platform: Platform, action: Action, name: str) -> str:
    """What a parameter can be, short enough for a cell."""
    parameter = action.parameters[name]
    if parameter.kind.name == "service":
        left_out = sorted({*platform.inventory.services} - {*parameter.schema(platform.inventory)["enum"]})
        chosen = code(each for each in parameter.given.among if not each.startswith("!"))
        return f"a service of {chosen}" + (f" without {code(left_out)}" if 0 < len(left_out) < 6 else "")
    if parameter.kind.name == "word":
        return code(parameter.given.among)
    return parameter.kind.meaning.replace("`most`", str(parameter.given.most))


def rules_table(platform: Platform) -> str:
    """When the rules propose an action."""
    rows = [
        [f"`{action.id}`", f"each {rule.domain}", "; ".join(map(str, rule.when))]
        for action in catalogue_of(platform).actions.values()
        for rule in action.rules
    ]
    return table(["action", "for", "when"], rows)


def kinds_table(platform: Platform) -> str:
    rows = [[f"`{kind.name}`", kind.meaning, code(kind.takes)] for kind in KINDS.values()]
    return table(["kind", "is", "takes"], rows)


def facts_table(platform: Platform) -> str:
    rows = [[f"`{name}`", code(fact.words) or "a number", fact.meaning] for name, fact in FACTS.items()]
    return table(["fact", "values", "what it says"], rows)


SECTIONS = {
    "risks": risks_table,
    "actions": actions_table,
    "rules": rules_table,
    "kinds": kinds_table,
    "facts": facts_table,
    "services": services_table,
    "ssh": ssh_table,
    "networks": networks_table,
    "routes": routes_table,
    "matrix": matrix_table,
    "commands": commands_table,
    "gate": gate_table,
}
# The guide that has each of them.
GUIDES = {
    DOCS / "autopilot.md": {"risks", "actions", "rules", "kinds", "facts"},
    DOCS / "access.md": {"ssh", "routes"},
    DOCS / "roles.md": {"matrix", "commands", "gate"},
    DOCS / "services.md": {"services", "networks"},
}
_SECTION = re.compile(r"(<!-- generated:(?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill_sections(guide: Path, text: str, platform: Platform) -> str:
    """Return the text of a guide with every generated section as the inventory has it."""
    found = {match["name"] for match in _SECTION.finditer(text)}
    if found != GUIDES[guide]:
        raise DocsError(
            f"{guide.name} has the generated sections {sorted(found)}, expected {sorted(GUIDES[guide])}"
        )
    return _SECTION.sub(lambda match: f"{match[1]}\n{SECTIONS[match['name']](platform)}\n\n{match[3]}", text)


# -- the picture -------------------------------------------------------------------------------------------------------

# Colours of the networks, on light and on dark; neighbours differ in hue and lightness.
LANES = (
    ("#2563eb", "#7aa7ff"),
    ("#c2570c", "#ffab66"),
    ("#0f766e", "#4fd1c5"),
    ("#a21caf", "#f08cf5"),
    ("#4d7c0f", "#a3d65c"),
    ("#dc2626", "#ff8f8f"),
    ("#6d28d9", "#bfa3ff"),
    ("#0e7490", "#5cc8ea"),
    ("#a16207", "#e8c547"),
)
MARGIN, PANEL_TITLE, PANEL_GAP, ROW, BOX = 24, 30, 16, 50, 42
LANE_STEP, HEADER = 50, 122
NOTE_LENGTH = 48  # characters of a description in a box
CHIP_WIDTH, CHIP_HEIGHT, CHIP_GAP = 46, 22, 6
CHARACTER = 0.585  # width of an average character, in font sizes

STYLE = """
text { font-family: -apple-system, "Segoe UI", "Noto Sans", "Liberation Sans", "DejaVu Sans", Helvetica, Arial, sans-serif; }
.mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace; }
.card { fill: #ffffff; stroke: #d0d7de; }
.panel { fill: #f5f7fa; }
.box { fill: #ffffff; stroke: #c4ccd6; }
.chip { fill: #1f2937; }
.chip-text { fill: #ffffff; font-size: 12px; font-weight: 600; text-anchor: middle; }
.arrow { stroke: #1f2937; fill: none; stroke-width: 1.5; }
.title { fill: #1f2937; font-size: 19px; font-weight: 700; }
.stack { fill: #4b5563; font-size: 12px; font-weight: 700; letter-spacing: 1.2px; }
.name { fill: #111827; font-size: 14px; font-weight: 650; }
.note { fill: #57606a; font-size: 12px; }
.port { fill: #374151; font-size: 12px; text-anchor: end; }
.row { stroke: #9aa4b2; stroke-width: 1; }
.legend { stroke: #57606a; stroke-width: 4; fill: none; stroke-linecap: butt; }
.legend-dot { fill: #57606a; }
.legend-ring { fill: #ffffff; stroke: #57606a; stroke-width: 3; }
.ring { fill: #ffffff; stroke-width: 3; }
.dot { stroke: #ffffff; stroke-width: 2; }
.lane { stroke-width: 4; fill: none; }
.guide { stroke-width: 1.5; opacity: .35; fill: none; }
.internal { stroke-dasharray: 5 4; }
.label { font-size: 13px; font-weight: 650; }
"""
DARK_STYLE = """
.card { fill: #0d1117; stroke: #3d444d; }
.panel { fill: #161b22; }
.box { fill: #0d1117; stroke: #3d444d; }
.chip { fill: #d7dee6; }
.chip-text { fill: #0d1117; }
.arrow { stroke: #d7dee6; }
.title { fill: #f0f6fc; }
.stack { fill: #9aa4b2; }
.name { fill: #f0f6fc; }
.note { fill: #9aa4b2; }
.port { fill: #c9d1d9; }
.row { stroke: #59636e; }
.legend { stroke: #9aa4b2; }
.legend-dot { fill: #9aa4b2; }
.legend-ring { fill: #0d1117; stroke: #9aa4b2; }
.ring { fill: #0d1117; }
.dot { stroke: #0d1117; }
"""


class Drawing:
    """The picture: a row for each service, grouped by stack, and a vertical line for each network."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.stacks = platform.topology.stacks()
        self.services = [service for services in self.stacks.values() for service in services]
        chips = max(sum(port.publish is not None for port in service.ports) for service in self.services)
        self.box_x = MARGIN + 20 + chips * (CHIP_WIDTH + CHIP_GAP) + 22
        self.box_width = max(self._box_width(service) for service in self.services)
        self.lane_x = self.box_x + self.box_width + 36
        self.rows: dict[str, float] = {}
        self.panels: list[tuple[str, float, float]] = []
        self._place_rows()
        self.networks = sorted(platform.topology.networks, key=self._middle)
        # The slanted label of a line reaches to the right of it.
        self.width = round(
            max(
                self._x(network) + len(network) * 13 * 0.62 * math.cos(math.radians(42))
                for network in self.networks
            )
            + MARGIN
            + 6
        )
        self.height = round(self.panels[-1][2] + 78)

    def _box_width(self, service: Service) -> float:
        first = (
            len(service.name) * 14 * 0.62
            + len(" ".join(f":{port.number}" for port in service.ports)) * 12 * 0.62
        )
        second = (len(shortened(service.description)) + len(self._paths(service)) + 1) * 12 * CHARACTER
        return max(first, second) + 24

    def _paths(self, service: Service) -> str:
        return " ".join(route.path for route in routes(self.platform) if route.service.name == service.name)

    def _place_rows(self) -> None:
        y = float(HEADER)
        for stack, services in self.stacks.items():
            top = y
            y += PANEL_TITLE
            for service in services:
                self.rows[service.name] = y + BOX / 2
                y += ROW
            self.panels.append((stack, top, y))
            y += PANEL_GAP

    def _members(self, network: str) -> list[Service]:
        return [service for service in self.services if network in service.networks]

    def _middle(self, network: str) -> float:
        """The order of the lines: next to each other what connects neighbouring rows."""
        rows = [self.rows[service.name] for service in self._members(network)]
        return sum(rows) / len(rows)

    def _x(self, network: str) -> float:
        return self.lane_x + self.networks.index(network) * LANE_STEP

    def text(self) -> str:
        title = f"{len(self.services)} containers, {len(self.networks)} networks, {len(self.stacks)} stacks"
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" role="img" aria-labelledby="title desc">',
            f'<title id="title">Topology: {title}</title>',
            '<desc id="desc">One row for each service with its published ports, one vertical line for each network. '
            "The same is in the tables of docs/services.md.</desc>",
            f"<style>{STYLE}{self._lane_style(0)}@media (prefers-color-scheme: dark) {{{DARK_STYLE}"
            f"{self._lane_style(1)}}}</style>",
            f'<rect class="card" x=".5" y=".5" width="{self.width - 1}" height="{self.height - 1}" rx="14"/>',
            f'<text class="title" x="{MARGIN}" y="46">Topology</text>',
            f'<text class="note" x="{MARGIN}" y="68">{title}</text>',
            *self._panels(),
            *self._column_titles(),
            *self._row_lines(),
            *self._lanes(),
            *(line for service in self.services for line in self._service(service)),
            *self._legend(),
            "</svg>",
        ]
        return "\n".join(lines) + "\n"

    def _lane_style(self, scheme: int) -> str:
        rules = []
        for number in range(min(len(self.networks), len(LANES))):
            colour = LANES[number][scheme]
            rules.append(f".s{number} {{ stroke: {colour}; }} .f{number} {{ fill: {colour}; }}")
        return "\n".join(rules) + "\n"

    def _panels(self) -> Iterator[str]:
        for stack, top, bottom in self.panels:
            width, height = self.width - 2 * MARGIN, bottom - top
            yield f'<rect class="panel" x="{MARGIN}" y="{top:g}" width="{width:g}" height="{height:g}" rx="10"/>'
            yield f'<text class="stack" x="{self.box_x:g}" y="{top + 20:g}">{escape(stack.upper())}</text>'

    def _column_titles(self) -> Iterator[str]:
        y = HEADER - 12
        yield f'<text class="note" x="{self.box_x - 24:g}" y="{y}" text-anchor="end">port on the host</text>'
        yield f'<text class="note" x="{self.box_x:g}" y="{y}">service, what for</text>'
        yield (
            f'<text class="note" x="{self.box_x + self.box_width:g}" y="{y}" text-anchor="end">port inside, web path</text>'
        )

    def _row_lines(self) -> Iterator[str]:
        for service in self.services:
            y = self.rows[service.name]
            last = max(self._x(network) for network in service.networks)
            yield f'<path class="row" d="M{self.box_x + self.box_width:g} {y:g}H{last:g}"/>'

    def _lanes(self) -> Iterator[str]:
        for number, network in enumerate(self.networks):
            colour, x = number % len(LANES), self._x(network)
            internal = " internal" if self.platform.topology.networks[network].internal else ""
            rows = [self.rows[service.name] for service in self._members(network)]
            yield f'<path class="guide s{colour}" d="M{x:g} {HEADER - 10}V{min(rows):g}"/>'
            yield f'<path class="lane s{colour}{internal}" d="M{x:g} {min(rows):g}V{max(rows):g}"/>'
            yield (
                f'<text class="label f{colour}" x="{x:g}" y="{HEADER - 16}" '
                f'transform="rotate(-42 {x:g} {HEADER - 16})">{escape(network)}</text>'
            )
            for service in self._members(network):
                y = self.rows[service.name]
                if network in service.listen_networks:
                    yield f'<circle class="dot f{colour}" cx="{x:g}" cy="{y:g}" r="8"/>'
                else:
                    yield f'<circle class="ring s{colour}" cx="{x:g}" cy="{y:g}" r="5.5"/>'

    def _service(self, service: Service) -> Iterator[str]:
        y, x, right = self.rows[service.name], self.box_x, self.box_x + self.box_width
        yield f'<rect class="box" x="{x:g}" y="{y - BOX / 2:g}" width="{self.box_width:g}" height="{BOX}" rx="8"/>'
        yield f'<text class="name" x="{x + 12:g}" y="{y - 4:g}">{escape(service.name)}</text>'
        yield f'<text class="note" x="{x + 12:g}" y="{y + 13:g}">{escape(shortened(service.description))}</text>'
        inside = " ".join(f":{port.number}" for port in service.ports)
        yield f'<text class="port mono" x="{right - 12:g}" y="{y - 4:g}">{inside}</text>'
        if paths := self._paths(service):
            yield f'<text class="port mono" x="{right - 12:g}" y="{y + 13:g}">{escape(paths)}</text>'
        published = [port.publish for port in service.ports if port.publish is not None]
        if not published:
            return
        yield f'<path class="arrow" d="M{x - 22:g} {y:g}H{x - 3:g}m-6 -4l6 4l-6 4"/>'
        for number, port in enumerate(reversed(published)):
            left = x - 22 - (number + 1) * CHIP_WIDTH - number * CHIP_GAP
            yield chip(left, y, str(port))

    def _legend(self) -> Iterator[str]:
        y = self.height - 34
        x = float(MARGIN + 20)
        yield chip(x, y, "2200")
        yield legend_text(x + CHIP_WIDTH + 10, y, "published on the host's 127.0.0.1")
        x += 286
        yield f'<circle class="legend-dot" cx="{x}" cy="{y}" r="8"/>'
        yield legend_text(x + 16, y, "listens there")
        x += 124
        yield f'<circle class="legend-ring" cx="{x}" cy="{y}" r="5.5"/>'
        yield legend_text(x + 16, y, "sits there, only calls")
        x += 176
        yield f'<path class="legend" d="M{x} {y}h40"/>'
        yield legend_text(x + 50, y, "network with a way out")
        x += 214
        yield f'<path class="legend internal" d="M{x} {y}h40"/>'
        yield legend_text(x + 50, y, "without")


def chip(x: float, y: float, text: str) -> str:
    return (
        f'<rect class="chip" x="{x:g}" y="{y - CHIP_HEIGHT / 2:g}" width="{CHIP_WIDTH}" height="{CHIP_HEIGHT}" rx="11"/>'
        f'<text class="chip-text" x="{x + CHIP_WIDTH / 2:g}" y="{y + 4:g}">{text}</text>'
    )


def legend_text(x: float, y: float, text: str) -> str:
    return f'<text class="note" x="{x:g}" y="{y + 4:g}">{escape(text)}</text>'


# -- the reference of settings -----------------------------------------------------------------------------------------

SETTINGS_HEAD = """\
# Settings

Every setting of the four roles, from the table in
`collections/ansible_collections/dockfra/core/plugins/module_utils/settings/catalogue.py`. Written by
`tests/tools/render_docs.py`.

A role's settings are in `/home/<role>/.env` of its container, one line `NAME=value` each. How to set them is in the
[the guide](configuration.md). A wrong value is refused with the reason, and the old value stays. A change holds
at once.

A *secret* is shown to nobody, not even to the role that set it: `config-show` says only whether it is set.
"""


def settings_text() -> str:
    rows = [
        [
            f"`{setting.name}`",
            "all" if setting.roles == ROLES else ", ".join(setting.roles),
            f"`{catalogue.written(setting.default)}`" if setting.default != "" else "-",
            f"{setting.kind.rule}{'; secret' if setting.secret else ''}",
            setting.meaning,
        ]
        for setting in catalogue.TABLE.values()
    ]
    return f"{SETTINGS_HEAD}\n{table(['setting', 'roles', 'default', 'value', 'what it is for'], rows)}\n"


# -- the reference of variables ----------------------------------------------------------------------------------------

VARIABLES_HEAD = """\
# Variables

Every variable of the inventory, from the roles' argument specifications. Written by `tests/tools/render_docs.py`: change
`meta/argument_specs.yml` of a role instead.

* Those of [the platform](#dockfracoreplatform) belong in `group_vars/all.yml` of an inventory, or after `-e`.
* Those of [a service](#dockfracoreservice) are its entry in the inventory, or stand in `host_vars/<service>.yml`.
* Those of one role (`db_…`, `traefik_…`) stand in `host_vars/<service>.yml` of the service that has the role.

An unknown name, a wrong type or a wrong value is refused before anything is touched.
"""
# Handed to a role by a playbook, not set by people.
INTERNAL = {"dockfra_desired"}
LONG = 70  # characters of a default that still fit a table


def specifications() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (role, short description, options) of each role with variables, the general ones first."""
    folders = [COLLECTION_ROLES / name for name in ("platform", "service")]
    folders += [path for path in sorted(COLLECTION_ROLES.iterdir()) if path not in folders]
    folders += sorted((ROOT / "roles").iterdir())
    for folder in folders:
        path = folder / "meta" / "argument_specs.yml"
        if not path.is_file():
            continue
        entry = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]
        options = {
            name: option for name, option in (entry.get("options") or {}).items() if name not in INTERNAL
        }
        if options:
            name = f"dockfra.core.{folder.name}" if folder.parent == COLLECTION_ROLES else folder.name
            yield name, str(entry["short_description"]), options


def variables_text() -> str:
    parts = [VARIABLES_HEAD]
    for role, short, options in specifications():
        parts.append(f"## {role}\n\n{plain(short).rstrip('.')}.\n")
        parts.append(table(["variable", "type", "default", "description"], rows_of(options)) + "\n")
        for name, option in options.items():
            if "default" in option and len(json_text(option["default"])) > LONG:
                text = yaml.safe_dump(
                    {name: option["default"]}, sort_keys=False, allow_unicode=True, width=110
                )
                parts.append(f"Default of `{name}`:\n\n```yaml\n{text}```\n")
    return "\n".join(parts)


def rows_of(options: Mapping[str, Any], prefix: str = "") -> Iterator[list[str]]:
    for name, option in options.items():
        kind = str(option.get("type", "str"))
        if option.get("elements"):
            kind += f" of {option['elements']}"
        yield [f"`{prefix}{name}`", kind, default_text(option), described(option)]
        if option.get("options"):
            yield from rows_of(option["options"], f"{prefix}{name}[].")


def default_text(option: Mapping[str, Any]) -> str:
    if option.get("required"):
        return "**required**"
    if "default" not in option:
        return "-"
    text = json_text(option["default"])
    return "see below" if len(text) > LONG else f"`{text}`".replace("|", "\\|")


def json_text(value: object) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def described(option: Mapping[str, Any]) -> str:
    text = option.get("description") or ""
    sentences = " ".join(plain(str(line)) for line in (text if isinstance(text, list) else [text]))
    if option.get("choices"):
        sentences += f" One of {code(option['choices'])}."
    return sentences.replace("|", "\\|")


def plain(text: str) -> str:
    """Ansible's markup as Markdown."""
    text = re.sub(r"\b[CVOP]\(([^()]*)\)", lambda match: f"`{match[1].partition('#')[0]}`", text)
    text = re.sub(r"\bM\(([^()]*)\)", r"`\1`", text)
    text = re.sub(r"\bI\(([^()]*)\)", r"*\1*", text)
    return re.sub(r"\bB\(([^()]*)\)", r"**\1**", text)


# -- main --------------------------------------------------------------------------------------------------------------


def render() -> dict[Path, str]:
    """Return each generated file with the text it should have."""
    platform = load_platform()
    return {
        **{guide: fill_sections(guide, guide.read_text(encoding="utf-8"), platform) for guide in GUIDES},
        PICTURE: Drawing(platform).text(),
        VARIABLES: variables_text(),
        SETTINGS: settings_text(),
    }


def stale(files: Mapping[Path, str]) -> list[Path]:
    return [
        path for path, text in files.items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when something is stale")
    options = parser.parse_args()
    try:
        files = render()
    except DocsError as error:
        print(error, file=sys.stderr)
        return 1
    outdated = stale(files)
    for path in outdated:
        print(f"{path.relative_to(ROOT)} {'is stale' if options.check else 'written'}")
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
    if options.check and outdated:
        print("Run: python tests/tools/render_docs.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
