# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Programs that are started for their answer: it is read up to a limit, and for a limited time.

A program that is started here ends with this process, however that ends.
"""

from __future__ import annotations

import errno
import os
import selectors
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any, NamedTuple

from ..errors import LateError, TooMuchError
from . import tree

# Bytes of what a program says that are read, unless its caller says otherwise.
LIMIT = 8 * 1024 * 1024

# Of Debian's util-linux, which is essential: lets a program end with its parent, also when that is killed.
_BOUND = ("/usr/bin/setpriv", "--pdeathsig", "TERM", "--")

_PART = 64 * 1024

# The programs that are waited for, by their numbers, and what makes sure that none is missing.
_own: set[int] = set()
_OWN = threading.Lock()

Command = Sequence["str | os.PathLike[str]"]


class Ended(NamedTuple):
    """How a program ended.

    Attributes:
        status: its exit status; of one that a signal ended 128 and its number, as a shell says it.
        output: what it wrote on standard output, unless that was taken line by line.
        errors: what it wrote on standard error.
    """

    status: int
    output: bytes
    errors: bytes


@contextmanager
def started(
    command: Command, *, env: Mapping[str, str] | None = None, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that ends with this process, and at the latest with what is done within: that waits for its end.

    Args:
        command: the program, looked up on the PATH, and its arguments.
        env: its environment; by default that of this process.
        options: further ones of `subprocess.Popen`.

    Raises:
        OSError: it cannot be started.
    """
    tree.adopt()
    program = _found(os.fspath(command[0]), os.environ if env is None else env)
    bound = _BOUND if os.access(_BOUND[0], os.X_OK) else ()
    with _OWN:
        # This library also runs where there is no AnsibleModule with its run_command.
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            [*bound, program, *command[1:]], env=env, **options
        )
        _own.add(process.pid)
    try:
        with process:
            try:
                yield process
            except BaseException:
                tree.end(process.pid)
                raise
    finally:
        with _OWN:
            _own.discard(process.pid)


def reap() -> None:
    """Take leave of descendants that have ended and that nobody else waits for.

    `started` lets those whose parent ends become children of this process, and each keeps its number until then. For a process that
    starts programs for days, and all of them by `started`: any other's child would lose its exit status here.
    """
    with _OWN, suppress(ChildProcessError):
        while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if found.si_pid in _own:  # it will be waited for, and the others next time
                return
            os.waitpid(found.si_pid, os.WNOHANG)


def run(
    command: Command,
    *,
    timeout: float | None,
    limit: int = LIMIT,
    data: bytes = b"",
    source: IO[bytes] | None = None,
    on_line: Callable[[bytes], None] | None = None,
    **options: Any,
) -> Ended:
    """Run a program to its end; it and all it has started are ended where an error comes before that.

    Args:
        command: the program and its arguments.
        timeout: seconds it may take; None for as long as it wants.
        limit: bytes that it may say, on both outputs together.
        data: its standard input.
        source: a file that is its standard input instead.
        on_line: gets each line of its standard output as it comes, without its end.
        options: see `started`.

    Raises:
        OSError: it cannot be started.
        LateError: it takes longer.
        TooMuchError: it says more.
    """
    stdin = subprocess.PIPE if source is None else source
    pipes: dict[str, Any] = {"stdin": stdin, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started(command, **pipes, **options) as process:
        talk = _Talk(process, limit, data, on_line)
        deadline = None if timeout is None else time.monotonic() + timeout
        if not talk.finish(deadline):
            raise LateError(f"it did not end within {timeout:g} s")
        return Ended(exit_status(process.wait()), bytes(talk.output), bytes(talk.errors))


def first_line(process: subprocess.Popen[bytes], timeout: float) -> bytes:
    """Return the first line that a program writes, without its end; empty where it closes its output before.

    Raises:
        LateError: nothing comes in time.
        TooMuchError: it is longer than `_PART`.
    """
    output = piped(process.stdout)
    deadline, line = time.monotonic() + timeout, b""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while b"\n" not in line:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise LateError(f"nothing came within {timeout:g} s")
            part = os.read(output.fileno(), _PART)
            if not part:
                return b""
            line += part
            if len(line) > _PART:
                raise TooMuchError(f"its first line has more than {_PART} bytes")
    return line.partition(b"\n")[0]


def piped(stream: IO[bytes] | None) -> IO[bytes]:
    """Return an end of a pipe that a program was started with; raises ValueError where it was started without."""
    if stream is None:
        raise ValueError("the program was started without that pipe")
    return stream


def exit_status(code: int) -> int:
    """What a shell makes of a process's end: one that a signal ended has 128 and its number."""
    return 128 - code if code < 0 else code


class _Talk:
    """What goes to a process and comes from it, none of it waiting for the other."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        limit: int,
        data: bytes,
        on_line: Callable[[bytes], None] | None,
    ) -> None:
        self.output, self.errors = bytearray(), bytearray()
        self._process = process
        pipes: tuple[Any, Any, Any] = (process.stdin, process.stdout, process.stderr)
        self._stdin, self._stdout, self._stderr = pipes
        self._left = self._limit = limit
        self._data = memoryview(data)
        self._on_line = on_line
        self._selector = selectors.DefaultSelector()
        if self._stdin is not None:
            os.set_blocking(self._stdin.fileno(), False)
            self._selector.register(self._stdin, selectors.EVENT_WRITE, self._write)
        self._selector.register(self._stdout, selectors.EVENT_READ, self._read_output)
        self._selector.register(self._stderr, selectors.EVENT_READ, self._read_errors)

    def finish(self, deadline: float | None) -> bool:
        """Go on until the process has closed both outputs and ended; False when the deadline came first."""
        with self._selector:
            while self._selector.get_map():
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                ready = self._selector.select(left)
                if not ready or left == 0:
                    return False
                for key, _events in ready:
                    if not key.data():
                        self._selector.unregister(key.fileobj)
                        key.fileobj.close()  # type: ignore[union-attr]
        try:
            self._process.wait(None if deadline is None else max(0.01, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        if self._on_line and self.output:
            self._on_line(bytes(self.output))
        return True

    def _write(self) -> bool:
        """Send a part; False when there is no more, or nobody who reads it."""
        try:
            self._data = self._data[os.write(self._stdin.fileno(), self._data[:_PART]) :]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return bool(self._data)

    def _read_output(self) -> bool:
        more = self._read(self._stdout.fileno(), self.output)
        while self._on_line and (cut := self.output.find(b"\n")) >= 0:
            line = bytes(self.output[:cut])
            del self.output[: cut + 1]
            self._on_line(line)
        return more

    def _read_errors(self) -> bool:
        return self._read(self._stderr.fileno(), self.errors)

    def _read(self, descriptor: int, into: bytearray) -> bool:
        part = os.read(descriptor, _PART)
        self._left -= len(part)
        if self._left < 0:
            raise TooMuchError(f"it says more than {self._limit} bytes")
        into += part
        return bool(part)


def _found(program: str, environment: Mapping[str, str]) -> str:
    """Return the program's path, as execvp(3) looks for it; raises FileNotFoundError, or PermissionError."""
    refused = errno.ENOENT
    folders = [""] if os.path.dirname(program) else os.get_exec_path(environment)
    for folder in folders:
        path = os.path.join(folder, program)
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
        if os.path.exists(path):
            refused = errno.EACCES
    raise OSError(refused, os.strerror(refused), program)
