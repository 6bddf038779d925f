#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: ticket_info
short_description: Read tickets
description:
  - Returns the tickets that meet all given criteria, and names every file that should be a ticket and is none.
  - Never waits for a writer and never sees a change by halves.
version_added: 0.2.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Can run in check mode and returns the same result.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
options:
  path:
    description: Directory of the tickets.
    type: path
    default: /shared/tickets
  id:
    description: Only this ticket, for example V(T-0001). It has to exist.
    type: str
  status:
    description: Only tickets of one of these statuses.
    type: list
    elements: str
    choices: [open, in_progress, closed]
    default: []
  priority:
    description: Only tickets of one of these priorities.
    type: list
    elements: str
    choices: [low, normal, high, critical]
    default: []
  assigned_to:
    description: Only tickets assigned to one of these roles; V(none) means those assigned to nobody.
    type: list
    elements: str
    choices: [developer, monitor, autopilot, manager, none]
    default: []
  labels:
    description: Only tickets that have all of these labels.
    type: list
    elements: str
    default: []
  text:
    description: Only tickets with this text in their title, description or a comment, in upper or lower case.
    type: str
    default: ""
  updated_since:
    description: Only tickets changed at this time or later, for example V(2026-11-22T10:00:00Z).
    type: str
  sort:
    description: Order of the result. By V(priority) and V(status) the most urgent come first.
    type: str
    choices: [id, updated, created, priority, status]
    default: id
  reverse:
    description: Turn the order round.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: What the developer has to do, the most urgent first
  dockfra.core.ticket_info:
    assigned_to: [developer]
    status: [open, in_progress]
    sort: priority
  register: work

- name: One ticket
  dockfra.core.ticket_info:
    id: T-0001
"""

RETURN = r"""
tickets:
  description: The tickets with all their fields, as returned by M(dockfra.core.ticket).
  returned: success
  type: list
  elements: dict
damaged:
  description: Files that are no ticket this version can read. Empty with O(id), where such a file is a failure.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the file, relative to O(path).
      type: str
    kind:
      description:
        - V(damaged) for one that a writer sets apart, V(newer) for one of a later version, which is left alone,
          V(foreign) for one whose name is no ticket's, V(unreadable) for one the system refuses to read.
      type: str
    reason:
      description: Why.
      type: str
    set_apart:
      description: Whether it lies in C(damaged) already.
      type: bool
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dockfra.core.plugins.module_utils.errors import DockfraError
from ansible_collections.dockfra.core.plugins.module_utils.policy.roles import ROLES
from ansible_collections.dockfra.core.plugins.module_utils.tickets import query as ticket_query
from ansible_collections.dockfra.core.plugins.module_utils.tickets import store as ticket_store
from ansible_collections.dockfra.core.plugins.module_utils.tickets import values as ticket_values


def read(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the module's result for its parameters."""
    store = ticket_store.TicketStore(params["path"])
    wanted = ticket_query.Filter(
        status=params["status"],
        priority=params["priority"],
        assigned_to=[None if role == "none" else role for role in params["assigned_to"]],
        labels=params["labels"],
        text=params["text"],
        updated_since=params["updated_since"],
    )
    if params["id"] is not None:
        ticket = store.get(params["id"])
        found = ticket_store.Listing([ticket] if wanted.admits(ticket) else [], [])
    else:
        found = store.select(wanted, params["sort"], reverse=params["reverse"])
    return {
        "changed": False,
        "tickets": [ticket.to_dict() for ticket in found.tickets],
        "damaged": [file.to_dict() for file in found.damaged],
    }


def main() -> None:
    roles = [*ROLES, "none"]
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": ticket_store.DIRECTORY},
            "id": {"type": "str"},
            "status": {
                "type": "list",
                "elements": "str",
                "choices": list(ticket_values.STATUSES),
                "default": [],
            },
            "priority": {
                "type": "list",
                "elements": "str",
                "choices": list(ticket_values.PRIORITIES),
                "default": [],
            },
            "assigned_to": {"type": "list", "elements": "str", "choices": roles, "default": []},
            "labels": {"type": "list", "elements": "str", "default": []},
            "text": {"type": "str", "default": ""},
            "updated_since": {"type": "str"},
            "sort": {"type": "str", "choices": list(ticket_query.SORTS), "default": "id"},
            "reverse": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**read(module.params))
    except DockfraError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
