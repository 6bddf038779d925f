"""What the routes need from the application, and who may write."""

import secrets
from typing import Annotated

from fastapi import Depends, HTTPException, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from backend.database import Database

Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]

bearer = HTTPBearer(
    auto_error=False, description="A write token: the platform's, or of deployments the monitor's."
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


def _needs_token(request: Request, credentials: Credentials) -> None:
    _check(credentials, request.app.state.config.api_token)


def _needs_deployments_token(request: Request, credentials: Credentials) -> None:
    _check(credentials, request.app.state.config.deployments_token)


def _check(credentials: HTTPAuthorizationCredentials | None, expected: SecretStr | None) -> None:
    given = credentials.credentials if credentials else ""
    # Bytes: compare_digest refuses text outside ASCII, which a header may hold.
    if expected is None or not secrets.compare_digest(given.encode(), expected.get_secret_value().encode()):
        raise HTTPException(401, "a valid bearer token is needed", {"WWW-Authenticate": "Bearer"})


DatabaseDep = Annotated[Database, Depends(_database)]
needs_token = Depends(_needs_token)
needs_deployments_token = Depends(_needs_deployments_token)
