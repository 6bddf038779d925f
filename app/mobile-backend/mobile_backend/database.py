"""PostgreSQL: migrations as soon as it answers, then a pool of connections that outlives its server."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool
from yoyo import get_backend, read_migrations  # type: ignore[import-untyped]

from mobile_backend.config import DatabaseConfig

MIGRATIONS = str(Path(__file__).with_name("migrations"))
ANSWER_SECONDS = 5.0
RETRY_SECONDS = 2.0

log = logging.getLogger("uvicorn.error")
Connection = psycopg.AsyncConnection[DictRow]


class DatabaseUnavailable(Exception):
    """The database cannot serve right now; the client may try again."""


class Database:
    def __init__(self, config: DatabaseConfig) -> None:
        self._config = config
        self._conninfo = make_conninfo(
            host=config.host,
            port=config.port,
            dbname=config.name,
            user=config.user,
            password=config.password.get_secret_value(),
            connect_timeout=3,
            options="-c statement_timeout=4s -c lock_timeout=4s",
        )
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            self._conninfo,
            kwargs={"row_factory": dict_row},
            min_size=1,
            max_size=5,
            timeout=2,
            reconnect_timeout=4,  # short: the next request starts a new attempt
            check=AsyncConnectionPool.check_connection,
            open=False,
        )
        self._migrated = asyncio.Event()

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

    async def _keep_migrated(self) -> None:
        while True:
            if not self._migrated.is_set():
                try:
                    await asyncio.to_thread(self._migrate)
                    self._migrated.set()
                except Exception as error:  # noqa: BLE001 - whatever it is: stay up, say 503, try on
                    log.warning("database not ready: %s", error)
            await asyncio.sleep(RETRY_SECONDS)

    def _migrate(self) -> None:
        config, password = self._config, quote(self._config.password.get_secret_value(), safe="")
        uri = f"postgresql+psycopg://{config.user}:{password}@{config.host}:{config.port}/{config.name}?schema=mobile"
        # yoyo's own lock is a row that outlives a killed process; a lock on a table ends with its session, and on this
        # one only its owner can take it (an advisory lock could be held by any role).
        with psycopg.connect(self._conninfo) as guard, get_backend(uri) as backend:
            guard.execute("CREATE TABLE IF NOT EXISTS mobile.migration_lock ()")
            guard.commit()
            guard.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            guard.execute("LOCK TABLE mobile.migration_lock IN SHARE ROW EXCLUSIVE MODE")
            backend.break_lock()
            backend.apply_migrations(backend.to_apply(read_migrations(MIGRATIONS)))
