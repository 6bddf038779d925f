# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Images as data: what goes into each, and the content hash that names it."""

from __future__ import annotations

import functools
import glob
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...module_utils.containers.labels import digest
from ...module_utils.errors import TopologyError
from ...module_utils.files.tree import WantedFile
from ...module_utils.releases import trees

try:
    from docker.utils.build import exclude_paths
except ImportError as error:
    _DOCKER_ERROR: ImportError | None = error
else:
    _DOCKER_ERROR = None

# Left behind by tools; never part of an image.
_TOOLS = ["__pycache__", "*.pyc", ".pytest_cache", ".ruff_cache", ".mypy_cache", ".cache", ".git"]
# Left behind by editors, merges and file managers: swap, backup and lock files of vim, emacs, nano and JetBrains' IDEs.
_EDITORS = [
    ".*.sw?",
    "*~",
    "#*#",
    ".#*",
    "*.orig",
    "*.rej",
    "*.bak",
    "*___jb_tmp___",
    "4913",
    ".DS_Store",
    "Thumbs.db",
]
_NEVER = [*_TOOLS, *_EDITORS]


@dataclass(frozen=True)
class Image:
    """An image to build.

    Attributes:
        repository: for example ``dockfra/db``.
        parent: reference of the image it stands on, passed as build argument BASE.
        arguments: further build arguments.
        sources: context path → file or directory on the controller.
    """

    repository: str
    parent: str
    arguments: tuple[tuple[str, str], ...]
    sources: tuple[tuple[str, str], ...]

    @functools.cached_property
    def reference(self) -> str:
        """``repository:tag`` where the tag is the hash of everything the image is made from."""
        return f"{self.repository}:{digest([self.parent, self.arguments, _fingerprints(self.sources)])}"

    def context(self) -> dict[str, WantedFile]:
        """The build context, content included."""
        return {
            path: WantedFile(source.read_bytes(), 0o755 if os.access(source, os.X_OK) else 0o644)
            for path, source in _walk(self.sources).items()
        }


def image_sources(context: Path, extra: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the sources of an image: its context directory, and extra files or globs by their place in it."""
    return (("", str(context)), *sorted((str(place), str(pattern)) for place, pattern in extra.items()))


@functools.cache
def tree_name(root: str, path: str) -> str:
    """Return git's name for a directory below a root, of the files that an image which is made of the root gets."""
    inside = f"{path}/"
    return trees.tree(
        trees.File(name.removeprefix(inside), os.access(file, os.X_OK), file.read_bytes())
        for name, file in _files(Path(root)).items()
        if name.startswith(inside)
    )


@functools.cache
def _fingerprints(sources: tuple[tuple[str, str], ...]) -> list[tuple[str, bool, str]]:
    return [
        (path, os.access(source, os.X_OK), hashlib.sha256(source.read_bytes()).hexdigest())
        for path, source in sorted(_walk(sources).items())
    ]


def _walk(sources: tuple[tuple[str, str], ...]) -> dict[str, Path]:
    """Return context path → file; a later source wins."""
    found: dict[str, Path] = {}
    for place, pattern in sources:
        matches = sorted(glob.glob(pattern))
        if not matches and not glob.has_magic(pattern):
            raise TopologyError(
                [f"{pattern} does not exist, but an image is to be built from it. Correct the path."]
            )
        for match in map(Path, matches):
            if match.is_file():
                found[os.path.join(place, match.name) if glob.has_magic(pattern) else place] = match
            else:
                found.update({os.path.join(place, path): file for path, file in _files(match).items()})
    return found


def _files(root: Path) -> dict[str, Path]:
    """Return the files below a directory that docker would send: what its .dockerignore leaves, byte code left out."""
    if _DOCKER_ERROR is not None:
        raise TopologyError(
            [f"The Python library 'docker' is missing ({_DOCKER_ERROR}); run ./init.sh again."]
        )
    ignore = root / ".dockerignore"
    patterns = ignore.read_text(encoding="utf-8").splitlines() if ignore.is_file() else []
    paths = exclude_paths(
        str(root),
        [
            *(f"**/{name}" for name in _NEVER),
            *(line for line in patterns if line.strip() and not line.startswith("#")),
        ],
    )
    return {path: root / path for path in paths if (root / path).is_file()}
