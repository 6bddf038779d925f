"""The server: it answers by its script, and notes what it was sent."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import itertools
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from . import obedience, schema
from .turns import Turn, tokens

MODELS = (
    "anthropic/claude-sonnet-4",
    "openai/gpt-4o",
    "openai/gpt-4o-mini",
    "google/gemini-2.0-flash-001",
    "meta-llama/llama-3.1-70b-instruct",
    "deepseek/deepseek-chat-v3-0324",
)
KEEP_ALIVE = b": OPENROUTER PROCESSING\n\n"

# What the connection ends with instead of an answer.
_RUDE = ("cut", "drip", "silence")
_STREAMED = (
    "",
    "finish-error",
    "mid-stream",
    "cut-stream",
    "stalled",
    "broken-event",
    "endless",
    "length",
    "filter",
    "empty",
    "nothing",
    "no-usage",
    "no-cost",
    "nonsense-usage",
    "ignores-schema",
    "refusal",
    "no-bounds",
    "no-schema",
    "no-tools",
)


@dataclass
class Request:
    """What the server was sent.

    Attributes:
        path: of the address.
        headers: by their names in small letters.
        body: its JSON, or the text where it is none.
        time: seconds since 1970.
        status: what it was answered with.
    """

    path: str
    headers: dict[str, str]
    body: Any
    time: float = field(default_factory=time.time)
    status: int = 0

    @property
    def text(self) -> str:
        """All of it, to look for what must not be in it."""
        return json.dumps(self.body, ensure_ascii=False)


class FakeOpenRouter:
    """A running server with one key.

    Attributes:
        url: address of the API, as `OPENROUTER_BASE_URL` names it.
        requests: what it was sent, in order.
        problems: answers and requests that break OpenRouter's published schema; a test expects none.
        obedient: whether it does what a text says where its script has nothing more to say.
        answers: makes what it says then of the messages of the question, where it is to think for itself.
        default: what it says then otherwise.
    """

    def __init__(self, key: str = "fake-key", *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.key = key
        self.requests: list[Request] = []
        self.problems: list[str] = []
        self.obedient = False
        self.answers: Callable[[list[dict[str, Any]]], str] | None = None
        self.default = Turn(times=1_000_000)
        self.lock = threading.RLock()
        self._turns: list[Turn] = []
        self._numbers = itertools.count(1)
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = http.server.ThreadingHTTPServer((host, port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.port = int(self._server.server_address[1])
        self.url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{self.port}/api/v1"
        self.ending = threading.Event()

    def __enter__(self) -> FakeOpenRouter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def script(self, *turns: Turn) -> None:
        """Say these, one after the other, before anything else."""
        with self.lock:
            self._turns += turns

    def forget(self) -> None:
        """Drop what is left of the script, and what was sent."""
        with self.lock:
            self._turns.clear()
            self.requests.clear()

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The bodies of the questions, in order."""
        return [request.body for request in self.requests if request.path.endswith("/chat/completions")]

    def turn(self, model: str) -> Turn:
        """Return what a model says next."""
        with self.lock:
            for turn in self._turns:
                if turn.fits(model):
                    turn.times -= 1
                    return turn
            return self.default

    def checked(self, value: Any, kind: str) -> Any:
        """Return an answer, and note what it breaks of the schema."""
        if problem := schema.problem_of(value, schema.ANSWERS[kind]):
            self.problems.append(f"answer: {problem}")
        return value

    def error(self, status: int, message: str, **metadata: Any) -> dict[str, Any]:
        """An error as OpenRouter words it."""
        value = {"error": {"code": status, "message": message} | ({"metadata": metadata} if metadata else {})}
        model = schema.ERRORS.get(status)
        if model is not None and (problem := schema.problem_of(value, model)):
            self.problems.append(f"answer: {problem}")
        return value

    def models(self) -> dict[str, Any]:
        """The list of models."""
        data = [_model(name) for name in MODELS]
        links = {"next": None, "total_count": len(data)}
        return self.checked({"data": data, "links": links, "total_count": len(data)}, "models")

    def text_of(self, body: dict[str, Any], turn: Turn) -> str:
        """What the model says to a question."""
        if turn is self.default and self.answers:
            return self.answers(body["messages"])
        if turn is self.default and self.obedient:
            return obedience.answer(body["messages"], _schema_of(body))
        return turn.text

    def usage(self, body: dict[str, Any], turn: Turn, said: str) -> dict[str, Any] | None:
        """The tokens and the cost of an answer."""
        if turn.fault == "no-usage":
            return None
        prompt, reasoning = tokens(json.dumps(body["messages"])), 0
        completion = tokens(said) if said else 0
        if turn.fault == "empty":
            reasoning = min(turn.needs, int(body.get("max_tokens") or turn.needs))
            completion += reasoning
        usage: dict[str, Any] = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "completion_tokens_details": {"reasoning_tokens": reasoning},
            "cost": turn.cost,
            "is_byok": False,
        }
        if turn.fault == "no-cost":
            del usage["cost"]
        if turn.fault == "nonsense-usage":
            usage |= {
                "prompt_tokens": -5,
                "completion_tokens": True,
                "total_tokens": "many",
                "cost": float("nan"),
            }
        return usage

    def completion(self, body: dict[str, Any], turn: Turn) -> dict[str, Any]:
        """A whole answer."""
        said, reason = self._said(body, turn)
        message: dict[str, Any] = {"role": "assistant", "content": said, "refusal": None, "reasoning": None}
        if _tool_of(body) and turn.fault not in ("ignores-schema", "refusal", "empty"):
            call = {
                "id": "call_1",
                "type": "function",
                "function": {"name": _tool_of(body), "arguments": said},
            }
            message |= {"content": None, "tool_calls": [call]}
            reason = "tool_calls" if reason == "stop" else reason
        if turn.fault == "refusal":
            message |= {"content": None, "refusal": "I can't help with that."}
        if turn.fault == "empty" and not said:
            message["reasoning"] = "Let me think."
        choice = {"index": 0, "finish_reason": reason, "message": message, "logprobs": None}
        value = self._envelope(body, turn) | {
            "object": "chat.completion",
            "choices": [choice],
            "system_fingerprint": None,
        }
        usage = self.usage(body, turn, said or "")
        return value | ({} if usage is None else {"usage": usage})

    def chunks(self, body: dict[str, Any], turn: Turn) -> Iterator[dict[str, Any]]:
        """The parts of an answer: words, then why it ends, then what it cost."""
        said, reason = self._said(body, turn)
        envelope = self._envelope(body, turn) | {"object": "chat.completion.chunk"}

        def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
            return envelope | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

        yield chunk({"role": "assistant", "content": ""})
        if turn.fault == "refusal":
            yield chunk({"refusal": "I can't help with that."})
        words = (
            re.findall(r"\S+\s*|\s+", said or "") if turn.fault != "endless" else itertools.repeat("word ")
        )
        for number, word in enumerate(words):
            if turn.fault in ("mid-stream", "cut-stream", "stalled", "broken-event") and number == 2:
                return
            yield chunk({"content": word})
        yield chunk({}, reason)
        usage = self.usage(body, turn, said or "")
        if usage is not None and (body.get("stream_options") or {}).get("include_usage"):
            yield envelope | {"choices": [], "usage": usage}

    def _said(self, body: dict[str, Any], turn: Turn) -> tuple[str | None, str]:
        most = int(body.get("max_tokens") or 1_000_000)
        said = self.text_of(body, turn)
        if turn.fenced and not _tool_of(body):
            said = f"Certainly! Here it is:\n\n```json\n{said}\n```\nAnything else?"
        if turn.fault == "empty" and most <= turn.needs:
            return "", "length"
        if turn.fault == "length" or tokens(said) > most:
            return said[: most * 4], "length"
        special = {"nothing": ("", "stop"), "filter": ("", "content_filter"), "finish-error": (said, "error")}
        return special.get(turn.fault, (said, "stop"))

    def _envelope(self, body: dict[str, Any], turn: Turn) -> dict[str, Any]:
        served = turn.served or str(body.get("model") or MODELS[0])
        return {
            "id": f"gen-{next(self._numbers)}",
            "created": int(time.time()),
            "model": served,
            "provider": turn.provider,
        }

    def controlled(self, name: str, body: bytes) -> Any:
        """What a test that runs elsewhere asks for: POST /_fake/<name> with JSON."""
        values = json.loads(body or b"null")
        if name == "script":
            self.script(*(Turn(**turn) for turn in values))
        elif name == "obedient":
            self.obedient = bool(values)
        elif name == "forget":
            self.forget()
        return {"requests": [asdict(request) for request in self.requests], "problems": self.problems}


