"""The one file the backend reads: where its neighbours are, its secrets, its few settings."""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

DEFAULT_PATH = "/etc/dockfra/backend.json"
Port = Field(ge=1, le=65535)


class Section(BaseModel):
    # The file is of the platform, and this release may be older than that: what it does not know is for others.
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class DatabaseConfig(Section):
    host: str
    port: int = Port
    name: str
    user: str
    password: SecretStr


class CacheConfig(Section):
    host: str
    port: int = Port
    user: str
    password: SecretStr


class Target(Section):
    """A port of another service that the backend can reach, and how to ask it whether it is up."""

    service: str
    host: str
    port: int = Port
    kind: Literal["http", "tcp"]
    # What an HTTP port is asked for, and the lowest status that means that the service does not work.
    path: str = "/health"
    below: int = 400


class Member(Section):
    """A service of the platform, whether or not the backend can reach it."""

    name: str
    description: str = ""


class Stack(Section):
    """Services that belong together, under the heading they are shown with."""

    name: str
    services: tuple[Member, ...]


class Config(Section):
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    database: DatabaseConfig
    cache: CacheConfig
    api_token: SecretStr = Field(min_length=16)
    deployments_token: SecretStr | None = Field(
        default=None, min_length=16, description="Of who may record deployments; without one nobody may."
    )
    status_cache_seconds: int = Field(default=5, ge=0, le=3600)
    status_watch_seconds: int = Field(default=30, ge=0, le=120)
    name: str = Field(default="backend", description="What the platform calls this service.")
    slow_seconds: int = Field(default=0, ge=0, le=60, description="Most of /api/slow; 0 for none.")
    targets: tuple[Target, ...] = ()
    stacks: tuple[Stack, ...] = Field(default=(), description="All of the platform, the backend among them.")


def config_path() -> Path:
    return Path(os.environ.get("BACKEND_CONFIG", DEFAULT_PATH))


def load_config(path: Path | None = None) -> Config:
    path = path or config_path()
    return Config.model_validate_json(path.read_bytes())
