# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The name that git has for the content of a directory: whether two are the same is known without one of them at hand.

How git names blobs and trees: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

_FILE, _PROGRAM, _FOLDER = b"100644", b"100755", b"40000"


class File(NamedTuple):
    """A file of a directory.

    Attributes:
        path: below the directory.
        program: whether its owner may run it.
        content: what is in it.
    """

    path: str
    program: bool
    content: bytes


def tree(files: Iterable[File]) -> str:
    """Return the SHA-1 that git names a tree of these files by, as hex digits; the empty tree's where there are none."""
    root: dict[str, object] = {}
    for file in files:
        *folders, name = file.path.split("/")
        place = root
        for folder in folders:
            place = place.setdefault(folder, {})  # type: ignore[assignment]
        place[name] = (_PROGRAM if file.program else _FILE, _named(b"blob", file.content))
    return _tree(root).hex()


def _tree(folder: dict[str, object]) -> bytes:
    lines: list[tuple[bytes, bytes]] = []
    for name, entry in folder.items():
        mode, digest = entry if isinstance(entry, tuple) else (_FOLDER, _tree(entry))  # type: ignore[arg-type]
        encoded = name.encode(errors="surrogateescape")
        # A directory sorts as if its name ended with a slash.
        key = encoded + (b"/" if mode == _FOLDER else b"")
        lines.append((key, mode + b" " + encoded + b"\0" + digest))
    return _named(b"tree", b"".join(line for _key, line in sorted(lines)))


def _named(kind: bytes, content: bytes) -> bytes:
    # Git's own choice, which nothing is protected by here.
    return hashlib.sha1(kind + b" %d\0" % len(content) + content, usedforsecurity=False).digest()
