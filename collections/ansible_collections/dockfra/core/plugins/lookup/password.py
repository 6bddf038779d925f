# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Lookup of random secrets; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
name: password
short_description: A random secret of the platform, made on first use
description:
  - Returns the secret called by each term, 48 letters and digits, from C(secrets/) below C(dockfra_state_dir),
    or from C(dockfra_vault_file) where that is set.
  - A secret that does not exist is made, except in check mode, where a throw-away value is returned.
version_added: 0.1.0
author: Dockfra contributors (@dockfra)
options:
  _terms:
    description: Names of secrets, such as C(db/backend).
    required: true
"""

EXAMPLES = r"""
- name: Use the backend's database password
  ansible.builtin.set_fact:
    url: "postgresql://backend:{{ lookup('dockfra.core.password', 'db/backend') }}@db/app"
"""

RETURN = r"""
_raw:
  description: The secrets.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..module_utils.errors import KeyringError
from ..plugin_utils.controller.keyrings import open_keyring


class LookupModule(LookupBase):
    """Reads or makes passwords."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        try:
            return [open_keyring(self, variables).password(term) for term in terms]
        except KeyringError as error:
            raise AnsibleLookupError(str(error)) from error
