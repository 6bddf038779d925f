# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""One question to one model over HTTP; the only file that imports the openai SDK, and only when something is asked.

The SDK signs, sends and takes streams apart. What it would do on its own is off: it does not ask again, does not follow to other
addresses, and makes no objects of what it did not check. How long an answer may take and how large it may become is bounded at the
connection (see `connections`), below all that understands HTTP.
"""

from __future__ import annotations

import contextlib
import json
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..answers.data import decoded
from ..answers.http import Bounds
from ..errors import LateError, LLMBrokenOffError, LLMSettingError, TooMuchError
from . import connections, failures
from .connections import Limit
from .failures import Failed

if TYPE_CHECKING:
    import openai

_MAX_VALUES = 200_000
# Bytes of an answer: what there is besides its tokens, and for each token, alone in an event of a stream or with others.
_BESIDE, _EVENT, _TOKEN = 1024 * 1024, 1024, 64
# A longest token in characters; more of them than were asked for is no answer.
_LONGEST_TOKEN = 32
_MOST_TOKENS = 1_000_000_000
_MOST_COST = 10_000.0
_ABOUT = {"HTTP-Referer": "https://github.com/dockfra/dockfra", "X-OpenRouter-Title": "Dockfra"}


@dataclass(frozen=True)
class Service:
    """Where models answer.

    Attributes:
        url: address of the API.
        key: the key; in no message.
    """

    url: str
    key: str

    def __repr__(self) -> str:
        return f"Service({self.url!r})"

    @property
    def host(self) -> str:
        """The server, for messages."""
        return urllib.parse.urlsplit(self.url).netloc

    @property
    def is_openrouter(self) -> bool:
        """Whether it takes what only OpenRouter knows: by its name, or by the path that no other has."""
        parts = urllib.parse.urlsplit(self.url)
        return (parts.hostname or "").endswith("openrouter.ai") or parts.path.rstrip("/") == "/api/v1"


@dataclass(frozen=True)
class Reply:
    """What a model said.

    Attributes:
        text: its words, or the arguments of the tool that it called.
        finish: why it ended.
        served: the model that answered.
        provider: who runs it; empty where nobody says.
        prompt, completion, reasoning: tokens, None where they are not known.
        cost: US dollars, None where it is not known.
    """

    text: str
    finish: str
    served: str
    provider: str = ""
    prompt: int | None = None
    completion: int | None = None
    reasoning: int | None = None
    cost: float | None = None


def send(
    service: Service,
    body: Mapping[str, Any],
    seconds: float,
    patience: float | None = None,
    on_text: Callable[[str], None] | None = None,
) -> Reply:
    """Ask once and return what came, whether it is of use or not.

    Args:
        service: where.
        body: the question, as the protocol has it.
        seconds: for all of it.
        patience: seconds after which its first word has to be there; by default all of them.
        on_text: gets the words as they come; with it the answer is streamed.

    Raises:
        Failed: there was no answer.
        LLMBrokenOffError: it ended early, and some of it was given to ``on_text``.
    """
    model, tokens = str(body["model"]), int(body["max_tokens"])
    most = _BESIDE + tokens * (_EVENT if on_text else _TOKEN)
    begun = time.monotonic()
    limit = Limit(Bounds(service.host, most, seconds if patience is None else patience), begun)
    try:
        client = _client(service, limit)
    except (ImportError, OSError, ValueError) as error:
        text = f"No connection to {service.host} can be prepared: {error}; check the proxies that the environment names."
        raise Failed(LLMSettingError(text), everywhere=True) from error
    try:
        with client:
            if on_text is None:
                return _whole(client, body, service)
            return _streamed(client, body, service, _Listener(limit, begun + seconds, on_text))
    except (Failed, LLMBrokenOffError, BrokenPipeError):  # the last: who reads the words has gone
        raise
    except Exception as error:
        raise _failed(error, model, service, time.monotonic() - begun) from error


def _whole(client: openai.OpenAI, body: Mapping[str, Any], service: Service) -> Reply:
    create: Any = client.chat.completions.with_raw_response.create
    return _reply(create(**body).http_response.content, body["model"], service.host)


class _Listener:
    """Gives words to whoever waits for them; with the first, there is time until the end.

    Attributes:
        said: what was given.
    """

    def __init__(self, limit: Limit, end: float, on_text: Callable[[str], None]) -> None:
        self._limit = limit
        self._end = end
        self._on_text = on_text
        self.said: list[str] = []

    def hear(self, words: str) -> None:
        if words:
            self._limit.deadline = self._end
            self.said.append(words)
            self._on_text(words)


def _streamed(client: openai.OpenAI, body: Mapping[str, Any], service: Service, listener: _Listener) -> Reply:
    model, host = str(body["model"]), service.host
    create: Any = client.chat.completions.create
    begun = time.monotonic()
    # What is said of the answer stands in some of its parts, and its cost in the last.
    last: dict[str, Any] = {}
    try:
        with create(**body, stream=True, stream_options={"include_usage": True}) as stream:
            if "text/event-stream" not in stream.response.headers.get("content-type", ""):
                reply = _reply(stream.response.read(), model, host)
                listener.hear(reply.text)
                return reply
            _listen(stream, last, body, host, listener)
    except BrokenPipeError:
        raise  # who reads the words has gone
    except Exception as error:
        if not listener.said:
            raise
        failed = _failed(error, model, service, time.monotonic() - begun)
        text = f"The answer broke off, so it is not whole: {failed.error}"
        raise LLMBrokenOffError(text, "".join(listener.said)) from error
    message = {"content": "".join(listener.said), "refusal": last.get("refusal")}
    return _said(last | {"choices": [{"finish_reason": last.get("finish"), "message": message}]}, model, host)


def _listen(
    stream: Any, last: dict[str, Any], body: Mapping[str, Any], host: str, listener: _Listener
) -> None:
    model, most, given = str(body["model"]), int(body["max_tokens"]) * _LONGEST_TOKEN, 0
    for chunk in stream:
        data = chunk.model_dump(warnings=False)
        if data.get("error"):
            raise failures.of_body(data, model, host)
        words = _merge(last, data)
        given += len(words)
        if given > most:
            raise failures.useless(f"it goes on after {most} characters", model)
        listener.hear(words)
    if not last.get("finish"):
        raise failures.lost("ended the answer before its end", model, host, billed=True)


def _merge(last: dict[str, Any], data: Mapping[str, Any]) -> str:
    """Note what a part of a stream says of the answer, and return its words."""
    last.update({key: data[key] for key in ("model", "provider", "usage") if data.get(key)})
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else {}
    if choice.get("finish_reason"):
        last["finish"] = choice["finish_reason"]
    delta = choice.get("delta")
    delta = delta if isinstance(delta, Mapping) else {}
    if isinstance(delta.get("refusal"), str):
        last["refusal"] = last.get("refusal", "") + delta["refusal"]
    return delta["content"] if isinstance(delta.get("content"), str) else ""


def _data(content: bytes, model: str) -> dict[str, Any]:
    if content.lstrip()[:1] == b"<":
        raise failures.useless("a page came instead; check OPENROUTER_BASE_URL", model, again=True)
    try:
        data = decoded(content, _MAX_VALUES)
    except ValueError as error:
        raise failures.useless("it is no JSON, or breaks off", model, again=True) from error
    if not isinstance(data, dict):
        raise failures.useless("it is no object", model, again=True)
    return data


def _reply(content: bytes, model: str, host: str) -> Reply:
    return _said(_data(content, model), model, host)


def _said(data: Mapping[str, Any], model: str, host: str) -> Reply:
    """Return what an answer says; raises Failed where it has an error or says nothing."""
    if data.get("error"):
        raise failures.of_body(data, model, host)
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        raise failures.useless("it has no choices", model, again=True)
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        raise failures.refused(model, message["refusal"])
    usage = data.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    details = usage.get("completion_tokens_details")
    text = message.get("content")
    return Reply(
        text=_arguments(message) or (text if isinstance(text, str) else ""),
        finish=str(choice.get("finish_reason") or ""),
        served=_name(data.get("model")) or model,
        provider=_name(data.get("provider")),
        prompt=_count(usage.get("prompt_tokens")),
        completion=_count(usage.get("completion_tokens")),
        reasoning=_count(details.get("reasoning_tokens")) if isinstance(details, Mapping) else None,
        cost=_whole_cost(usage),
    )


def _arguments(message: Mapping[str, Any]) -> str:
    calls = message.get("tool_calls")
    call = calls[0] if isinstance(calls, list) and calls else None
    function = call.get("function") if isinstance(call, Mapping) else None
    arguments = function.get("arguments") if isinstance(function, Mapping) else None
    if isinstance(arguments, Mapping):
        return json.dumps(arguments)  # some servers have them as an object
    return arguments if isinstance(arguments, str) else ""


def _name(value: object) -> str:
    return ascii(value[:200])[1:-1] if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS
    return value if fits else None  # type: ignore[return-value]


def _whole_cost(usage: Mapping[str, Any]) -> float | None:
    """What an answer cost; where the key is a provider's own, with what that one takes, or None where it is not told."""
    cost = _cost(usage.get("cost"))
    if not usage.get("is_byok"):
        return cost
    details = usage.get("cost_details")
    own = _cost(details.get("upstream_inference_cost")) if isinstance(details, Mapping) else None
    return None if own is None else (cost or 0.0) + own


