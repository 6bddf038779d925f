"""Deployments: recorded, updated, listed newest first."""

import pytest
from backend import deployments
from backend.config import Config

GIVEN = {"service": "frontend", "version": "1.2.0", "deployed_by": "monitor"}
DEPLOY = {
    "deploy_id": "20261125T131500Z-7f3a",
    "service": "backend",
    "services": ["backend", "mobile-backend"],
    "version": "20261125T131500Z-0123456789ab",
    "release": "20261125T131500Z-0123456789ab",
    "commit": "0123456789ab" + "c" * 28,
    "status": "succeeded",
    "deployed_by": "monitor",
    "started_at": "2026-11-25T13:15:00Z",
    "finished_at": "2026-11-25T13:15:12.500Z",
    "tickets": ["T-0001", "T-0012"],
    "note": "<b>Show</b> the release",
}


def test_a_deployment_from_start_to_end(monitor):
    answer = monitor.post("/api/deployments", json=GIVEN)
    assert answer.status_code == 201
    started = answer.json()
    assert started["status"] == "started"
    assert started["finished_at"] is None

    update = GIVEN | {"status": "succeeded", "note": "took 3 s"}
    ended = monitor.put(f"/api/deployments/{started['id']}", json=update).json()
    assert ended["status"] == "succeeded"
    assert ended["started_at"] == started["started_at"]
    assert ended["finished_at"] >= ended["started_at"]
    assert monitor.get(f"/api/deployments/{started['id']}").json() == ended


def test_lists_the_newest_first_and_no_more_than_asked(monitor):
    for version in ("1", "2", "3"):
        monitor.post("/api/deployments", json=GIVEN | {"version": version})
    monitor.post("/api/deployments", json=GIVEN | {"version": "0", "started_at": "2020-01-01T00:00:00Z"})
    assert [item["version"] for item in monitor.get("/api/deployments").json()] == ["3", "2", "1", "0"]
    assert [item["version"] for item in monitor.get("/api/deployments?limit=1").json()] == ["3"]


@pytest.mark.parametrize(
    "text", ["'); DROP TABLE backend.deployments; --", '%s %(id)s \\ " $1', "<b>é\n漢字 🚀"]
)
def test_keeps_every_text_as_it_is(monitor, text):
    assert monitor.post("/api/deployments", json=GIVEN | {"note": text}).json()["note"] == text
    assert monitor.get("/api/deployments").json()[0]["note"] == text


@pytest.mark.parametrize(
    "change",
    [
        {"service": ""},
        {"service": "a" * 64},
        {"service": "front end"},
        {"service": None},
        {"service": 7},
        {"service": "frontend\n"},
        {"version": "1'0"},
        {"deployed_by": "two\nlines"},
        {"deployed_by": ""},
        {"note": "nul \x00 byte"},
        {"note": "x" * 2001},
        {"status": "unknown"},
        {"started_at": "yesterday"},
        {"started_at": "2026-01-01T00:00:00"},
        {"started_at": "0001-01-01T00:00:00+14:00"},
        {"started_at": "9999-12-31T23:59:59-14:00"},
        {"status": "failed", "started_at": "2026-01-02T00:00:00Z", "finished_at": "2026-01-01T00:00:00Z"},
        {"finished_at": "2026-01-02T00:00:00Z"},
        {"surprise": 1},
        {"deploy_id": ""},
        {"deploy_id": "two words"},
        {"deploy_id": "x" * 129},
        {"deploy_id": 7},
        {"services": ["front end"]},
        {"services": "frontend"},
        {"services": ["a"] * 51},
        {"commit": "0123456789ab"},
        {"commit": "0" * 40 + "\n"},
        {"release": "latest"},
        {"release": "\u0662\u0660\u0662\u0666\u0661\u0661\u0662\u0665T131500Z-0123456789ab"},
        {"tickets": ["T-1"]},
        {"tickets": ["T-0001; DROP"]},
        {"tickets": ["T-0001"] * 51},
    ],
)
def test_refuses_what_is_no_deployment(monitor, change):
    assert monitor.post("/api/deployments", json=GIVEN | change).status_code == 422
    assert monitor.get("/api/deployments").json() == []


