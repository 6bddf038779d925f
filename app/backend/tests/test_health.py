"""The backend outlives what it depends on."""

import time
from concurrent.futures import ThreadPoolExecutor


def state(client):
    answer = client.get("/health")
    return answer.status_code, answer.json()["down"]


def test_healthy(client):
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert answer.json()["checks"] == {"database": "ok", "cache": "ok"}


def test_the_database_goes_and_comes_back(client, database, eventually):
    database.stop()
    assert state(client) == (503, ["database"])
    answer = client.get("/api/deployments")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert database.password not in answer.text
    database.start()
    eventually(lambda: state(client) == (200, []))
    assert client.get("/api/deployments").json() == []


def test_the_cache_goes_and_comes_back(client, cache, eventually):
    cache.stop()
    assert state(client) == (503, ["cache"])
    assert client.get("/api/deployments").status_code == 200
    cache.start()
    assert state(client) == (200, [])


def test_starts_before_its_database_and_cache(config, database, cache, serve, eventually):
    database.empty()
    database.stop()
    cache.stop()
    client = serve(config)
    assert state(client) == (503, ["database", "cache"])
    assert client.get("/api/info").status_code == 200
    database.start()
    cache.start()
    eventually(lambda: state(client) == (200, []))


def test_an_empty_database_takes_the_old_ones_place(client, database, eventually):
    database.empty()
    assert state(client) == (503, ["database"])
    eventually(lambda: state(client) == (200, []))
    assert client.get("/api/devices").status_code == 200


def test_several_starting_at_once_migrate_once(config, database, serve, eventually, known):
    database.empty()
    with ThreadPoolExecutor() as pool:
        clients = list(pool.map(serve, [config] * 4))
    for client in clients:
        eventually(lambda client=client: state(client) == (200, []))
    with database.inside() as connection:
        assert connection.execute("SELECT version FROM backend.schema_state").fetchall() == [(known,)]


def test_nobody_else_holds_up_the_migrations_finding_s5(config, database, serve, eventually):
    """An advisory lock is everybody's to take; those of migrations were known by name."""
    with database.inside() as stranger:
        stranger.execute("SELECT pg_advisory_lock(hashtext('migrations of backend'))")
        client = serve(config)
        eventually(lambda: client.get("/health").status_code == 200)


def test_a_release_that_is_too_old_for_the_tables_says_so(config, client, database, serve, eventually, known):
    with database.inside() as connection:
        connection.execute("UPDATE backend.schema_state SET version = 9, schema_min = 7")
    try:
        too_old = serve(config)
        eventually(lambda: "refused" in too_old.get("/health").json())
        answer = too_old.get("/health")
        assert answer.status_code == 503
        told = f"schema 9 of backend's tables needs a release that knows 7; this one knows {known}"
        assert answer.json()["refused"] == told
        # What ran before goes on.
        assert state(client) == (200, [])
    finally:
        database.empty()


def test_which_release_it_is(config, serve, monkeypatch):
    assert serve(config).get("/api/info").json()["release"] == ""
    monkeypatch.setenv("DOCKFRA_RELEASE", "20261125T131500Z-0123456789ab")
    assert serve(config).get("/api/info").json()["release"] == "20261125T131500Z-0123456789ab"


def test_a_slow_answer_is_there_only_where_it_is_wanted(config, client, serve):
    assert client.get("/api/slow?seconds=0").status_code == 404
    slow = serve(config.model_copy(update={"slow_seconds": 1}))
    begin = time.monotonic()
    assert slow.get("/api/slow?seconds=0.2").json() == {"seconds": 0.2}
    assert time.monotonic() - begin >= 0.2
    assert slow.get("/api/slow?seconds=60").json() == {"seconds": 1}
    for seconds in ("-1", "61", "nan", "x"):
        assert slow.get(f"/api/slow?seconds={seconds}").status_code == 422
