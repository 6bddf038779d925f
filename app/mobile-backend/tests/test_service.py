"""Health, configuration, and life with a database that comes and goes."""

import psycopg
import pytest


def state(client):
    answer = client.get("/health")
    return answer.status_code, answer.json()["down"]


def test_healthy(client):
    assert state(client) == (200, [])


def test_the_database_goes_and_comes_back(client, database, registration, eventually):
    database.stop()
    assert state(client) == (503, ["database"])
    answer = client.post("/device/register", json=registration)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert client.get("/config").status_code == 200
    database.start()
    eventually(lambda: state(client) == (200, []))
    assert client.post("/device/register", json=registration).status_code == 201


def test_starts_before_its_database(config, database, serve, eventually):
    database.empty()
    database.stop()
    client = serve(config)
    assert state(client) == (503, ["database"])
    database.start()
    eventually(lambda: state(client) == (200, []))


def test_an_empty_database_takes_the_old_ones_place(client, database, registration, eventually):
    database.empty()
    assert state(client) == (503, ["database"])
    eventually(lambda: state(client) == (200, []))
    assert client.post("/device/register", json=registration).status_code == 201


def test_a_release_that_is_too_old_for_the_tables_says_so(config, client, database, serve, eventually):
    database.run("UPDATE mobile.schema_state SET version = 9, schema_min = 7")
    try:
        too_old = serve(config)
        eventually(lambda: "refused" in too_old.get("/health").json())
        told = "schema 9 of mobile's tables needs a release that knows 7; this one knows 2"
        assert too_old.get("/health").json()["refused"] == told
        assert state(client) == (200, [])
    finally:
        database.empty()


def test_configuration_of_a_client(client):
    assert client.get("/config").json() == {
        "api_base": "http://testserver",
        "min_version": "1.0.0",
        "poll_seconds": 60,
    }


def test_configuration_behind_a_proxy(client):
    headers = {"X-Forwarded-Prefix": "/mobile", "Host": "phones.example.org"}
    assert client.get("/config", headers=headers).json()["api_base"] == "http://phones.example.org/mobile"
    assert client.get("/openapi.json", headers=headers).json()["servers"] == [{"url": "/mobile"}]


@pytest.mark.parametrize(
    "prefix", ["mobile", "//evil.example.org", "/a b", "/a?b", "/mobile/", "/x" * 9, '/"']
)
def test_ignores_what_is_no_prefix(client, prefix):
    answer = client.get("/config", headers={"X-Forwarded-Prefix": prefix})
    assert answer.json()["api_base"] == "http://testserver"


def test_a_configured_address(config, serve):
    client = serve(config.model_copy(update={"api_base": "https://m.example.org"}))
    assert client.get("/config").json()["api_base"] == "https://m.example.org"


def test_nobody_else_holds_up_the_migrations_finding_s5(config, database, serve, eventually):
    """An advisory lock is everybody's to take; those of migrations were known by name."""
    with psycopg.connect(database.conninfo) as stranger:
        stranger.execute("SELECT pg_advisory_lock(hashtext('migrations of mobile'))")
        client = serve(config)
        eventually(lambda: state(client) == (200, []))


def test_a_failed_statement_is_not_logged_finding_s13(client, database, registration, caplog):
    database.run("ALTER TABLE mobile.devices ADD CONSTRAINT silent CHECK (name = '') NOT VALID")
    try:
        answer = client.post("/device/register", json=registration | {"name": "canary"})
    finally:
        database.run("ALTER TABLE mobile.devices DROP CONSTRAINT silent")
    assert (answer.status_code, "canary" in answer.text) == (500, False)
    assert "/device/register: CheckViolation (23514)" in caplog.text
    assert "canary" not in caplog.text
