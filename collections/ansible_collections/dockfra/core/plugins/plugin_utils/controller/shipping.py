# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Send images from the Docker host that built them to one that needs them, and see that they have come.

The archive goes from the one engine's ``GET /images/get`` to the other's ``POST /images/load`` through the controller, which keeps
nothing of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...module_utils.errors import EngineError
from . import engine_pipe
from .reach import Host, Program

_PROGRAM = Path(engine_pipe.__file__)
_MAX_ANSWER = 8 * 1024 * 1024
_LOOK_SECONDS = 120
_LOAD_SECONDS = 900  # the engine unpacks an archive after all of it has come
_TELL_SECONDS = 5.0
_MIB = 1024 * 1024

Tell = Callable[[str], None]


@dataclass
class Sent:
    """What was sent.

    Attributes:
        images: the references of the images that the target lacked.
        size: bytes that went over the line.
        seconds: how long that took, unpacking included.
    """

    images: list[str] = field(default_factory=list)
    size: int = 0
    seconds: float = 0.0


def send(
    source: Host, target: Host, chains: Sequence[Sequence[str]], tell: Tell, check: bool = False
) -> Sent:
    """Give a host the images that it lacks, and verify that what it has then is what the source has.

    Args:
        source: the Docker host that has the images.
        target: the Docker host that needs them.
        chains: each wanted image's reference, after those of the images that it stands on.
        tell: is told how far it is.
        check: only say what would be sent.

    Raises:
        EngineError: the source lacks one, the target has no room, the line breaks, or what has come is something else.
    """
    names = list(dict.fromkeys(chain[-1] for chain in chains))
    there = look(target, names)
    lacking = [name for name in names if name not in there["images"]]
    if not lacking or check:
        return Sent(lacking)
    here = look(source, list(dict.fromkeys(name for chain in chains for name in chain)))["images"]
    if missing := [name for name in lacking if name not in here]:
        raise EngineError(
            f"{target.name} needs {', '.join(missing)}, which {source.name} does not have. Run this again, which builds what "
            "is missing."
        )
    size = unique_size([chain for chain in chains if chain[-1] in lacking], here)
    check_room(target.name, there, size)
    begin = time.monotonic()
    tell(f"{target.name}: {len(lacking)} images of about {_mib(size)} come from {source.name}")
    sent = _stream(source, target, lacking, size, tell)
    verify(source.name, target.name, {name: here[name] for name in lacking}, look(target, lacking)["images"])
    seconds = time.monotonic() - begin
    tell(f"{target.name}: {len(lacking)} images have come and are right ({_mib(sent)} in {seconds:.0f} s)")
    return Sent(lacking, sent, seconds)


def look(host: Host, names: Sequence[str]) -> dict[str, Any]:
    """Return what a host has of these images (`engine_pipe.look`); raises EngineError where it cannot be asked."""
    with host.running(_PROGRAM, "look", *names) as program:
        program.close()
        said = program.rest(_LOOK_SECONDS, _MAX_ANSWER)
    try:
        found = json.loads(said)
        if not found.get("error"):
            return dict(found)
        reason = str(found["error"])
    except (ValueError, AttributeError, TypeError):
        reason = program.errors.decode(errors="replace").strip()[-300:] or "no answer"
    raise EngineError(f"{host.name}: its Docker Engine cannot be asked for images: {reason}")


def unique_size(chains: Sequence[Sequence[str]], known: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the bytes of all layers of these chains, each counted once, as far as sizes are known."""
    sizes: dict[str, int] = {}
    for chain in chains:
        below = 0
        for name in (name for name in chain if name in known):
            size = int(known[name]["size"])
            sizes[name] = max(0, size - below)
            below = size
    return sum(sizes.values())


def check_room(host: str, state: Mapping[str, Any], size: int) -> None:
    """Raise EngineError where a host has no room: its engine unpacks the archive beside what it makes of it."""
    free, needed = state["free"], 2 * size
    if free is not None and free < needed:
        raise EngineError(
            f"{host} has no room for the images: {_mib(free)} are free below {state['root']}, and it takes {_mib(needed)} to "
            f"unpack them. Make room there (docker image prune), or give it a larger disk, and run this again."
        )


def verify(
    source: str,
    target: str,
    wanted: Mapping[str, Mapping[str, Any]],
    found: Mapping[str, Mapping[str, Any]],
) -> None:
    """Raise EngineError where an image that has come is missing or another one.

    Engines that keep images in another way give the same image another id, so its layers and our own label of its content count too.
    """
    for name, image in wanted.items():
        other = found.get(name)
        if other is None:
            raise EngineError(
                f"{target} has taken {name} from {source} without an error, and does not have it. Look at the room and the log of "
                f"the Docker Engine on {target}, and run this again."
            )
        same = other["id"] == image["id"] or (
            other["layers"] == image["layers"] and image["content"] == name.rpartition(":")[2]
        )
        if not same or other["content"] != image["content"]:
            raise EngineError(
                f"{name} on {target} is not the image that {source} has. Remove it there (docker image rm {name}) and run "
                "this again."
            )


class _NoLongerTakenError(Exception):
    """The target has stopped to read; what it says at its end says why."""


def _stream(source: Host, target: Host, names: Sequence[str], size: int, tell: Tell) -> int:
    """Let the archive flow from the one to the other; returns its bytes."""
    sent = 0
    with target.running(_PROGRAM, "load") as taking:
        try:
            with source.running(_PROGRAM, "save", *names) as giving:
                for block in _paced(giving, target.name, size, tell):
                    if not taking.write(block):
                        raise _NoLongerTakenError
                    sent += len(block)
                if giving.ended():
                    raise EngineError(f"{source.name} does not give its images: {_reason(giving.errors)}")
        except _NoLongerTakenError:
            pass
        taking.close()
        answer = taking.rest(_LOAD_SECONDS, _MAX_ANSWER)
    _taken(target.name, answer, taking.errors)
    return sent


def _paced(giving: Program, target: str, size: int, tell: Tell) -> Iterator[bytes]:
    """The blocks that a program gives; how far it is, is told every few seconds."""
    given, begin = 0, time.monotonic()
    told = begin
    while block := giving.read():
        yield block
        given += len(block)
        now = time.monotonic()
        if now - told > _TELL_SECONDS:
            told = now
            speed = int(given / (now - begin))
            tell(f"{target}: {_mib(given)} of about {_mib(size)} have come, {_mib(speed)} a second")


def _taken(host: str, answer: bytes, errors: bytes) -> None:
    """Raise EngineError unless the engine has said that it has the images."""
    try:
        said = json.loads(answer)
        reason, full = str(said["error"]), bool(said["full"])
    except (ValueError, TypeError, KeyError):
        reason, full = _reason(errors), False
    if full:
        raise EngineError(
            f"The disk of {host} is full: its Docker Engine could not keep the images. Make room there (docker image prune), or "
            "give it a larger disk, and run this again."
        )
    if reason:
        raise EngineError(f"{host} does not take the images: {reason}. Run this again.")


def _reason(errors: bytes) -> str:
    line = (errors.decode(errors="replace").strip().splitlines() or ["the connection ended"])[-1]
    try:
        return str(json.loads(line)["error"])
    except (ValueError, TypeError, KeyError):
        return line


def _mib(size: int) -> str:
    return f"{size / _MIB:.0f} MiB"
