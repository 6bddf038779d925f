# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a service can serve: what its image brought, and the releases that the bastion has put there."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ...module_utils.errors import ReleaseDamagedError, ReleaseRefusedError
from ...module_utils.releases import links, spec
from ...module_utils.releases.ids import checked_id, valid_id
from ...module_utils.releases.links import CONTENT, Link

# What the image brought, where a release's id is asked for.
IMAGE = ""


@dataclass(frozen=True)
class Source:
    """One thing to serve.

    Attributes:
        release: its id; `IMAGE` for what the image brought.
        content: its directory.
        spec: how it runs.
    """

    release: str
    content: str
    spec: spec.Spec

    @property
    def root(self) -> str:
        """The directory of the pages or files, of the kinds that have one."""
        return os.path.join(self.content, self.spec.root)

    @property
    def name(self) -> str:
        """How messages call it."""
        return self.release or "what the image brought"


class Sources:
    """All that a service can serve.

    Args:
        app: the directory of what the image brought, with its ``spec.json``.
        releases: the directory of its releases; empty where it has none.

    Raises:
        ReleaseDamagedError: the image's own specification cannot be read.
    """

    def __init__(self, app: str, releases: str) -> None:
        self.image = Source(IMAGE, app, spec.load(app))
        self._releases = releases

    def link(self, name: str) -> Link | None:
        """Return where one of the links ``current``, ``previous`` and ``next`` leads."""
        return links.read(self._releases, name) if self._releases else None

    def get(self, release: str) -> Source:
        """Return a release, or what the image brought.

        Raises:
            ReleaseDamagedError: it is not there, or cannot be read.
            ReleaseRefusedError: it is of another kind than what this image serves.
        """
        if release == IMAGE:
            return self.image
        content = os.path.join(self._releases, checked_id(release), CONTENT)
        if not os.path.isdir(content):
            raise ReleaseDamagedError(f"{content} is not there.")
        found = Source(release, content, spec.load(content))
        if found.spec.kind != self.image.spec.kind:
            reason = f"kind {found.spec.kind}, and this image serves releases of kind {self.image.spec.kind}"
            raise ReleaseRefusedError(f"{release} is of {reason}.", "refused", reason)
        return found

    def names(self) -> list[str]:
        """Return what to serve after a start, the first choice first."""
        found = [link.release for name in (links.CURRENT, links.PREVIOUS) if (link := self.link(name))]
        return [*dict.fromkeys(filter(valid_id, found)), IMAGE]
