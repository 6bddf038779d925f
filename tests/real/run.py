"""A few questions to real models, with a real key: what no fake can prove. It costs less than a cent, and says what.

The key is ``OPENROUTER_API_KEY`` of the environment; ``OPENROUTER_BASE_URL``, ``LLM_MODEL`` and the other settings count too. Exit
status: 0 all answered as they should, 1 one did not, 2 there is no key.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.dockfra.core.plugins.module_utils.errors import LLMError, LLMSettingError, UsageError
from ansible_collections.dockfra.core.plugins.module_utils.llm.client import LLMClient
from ansible_collections.dockfra.core.plugins.module_utils.llm.model import Answer, Configuration, Question
from ansible_collections.dockfra.core.plugins.module_utils.settings import catalogue
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import models, plans

# US dollars that all of it may cost at most.
MOST = 0.1
SECRET = "Zq7xK2mWv9Lp4TnB8cRy5HgD3sFj6AeU"


def configuration(environment: Mapping[str, str]) -> Configuration:
    """How models are asked, from the environment; raises LLMSettingError, UsageError."""

    def get(name: str) -> Any:
        setting = catalogue.TABLE[name]
        if name == "LLM_DAILY_COST":
            return MOST
        return setting.clean(environment[name]) if environment.get(name) else setting.default

    return Configuration.of(get)


def words(client: LLMClient) -> Answer:
    """An answer in words comes piece by piece, and has no secret to repeat."""
    pieces: list[str] = []
    question = Question(f"Repeat this sentence, and nothing else: The lamp is green and {SECRET} is on.")
    answer = client.ask(question, pieces.append)
    assert "".join(pieces) == answer.text
    assert "green" in answer.text
    assert SECRET not in answer.text
    assert answer.redacted == 1
    return answer


def choice(client: LLMClient) -> Answer:
    """A choice fits its schema."""
    schema = {
        "type": "object",
        "properties": {
            "kind": {"type": "string", "enum": ["fault", "wish", "question"]},
            "urgency": {"type": "integer", "minimum": 1, "maximum": 5},
        },
        "required": ["kind", "urgency"],
        "additionalProperties": False,
    }
    task = "Sort this report of a user; 5 is the most urgent."
    answer = client.decide(
        Question("The shop is down and shows error 500 to everybody!", task), schema, "sort", 60
    )
    assert answer.value["kind"] == "fault"
    return answer


def plan(client: LLMClient) -> Answer:
    """A plan of tickets is one that can be made."""
    answer = client.decide(
        Question("Goal: the web page has an imprint. At most three tickets."), plans.SCHEMA, "plan", 90
    )
    assert plans.checked(answer.value)["tickets"]
    return answer


CHECKS: tuple[Callable[[LLMClient], Answer], ...] = (words, choice, plan)


def main() -> int:
    try:
        chosen = configuration(os.environ)
    except LLMSettingError:
        print(
            "OPENROUTER_API_KEY is not set, so no model is asked; set it to a key of OpenRouter",
            file=sys.stderr,
        )
        return 2
    except UsageError as error:
        print(f"{error}", file=sys.stderr)
        return 2
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        client = LLMClient(chosen, folder, [SECRET], lambda _line: None)
        for check in CHECKS:
            try:
                print(f"{check.__name__}: ok, {models.cost(check(client))}", flush=True)
            except (LLMError, AssertionError) as error:
                failed = 1
                print(f"{check.__name__}: FAILED: {error or 'it is not what it should be'}", flush=True)
        used = client.budget.used()
        print(f"All of it: {used.tokens} tokens, ${used.cost:.6f}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
