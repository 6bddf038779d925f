# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The way to the commands of other containers: ssh to their gate, and what comes back, bounded in bytes and time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ...module_utils.answers.data import decoded
from ...module_utils.errors import (
    CommandError,
    DeniedError,
    LateError,
    TooMuchError,
    UnreachableError,
    UsageError,
)
from . import events, grammar
from .call import Place
from .codes import DENIED, USAGE

# The longest line that reaches another place: sshd hands it over as SSH_ORIGINAL_COMMAND=…, and Linux ends a string of the
# environment at 128 KiB (execve(2)).
MAX_LINE = 128 * 1024 - 32

# The longest answer, in bytes and in values; the largest ticket has 4 MiB. What it becomes in memory has to fit into the
# smallest container.
MAX_ANSWER = 8 * 1024 * 1024
MAX_VALUES = 400_000

# Seconds that a command's own time limit leaves for the way there and back.
WAY = 15.0

# What ssh exits with when it could not connect (ssh(1)).
UNREACHABLE = 255


class Answer(NamedTuple):
    """What came back from another place.

    Attributes:
        data: what the command returned there; None where it failed.
        status: its exit status.
        message: its line for people.
    """

    data: Any
    status: int
    message: str


def ask(home: Place, place: str, words: Sequence[str], text: str | None = None) -> Any:
    """See `call.Call.ask`."""
    data, status, message = request(home, place, words, text)
    if status == DENIED:
        raise DeniedError(message)
    if status == USAGE:
        raise UsageError(message)
    if data is None:
        raise CommandError(message)
    return data


def request(
    home: Place,
    place: str,
    words: Sequence[str],
    text: str | None = None,
    on_event: Callable[[Mapping[str, Any]], None] = lambda _event: None,
) -> Answer:
    """Run a command at another place and return how it ended.

    Args:
        home: this container.
        place: where.
        words: the command and its arguments.
        text: its standard input.
        on_event: gets what the command tells while it works.

    Raises:
        CommandError: the place cannot be reached, or its answer is not one.
        UsageError: the arguments are too long.
        LateError, TooMuchError: the answer is longer, or takes longer, than the command may.
    """
    from ...module_utils.processes import child  # most commands run at home

    service = home.services.get(place)
    if service is None:
        raise CommandError(f"there is no {place} on this platform; run site.yml again")
    command = grammar.find(words[0], place, home.name)
    limit = None if command.time_limit is None else command.time_limit + WAY
    answer = _Answer(on_event) if command.streams(command.parse(["--json", *words[1:]])) else None
    try:
        done = child.run(
            ["ssh", "-T", "-o", "BatchMode=yes", "--", service, line(words[0], "--json", *words[1:])],
            data=(text or "").encode(),
            timeout=limit,
            limit=MAX_ANSWER,
            on_line=answer.take if answer else None,
        )
        parsed = answer.data if answer else parse(done.output)
    except OSError as error:
        raise CommandError(f"ssh cannot be started: {error.strerror}; see 'ssh {service}'") from error
    except LateError as error:
        raise LateError(f"{service} did not answer in {limit:g} s; see 'status'") from error
    except TooMuchError as error:
        raise TooMuchError(f"the answer of {service} is too long: {error}; it was not read on") from error
    except ValueError as error:
        raise CommandError(f"{service} gave an answer that is no JSON; run site.yml again") from error
    message = last_line(done.errors)
    if done.status == UNREACHABLE:
        raise unreachable(service, message)
    return Answer(parsed, done.status, message)


def line(*words: str) -> str:
    """Return the words as one line for a gate; raises UsageError when it is too long."""
    import shlex

    # sshd hands the line to the gate as it is: quoted here, split there, and no shell in between.
    text = shlex.join(words)
    if len(text.encode(errors="surrogateescape")) > MAX_LINE:
        raise UsageError(f"the arguments have more than {MAX_LINE} bytes; send text on the input")
    return text


def parse(answer: bytes) -> Any:
    """Return the data of an answer, None for an empty one; raises ValueError, or TooMuchError."""
    if not answer.strip():
        return None
    return decoded(answer, MAX_VALUES)


def unreachable(service: str, message: str) -> UnreachableError:
    """Return the error for a service that ssh could not connect to."""
    return UnreachableError(
        f"{service} cannot be reached: {message.rstrip('.') or 'the connection was closed'}; see 'status'"
    )


def last_line(output: bytes) -> str:
    """The message without what marks it for people (see `codes.message`)."""
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1].partition(": ")[2] or lines[-1] if lines else ""


class _Answer:
    """Takes the lines of a command that tells how it goes on, and keeps its result."""

    def __init__(self, on_event: Callable[[Mapping[str, Any]], None]) -> None:
        self._on_event = on_event
        self.data: Any = None

    def take(self, text: bytes) -> None:
        event = events.checked(decoded(text, MAX_VALUES))
        if event["event"] == events.RESULT:
            self.data = event.get("data")
        else:
            self._on_event(event)
