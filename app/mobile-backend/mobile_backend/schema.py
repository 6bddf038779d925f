"""The state of a service's tables: how a release brings it up to date, and whether it can work with it.

Migrations are files `NNNN.name.sql`; the number of the last one is the state of the tables. All that are missing are applied in one
transaction, under a lock that only the tables' owner can take, or none is. They never go back: each release says
(`schema_min` in its release.yml) which state a release has to know at least to work with the tables as it leaves them, and that is kept beside
the state. A release that knows too little says so and touches nothing.
"""

import re
from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg import sql

STATEMENT_SECONDS = 60
NAME = re.compile(r"(\d{4})\.[\w.-]+\.sql", re.ASCII)


class SchemaRefused(Exception):
    """The release cannot work with these tables; waiting changes nothing."""


def migrate(
    connect: Callable[[], psycopg.Connection[tuple[int, ...]]], schema: str, directory: Path, schema_min: int
) -> None:
    """Bring the tables up to date; of several processes one works and the others wait.

    Raises SchemaRefused where a migration fails or the release is too old, and psycopg.OperationalError where the
    database cannot be asked now. Then the tables are as they were.
    """
    migrations = _migrations(directory)
    known = max(migrations, default=0)
    # Not an advisory lock, which any role could hold: this one takes a right that only the table's owner has.
    lock, table = sql.Identifier(schema, "migration_lock"), sql.Identifier(schema, "schema_state")
    with connect() as connection:
        connection.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {} ()").format(lock))
        connection.commit()
        connection.execute(sql.SQL("SET LOCAL statement_timeout = '{}s'").format(STATEMENT_SECONDS))
        connection.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(lock))
        connection.execute(
            sql.SQL("CREATE TABLE IF NOT EXISTS {} (version int NOT NULL, schema_min int NOT NULL)").format(
                table
            )
        )
        row = connection.execute(sql.SQL("SELECT version, schema_min FROM {}").format(table)).fetchone()
        version, least = row or (0, 0)
        if known < least:
            raise SchemaRefused(
                f"schema {version} of {schema}'s tables needs a release that knows {least}; this one knows {known}"
            )
        for number in sorted(number for number in migrations if number > version):
            _apply(connection, migrations[number])
        if row is None:
            connection.execute(sql.SQL("INSERT INTO {} VALUES (0, 0)").format(table))
        if row is None or known > version:
            connection.execute(
                sql.SQL("UPDATE {} SET version = %s, schema_min = greatest(schema_min, %s)").format(table),
                (max(known, version), min(schema_min, known)),
            )


def _migrations(directory: Path) -> dict[int, Path]:
    return {
        int(found[1]): file
        for file in directory.iterdir()
        if (found := NAME.fullmatch(file.name)) is not None
    }


def _apply(connection: psycopg.Connection[tuple[int, ...]], file: Path) -> None:
    try:
        # No parameters, so that a file may hold several statements.
        connection.execute(file.read_bytes())
    except psycopg.OperationalError:
        raise  # a lock that somebody has, a server that goes away: later it may work
    except psycopg.Error as error:
        raise SchemaRefused(f"migration {file.name} failed: {error.diag.message_primary or error}") from error
