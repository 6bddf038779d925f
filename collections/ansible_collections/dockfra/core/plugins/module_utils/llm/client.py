# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Asks models: the one way by which anything of the platform does.

What holds for every question holds here: secrets are taken out before anything leaves, there is one deadline for all of it, what a
day may cost is not exceeded, models that do not answer are left alone for a while and others asked instead, and what was asked
and what came is in the audit by its digest.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..errors import (
    LLMAnswerError,
    LLMBrokenOffError,
    LLMError,
    LLMRequestError,
    LLMSettingError,
    LLMUnavailableError,
)
from . import failures, prices, schemas, transport
from .breakers import Breakers
from .budget import Budget, Use
from .failures import Failed
from .model import Answer, Configuration, Question
from .redaction import Redactor
from .transport import Reply

# Seconds for all of a question: for a person who watches the answer come, and for a program.
SECONDS = 120.0
DECISION_SECONDS = 20.0

# A question to one model that failed for the moment is asked once more.
_TRIES = 2
# Which part of the time that is left one model has, while others wait.
_SHARE = 0.6
_LEAST_SECONDS = 0.5
# How much more room a model gets that used it all up before it answered, and at least.
_MORE_ROOM, _LEAST_ROOM = 4, 8192

# Which part of what it might have said a model is taken to have said where nobody knows: one of so many.
_UNSEEN = 4

# What is imported when something is asked, and not before.
_LIBRARIES = ("openai", "stamina", "jsonschema", "json_repair")

FORMS = ("json_schema", "tool", "prompt")

T = TypeVar("T")
Record = Mapping[str, Any]


@dataclass
class _Round:
    """One question on its way: until when, and what it took so far."""

    messages: list[dict[str, Any]]
    redacted: int
    end: float
    begun: float
    on_text: Callable[[str], None] | None = None
    use: Use = field(default_factory=Use)
    estimated: bool = False

    def left(self) -> float:
        return self.end - time.monotonic()

    def count(self, use: Use, estimated: bool) -> None:
        self.use = Use(self.use.tokens + use.tokens, self.use.cost + use.cost)
        self.estimated |= estimated


