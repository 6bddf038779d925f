"""Synchronisation: a device hands in events and receives those of its own that it does not have."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from mobile_backend.database import Connection
from mobile_backend.devices import Token, lock_device, presented_token

router = APIRouter(tags=["sync"])

MAX_BATCH = 100
MAX_DATA = 4096
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)


def _storable(data: dict[str, Any]) -> dict[str, Any]:
    # Raises ValueError as well for what is no JSON: NaN, half a surrogate pair.
    size = len(json.dumps(data, ensure_ascii=False, allow_nan=False).encode())
    if size > MAX_DATA:
        raise ValueError(f"must be at most {MAX_DATA} bytes")
    return data


def _plausible(at: datetime) -> datetime:
    if not EARLIEST <= at < LATEST:
        raise ValueError(f"must be from {EARLIEST:%Y} on and before {LATEST:%Y}")
    return at


class Event(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: Token = Field(description="Chosen by the client; a second event of the same id is not stored.")
    type: Token
    at: Annotated[AwareDatetime, AfterValidator(_plausible)]
    data: Annotated[dict[str, Any], AfterValidator(_storable)] = {}


class SyncRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    cursor: int = Field(default=0, ge=0, lt=2**63, description="As the last answer gave it; 0 at first.")
    events: list[Event] = Field(default=[], max_length=MAX_BATCH)


class SyncAnswer(BaseModel):
    cursor: int
    acknowledged: list[str]
    events: list[Event]
    more: bool = Field(description="There are more events: ask again with the new cursor.")


@router.post("/sync")
async def sync(
    request: Request, batch: SyncRequest, token: Annotated[str, Depends(presented_token)]
) -> SyncAnswer:
    """Store a batch of events; sending it again changes nothing."""
    async with request.app.state.database.connection() as connection:
        # Calls of one device wait for each other here, so positions become visible in their order
        # and a cursor never skips one.
        device = await lock_device(connection, token)
        await _store(connection, device, batch.events)
        await _forget(connection, device, request.app.state.config.max_events_per_device)
        return await _news(connection, device, batch)


async def _store(connection: Connection, device: UUID, events: list[Event]) -> None:
    await connection.execute(
        """
        INSERT INTO mobile.events (device_id, id, type, at, data)
        SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::json[])
        ON CONFLICT (device_id, id) DO NOTHING
        """,
        (
            device,
            [event.id for event in events],
            [event.type for event in events],
            [event.at for event in events],
            [json.dumps(event.data) for event in events],
        ),
    )


async def _forget(connection: Connection, device: UUID, keep: int) -> None:
    await connection.execute(
        """
        DELETE FROM mobile.events WHERE device_id = %(device)s AND position <= (
            SELECT position FROM mobile.events WHERE device_id = %(device)s
            ORDER BY position DESC OFFSET %(keep)s LIMIT 1
        )
        """,
        {"device": device, "keep": keep},
    )


async def _news(connection: Connection, device: UUID, batch: SyncRequest) -> SyncAnswer:
    sent = list(dict.fromkeys(event.id for event in batch.events))
    cursor = await connection.execute(
        """
        SELECT position, id, type, at, data FROM mobile.events
        WHERE device_id = %s AND position > %s AND id <> ALL(%s::text[])
        ORDER BY position LIMIT %s
        """,
        (device, batch.cursor, sent, MAX_BATCH + 1),
    )
    rows = await cursor.fetchall()
    news, more = rows[:MAX_BATCH], len(rows) > MAX_BATCH
    if more:
        position = news[-1]["position"]
    else:
        cursor = await connection.execute(
            "SELECT coalesce(max(position), 0) AS last FROM mobile.events WHERE device_id = %s", (device,)
        )
        position = (await cursor.fetchone() or {})["last"]
    events = [Event.model_construct(**{key: row[key] for key in Event.model_fields}) for row in news]
    return SyncAnswer(cursor=position, acknowledged=sent, events=events, more=more)
