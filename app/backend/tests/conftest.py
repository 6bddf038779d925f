"""The application against real servers.

TEST_DATABASE_URL and TEST_REDIS_URL name servers on which a test may create databases and users. Without
them throwaway servers are started where their programs are installed; elsewhere these tests are skipped.
"""

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from backend.app import create_app
from backend.config import Config
from backend.database import MIGRATIONS
from fastapi.testclient import TestClient
from psycopg import sql

TOKEN = "the-token-of-these-tests"
WRITE = {"Authorization": f"Bearer {TOKEN}"}
MONITOR_TOKEN = "the-monitors-token-of-these-tests"
# The state of the tables that this release brings.
KNOWN = max(int(file.name[:4]) for file in MIGRATIONS.iterdir())


def rights(path: str) -> dict[str, str]:
    """The header of who may write there."""
    of_monitor = path.startswith(("/api/deployments", "/api/history"))
    return {"Authorization": f"Bearer {MONITOR_TOKEN}"} if of_monitor else WRITE


def wait_for(condition: Callable[[], Any], seconds: float = 15) -> Any:
    """The condition's first true value; its exceptions count as false until the time is up."""
    end = time.monotonic() + seconds
    while True:
        try:
            if value := condition():
                return value
        except Exception:
            if time.monotonic() > end:
                raise
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.01)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def running(command: list[str | Path], user: str | None) -> Iterator[None]:
    process = subprocess.Popen(command, user=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[psycopg.Connection]:
    """A superuser's connection to a server."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection
        return
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [shutil.which("initdb")]
    if programs[-1] is None:
        pytest.skip("no PostgreSQL: set TEST_DATABASE_URL, or install postgresql")
    folder, port = Path(programs[-1]).parent, free_port()
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    with data_folder(user) as data:
        initdb = [folder / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"]
        subprocess.run(initdb, user=user, check=True, stdout=subprocess.DEVNULL)
        server: list[str | Path] = [folder / "postgres", "-D", data, "-k", data, "-p", str(port), "-F"]
        with running(server, user):
            url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
            with wait_for(lambda: psycopg.connect(url, autocommit=True)) as connection:
                yield connection


@contextmanager
def data_folder(user: str | None) -> Iterator[Path]:
    # Not below pytest's own folder, which another user may not enter.
    path = Path("/tmp") / f"dockfra-test-{secrets.token_hex(6)}"
    path.mkdir(mode=0o700)
    try:
        if user:
            shutil.chown(path, user)
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[redis.Redis]:
    """An administrator's connection to a server."""
    if url := os.environ.get("TEST_REDIS_URL"):
        with redis.Redis.from_url(url) as connection:
            yield connection
        return
    program, port = shutil.which("redis-server"), free_port()
    if program is None:
        pytest.skip("no redis: set TEST_REDIS_URL, or install redis-server")
    with (
        running([program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""], None),
        redis.Redis(port=port) as connection,
    ):
        wait_for(connection.ping)
        yield connection


class DatabaseSwitch:
    """The backend's own role and database, and a way to take them away."""

    def __init__(self, admin: psycopg.Connection, name: str) -> None:
        self.admin, self.name, self.password = admin, name, secrets.token_urlsafe(16)

    def run(self, statement: str, **names: str) -> None:
        """A statement by the superuser on the server's own database."""
        identifiers = {key: sql.Identifier(value) for key, value in names.items()}
        self.admin.execute(sql.SQL(statement).format(name=sql.Identifier(self.name), **identifiers))

    def inside(self) -> psycopg.Connection:
        """The superuser's connection to the backend's database."""
        return psycopg.connect(
            host=self.admin.info.host,
            port=self.admin.info.port,
            user=self.admin.info.user,
            password=self.admin.info.password,
            dbname=self.name,
            autocommit=True,
        )

    def stop(self) -> None:
        self.run("ALTER ROLE {name} NOLOGIN")
        self.admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (self.name,)
        )

    def start(self) -> None:
        self.run("ALTER ROLE {name} LOGIN")

    def clear(self) -> None:
        """Take the rows away."""
        with self.inside() as connection:
            connection.execute("DROP SCHEMA IF EXISTS mobile CASCADE")
            if connection.execute("SELECT to_regclass('backend.devices')").fetchone() != (None,):
                connection.execute("TRUNCATE backend.deployments, backend.devices, backend.history")

    def empty(self) -> None:
        """Take the tables away, too."""
        with self.inside() as connection:
            connection.execute("DROP SCHEMA backend CASCADE")
            owner = sql.Identifier(self.name)
            connection.execute(sql.SQL("CREATE SCHEMA backend AUTHORIZATION {}").format(owner))


