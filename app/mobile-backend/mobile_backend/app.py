"""The application: its database, its health, its routes."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from mobile_backend import __version__, devices, sync
from mobile_backend.about import About
from mobile_backend.config import Config, DatabaseConfig, load_config
from mobile_backend.database import Database, DatabaseUnavailable
from mobile_backend.follow import follow
from mobile_backend.web import HeadAsGet, refuse_request, report_database, report_statement

MAX_BODY = 512 * 1024
PREFIX = re.compile(r"(/[A-Za-z0-9._~-]{1,64}){1,8}")
ABOUT = About(
    name="dockfra-mobile-backend",
    title="Dockfra mobile backend",
    text="Registers mobile clients and synchronises their events. Made for applications on phones: there is little to see here.",
    version=__version__,
    links={
        "What a client needs to know": "/config",
        "Description for programs (OpenAPI)": "/openapi.json",
        "Health": "/health",
    },
)


class ForwardedPrefix:
    """Takes the path that a proxy in front has stripped as the application's root path."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            prefix = Headers(scope=scope).get("x-forwarded-prefix", "")
            if PREFIX.fullmatch(prefix):
                scope = {**scope, "root_path": prefix}
        await self.app(scope, receive, send)


def create_app(config: Config, path: Path | None = None) -> FastAPI:
    """The application. Its login at the database is read again from the file at ``path`` whenever that has changed."""

    good = config

    def database_config() -> DatabaseConfig:
        nonlocal good
        if path:
            with suppress(OSError, ValueError):  # who follows the file says so
                good = load_config(path)
        return good.database

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async def log_in_anew() -> None:
            load_config(path)
            await app.state.database.renew()

        async with app.state.database.lifespan():
            following = asyncio.create_task(follow(path, log_in_anew)) if path else None
            try:
                yield
            finally:
                if following:
                    following.cancel()

    app = FastAPI(
        title="Dockfra mobile backend",
        version=__version__,
        lifespan=lifespan,
        max_body_size=MAX_BODY,
        redirect_slashes=False,  # a path with a slash too many is not found
        docs_url=None,  # the usual page loads its scripts from elsewhere; /openapi.json needs none
        redoc_url=None,
    )
    app.state.config = config
    app.state.database = Database(database_config)
    app.add_middleware(ForwardedPrefix)
    app.add_middleware(HeadAsGet)
    app.add_exception_handler(RequestValidationError, refuse_request)
    app.add_exception_handler(DatabaseUnavailable, report_database)
    app.add_exception_handler(psycopg.Error, report_statement)
    app.get("/health", tags=["service"], responses={503: {}})(health)
    app.get("/config", tags=["service"])(client_config)
    app.get("/", include_in_schema=False)(ABOUT.answer)
    app.include_router(devices.router)
    app.include_router(sync.router)
    return app


async def health(request: Request, response: Response) -> dict[str, Any]:
    """Whether the service can do its work; names what it lacks."""
    try:
        async with asyncio.timeout(3), request.app.state.database.connection() as connection:
            # A table, not just an answer: a server with an empty volume answers as well.
            await connection.execute("SELECT 1 FROM mobile.events LIMIT 1")
    except (DatabaseUnavailable, TimeoutError):
        response.status_code = 503
        state = {"status": "unavailable", "down": ["database"], "version": __version__}
        # A release that cannot work with the tables is not waited for.
        refused = request.app.state.database.refused
        return {**state, "refused": refused} if refused else state
    return {"status": "ok", "down": [], "version": __version__}


async def client_config(request: Request) -> dict[str, str | int]:
    """What a mobile client needs to know before it starts."""
    config: Config = request.app.state.config
    return {
        "api_base": config.api_base or str(request.base_url).rstrip("/"),
        "min_version": config.min_version,
        "poll_seconds": config.poll_seconds,
    }
