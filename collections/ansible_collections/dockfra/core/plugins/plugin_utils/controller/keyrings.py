# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Open the keyring of the platform that a template or play is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ...module_utils.containers.labels import digest
from ...module_utils.secrets.keyring import Keyring


def checkout_identity(state_dir: str, persist: bool) -> str:
    """Return what tells this checkout of the project from others; without ``persist`` a new one gets none to keep."""
    return digest(Keyring(state_dir, persist).password("platform/checkout"))


# Those that this process has opened.
_opened: dict[tuple[str, str, bool], Keyring] = {}


def keyring(state_dir: str, project: str, persist: bool) -> Keyring:
    """Return the keyring of a platform, always the same one in a process."""
    return _opened.setdefault((state_dir, project, persist), Keyring(state_dir, persist, comment=project))


def named(content: bytes) -> bytes:
    """Return a file without what can be changed while its service runs, see `Keyring.named`."""
    text = content.decode()
    for opened in _opened.values():
        text = opened.named(text)
    return text.encode()


def in_use() -> list[str]:
    """Return what can be changed while services run, of all that this process has asked for."""
    return sorted({name for opened in _opened.values() for name in opened.in_use})


def open_keyring(lookup: LookupBase, variables: Mapping[str, Any] | None) -> Keyring:
    """Return the keyring for a lookup; in check mode what is missing is made up but not kept.

    Raises:
        AnsibleLookupError: ``dockfra_state_dir`` is not defined.
    """
    variables = variables or {}
    if "dockfra_state_dir" not in variables:
        raise AnsibleLookupError(
            "dockfra_state_dir is not defined; secrets are kept in that directory. Set it in the inventory."
        )
    templar = lookup._templar
    return keyring(
        str(templar.template(variables["dockfra_state_dir"])),
        str(templar.template(variables.get("dockfra_project", "dockfra"))),
        not variables.get("ansible_check_mode", False),
    )
