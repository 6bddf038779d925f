"""The database and redis against callers who want to keep others out, or to run something with their rights."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from tests.e2e.support.clients import redis, sql
from tests.e2e.support.platform import Platform, eventually

# Opens as many connections as asked to each place, says of each place how many it holds, keeps them until its input ends.
_HOLD = """
import json, socket, sys
wanted, places = int(sys.argv[1]), sys.argv[2:]
held = {place: [] for place in places}
for place in places:
    host, port = place.split(":")
    for _number in range(wanted):
        try:
            connection = socket.create_connection((host, int(port)), 10)
        except ConnectionError:  # refused as soon as it was made
            continue
        connection.settimeout(0.05)
        held[place].append(connection)
def open_still(connection):
    try:
        return connection.recv(1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False
print(json.dumps({place: sum(map(open_still, held[place])) for place in places}), flush=True)
sys.stdin.read()
"""


@contextmanager
def holding(platform: Platform, service: str, number: int, *places: str) -> Iterator[dict[str, int]]:
    """A caller in a container opens many connections and sends nothing; yields how many each place let it keep."""
    command = platform.exec(service, options=["--interactive"])
    with subprocess.Popen(
        [*command, "python3", "-c", _HOLD, str(number), *places],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()


def test_one_caller_with_many_connections_keeps_nobody_out_finding_s9(
    platform: Platform, web: requests.Session
) -> None:
    with holding(platform, "ssh-developer", 205, "db:5432", "redis:6379") as kept:
        assert 0 < kept["redis:6379"] < 50
        for user in ("backend", "mobile", "monitor", "readonly"):
            assert sql(platform, user, "SELECT 1")[:2] == (0, "1"), user
        for user in ("backend", "mobile", "readonly"):
            with redis(platform, user) as client:
                assert client("PING") == "PONG"
        answer = web.get(f"http://localhost:{platform.published('backend', 'http')}/health")
        assert answer.json()["checks"] == {"database": "ok", "cache": "ok"}

        # And the monitor says who it is, while everything works.
        who = platform.topology.container_name("ssh-developer")

        def named() -> bool:
            shown = json.loads(platform.ssh("monitor", "status", "--json").stdout)
            probes = [probe for service in shown["services"] for probe in service["probes"]]
            return any(f"{who} holds" in probe["detail"] for probe in probes if probe["state"] == "up")

        eventually(named, "status names the caller")
    asked = "SELECT held <= allowed FROM watch.connections WHERE kind = 'source' AND who = '{}'"
    caller = platform.topology.container_name("ssh-developer")
    eventually(
        lambda: sql(platform, "monitor", asked.format(caller))[:2] == (0, "t"),
        "the database names the caller",
    )


def test_each_reader_has_a_user_of_its_own_finding_s5(platform: Platform) -> None:
    readers = ["monitor", "developer", "readonly"]
    assert len({platform.secret(f"db/{reader}") for reader in readers}) == len(readers)
    for statement in (
        "ALTER ROLE readonly PASSWORD 'mine'",
        "ALTER ROLE monitor NOLOGIN",
        "ALTER ROLE developer CONNECTION LIMIT 100",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'backend'",
        "SELECT * FROM watch.connections",
    ):
        writable = f"SET default_transaction_read_only = off; {statement}"
        code, _rows, complaint = sql(platform, "developer", writable)
        assert (code, "permission denied" in complaint) == (3, True), (statement, complaint)
    # The same user may read, and the same words work for who may say them.
    assert sql(platform, "developer", "SELECT count(*) >= 0 FROM backend.deployments")[:2] == (0, "t")
    assert sql(platform, "monitor", "SELECT count(*) > 3 FROM watch.connections")[:2] == (0, "t")


def test_a_reader_cannot_take_the_lock_of_migrations_finding_s5(platform: Platform) -> None:
    lock = "BEGIN; LOCK TABLE {}.migration_lock IN {} MODE; SELECT 1"
    for owner in ("backend", "mobile"):
        code, _rows, complaint = sql(platform, "developer", lock.format(owner, "SHARE ROW EXCLUSIVE"))
        assert (code, "permission denied" in complaint) == (3, True), complaint
        assert sql(platform, "developer", lock.format(owner, "ACCESS SHARE"))[0] == 0
        assert sql(platform, owner, lock.format(owner, "SHARE ROW EXCLUSIVE"))[0] == 0


@pytest.mark.parametrize(
    ("greedy", "complaint"),
    [
        ("SELECT pg_sleep(600)", "terminating connection"),
        (
            "SELECT count(*) FROM (SELECT repeat('x', 1000) || n FROM generate_series(1, 200000) n ORDER BY 1) s",
            "temp_file_limit",
        ),
        (
            "SET work_mem = '1GB'; "
            "SELECT count(*) FROM (SELECT repeat('x', 1000) || n FROM generate_series(1, 200000) n ORDER BY 1) s",
            "out of memory",
        ),
    ],
    ids=["time", "disk", "memory"],
)
def test_limits_of_a_reader_hold_whatever_it_sets_finding_s5(
    platform: Platform, greedy: str, complaint: str
) -> None:
    lifted = (
        "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET transaction_timeout = 0;"
    )
    code, _rows, said = sql(platform, "developer", f"{lifted} {greedy}")
    assert code != 0
    assert complaint in said
    # Nobody else has noticed.
    assert sql(platform, "backend", "SELECT 1")[:2] == (0, "1")


@pytest.mark.parametrize(
    ("trap", "complaint"),
    [
        (
            "CREATE VIEW mobile.{0} AS SELECT query_to_xml('SELECT current_user', true, false, '') AS a",
            "restricted",
        ),
        (
            "CREATE TABLE mobile.{0} (a int); ALTER TABLE mobile.{0} ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON "
            "mobile.{0} USING (query_to_xml('SELECT current_user', true, false, '') IS NOT NULL)",
            "row-level security",
        ),
    ],
    ids=["view", "policy"],
)
def test_nothing_of_anothers_schema_runs_with_ones_rights_finding_s6(
    platform: Platform, trap: str, complaint: str
) -> None:
    name = f"trap_{uuid.uuid4().hex[:8]}"
    try:
        assert sql(platform, "mobile", trap.format(name))[0] == 0
        for reader in ("backend", "developer", "readonly"):
            code, _rows, said = sql(platform, reader, f"SELECT * FROM mobile.{name}")
            assert (code, complaint in said) == (3, True), (reader, said)
            assert sql(platform, reader, "SELECT count(*) >= 0 FROM mobile.devices")[:2] == (0, "t"), reader
    finally:
        sql(platform, "mobile", f"DROP VIEW IF EXISTS mobile.{name}")
        sql(platform, "mobile", f"DROP TABLE IF EXISTS mobile.{name}")


def test_no_role_makes_functions_finding_s6(platform: Platform) -> None:
    for statement in (
        "CREATE FUNCTION mobile.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION mobile.f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
        "DO 'BEGIN END'",
    ):
        code, _rows, complaint = sql(platform, "mobile", statement)
        assert (code, "permission denied for language" in complaint) == (3, True), complaint
    assert sql(platform, "mobile", "CREATE TEMPORARY TABLE t (a int)")[0] == 0


def test_nothing_of_a_failed_statement_is_logged_finding_s13(platform: Platform) -> None:
    canary = f"canary-{uuid.uuid4().hex}"
    for statement in (
        f"ALTER ROLE developer PASSWORD '{canary}' NONSENSE",
        f"SELECT '{canary}'::integer",
        f'SELECT * FROM "{canary}"',
        f"SELECT pg_sleep(3), '{canary}'",
        f"SELECT 1 / 0, '{canary}'",
    ):
        sql(platform, "developer", statement)
    # What is no statement is logged, so this looks in the right place.
    stranger = f"stranger-{uuid.uuid4().hex[:8]}"
    platform.run("db", "/bin/bash", "-c", f"PGPASSWORD=x psql -h db -U {stranger} -d app -c 'SELECT 1'")
    logged = platform.container("db").logs().decode()
    assert stranger in logged
    assert canary not in logged
