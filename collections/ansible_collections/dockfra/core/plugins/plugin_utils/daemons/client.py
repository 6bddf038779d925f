# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""An ssh that a daemon keeps beside itself: it never waits for it, reads what comes, and ends it with all that it has started."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from subprocess import PIPE, Popen
from typing import IO, Any

from ...module_utils.processes import child, tree

# Bytes that are kept of what ssh says, and that are read at a time.
_MOST_SAID = 8192
_PART = 256 * 1024

# Beside its reason ssh says what is no reason.
_NO_REASON = ("Connection closed", "kex_exchange_identification", "Killed by signal", "Connection to UNKNOWN")


class Client:
    """One ssh.

    Args:
        command: it and its arguments. Its input stays open, and nothing comes there.

    Attributes:
        said: the end of what it has said on standard error.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.said = b""
        self._stack = ExitStack()
        pipes: dict[str, Any] = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE}
        self._process: Popen[bytes] = self._stack.enter_context(
            child.started(command, start_new_session=True, **pipes)
        )
        for pipe in (self._process.stdout, self._process.stderr):
            os.set_blocking(child.piped(pipe).fileno(), False)

    def read(self) -> bytes:
        """Return what has come on its output, and take note of what it says."""
        self.said = (self.said + _available(child.piped(self._process.stderr)))[-_MOST_SAID:]
        return _available(child.piped(self._process.stdout))

    def ended(self) -> bool:
        """Whether it has ended. What it wrote before is still to be read."""
        return self._process.poll() is not None

    def reason(self) -> str:
        """Return what it said last that is a reason, as one line."""
        self.read()
        lines = [line.strip() for line in self.said.decode(errors="replace").splitlines() if line.strip()]
        told = [line for line in lines if not line.startswith(_NO_REASON)] or lines
        # What a server says may be anything.
        return "".join(sign if sign.isprintable() else "?" for sign in (told or [""])[-1])[:200]

    def close(self) -> None:
        """End it, and all that it is made of."""
        # It starts another one for each further hop, which outlives it where nothing comes through any more.
        tree.end(self._process.pid)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._stack.close()


def _available(pipe: IO[bytes]) -> bytes:
    """What is in a pipe now."""
    try:
        return os.read(pipe.fileno(), _PART)
    except BlockingIOError:
        return b""
