# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.module_utils.errors import LLMAnswerError
from ansible_collections.dockfra.core.plugins.module_utils.llm import schemas

PLAN = {
    "type": "object",
    "properties": {
        "minimum": {"type": "integer", "minimum": 1, "maximum": 5},  # a name like a keyword
        "service": {"type": "string", "enum": [f"service-{number}" for number in range(80)]},
        "steps": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"$ref": "#/$defs/step"}},
    },
    "required": ["minimum", "service", "steps"],
    "$defs": {
        "step": {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"say": {"type": "string", "pattern": "^[a-z]+$"}},
                    "required": ["say"],
                },
                {"type": "null"},
            ]
        }
    },
}
GOOD = {"minimum": 3, "service": "service-7", "steps": [{"say": "hello"}, None]}


def test_only_what_every_provider_knows_is_sent() -> None:
    sent = schemas.reduced(PLAN)
    assert sent["properties"]["minimum"] == {"type": "integer"}
    assert sent["properties"]["service"] == {"type": "string"}
    assert sent["properties"]["steps"] == {"type": "array", "items": {"$ref": "#/$defs/step"}}
    say = {
        "type": "object",
        "properties": {"say": {"type": "string"}},
        "required": ["say"],
        "additionalProperties": False,
    }
    assert sent["$defs"]["step"] == {"anyOf": [say, {"type": "null"}]}
    assert schemas.is_strict(sent)
    assert not schemas.is_strict(schemas.reduced(PLAN | {"required": ["steps"]}))


def test_what_came_is_checked_against_all_of_it() -> None:
    schemas.check(GOOD, PLAN)
    for name, value in (
        ("minimum", 6),
        ("service", "service-80"),
        ("steps", []),
        ("steps", [{"say": "A"}]),
        ("minimum", True),
    ):
        with pytest.raises(LLMAnswerError, match=f"{name}.*breaks the schema"):
            schemas.check(GOOD | {name: value}, PLAN)


@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "  {}\n",
        "```json\n{}\n```",
        "Certainly! Here it is:\n```\n{}\n```\nAnything else?",
        "The answer is {} and nothing else.",
    ],
)
def test_a_value_is_found_in_what_is_said(form: str) -> None:
    assert schemas.value_in(form.replace("{}", json.dumps(GOOD))) == GOOD


@pytest.mark.parametrize(
    "text",
    [
        "{'minimum': 3, 'service': 'service-7',}",
        '{"minimum": 3, "service": "service-7"',
        '{minimum: 3, service: "service-7"} // so',
    ],
)
def test_a_value_that_is_nearly_json_is_repaired(text: str) -> None:
    assert schemas.value_in(text) == {"minimum": 3, "service": "service-7"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cannot do that.",
        "[" * 50_000,
        "{" * 20_000,
        "{" + "x" * 40_000,
        "x" * 300_000,
        '{"a":' * 10_000,
        "[" + "0," * 60_000 + "0]",
    ],
)
def test_what_holds_none_is_refused(text: str) -> None:
    with pytest.raises(LLMAnswerError):
        schemas.check(schemas.value_in(text), PLAN)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=10),
        lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=5), part, max_size=4),
        max_leaves=20,
    )
)
def test_any_value_fits_or_is_refused(value: Any) -> None:
    with contextlib.suppress(LLMAnswerError):
        schemas.check(schemas.value_in(json.dumps(value)), PLAN)
