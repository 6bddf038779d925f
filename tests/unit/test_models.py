"""What lies between a command and a model: settings, secrets, budget and audit of a container, over real sockets."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import (
    AuditError,
    CommandError,
    LLMBudgetError,
    LLMSettingError,
)
from ansible_collections.dockfra.core.plugins.module_utils.llm.model import Question
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import models
from tests.fakes.openrouter import Turn
from tests.unit.asking import KEY, PASSWORD, Container

PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAAFakeFakeFakeFake\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.fixture
def container(container_of: Callable[[str], Container]) -> Container:
    return container_of("monitor")


def test_the_settings_of_the_role_are_used(container: Container) -> None:
    container.also(
        LLM_MODEL="openai/gpt-4o",
        LLM_FALLBACK_MODELS="deepseek/deepseek-chat-v3-0324",
        LLM_MAX_TOKENS="77",
        LLM_TEMPERATURE="0.9",
        LLM_SYSTEM_PROMPT="Be short.",
    )
    container.fake.script(Turn(fault="status", status=403, model="openai/gpt-4o"))
    answer = models.client(container.place).ask(Question("Hi?", "Answer."))
    assert answer.served == "deepseek/deepseek-chat-v3-0324"
    first, second = container.fake.asked
    assert (first["model"], second["model"]) == ("openai/gpt-4o", "deepseek/deepseek-chat-v3-0324")
    assert (first["max_tokens"], first["temperature"]) == (77, 0.9)
    assert first["messages"][0]["content"] == "Answer.\n\nBe short."
    assert container.fake.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_model_of_the_call_is_asked_alone(container: Container) -> None:
    container.also(LLM_FALLBACK_MODELS="a/other")
    container.fake.script(Turn(fault="status", status=403))
    with pytest.raises(LLMSettingError):
        models.client(container.place, model="openai/gpt-4o").ask(Question("Hi?"))
    assert [body["model"] for body in container.fake.asked] == ["openai/gpt-4o"]


def test_what_is_secret_in_the_container_does_not_leave(container: Container) -> None:
    webhook = "json://chat.example/aVerySecretPathOfAWebhook"
    container.also(ALERT_URLS=webhook)
    (container.home / ".ssh").mkdir()
    (container.home / ".ssh" / "id_ed25519").write_text(PRIVATE)
    line = PRIVATE.splitlines()[1]
    text = f"{KEY} {webhook} {PASSWORD} {line} aLaterSecretOfTheCall and words"
    answer = models.client(container.place, ["aLaterSecretOfTheCall"]).ask(Question(text))
    [asked] = container.fake.requests
    for secret in (KEY, "aVerySecretPathOfAWebhook", PASSWORD, line, "aLaterSecretOfTheCall"):
        assert secret not in asked.text
    assert "and words" in asked.text
    assert answer.redacted >= 4


def test_the_audit_has_digests_and_cost_and_nothing_that_was_said(container: Container) -> None:
    container.fake.script(Turn("Teal, of all colours.", cost=0.0031), Turn(fault="status", status=402))
    models.client(container.place).ask(Question("Which colour?"))
    with pytest.raises(Exception, match="no credit"):
        models.client(container.place).ask(Question("Which other?"))
    done, failed = container.audit
    assert (done["caller"], done["role"], done["verb"], done["arguments"]) == (
        "monitor",
        "monitor",
        "model",
        [done["model"]],
    )
    assert (done["result"], done["cost"], failed["result"]) == (0, 0.0031, 1)
    assert len(str(done["prompt"])) == len(str(done["answer"])) == 64
    written = (container.logs / "ssh-monitor.jsonl").read_text()
    assert not any(text in written for text in (KEY, "colour", "Teal"))


def test_nothing_is_asked_where_it_would_leave_no_trace(container: Container) -> None:
    (container.logs / "ssh-monitor.jsonl").mkdir()
    with pytest.raises(AuditError):
        models.client(container.place).ask(Question("Hi?"))
    assert container.fake.requests == []


def test_the_budget_of_a_day_holds_for_all_processes_of_the_role(container: Container) -> None:
    container.also(LLM_DAILY_COST="0.5")
    container.fake.script(Turn(cost=0.4999))
    models.client(container.place).ask(Question("Hi?"))
    with pytest.raises(LLMBudgetError, match="LLM_DAILY_COST"):
        models.client(container.place).ask(Question("Hi?"))
    assert len(container.fake.asked) == 1
    assert (container.home / models.STATE / "budget.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, LLMSettingError, "OPENROUTER_API_KEY is not set.*~/.env"),
        (
            {"OPENROUTER_API_KEY": KEY, "OPENROUTER_BASE_URL": "openrouter"},
            CommandError,
            "OPENROUTER_BASE_URL must be",
        ),
        ({"OPENROUTER_API_KEY": KEY, "LLM_DAILY_COST": "little"}, CommandError, "LLM_DAILY_COST must be"),
    ],
)
def test_settings_that_cannot_be_used_are_told(
    container: Container, settings: dict[str, str], error: type[Exception], message: str
) -> None:
    container.set(**settings)
    with pytest.raises(error, match=message):
        models.client(container.place)


def test_what_would_be_sent_is_shown_without_key_or_trace(container: Container) -> None:
    container.set()
    messages = models.client(container.place, [PASSWORD], dry=True).prompt(
        Question(f"Why {PASSWORD}?", "Answer.")
    )
    assert models.shown(messages) == "== system\nAnswer.\n\n== user\nWhy [hidden]?"
    assert container.fake.requests == []
    assert container.audit == []


def test_files_that_cannot_be_looked_through_stop_it(container: Container) -> None:
    (container.files / "large").write_text("x" * 300_000)
    with pytest.raises(LLMSettingError, match="too many to look for secrets"):
        models.client(container.place)


def test_the_line_of_the_cost(container: Container) -> None:
    container.fake.script(Turn(served="a/b-1", cost=0.00012), Turn(fault="no-cost"))
    first, second = (
        models.client(container.place).ask(Question(f"password={PASSWORD}?")) for _time in range(2)
    )
    assert models.cost(first).startswith(f"a/b-1: {first.tokens} tokens, $0.00012, ")
    assert models.cost(first).endswith("1 secret taken out of the question")
    assert "tokens, about $0" in models.cost(second)


def test_the_arguments() -> None:
    parser = argparse.ArgumentParser()
    models.add_arguments(parser)
    found = parser.parse_args(["--model", "a/b", "--show-prompt"])
    assert (found.model, found.show_prompt) == ("a/b", True)
