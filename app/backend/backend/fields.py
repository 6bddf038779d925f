"""The field types the API's models share: each bounded, and each something PostgreSQL can store."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, StringConstraints

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)


def _within_range(value: datetime) -> datetime:
    if not EARLIEST <= value < LATEST:
        raise ValueError(f"must be from {EARLIEST:%Y} on and before {LATEST:%Y}")
    return value


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:+_/-]{0,127}$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Text = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$")]
Timestamp = Annotated[AwareDatetime, AfterValidator(_within_range)]
Commit = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})?$")]
Release = Annotated[str, StringConstraints(pattern=r"^([0-9]{8}T[0-9]{6}Z-[0-9a-f]{12})?$")]
TicketId = Annotated[str, StringConstraints(pattern=r"^T-([0-9]{4}|[1-9][0-9]{4,17})$")]
