# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Lookup of logins whose password can be changed; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
name: login
short_description: A user and its password, of which the platform has two that take turns
description:
  - Returns for each term the user as whom a service logs in at another, and its password, which is the secret of that name
    (see P(dockfra.core.password#lookup)).
  - When the password is changed, the other user gets the new one; both are admitted until nobody uses the first any more.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
options:
  _terms:
    description: Names of secrets, the service and the first user, such as C(db/backend); the second user is then C(backend_b).
    required: true
  part:
    description:
      - V(used) is the login of the one who logs in.
      - V(admitted) are those of the one who is logged in to, one or two, those of all terms in one list.
      - V(newest) is the one that is used from the next step of a change on.
    type: str
    choices: [used, admitted, newest]
    default: used
"""

EXAMPLES = r"""
- name: Log in to the database
  ansible.builtin.set_fact:
    url: "postgresql://{{ backend.user }}:{{ backend.password }}@db/app"
  vars:
    backend: "{{ lookup('dockfra.core.login', 'db/backend') }}"
"""

RETURN = r"""
_raw:
  description: Each with its C(user) and its C(password).
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..module_utils.errors import KeyringError
from ..plugin_utils.controller.keyrings import open_keyring


class LookupModule(LookupBase):
    """Reads or makes logins."""

    def run(
        self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[dict[str, str]]:
        self.set_options(var_options=variables, direct=kwargs)
        try:
            keyring = open_keyring(self, variables)
            part = self.get_option("part")
            if part == "admitted":
                found = [login for term in terms for login in keyring.logins(term)]
            elif part == "newest":
                found = [keyring.newest_login(term) for term in terms]
            else:
                found = [keyring.login(term) for term in terms]
        except KeyringError as error:
            raise AnsibleLookupError(str(error)) from error
        return [login._asdict() for login in found]