class _Handler(http.server.BaseHTTPRequestHandler):
    fake: FakeOpenRouter
    protocol_version = "HTTP/1.1"
    # A client that keeps its connection open does not keep a thread for ever.
    timeout = 30

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _serve(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the client may have gone
            if control := re.fullmatch(r"/_fake/([a-z_]+)", self.path):
                self._json(200, self.fake.controlled(control[1], data))
                return
            try:
                body = json.loads(data or b"null")
            except ValueError:
                body = data.decode(errors="replace")
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._request = Request(self.path, headers, body)
            self.fake.requests.append(self._request)
            self._answer(body)

    def _answer(self, body: Any) -> None:
        scheme, _space, key = (self.headers.get("Authorization") or "").partition(" ")
        path = self.path.partition("?")[0]
        if path == "/api/v1/models":
            self._json(200, self.fake.models())
        elif path != "/api/v1/chat/completions" or self.command != "POST":
            self._json(404, self.fake.error(404, "Not Found"))
        elif (scheme, key) != ("Bearer", self.fake.key):
            self._json(401, self.fake.error(401, "No auth credentials found"))
        elif not isinstance(body, dict) or (problem := schema.problem_of(body, schema.REQUEST)):
            self.fake.problems.append(f"request: {problem if isinstance(body, dict) else 'no object'}")
            self._json(400, self.fake.error(400, "Input validation error"))
        else:
            self._complete(body, self.fake.turn(str(body.get("model"))))

    def _complete(self, body: dict[str, Any], turn: Turn) -> None:
        if turn.fault in _RUDE:
            self._be_rude(turn)
            return
        self.fake.ending.wait(turn.delay)
        refusal = _refused(body, turn)
        if refusal is not None:
            headers = {} if turn.retry_after is None else {"Retry-After": f"{turn.retry_after:g}"}
            self._json(refusal, self.fake.error(refusal, _MESSAGES.get(turn.fault, turn.message)), headers)
        elif body.get("stream") and turn.fault in _STREAMED:
            self._stream(body, turn)
        else:
            self._whole(body, turn)

    def _whole(self, body: dict[str, Any], turn: Turn) -> None:
        page = b"<!doctype html><html><body>Bad gateway</body></html>"
        if turn.fault in ("error-body", "mid-stream", "cut-stream", "stalled", "broken-event"):
            self._json(200, self.fake.error(turn.status, turn.message, provider_name="FakeProvider"))
        elif turn.fault == "html":
            self._send(200, page, "text/html")
        elif turn.fault == "html-error":
            self._send(turn.status, page, "text/html")
        elif turn.fault == "huge":
            self._send(200, b'{"choices": [' + b'"xxxxxxxxxxxxx",' * (4 * 1024 * 1024) + b"1]}")
        elif turn.fault == "bomb":
            packed = gzip.compress(b'{"choices": "' + b"x" * (64 * 1024 * 1024) + b'"}', 9)
            self._send(200, packed, headers={"Content-Encoding": "gzip"})
        elif turn.fault == "redirect":
            self._send(307, b"", headers={"Location": "https://example.com/api/v1/chat/completions"})
        elif turn.fault == "not-json-types":
            wrong = {"choices": {"0": "x"}, "model": 5, "usage": [1], "provider": {"a": 1}}
            self._json(200, wrong)
        elif turn.fault == "no-choices":
            self._json(200, self.fake.completion(body, turn) | {"choices": []})
        elif turn.fault == "truncated":
            self._send(200, json.dumps(self.fake.completion(body, turn)).encode()[:-60])
        else:
            value = self.fake.completion(body, turn)
            if turn.fault != "nonsense-usage":
                self.fake.checked(value, "completion")
            self._json(200, value)

    def _stream(self, body: dict[str, Any], turn: Turn) -> None:
        self._request.status = 200
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._part(KEEP_ALIVE)
        for chunk in self.fake.chunks(body, turn):
            if turn.fault != "nonsense-usage":
                self.fake.checked(chunk, "chunk")
            self._part(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            self.fake.ending.wait(turn.pause)
        if turn.fault == "mid-stream":
            error = {"code": turn.status, "message": turn.message}
            choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
            last = self.fake._envelope(body, turn) | {
                "object": "chat.completion.chunk",
                "choices": [choice],
                "error": error,
            }
            self._part(b"data: " + json.dumps(self.fake.checked(last, "chunk")).encode() + b"\n\n")
        elif turn.fault == "broken-event":
            self._part(b'data: {"choices": [{"delta": {"cont\n\n')
        elif turn.fault == "stalled":
            end = time.monotonic() + turn.hold
            while time.monotonic() < end and not self.fake.ending.wait(0.1):
                self._part(KEEP_ALIVE)
        elif turn.fault == "cut-stream":
            self._cut()
            return
        self._part(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _be_rude(self, turn: Turn) -> None:
        end = time.monotonic() + turn.hold
        if turn.fault == "drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Slow: ")
        while turn.fault != "cut" and time.monotonic() < end and not self.fake.ending.wait(0.05):
            if turn.fault == "drip":
                self.wfile.write(b"x")
        self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _part(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), "application/json", headers)

    def _send(
        self, status: int, body: bytes, kind: str = "application/json", headers: dict[str, str] | None = None
    ) -> None:
        """Send everything at once: in two pieces, the second would wait for the first to be acknowledged."""
        if hasattr(self, "_request"):
            self._request.status = status
        lines = {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.wfile.write(f"HTTP/1.1 {status} Answer\r\n{head}\r\n".encode() + body)


_MESSAGES = {
    "no-schema": "No endpoints found that can handle the requested parameters.",
    "no-tools": "No endpoints found that support tool use.",
    "no-bounds": "Invalid schema for response_format: 'minimum' is not supported.",
    "unknown-model": "No endpoints found for this model.",
}


def _refused(body: dict[str, Any], turn: Turn) -> int | None:
    """The status with which a question is refused, if it is."""
    if turn.fault == "status":
        return turn.status
    if turn.fault == "unknown-model":
        return 404
    asked = _schema_of(body)
    if turn.fault == "no-schema" and "response_format" in body:
        return 404
    if turn.fault == "no-tools" and ("response_format" in body or "tools" in body):
        return 404
    if turn.fault == "no-bounds" and asked is not None and _has_bounds(asked):
        return 400
    return None


def _has_bounds(value: Any) -> bool:
    """Whether a schema has what some providers refuse."""
    if isinstance(value, list):
        return any(map(_has_bounds, value))
    if not isinstance(value, dict):
        return False
    large = isinstance(value.get("enum"), list) and len(value["enum"]) > 50
    return (
        large
        or bool(value.keys() & {"minimum", "maximum", "pattern", "minLength"})
        or any(map(_has_bounds, value.values()))
    )


def _tool_of(body: dict[str, Any]) -> str:
    """The name of the tool that has to be called, or an empty string."""
    choice = body.get("tool_choice")
    return str(choice["function"]["name"]) if isinstance(choice, dict) else ""


def _schema_of(body: dict[str, Any]) -> dict[str, Any] | None:
    """The schema that an answer is to have."""
    asked = body.get("response_format") or {}
    if asked.get("type") == "json_schema":
        return dict(asked["json_schema"].get("schema") or {})
    if body.get("tools") and _tool_of(body):
        return dict(body["tools"][0]["function"].get("parameters") or {})
    return None


def _model(name: str) -> dict[str, Any]:
    text = ["text"]
    return {
        "id": name,
        "canonical_slug": name,
        "name": name,
        "created": 1_750_000_000,
        "context_length": 128_000,
        "architecture": {"modality": "text->text", "input_modalities": text, "output_modalities": text},
        "pricing": {"prompt": "0.000001", "completion": "0.000002"},
        "top_provider": {"is_moderated": False},
        "per_request_limits": None,
        "default_parameters": None,
        "supported_voices": None,
        "supported_parameters": [
            "temperature",
            "max_tokens",
            "response_format",
            "structured_outputs",
            "tools",
        ],
        "links": {"details": f"/api/v1/models/{name}/endpoints"},
    }
