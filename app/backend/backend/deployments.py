"""What was deployed, by whom, and how it ended."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel, ConfigDict, Field, model_validator

from backend.dependencies import DatabaseDep, Limit, needs_token
from backend.fields import Line, Name, Text, Timestamp, Token

router = APIRouter(prefix="/api/deployments", tags=["deployments"])

DeploymentId = Annotated[int, Path(ge=1, le=2**63 - 1)]


class DeploymentIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    service: Name
    version: Token
    status: Literal["started", "succeeded", "failed", "rolled_back"] = "started"
    deployed_by: Line
    started_at: Timestamp = Field(default_factory=lambda: datetime.now(UTC))
    finished_at: Timestamp | None = Field(
        default=None, description="Now, unless given, once it is not `started`."
    )
    note: Text = ""

    @model_validator(mode="after")
    def _finish(self) -> Self:
        if self.status == "started":
            if self.finished_at is not None:
                raise ValueError("a deployment that is only started has no finished_at")
        elif self.finished_at is None:
            self.finished_at = max(datetime.now(UTC), self.started_at)
        elif self.finished_at < self.started_at:
            raise ValueError("finished_at is before started_at")
        return self


class Deployment(BaseModel):
    id: int
    service: str
    version: str
    status: str
    deployed_by: str
    started_at: datetime
    finished_at: datetime | None
    note: str


@router.get("")
async def list_deployments(database: DatabaseDep, limit: Limit = 50) -> list[Deployment]:
    """The latest deployments, newest first."""
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT * FROM backend.deployments ORDER BY started_at DESC, id DESC LIMIT %s", (limit,)
        )
        return [Deployment(**row) async for row in cursor]


@router.post("", status_code=201, dependencies=[needs_token])
async def record_deployment(database: DatabaseDep, deployment: DeploymentIn) -> Deployment:
    """Record a deployment, usually when it starts."""
    async with database.connection() as connection:
        cursor = await connection.execute(
            """
            INSERT INTO backend.deployments
                (service, version, status, deployed_by, started_at, finished_at, note)
            VALUES (%(service)s, %(version)s, %(status)s, %(deployed_by)s, %(started_at)s, %(finished_at)s, %(note)s)
            RETURNING *
            """,
            deployment.model_dump(),
        )
        return Deployment(**(await cursor.fetchone() or {}))


@router.get("/{deployment_id}")
async def get_deployment(database: DatabaseDep, deployment_id: DeploymentId) -> Deployment:
    async with database.connection() as connection:
        cursor = await connection.execute("SELECT * FROM backend.deployments WHERE id = %s", (deployment_id,))
        return _found(await cursor.fetchone())


@router.put("/{deployment_id}", dependencies=[needs_token])
async def update_deployment(
    database: DatabaseDep, deployment_id: DeploymentId, deployment: DeploymentIn
) -> Deployment:
    """Say how a deployment ended. Its start stays as recorded unless `started_at` is given."""
    given = deployment.model_dump()
    if "started_at" not in deployment.model_fields_set:
        given["started_at"] = None
    async with database.connection() as connection:
        cursor = await connection.execute(
            """
            UPDATE backend.deployments
            SET service = %(service)s, version = %(version)s, status = %(status)s, deployed_by = %(deployed_by)s,
                started_at = coalesce(%(started_at)s, started_at), finished_at = %(finished_at)s, note = %(note)s
            WHERE id = %(id)s
            RETURNING *
            """,
            {**given, "id": deployment_id},
        )
        return _found(await cursor.fetchone())


def _found(row: dict[str, object] | None) -> Deployment:
    if row is None:
        raise HTTPException(404, "no such deployment")
    return Deployment.model_validate(row)
