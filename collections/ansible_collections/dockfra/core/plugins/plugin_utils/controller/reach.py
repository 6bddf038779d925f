# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A program on a host of the inventory, reached as Ansible reaches that host, with its input and output as streams.

Ansible's own connections take all of a program's input from memory and return all of its output at once, which is no way for
gigabytes.
"""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

from ansible import constants as C  # noqa: N812 -- as everywhere in Ansible
from ansible.plugins.action import ActionBase

from ...module_utils.errors import EngineError
from ...module_utils.processes import child

_READY = b"dockfra-is-ready\n"
_START_SECONDS = 60  # for a login, and an answer of the program's first line
_STALL_SECONDS = 300  # without a byte, and nobody goes on waiting
_MAX_GREETING = 64 * 1024
_MAX_ERRORS = 8 * 1024
_BLOCK = 256 * 1024


class Program:
    """A program that runs on a host.

    Attributes:
        host: the host's inventory name, for messages.
        errors: the end of what it said on standard error.
    """

    def __init__(self, host: str, process: subprocess.Popen[bytes], become: Any) -> None:
        # All three are pipes.
        self._stdin = cast(IO[bytes], process.stdin)
        self._input, self._output = self._stdin.fileno(), cast(IO[bytes], process.stdout).fileno()
        errors = cast(IO[bytes], process.stderr).fileno()
        self.host, self.errors = host, b""
        self._process, self._become = process, become
        os.set_blocking(self._input, False)
        self._listener = threading.Thread(target=self._listen, args=(errors,), daemon=True)
        self._listener.start()

    def read(self, seconds: float = _STALL_SECONDS) -> bytes:
        """Return what has come next, nothing at its end; raises EngineError where nothing comes in time."""
        ready = select.select([self._output], [], [], seconds)[0]
        if not ready:
            raise EngineError(f"{self.host} has sent nothing for {seconds:.0f} s; run this again.")
        return os.read(self._output, _BLOCK)

    def write(self, data: bytes) -> bool:
        """Send all of it; False where the program no longer reads. Raises EngineError where it takes nothing in time."""
        rest = memoryview(data)
        while rest:
            ready = select.select([], [self._input], [], _STALL_SECONDS)[1]
            if not ready:
                raise EngineError(
                    f"{self.host} has taken nothing for {_STALL_SECONDS:.0f} s; run this again."
                )
            try:
                rest = rest[os.write(self._input, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                return False
        return True

    def close(self) -> None:
        """Say that nothing more is sent."""
        with suppress(BrokenPipeError):
            self._stdin.close()

    def rest(self, seconds: float, limit: int) -> bytes:
        """Return all that still comes; raises EngineError where the end does not come in time, or it is more than the limit."""
        deadline, said = time.monotonic() + seconds, b""
        while block := self.read(max(0.0, deadline - time.monotonic())):
            said += block
            if len(said) > limit:
                raise EngineError(f"{self.host} answers with more than {limit} bytes.")
        return said

    def ended(self) -> int:
        """Wait for its end and return its exit status."""
        status = self._process.wait(timeout=_STALL_SECONDS)
        self._listener.join(timeout=5)
        return status

    def greet(self) -> None:
        """Wait until the program speaks, whatever a login says before; raises EngineError where it does not."""
        deadline, said = time.monotonic() + _START_SECONDS, b""
        while not said.endswith(_READY):
            if self._become and self._become.expect_prompt() and self._asked():
                self.write(self._become.get_option("become_pass").encode() + b"\n")
            ready = select.select([self._output], [], [], 0.2)[0]
            # One byte after the other: what follows the word is not for here.
            byte = os.read(self._output, 1) if ready else b""
            said += byte
            late = time.monotonic() > deadline or len(said) > _MAX_GREETING
            if late or (ready and not byte):
                self._listener.join(timeout=1)
                reason = self.errors.decode(errors="replace").strip().splitlines() or ["no answer"]
                raise EngineError(f"{self.host}: no program can be run there: {reason[-1]}")

    def _asked(self) -> bool:
        """Whether a password was asked for; each question is answered once."""
        if not self._become.check_password_prompt(self.errors):
            return False
        self.errors = b""
        return True

    def _listen(self, errors: int) -> None:
        while block := os.read(errors, 4096):
            self.errors = (self.errors + block)[-_MAX_ERRORS:]


class Host:
    """A host of the inventory on which programs can be run.

    Args:
        name: its inventory name.
        action: the action that asks, for its plugin loaders and the passwords of the command line.
        hostvars: Ansible's ``hostvars``.

    Raises:
        EngineError: it is reached by something else than ssh, or with a password.
    """

    def __init__(self, name: str, action: ActionBase, hostvars: Mapping[str, Any]) -> None:
        self.name = name
        variables = hostvars[name]
        kind = str(variables.get("ansible_connection") or "ssh").removeprefix("ansible.builtin.")
        if kind not in ("local", "ssh"):
            raise EngineError(
                f"{name} is reached by the connection '{kind}', which images cannot be sent over; reach it by ssh, or name a "
                "registry (dockfra_registry)."
            )
        self._kind = kind
        interpreter = str(variables.get("ansible_python_interpreter") or "")
        self._python = "python3" if not interpreter or interpreter.startswith("auto") else interpreter
        loaders, play = action._shared_loader_obj, action._play_context
        self._connection = loaders.connection_loader.get(kind, play, new_stdin=None)
        self._become = self._becoming(action, variables) if variables.get("ansible_become") else None
        keys = {**action._task.dump_attrs(), "timeout": play.timeout}
        keys.pop("retries", None)
        options = self._connection._resolve_option_variables(variables, action._templar)
        self._connection.set_options(task_keys=keys, var_options=options)
        if kind == "ssh" and (play.password or self._connection.get_option("password")):
            raise EngineError(
                f"{name} is reached with a password; images are sent with a key only. Give {name} a key (ssh-copy-id)."
            )

    def _becoming(self, action: ActionBase, variables: Mapping[str, Any]) -> Any:
        method = str(variables.get("ansible_become_method") or action._task.become_method or "sudo")
        become = action._shared_loader_obj.become_loader.get(method)
        if become is None:
            raise EngineError(f"{self.name}: there is no way to become root called '{method}'.")
        names = C.config.get_plugin_vars("become", become._load_name)
        keys = {**action._task.dump_attrs()}
        if action._play_context.become_pass:
            keys["become_pass"] = action._play_context.become_pass
        become.set_options(
            task_keys=keys, var_options={key: variables[key] for key in names if key in variables}
        )
        return become

    @contextmanager
    def running(self, program: Path, *words: str) -> Iterator[Program]:
        """A program of the controller that runs there, from its first line on until what is done within ends.

        Args:
            program: a Python file that needs nothing but Python's library; it is sent to the host's Python and written nowhere.
            words: its arguments.

        Raises:
            EngineError: it cannot be run there.
        """
        text = program.read_bytes()
        # It reads itself from its own input, where what it works on follows.
        start = f"import sys; print({_READY.decode().strip()!r}, flush=True); exec(sys.stdin.buffer.read({len(text)}))"
        command = shlex.join([self._python, "-c", start, *words])
        if self._become:
            command = self._become.build_become_command(command, self._connection._shell)
        if self._kind == "ssh":
            self._connection.host = self._connection.get_option("host")
            ssh = self._connection.get_option("ssh_executable")
            words_of_ssh = self._connection._build_command(ssh, "ssh", self._connection.host, command)
            line = [os.fsdecode(word) for word in words_of_ssh]
        else:
            line = ["/bin/sh", "-c", command]
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        try:
            with child.started(line, bufsize=0, **pipes) as process:
                there = Program(self.name, process, self._become)
                there.greet()
                there.write(text)
                yield there
                there.close()
                there.ended()
        except OSError as error:
            raise EngineError(
                f"{self.name}: no program can be run there: {error.strerror or error}"
            ) from error
