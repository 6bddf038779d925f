"""Migrations: all or none, whoever looks on, and never with a release that does not know the tables."""

import threading
import time
from pathlib import Path

import psycopg
import pytest
from backend.schema import SchemaRefused, migrate

FIRST = "CREATE TABLE backend.things (id int); INSERT INTO backend.things VALUES (1);"


@pytest.fixture
def empty(database):
    database.empty()
    yield database
    database.empty()


@pytest.fixture
def migrations(tmp_path: Path):
    (tmp_path / "0001.things.sql").write_text(FIRST)
    (tmp_path / "notes.txt").write_text("no migration")
    return tmp_path


@pytest.fixture
def bring(empty, migrations):
    """Bring the tables up to date as the backend's own role does."""

    def connect():
        info = empty.admin.info
        return psycopg.connect(
            host=info.host,
            port=info.port,
            dbname=empty.name,
            user=empty.name,
            password=empty.password,
            options="-c lock_timeout=1s",
        )

    return lambda schema_min=0: migrate(connect, "backend", migrations, schema_min)


def asked(database, query):
    with database.inside() as connection:
        return connection.execute(query).fetchall()


def test_each_is_applied_once_and_in_order(bring, migrations, empty):
    bring()
    bring()
    (migrations / "0003.more.sql").write_text(
        "INSERT INTO backend.things SELECT max(id) * 10 FROM backend.things"
    )
    (migrations / "0002.more.sql").write_text("INSERT INTO backend.things VALUES (2)")
    bring(2)
    bring(2)
    assert asked(empty, "SELECT id FROM backend.things ORDER BY id") == [(1,), (2,), (20,)]
    assert asked(empty, "SELECT version, schema_min FROM backend.schema_state") == [(3, 2)]


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("SELECT 1/0", "division by zero"),
        ("INSERT INTO backend.nothing VALUES (1)", "does not exist"),
        ("CREATE TABEL x ()", "syntax error"),
    ],
)
def test_one_that_fails_leaves_all_as_it_was(bring, migrations, empty, statement, told):
    bring()
    (migrations / "0002.good.sql").write_text(
        "DELETE FROM backend.things; ALTER TABLE backend.things ADD more int"
    )
    (migrations / "0003.bad.sql").write_text(f"DROP TABLE backend.things; {statement};")
    with pytest.raises(SchemaRefused, match=f"migration 0003.bad.sql failed: .*{told}"):
        bring()
    assert asked(empty, "SELECT * FROM backend.things") == [(1,)]
    assert asked(empty, "SELECT version FROM backend.schema_state") == [(1,)]
    (migrations / "0003.bad.sql").write_text("SELECT 1")
    bring()
    assert asked(empty, "SELECT version FROM backend.schema_state") == [(3,)]


def test_an_older_release_works_as_far_as_the_newer_one_said(bring, migrations, empty):
    for number in (2, 3, 4):
        (migrations / f"000{number}.more.sql").write_text("SELECT 1")
    bring(2)
    (migrations / "0004.more.sql").unlink()
    (migrations / "0003.more.sql").unlink()
    bring()  # knows 2
    (migrations / "0002.more.sql").unlink()
    with pytest.raises(
        SchemaRefused, match="schema 4 of backend's tables needs a release that knows 2; this one knows 1"
    ):
        bring()
    # A release that comes back to it says no less than what was said before.
    assert asked(empty, "SELECT version, schema_min FROM backend.schema_state") == [(4, 2)]


def test_what_somebody_else_holds_is_waited_for_and_no_reason_to_give_up(bring, migrations, empty):
    bring()
    (migrations / "0002.more.sql").write_text("ALTER TABLE backend.things ADD more int")
    with empty.inside() as reader:
        reader.autocommit = False
        reader.execute("SELECT * FROM backend.things")
        with pytest.raises(psycopg.OperationalError):
            bring()
        assert reader.execute("SELECT count(*) FROM backend.things").fetchone() == (1,)
    bring()
    assert asked(empty, "SELECT version FROM backend.schema_state") == [(2,)]


def test_one_works_and_the_others_wait(bring, migrations, empty):
    (migrations / "0002.slow.sql").write_text("SELECT pg_sleep(0.3); INSERT INTO backend.things VALUES (2)")
    threads = [threading.Thread(target=bring) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert asked(empty, "SELECT id FROM backend.things ORDER BY id") == [(1,), (2,)]


def test_one_that_is_cut_off_leaves_all_as_it_was(bring, migrations, empty):
    bring()
    (migrations / "0002.slow.sql").write_text("DROP TABLE backend.things; SELECT pg_sleep(30)")
    ended = []

    def work():
        try:
            bring()
        except psycopg.OperationalError as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.5)
    empty.stop()
    empty.start()
    thread.join(20)
    assert ended
    assert asked(empty, "SELECT * FROM backend.things") == [(1,)]
