# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What it means that a model gave no answer: for people one clear sentence, for the client what may help."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from typing import Any

from ..errors import (
    LLMAnswerError,
    LLMCreditError,
    LLMError,
    LLMRefusedError,
    LLMRequestError,
    LLMSettingError,
    LLMUnavailableError,
)

# Characters that a message keeps of what a service says.
_MOST_WORDS = 160


class Failed(Exception):
    """One question to one model failed.

    Attributes:
        error: what people are told.
        again: whether the same question to the same model may succeed.
        wait: seconds after which, where the service says so.
        otherwise: whether the same model may answer when it is asked for the form of its answer in another way.
        everywhere: whether no other model would help.
        billed: whether it may have cost something.
        room: whether the model used up its tokens before it came to its answer.
        asker: whether the question is to blame, and not the model.
    """

    def __init__(
        self,
        error: LLMError,
        *,
        again: bool = False,
        wait: float | None = None,
        otherwise: bool = False,
        everywhere: bool = False,
        billed: bool = False,
        room: bool = False,
        asker: bool = False,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.again = again
        self.wait = wait
        self.otherwise = otherwise
        self.everywhere = everywhere
        self.billed = billed
        self.room = room
        self.asker = asker


_TOO_LONG = re.compile(r"context|too long|maximum.{0,20}length|too many tokens|token limit", re.IGNORECASE)
_MODERATED = re.compile(r"moderat|flagged|content.?policy|safety", re.IGNORECASE)


def of_status(status: int, body: Any, headers: Mapping[str, str], model: str, host: str) -> Failed:
    """Return what a status means, from the header or from an error in a body.

    Args:
        status: of HTTP, or OpenRouter's code of the same meaning.
        body: the answer's data, None where it has none.
        headers: of the answer, with names in small letters.
        model: who was asked.
        host: where.
    """
    said = words_of(body)
    reason = f": {said}" if said else ""
    if status == 401:
        text = f"{host} refuses the key{reason}; set OPENROUTER_API_KEY to one of {host}."
        return Failed(LLMSettingError(text), everywhere=True)
    if status == 402:
        text = f"The account of the key has no credit left at {host}{reason}; add some there, or set another key."
        return Failed(LLMCreditError(text), everywhere=True)
    if status == 403 and _MODERATED.search(said):
        text = f"{model} will not answer this question{reason}; word it differently, or ask another model."
        return Failed(LLMRefusedError(text), asker=True)
    if status == 403:
        text = f"The key may not use {model} at {host}{reason}; allow it there, or set another LLM_MODEL."
        return Failed(LLMSettingError(text))
    if status == 404:
        text = f"{host} has no model {model} that can do what is asked{reason}; check LLM_MODEL and OPENROUTER_BASE_URL."
        return Failed(LLMRequestError(text), otherwise=True)
    if status == 413 or (status in (400, 422) and _TOO_LONG.search(said)):
        text = f"The question is too long for {model}{reason}; send less, or set a model that takes more."
        return Failed(LLMRequestError(text), asker=True)
    if status in (400, 422):
        text = f"{host} refuses the question to {model}{reason}; set another LLM_MODEL if it stays so."
        return Failed(LLMRequestError(text), otherwise=True)
    if status == 429:
        text = f"{host} limits the rate of questions to {model}{reason}; ask later, or name others in LLM_FALLBACK_MODELS."
        return Failed(LLMUnavailableError(text), again=True, wait=_asked_wait(headers))
    if status == 408 or status >= 500:
        text = f"{model} does not answer: {host} says {status}{reason}; ask later, or name others in LLM_FALLBACK_MODELS."
        return Failed(LLMUnavailableError(text), again=True, wait=_asked_wait(headers))
    text = f"{host} answers {status} where a model should{reason}; check OPENROUTER_BASE_URL."
    return Failed(LLMSettingError(text), everywhere=True)


def of_body(body: Mapping[str, Any], model: str, host: str) -> Failed:
    """Return what an error in an answer at 200 means, whole or in the middle of a stream."""
    error = body.get("error")
    code = error.get("code") if isinstance(error, Mapping) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 502
    failed = of_status(status, body, {}, model, host)
    failed.billed = True  # it had begun
    return failed


def late(model: str, seconds: float) -> Failed:
    """No answer in time."""
    text = f"{model} did not answer in {seconds:.0f} s; ask later, or name others in LLM_FALLBACK_MODELS."
    return Failed(LLMUnavailableError(text), billed=True)


def lost(why: str, model: str, host: str, *, billed: bool) -> Failed:
    """No connection, or one that ended."""
    text = f"{model} does not answer: {host} {why}; check OPENROUTER_BASE_URL and the network, and ask later."
    return Failed(LLMUnavailableError(text), again=True, billed=billed)


def useless(
    what: str, model: str, *, again: bool = False, otherwise: bool = False, room: bool = False
) -> Failed:
    """An answer that is none."""
    text = f"{model} gave no usable answer: {what}; ask again, or set another LLM_MODEL."
    return Failed(LLMAnswerError(text), again=again, otherwise=otherwise, billed=True, room=room)


def crowded(model: str, tokens: int) -> Failed:
    """A model that uses up all that it may before it answers."""
    text = f"{model} used all of its {tokens} tokens before it came to an answer; raise LLM_MAX_TOKENS, or set another LLM_MODEL."
    return Failed(LLMAnswerError(text), billed=True, room=True)


def refused(model: str, said: str) -> Failed:
    """A model that will not."""
    reason = f": {_line(said)}" if said else ""
    text = f"{model} will not answer this question{reason}; word it differently, or ask another model."
    return Failed(LLMRefusedError(text), billed=True, asker=True)


def words_of(body: Any) -> str:
    """What a service says of an error: a short line without control characters."""
    error = body.get("error") if isinstance(body, Mapping) else None
    message = error.get("message") if isinstance(error, Mapping) else error
    metadata = error.get("metadata") if isinstance(error, Mapping) else None
    raw = metadata.get("raw") if isinstance(metadata, Mapping) else None
    return _line("; ".join(part for part in (message, raw) if isinstance(part, str) and part))


def _line(text: str) -> str:
    return ascii(" ".join(text[: 4 * _MOST_WORDS].split())[:_MOST_WORDS])[1:-1].rstrip(". ")


def _asked_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that a service asks to wait; None where it does not say, or not in seconds."""
    with contextlib.suppress(ValueError):
        seconds = float(headers.get("retry-after", ""))
        return seconds if 0 <= seconds < math.inf else None
    return None
