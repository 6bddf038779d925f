"""The state of the services around the backend, asked at most once in a few seconds.

Somebody asks all the time, so that it is known since when a service has been as it is.
"""

import asyncio
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, TypeAdapter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from backend.config import Config, Stack, Target

router = APIRouter(prefix="/api/status", tags=["status"])

CACHE_KEY = "backend:status"
SINCE_KEY = "backend:since"
PROBE_SECONDS = 2.0
# Lines of an answer that are read, to find the one that names the release.
MOST_LINES = 100
RELEASE = re.compile(rb"x-release:[ \t]*([0-9]{8}T[0-9]{6}Z-[0-9a-f]{12})[ \t]*\r?\n", re.IGNORECASE)
# For how long nobody may have looked before it is unknown what happened meanwhile.
UNSEEN_SECONDS = 300


class ServiceState(BaseModel):
    service: str
    port: int
    kind: Literal["http", "tcp"]
    state: Literal["up", "down"]
    latency_ms: float
    detail: str
    release: str = Field(default="", description="Which one answered, where it says so.")
    since: datetime | None = Field(default=None, description="Since when it has been found so, each time.")


class Answerer(BaseModel):
    """The backend itself, which is up as it answers."""

    service: str
    release: str
    since: datetime


class Snapshot(BaseModel):
    checked_at: datetime
    services: list[ServiceState]


class Status(Snapshot):
    asked: int = Field(description="How many services were asked.")
    total: int = Field(description="How many the platform has; the others are out of the backend's reach.")
    status: Literal["ok", "degraded"]
    cache: Literal["hit", "miss", "unavailable"]
    answered_by: Answerer
    stacks: tuple[Stack, ...] = Field(description="All services of the platform, by what they belong to.")


@router.get("")
async def get_status(request: Request) -> Status:
    """Every service the backend can reach, and whether it answers."""
    config, redis = request.app.state.config, request.app.state.redis
    cache: Literal["hit", "miss", "unavailable"] = "miss"
    snapshot = None
    try:
        snapshot = await _cached(redis)
        cache = "hit" if snapshot else "miss"
    except RedisError:
        cache = "unavailable"
    if snapshot is None:
        snapshot = await look(config, redis)
        if cache == "miss" and config.status_cache_seconds:
            try:
                await redis.set(CACHE_KEY, snapshot.model_dump_json(), ex=config.status_cache_seconds)
            except RedisError:
                cache = "unavailable"
    up = all(service.state == "up" for service in snapshot.services)
    asked = len({service.service for service in snapshot.services})
    return Status(
        asked=asked,
        total=max(asked, sum(len(stack.services) for stack in config.stacks)),
        status="ok" if up and cache != "unavailable" else "degraded",
        cache=cache,
        checked_at=snapshot.checked_at,
        services=snapshot.services,
        answered_by=Answerer(
            service=config.name,
            release=os.environ.get("DOCKFRA_RELEASE", ""),
            since=request.app.state.started_at,
        ),
        stacks=config.stacks,
    )


async def watch(config: Config, redis: Callable[[], Redis]) -> None:
    """Look again and again, until cancelled, so that no long time goes by unseen."""
    while config.status_watch_seconds:
        await look(config, redis())
        await asyncio.sleep(config.status_watch_seconds)


async def look(config: Config, redis: Redis) -> Snapshot:
    """Ask every target, and add since when each has been as it is."""
    services = list(await asyncio.gather(*(probe(target) for target in config.targets)))
    now = datetime.now(UTC)
    return Snapshot(checked_at=now, services=await _with_since(redis, services, now))


class Seen(BaseModel):
    """A state, and since when it has been the same."""

    state: str
    since: datetime


SEEN = TypeAdapter(dict[str, Seen])


async def _with_since(redis: Redis, services: list[ServiceState], now: datetime) -> list[ServiceState]:
    """The services with what redis remembers of them; without it nothing is known."""
    try:
        before = _remembered(await redis.get(SINCE_KEY))
        seen = {}
        for service in services:
            known = before.get(_place(service))
            if known is None or known.state != service.state:
                known = Seen(state=service.state, since=now)
            seen[_place(service)] = known
        # Forgotten by itself where nobody looks for too long.
        await redis.set(SINCE_KEY, SEEN.dump_json(seen), ex=UNSEEN_SECONDS)
    except RedisError:
        return services
    return [service.model_copy(update={"since": seen[_place(service)].since}) for service in services]


def _remembered(stored: bytes | str | None) -> dict[str, Seen]:
    try:
        return SEEN.validate_json(stored) if stored else {}
    except ValueError:  # written by another version of the backend
        return {}


def _place(service: ServiceState) -> str:
    return f"{service.service}:{service.port}"


async def _cached(redis: Redis) -> Snapshot | None:
    stored = await redis.get(CACHE_KEY)
    if stored is None:
        return None
    try:
        return Snapshot.model_validate_json(stored)
    except ValueError:  # written by another version of the backend
        return None


# State, detail and release.
Answer = tuple[Literal["up", "down"], str, str]


async def probe(target: Target) -> ServiceState:
    """Ask one service; never raises, and takes no longer than PROBE_SECONDS."""
    ask = _http_answer if target.kind == "http" else _tcp_answer
    begin = time.perf_counter()
    state: Literal["up", "down"] = "down"
    release = ""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            state, detail, release = await ask(target)
    except TimeoutError:
        detail = f"no answer in {PROBE_SECONDS:g} s"
    except OSError as error:
        detail = error.strerror or str(error)
    return ServiceState(
        service=target.service,
        port=target.port,
        kind=target.kind,
        state=state,
        latency_ms=round((time.perf_counter() - begin) * 1000, 1),
        detail=detail,
        release=release,
    )


async def _tcp_answer(target: Target) -> Answer:
    _, writer = await asyncio.open_connection(target.host, target.port)
    writer.close()
    return "up", "accepts connections", ""


async def _http_answer(target: Target) -> Answer:
    """Healthy is what the service's entry in the inventory calls so; who asks for a login works, too."""
    reader, writer = await asyncio.open_connection(target.host, target.port, limit=1024)
    try:
        writer.write(
            f"GET {target.path} HTTP/1.1\r\nHost: {target.host}\r\nConnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        protocol, _, rest = (await reader.readline()).decode("latin-1").partition(" ")
        code = rest[:3]
        release = await _release(reader)
    except ValueError:  # a first line longer than the limit
        protocol = code = release = ""
    finally:
        writer.close()
    if not (protocol.startswith("HTTP/") and code.isdecimal()):
        return "down", "does not speak HTTP", ""
    return ("up" if int(code) < target.below or code == "401" else "down"), f"HTTP {code}", release


async def _release(reader: asyncio.StreamReader) -> str:
    """The release that an answer's headers name, or an empty string."""
    for _ in range(MOST_LINES):
        try:
            line = await reader.readline()
        except ValueError:  # longer than the limit, so it is not that one
            continue
        if found := RELEASE.fullmatch(line):
            return found[1].decode()
        if not line.strip():
            break
    return ""
