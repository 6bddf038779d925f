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
# Seconds until what was ended is gone.
_REST = 2.0
# Seconds between two lines of an output that are told.
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
        on_output: gets the last line of what a command says, about once a second.
    """

    def __init__(self, on_output: Callable[[str], None]) -> None:
        self._on_output = on_output

    async def run(self, words: Sequence[str], *, cwd: str, env: Mapping[str, str], seconds: float) -> Ended:
        """Run one to its end; never raises for what it does.

        Args:
            words: the program and its arguments.
            cwd: its directory.
            env: its environment.
            seconds: its time.
        """
        output = _Output(self._on_output)
        try:
            process = await asyncio.create_subprocess_exec(
                *_FIRST_TO_GO,
                *_NO_CORE,
                *words,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                # A pipe of asyncio's own would have to be closed by all its writers before a command counts as ended.
                stdout=output.end,
                stderr=output.end,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            output.close()
            return Ended(127, f"{words[0]} cannot be started: {error}".encode())
        output.begin()
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
            log = output.close()
        return Ended(status, log)


class _Output:
    """What a command says: read as it comes, and only its end is kept.

    Args:
        on_output: gets the last line about once a second.

    Attributes:
        end: the descriptor that a command writes to; closed here by `begin`.
    """

    def __init__(self, on_output: Callable[[str], None]) -> None:
        self._reading, self.end = os.pipe()
        os.set_blocking(self._reading, False)
        self._on_output = on_output
        self._log = bytearray()
        self._shown_at = time.monotonic()
        self._begun = False

    def begin(self) -> None:
        """Read from now on."""
        os.close(self.end)
        self._begun = True
        asyncio.get_running_loop().add_reader(self._reading, self._read)

    def close(self) -> bytes:
        """Read what is left, now that nobody writes any more, and return the end of all."""
        if self._begun:
            asyncio.get_running_loop().remove_reader(self._reading)
            while self._read():
                pass
        else:
            os.close(self.end)
        os.close(self._reading)
        return bytes(self._log)

    def _read(self) -> bool:
        try:
            part = os.read(self._reading, _PART)
        except BlockingIOError:
            return False
        if not part:
            asyncio.get_running_loop().remove_reader(self._reading)
        self._log += part
        del self._log[:-MAX_LOG]
        now = time.monotonic()
        if part and now - self._shown_at >= _PAUSE:
            self._shown_at = now
            self._on_output(bytes(self._log).splitlines()[-1].decode(errors="replace"))
        return bool(part)


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
