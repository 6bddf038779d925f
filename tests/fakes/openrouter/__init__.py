"""An OpenRouter of our own: chat completions and models on a real socket, by script, obedient, and with faults on demand."""

from __future__ import annotations

from .server import FakeOpenRouter, Request
from .turns import FAULTS, Turn

__all__ = ["FAULTS", "FakeOpenRouter", "Request", "Turn"]
