"""What the routes need from the application, and who may write."""

import secrets
from typing import Annotated

from fastapi import Depends, HTTPException, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from backend.database import Database

Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]

bearer = HTTPBearer(auto_error=False, description="The platform's write token.")


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


def _needs_token(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> None:
    expected = request.app.state.config.api_token.get_secret_value()
    given = credentials.credentials if credentials else ""
    # Bytes: compare_digest refuses text outside ASCII, which a header may hold.
    if not secrets.compare_digest(given.encode(), expected.encode()):
        raise HTTPException(401, "a valid bearer token is needed", {"WWW-Authenticate": "Bearer"})


DatabaseDep = Annotated[Database, Depends(_database)]
needs_token = Depends(_needs_token)
