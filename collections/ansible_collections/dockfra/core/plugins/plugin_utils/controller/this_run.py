# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The run of ansible-playbook that an action is part of, as who has the platform's lock."""

from __future__ import annotations

import itertools
import os
import pwd
from pathlib import Path

from ...module_utils.locks.work_lock import Holder

# Options of ansible-playbook whose value may look like a playbook.
_TAKE_FILES = ("-i", "--inventory", "--inventory-file", "-e", "--extra-vars")


def holder() -> Holder:
    """Return the ansible-playbook process, this worker's parent, as the holder of a lock from now on."""
    pid = os.getppid()
    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    playbooks = [
        os.path.basename(word)
        for before, word in itertools.pairwise(command)
        if word.endswith((".yml", ".yaml")) and before not in _TAKE_FILES
    ]
    # With sudo, the person behind it.
    user = os.environ.get("SUDO_USER") or pwd.getpwuid(os.geteuid()).pw_name
    return Holder.of(pid, user, f"{' '.join(playbooks[:1]) or 'ansible'} in {os.getcwd()}")


def has_ended(other: Holder) -> bool:
    """Whether a holder ran on this machine and has ended, which a lock on another one cannot see."""
    return other.here and not other.alive
