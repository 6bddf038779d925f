"""How this application meets HTTP: HEAD, and refusals without secrets.

The backends have this file in common, to the byte: each is a build context and a release of its own.
"""

import json
import logging

import psycopg
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("uvicorn.error")


class HeadAsGet:
    """HEAD is answered as GET would be, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_head(message: Message) -> None:
            await send({**message, "body": b""} if "body" in message else message)

        if scope["type"] == "http" and scope["method"] == "HEAD":
            await self.app({**scope, "method": "GET"}, receive, send_head)
        else:
            await self.app(scope, receive, send)


async def report_database(_: Request, error: Exception) -> Response:
    """There is no database right now: 503, and when to try again."""
    log.warning("database unavailable: %s", error.__cause__ or error)
    return JSONResponse({"detail": "the database is unavailable, try again"}, 503, {"Retry-After": "5"})


async def report_statement(request: Request, error: Exception) -> Response:
    """A statement failed; its message, which may quote values, stays out of the log."""
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    log.error("%s %s: %s (%s)", request.method, request.url.path, type(error).__name__, state)
    return JSONResponse({"detail": "the request could not be done"}, 500)


async def refuse_request(_: Request, error: Exception) -> Response:
    """FastAPI's answer without the client's own input, which may not even be encodable."""
    assert isinstance(error, RequestValidationError)
    detail = [{"loc": entry["loc"], "msg": entry["msg"], "type": entry["type"]} for entry in error.errors()]
    return Response(json.dumps({"detail": detail}), 422, media_type="application/json")
