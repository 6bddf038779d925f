# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Open the keyring of the platform that a template or play is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.template import Templar

from ...module_utils.containers.labels import digest
from ...module_utils.secrets.keyring import Keyring
from . import vaults

# The secret by which Docker hosts know this checkout of the project.
CHECKOUT = "platform/checkout"

_opened: dict[tuple[str, str, bool, str], Keyring] = {}


def checkout_identity(keyring: Keyring) -> str:
    """Return what tells this checkout of the project from others; a keyring that keeps nothing has none to keep either."""
    return digest(keyring.password(CHECKOUT))


def named(content: bytes) -> bytes:
    """Return a file without what can be changed while its service runs, see `Keyring.named`."""
    text = content.decode()
    for opened in _opened.values():
        text = opened.named(text)
    return text.encode()


def taken_up(content: bytes) -> bool:
    """Return whether a service takes up a file with secrets while it runs, see `Keyring.waits_for_start`."""
    text = content.decode()
    return not any(opened.waits_for_start(text) for opened in _opened.values())


def in_use() -> list[str]:
    """Return what can be changed while services run, of all that this process has asked for."""
    return sorted({name for opened in _opened.values() for name in opened.in_use})


def open_keyring(
    lookup: LookupBase, variables: Mapping[str, Any] | None, persist: bool | None = None
) -> Keyring:
    """Return the keyring for a lookup; in check mode what is missing is made up but not kept.

    Raises:
        AnsibleLookupError: ``dockfra_state_dir`` is not defined.
    """
    return keyring_of(lookup._templar, variables or {}, persist)


def keyring_of(templar: Templar, variables: Mapping[str, Any], persist: bool | None = None) -> Keyring:
    """Return the keyring of the platform with these variables; the same one each time within a process.

    Args:
        templar: works out those that are templates.
        variables: of any of its services, as they are written.
        persist: whether what is made is kept; by default unless in check mode.

    Raises:
        AnsibleLookupError: ``dockfra_state_dir`` is not defined.
    """
    if "dockfra_state_dir" not in variables:
        raise AnsibleLookupError(
            "dockfra_state_dir is not defined; secrets are kept in that directory. Set it in the inventory."
        )
    state_dir = str(templar.template(variables["dockfra_state_dir"]))
    project = str(templar.template(variables.get("dockfra_project", "dockfra")))
    vault = str(templar.template(variables.get("dockfra_vault_file", "")))
    if persist is None:
        persist = not variables.get("ansible_check_mode", False)
    key = (state_dir, project, persist, vault)
    if key not in _opened:
        store = None
        if vault:
            identity = str(templar.template(variables["dockfra_vault_id"]))
            store = vaults.Vault(vault, variables.get(vaults.VARIABLE) or {}, identity, state_dir)
        _opened[key] = Keyring(state_dir, persist, comment=project, store=store)
    return _opened[key]
