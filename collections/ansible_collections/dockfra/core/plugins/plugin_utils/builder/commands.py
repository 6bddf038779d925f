# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The commands of a build: each with a time limit, its output read to the end and kept only in part, and gone when it is over.

Whatever a command has started is ended with it. As the container's first process that is one system call that nothing
escapes; elsewhere (the tests) all descendants are looked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ...module_utils.builds.wire import MAX_LOG
from ...module_utils.processes import child, tree

# Of util-linux: where memory runs out, the kernel takes what a build has started, and not who watches over it.
_FIRST_TO_GO = ("/usr/bin/choom", "-n", "1000", "--")
_NO_CORE = ("/usr/bin/prlimit", "--core=0", "--")

_PART = 64 * 1024
# Seconds for the rest of an output whose writers have been ended.
_REST = 2.0
_PAUSE = 1.0


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        status: as a shell has it; None when its time was over.
        log: the end of its output, as it came.
    """

    status: int | None
    log: bytes

    @property
    def reason(self) -> str:
        """Why it is no success, in a few words."""
        if self.status is None:
            return "did not end in time"
        if self.status > 128:
            return f"was ended by signal {self.status - 128}"
        return f"ended with exit status {self.status}"


class Commands:
    """Starts commands, one at a time.

    Args:
        on_output: gets a line of what a command says, about once a second.
    """

    def __init__(self, on_output: Callable[[str], None]) -> None:
        self._on_output = on_output
        self._shown_at = 0.0

    async def run(
        self, words: Sequence[str], *, cwd: str, env: Mapping[str, str], seconds: float
    ) -> Ended:
        """Run one to its end; never raises for what it does.

        Args:
            words: the program and its arguments.
            cwd: its directory.
            env: its environment.
            seconds: its time.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                *_FIRST_TO_GO,
                *_NO_CORE,
                *words,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                limit=_PART,
            )
        except (OSError, ValueError) as error:
            return Ended(127, f"{words[0]} cannot be started: {error}".encode())
        log = bytearray()
        reading = asyncio.create_task(self._read(process, log))
        status: int | None = None
        try:
            async with asyncio.timeout(seconds):
                status = child.exit_status(await process.wait())
        except TimeoutError:
            pass
        finally:
            await _end_all()
            await process.wait()
            await _reap()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reading, _REST)
        return Ended(status, bytes(log))

    async def _read(self, process: asyncio.subprocess.Process, log: bytearray) -> None:
        assert process.stdout is not None
        while part := await process.stdout.read(_PART):
            log += part
            del log[:-MAX_LOG]
            now = time.monotonic()
            if now - self._shown_at >= _PAUSE:
                self._shown_at = now
                lines = bytes(log).splitlines()
                self._on_output(lines[-1].decode(errors="replace"))


async def _end_all() -> None:
    """End everything that a build has started, whoever its parent is now."""
    if os.getpid() == 1:
        # All that this process may see but itself, at once: none of it can start something meanwhile.
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
    else:
        await asyncio.to_thread(tree.end)


async def _reap() -> None:
    """Take note of the end of processes whose parents are gone, until there is none."""
    deadline = time.monotonic() + _REST
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                await asyncio.sleep(0.01)
