# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Where an edit may go: to a plain file of the repository, by its own name, and nowhere else."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from ..text import invisible, shown
from .model import MAX_PATH

# What git calls the kinds of its entries (git-fast-import(1)).
FILES = ("100644", "100755")
LINK = "120000"
REPOSITORY = "160000"

# Bytes of a name, as file systems have it.
_MAX_NAME = 255
# Names that some file system takes for .git (git-config(1), core.protectNTFS and core.protectHFS).
_GIT = re.compile(r"\.git(modules)?|git(mod)?~[0-9]+", re.ASCII)


class Paths:
    """The paths of a repository.

    Args:
        modes: what git says each is, by its path.
    """

    def __init__(self, modes: Mapping[str, str]) -> None:
        self._modes = modes
        self._folders = {folder for path in modes for folder in _above(path)}
        self._spelled = {_folded(path): path for path in (*self._folders, *modes)}

    def refusal(self, path: str) -> str:
        """Return why no edit may go to a path; an empty string where it may."""
        name = shown(path)
        if problem := _form(path):
            return f"{name} {problem}."
        for place in (*_above(path), path):
            mode = self._modes.get(place)
            if mode == LINK:
                return f"{name} is a link or below one; name the file that is meant itself."
            if mode == REPOSITORY:
                return f"{name} belongs to another repository."
            if mode and place != path:
                return f"{name} cannot be: {shown(place)} is a file."
            spelled = self._spelled.get(_folded(place), place)
            if spelled != place:
                return f"{name} differs from {shown(spelled)} in its spelling only; name that, or choose another name."
        if path in self._folders:
            return f"{name} is a directory; name a file in it."
        return ""

    def refusal_of_new(self, path: str, others: Iterable[str]) -> str:
        """Return why a file cannot be made beside other new ones; an empty string where it can."""
        for other in others:
            if path in _above(other) or other in _above(path):
                return f"{shown(path)} and {shown(other)} cannot both be files."
            if path != other and _folded(path) == _folded(other):
                return f"{shown(path)} and {shown(other)} differ in their spelling only."
        return ""


def _form(path: str) -> str:
    """What is wrong with a path, whatever is there."""
    if not path or len(path) > MAX_PATH:
        return f"is no path: it has 1 to {MAX_PATH} characters"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "is no UTF-8 text"
    if any(unicodedata.category(sign) == "Cc" for sign in path) or invisible(path):
        return "has a sign that nobody sees; use plain names"
    if "\\" in path:
        return "has a backslash; directories are parted by /"
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path):
        return "is no path within the repository; begin at its top"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return "is no plain path; write it without . and .. and empty parts"
        if part != part.strip() or part.endswith("."):
            return "has a name with a space or full stop at its end"
        if len(part.encode()) > _MAX_NAME:
            return f"has a name of more than {_MAX_NAME} bytes"
        if _GIT.fullmatch(_folded(part)):
            return "belongs to git itself, which no edit may touch"
    return ""


def _above(path: str) -> list[str]:
    """The directories that a path is in, from the top."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _folded(path: str) -> str:
    """The same for all spellings that a file system may take for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", path).casefold())
