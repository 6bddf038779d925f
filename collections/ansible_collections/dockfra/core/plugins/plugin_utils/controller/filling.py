# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Fill in an inventory that is kept as a skeleton: what belongs to one deployment goes into a file beside it, ``values.yml``.

That file is an inventory too, which Ansible reads after ``hosts.yml``, so that its values take the place of those there.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ...module_utils.errors import UsageError
from ...module_utils.files import atomic
from ...module_utils.settings import catalogue
from ...module_utils.text import shown
from ...module_utils.topology import reached

FILE = "values.yml"
SERVERS = "docker_hosts"

# Of Ansible's own, those that say how a server is reached.
_CONNECTION = (
    "ansible_host",
    "ansible_port",
    "ansible_user",
    "ansible_ssh_private_key_file",
    "ansible_python_interpreter",
)
_NAME = re.compile(r"(?:(?P<host>[a-z0-9][a-z0-9-]*)\.)?(?P<variable>[A-Za-z][A-Za-z0-9_]*)")
_LONGEST = 4096

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# What a value has to look like, and an example, where a wrong one would be noticed late.
_FORMS = {
    "dockfra_domain": (re.compile(rf"({_LABEL}\.)+{_LABEL}"), "a DNS name, such as platform.example.org"),
    "dockfra_acme_email": (re.compile(r"[^@\s]+@[^@\s]+"), "an address, such as admin@example.org"),
    "ansible_user": (re.compile(r"[a-z_][a-z0-9_-]{0,31}"), "a user's name"),
    "ansible_port": (re.compile(r"[1-9]\d{0,4}"), "a port"),
}
# What says of a value why it cannot be one, as the plan does.
_CHECKS = {
    "dockfra_server_host_key": reached.host_key_problem,
    "ansible_host": reached.address_problem,
}


@dataclass(frozen=True)
class Value:
    """A value for one variable.

    Attributes:
        host: the host that gets it; empty for all, or for all servers where it says how they are reached.
        variable: its name.
        text: the value.
    """

    host: str
    variable: str
    text: str


def value(name: str, text: str, hosts: Collection[str], variables: Collection[str]) -> Value:
    """Return a value that a person has given.

    Args:
        name: of the variable, for a host with that in front: ``app-server.ansible_host``.
        text: the value.
        hosts: those of the inventory.
        variables: names of the variables there are, besides those that say how servers are reached.

    Raises:
        UsageError: there is no such host or variable, or the value cannot be one of it.
    """
    found = _NAME.fullmatch(name)
    host, variable = (found["host"] or "", found["variable"]) if found else ("", name)
    setting = catalogue.TABLE.get(variable)
    if setting is not None:
        raise UsageError(
            f"{variable} is a setting of a role, which a running platform has: playbooks/configure.yml sets it"
            f"{' and asks for it (-e ask=' + variable + ')' if setting.secret else ''}."
        )
    known = {*variables, *_CONNECTION, *_FORMS, *_CHECKS}
    if variable not in known:
        close = difflib.get_close_matches(variable, sorted(known), n=1)
        raise UsageError(
            f"There is no variable {shown(variable)}{f'; did you mean {close[0]}?' if close else '.'} docs/variables.md lists them."
        )
    if host and host not in hosts:
        raise UsageError(f"The inventory has no host {shown(host)}; there are {', '.join(sorted(hosts))}.")
    text = text.strip()
    form, example = _FORMS.get(variable, (None, ""))
    if not text or len(text) > _LONGEST or not text.isprintable() or "{{" in text or "{%" in text:
        raise UsageError(f"{name} cannot be {shown(text)}: it is one line of plain text without templates.")
    if form and not form.fullmatch(text):
        raise UsageError(f"{name} cannot be {shown(text)}; it is {example}.")
    check = _CHECKS.get(variable)
    if why := check(text) if check else "":
        raise UsageError(f"{name} cannot be {shown(text)}: {why}.")
    return Value(host, variable, text)


def keep(inventory: Path, values: Collection[Value]) -> bool:
    """Add values to the file beside an inventory; returns whether it changed.

    Raises:
        UsageError: the file that is there is none of this kind.
    """
    path = inventory / FILE
    content = _read(path)
    before = yaml.safe_dump(content)
    for each in values:
        _section(content, each)[each.variable] = each.text
    if yaml.safe_dump(content) == before:
        return False
    text = f"---\n# What belongs to this deployment; written by init.sh, and yours to edit.\n{yaml.safe_dump(content, sort_keys=False)}"
    atomic.replace(path, text.encode(), mode=0o600)
    return True


def _section(content: dict[str, Any], wanted: Value) -> dict[str, Any]:
    """The variables of the group or host that a value is for."""
    everything = _sub(content, "all")
    if not wanted.host and wanted.variable not in _CONNECTION:
        return _sub(everything, "vars")
    if not wanted.host:
        return _sub(_sub(_sub(everything, "children"), SERVERS), "vars")
    return _sub(_sub(everything, "hosts"), wanted.host)


def _sub(content: dict[str, Any], key: str) -> dict[str, Any]:
    found = content.get(key)
    if not isinstance(found, dict):
        found = content[key] = {}
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(
            f"{path} cannot be read ({type(error).__name__}). Correct it, or remove it to begin anew."
        ) from error
    if not isinstance(content, Mapping):
        raise UsageError(f"{path} is no inventory. Correct it, or remove it to begin anew.")
    return dict(content)