@pytest.fixture(scope="session")
def _database(postgres: psycopg.Connection) -> Iterator[DatabaseSwitch]:
    database = DatabaseSwitch(postgres, f"dockfra_test_{secrets.token_hex(6)}")
    postgres.execute(
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(database.name), database.password)
    )
    database.run("CREATE DATABASE {name}")
    with database.inside() as connection:
        connection.execute("CREATE SCHEMA backend")
    database.empty()
    yield database
    database.stop()
    database.run("DROP DATABASE {name} WITH (FORCE)")
    database.run("DROP ROLE {name}")


@pytest.fixture
def database(_database: DatabaseSwitch) -> Iterator[DatabaseSwitch]:
    """A database without a row, up; perhaps without a table as well."""
    _database.clear()
    yield _database
    _database.start()


class CacheSwitch:
    """The backend's own redis user, and a way to take it away."""

    def __init__(self, admin: redis.Redis, name: str) -> None:
        self.admin, self.name, self.password = admin, name, secrets.token_urlsafe(16)
        options = ("reset", f">{self.password}", "~backend:*", "+@all", "-@dangerous", "-@admin")
        admin.execute_command("ACL", "SETUSER", name, *options)

    def stop(self) -> None:
        self.admin.execute_command("ACL", "SETUSER", self.name, "off")
        self.admin.execute_command("CLIENT", "KILL", "USER", self.name)

    def start(self) -> None:
        self.admin.execute_command("ACL", "SETUSER", self.name, "on")


@pytest.fixture
def cache(redis_server: redis.Redis) -> Iterator[CacheSwitch]:
    switch = CacheSwitch(redis_server, f"dockfra_test_{secrets.token_hex(6)}")
    switch.start()
    redis_server.delete("backend:status", "backend:since")
    yield switch
    redis_server.execute_command("ACL", "DELUSER", switch.name)


@pytest.fixture
def config(database: DatabaseSwitch, cache: CacheSwitch) -> Config:
    at_redis = cache.admin.connection_pool.connection_kwargs
    return Config.model_validate(
        {
            "database": {
                "host": database.admin.info.host,
                "port": database.admin.info.port,
                "name": database.name,
                "user": database.name,
                "password": database.password,
            },
            "cache": {
                "host": at_redis.get("host", "127.0.0.1"),
                "port": at_redis.get("port", 6379),
                "user": cache.name,
                "password": cache.password,
            },
            "api_token": TOKEN,
            "deployments_token": MONITOR_TOKEN,
        }
    )


@pytest.fixture
def eventually() -> Callable[..., Any]:
    return wait_for


@pytest.fixture
def serve() -> Iterator[Callable[[Config], TestClient]]:
    """Starts applications as a server would, without waiting for what they depend on."""
    clients: list[TestClient] = []

    def start(config: Config) -> TestClient:
        client = TestClient(create_app(config), raise_server_exceptions=False)
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__()


@pytest.fixture
def client(config: Config, serve: Callable[[Config], TestClient]) -> TestClient:
    """The running application, healthy."""
    client = serve(config)
    wait_for(lambda: client.get("/health").status_code == 200)
    return client


@pytest.fixture
def writer(client: TestClient) -> TestClient:
    """The same with the write token."""
    client.headers.update(WRITE)
    return client


@pytest.fixture
def monitor(client: TestClient) -> TestClient:
    """The same with the token for deployments."""
    client.headers.update(rights("/api/deployments"))
    return client


@pytest.fixture
def header_of() -> Callable[[str], dict[str, str]]:
    """The header of who may write at a path."""
    return rights


@pytest.fixture
def known() -> int:
    """The state of the tables that this release brings."""
    return KNOWN


# What the release before this one does with the table, word by word.
BEFORE = """
    INSERT INTO backend.deployments (service, version, status, deployed_by, started_at, finished_at, note)
    VALUES ('frontend', '1', 'started', 'somebody', now(), NULL, '') RETURNING *
"""


@pytest.fixture
def row_of_before() -> str:
    """A statement of the release before this one."""
    return BEFORE


@pytest.fixture
def before(database: DatabaseSwitch) -> Iterator[DatabaseSwitch]:
    """The tables as a release before this one leaves them, with a row."""
    database.empty()
    as_owner = sql.SQL("SET ROLE {}").format(sql.Identifier(database.name))
    with database.inside() as connection:
        connection.execute(as_owner)
        for name in ("0001.deployments.sql", "0002.devices.sql"):
            connection.execute((MIGRATIONS / name).read_bytes())
        connection.execute("CREATE TABLE backend.migration_lock ()")
        connection.execute(
            "CREATE TABLE backend.schema_state (version int NOT NULL, schema_min int NOT NULL)"
        )
        connection.execute("INSERT INTO backend.schema_state VALUES (2, 2)")
        connection.execute(BEFORE)
    yield database
    database.empty()
