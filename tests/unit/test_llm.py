"""Questions to models, over real sockets: every way in which an answer fails, what it may cost, and what leaves."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit.log import AuditLog
from ansible_collections.dockfra.core.plugins.module_utils.errors import (
    LLMAnswerError,
    LLMBrokenOffError,
    LLMBudgetError,
    LLMCreditError,
    LLMError,
    LLMRefusedError,
    LLMRequestError,
    LLMSettingError,
    LLMUnavailableError,
)
from ansible_collections.dockfra.core.plugins.module_utils.llm.budget import Use
from ansible_collections.dockfra.core.plugins.module_utils.llm.client import LLMClient, _use
from ansible_collections.dockfra.core.plugins.module_utils.llm.model import Answer, Configuration, Question
from ansible_collections.dockfra.core.plugins.module_utils.llm.prices import OFFERED, tokens_of
from ansible_collections.dockfra.core.plugins.module_utils.llm.transport import (
    Reply,
    Service,
    _cost,
    _said,
)
from ansible_collections.dockfra.core.plugins.module_utils.settings.catalogue import TABLE
from tests.fakes.openrouter import FakeOpenRouter, Turn
from tests.fakes.openrouter.server import MODELS

KEY = "sk-or-v1-5f1c0d9a7b3e42688c1d"
CANARY = "Zq7xK2mWv9Lp4TnB8cRy5HgD3sFj6AeU"
ACT = {
    "type": "object",
    "properties": {
        "action": {"type": "string", "enum": ["restart", "wait"]},
        "times": {"type": "integer", "minimum": 1, "maximum": 5},
    },
    "required": ["action", "times"],
    "additionalProperties": False,
}
RESTART = '{"action": "restart", "times": 2}'
HI = Question("Hi?")
PLENTY = Use(10**7, 100.0)
Make = Callable[..., LLMClient]


@pytest.fixture
def fake() -> Iterator[FakeOpenRouter]:
    with FakeOpenRouter(KEY) as running:
        yield running
        assert running.problems == []


@pytest.fixture
def records() -> list[Any]:
    return []


@pytest.fixture
def make(fake: FakeOpenRouter, tmp_path: Path, records: list[Any]) -> Make:
    """Makes clients as the processes of one role do: anew each, with the same files."""

    def made(*models: str, most: Use = PLENTY, url: str = fake.url, key: str = KEY, **rest: Any) -> LLMClient:
        configuration = Configuration(Service(url, key), models or ("a/b",), most, **rest)
        return LLMClient(configuration, tmp_path / "llm", [CANARY], records.append)

    return made


def test_words_come_with_who_said_them_and_what_they_cost(
    fake: FakeOpenRouter, make: Make, records: list[Any]
) -> None:
    fake.script(Turn("Hello there.", served="a/b-2026", provider="Some", cost=0.0031))
    answer = make(system="Be short.").ask(Question("Hi?", "You answer."))
    assert (answer.text, answer.served, answer.provider) == ("Hello there.", "a/b-2026", "Some")
    assert (answer.cost, answer.estimated, answer.tokens > 3) == (0.0031, False, True)
    assert fake.asked == [
        {
            "model": "a/b",
            "messages": [
                {"role": "system", "content": "You answer.\n\nBe short."},
                {"role": "user", "content": "Hi?"},
            ],
            "max_tokens": 2048,
            "temperature": 0.2,
        }
    ]
    [line] = records
    assert line["answer"] == hashlib.sha256(b"Hello there.").hexdigest()
    assert (line["result"], line["served"], line["cost"]) == (0, "a/b-2026", 0.0031)


def test_a_stream_is_given_on_as_it_comes(fake: FakeOpenRouter, make: Make) -> None:
    fake.script(Turn("One two three.", pause=0.15, cost=0.002), Turn("One two three.", pause=0.15))
    make().ask(HI, lambda _words: None)  # the SDK is imported now
    heard: list[tuple[float, str]] = []
    begun = time.monotonic()
    answer = make().ask(HI, lambda words: heard.append((time.monotonic() - begun, words)))
    assert [words for _when, words in heard] == ["One ", "two ", "three."]
    assert heard[0][0] < answer.seconds - 0.3
    assert (answer.text, answer.cost) == ("One two three.", 0.0001)


def test_a_server_that_does_not_know_streams_is_heard_too(fake: FakeOpenRouter, make: Make) -> None:
    fake.script(Turn(fault="truncated"), Turn(fault="no-choices"), Turn("Fine."))
    heard: list[str] = []
    with pytest.raises(LLMAnswerError):
        make().ask(HI, heard.append)
    assert make().ask(HI, heard.append).text == "Fine."
    assert heard == ["Fine."]


# What fails: the turn, the kind of error, and words that say what to do. Each costs within the deadline, whatever it is.
TIMED = 3.0
FAILURES: dict[str, tuple[Turn, type[LLMError], str]] = {
    "error at 200": (Turn(fault="error-body"), LLMUnavailableError, "says 502.*LLM_FALLBACK_MODELS"),
    "error at 200 that means credit": (
        Turn(fault="error-body", status=402),
        LLMCreditError,
        "no credit.*add some",
    ),
    "finish_reason error": (Turn(fault="finish-error"), LLMAnswerError, "ended with error.*ask again"),
    "page at 200": (Turn(fault="html"), LLMAnswerError, "a page came.*OPENROUTER_BASE_URL"),
    "page at 502": (Turn(fault="html-error"), LLMUnavailableError, "says 502"),
    "truncated JSON": (Turn(fault="truncated"), LLMAnswerError, "breaks off"),
    "other types": (Turn(fault="not-json-types"), LLMAnswerError, "no choices"),
    "no choices": (Turn(fault="no-choices"), LLMAnswerError, "no choices"),
    "empty": (Turn(fault="nothing"), LLMAnswerError, "empty|no JSON"),
    "all reasoning": (
        Turn(fault="empty", needs=10**6),
        LLMAnswerError,
        "used all of its 8192 tokens.*LLM_MAX_TOKENS",
    ),
    "filtered": (Turn(fault="filter"), LLMRefusedError, "word it differently"),
    "refused": (Turn(fault="refusal"), LLMRefusedError, "can't help with that"),
    "key refused": (Turn(fault="status", status=401), LLMSettingError, "refuses the key.*OPENROUTER_API_KEY"),
    "no credit": (Turn(fault="status", status=402), LLMCreditError, "no credit"),
    "moderated": (
        Turn(fault="status", status=403, message="flagged by moderation"),
        LLMRefusedError,
        "flagged",
    ),
    "not allowed": (Turn(fault="status", status=403), LLMSettingError, "allow it there"),
    "too long": (
        Turn(fault="status", status=400, message="maximum context length is 8"),
        LLMRequestError,
        "send less",
    ),
    "too large": (Turn(fault="status", status=413), LLMRequestError, "send less"),
    "bad request": (Turn(fault="status", status=400), LLMRequestError, "another LLM_MODEL"),
    "no such model": (Turn(fault="unknown-model"), LLMRequestError, "check LLM_MODEL"),
    "rate": (Turn(fault="status", status=429, retry_after=0), LLMUnavailableError, "limits the rate"),
    "rate for long": (
        Turn(fault="status", status=429, retry_after=500),
        LLMUnavailableError,
        "limits the rate",
    ),
    "overloaded": (Turn(fault="status", status=529), LLMUnavailableError, "says 529"),
    "silence": (Turn(fault="silence"), LLMUnavailableError, "did not answer in 3 s"),
    "a byte now and then": (Turn(fault="drip"), LLMUnavailableError, "did not answer in 3 s"),
    "cut": (Turn(fault="cut"), LLMUnavailableError, "ended the connection"),
    "64 MiB": (Turn(fault="huge"), LLMAnswerError, "more than 1179648 bytes"),
    "64 MiB packed": (Turn(fault="bomb"), LLMAnswerError, "packed"),
    "redirected": (Turn(fault="redirect"), LLMSettingError, "answers 307.*OPENROUTER_BASE_URL"),
}


@pytest.mark.parametrize("how", ["words", "decision"])
@pytest.mark.parametrize("failure", FAILURES)
def test_each_failure_is_one_clear_error_in_time(
    fake: FakeOpenRouter, make: Make, failure: str, how: str
) -> None:
    turn, kind, words = FAILURES[failure]
    fake.script(Turn(**(vars(turn) | {"times": 9})))
    seconds = TIMED if "in 3 s" in words else 3 * TIMED
    client, begun = make(), time.monotonic()
    with pytest.raises(kind, match=words) as caught:
        client.ask(HI, seconds=seconds) if how == "words" else client.decide(HI, ACT, "act", seconds=seconds)
    assert time.monotonic() - begun < seconds + 1.5
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


MID = {
    "mid-stream": "says 502",
    "cut-stream": "ended the connection",
    "stalled": "did not answer in 3 s",
    "broken-event": "cannot be read",
    "endless": "goes on after",
    "length": "cut after 100 tokens.*LLM_MAX_TOKENS",
    "finish-error": "may not be whole",
}


@pytest.mark.parametrize("fault", MID)
def test_a_stream_that_breaks_off_says_so_and_is_not_begun_anew(
    fake: FakeOpenRouter, make: Make, fault: str
) -> None:
    fake.script(Turn("One two three four.", fault=fault, times=9))
    heard: list[str] = []
    with pytest.raises(LLMBrokenOffError, match=MID[fault]) as caught:
        make("a/b", "c/d", max_tokens=100).ask(HI, heard.append, seconds=TIMED)
    assert caught.value.partial == "".join(heard)
    assert heard[:2] == ["One ", "two "] or heard[0] == "word "
    assert len(fake.asked) == 1


@pytest.mark.parametrize(
    "fault", ["silence", "status", "error-body", "html", "truncated", "unknown-model", "empty"]
)
@pytest.mark.parametrize("streamed", [True, False])
def test_another_model_answers_instead_under_its_own_name(
    fake: FakeOpenRouter, make: Make, fault: str, streamed: bool
) -> None:
    fake.script(Turn(fault=fault, model="a/b", needs=10**6, times=9), Turn("Here.", model="c/d"))
    # Only silence uses its part of the time up; a machine that is busy must not end the others.
    seconds = 8.0 if fault == "silence" else 60.0
    answer = make("a/b", "c/d").ask(HI, (lambda _words: None) if streamed else None, seconds=seconds)
    assert (answer.text, answer.asked, answer.served) == ("Here.", "c/d", "c/d")
    assert fake.asked[-1]["model"] == "c/d"


def test_what_no_other_model_would_mend_asks_no_other(fake: FakeOpenRouter, make: Make) -> None:
    fake.script(Turn(fault="status", status=402))
    with pytest.raises(LLMCreditError):
        make("a/b", "c/d").ask(HI)
    assert len(fake.asked) == 1


def test_a_failure_of_the_moment_is_asked_once_more(fake: FakeOpenRouter, make: Make) -> None:
    fake.script(Turn(fault="status", status=503), Turn("Now."))
    assert make().ask(HI).text == "Now."
    fake.script(Turn(fault="status", status=429, retry_after=1), Turn("Later."))
    answer = make().ask(HI)
    assert (answer.text, answer.seconds >= 1.0) == ("Later.", True)


def test_nobody_listens_there(make: Make) -> None:
    with pytest.raises(LLMUnavailableError, match=r"127.0.0.1:9 cannot be reached.*OPENROUTER_BASE_URL"):
        make(url="http://127.0.0.1:9/api/v1").ask(HI, seconds=3.0)


def test_three_failures_leave_a_model_alone_and_recovery_brings_it_back(
    fake: FakeOpenRouter, tmp_path: Path, records: list[Any]
) -> None:
    now = [1_800_000_000.0]
    configuration = Configuration(Service(fake.url, KEY), ("a/b", "c/d"), PLENTY)

    def ask() -> str:
        client = LLMClient(configuration, tmp_path, [], records.append, clock=lambda: now[0])
        return client.decide(HI, ACT, "act").asked

    fake.default = Turn(RESTART)
    fake.script(Turn(fault="status", status=503, model="a/b", times=6))
    assert [ask() for _time in range(4)] == ["c/d"] * 4
    assert [body["model"] for body in fake.asked].count("a/b") == 6  # three times, each with one more try
    now[0] += 60
    assert ask() == "a/b"
    assert ask() == "a/b"


def test_a_question_that_is_to_blame_closes_no_model(fake: FakeOpenRouter, make: Make) -> None:
    fake.script(Turn(fault="status", status=413, times=5))
    for _time in range(5):
        with pytest.raises(LLMRequestError):
            make().ask(HI)
    assert make().ask(HI).text == "Yes."


def test_a_model_that_needs_more_room_is_given_it_once(fake: FakeOpenRouter, make: Make) -> None:
    fake.script(Turn(RESTART, fault="empty", needs=1000, times=2))
    answer = make(max_tokens=200).decide(HI, ACT, "act")
    assert answer.value == {"action": "restart", "times": 2}
    assert [body["max_tokens"] for body in fake.asked] == [200, 8192]
    assert answer.tokens > 1200  # the first one is paid for as well


# -- values that fit a schema --


def asked_forms(fake: FakeOpenRouter) -> list[str]:
    return [
        "json_schema" if "response_format" in body else "tool" if "tools" in body else "prompt"
        for body in fake.asked
    ]


@pytest.mark.parametrize(
    ("turn", "forms"),
    [
        (Turn(RESTART), ["json_schema"]),
        (Turn(RESTART, fault="no-bounds"), ["json_schema"]),
        (Turn(RESTART, fault="no-schema"), ["json_schema", "tool"]),
        (Turn(RESTART, fault="no-tools"), ["json_schema", "tool", "prompt"]),
        (Turn(RESTART, fenced=True), ["json_schema"]),
        (Turn("{'action': 'restart', 'times': 2,}", fault="no-tools"), ["json_schema", "tool", "prompt"]),
    ],
)
def test_a_value_is_asked_for_in_the_form_that_a_model_knows(
    fake: FakeOpenRouter, make: Make, turn: Turn, forms: list[str]
) -> None:
    fake.script(Turn(**(vars(turn) | {"times": 9})))
    assert make().decide(HI, ACT, "act").value == {"action": "restart", "times": 2}
    assert asked_forms(fake) == forms
    first = fake.asked[0]
    assert first["response_format"]["json_schema"]["schema"]["properties"]["times"] == {"type": "integer"}
    assert first["provider"] == {"require_parameters": True}
    if forms[-1] == "prompt":
        assert '"maximum": 5' in fake.asked[-1]["messages"][0]["content"]


@pytest.mark.parametrize(
    "said",
    [
        "I would restart it.",
        '{"action": "destroy", "times": 2}',
        '{"action": "restart", "times": 6}',
        '{"action": "restart"}',
        "[]",
        RESTART.replace("}", ', "also": 1}'),
    ],
)
def test_what_breaks_the_schema_is_never_returned(fake: FakeOpenRouter, make: Make, said: str) -> None:
    fake.script(Turn(said, times=3), Turn(RESTART))
    with pytest.raises(LLMAnswerError, match=r"breaks the schema|no JSON object"):
        make().decide(HI, ACT, "act")
    assert asked_forms(fake) == ["json_schema", "tool", "prompt"]


def test_what_only_openrouter_knows_is_sent_to_no_other(tmp_path: Path) -> None:
    assert Service("https://openrouter.ai/api/v1", "k").is_openrouter
    assert not Service("http://localhost:11434/v1", "k").is_openrouter
    assert not Service("https://api.openai.com/v1", "k").is_openrouter


# -- what it may cost --


def test_a_spent_budget_asks_nobody(fake: FakeOpenRouter, make: Make) -> None:
    fake.script(Turn(cost=0.9, times=9))
    make(most=Use(10**6, 1.0)).ask(HI)
    with pytest.raises(LLMBudgetError, match="LLM_DAILY_COST"):
        make(most=Use(10**6, 0.91)).ask(HI)
    with pytest.raises(LLMBudgetError, match="LLM_DAILY_TOKENS"):
        make(most=Use(1000, 100.0)).decide(HI, ACT, "act")
    assert len(fake.asked) == 1


@pytest.mark.parametrize("fault", ["no-usage", "no-cost", "nonsense-usage"])
@pytest.mark.parametrize("streamed", [True, False])
def test_an_unknown_cost_counts_as_an_estimate_and_never_as_nothing(
    fake: FakeOpenRouter, make: Make, records: list[Any], fault: str, streamed: bool
) -> None:
    fake.script(Turn("Yes. " * 100, fault=fault))
    client = make()
    answer = client.ask(HI, (lambda _words: None) if streamed else None)
    assert answer.estimated
    assert answer.tokens > 100
    assert 0.0075 < answer.cost < 0.05
    assert client.budget.used() == Use(answer.tokens, answer.cost)
    assert (records[-1]["estimated"], records[-1]["cost"]) == (True, answer.cost)


@pytest.mark.parametrize("cost", [10**400, float("nan"), float("inf"), -1, True, "1", None])
def test_a_cost_that_nothing_has_is_an_unknown_one(cost: object) -> None:
    assert _cost(cost) is None


def test_what_a_failure_may_have_cost_counts_and_what_it_cannot_does_not(
    fake: FakeOpenRouter, make: Make
) -> None:
    client = make(max_tokens=400)
    fake.script(Turn(fault="silence"))
    with pytest.raises(LLMUnavailableError):
        client.ask(HI, seconds=1.0)
    used = client.budget.used()
    assert 100 <= used.tokens < 200
    assert used.cost > 0
    fake.script(Turn(fault="status", status=503, times=2))
    with pytest.raises(LLMUnavailableError):
        client.ask(HI, seconds=3.0)
    assert client.budget.used() == used


def test_who_says_that_words_have_no_tokens_does_not_count() -> None:
    reply = Reply("Yes. " * 100, "stop", "a/b", prompt=0, completion=0, cost=0.25)
    assert _use("a/b", 70, reply) == (Use(70 + tokens_of(reply.text), 0.25), False)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "nonsense://127.0.0.1:1", "://"])
def test_a_proxy_that_cannot_be_is_told(make: Make, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    client = make()
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "")
    with pytest.raises(LLMSettingError, match="check the proxies that the environment names"):
        client.ask(HI)
    assert client.budget.used() == Use()


@pytest.mark.parametrize(
    ("details", "cost"),
    [
        ({"upstream_inference_cost": 0.75}, 0.76),
        ({"upstream_inference_cost": 0}, 0.01),
        ({"upstream_inference_cost": None}, None),
        ({"upstream_inference_cost": "much"}, None),
        ({}, None),
        (None, None),
        ([7], None),
    ],
)
def test_what_a_providers_own_key_pays_counts(details: object, cost: float | None) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 1000, "cost": 0.01, "cost_details": details}
    answer = {"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}]}
    own = _said({**answer, "usage": {**usage, "is_byok": True}}, "a/b", "h")
    assert own.cost == (None if cost is None else pytest.approx(cost))
    use, estimated = _use("a/b", 70, own)
    assert estimated == (cost is None)
    assert use.cost == pytest.approx(0.09 if cost is None else cost)
    assert _said({**answer, "usage": {**usage, "is_byok": False}}, "a/b", "h").cost == 0.01


def test_a_dear_model_of_unknown_price_does_not_exceed_the_day(fake: FakeOpenRouter, make: Make) -> None:
    client = make("some/dearest", max_tokens=10_000, most=Use(10**6, 0.7))
    with pytest.raises(LLMBudgetError, match="LLM_DAILY_COST"):
        client.ask(HI)
    assert fake.asked == []


def test_a_free_model_is_free(fake: FakeOpenRouter, make: Make) -> None:
    fake.script(Turn(cost=0))
    answer = make("meta-llama/llama-3.1-70b-instruct:free").ask(HI)
    assert (answer.cost, answer.estimated) == (0.0, False)


# -- what leaves --


def test_no_secret_leaves_and_none_comes_into_errors_or_the_audit(
    fake: FakeOpenRouter, make: Make, records: list[Any], tmp_path: Path
) -> None:
    text = f"log: {CANARY} {CANARY[:16]}\n> {CANARY[16:]} key={KEY} -- {CANARY.encode().hex()}"
    fake.script(Turn(fault="status", status=401, message=f"Incorrect API key provided: {KEY} ({CANARY})"))
    with pytest.raises(LLMSettingError) as caught:
        make(system=CANARY).ask(Question(text, task=f"Use {KEY}."))
    sent = fake.requests[-1].text
    shown = json.dumps(make().prompt(Question(text)))
    log = AuditLog(tmp_path / "audit.jsonl")
    for line in records:
        log.append(line)
    for place in (
        sent,
        shown,
        str(caught.value),
        (tmp_path / "audit.jsonl").read_text(),
        repr(make()),
        repr(make()._configuration),
    ):
        assert CANARY not in place
        assert KEY not in place
        assert CANARY.encode().hex() not in place
    assert fake.requests[-1].headers["authorization"] == f"Bearer {KEY}"
    assert make().ask(Question(text)).redacted >= 3


def test_nothing_of_the_environment_is_sent(
    fake: FakeOpenRouter, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK takes an organization, and headers in the place of its own, from there."""
    for name in ("ORG_ID", "PROJECT_ID", "API_KEY", "ADMIN_KEY", "BASE_URL"):
        monkeypatch.setenv(f"OPENAI_{name}", f"http://foreign.example/{name}")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer foreign\nX-Other: foreign")
    for stream in (None, lambda _words: None):
        make().ask(HI, stream)
        headers = fake.requests[-1].headers
        assert headers["authorization"] == f"Bearer {KEY}"
        assert "foreign" not in json.dumps(dict(headers))


