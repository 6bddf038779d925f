# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The errors of the library. Each message says what happened, to what, and what to do next."""

from __future__ import annotations


class DockfraError(Exception):
    """Base of every error a caller may turn into an exit code or a module failure."""


class TopologyError(DockfraError):
    """The inventory contradicts itself or holds a value that cannot work.

    Args:
        problems: every contradiction found, one sentence each.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class KeyringError(DockfraError):
    """A secret, key or certificate cannot be read or made."""


class EngineError(DockfraError):
    """The Docker Engine does not answer or refuses a request."""


class RunLockedError(DockfraError):
    """Another run works on the same platform."""


class FileTreeError(DockfraError):
    """A file or directory cannot be brought to its wanted state."""
