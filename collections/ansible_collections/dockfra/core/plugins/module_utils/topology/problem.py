# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A contradiction in the inventory, and words for it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from .model import Service

# What Docker takes in the names of containers, networks and volumes, lower case because image names need it.
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
HOW_NAMES_ARE = "use lower-case letters, digits, '-', '_' and '.', beginning with a letter or digit"


@dataclass(frozen=True)
class Problem:
    """A contradiction.

    Attributes:
        service: the one to change, or None where it is not about a service.
        variable: of that service, the one to change.
        text: what is wrong and what to do.
    """

    service: Service | None
    variable: str
    text: str

    def __str__(self) -> str:
        if self.service is None:
            return self.text
        place = self.service.sources.get(self.variable)
        return f"{self.service.name}: {self.text}" + (f" ({place})" if place else "")


Problems: TypeAlias = Iterator[Problem]


def nearest(word: str, words: Collection[str]) -> str:
    """Return a question that names the word most like ``word``, with a blank before it, or an empty string."""
    close = difflib.get_close_matches(word, sorted(words), n=1, cutoff=0.5)  # bd is like db
    return f" Did you mean '{close[0]}'?" if close else ""
