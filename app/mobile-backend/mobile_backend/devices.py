"""Registration of devices, and the token by which each is known afterwards."""

import hashlib
import secrets
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import UUID4, BaseModel, ConfigDict, StringConstraints

from mobile_backend.database import Connection

router = APIRouter(tags=["devices"])
bearer = HTTPBearer(auto_error=False, description="The token that the registration returned.")

Label = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:+_-]{0,63}$")]


class Registration(BaseModel):
    model_config = ConfigDict(extra="forbid")

    # Random, made once by the installed application and known to it alone: it is a secret like the token.
    installation_id: UUID4
    name: Label
    platform: Literal["android", "ios", "other"]
    architecture: Token = "unknown"
    version: Token


class Registered(BaseModel):
    id: UUID
    token: str


@router.post("/device/register", status_code=201, responses={200: {"model": Registered}})
async def register(request: Request, registration: Registration, response: Response) -> Registered:
    """Register an installation. Again for the same one: the same id, a new token, the old one ends."""
    token = secrets.token_urlsafe(32)
    async with request.app.state.database.connection() as connection:
        cursor = await connection.execute(
            """
            INSERT INTO mobile.devices (installation_hash, token_hash, name, platform, architecture, version)
            SELECT %(installation)s, %(token)s, %(name)s, %(platform)s, %(architecture)s, %(version)s
            WHERE (SELECT count(*) FROM mobile.devices WHERE installation_hash <> %(installation)s) < %(limit)s
            ON CONFLICT (installation_hash) DO UPDATE
            SET token_hash = excluded.token_hash, name = excluded.name, platform = excluded.platform,
                architecture = excluded.architecture, version = excluded.version, last_seen = now()
            RETURNING id, xmax = 0 AS added
            """,
            {
                **registration.model_dump(),
                "installation": _hash(str(registration.installation_id)),
                "token": _hash(token),
                "limit": request.app.state.config.max_devices,
            },
        )
        row = await cursor.fetchone()
    if row is None:
        raise HTTPException(503, "no more devices can register")
    response.status_code = 201 if row["added"] else 200
    return Registered(id=row["id"], token=token)


def presented_token(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> str:
    return credentials.credentials if credentials else ""


async def lock_device(connection: Connection, token: str) -> UUID:
    """The device that holds the token, marked as seen and locked until the transaction ends."""
    cursor = await connection.execute(
        "UPDATE mobile.devices SET last_seen = now() WHERE token_hash = %s RETURNING id", (_hash(token),)
    )
    row = await cursor.fetchone()
    if row is None:
        raise HTTPException(401, "a valid device token is needed", {"WWW-Authenticate": "Bearer"})
    device: UUID = row["id"]
    return device


def _hash(secret: str) -> bytes:
    # Both secrets are random and long: a plain digest is as good as a slow one.
    return hashlib.sha256(secret.encode()).digest()
