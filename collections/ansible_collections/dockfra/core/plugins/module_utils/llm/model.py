# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What is asked, how, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import LLMSettingError
from .budget import Use
from .transport import Service


@dataclass(frozen=True)
class Configuration:
    """How one role asks.

    Attributes:
        service: where, and with which key.
        models: in the order in which they are asked.
        most: what a day may cost.
        max_tokens: how long an answer may become.
        temperature: how freely it is worded.
        system: what the model is told before every question.
    """

    service: Service
    models: tuple[str, ...]
    most: Use
    max_tokens: int = 2048
    temperature: float = 0.2
    system: str = ""

    @classmethod
    def of(cls, get: Callable[[str], Any]) -> Configuration:
        """Return what the settings say; raises LLMSettingError where there is no key.

        Args:
            get: returns the value of a setting.
        """
        if not get("OPENROUTER_API_KEY"):
            raise LLMSettingError(
                "OPENROUTER_API_KEY is not set, so no model can be asked; write it into ~/.env."
            )
        others = [name for name in str(get("LLM_FALLBACK_MODELS")).split(",") if name]
        return cls(
            service=Service(str(get("OPENROUTER_BASE_URL")), str(get("OPENROUTER_API_KEY"))),
            models=tuple(dict.fromkeys([str(get("LLM_MODEL")), *others])),
            most=Use(int(get("LLM_DAILY_TOKENS")), float(get("LLM_DAILY_COST"))),
            max_tokens=int(get("LLM_MAX_TOKENS")),
            temperature=float(get("LLM_TEMPERATURE")),
            system=str(get("LLM_SYSTEM_PROMPT")),
        )


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        text: the question itself, with all that belongs to it.
        task: what the model is to do, in the words of whoever asks for people or programs.
    """

    text: str
    task: str = ""


@dataclass(frozen=True)
class Answer:
    """What came, and what it took.

    Attributes:
        text: the words.
        value: what they stand for, where a schema was to be kept.
        asked: the model that was asked.
        served: the model that answered.
        provider: who runs it; empty where nobody says.
        tokens: of all questions and answers that it took, also those that were of no use.
        cost: US dollars of all these.
        estimated: whether the cost, or a part of it, is an estimate.
        seconds: how long it took.
        redacted: places of the question where a secret was taken out.
    """

    text: str
    value: Any
    asked: str
    served: str
    provider: str
    tokens: int
    cost: float
    estimated: bool
    seconds: float
    redacted: int

    def to_dict(self) -> dict[str, Any]:
        """Return what it took as plain data, without what was said."""
        return {
            "asked": self.asked,
            "served": self.served,
            "provider": self.provider,
            "tokens": self.tokens,
            "cost": self.cost,
            "estimated": self.estimated,
            "seconds": self.seconds,
            "redacted": self.redacted,
        }