def test_a_schema_with_a_secret_is_not_sent(fake: FakeOpenRouter, make: Make) -> None:
    with pytest.raises(LLMRequestError, match="take it out"):
        make().decide(HI, ACT | {"description": CANARY}, "act")
    assert fake.requests == []


# -- settings and start --


def test_the_settings_become_a_configuration() -> None:
    values: dict[str, Any] = {name: setting.default for name, setting in TABLE.items()}
    with pytest.raises(LLMSettingError, match="OPENROUTER_API_KEY is not set"):
        Configuration.of(values.__getitem__)
    values |= {"OPENROUTER_API_KEY": KEY, "LLM_FALLBACK_MODELS": "openai/gpt-4o,openai/gpt-4o-mini"}
    configuration = Configuration.of(values.__getitem__)
    assert configuration.models == ("openai/gpt-4o-mini", "openai/gpt-4o")
    assert configuration.most == Use(1_000_000, 5.0)
    assert KEY not in repr(configuration)
    assert set(OFFERED) == set(MODELS)


def test_nothing_heavy_is_imported_before_something_is_asked() -> None:
    code = (
        "import sys; sys.path.insert(0, 'collections')\n"
        "import ansible_collections.dockfra.core.plugins.module_utils.llm.client\n"
        "print([name for name in ('openai', 'httpx2', 'jsonschema', 'json_repair', 'stamina', 'ansible') if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_library_that_is_missing_is_named() -> None:
    code = (
        "import sys; sys.path.insert(0, 'collections')\n"
        "from ansible_collections.dockfra.core.plugins.module_utils.llm import client, model, transport\n"
        "from ansible_collections.dockfra.core.plugins.module_utils.llm.budget import Use\n"
        "how = model.Configuration(transport.Service('http://127.0.0.1:9', 'key'), ('a/b',), Use(9, 9.0))\n"
        "try: client.LLMClient(how, '/nonexistent', [], print).ask(model.Question('Hi?'))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.startswith("LLMSettingError The Python package openai is missing here"), done.stderr


def test_an_answer_says_what_it_took_as_plain_data(make: Make) -> None:
    answer: Answer = make().ask(HI)
    assert json.loads(json.dumps(answer.to_dict()))["served"] == "a/b"
