"""PostgreSQL: migrations as soon as it answers, then a pool of connections that outlives its server."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from mobile_backend.config import DatabaseConfig
from mobile_backend.schema import SchemaRefused, migrate

MIGRATIONS = Path(__file__).with_name("migrations")
ANSWER_SECONDS = 5.0
RENEW_SECONDS = 30.0
RETRY_SECONDS = 2.0
# After an answer that waiting alone does not change.
REFUSED_SECONDS = 30.0

log = logging.getLogger("uvicorn.error")
Connection = psycopg.AsyncConnection[DictRow]


class DatabaseUnavailable(Exception):
    """The database cannot serve right now; the client may try again."""


class Database:
    """Args: ``config`` is asked at each new connection, for the login may have become another one."""

    def __init__(self, config: Callable[[], DatabaseConfig]) -> None:
        self._config = config
        self._pool = self._new_pool()
        self._migrated = asyncio.Event()
        # Why this release cannot work with the tables; empty where it can, or that is not known yet.
        self.refused = ""

    def _new_pool(self) -> AsyncConnectionPool[Connection]:
        return AsyncConnectionPool(
            self._conninfo,
            kwargs={"row_factory": dict_row},
            min_size=1,
            max_size=5,
            timeout=2,
            reconnect_timeout=4,  # short: the next request starts a new attempt
            check=AsyncConnectionPool.check_connection,
            open=False,
        )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """One transaction on a migrated database; raises DatabaseUnavailable when there is none."""
        if not self._migrated.is_set():
            raise DatabaseUnavailable
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._pool.connection() as connection:
                yield connection
        except psycopg.errors.UndefinedTable as error:
            self._migrated.clear()  # an empty volume took the old one's place
            raise DatabaseUnavailable from error
        except (TimeoutError, psycopg.OperationalError) as error:
            raise DatabaseUnavailable from error

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Serve from here on, whether or not the database is up yet."""
        await self._pool.open(wait=False)
        migrations = asyncio.create_task(self._keep_migrated())
        try:
            yield
        finally:
            migrations.cancel()
            await self._pool.close(timeout=2)

    async def renew(self) -> None:
        """Have other connections in place of those there are, which serve until the first of them is there."""
        fresh = self._new_pool()
        await fresh.open(wait=True, timeout=RENEW_SECONDS)
        former, self._pool = self._pool, fresh
        try:
            await asyncio.sleep(ANSWER_SECONDS)  # for who waits for one of them, or has one
        finally:
            await former.close(timeout=2)

    def _conninfo(self) -> str:
        config = self._config()
        return make_conninfo(
            host=config.host,
            port=config.port,
            dbname=config.name,
            user=config.user,
            password=config.password.get_secret_value(),
            connect_timeout=3,
            options="-c statement_timeout=4s -c lock_timeout=4s",
        )

    async def _keep_migrated(self) -> None:
        while True:
            if not self._migrated.is_set():
                try:
                    await asyncio.to_thread(self._migrate)
                    self.refused = ""
                    self._migrated.set()
                except Exception as error:  # noqa: BLE001 - whatever it is: stay up, say 503, try on
                    self.refused = str(error) if isinstance(error, SchemaRefused) else ""
                    log.warning("database not ready: %s", error)
            await asyncio.sleep(REFUSED_SECONDS if self.refused else RETRY_SECONDS)

    def _migrate(self) -> None:
        schema_min = int(os.environ.get("DOCKFRA_SCHEMA_MIN") or 0)
        migrate(lambda: psycopg.connect(self._conninfo()), "mobile", MIGRATIONS, schema_min)