@pytest.mark.parametrize("number", ["1", str(2**63 - 1)])
def test_an_unknown_deployment(monitor, number):
    assert monitor.get(f"/api/deployments/{number}").status_code == 404
    assert monitor.put(f"/api/deployments/{number}", json=GIVEN).status_code == 404


@pytest.mark.parametrize("number", ["0", "-1", str(2**63), "x", "1e3", "%00"])
def test_what_is_no_deployment_number(monitor, number):
    assert monitor.get(f"/api/deployments/{number}").status_code == 422


def test_finished_before_the_recorded_start(monitor):
    number = monitor.post("/api/deployments", json=GIVEN).json()["id"]
    update = GIVEN | {"status": "failed", "finished_at": "2001-01-01T00:00:00Z"}
    assert monitor.put(f"/api/deployments/{number}", json=update).status_code == 422


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "", "1.5", "1;DROP"])
def test_limits_out_of_range(client, limit):
    assert client.get("/api/deployments", params={"limit": limit}).status_code == 422
    assert client.get("/api/devices", params={"limit": limit}).status_code == 422


def test_a_failed_statement_is_not_logged_finding_s13(monitor, database, caplog):
    with database.inside() as connection:
        connection.execute(
            "ALTER TABLE backend.deployments ADD CONSTRAINT silent CHECK (note = '') NOT VALID"
        )
        try:
            body = {"service": "frontend", "version": "1", "deployed_by": "monitor", "note": "canary"}
            answer = monitor.post("/api/deployments", json=body)
        finally:
            connection.execute("ALTER TABLE backend.deployments DROP CONSTRAINT silent")
    assert (answer.status_code, "canary" in answer.text) == (500, False)
    assert "/api/deployments: CheckViolation (23514)" in caplog.text
    assert "canary" not in caplog.text


# -- told by the monitor --


def test_a_deploy_is_all_that_the_monitor_knows_of_it(monitor):
    answer = monitor.post("/api/deployments", json=DEPLOY)
    assert answer.status_code == 201
    recorded = answer.json()
    assert {key: recorded[key] for key in DEPLOY if not key.endswith("_at")} == {
        key: value for key, value in DEPLOY.items() if not key.endswith("_at")
    }
    assert recorded["seconds"] == 12.5
    assert monitor.get("/api/deployments").json() == [recorded]


def test_the_same_deploy_told_again_is_recorded_once(monitor):
    first = monitor.post("/api/deployments", json=DEPLOY)
    again = monitor.post("/api/deployments", json=DEPLOY)
    changed = monitor.post("/api/deployments", json=DEPLOY | {"status": "failed", "note": "another"})
    assert (first.status_code, again.status_code, changed.status_code) == (201, 200, 200)
    assert again.json() == changed.json() == first.json(), "what was recorded stays"
    other = monitor.post("/api/deployments", json=DEPLOY | {"deploy_id": "another"})
    assert (other.status_code, len(monitor.get("/api/deployments").json())) == (201, 2)
    # Those that name none are each one of their own.
    for _ in range(2):
        assert monitor.post("/api/deployments", json=GIVEN).status_code == 201
    assert len(monitor.get("/api/deployments").json()) == 4


