# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a question takes where nobody says so: estimates, rather too high than too low."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .budget import Use

# The models that are offered by name, with US dollars for a million tokens of question and of answer.
OFFERED = {
    "anthropic/claude-sonnet-4": (3.0, 15.0),
    "openai/gpt-4o": (2.5, 10.0),
    "openai/gpt-4o-mini": (0.15, 0.6),
    "google/gemini-2.0-flash-001": (0.1, 0.4),
    "meta-llama/llama-3.1-70b-instruct": (0.4, 0.4),
    "deepseek/deepseek-chat-v3-0324": (0.3, 0.9),
}
# Any other, like the dearest that are in ordinary use: what an answer does cost is mostly told afterwards, and too late to keep it from being asked.
_UNKNOWN = (15.0, 75.0)

# What a message takes beside its text.
_PER_MESSAGE = 8
# The least that an answer of unknown cost counts.
_LEAST = 0.000001


def tokens_of(text: str) -> int:
    """How many tokens a text may have: one for three bytes."""
    return (len(text.encode(errors="replace")) + 2) // 3


def prompt_tokens(messages: Iterable[dict[str, Any]], beside: str = "") -> int:
    """How many tokens a question may have, with what is sent beside its messages."""
    return tokens_of(beside) + sum(tokens_of(str(message["content"])) + _PER_MESSAGE for message in messages)


def estimate(model: str, prompt: int, completion: int) -> Use:
    """What so many tokens of question and answer may cost."""
    ask, answer = OFFERED.get(model.partition(":")[0], _UNKNOWN)
    return Use(prompt + completion, max(_LEAST, (prompt * ask + completion * answer) / 1_000_000))
