# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Verbs of a gate, called by programs that know no policy: what goes there and what comes back, as it comes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

from ...module_utils.answers.data import decoded
from ...module_utils.errors import BusyError, CommandError, LateError, TooMuchError
from ...module_utils.processes import child
from ...module_utils.releases.ids import checked_service
from . import codes, events, remote

# Of what a verb tells while it works, so many events are kept, the latest.
MAX_EVENTS = 1000


class Answer(NamedTuple):
    """How a verb ended.

    Attributes:
        status: its exit status.
        data: what it returned; None where it failed.
        events: what it told while it worked, the latest `MAX_EVENTS`.
        message: its line for people, if any.
    """

    status: int
    data: Any
    events: list[dict[str, Any]]
    message: str


def call(
    service: str,
    words: Sequence[str],
    *,
    data: bytes = b"",
    source: IO[bytes] | None = None,
    timeout: float,
    ssh_config: str = "",
    on_event: Callable[[Mapping[str, Any]], None] = lambda _event: None,
) -> Answer:
    """Run a verb at the gate of a service and return how it ended; whatever ends this before that ends ssh and all below it.

    Args:
        service: the host, as the client's configuration knows it.
        words: the verb and its arguments; it is one with ``--json``.
        data: its standard input.
        source: a file that is its standard input instead.
        timeout: seconds it may take.
        ssh_config: the client's configuration, by default its own.
        on_event: gets what it tells while it works.

    Raises:
        UsageError: the service has no such name, or the arguments are too long.
        CommandError: the service cannot be reached, or its answer is not one.
        LateError, TooMuchError: the answer takes longer, or is longer than `remote.MAX_ANSWER`.
    """
    lines = _Lines(on_event)
    try:
        done = child.run(
            _command(service, words, ssh_config),
            data=data,
            source=source,
            timeout=timeout,
            limit=remote.MAX_ANSWER,
            on_line=lines.take,
        )
        result = lines.result()
    except OSError as error:
        raise CommandError(f"ssh cannot be started: {error.strerror}") from error
    except LateError as error:
        raise LateError(f"{service} did not end {words[0]} within {timeout:g} s, and was left") from error
    except TooMuchError as error:
        raise TooMuchError(f"{service} says too much to {words[0]}: {error}; it was not read on") from error
    except ValueError as error:
        raise CommandError(f"{service} gave {words[0]} an answer that is no JSON") from error
    message = remote.last_line(done.errors)
    if done.status == remote.UNREACHABLE:
        raise remote.unreachable(service, message)
    return Answer(done.status, result, lines.events, message)


@contextmanager
def held(service: str, words: Sequence[str], *, timeout: float) -> Iterator[None]:
    """Let a verb work for as long as what is done within: it has told that it has begun, and ends when its input does.

    Args:
        service: the host, as the client's configuration knows it.
        words: the verb and its arguments.
        timeout: seconds until it has to have begun.

    Raises:
        BusyError, CommandError: it has not begun, and says why.
        LateError: it says nothing in time.
    """
    pipe = subprocess.PIPE
    try:
        with child.started(_command(service, words), stdin=pipe, stdout=pipe, stderr=pipe) as process:
            first = child.first_line(process, timeout)
            if not first:
                message = remote.last_line(child.piped(process.stderr).read(64 * 1024))
                status = process.wait(timeout)
                if status == remote.UNREACHABLE:
                    raise remote.unreachable(service, message)
                failed = BusyError if status == codes.BUSY else CommandError
                raise failed(message or f"{service} has not begun with {words[0]}")
            yield
            process.communicate(timeout=timeout)
    except OSError as error:
        raise CommandError(f"ssh cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise LateError(f"{service} did not end {words[0]} within {timeout:g} s, and was left") from error


def _command(service: str, words: Sequence[str], ssh_config: str = "") -> list[str]:
    client = ["ssh", *(("-F", ssh_config) if ssh_config else ())]
    options = ["-T", "-o", "BatchMode=yes", "--", checked_service(service)]
    return [*client, *options, remote.line(words[0], "--json", *words[1:])]


class _Lines:
    """Takes the lines of a verb: events and a result, or one JSON text over all of them."""

    def __init__(self, on_event: Callable[[Mapping[str, Any]], None]) -> None:
        self.events: list[dict[str, Any]] = []
        self._on_event = on_event
        self._result: Any = None
        self._text: list[bytes] = []

    def take(self, line: bytes) -> None:
        try:
            event = events.checked(decoded(line, remote.MAX_VALUES))
        except ValueError:
            self._text.append(line)
            return
        if event["event"] == events.RESULT:
            self._result = event.get("data")
            return
        self.events = [*self.events[-MAX_EVENTS + 1 :], event]
        self._on_event(event)

    def result(self) -> Any:
        """Return what the verb returned; raises ValueError, or TooMuchError."""
        text = b"\n".join(self._text)
        return remote.parse(text) if text.strip() else self._result
