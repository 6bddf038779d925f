"""What the routes need from the application, and who may write."""

import hashlib
import hmac
import secrets
from typing import Annotated

from fastapi import Depends, HTTPException, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from backend.database import Database
from backend.fields import Name

Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]

bearer = HTTPBearer(
    auto_error=False,
    description="A write token: the platform's, of deployments the monitor's, or of a device its own.",
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


def _needs_token(request: Request, credentials: Credentials) -> None:
    _check(credentials, request.app.state.config.api_token)


def _needs_deployments_token(request: Request, credentials: Credentials) -> None:
    _check(credentials, request.app.state.config.deployments_token)


def _needs_device_token(request: Request, name: Name, credentials: Credentials) -> None:
    token: SecretStr = request.app.state.config.api_token
    _check(credentials, token, device_token(token, name))


def device_token(token: SecretStr, name: str) -> SecretStr:
    """The token with which a device may report itself, and nothing else: it follows from the platform's own, so that nobody keeps a list."""
    return SecretStr(hmac.new(token.get_secret_value().encode(), name.encode(), hashlib.sha256).hexdigest())


def _check(credentials: HTTPAuthorizationCredentials | None, *expected: SecretStr | None) -> None:
    given = (credentials.credentials if credentials else "").encode()
    # Bytes: compare_digest refuses text outside ASCII, which a header may hold.
    known = [token.get_secret_value().encode() for token in expected if token is not None]
    if not any(secrets.compare_digest(given, token) for token in known):
        raise HTTPException(401, "a valid bearer token is needed", {"WWW-Authenticate": "Bearer"})


DatabaseDep = Annotated[Database, Depends(_database)]
needs_token = Depends(_needs_token)
needs_device_token = Depends(_needs_device_token)
needs_deployments_token = Depends(_needs_deployments_token)
