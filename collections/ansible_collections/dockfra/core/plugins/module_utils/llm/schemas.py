# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Answers that have to fit a schema: what of the schema goes over the wire, the value in an answer, and what it breaks.

Providers support different parts of JSON Schema, and refuse the rest or ignore it. They get the least that shows the form; what
came is checked here against all of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..answers.data import decoded
from ..errors import LLMAnswerError, TooMuchError
from ..text import shown

# Keywords that every provider knows. What is not here is only checked afterwards.
_SENT = ("type", "description", "enum", "const", "required", "$ref")
_SCHEMAS = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "oneOf", "allOf")

# Larger enums are refused by some.
_MOST_CHOICES = 50

# Characters of an answer that are looked through for a value, and values it may have.
_MAX_TEXT = 256 * 1024
_MAX_VALUES = 50_000
# Repairing takes longer the more there is to repair.
_MAX_REPAIR, _MAX_NESTING = 32 * 1024, 1000
_BLOCK = re.compile(r"```[a-zA-Z]{0,10}\s*\n(.*?)\n?\s*```", re.DOTALL)


def reduced(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema with what all providers know, for objects that have nothing beside what is listed."""
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _SCHEMAS:
            found[key] = {name: reduced(part) for name, part in value.items()}
        elif key in _LISTS:
            # One of several is the same as any of them, as far as a provider is concerned.
            found["anyOf" if key == "oneOf" else key] = [reduced(part) for part in value]
        elif key == "items" and isinstance(value, Mapping):
            found[key] = reduced(value)
        elif key in _SENT:
            found[key] = value
    if len(found.get("enum", ())) > _MOST_CHOICES:
        del found["enum"]
        found.setdefault("type", "string")
    if "properties" in found:
        found["additionalProperties"] = False
    return found


def is_strict(schema: Mapping[str, Any]) -> bool:
    """Whether a reduced schema is one that OpenAI's strict mode takes: every property is required."""
    parts = [part for key in _SCHEMAS for part in schema.get(key, {}).values()]
    parts += [part for key in _LISTS for part in schema.get(key, ())]
    parts += [schema["items"]] if "items" in schema else []
    whole = set(schema.get("properties", {})) == set(schema.get("required", ())) and "allOf" not in schema
    return whole and all(map(is_strict, parts))


def value_in(text: str) -> Any:
    """Return the value that an answer holds: all of it, in a block of Markdown, among words, or nearly JSON.

    Raises:
        LLMAnswerError: there is none.
    """
    if len(text) > _MAX_TEXT:
        raise LLMAnswerError(f"the answer has more than {_MAX_TEXT} characters")
    candidates = [text.strip()]
    if block := _BLOCK.search(text):
        candidates.append(block[1])
    begin, end = text.find("{"), text.rfind("}")
    if 0 <= begin < end:
        candidates.append(text[begin : end + 1])
    try:
        for candidate in candidates:
            try:
                return decoded(candidate.encode(errors="replace"), _MAX_VALUES)
            except ValueError:
                continue
    except TooMuchError as error:
        raise LLMAnswerError(f"the answer is too long: {error}") from error
    return _repaired(candidates[-1])


def _repaired(text: str) -> Any:
    if "{" not in text or len(text) > _MAX_REPAIR or text.count("{") + text.count("[") > _MAX_NESTING:
        raise LLMAnswerError("the answer holds no JSON object")
    import json_repair

    try:
        value = json_repair.loads(text)
    except (ValueError, RecursionError) as error:
        raise LLMAnswerError("the answer is no JSON, nor nearly so") from error
    if not isinstance(value, dict):
        raise LLMAnswerError("the answer holds no JSON object")
    return value


def check(value: Any, schema: Mapping[str, Any]) -> None:
    """Raise LLMAnswerError where a value breaks a schema; the message says what and where."""
    import jsonschema
    from jsonschema import exceptions

    validator = jsonschema.Draft202012Validator(schema)
    try:
        problem = exceptions.best_match(validator.iter_errors(value))
    except RecursionError as error:
        raise LLMAnswerError("the answer is nested too deeply") from error
    if problem is not None:
        place = ".".join(map(str, problem.absolute_path)) or "the answer"
        raise LLMAnswerError(f"{shown(place[:60])} breaks the schema ({problem.validator})")
