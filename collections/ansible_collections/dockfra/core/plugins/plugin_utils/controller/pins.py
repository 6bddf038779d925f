# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether the host key of a machine is known before anybody talks to it."""

from __future__ import annotations

import os
from typing import Any

from ...module_utils.doctor.finding import OK, WRONG, Finding
from ...module_utils.errors import LateError, TooMuchError
from ...module_utils.processes import child

_SECONDS = 20
_UNSAFE = ("no", "false", "off", "accept-new")


def pinned(name: str, connection: Any) -> Finding:
    """Return whether a host's key is pinned for the ssh that Ansible starts.

    Args:
        name: its inventory name.
        connection: Ansible's ssh connection to it, which need not be open.
    """
    connection.host = connection.get_option("host")
    ssh = connection.get_option("ssh_executable")
    words = [os.fsdecode(word) for word in connection._build_command(ssh, "ssh", "-G", connection.host)]
    try:
        said = child.run(words, timeout=_SECONDS)
        lines = said.output.decode(errors="replace").splitlines()
        settings = {key: value for key, _space, value in (line.partition(" ") for line in lines)}
        if settings.get("stricthostkeychecking", "") in _UNSAFE:
            return Finding(
                "host-key",
                WRONG,
                f"ssh takes any host key for {name} (StrictHostKeyChecking {settings['stricthostkeychecking']})",
                "Take that out of ansible_ssh_common_args or ~/.ssh/config, and pin the key.",
            )
        port = settings.get("port", "22")
        address = settings.get("hostname", connection.host)
        known = settings.get("hostkeyalias") or (address if port == "22" else f"[{address}]:{port}")
        files = (
            settings.get("userknownhostsfile", "").split() + settings.get("globalknownhostsfile", "").split()
        )
        for file in map(os.path.expanduser, files):
            if (
                os.path.isfile(file)
                and child.run(["ssh-keygen", "-F", known, "-f", file], timeout=_SECONDS).output
            ):
                return Finding("host-key", OK, f"The host key of {known} is pinned in {file}")
    except (OSError, LateError, TooMuchError) as error:
        return Finding(
            "host-key",
            WRONG,
            f"ssh cannot be asked here: {error}",
            "Install it: apt-get install openssh-client.",
        )
    return Finding(
        "host-key",
        WRONG,
        f"The host key of {known} is not pinned",
        f"Get it by ssh-keyscan -t ed25519 -p {port} {address}, compare it with what the server shows (ssh-keygen -lf "
        f"/etc/ssh/ssh_host_ed25519_key.pub), and add the line to {files[0] if files else '~/.ssh/known_hosts'}.",
    )
