# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Terminals that the image may know nothing of."""

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.dockfra.core.tests.unit.plugins.plugin_utils.cli.support import CORE

START_UP = CORE / "roles" / "sshd" / "files" / "image" / "rootfs" / "etc" / "bash.bashrc"


@pytest.mark.parametrize(
    "terminal", ["xterm-kitty", "ghostty", "foot", "alacritty", "wezterm", "an-invented-one", "../x", "vt220"]
)
def test_programs_know_the_terminal_of_a_shell_finding_g4(terminal: str) -> None:
    command = ["bash", "--rcfile", str(START_UP), "-ic", 'tput cup 1 1 >/dev/null && echo "$TERM"']
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TERM": terminal}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    if terminal == "vt220":
        assert done.stdout == "vt220\n"
    if terminal in ("an-invented-one", "../x"):
        assert done.stdout == "xterm-256color\n"
