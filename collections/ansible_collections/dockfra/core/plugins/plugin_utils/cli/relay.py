# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Programs whose output goes on to whoever called: what people see only as a terminal can print it, data as it is."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Any

from ...module_utils.processes import child
from .output import Filter, is_terminal


def run(
    command: Sequence[str], environment: Mapping[str, str] | None = None, *, editing: bool = False
) -> int:
    """Run a program with this process's input and outputs and return its exit status, as a shell says it.

    Args:
        command: the program and its arguments.
        environment: by default that of this process.
        editing: whether a line editor on the other side writes to the terminal.

    Raises:
        OSError: it cannot be started, or nobody reads its output any more.
    """
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE} if is_terminal(sys.stdout) else {}
    if sys.stderr is not None:
        pipes["stderr"] = subprocess.PIPE  # what is for people may be shown to them later
    with child.started(command, env=environment, **pipes) as process:
        _pass_on({process.stdout: sys.stdout, process.stderr: sys.stderr}, editing)
        return child.exit_status(process.wait())


def _pass_on(streams: Mapping[IO[bytes] | None, Any], editing: bool) -> None:
    """Read pipes to their ends, and write what each brings."""
    with selectors.DefaultSelector() as selector:
        for pipe, terminal in streams.items():
            if pipe is not None:
                terminal.flush()
                selector.register(pipe, selectors.EVENT_READ, (Filter(editing), terminal.buffer))
        while selector.get_map():
            for key, _events in selector.select():
                text_filter, target = key.data
                data = os.read(key.fd, 64 * 1024)
                target.write(text_filter.feed(data).encode())
                target.flush()
                if not data:
                    selector.unregister(key.fileobj)
