# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: secret_change
short_description: Take one step of the change of an SSH key or a password that services use
description:
  - Changes what is kept below C(dockfra_state_dir), or in C(dockfra_vault_file), alone. Between two steps the configuration of the services is to be put in
    place (see M(dockfra.core.service_config)), and the new secret to be proved by a real login.
  - Each step may be taken again. What an earlier rotation has left is known by a file, and comes first.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
attributes:
  check_mode:
    description: Says what would be changed, and makes nothing.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
options:
  step:
    description:
      - V(begin) writes down what is to be changed, as C(dockfra_rotate) chooses, and returns it.
      - V(add) makes a new secret that is admitted beside the one that is used.
      - V(switch) puts it in the place of that one, which stays admitted.
      - V(retire) forgets that one.
      - V(end) takes note that the secret is changed.
    type: str
    choices: [begin, add, switch, retire, end]
    required: true
  name:
    description:
      - The secret, C(keys/<owner>), C(host_keys/<service>) or the name of a login such as C(db/backend). Required for all steps but
        V(begin).
    type: str
"""

EXAMPLES = r"""
- name: Make a new key for the manager, beside the one there is
  dockfra.core.secret_change:
    step: add
    name: keys/manager
"""

RETURN = r"""
left:
  description: The secrets that are to be changed, in order.
  returned: step=begin
  type: list
  elements: str
resumed:
  description: Whether an earlier rotation had left some.
  returned: step=begin
  type: bool
on_devices:
  description: Keys that were left out, each with the real devices that it opens.
  returned: step=begin
  type: dict
stage:
  description: How far the change is, V(settled), V(added) or V(switched).
  returned: all steps but begin
  type: str
proof:
  description: Where the secret is proved.
  returned: all steps but begin, not in check mode
  type: dict
  contains:
    kind: {description: "V(key), V(login) or V(host_key).", type: str}
    container: {description: "The container in which a login is tried, if any.", type: str}
    docker_host: {description: Where that runs., type: str}
    peers: {description: SSH servers to try from there., type: list, elements: str}
    ways: {description: SSH servers to try from the controller., type: list, elements: str}
    callers:
      description: Containers whose client has the host key pinned, each with its C(container) and its C(docker_host).
      type: list
      elements: dict
former:
  description: The user of a login that is no longer used, and still admitted; empty where there is none.
  returned: the secret is a login
  type: str
ssh_config:
  description: A configuration for C(ssh) that knows the key to be proved and no other.
  returned: a key is added or switched
  type: str
public:
  description: The public half of the key to be proved.
  returned: a key is added or switched
  type: str
vault:
  description: The file of Ansible Vault that was written, so that what Ansible knows of it is no longer what it holds.
  returned: secrets are kept in one, and it was written
  type: str
"""
