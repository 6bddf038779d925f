"""PostgreSQL: a pool that outlives its server, and migrations before first use."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from yoyo import get_backend, read_migrations  # type: ignore[import-untyped]

from backend.config import DatabaseConfig

SCHEMA = "backend"
MIGRATIONS = str(Path(__file__).with_name("migrations"))
RETRY_SECONDS = 2.0
ANSWER_SECONDS = 5.0

log = logging.getLogger("uvicorn.error")
Connection = psycopg.AsyncConnection[DictRow]


class DatabaseUnavailable(Exception):
    """The database cannot serve right now; the client may try again."""


class Database:
    def __init__(self, config: DatabaseConfig) -> None:
        self._params: dict[str, Any] = {
            "host": config.host,
            "port": config.port,
            "dbname": config.name,
            "user": config.user,
            "password": config.password.get_secret_value(),
            "connect_timeout": 3,
            "options": "-c statement_timeout=4s -c lock_timeout=4s",
        }
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            kwargs={**self._params, "autocommit": True, "row_factory": dict_row},
            min_size=1,
            max_size=5,
            timeout=2,
            # Give up soon: the next request starts a new attempt, so recovery never waits for a long backoff.
            reconnect_timeout=4,
            check=AsyncConnectionPool.check_connection,
            open=False,
        )
        self._preparation: asyncio.Task[None] | None = None

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

    async def check(self) -> None:
        """Asks for a table, not just an answer: a server with an empty volume answers as well."""
        async with self.connection() as connection:
            await connection.execute("SELECT 1 FROM backend.devices LIMIT 1")

    async def _prepare(self) -> None:
        reported = ""
        while True:
            try:
                return await asyncio.to_thread(migrate, self._params)
            except Exception as error:  # noqa: BLE001 - whatever it is: stay up, say 503, try on
                if str(error) != reported:
                    reported = str(error)
                    log.warning("database not ready, trying on: %s", reported)
            await asyncio.sleep(RETRY_SECONDS)


def migrate(params: dict[str, Any]) -> None:
    """Bring the schema up to date; of several processes one works and the others wait."""
    user, password, host, port, name = (
        quote(str(params[key]), safe="") for key in ("user", "password", "host", "port", "dbname")
    )
    uri = f"postgresql+psycopg://{user}:{password}@{host}:{port}/{name}?schema={SCHEMA}"
    with psycopg.connect(**params) as guard, get_backend(uri) as backend:
        # Not an advisory lock, which any role could hold: this one takes a right that only the table's owner has.
        guard.execute("CREATE TABLE IF NOT EXISTS backend.migration_lock ()")
        guard.commit()
        guard.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        guard.execute("LOCK TABLE backend.migration_lock IN SHARE ROW EXCLUSIVE MODE")
        # yoyo locks with a row, which a killed process leaves behind. Under the lock on the table, which
        # ends with its session, such a row can only be a leftover.
        backend.break_lock()
        backend.apply_migrations(backend.to_apply(read_migrations(MIGRATIONS)))
