# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Where Ansible is in a role's container, and the environment in which it runs there: nothing of who starts it, nothing of a home."""

from __future__ import annotations

import os
from pathlib import Path

# The environment of the libraries, in which Ansible is.
PYTHON = "/usr/local/lib/dockfra/venv/bin/python"
PROGRAM = "/usr/local/lib/dockfra/venv/bin/ansible-playbook"
COLLECTIONS = "/usr/local/lib/dockfra/python"

# Of the caller's environment what finds programs and home, and says how to write.
_KEPT = ("HOME", "LANG", "LC_ALL", "PATH", "TZ")


def environment(folder: Path, collections: str, callback: str = "") -> dict[str, str]:
    """Return the whole environment of a run.

    Args:
        folder: the directory of the run; it gets an empty configuration, so that none of a directory or a home counts.
        collections: where the collections are.
        callback: that shows the run, by default none of ours.

    Raises:
        OSError: the directory cannot be written.
    """
    (folder / "ansible.cfg").write_text("[defaults]\n", encoding="utf-8")
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {
        **kept,
        **({"ANSIBLE_STDOUT_CALLBACK": callback} if callback else {}),
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "ansible" / "tmp"),
        "ANSIBLE_COLLECTIONS_PATH": collections,
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_HOST_KEY_CHECKING": "true",
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_RETRY_FILES_ENABLED": "false",
        "PYTHONDONTWRITEBYTECODE": "1",
        # What tasks show comes when they show it.
        "PYTHONUNBUFFERED": "1",
    }
