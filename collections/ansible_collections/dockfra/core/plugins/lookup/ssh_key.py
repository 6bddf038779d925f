# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Lookup of SSH keys; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ssh_key
short_description: An ed25519 SSH key of the platform, made on first use
description:
  - Returns private or public keys kept below C(dockfra_state_dir), and makes those that do not exist.
  - In check mode a missing key is made up and not kept.
version_added: 0.1.0
author: Dockfra contributors (@dockfra)
options:
  _terms:
    description: Names of keys, C(keys/<owner>) for client keys and C(host_keys/<service>) for host keys.
    required: true
  part:
    description:
      - Which half of the key pair.
      - V(admitted) are the public keys that open what the key opens, or that clients take from the server, one or, while it is
        being changed, two, those of all terms in one list.
      - V(newest) is the private key that is used from the next step of a change on.
      - V(former) is the private key that was used before the last step of a change and still opens what it opened; empty where nothing
        is changed.
    type: str
    choices: [private, public, admitted, newest, former]
    default: private
"""

EXAMPLES = r"""
- name: Show the manager's public key
  ansible.builtin.debug:
    msg: "{{ lookup('dockfra.core.ssh_key', 'keys/manager', part='public') }}"
"""

RETURN = r"""
_raw:
  description: Private keys in OpenSSH's format, or public key lines.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..module_utils.errors import KeyringError
from ..plugin_utils.controller.keyrings import open_keyring


class LookupModule(LookupBase):
    """Reads or makes SSH keys."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        try:
            keyring = open_keyring(self, variables)
            part = self.get_option("part")
            if part == "public":
                return [keyring.ssh_public_key(term) for term in terms]
            if part == "admitted":
                return [line for term in terms for line in keyring.ssh_admitted(term)]
            if part == "newest":
                return [keyring.newest(term) for term in terms]
            if part == "former":
                return [keyring.former(term) for term in terms]
            return [keyring.ssh_private_key(term) for term in terms]
        except KeyringError as error:
            raise AnsibleLookupError(str(error)) from error
