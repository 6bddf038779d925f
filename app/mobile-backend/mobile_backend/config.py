"""The one file the service reads."""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

DEFAULT_PATH = "/etc/dockfra/mobile-backend.json"


class DatabaseConfig(BaseModel):
    # The file is of the platform, and this release may be older than that: what it does not know is for others.
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    host: str
    port: int = Field(ge=1, le=65535)
    name: str
    user: str
    password: SecretStr


class Config(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    database: DatabaseConfig
    api_base: str = Field(default="", description="Empty: as the client addressed the service.")
    min_version: str = "1.0.0"
    poll_seconds: int = Field(default=60, ge=1, le=86400)
    max_devices: int = Field(default=10_000, ge=1)
    max_events_per_device: int = Field(default=1_000, ge=1)


def config_path() -> Path:
    return Path(os.environ.get("MOBILE_BACKEND_CONFIG", DEFAULT_PATH))


def load_config(path: Path | None = None) -> Config:
    path = path or config_path()
    return Config.model_validate_json(path.read_bytes())
