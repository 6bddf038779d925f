#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: ticket
short_description: Create, change and close a ticket
description:
  - Makes a ticket what it should be, and leaves it alone where it is so already.
  - Works on the directory where the module runs, safely beside any number of other writers.
  - Options that are not given stay as they are. A new ticket is open, of normal priority and assigned to the developer.
version_added: 0.2.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Reports what would change and changes nothing. The id of a ticket that would be created is the next one.
    support: full
  diff_mode:
    description: Shows all fields of the ticket before and after.
    support: full
options:
  path:
    description: Directory of the tickets. It is made when missing, the directory above it is not.
    type: path
    default: /shared/tickets
  actor:
    description:
      - Role that asks.
      - The manager may do everything. The autopilot creates, edits and comments.
        Every role starts and finishes tickets assigned to it, and comments on them.
    type: str
    choices: [developer, monitor, autopilot, manager]
    default: manager
  id:
    description:
      - The ticket, for example V(T-0001); V(t-1) and V(1) mean the same. It has to exist.
      - Without O(id) and O(external_key) a ticket is created by every run.
    type: str
  external_key:
    description: Name of the ticket elsewhere. The first run creates a ticket with it, later ones find that ticket.
    type: str
  state:
    description:
      - V(present) for a ticket that is there, whatever its status.
      - V(closed) for one that is closed. An O(external_key) that no ticket has is fine then; nothing is created.
    type: str
    choices: [present, closed]
    default: present
  status:
    description:
      - Status it should have.
      - It goes from V(open) to V(in_progress) to V(closed). Only the manager closes an open ticket or reopens a closed one.
    type: str
    choices: [open, in_progress, closed]
  title:
    description: One line of at most 200 characters. Required for a new ticket.
    type: str
  description:
    description: Text of at most 65536 characters.
    type: str
  priority:
    description: How urgent it is.
    type: str
    choices: [low, normal, high, critical]
  assigned_to:
    description: Role that works on it, or V(none).
    type: str
    choices: [developer, monitor, autopilot, manager, none]
  labels:
    description: All its labels, each of at most 50 characters without a comma.
    type: list
    elements: str
  github_issue_number:
    description: Number of its issue on GitHub, V(0) for none. Only the manager sets it.
    type: int
  comment:
    description: Comment that O(actor) makes, unless it has made the same one on this ticket before.
    type: str
  expected_updated_at:
    description: Fails when the ticket was changed since this time, which an earlier result returned. Only with O(id).
    type: str
"""

EXAMPLES = r"""
- name: Ask the developer for something
  dockfra.core.ticket:
    title: Add user authentication
    description: Implement JWT authentication in the backend.
    priority: high
    assigned_to: developer
    labels: [backend, security]

- name: One ticket for one alarm, however often it rings
  dockfra.core.ticket:
    external_key: alarm/backend-down
    title: The backend is down
    priority: critical
    assigned_to: monitor
    comment: "Seen by {{ inventory_hostname }}"

- name: The alarm is over
  dockfra.core.ticket:
    external_key: alarm/backend-down
    state: closed

- name: Begin to work on a ticket
  dockfra.core.ticket:
    actor: developer
    id: T-0001
    status: in_progress
"""

RETURN = r"""
ticket:
  description: The ticket with all its fields. None when there is no ticket to close.
  returned: success
  type: dict
  sample:
    schema: 1
    id: T-0001
    title: Add user authentication
    description: Implement JWT authentication in the backend.
    status: open
    priority: high
    assigned_to: developer
    labels: [backend, security]
    created_by: manager
    created_at: "2026-11-22T10:00:00.000000Z"
    updated_at: "2026-11-22T10:00:00.000000Z"
    comments: []
    github_issue_number: null
    external_key: null
created:
  description: Whether this run created it.
  returned: success
  type: bool
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dockfra.core.plugins.module_utils.errors import DockfraError, TicketInvalidError
from ansible_collections.dockfra.core.plugins.module_utils.policy.roles import ROLES
from ansible_collections.dockfra.core.plugins.module_utils.tickets import model as ticket_model
from ansible_collections.dockfra.core.plugins.module_utils.tickets import store as ticket_store
from ansible_collections.dockfra.core.plugins.module_utils.tickets import values as ticket_values

