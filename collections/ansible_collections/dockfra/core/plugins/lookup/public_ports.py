# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Lookup of the ports that other machines reach; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
name: public_ports
short_description: The ports of a Docker host that are published to other machines
description:
  - Returns the published TCP ports of the services of each Docker host that are bound to an address other than a loopback one.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
options:
  _terms:
    description: Inventory names of Docker hosts.
    required: true
"""

EXAMPLES = r"""
- name: Show what others reach
  ansible.builtin.debug:
    msg: "{{ query('dockfra.core.public_ports', 'app-server') }}"
"""

RETURN = r"""
_raw:
  description: The ports, sorted.
  type: list
  elements: int
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ..module_utils.errors import TopologyError
from ..module_utils.topology.model import Service
from ..plugin_utils.controller.variables import Variables


class LookupModule(LookupBase):
    """Reads the inventory."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[int]:
        variables = variables or {}
        try:
            known = Variables(
                self._templar, self._loader, variables["hostvars"], variables["groups"]["all"], only=[]
            ).neighbours
        except TopologyError as error:
            raise AnsibleLookupError(str(error)) from error
        services = [Service.from_variables(name, values) for name, values in known.items()]
        return sorted(
            {
                int(port.publish)
                for service in services
                for port in service.published
                if port.publish is not None
                and not port.is_local
                and service.docker_host in terms
                and not service.external_address
            }
        )
