"""The application against a real PostgreSQL.

TEST_DATABASE_URL names a server on which a test may create databases and roles. Without it a throwaway
server is started where its programs are installed; elsewhere these tests are skipped.
"""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient
from mobile_backend.app import create_app
from mobile_backend.config import Config
from psycopg.conninfo import make_conninfo

ROLE = f"dockfra_test_{secrets.token_hex(6)}"
PASSWORD = secrets.token_urlsafe(16)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """How a superuser connects to the server."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    initdb = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=shutil.which("initdb"))
    if initdb is None:
        pytest.skip("no PostgreSQL: set TEST_DATABASE_URL, or install postgresql")
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    with tempfile.TemporaryDirectory() as data, socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
        free.close()
        shutil.chown(data, user or os.geteuid())
        quiet = {"user": user, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(
            [initdb, "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"], check=True, **quiet
        )
        postgres = Path(initdb).with_name("postgres")
        process = subprocess.Popen([postgres, "-D", data, "-k", data, "-p", port, "-F"], **quiet)
        try:
            url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
            eventually_true(lambda: psycopg.connect(url).close() is None)
            yield url
        finally:
            process.terminate()
            process.wait(10)


def eventually_true(condition: Callable[[], Any], seconds: float = 15) -> None:
    """Returns once the condition is true; its exceptions count as false until the time is up."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if condition():
                return
        except psycopg.OperationalError:
            pass
        time.sleep(0.02)
    pytest.fail(f"not within {seconds} s")


class Database:
    """The service's own database, as seen by a superuser, and a way to take it away from the service."""

    def __init__(self, url: str) -> None:
        self.conninfo = make_conninfo(url, dbname=ROLE)

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def stop(self) -> None:
        self.run(f"ALTER ROLE {ROLE} NOLOGIN")
        self.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", ROLE)

    def start(self) -> None:
        self.run(f"ALTER ROLE {ROLE} LOGIN")

    def empty(self) -> None:
        self.run("DROP SCHEMA IF EXISTS mobile CASCADE")
        self.run(f"CREATE SCHEMA mobile AUTHORIZATION {ROLE}")


@pytest.fixture(scope="session")
def database(server: str) -> Iterator[Database]:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
        connection.execute(f"CREATE DATABASE {ROLE}")
        database = Database(server)
        database.empty()
        yield database
        connection.execute(f"DROP DATABASE {ROLE} WITH (FORCE)")
        connection.execute(f"DROP ROLE {ROLE}")


@pytest.fixture
def config(database: Database) -> Config:
    with psycopg.connect(database.conninfo) as connection:
        host, port = connection.info.host, connection.info.port
    return Config.model_validate(
        {"database": {"host": host, "port": port, "name": ROLE, "user": ROLE, "password": PASSWORD}}
    )


@pytest.fixture
def eventually() -> Callable[..., None]:
    return eventually_true


@pytest.fixture
def serve() -> Iterator[Callable[[Config], TestClient]]:
    """Starts applications as a server would, without waiting for the database."""
    clients: list[TestClient] = []

    def start(config: Config) -> TestClient:
        clients.append(TestClient(create_app(config), raise_server_exceptions=False))
        return clients[-1].__enter__()

    yield start
    for client in clients:
        client.__exit__()


@pytest.fixture
def client(config: Config, serve: Callable[[Config], TestClient]) -> TestClient:
    """The running service, healthy."""
    client = serve(config)
    eventually_true(lambda: client.get("/health").status_code == 200)
    return client


@pytest.fixture
def registration() -> dict[str, str]:
    return {"installation_id": str(uuid4()), "name": "Ann's phone", "platform": "android", "version": "1.0.0"}


@pytest.fixture
def device(client: TestClient, registration: dict[str, str]) -> dict[str, str]:
    """The headers of a registered device."""
    return {"Authorization": f"Bearer {client.post('/device/register', json=registration).json()['token']}"}
