"""PostgreSQL: a pool that outlives its server, and migrations before first use."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from backend.config import DatabaseConfig
from backend.schema import SchemaRefused, migrate

SCHEMA = "backend"
MIGRATIONS = Path(__file__).with_name("migrations")
RETRY_SECONDS = 2.0
# After an answer that waiting alone does not change.
REFUSED_SECONDS = 30.0
ANSWER_SECONDS = 5.0
RENEW_SECONDS = 30.0

log = logging.getLogger("uvicorn.error")
Connection = psycopg.AsyncConnection[DictRow]


class DatabaseUnavailable(Exception):
    """The database cannot serve right now; the client may try again."""


class Database:
    """Args: ``config`` is asked at each new connection, for the login may have become another one."""

    def __init__(self, config: Callable[[], DatabaseConfig]) -> None:
        self._config = config
        self._pool = self._new_pool()
        self._preparation: asyncio.Task[None] | None = None
        # Why this release cannot work with the tables; empty where it can, or that is not known yet.
        self.refused = ""

    def _new_pool(self) -> AsyncConnectionPool[Connection]:
        return AsyncConnectionPool(
            kwargs=lambda: {**self._params(), "autocommit": True, "row_factory": dict_row},
            min_size=1,
            max_size=5,
            timeout=2,
            # Give up soon: the next request starts a new attempt, so recovery never waits for a long backoff.
            reconnect_timeout=4,
            check=AsyncConnectionPool.check_connection,
            open=False,
        )

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Serve from here on, whether or not the database is up yet."""
        await self._pool.open(wait=False)
        self._preparation = asyncio.create_task(self._prepare())
        try:
            yield
        finally:
            self._preparation.cancel()
            await self._pool.close(timeout=2)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection to a migrated database; raises DatabaseUnavailable when there is none."""
        if self._preparation is None or not self._preparation.done():
            raise DatabaseUnavailable("not migrated yet")
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._pool.connection() as connection:
                yield connection
        except psycopg.errors.UndefinedTable as error:
            # The server came back with an empty volume: build the tables again.
            self._preparation = asyncio.create_task(self._prepare())
            raise DatabaseUnavailable("tables are missing") from error
        except (PoolTimeout, TimeoutError, psycopg.OperationalError) as error:
            raise DatabaseUnavailable(str(error) or type(error).__name__) from error

    async def renew(self) -> None:
        """Have other connections in place of those there are, which serve until the first of them is there."""
        fresh = self._new_pool()
        await fresh.open(wait=True, timeout=RENEW_SECONDS)
        former, self._pool = self._pool, fresh
        try:
            await asyncio.sleep(ANSWER_SECONDS)  # for who waits for one of them, or has one
        finally:
            await former.close(timeout=2)

    async def check(self) -> None:
        """Asks for a table, not just an answer: a server with an empty volume answers as well."""
        async with self.connection() as connection:
            await connection.execute("SELECT 1 FROM backend.devices LIMIT 1")

    def _params(self) -> dict[str, Any]:
        config = self._config()
        return {
            "host": config.host,
            "port": config.port,
            "dbname": config.name,
            "user": config.user,
            "password": config.password.get_secret_value(),
            "connect_timeout": 3,
            "options": "-c statement_timeout=4s -c lock_timeout=4s",
        }

    async def _prepare(self) -> None:
        reported = ""
        while True:
            try:
                await asyncio.to_thread(self._migrate)
            except Exception as error:  # noqa: BLE001 - whatever it is: stay up, say 503, try on
                self.refused = str(error) if isinstance(error, SchemaRefused) else ""
                if str(error) != reported:
                    reported = str(error)
                    log.warning("database not ready, trying on: %s", reported)
            else:
                self.refused = ""
                return
            await asyncio.sleep(REFUSED_SECONDS if self.refused else RETRY_SECONDS)

    def _migrate(self) -> None:
        schema_min = int(os.environ.get("DOCKFRA_SCHEMA_MIN") or 0)
        migrate(lambda: psycopg.connect(**self._params()), SCHEMA, MIGRATIONS, schema_min)
