# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Lookup of the checkout's identity; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
name: checkout
short_description: What tells this checkout of the project from others
description:
  - Returns the identity that this checkout keeps with its keys below C(dockfra_state_dir). Makes nothing; a checkout
    that has brought up nothing yet gets another one each time.
version_added: 0.3.0
author: Dockfra contributors (@dockfra)
options:
  _terms:
    description: Not used.
"""

EXAMPLES = r"""
- name: Remove the platform, unless it is somebody else's
  dockfra.core.platform_absent:
    project: dockfra
    owner_file: /var/lib/dockfra/dockfra/owner.json
    owner: "{{ lookup('dockfra.core.checkout') }}"
"""

RETURN = r"""
_raw:
  description: The identity.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..module_utils.errors import KeyringError
from ..plugin_utils.controller.keyrings import checkout_identity, open_keyring


class LookupModule(LookupBase):
    """Reads the identity."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        try:
            return [checkout_identity(open_keyring(self, variables, persist=False))]
        except KeyringError as error:
            raise AnsibleLookupError(str(error)) from error