FIELDS = ("title", "description", "priority", "labels", "status")


class TicketTask:
    """What one task of a playbook asks of the store."""

    def __init__(self, params: dict[str, t.Any], check_mode: bool) -> None:
        self._params = params
        self._actor: str = params["actor"]
        self._store = ticket_store.TicketStore(params["path"])
        self._dry_run = check_mode

    def run(self) -> dict[str, t.Any]:
        """Bring the ticket to its state and return the module's result."""
        wanted = self._wanted()
        if self._params["id"] is not None:
            return self._result(self._update(self._params["id"], wanted))
        key = self._params["external_key"]
        if key is None and self._params["state"] == "closed":
            raise TicketInvalidError("To close a ticket, give its id or external_key.")
        found = self._find(key)
        if found is not None:
            return self._result(self._update(found.id, wanted))
        if self._params["state"] == "closed":
            return {"changed": False, "created": False, "ticket": None, "diff": {"before": {}, "after": {}}}
        return self._result(self._create(key, wanted))

    def _wanted(self) -> dict[str, t.Any]:
        """The options that are given, as fields of a ticket, checked before anything is written."""
        params = self._params
        wanted = {name: params[name] for name in FIELDS if params[name] is not None}
        if params["assigned_to"] is not None:
            wanted["assigned_to"] = None if params["assigned_to"] == "none" else params["assigned_to"]
        if params["github_issue_number"] is not None:
            wanted["github_issue_number"] = params["github_issue_number"] or None
        if params["state"] == "closed":
            if wanted.get("status", "closed") != "closed":
                raise TicketInvalidError(
                    f"A closed ticket cannot have the status {wanted['status']} as well."
                )
            wanted["status"] = "closed"
        return ticket_model.clean_fields(wanted)

    def _find(self, key: str | None) -> ticket_model.Ticket | None:
        path = os.path.abspath(self._params["path"])
        if not os.path.lexists(path) and os.path.isdir(os.path.dirname(path)):
            return None  # the first ticket makes the directory
        return None if key is None else self._store.find(key)

    def _create(self, key: str | None, wanted: dict[str, t.Any]) -> ticket_store.Change:
        """Create the ticket, or change the one that another process created with the same key in this moment."""
        comment = self._params["comment"]
        fields = {**wanted, "external_key": key} if key is not None else wanted
        made = self._store.create(self._actor, fields, comment=comment, dry_run=self._dry_run)
        return made if made.before is None else self._update(made.after.id, wanted)

    def _update(self, ticket_id: str, wanted: dict[str, t.Any]) -> ticket_store.Change:
        return self._store.update(
            self._actor,
            ticket_id,
            wanted,
            comment=self._params["comment"],
            comment_once=True,
            expected=self._params["expected_updated_at"],
            dry_run=self._dry_run,
        )

    def _result(self, change: ticket_store.Change) -> dict[str, t.Any]:
        after = change.after.to_dict()
        return {
            "changed": change.changed,
            "created": change.before is None,
            "ticket": after,
            "diff": {"before": change.before.to_dict() if change.before else {}, "after": after},
        }


def main() -> None:
    roles = list(ROLES)
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": ticket_store.DIRECTORY},
            "actor": {"type": "str", "choices": roles, "default": "manager"},
            "id": {"type": "str"},
            "external_key": {"type": "str", "no_log": False},
            "state": {"type": "str", "choices": ["present", "closed"], "default": "present"},
            "status": {"type": "str", "choices": list(ticket_values.STATUSES)},
            "title": {"type": "str"},
            "description": {"type": "str"},
            "priority": {"type": "str", "choices": list(ticket_values.PRIORITIES)},
            "assigned_to": {"type": "str", "choices": [*roles, "none"]},
            "labels": {"type": "list", "elements": "str"},
            "github_issue_number": {"type": "int"},
            "comment": {"type": "str"},
            "expected_updated_at": {"type": "str"},
        },
        mutually_exclusive=[("id", "external_key")],
        required_by={"expected_updated_at": ("id",)},
        supports_check_mode=True,
    )
    try:
        module.exit_json(**TicketTask(module.params, module.check_mode).run())
    except DockfraError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
