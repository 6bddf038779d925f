"""The application: its resources, its health, its routes."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import psycopg
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from backend import __version__, deployments, devices, history, status
from backend.about import About
from backend.config import CacheConfig, Config, DatabaseConfig, load_config
from backend.database import Database, DatabaseUnavailable
from backend.follow import follow
from backend.web import HeadAsGet, refuse_request, report_database, report_statement

MAX_BODY = 64 * 1024
# What is asked of redis takes no longer.
LAST_SECONDS = 3.0
ABOUT = About(
    name="dockfra-backend",
    title="Dockfra backend",
    text="The platform's API: the state of its services and how they were, its deployments and its devices.",
    version=__version__,
    links={
        "Documentation": "/api/docs",
        "Description for programs (OpenAPI)": "/api/openapi.json",
        "Services": "/api/status",
        "Deployments": "/api/deployments",
        "Devices": "/api/devices",
        "How the services were": "/api/history",
    },
)


def create_app(config: Config, path: Path | None = None) -> FastAPI:
    """The application. Its logins at others are read again from the file at ``path`` whenever that has changed."""

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
            cache = load_config(path).cache
            await app.state.database.renew()
            former = app.state.redis
            app.state.redis = connect_redis(cache)
            await asyncio.sleep(LAST_SECONDS)
            await former.aclose()

        async with app.state.database.lifespan():
            tasks = [asyncio.create_task(status.watch(config, lambda: app.state.redis))]
            if path:
                tasks.append(asyncio.create_task(follow(path, log_in_anew)))
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await app.state.redis.aclose()

    # Offline: the documentation's scripts come from the image, not from a content delivery network.
    app = FastAPIOffline(
        title="Dockfra backend",
        version=__version__,
        lifespan=lifespan,
        max_body_size=MAX_BODY,
        # A path with a slash too many is not found: a redirect would name the host as it looks from in here.
        redirect_slashes=False,
        docs_url="/api/docs",
        redoc_url=None,
        openapi_url="/api/openapi.json",
        static_url="/api/docs/static",
        swagger_ui_oauth2_redirect_url="/api/docs/oauth2-redirect",
    )
    app.state.config = config
    app.state.started_at = datetime.now(UTC)
    app.state.database = Database(database_config)
    app.state.redis = connect_redis(config.cache)
    app.add_middleware(HeadAsGet)
    app.add_exception_handler(RequestValidationError, refuse_request)
    app.add_exception_handler(DatabaseUnavailable, report_database)
    app.add_exception_handler(psycopg.Error, report_statement)
    app.get("/health", tags=["status"], responses={503: {}})(health)
    app.get("/api/info", tags=["status"])(info)
    if config.slow_seconds:
        app.get("/api/slow", tags=["status"])(slow)
    # Asked at its own port, and behind the proxy.
    for root in ("/", "/api", "/api/"):
        app.get(root, include_in_schema=False)(ABOUT.answer)
    for module in (status, deployments, devices, history):
        app.include_router(module.router)
    return app


def connect_redis(config: CacheConfig) -> Redis:
    """A client that connects when used; one retry covers a connection its server has closed meanwhile."""
    return Redis(
        host=config.host,
        port=config.port,
        username=config.user,
        password=config.password.get_secret_value(),
        socket_timeout=1,
        socket_connect_timeout=1,
        retry=Retry(NoBackoff(), 1),
    )


async def health(request: Request, response: Response) -> dict[str, Any]:
    """Whether the backend can do its work; names what it lacks."""

    async def database() -> str:
        try:
            async with asyncio.timeout(3):
                await request.app.state.database.check()
        except (DatabaseUnavailable, TimeoutError):
            return "down"
        return "ok"

    async def cache() -> str:
        try:
            await request.app.state.redis.ping()
        except RedisError:
            return "down"
        return "ok"

    checks = dict(zip(("database", "cache"), await asyncio.gather(database(), cache()), strict=True))
    down = [name for name, state in checks.items() if state == "down"]
    response.status_code = 503 if down else 200
    state = {
        "status": "unavailable" if down else "ok",
        "down": down,
        "checks": checks,
        "version": __version__,
    }
    # A release that cannot work with the tables is not waited for.
    refused = request.app.state.database.refused
    return {**state, "refused": refused} if down and refused else state


async def slow(request: Request, seconds: Annotated[float, Query(ge=0, le=60)] = 0) -> dict[str, float]:
    """Answer after some seconds, as many as the configuration allows: a request that is under way during a deploy."""
    waited = min(seconds, request.app.state.config.slow_seconds)
    await asyncio.sleep(waited)
    return {"seconds": waited}


async def info() -> dict[str, str]:
    return {
        "name": "dockfra-backend",
        "version": __version__,
        # What the image brought has none.
        "release": os.environ.get("DOCKFRA_RELEASE", ""),
        "docs": "/api/docs",
        "openapi": "/api/openapi.json",
    }
