# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Lookup of TLS certificates; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
name: certificate
short_description: A server certificate of the platform's own authority, made on first use
description:
  - Returns parts of server certificates kept in C(tls/) below C(dockfra_state_dir), and makes those that do not exist.
  - A certificate is renewed 30 days before it ends, and when its host names change.
  - In check mode a missing certificate is made up and not kept.
version_added: 0.1.0
author: Dockfra contributors (@dockfra)
options:
  _terms:
    description: Names of certificates, such as V(server).
    required: true
  part:
    description: The certificate, its private key, or the certificate of the authority that signed it.
    type: str
    choices: [cert, key, ca]
    default: cert
  hostnames:
    description: DNS names and IP addresses the certificate is good for.
    type: list
    elements: str
    default: [localhost, 127.0.0.1, "::1"]
    vars:
      - name: dockfra_hostnames
"""

EXAMPLES = r"""
- name: Show the authority's certificate
  ansible.builtin.debug:
    msg: "{{ lookup('dockfra.core.certificate', 'server', part='ca') }}"
"""

RETURN = r"""
_raw:
  description: PEM texts.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..module_utils.errors import KeyringError
from ..module_utils.secrets.keyring import Keyring
from ..plugin_utils.controller.keyrings import open_keyring


class LookupModule(LookupBase):
    """Reads or makes certificates."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        try:
            return [self._part(open_keyring(self, variables), term) for term in terms]
        except KeyringError as error:
            raise AnsibleLookupError(str(error)) from error

    def _part(self, keyring: Keyring, name: str) -> str:
        part = self.get_option("part")
        if part == "key":
            return keyring.server_key(name)
        if part == "ca":
            return keyring.ca_certificate()
        return keyring.server_certificate(name, self.get_option("hostnames"))
