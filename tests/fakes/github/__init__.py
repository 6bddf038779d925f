"""A GitHub of our own: the part of its REST API that concerns issues, on a real socket, with faults on demand."""

from __future__ import annotations

from .server import FakeGitHub

__all__ = ["FakeGitHub"]
