"""How the services were lately, as the monitor saw it. The monitor tells all of it each time, and nobody else may.

Only the last that was told is kept: one row, names and letters.
"""

import json
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from backend.dependencies import DatabaseDep, needs_deployments_token
from backend.fields import Name, Timestamp
from backend.tagged import tagged

router = APIRouter(prefix="/api/history", tags=["status"])

# Services, and parts of the time of each, that are taken.
MOST_SERVICES = 60
MOST_PARTS = 96

Parts = Annotated[str, StringConstraints(pattern=rf"^[upd-]{{0,{MOST_PARTS}}}$")]


class Past(BaseModel):
    """How a service was, part by part; the last one ends at `until`."""

    model_config = ConfigDict(extra="forbid")

    service: Name
    parts: Parts = Field(
        description="A letter each: `u` worked at each look, `p` at some, `d` at none, `-` nobody looked."
    )


class HistoryIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    until: Timestamp
    step: int = Field(ge=60, le=86400, description="Seconds of a part.")
    services: list[Past] = Field(max_length=MOST_SERVICES)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len({past.service for past in self.services}) < len(self.services):
            raise ValueError("a service is named twice")
        return self


class History(BaseModel):
    until: datetime | None = Field(default=None, description="Null where nothing was told yet.")
    step: int = 900
    services: list[Past] = []


@router.get("", response_model=History, responses={304: {}})
async def get_history(request: Request, database: DatabaseDep) -> Response:
    """How the services were, as it was told last. Who has an answer with the same ETag need not be sent it again."""
    async with database.connection() as connection:
        cursor = await connection.execute("SELECT until, step, services FROM backend.history")
        row = await cursor.fetchone()
    return tagged(request, History.model_validate(row or {}).model_dump_json().encode())


@router.put("", status_code=204, dependencies=[needs_deployments_token])
async def replace_history(database: DatabaseDep, history: HistoryIn) -> None:
    """Tell how the services were; what was told before is forgotten."""
    told = history.model_dump()
    async with database.connection() as connection:
        await connection.execute(
            """
            INSERT INTO backend.history (until, step, services)
            VALUES (%(until)s, %(step)s, %(services)s::jsonb)
            ON CONFLICT (one) DO UPDATE
            SET until = excluded.until, step = excluded.step, services = excluded.services
            """,
            {**told, "services": json.dumps(told["services"])},
        )