def test_a_deploy_is_told_when_it_begins_and_when_it_has_ended(monitor):
    begun = {key: value for key, value in DEPLOY.items() if key != "finished_at"} | {
        "status": "started",
        "note": "",
    }
    first = monitor.post("/api/deployments", json=begun)
    again = monitor.post("/api/deployments", json=begun | {"note": "another"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert (first.json()["status"], first.json()["seconds"]) == ("started", None)
    ended = monitor.post("/api/deployments", json=DEPLOY | {"services": ["backend"]})
    assert (ended.status_code, ended.json()["id"]) == (200, first.json()["id"])
    assert ended.json() == first.json() | {
        "status": "succeeded",
        "finished_at": "2026-11-25T13:15:12.500000Z",
        "seconds": 12.5,
        "note": DEPLOY["note"],
        "services": ["backend"],
    }
    # The end is what stays, whatever comes late.
    for late in (begun, DEPLOY | {"status": "failed"}):
        assert monitor.post("/api/deployments", json=late).json() == ended.json()
    assert monitor.get("/api/deployments").json() == [ended.json()]


@pytest.mark.parametrize("header", [None, "Bearer ", "Bearer wrong", "Basic eDp5", "Bearer é"])
def test_nobody_but_the_monitor_tells_of_deployments(monitor, header):
    number = monitor.post("/api/deployments", json=DEPLOY).json()["id"]
    before = monitor.get("/api/deployments").json()
    headers = {"Authorization": header.encode()} if header else {}
    monitor.headers.pop("Authorization")
    for method, path in (("POST", "/api/deployments"), ("PUT", f"/api/deployments/{number}")):
        answer = monitor.request(method, path, json=GIVEN, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert monitor.get("/api/deployments").json() == before


def test_the_tokens_of_others_open_no_deployments_and_the_monitors_nothing_else(writer, monitor):
    """Both fixtures are the same client: each request says its own."""
    device = {"name": "rpi3", "kind": "edge", "architecture": "arm64", "version": "1"}
    assert monitor.post("/api/devices", json=device).status_code == 401
    writers = {"Authorization": "Bearer the-token-of-these-tests"}
    assert writer.post("/api/deployments", json=DEPLOY, headers=writers).status_code == 401
    assert writer.post("/api/devices", json=device, headers=writers).status_code == 201


def test_without_a_token_in_the_configuration_nobody_records(config, serve, eventually):
    client = serve(config.model_copy(update={"deployments_token": None}))
    eventually(lambda: client.get("/health").status_code == 200)
    for token in ("", "None", "the-monitors-token-of-these-tests"):
        headers = {"Authorization": f"Bearer {token}"}
        assert client.post("/api/deployments", json=DEPLOY, headers=headers).status_code == 401


def test_a_release_ignores_settings_that_a_later_platform_has(config):
    settings = config.model_dump(mode="json") | {"of_later": 1, "api_token": "x" * 16}
    settings["database"] |= {"of_later": 1, "password": "x"}
    settings["cache"] |= {"password": "x"}
    settings["deployments_token"] = "x" * 16
    assert Config.model_validate(settings).name == config.name


def test_the_oldest_are_forgotten(monitor, monkeypatch):
    monkeypatch.setattr(deployments, "KEPT", 3)
    for day in (5, 1, 3, 2, 4):
        started = f"2026-01-0{day}T00:00:00Z"
        assert monitor.post("/api/deployments", json=GIVEN | {"started_at": started}).status_code == 201
    kept = [row["started_at"][:10] for row in monitor.get("/api/deployments").json()]
    assert kept == ["2026-01-05", "2026-01-04", "2026-01-03"]


def test_a_list_that_is_known_is_not_sent_again(monitor):
    monitor.post("/api/deployments", json=DEPLOY)
    first = monitor.get("/api/deployments")
    assert first.headers["cache-control"] == "no-cache"
    known = {"If-None-Match": first.headers["etag"]}
    again = monitor.get("/api/deployments", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    monitor.post("/api/deployments", json=GIVEN)
    assert len(monitor.get("/api/deployments", headers=known).json()) == 2


# -- releases beside each other --


def test_the_release_before_goes_on_with_the_new_columns(monitor, database, row_of_before):
    with database.inside() as connection:
        connection.execute(row_of_before)
    [row] = monitor.get("/api/deployments").json()
    assert (row["deploy_id"], row["services"], row["commit"], row["tickets"]) == (None, [], "", [])


def test_what_was_recorded_before_the_new_columns_stays(before, config, serve, eventually, known):
    client = serve(config)
    eventually(lambda: client.get("/health").status_code == 200)
    assert [row["version"] for row in client.get("/api/deployments").json()] == ["1"]
    with before.inside() as connection:
        state = connection.execute("SELECT version, schema_min FROM backend.schema_state").fetchall()
    assert state == [(known, 2)]


def test_a_reader_that_holds_the_table_delays_the_start_and_nobody_else(before, config, serve, eventually):
    """The migration gives up after a second and tries again; who reads meanwhile is answered."""
    with before.inside() as holder:
        holder.autocommit = False
        holder.execute("SELECT * FROM backend.deployments")
        client = serve(config)
        with before.inside() as reader:
            reader.execute("SET statement_timeout = '2s'")
            for _ in range(20):
                reader.execute("SELECT * FROM backend.deployments")
        assert client.get("/health").status_code == 503
        holder.rollback()
    eventually(lambda: client.get("/health").status_code == 200)
