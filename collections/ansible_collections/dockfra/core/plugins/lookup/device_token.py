# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Lookup of the tokens of devices; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
name: device_token
short_description: The token with which a device may report itself to the backend
description:
  - Returns for each term, the name of a device, what it sends with C(PUT /api/devices/NAME). It is good for that alone.
  - It follows from the secret C(backend/api_token) by HMAC (RFC 2104) with SHA-256, so that nobody keeps a list of devices.
version_added: 0.3.0
author: Dockfra contributors (@dockfra)
options:
  _terms:
    description: Names of devices, such as V(rpi3).
    required: true
"""

EXAMPLES = r"""
- name: Give a device its token
  ansible.builtin.copy:
    content: "{{ lookup('dockfra.core.device_token', inventory_hostname) }}"
    dest: /home/pi/.dockfra/token
    mode: "0400"
  no_log: true
"""

RETURN = r"""
_raw:
  description: The tokens, 64 digits each.
  type: list
  elements: str
"""

import hashlib
import hmac
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..module_utils.errors import KeyringError
from ..plugin_utils.controller.keyrings import open_keyring

NAME = "backend/api_token"


class LookupModule(LookupBase):
    """Works out tokens."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        try:
            secret = open_keyring(self, variables).password(NAME)
        except KeyringError as error:
            raise AnsibleLookupError(str(error)) from error
        return [hmac.new(secret.encode(), str(name).encode(), hashlib.sha256).hexdigest() for name in terms]
