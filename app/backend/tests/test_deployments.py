"""Deployments: recorded, updated, listed newest first."""

import pytest

GIVEN = {"service": "frontend", "version": "1.2.0", "deployed_by": "monitor"}


def test_a_deployment_from_start_to_end(writer):
    answer = writer.post("/api/deployments", json=GIVEN)
    assert answer.status_code == 201
    started = answer.json()
    assert started["status"] == "started"
    assert started["finished_at"] is None

    update = GIVEN | {"status": "succeeded", "note": "took 3 s"}
    ended = writer.put(f"/api/deployments/{started['id']}", json=update).json()
    assert ended["status"] == "succeeded"
    assert ended["started_at"] == started["started_at"]
    assert ended["finished_at"] >= ended["started_at"]
    assert writer.get(f"/api/deployments/{started['id']}").json() == ended


def test_lists_the_newest_first_and_no_more_than_asked(writer):
    for version in ("1", "2", "3"):
        writer.post("/api/deployments", json=GIVEN | {"version": version})
    writer.post("/api/deployments", json=GIVEN | {"version": "0", "started_at": "2020-01-01T00:00:00Z"})
    assert [item["version"] for item in writer.get("/api/deployments").json()] == ["3", "2", "1", "0"]
    assert [item["version"] for item in writer.get("/api/deployments?limit=1").json()] == ["3"]


@pytest.mark.parametrize(
    "text", ["'); DROP TABLE backend.deployments; --", '%s %(id)s \\ " $1', "<b>é\n漢字 🚀"]
)
def test_keeps_every_text_as_it_is(writer, text):
    assert writer.post("/api/deployments", json=GIVEN | {"note": text}).json()["note"] == text
    assert writer.get("/api/deployments").json()[0]["note"] == text


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
    ],
)
def test_refuses_what_is_no_deployment(writer, change):
    assert writer.post("/api/deployments", json=GIVEN | change).status_code == 422
    assert writer.get("/api/deployments").json() == []


@pytest.mark.parametrize("number", ["1", str(2**63 - 1)])
def test_an_unknown_deployment(writer, number):
    assert writer.get(f"/api/deployments/{number}").status_code == 404
    assert writer.put(f"/api/deployments/{number}", json=GIVEN).status_code == 404


@pytest.mark.parametrize("number", ["0", "-1", str(2**63), "x", "1e3", "%00"])
def test_what_is_no_deployment_number(writer, number):
    assert writer.get(f"/api/deployments/{number}").status_code == 422


def test_finished_before_the_recorded_start(writer):
    number = writer.post("/api/deployments", json=GIVEN).json()["id"]
    update = GIVEN | {"status": "failed", "finished_at": "2001-01-01T00:00:00Z"}
    assert writer.put(f"/api/deployments/{number}", json=update).status_code == 422


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "", "1.5", "1;DROP"])
def test_limits_out_of_range(client, limit):
    assert client.get("/api/deployments", params={"limit": limit}).status_code == 422
    assert client.get("/api/devices", params={"limit": limit}).status_code == 422


def test_a_failed_statement_is_not_logged_finding_s13(writer, database, caplog):
    with database.inside() as connection:
        connection.execute(
            "ALTER TABLE backend.deployments ADD CONSTRAINT silent CHECK (note = '') NOT VALID"
        )
        try:
            body = {"service": "frontend", "version": "1", "deployed_by": "monitor", "note": "canary"}
            answer = writer.post("/api/deployments", json=body)
        finally:
            connection.execute("ALTER TABLE backend.deployments DROP CONSTRAINT silent")
    assert (answer.status_code, "canary" in answer.text) == (500, False)
    assert "/api/deployments: CheckViolation (23514)" in caplog.text
    assert "canary" not in caplog.text
