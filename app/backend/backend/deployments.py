"""What was deployed, by whom, and how it ended. The monitor tells it, and nobody else may."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from fastapi import APIRouter, HTTPException, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, computed_field, model_validator

from backend.dependencies import DatabaseDep, Limit, needs_deployments_token
from backend.fields import Commit, Line, Name, Release, Text, TicketId, Timestamp, Token
from backend.tagged import tagged

router = APIRouter(prefix="/api/deployments", tags=["deployments"])

# Of so many deployments is known what they were; the oldest are forgotten.
KEPT = 5000

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
    deploy_id: Token | None = Field(
        default=None,
        description="What the caller knows it by: told as `started` and again when it has ended, it is recorded once.",
    )
    services: list[Name] = Field(default=[], max_length=50, description="What it brought a release to.")
    commit: Commit = ""
    release: Release = ""
    tickets: list[TicketId] = Field(default=[], max_length=50, description="Those its commits name.")

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
    deploy_id: str | None
    services: list[str]
    commit: str
    release: str
    tickets: list[str]

    @computed_field
    def seconds(self) -> float | None:
        """How long it took."""
        return (self.finished_at - self.started_at).total_seconds() if self.finished_at else None


DEPLOYMENTS = TypeAdapter(list[Deployment])


@router.get("", response_model=list[Deployment], responses={304: {}})
async def list_deployments(request: Request, database: DatabaseDep, limit: Limit = 50) -> Response:
    """The latest deployments, newest first. Who has an answer with the same ETag need not be sent it again."""
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT * FROM backend.deployments ORDER BY started_at DESC, id DESC LIMIT %s", (limit,)
        )
        body = DEPLOYMENTS.dump_json([Deployment(**row) async for row in cursor])
    return tagged(request, body)


@router.post(
    "",
    status_code=201,
    dependencies=[needs_deployments_token],
    responses={200: {"model": Deployment, "description": "It was recorded before; it is as it is here."}},
)
async def record_deployment(
    database: DatabaseDep, response: Response, deployment: DeploymentIn
) -> Deployment:
    """Record a deployment; one with the `deploy_id` of another is that one, told again: how it ended is recorded once."""
    async with database.connection() as connection, connection.transaction():
        cursor = await connection.execute(
            """
            INSERT INTO backend.deployments
                (service, version, status, deployed_by, started_at, finished_at, note,
                 deploy_id, services, commit, release, tickets)
            VALUES (%(service)s, %(version)s, %(status)s, %(deployed_by)s, %(started_at)s, %(finished_at)s, %(note)s,
                    %(deploy_id)s, %(services)s, %(commit)s, %(release)s, %(tickets)s)
            ON CONFLICT (deploy_id) DO UPDATE
            SET service = excluded.service, version = excluded.version, status = excluded.status,
                deployed_by = excluded.deployed_by, started_at = excluded.started_at,
                finished_at = excluded.finished_at, note = excluded.note, services = excluded.services,
                commit = excluded.commit, release = excluded.release, tickets = excluded.tickets
            WHERE deployments.status = 'started' AND excluded.status <> 'started'
            RETURNING *, xmax = 0 AS added
            """,
            deployment.model_dump(),
        )
        if (row := await cursor.fetchone()) is None:
            response.status_code = 200
            cursor = await connection.execute(
                "SELECT * FROM backend.deployments WHERE deploy_id = %s", (deployment.deploy_id,)
            )
            return _found(await cursor.fetchone())
        if not row.pop("added"):
            response.status_code = 200
            return Deployment.model_validate(row)
        await connection.execute(
            """
            DELETE FROM backend.deployments WHERE id IN
                (SELECT id FROM backend.deployments ORDER BY started_at DESC, id DESC OFFSET %s)
            """,
            (KEPT,),
        )
        return Deployment.model_validate(row)


@router.get("/{deployment_id}")
async def get_deployment(database: DatabaseDep, deployment_id: DeploymentId) -> Deployment:
    async with database.connection() as connection:
        cursor = await connection.execute("SELECT * FROM backend.deployments WHERE id = %s", (deployment_id,))
        return _found(await cursor.fetchone())


@router.put("/{deployment_id}", dependencies=[needs_deployments_token])
async def update_deployment(
    database: DatabaseDep, deployment_id: DeploymentId, deployment: DeploymentIn
) -> Deployment:
    """Say how a deployment ended. Its start stays as recorded unless `started_at` is given, and its `deploy_id` does."""
    given = deployment.model_dump()
    if "started_at" not in deployment.model_fields_set:
        given["started_at"] = None
    async with database.connection() as connection:
        cursor = await connection.execute(
            """
            UPDATE backend.deployments
            SET service = %(service)s, version = %(version)s, status = %(status)s, deployed_by = %(deployed_by)s,
                started_at = coalesce(%(started_at)s, started_at), finished_at = %(finished_at)s, note = %(note)s,
                services = %(services)s, commit = %(commit)s, release = %(release)s, tickets = %(tickets)s
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