class LLMClient:
    """Asks models for one role.

    Args:
        configuration: how.
        folder: where the role keeps its budget and its breakers; made when missing.
        secrets: all values that must not leave; the key is one by itself.
        record: takes a line for the audit for each question to a model; without a secret, and without what was said.
        breaker_seconds: how long a model is left alone that failed.
        clock: seconds since 1970, by default the system's.
    """

    def __init__(
        self,
        configuration: Configuration,
        folder: str | os.PathLike[str],
        secrets: list[str],
        record: Callable[[Record], None],
        breaker_seconds: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._configuration = configuration
        self._redactor = Redactor([configuration.service.key, *secrets])
        self._record = record
        home = os.fspath(folder)
        self.budget = Budget(os.path.join(home, "budget.json"), configuration.most, clock)
        self._breakers = Breakers(os.path.join(home, "breakers.json"), seconds=breaker_seconds, clock=clock)

    def prompt(self, question: Question) -> list[dict[str, Any]]:
        """Return the messages that a question becomes, as they leave; raises LLMRequestError when it is too long."""
        return self._messages(question)[0]

    def ask(
        self, question: Question, on_text: Callable[[str], None] | None = None, seconds: float = SECONDS
    ) -> Answer:
        """Ask for words.

        Args:
            question: what.
            on_text: gets the words as they come.
            seconds: for all of it.

        Raises:
            LLMBrokenOffError: the answer ended early.
            LLMError: there is none.
            AuditError: it could not be recorded.
        """
        going = self._begin(question, seconds, on_text)
        return self._ask(going, lambda model: self._worded(going, model))

    def decide(
        self, question: Question, schema: Mapping[str, Any], name: str, seconds: float = DECISION_SECONDS
    ) -> Answer:
        """Ask for a value that fits a schema; raises as `ask` does.

        Args:
            question: what.
            schema: of an object.
            name: what the value is called: letters, digits and ``_``.
            seconds: for all of it.
        """
        written = json.dumps(schema)
        if self._redactor.redact(written).count:
            raise LLMRequestError(f"The schema of {name} holds a secret, so nothing is sent; take it out.")
        going = self._begin(question, seconds)
        return self._ask(going, lambda model: self._formed(going, model, schema, name))

    # -- models, one after the other --

    def _begin(
        self, question: Question, seconds: float, on_text: Callable[[str], None] | None = None
    ) -> _Round:
        _require()
        messages, redacted = self._messages(question)
        now = time.monotonic()
        return _Round(messages, redacted, now + seconds, now, on_text)

    def _messages(self, question: Question) -> tuple[list[dict[str, Any]], int]:
        system = "\n\n".join(part for part in (question.task, self._configuration.system) if part)
        parts = [("system", system)] if system else []
        redacted = [(role, self._redactor.redact(text)) for role, text in [*parts, ("user", question.text)]]
        messages = [{"role": role, "content": found.text} for role, found in redacted]
        return messages, sum(found.count for _role, found in redacted)

    def _ask(self, going: _Round, work: Callable[[str], tuple[Reply, Any]]) -> Answer:
        problems: list[LLMError] = []
        for model in self._configuration.models:
            try:
                self._breakers.admit(model)
            except LLMUnavailableError as error:
                problems.append(error)
                continue
            try:
                reply, value = work(model)
            except LLMBrokenOffError:
                self._breakers.failed(model)
                raise
            except Failed as failed:
                if failed.everywhere:
                    raise failed.error from failed
                problems.append(failed.error)
                if not failed.asker:
                    self._breakers.failed(model)
            else:
                self._breakers.succeeded(model)
                return self._answer(going, model, reply, value)
        raise _all_failed(problems)

    def _answer(self, going: _Round, model: str, reply: Reply, value: Any) -> Answer:
        return Answer(
            text=reply.text,
            value=value,
            asked=model,
            served=reply.served,
            provider=reply.provider,
            tokens=going.use.tokens,
            cost=round(going.use.cost, 9),
            estimated=going.estimated,
            seconds=round(time.monotonic() - going.begun, 3),
            redacted=going.redacted,
        )

    # -- one model --

    def _worded(self, going: _Round, model: str) -> tuple[Reply, Any]:
        reply = self._roomy(going, self._body(model, going.messages))
        if not reply.text.strip():
            raise failures.useless("it is empty", model)
        return reply, None

    def _formed(self, going: _Round, model: str, schema: Mapping[str, Any], name: str) -> tuple[Reply, Any]:
        """Ask for a value in one form after the other, until one is understood and kept to."""
        for form in FORMS:
            try:
                reply = self._roomy(going, self._in_form(form, model, going.messages, schema, name))
                try:
                    value = schemas.value_in(reply.text)
                    schemas.check(value, schema)
                except LLMAnswerError as error:
                    raise failures.useless(str(error), model, otherwise=True) from error
            except Failed as failed:
                if not failed.otherwise or form == FORMS[-1] or going.left() < _LEAST_SECONDS:
                    raise
            else:
                return reply, value
        raise AssertionError("the last form ends with a value or with an error")

    def _body(self, model: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
        configuration = self._configuration
        return {
            "model": model,
            "messages": messages,
            "max_tokens": configuration.max_tokens,
            "temperature": configuration.temperature,
        }

    def _in_form(
        self, form: str, model: str, messages: list[dict[str, Any]], schema: Mapping[str, Any], name: str
    ) -> dict[str, Any]:
        body = self._body(model, messages)
        sent = schemas.reduced(schema)
        strict = schemas.is_strict(sent)
        if form == "json_schema":
            described = {"name": name, "strict": strict, "schema": sent}
            body["response_format"] = {"type": "json_schema", "json_schema": described}
        elif form == "tool":
            body["tools"] = [{"type": "function", "function": {"name": name, "parameters": sent}}]
            body["tool_choice"] = {"type": "function", "function": {"name": name}}
        else:
            text = f"Answer with one JSON object and nothing else. It must be valid by this JSON Schema:\n{json.dumps(schema)}"
            body["messages"] = [{"role": "system", "content": text}, *messages]
        if form != "prompt" and self._configuration.service.is_openrouter:
            # Otherwise providers that do not know schemas ignore them.
            body["extra_body"] = {"provider": {"require_parameters": True}}
        return body

    def _roomy(self, going: _Round, body: dict[str, Any]) -> Reply:
        """Ask, and once with more room where the model used up what it had before it came to its answer."""
        try:
            return self._patient(going, body)
        except Failed as failed:
            if not failed.room:
                raise
        return self._patient(going, {**body, "max_tokens": max(_LEAST_ROOM, _MORE_ROOM * body["max_tokens"])})

    def _patient(self, going: _Round, body: dict[str, Any]) -> Reply:
        """Ask, and again where that can help and there is time for it."""
        import stamina
        from stamina.instrumentation import set_on_retry_hooks

        def pause(error: Exception) -> bool | float:
            if not isinstance(error, Failed) or not error.again:
                return False
            wait = error.wait or 0.0
            enough = going.left() * (1.0 if body["model"] == self._configuration.models[-1] else 1 - _SHARE)
            return wait + _LEAST_SECONDS < enough and (error.wait or True)

        set_on_retry_hooks([])  # they would log what is asked again
        for attempt in stamina.retry_context(
            on=pause, attempts=_TRIES, timeout=None, wait_initial=0.3, wait_max=2.0, wait_jitter=0.5
        ):
            with attempt:
                return self._once(going, body)
        raise AssertionError("the last attempt ends with an answer or with an error")

    def _once(self, going: _Round, body: dict[str, Any]) -> Reply:
        model, most = str(body["model"]), int(body["max_tokens"])
        left = going.left()
        if left < _LEAST_SECONDS:
            raise failures.late(model, time.monotonic() - going.begun)
        # While others wait, a model that says nothing may not take all of the time.
        patience = left if model == self._configuration.models[-1] else left * _SHARE
        beside = json.dumps([body.get("response_format"), body.get("tools")])
        prompt = prices.prompt_tokens(body["messages"], beside)
        reserved, begun = self.budget.reserve(prices.estimate(model, prompt, most)), time.monotonic()
        # What a process that is ended here took is not known, so all of it counts.
        use, estimated, answered, reply = reserved.use, True, False, None
        try:
            reply = transport.send(self._configuration.service, body, left, patience, going.on_text)
            use, estimated = _use(model, prompt, reply)
            _check(reply, model, most, going.on_text is not None)
            answered = True
            return reply
        except Failed as failed:
            self._hide(failed.error)
            if reply is None:
                estimated = failed.billed
                use = prices.estimate(model, prompt, most // _UNSEEN) if failed.billed else Use()
            raise
        except LLMBrokenOffError as error:
            self._hide(error)
            if reply is None:
                use = prices.estimate(model, prompt, prices.tokens_of(error.partial))
            raise
        finally:
            going.count(use, estimated)
            try:
                self.budget.settle(reserved, use)
            finally:
                self._record(
                    _line(model, body["messages"], reply, use, estimated, answered, time.monotonic() - begun)
                )

    def _hide(self, error: LLMError) -> None:
        """A service may repeat the key, or the question, in what it says of an error."""
        error.args = (self._redactor.redact(str(error)).text,)


def _require() -> None:
    """Raise LLMSettingError where a library is missing."""
    for name in _LIBRARIES:
        if importlib.util.find_spec(name) is None:
            package = name.replace("_", "-")
            raise LLMSettingError(
                f"The Python package {package} is missing here, so no model can be asked; install it."
            )


def _use(model: str, prompt: int, reply: Reply) -> tuple[Use, bool]:
    """What an answer took, and whether its cost is an estimate."""
    # No question has no tokens, and no words have none: who says so does not count.
    asked = reply.prompt or prompt
    answered = reply.completion or prices.tokens_of(reply.text)
    if reply.cost is not None:
        return Use(asked + answered, reply.cost), False
    return prices.estimate(model, asked, answered), True


def _check(reply: Reply, model: str, most: int, told: bool) -> None:
    """Raise where an answer is none, however it looks."""
    if reply.finish in ("stop", "tool_calls"):
        return
    if reply.finish == "length":
        if not reply.text.strip():
            raise failures.crowded(model, most)
        if told:
            raise LLMBrokenOffError(
                f"The answer of {model} was cut after {most} tokens; raise LLM_MAX_TOKENS, or ask for less.",
                reply.text,
            )
        raise failures.useless(f"it is cut after {most} tokens; raise LLM_MAX_TOKENS", model, room=True)
    if reply.finish == "content_filter":
        raise failures.refused(model, "a filter of its provider stopped it")
    if told and reply.text:
        raise LLMBrokenOffError(
            f"The answer of {model} ended with an error, so it may not be whole; ask again.", reply.text
        )
    raise failures.useless(f"it ended with {reply.finish or 'nothing'}", model, again=True)


def _line(
    model: str,
    messages: list[dict[str, Any]],
    reply: Reply | None,
    use: Use,
    estimated: bool,
    answered: bool,
    seconds: float,
) -> dict[str, Any]:
    """What the audit keeps of a question: who answered, what it cost, and digests by which it can be told again."""
    return {
        "verb": "model",
        "arguments": [model],
        "verdict": "allowed",
        "model": model,
        "served": reply.served if reply else "",
        "provider": reply.provider if reply else "",
        "result": 0 if answered else 1,
        "duration": round(seconds, 3),
        "tokens": use.tokens,
        "cost": round(use.cost, 9),
        "estimated": estimated,
        "prompt": _digest(json.dumps(messages, sort_keys=True)),
        "answer": _digest(reply.text) if reply else "",
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _all_failed(problems: list[LLMError]) -> LLMError:
    """One error for all that failed."""
    if len(problems) == 1:
        return problems[0]
    said = "; ".join(str(problem).rstrip(".") for problem in problems)
    kinds = {type(problem) for problem in problems}
    return (kinds.pop() if len(kinds) == 1 else LLMUnavailableError)(f"No model answered. {said}.")
