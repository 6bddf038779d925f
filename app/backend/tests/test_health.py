"""The backend outlives what it depends on."""

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


def test_a_leftover_migration_lock_does_not_block(config, client, database, serve, eventually):
    with database.inside() as connection:
        connection.execute("INSERT INTO backend.yoyo_lock VALUES (1, now(), 1)")
    successor = serve(config)
    eventually(lambda: state(successor) == (200, []), seconds=5)


def test_several_starting_at_once_migrate_once(config, database, serve, eventually):
    database.empty()
    with ThreadPoolExecutor() as pool:
        clients = list(pool.map(serve, [config] * 4))
    for client in clients:
        eventually(lambda client=client: state(client) == (200, []))
    with database.inside() as connection:
        applied = connection.execute("SELECT migration_id FROM backend._yoyo_migration").fetchall()
    assert sorted(applied) == [("0001.deployments",), ("0002.devices",)]


def test_nobody_else_holds_up_the_migrations_finding_s5(config, database, serve, eventually):
    """An advisory lock is everybody's to take; those of migrations were known by name."""
    with database.inside() as stranger:
        stranger.execute("SELECT pg_advisory_lock(hashtext('migrations of backend'))")
        client = serve(config)
        eventually(lambda: client.get("/health").status_code == 200)
