"""The devices the platform serves: its own, and those the mobile backend registered."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import psycopg
from fastapi import APIRouter, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field

from backend.dependencies import DatabaseDep, Limit, needs_device_token, needs_token
from backend.fields import Name, Release, Timestamp, Token

router = APIRouter(prefix="/api/devices", tags=["devices"])

OWN = """
    SELECT id, name, kind, architecture, address, version, last_seen, release, uptime, disk_used, temperature
    FROM backend.devices
"""
MOBILE = """
    SELECT id, name, 'mobile', architecture, NULL, version, last_seen, '', NULL, NULL, NULL FROM mobile.devices
"""
INSERT = """
    INSERT INTO backend.devices
        (name, kind, architecture, address, version, release, uptime, disk_used, temperature, last_seen)
    VALUES (%(name)s, %(kind)s, %(architecture)s, %(address)s, %(version)s, %(release)s, %(uptime)s,
        %(disk_used)s, %(temperature)s, %(last_seen)s)
"""
IF_NEW = "ON CONFLICT (name) DO NOTHING RETURNING *"
OR_CHANGE = """
    ON CONFLICT (name) DO UPDATE
    SET kind = excluded.kind, architecture = excluded.architecture, address = excluded.address,
        version = excluded.version, release = excluded.release, uptime = excluded.uptime,
        disk_used = excluded.disk_used, temperature = excluded.temperature, last_seen = excluded.last_seen
    RETURNING *, xmax = 0 AS added
"""
NEWEST_FIRST = "ORDER BY last_seen DESC, name LIMIT %s"


class DeviceState(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["edge", "mobile"]
    architecture: Token
    address: Token | None = None
    version: Token
    release: Release = ""
    uptime: Annotated[int, Field(ge=0, le=10**10, description="Seconds since it started.")] | None = None
    disk_used: Annotated[int, Field(ge=0, le=100, description="Percent.")] | None = None
    temperature: Annotated[float, Field(ge=-100, le=200, description="Degrees Celsius.")] | None = None
    # A device need not know the time.
    last_seen: Timestamp = Field(default_factory=lambda: datetime.now(UTC))


class DeviceIn(DeviceState):
    name: Name


class Device(BaseModel):
    id: UUID
    name: str
    kind: str
    architecture: str
    address: str | None
    version: str
    release: str
    uptime: int | None
    disk_used: int | None
    temperature: float | None
    last_seen: datetime


@router.get("")
async def list_devices(database: DatabaseDep, limit: Limit = 50) -> list[Device]:
    """All devices, the last seen first."""
    async with database.connection() as connection:
        try:
            cursor = await connection.execute(f"{OWN} UNION ALL {MOBILE} {NEWEST_FIRST}", (limit,))
        except (
            psycopg.errors.UndefinedTable,
            psycopg.errors.UndefinedColumn,
            psycopg.errors.InvalidSchemaName,
            psycopg.errors.InsufficientPrivilege,
            psycopg.errors.DatatypeMismatch,
            psycopg.errors.ObjectNotInPrerequisiteState,  # a view, which would run with the backend's rights
        ):
            # The mobile backend is another application: absent, or replaced by one with tables of its own.
            cursor = await connection.execute(f"{OWN} {NEWEST_FIRST}", (limit,))
        return [Device(**row) async for row in cursor]


@router.post("", status_code=201, dependencies=[needs_token])
async def add_device(database: DatabaseDep, device: DeviceIn) -> Device:
    async with database.connection() as connection:
        cursor = await connection.execute(
            f"{INSERT} {IF_NEW}",
            device.model_dump(),
        )
        row = await cursor.fetchone()
    if row is None:
        raise HTTPException(409, f"{device.name} exists: update it with PUT /api/devices/{device.name}")
    return Device(**row)


@router.put("/{name}", dependencies=[needs_device_token], responses={201: {"model": Device}})
async def report_device(database: DatabaseDep, name: Name, device: DeviceState, response: Response) -> Device:
    """Report a device's state, by whoever has its token; the first report adds it."""
    async with database.connection() as connection:
        cursor = await connection.execute(
            f"{INSERT} {OR_CHANGE}",
            {**device.model_dump(), "name": name},
        )
        row = await cursor.fetchone() or {}
    response.status_code = 201 if row.pop("added") else 200
    return Device(**row)
