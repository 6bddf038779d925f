"""What the server answers with: one turn of a script for each request, and what may go wrong in it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

# Each kind of failure, and what the server does.
FAULTS = {
    "status": "a status (`status`, `retry_after`) with OpenRouter's error body",
    "error-body": "200 with an `error` and nothing else",
    "finish-error": "200 with a text whose finish_reason is `error`",
    "html": "a page at 200",
    "html-error": "a page at `status`, as a proxy sends it",
    "truncated": "JSON that breaks off, at 200",
    "not-json-types": "200 with JSON of other types than promised",
    "empty": "the tokens are used up by reasoning, the answer is empty, and billed, until there is room for `needs` tokens",
    "nothing": "200 with an empty text",
    "length": "the text is cut at the most tokens",
    "filter": "a content filter stops the text",
    "refusal": "the model refuses, in the field for that",
    "no-choices": "200 with no choices",
    "silence": "nothing, for `hold` seconds",
    "drip": "a byte each 50 ms, for `hold` seconds",
    "cut": "the connection ends without an answer",
    "mid-stream": "an error after a part of the text (a stream; else as error-body)",
    "cut-stream": "the connection ends after a part of the text",
    "stalled": "a part of the text, then nothing for `hold` seconds but keep-alive comments",
    "broken-event": "an event that is no JSON, after a part of the text",
    "endless": "words without end",
    "huge": "64 MiB of JSON",
    "bomb": "64 MiB of JSON, packed to 64 kB",
    "redirect": "307 to another address",
    "no-usage": "an answer without its usage",
    "no-cost": "an answer whose usage has no cost",
    "nonsense-usage": "an answer whose usage holds numbers that none can be",
    "no-bounds": "400 where a schema has minimum, maximum or a large enum",
    "no-schema": "404 where a schema is to be obeyed: no provider supports it",
    "no-tools": "404 where a schema is to be obeyed or a tool called",
    "ignores-schema": "the text is prose, whatever schema was asked for",
    "unknown-model": "404: no such model",
}


@dataclass
class Turn:
    """One answer.

    Attributes:
        text: what the model says, or the arguments of its tool call.
        fault: a name of `FAULTS`.
        times: for how many requests it holds.
        model: for which model; by default any.
        served: the model that answers; by default the one that was asked.
        provider: who serves it.
        cost: dollars.
        delay: seconds before the first byte.
        hold: seconds that a fault of time lasts.
        pause: seconds between the parts of a stream.
        status, retry_after: of the faults that have them.
        needs: tokens that reasoning takes.
        message: what an error says.
        fenced: whether a text stands in a block of Markdown, with words around it.
    """

    text: str = "Yes."
    fault: str = ""
    times: int = 1
    model: str = ""
    served: str = ""
    provider: str = "FakeProvider"
    cost: float | None = 0.0001
    delay: float = 0.0
    hold: float = 9.0
    pause: float = 0.0
    status: int = 502
    retry_after: float | None = None
    needs: int = 1000
    message: str = "Provider returned error"
    fenced: bool = False
    beside: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.fault and self.fault not in FAULTS:
            raise ValueError(f"no fault is called {self.fault!r}; there are {', '.join(FAULTS)}")

    def fits(self, model: str) -> bool:
        return self.times > 0 and self.model in ("", model)


def read(text: str) -> list[Turn]:
    """Return the turns of a script: a JSON list of objects with the attributes of `Turn`."""
    return [Turn(**entry) for entry in json.loads(text)]


def tokens(text: str) -> int:
    """How many tokens a text has, as models count them, more or less."""
    return max(1, (len(text) + 3) // 4)
