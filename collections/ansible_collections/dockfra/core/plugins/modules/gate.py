# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gate
short_description: Call a verb at the gate of a service
description:
  - Runs one command of a service's gate over SSH, from where Ansible runs and with the SSH client's own configuration and key.
    No module is sent and the connection of the task is not used.
  - What the verb tells while it works is shown as it comes, unless the task says C(no_log).
  - The verb ends with the task. Where that is cancelled, ends in a time limit or with C(ansible-playbook), ssh and all it has started are ended,
    and the gate ends the verb.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Calls nothing and is skipped, unless O(check_safe) is set.
    support: partial
  diff_mode:
    description: Has nothing to show.
    support: none
options:
  service:
    description: The service, by the name that the SSH client's configuration has for it.
    type: str
    required: true
  verb:
    description: The command and its arguments. It is called with C(--json), which every command has that returns data.
    type: list
    elements: str
    required: true
  input:
    description: Standard input of the verb. It is in no log and no argument.
    type: str
  input_file:
    description: A file where Ansible runs that is the standard input instead, of any size.
    type: path
  timeout:
    description: Seconds that the verb may take.
    type: int
    default: 600
  check_safe:
    description: Whether the verb changes nothing. It is called in check mode too, and the task reports no change.
    type: bool
    default: false
  ssh_config:
    description: Configuration of the SSH client, instead of its own.
    type: path
"""

EXAMPLES = r"""
- name: See what serves
  dockfra.core.gate:
    service: ssh-backend
    verb: [release-status, backend]
    check_safe: true
  register: backend

- name: Change to a release
  dockfra.core.gate:
    service: ssh-backend
    verb: [release-switch, backend, 20261125T131500Z-0123456789ab]
"""

RETURN = r"""
rc:
  description:
    - Exit status of the verb. V(1) is a failure, V(2) wrong usage, V(75) that somebody else is at work, V(77) a denial, V(124) that it took too long.
    - Every status but V(0) fails the task, and C(msg) is the verb's own line.
  returned: unless skipped
  type: int
json:
  description: What the verb returned.
  returned: success
  type: raw
events:
  description: What it told while it worked, the latest thousand; each with C(event), C(text) and what else it has.
  returned: always
  type: list
  elements: dict
dockfra_blamed:
  description: The device that said why it does not do with the verb's release; empty where something else is to blame.
  returned: where the verb failed
  type: str
"""
