# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a report of tests says (JUnit's XML, as pytest writes it): how many there were, and which failed.

The tests that wrote it are foreign code: it is read up to a limit and piece by piece.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from typing import Any

# Bytes of a report, and failures that are named.
MAX_REPORT = 16 * 1024 * 1024
MAX_NAMED = 1000


@dataclass
class Counts:
    """How tests ended.

    Attributes:
        tests: how many there were.
        failed: of these.
        skipped: of these: passed over for want of something.
        failures: the names of those that failed.
    """

    tests: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def ran(self) -> bool:
        """Whether any test ran at all: one that was skipped has proved nothing."""
        return self.tests > self.skipped


def read(report: str | os.PathLike[str]) -> Counts | None:
    """Return what a report says; None where there is none that can be read."""
    try:
        descriptor = os.open(report, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            return _counted(file.read(MAX_REPORT + 1))
    except (OSError, ET.ParseError):
        return None


def _counted(data: bytes) -> Counts | None:
    if len(data) > MAX_REPORT:
        return None
    found = Counts()
    parser: Any = ET.XMLPullParser(["end"])  # expat bounds what entities become
    for begin in range(0, len(data), 65536):
        parser.feed(data[begin : begin + 65536])
        for _event, element in parser.read_events():
            if element.tag == "testcase":
                _count(found, element)
                element.clear()
    parser.close()
    return found


def _count(found: Counts, case: ET.Element) -> None:
    ended = {part.tag for part in case}
    found.tests += 1
    found.skipped += "skipped" in ended
    if ended & {"failure", "error"}:
        found.failed += 1
        if len(found.failures) < MAX_NAMED:
            found.failures.append(f"{case.get('classname', '')}::{case.get('name', '')}"[:300])
