# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Open the keyring of the platform that a template or play is about."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ...module_utils.containers.labels import digest
from ...module_utils.secrets.keyring import Keyring


def checkout_identity(state_dir: str, persist: bool) -> str:
    """Return what tells this checkout of the project from others; without ``persist`` a new one gets none to keep."""
    return digest(Keyring(state_dir, persist).password("platform/checkout"))


@functools.cache
def _keyring(state_dir: str, project: str, persist: bool) -> Keyring:
    return Keyring(state_dir, persist, comment=project)


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
    return _keyring(
        str(templar.template(variables["dockfra_state_dir"])),
        str(templar.template(variables.get("dockfra_project", "dockfra"))),
        not variables.get("ansible_check_mode", False),
    )
