# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Lookup of a certificate of one's own; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
name: own_certificate
short_description: A certificate that a person has brought, or its key
description:
  - Returns the text of a file of certificates (PEM) on the controller, or that of its private key, once they are known to belong together.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
options:
  _terms:
    description: The file with the certificate and those between it and its authority.
    required: true
  key:
    description: The file with its private key.
    type: path
    required: true
  part:
    description: Which of the two is returned.
    type: str
    choices: [cert, key]
    default: cert
"""

EXAMPLES = r"""
- name: Use a certificate of one's own
  ansible.builtin.copy:
    content: "{{ lookup('dockfra.core.own_certificate', '/etc/ssl/mine.crt', key='/etc/ssl/private/mine.key') }}"
    dest: /srv/mine.crt
    mode: "0400"
"""

RETURN = r"""
_raw:
  description: PEM texts.
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..module_utils.secrets import certificates


class LookupModule(LookupBase):
    """Reads files of the controller."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        return [self._part(str(term), str(self.get_option("key"))) for term in terms]

    def _part(self, certificate: str, key: str) -> str:
        try:
            texts = {"cert": Path(certificate).read_text("ascii"), "key": Path(key).read_text("ascii")}
            certificates.check_pair(texts["cert"], texts["key"])
        except OSError as error:
            raise AnsibleLookupError(
                f"{error.filename} cannot be read: {error.strerror}. Correct dockfra_tls_certificate and dockfra_tls_key."
            ) from None  # Ansible would say it twice
        except ValueError as error:
            raise AnsibleLookupError(
                f"{certificate} and {key} cannot be used: {error}. Correct dockfra_tls_certificate and dockfra_tls_key."
            ) from None
        return texts[self.get_option("part")].strip()
