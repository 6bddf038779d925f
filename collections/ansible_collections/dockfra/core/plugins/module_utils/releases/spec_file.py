# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""``release.yml`` in the directory of a service's source: read, with the line of whatever is wrong in it.

The file comes from whoever pushes. It is bounded, has no aliases (which could make it large) and no tags (which could make
objects), and names nothing outside its directory, by links neither.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from ..errors import MisplacedError, ReleaseInvalidError
from ..files import document
from ..files.document import Where
from ..text import shown
from .spec import MAX_SPEC, Spec, checked

NAME = "release.yml"


def read(directory: str | os.PathLike[str], name: str = NAME) -> Spec:
    """Return what a service's directory says of its releases.

    Args:
        directory: the service's source, as it is in the commit.
        name: how messages call the file, for example by its path in the repository.

    Raises:
        ReleaseInvalidError: there is no such file, or what it says cannot be meant; names file and line.
    """
    try:
        descriptor = os.open(os.path.join(directory, NAME), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            data = file.read(MAX_SPEC + 1)
    except OSError as error:
        raise ReleaseInvalidError(f"{name} cannot be read: {error.strerror}.") from error
    spec, lines = _parsed(data, name)
    for where, place in _paths(spec):
        # What a build makes is not there yet.
        problem = _problem(directory, place, may_miss=bool(spec.build and where[0] in ("files", "root")))
        if problem:
            raise ReleaseInvalidError(f"{name}:{lines.of(where)}: {shown(place)} {problem}")
    return spec


def parse(data: bytes, name: str = NAME) -> Spec:
    """Return what the content of a ``release.yml`` says, without a look at the files it names; raises as `read` does."""
    return _parsed(data, name)[0]


def _parsed(data: bytes, name: str) -> tuple[Spec, document.Lines]:
    if len(data) > MAX_SPEC:
        raise ReleaseInvalidError(f"{name} has more than {MAX_SPEC} bytes.")
    try:
        return document.parse(data, document.Bounds(MAX_SPEC), checked)
    except MisplacedError as error:
        raise ReleaseInvalidError(f"{name}:{error}") from error


def _paths(spec: Spec) -> Iterator[tuple[Where, str]]:
    for position, place in enumerate(spec.files):
        yield ("files", position), place
    if spec.requirements:
        yield ("requirements",), spec.requirements
    if spec.build and spec.build.requirements:
        yield ("build", "requirements"), spec.build.requirements
    if spec.test and spec.test.requirements:
        yield ("test", "requirements"), spec.test.requirements
    if spec.root:
        yield ("root",), spec.root


def _problem(directory: str | os.PathLike[str], place: str, may_miss: bool) -> str:
    """What is wrong with a path below the directory, in a phrase; empty when nothing is."""
    root = os.path.realpath(directory)
    found = os.path.realpath(os.path.join(root, place))
    if found != root and not found.startswith(root + os.sep):
        return "leads out of the service's directory"
    return "" if may_miss or os.path.lexists(found) else "does not exist"
