# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a device answers, taken apart: lines of a word and its value. A device may be anybody's by now, so nothing of it is believed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from ..errors import (
    DeviceAnswerError,
    DeviceAwayError,
    DeviceError,
    DeviceSpaceError,
)
from ..releases.ids import valid_id
from ..text import shown
from . import scripts

# Bytes that a device may answer, on both outputs together, and releases of it that are looked at.
MAX_ANSWER = 64 * 1024
_MAX_RELEASES = 200
_MAX_NUMBER = 2**53
_MAX_SAID = 200
# What a device calls no release.
_NONE = "none"

_MACHINE = re.compile(r"[A-Za-z0-9_.-]{1,40}", re.ASCII)
_BOOT = re.compile(r"[A-Za-z0-9_.-]{1,80}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ABOUT = re.compile(r"(\S+) (\d{1,15}) (\d{1,15}) ([0-9a-f]{64}) (\S{1,200})", re.ASCII)
# What coreutils say where a card is full, or its user's share of it.
_FULL = ("No space left on device", "Disk quota exceeded", "File too large")


class Answer(NamedTuple):
    """How a script ended on a device.

    Attributes:
        status: its exit status.
        output: what it wrote on standard output.
        errors: what it wrote on standard error.
    """

    status: int
    output: bytes
    errors: bytes = b""


class Release(NamedTuple):
    """A release that a device has, whole.

    Attributes:
        sequence: the higher, the later it came.
        size: bytes of its program.
        sha256: of its program.
        name: of its program.
    """

    sequence: int
    size: int
    sha256: str
    name: str


class State(NamedTuple):
    """How a device is.

    Attributes:
        machine: what uname(1) says.
        bits: of a long number in its programs; 0 where it does not say.
        boot: tells this start of the device from every other.
        free: bytes that are free for releases.
        current: the release in use; empty without one.
        previous: the one before; empty without one.
        proven: whether it is well with what is in use, as far as anybody has waited for its word.
        trusted: the release that it was well with last; empty for none.
        releases: those that it has, by id.
        halves: releases that it has half of.
    """

    machine: str
    bits: int
    boot: str
    free: int
    current: str
    previous: str
    proven: bool
    trusted: str
    releases: dict[str, Release]
    halves: tuple[str, ...]

    @property
    def next_sequence(self) -> int:
        """The sequence number of a release that comes now."""
        return 1 + max((release.sequence for release in self.releases.values()), default=0)


def said(device: str, answer: Answer) -> list[tuple[str, str]]:
    """Return the lines of an answer, each a word and its value.

    Args:
        device: its name, for the messages.
        answer: how the script ended.

    Raises:
        DeviceSpaceError: its card is full.
        DeviceError: the script failed; says how.
        DeviceAwayError: the answer broke off.
    """
    text = answer.output.decode(errors="replace")
    if answer.status:
        reason = _reason(answer)
        if any(full in reason for full in _FULL):
            raise DeviceSpaceError(f"{device} has no room left: {reason}")
        raise DeviceError(f"{device}: {reason}")
    lines = text.splitlines()
    if not lines or lines[-1] != scripts.END or not text.endswith("\n"):
        raise DeviceAwayError(f"the answer of {device} broke off; try again")
    return [(word, value) for word, _blank, value in (line.partition(" ") for line in lines[:-1])]


def _reason(answer: Answer) -> str:
    """What went wrong, in the words of the program that failed."""
    lines = [line.strip() for line in answer.errors.decode(errors="replace").splitlines() if ": " in line]
    return printable(lines[0]) if lines else f"a command ended there with {answer.status}"


def state(device: str, answer: Answer) -> State:
    """Return how a device is, from its answer to `scripts.STATUS`.

    Raises: as `said` does, and
        DeviceAnswerError: no device answers like that.
        DeviceError: it lacks programs that are needed.
    """
    lines = said(device, answer)
    if missing := [printable(value) for word, value in lines if word == "missing"]:
        raise DeviceError(f"{device} has no {', '.join(missing[:20])}; install coreutils there")
    values = dict(lines)
    releases = {}
    for about in [value for word, value in lines if word == "release"][:_MAX_RELEASES]:
        found = _ABOUT.fullmatch(about.strip())
        # What is no release of ours is not counted, and not touched.
        if found and valid_id(found[1]):
            releases[found[1]] = Release(int(found[2]), int(found[3]), found[4], found[5])
    halves = [value for word, value in lines if word == "half" and valid_id(value)]
    # A link to what is not whole is as good as none.
    links = {
        name: release if (release := values.get(name, "")) in releases else ""
        for name in ("current", "previous")
    }
    before = values.get("unproven")
    return State(
        machine=matching(device, _MACHINE, values.get("machine", "")),
        bits=number(device, values.get("bits", "0")),
        boot=matching(device, _BOOT, values.get("boot", "")),
        free=number(device, values.get("free", "")) * 1024,
        **links,
        proven=before is None,
        trusted=_trusted(before, links, releases),
        releases=releases,
        halves=tuple(halves[:_MAX_RELEASES]),
    )


def _trusted(before: str | None, links: Mapping[str, str], releases: Collection[str]) -> str:
    """What it was well with last; a mark that names nothing is from earlier versions, or was cut."""
    if before is None:
        return links["current"]
    if before == _NONE:
        return ""
    return before if before in releases else links["previous"]


def checksum(device: str, answer: Answer) -> str:
    """Return the hash that a script says; raises as `said` does, and DeviceAnswerError."""
    return matching(device, _SHA256, dict(said(device, answer)).get("sum", ""))


def matching(device: str, pattern: re.Pattern[str], text: str) -> str:
    """Return a value of an answer that has its form; raises DeviceAnswerError for any other."""
    if pattern.fullmatch(text):
        return text
    raise DeviceAnswerError(f"{device} answers {shown(text)}, which no device does; see what runs there")


def number(device: str, text: str) -> int:
    """Return a number of an answer; raises DeviceAnswerError for anything else."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 17:
        return min(int(text), _MAX_NUMBER)
    raise DeviceAnswerError(f"{device} answers {shown(text)} for a number; see what runs there")


def printable(text: str) -> str:
    """Return a device's own words for a message: short, on one line."""
    line = " ".join(text.split())[:_MAX_SAID]
    return line if line.isprintable() else shown(line)