def _cost(value: object) -> float | None:
    fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    # Compared as it is: a whole number may be too long for a float.
    return float(value) if fits and 0 <= value <= _MOST_COST else None  # type: ignore[arg-type, operator]


# -- the SDK --


def _client(service: Service, limit: Limit) -> openai.OpenAI:
    import openai

    headers = {"Accept-Encoding": "identity", **(_ABOUT if service.is_openrouter else {})}
    client = openai.OpenAI(
        api_key=service.key,
        base_url=service.url,
        max_retries=0,
        timeout=limit.bounds.seconds,
        http_client=connections.client(limit),
        default_headers=headers,
    )
    # What OPENAI_* of the environment says is meant for another service: a key in it would go to this one, in the place of this one's.
    client.organization = client.project = None
    client._custom_headers = headers
    return client


def _failed(error: BaseException, model: str, service: Service, seconds: float) -> Failed:
    """Return what it means that the SDK raised an error."""
    import openai

    if isinstance(error, Failed):
        return error
    if isinstance(error, openai.APIStatusError):
        headers = {name.lower(): value for name, value in error.response.headers.items()}
        data: Any = None
        with contextlib.suppress(Exception):  # it says what it says, the status is enough
            data = decoded(error.response.content, _MAX_VALUES)
        return failures.of_status(error.status_code, data, headers, model, service.host)
    causes = list(_causes(error))
    names = {type(cause).__name__ for cause in causes}
    if any(
        isinstance(cause, (LateError, TimeoutError)) or "Timeout" in type(cause).__name__ for cause in causes
    ):
        return failures.late(model, seconds)
    if too_much := next((cause for cause in causes if isinstance(cause, TooMuchError)), None):
        return failures.useless(f"{too_much}", model)
    if isinstance(error, openai.APIError) and isinstance(error.body, Mapping):
        return failures.of_body({"error": error.body}, model, service.host)
    if any("SSL" in name for name in names):
        return failures.lost("has a certificate that is not trusted", model, service.host, billed=False)
    if "ConnectError" in names:
        return failures.lost("cannot be reached", model, service.host, billed=False)
    if isinstance(error, openai.APIConnectionError):
        return failures.lost("ended the connection", model, service.host, billed=True)
    return failures.useless(f"what came cannot be read ({type(error).__name__})", model, again=True)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
