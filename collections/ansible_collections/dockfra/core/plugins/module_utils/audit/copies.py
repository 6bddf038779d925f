# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The monitor's own copy of every audit log, taken as it grows.

A service's user can write its log anew, chain and all. It cannot reach the copy: what the log said when the copy was
taken stays known. What is changed before the copy is taken, within `PERIOD`, stays unseen.

A copy has a file for each file of the log, named by its generation. It only ever grows by what the log has grown; where the
log is no longer what it was, the copy stays as it is.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

from ..errors import AuditError
from .files import LogFile, last_line, log_files, opened
from .lines import MAX_LINE, decode, digest

DIRECTORY = "/shared/logs/copies"

# Seconds between two looks at the logs.
PERIOD = 0.5

# Bytes kept of one log. The oldest files go first.
LIMIT = 512 * 1024 * 1024

_CHUNK = 1024 * 1024


class Comparison(NamedTuple):
    """What comparing a log with its copy found.

    Attributes:
        problems: where they differ, one phrase for each file.
        reaches: how far the copy goes: a generation, and bytes of that file.
        compared: what was compared, for the next time: by generation the state of both files.
    """

    problems: tuple[str, ...]
    reaches: tuple[int, int]
    compared: Mapping[str, list[int]]


def follow(path: str | os.PathLike[str], folder: str | os.PathLike[str], limit: int = LIMIT) -> int:
    """Bring a log's copy up to date.

    Args:
        path: the log.
        folder: of its copy; it is made.
        limit: bytes that the copy may have.

    Returns:
        The bytes that were copied.

    Raises:
        AuditError: the log cannot be read, or the copy not written.
    """
    folder = os.fspath(folder)
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        files = log_files(path)
        newest = max(_kept(folder), default=0)
        # Copies that were dropped for their age are not taken again.
        copied = sum(
            _grow(file, _copy(folder, file.generation), limit) for file in files if file.generation >= newest
        )
        if copied:
            _make_room(folder, limit)
        return copied
    except OSError as error:
        raise AuditError(f"The copy of {os.fspath(path)} cannot be written: {error.strerror}.") from error


def compare(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    compared: Mapping[str, list[int]] | None = None,
) -> Comparison:
    """Compare a log with its copy, byte by byte.

    Args:
        path: the log.
        folder: of its copy.
        compared: what an earlier comparison found to be the same; files that nobody has touched since are not read again.

    Raises:
        AuditError: one of them cannot be read.
    """
    same: dict[str, list[int]] = {}
    reaches = (0, 0)
    try:
        problems = _gaps(os.fspath(folder))
        for file in log_files(path):
            copy = _copy(os.fspath(folder), file.generation)
            if not os.path.exists(copy):
                continue
            key, state = str(file.generation), _state(file.path, copy)
            problem = "" if state == (compared or {}).get(key) else _difference(file.path, copy)
            if problem:
                problems.append(problem)
            else:
                same[key] = state
                reaches = (file.generation, os.path.getsize(copy))
    except OSError as error:
        raise AuditError(f"The copy of {os.fspath(path)} cannot be read: {error.strerror}.") from error
    return Comparison(tuple(problems), reaches, same)


def _copy(folder: str, generation: int) -> str:
    return os.path.join(folder, f"{generation:06d}.jsonl")


def _grow(file: LogFile, copy: str, limit: int) -> int:
    """Add to a copy what its file has grown by, whole lines only: half a line may be taken back by its writer."""
    have = os.path.getsize(copy) if os.path.exists(copy) else 0
    with opened(file.path) as source:
        end = min(os.fstat(source.fileno()).st_size, limit)
        if end <= have or not _goes_on(source, copy, have):
            return 0
        source.seek(have)
        with open(copy, "ab") as target:
            copied = sum(target.write(part) for part in _whole_lines(source, end - have))
            target.flush()
            os.fdatasync(target.fileno())
    return copied


def _goes_on(source: BinaryIO, copy: str, have: int) -> bool:
    """Whether a file still has what was copied of it last."""
    if not have:
        return True
    tail = min(have, MAX_LINE)
    with open(copy, "rb") as kept:
        kept.seek(have - tail)
        source.seek(have - tail)
        return kept.read(tail) == source.read(tail)


def _whole_lines(source: BinaryIO, size: int) -> Iterator[bytes]:
    rest = b""
    while size > 0 and (part := source.read(min(_CHUNK, size))):
        size -= len(part)
        text, sign, after = part.rpartition(b"\n")
        if sign:
            yield rest + text + sign
            rest = after
        else:
            rest += part
            if len(rest) > MAX_LINE:  # no writer makes such a line; `verify` tells it
                return


def _make_room(folder: str, limit: int) -> None:
    """Drop the oldest copies, never the one that grows."""
    sizes = {generation: os.path.getsize(_copy(folder, generation)) for generation in _kept(folder)}
    left = sum(sizes.values())
    for generation, size in list(sizes.items())[:-1]:
        if left <= limit:
            return
        left -= size
        os.unlink(_copy(folder, generation))


def _kept(folder: str) -> list[int]:
    """The generations that there is a copy of."""
    if not os.path.isdir(folder):
        return []
    names = (name.removesuffix(".jsonl") for name in os.listdir(folder) if name.endswith(".jsonl"))
    return sorted(int(name) for name in names if name.isdecimal())


def _gaps(folder: str) -> list[str]:
    """Where a copied file does not go on from the one that was copied before it."""
    kept = _kept(folder)
    problems: list[str] = []
    for before, after in itertools.pairwise(kept):
        if after != before + 1:
            problems.append(f"files {before + 1} to {after - 1} were gone before the monitor had a copy")
            continue
        with opened(_copy(folder, before)) as ended, opened(_copy(folder, after)) as begun:
            last = last_line(ended, os.fstat(ended.fileno()).st_size).removesuffix(b"\n")
            first = decode(begun.readline(MAX_LINE)) or {}
        if first.get("previous") != digest(last):
            problems.append(f"file {after} does not follow file {before} as the monitor's copy has it")
    return problems


def _difference(path: str, copy: str) -> str:
    """Where a file is not what its copy says, as a phrase; empty when it is."""
    line = 1
    with opened(path) as now, open(copy, "rb") as kept:
        while before := kept.read(_CHUNK):
            after = now.read(len(before))
            if after != before:
                same = next(
                    (
                        number
                        for number, pair in enumerate(zip(before, after, strict=False))
                        if pair[0] != pair[1]
                    ),
                    len(after),
                )
                line += before.count(b"\n", 0, same)
                verdict = "is missing, which" if same == len(after) else "is not what"
                return f"line {line} of {os.path.basename(path)} {verdict} the monitor's copy has"
            line += before.count(b"\n")
    return ""


def _state(*paths: str) -> list[int]:
    """What changes when a file is written, or put in the place of another."""
    found: list[int] = []
    for path in paths:
        with contextlib.closing(opened(path)) as file:
            state = os.fstat(file.fileno())
        found += [state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns]
    return found
