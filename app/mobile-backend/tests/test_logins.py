"""The login at the database changes while requests run, and none of these fails."""

import json
import os
import threading

import psycopg
from fastapi.testclient import TestClient
from mobile_backend.app import create_app


def test_requests_go_on_while_the_login_changes(config, database, tmp_path, eventually):
    user = config.database.user
    data = json.loads(config.model_dump_json())
    data["database"]["password"] = config.database.password.get_secret_value()
    path = tmp_path / "mobile-backend.json"
    path.write_text(json.dumps(data))
    failures, ended = [], threading.Event()
    with psycopg.connect(database.conninfo, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {user}_b LOGIN PASSWORD 'the other one' IN ROLE {user}")
        admin.execute(f"ALTER ROLE {user}_b SET role = {user}")

        def held(name):
            statement = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
            return admin.execute(statement, (name,)).fetchone()[0]

        try:
            with TestClient(create_app(config, path)) as client:
                eventually(lambda: client.get("/health").status_code == 200)

                def ask():
                    while not ended.wait(0.005):
                        answer = client.get("/health")
                        failures.extend([] if answer.status_code == 200 else [answer])

                asker = threading.Thread(target=ask)
                asker.start()
                try:
                    data["database"] |= {"user": f"{user}_b", "password": "the other one"}
                    (tmp_path / "new").write_text(json.dumps(data))
                    os.replace(tmp_path / "new", path)
                    eventually(lambda: held(user) == 0)
                    database.stop()
                    eventually(lambda: held(f"{user}_b") > 0)
                    assert client.get("/health").status_code == 200
                finally:
                    ended.set()
                    asker.join()
                    database.start()
        finally:
            admin.execute(f"DROP ROLE {user}_b")
    assert failures == []
