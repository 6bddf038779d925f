# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What goes over the line between who has audit logs and who keeps their mirrors: a line of JSON each.

Who keeps the mirrors begins with one line, how far each log was read. From then on the other sends what the logs have got, and now
and then a sign of life.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from .mirror import PART, Part, Position

# The longest first line, and the longest one of the answer: a part whose every byte takes six, and what stands around it.
MOST_ASKED = 64 * 1024
MOST_LINE = PART * 6 + 4096

# Signs of a problem that are taken.
_MOST_SAID = 300


class News(NamedTuple):
    """What is said of a log.

    Attributes:
        log: whose; empty in a sign of life, and where nothing is sent at all.
        part: what it has got.
        problem: why that cannot be said; empty where it can.
    """

    log: str = ""
    part: Part | None = None
    problem: str = ""


def asked(positions: Mapping[str, Position]) -> bytes:
    """Return the first line. A log of which nothing was read is not named, and is sent from its beginning."""
    known = {log: list(position) for log, position in positions.items() if position.generation}
    return json.dumps(known).encode() + b"\n"


def positions(line: bytes) -> dict[str, Position]:
    """Return what the first line says; raises ValueError."""
    try:
        found = {
            str(log): Position(int(generation), int(offset), str(last))
            for log, (generation, offset, last) in json.loads(line).items()
        }
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(
            "the first line does not say of each log [generation, offset, hash of the last line]"
        ) from error
    if any(position.generation < 0 or position.offset < 0 for position in found.values()):
        raise ValueError("a log was read from its beginning on; no number is below 0")
    return found


def encoded(news: News) -> bytes:
    """Return it as a line."""
    said: dict[str, object] = {"log": news.log} if news.log else {}
    if news.part is not None:
        # Each byte as one sign: what a log holds is for its reader to judge.
        text = news.part.lines.decode("latin-1")
        said |= {"generation": news.part.generation, "offset": news.part.offset, "text": text}
    if news.problem:
        said["problem"] = news.problem[:_MOST_SAID]
    return json.dumps(said).encode() + b"\n"


def decoded(line: bytes) -> News:
    """Return what a line says; raises ValueError where it says nothing of a log."""
    try:
        said = json.loads(line)
        problem = str(said.get("problem", ""))[:_MOST_SAID]
        part = None
        if "text" in said:
            part = Part(int(said["generation"]), int(said["offset"]), said["text"].encode("latin-1"))
        # What another container says may be anything.
        readable = "".join(sign if sign.isprintable() else "?" for sign in problem)
        return News(str(said.get("log", "")), part, readable)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError("what came says nothing of an audit log") from error
