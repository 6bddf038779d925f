"""The modules ``llm`` and ``llm_decision`` as Ansible calls them, against a server on a real socket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit import chain
from ansible_collections.dockfra.core.tests.unit.support import run_module
from tests.fakes.openrouter import FakeOpenRouter, Turn
from tests.unit.asking import KEY, PASSWORD

SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"type": "string", "enum": ["fault", "wish"]},
        "times": {"type": "integer", "maximum": 3},
    },
    "required": ["kind", "times"],
    "additionalProperties": False,
}
FAULT = '{"kind": "fault", "times": 2}'


class Play:
    """Tasks of a play that share a folder.

    Args:
        root: where the files are.
        fake: answers.
    """

    def __init__(self, root: Path, fake: FakeOpenRouter) -> None:
        self.root = root
        self.fake = fake

    def task(self, module: str, check_mode: bool = False, key: str = KEY, **options: Any) -> dict[str, Any]:
        given = {
            "prompt": "Well?",
            "base_url": self.fake.url,
            "state_path": str(self.root / "state"),
            "_ansible_check_mode": check_mode,
            **({"schema": SCHEMA} if module == "llm_decision" else {}),
            **options,
        }
        given = {name: value for name, value in given.items() if value is not None}
        result = run_module(module, given, OPENROUTER_API_KEY=key)
        if key:
            assert key not in json.dumps({name: result[name] for name in result if name != "invocation"})
        return result


@pytest.fixture
def play(tmp_path: Path, openrouter: FakeOpenRouter) -> Play:
    return Play(tmp_path, openrouter)


def test_words(play: Play) -> None:
    play.fake.script(Turn("Very well.", served="a/b-1", provider="Some", cost=0.002))
    result = play.task("llm", task="You answer.", model="a/b", max_tokens=50, temperature=0)
    assert (result["text"], result["changed"]) == ("Very well.", False)
    model = result["model"]
    assert (model["asked"], model["served"], model["provider"]) == ("a/b", "a/b-1", "Some")
    assert (model["cost"], model["estimated"]) == (0.002, False)
    [question] = result["questions"]
    assert (question["result"], len(question["prompt"])) == (0, 64)
    [asked] = play.fake.asked
    assert (asked["model"], asked["max_tokens"], asked["temperature"]) == ("a/b", 50, 0)
    assert [message["content"] for message in asked["messages"]] == ["You answer.", "Well?"]


def test_a_value_that_fits(play: Play) -> None:
    play.fake.script(Turn('{"kind": "fault", "times": 9}', times=2), Turn(FAULT, fenced=True))
    result = play.task("llm_decision")
    assert result["value"] == {"kind": "fault", "times": 2}
    assert len(result["questions"]) == 3


def test_a_value_that_does_not_fit_fails(play: Play) -> None:
    play.fake.script(Turn('{"kind": "anything", "times": 1}', times=9))
    result = play.task("llm_decision")
    assert result["failed"] is True
    assert "breaks the schema" in result["msg"]
    assert len(result["questions"]) == 3


@pytest.mark.parametrize("module", ["llm", "llm_decision"])
def test_check_mode_asks_nothing_and_says_what_would_be_sent(play: Play, module: str) -> None:
    result = play.task(
        module,
        check_mode=True,
        key="",
        prompt=f"Is {PASSWORD} good?",
        secrets=[PASSWORD],
        audit_path=str(play.root / "a"),
    )
    assert result["changed"] is False
    assert result["messages"] == [{"role": "user", "content": "Is [hidden] good?"}]
    assert result["questions"] == []
    assert play.fake.requests == []
    assert list(play.root.iterdir()) == []


def test_the_settings_of_a_role_serve_where_no_option_is_given(play: Play) -> None:
    file = play.root / ".env"
    file.write_text(
        f"OPENROUTER_API_KEY={KEY}\nOPENROUTER_BASE_URL={play.fake.url}\nLLM_MODEL=a/settings\nLLM_MAX_TOKENS=99\n"
        "LLM_SYSTEM_PROMPT='Be short.'\n"
    )
    result = play.task("llm", key="", base_url=None, settings_file=str(file), max_tokens=77)
    assert result["model"]["asked"] == "a/settings"
    [asked] = play.fake.asked
    assert (asked["max_tokens"], asked["messages"][0]["content"]) == (77, "Be short.")


def test_tasks_share_a_budget(play: Play) -> None:
    play.fake.script(Turn(cost=0.4999))
    assert play.task("llm", daily_cost=0.5)["model"]["cost"] == 0.4999
    result = play.task("llm", daily_cost=0.5)
    assert result["failed"] is True
    assert "LLM_DAILY_COST" in result["msg"]
    assert len(play.fake.asked) == 1


def test_no_secret_leaves_and_the_audit_has_digests(play: Play) -> None:
    secrets = play.root / "secrets"
    secrets.mkdir()
    (secrets / "password").write_text(PASSWORD)
    log = play.root / "audit.jsonl"
    result = play.task(
        "llm",
        prompt=f"Is {PASSWORD} or aWordOfTheTask good?",
        secrets=["aWordOfTheTask"],
        secret_files=[str(secrets)],
        audit_path=str(log),
    )
    assert result["model"]["redacted"] == 2
    assert PASSWORD not in play.fake.requests[0].text
    assert "aWordOfTheTask" not in play.fake.requests[0].text
    assert not chain.verify(log).problems
    assert "good" not in log.read_text()
    assert json.loads(log.read_text())["verb"] == "model"


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        ("llm", {"key": ""}, "No key is given, so no model can be asked; set api_key or OPENROUTER_API_KEY."),
        ("llm", {"model": "x"}, "An option cannot be used: LLM_MODEL must be a model"),
        ("llm", {"base_url": "ftp://x"}, "An option cannot be used: OPENROUTER_BASE_URL must be"),
        pytest.param(
            "llm",
            {"temperature": 3},
            "An option cannot be used: LLM_TEMPERATURE must be",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "llm",
            {"fallback_models": ["a/b", "no"]},
            "An option cannot be used: LLM_FALLBACK_MODELS must be",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "llm",
            {"daily_cost": -1},
            "An option cannot be used: LLM_DAILY_COST must be",
            marks=pytest.mark.slow,
        ),
        (
            "llm",
            {"audit_path": "/nonexistent/a.jsonl"},
            "The audit log /nonexistent/a.jsonl cannot be written",
        ),
        ("llm", {"prompt": "x" * 1_100_000}, "The text has 1100000 characters"),
        ("llm", {"timeout": 0}, "openai/gpt-4o-mini did not answer"),
        ("llm_decision", {"name": "a b"}, "'a b' is no name"),
        ("llm_decision", {"schema": {"type": "objekt"}}, "The schema is none"),
        ("llm_decision", {"schema": {"type": "array"}}, "The schema has to be that of an object"),
        ("llm_decision", {"schema": {**SCHEMA, "title": KEY}}, "The schema of decision holds a secret"),
    ],
)
def test_wrong_use_is_one_line_and_asks_nothing(
    play: Play, module: str, options: dict[str, Any], message: str
) -> None:
    result = play.task(module, **options)
    assert result["failed"] is True
    assert result["msg"].startswith(message)
    assert "\n" not in result["msg"]
    assert play.fake.requests == []


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        pytest.param(Turn(fault="status", status=401), "refuses the key", marks=pytest.mark.slow),
        (Turn(fault="status", status=402), "no credit"),
        pytest.param(Turn(fault="html", times=9), "a page came instead", marks=pytest.mark.slow),
        (Turn(fault="silence", hold=30, times=9), "did not answer"),
    ],
)
def test_a_failure_of_the_service_is_one_line(play: Play, turn: Turn, message: str) -> None:
    play.fake.script(Turn(**vars(turn)))
    # Who is silent is waited for; the others answer at once, however busy the machine is.
    result = play.task("llm", timeout=3 if turn.fault == "silence" else 60)
    assert result["failed"] is True
    assert message in result["msg"]
    assert "\n" not in result["msg"]
