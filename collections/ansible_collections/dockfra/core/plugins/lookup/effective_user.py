# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Lookup of the controller's user; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
name: effective_user
short_description: The user who runs Ansible on the controller
description:
  - Returns the name of the effective user, for inventories that need to know whether privileges have to be raised.
version_added: 0.1.0
author: Dockfra contributors (@dockfra)
options:
  _terms:
    description: Not used.
"""

EXAMPLES = r"""
- name: Raise privileges only where needed
  ansible.builtin.command: id
  become: "{{ lookup('dockfra.core.effective_user') != 'root' }}"
  changed_when: false
"""

RETURN = r"""
_raw:
  description: The user's name.
  type: list
  elements: str
"""

import os
import pwd
from typing import Any

from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """Asks the system's user database."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        return [pwd.getpwuid(os.geteuid()).pw_name]
