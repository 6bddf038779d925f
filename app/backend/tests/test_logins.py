"""Logins at database and redis change while requests run, and none of these fails."""

import json
import os
import threading

import pytest
from backend.app import create_app
from fastapi.testclient import TestClient


@pytest.fixture
def other(database):
    """A second user of the database that acts as the first."""
    name = f"{database.name}_b"
    database.admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'the other one' IN ROLE {database.name}")
    database.admin.execute(f"ALTER ROLE {name} SET role = {database.name}")
    yield name
    database.admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (name,)
    )
    database.admin.execute(f"DROP ROLE {name}")


def as_data(config):
    """A configuration as its file has it."""
    data = json.loads(config.model_dump_json())
    for section in ("database", "cache"):
        data[section]["password"] = getattr(config, section).password.get_secret_value()
    data["api_token"] = data["deployments_token"] = "x" * 20
    return data


def held(database, user):
    statement = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
    return database.admin.execute(statement, (user,)).fetchone()[0]


def test_requests_go_on_while_the_logins_change(config, database, cache, other, tmp_path, eventually):
    data = as_data(config)
    path = tmp_path / "backend.json"
    path.write_text(json.dumps(data))
    cache.admin.execute_command(
        "ACL", "SETUSER", f"{cache.name}_b", "reset", "on", ">the other one", "~backend:*", "+@all"
    )
    failures, ended = [], threading.Event()
    with TestClient(create_app(config, path)) as client:
        eventually(lambda: client.get("/health").status_code == 200)

        def ask():
            while not ended.wait(0.005):
                answers = [client.get("/api/devices"), client.get("/health")]
                failures.extend(answer for answer in answers if answer.status_code != 200)

        askers = [threading.Thread(target=ask) for _ in range(3)]
        for asker in askers:
            asker.start()
        try:
            data["database"] |= {"user": other, "password": "the other one"}
            data["cache"] |= {"user": f"{cache.name}_b", "password": "the other one"}
            (tmp_path / "new").write_text(json.dumps(data))
            os.replace(tmp_path / "new", path)
            eventually(lambda: held(database, database.name) == 0)
            # The first login is locked when nobody uses it any more.
            database.stop()
            eventually(lambda: not [c for c in cache.admin.client_list() if c["user"] == cache.name])
            cache.stop()
            eventually(lambda: held(database, other) > 0)
        finally:
            ended.set()
            for asker in askers:
                asker.join()
        assert client.get("/health").json()["status"] == "ok"
    assert failures == []
    cache.admin.execute_command("ACL", "DELUSER", f"{cache.name}_b")


def test_a_file_that_cannot_be_used_changes_nothing(config, tmp_path, eventually, caplog):
    path = tmp_path / "backend.json"
    path.write_text(json.dumps(as_data(config)))
    with TestClient(create_app(config, path)) as client:
        eventually(lambda: client.get("/health").status_code == 200)
        path.write_text("{")
        eventually(lambda: "cannot be used" in caplog.text)
        assert client.get("/health").status_code == 200
        assert config.database.password.get_secret_value() not in caplog.text
