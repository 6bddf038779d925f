"""How the services were: told by the monitor as a whole, shown to everybody, bounded."""

import pytest

TOLD = {
    "until": "2026-11-25T13:15:00Z",
    "step": 900,
    "services": [
        {"service": "backend", "parts": "u" * 95 + "p"},
        {"service": "ssh-manager", "parts": "-" * 90 + "uuuddd"},
        {"service": "new-one", "parts": ""},
    ],
}


def test_before_the_first_there_is_none(client):
    assert client.get("/api/history").json() == {"until": None, "step": 900, "services": []}


def test_what_was_told_last_is_shown_to_everybody(monitor, database):
    assert monitor.put("/api/history", json=TOLD | {"services": []}).status_code == 204
    answer = monitor.put("/api/history", json=TOLD)
    assert (answer.status_code, answer.content) == (204, b"")
    monitor.headers.pop("Authorization")
    assert monitor.get("/api/history").json() == TOLD
    with database.inside() as connection:
        assert connection.execute("SELECT count(*) FROM backend.history").fetchone() == (1,)


@pytest.mark.parametrize(
    "change",
    [
        {"until": "yesterday"},
        {"until": None},
        {"step": 0},
        {"step": "long"},
        {"surprise": 1},
        {"services": None},
        {"services": [{"service": "a", "parts": "u" * 97}]},
        {"services": [{"service": "a", "parts": "uux"}]},
        {"services": [{"service": "a", "parts": "u\n"}]},
        {"services": [{"service": "a b", "parts": "u"}]},
        {"services": [{"service": "a", "parts": "u", "detail": "secret"}]},
        {"services": [{"service": "a", "parts": "u"}, {"service": "a", "parts": "d"}]},
        {"services": [{"service": f"s{n}", "parts": ""} for n in range(61)]},
    ],
)
def test_refuses_what_is_no_history(monitor, change):
    monitor.put("/api/history", json=TOLD)
    assert monitor.put("/api/history", json=TOLD | change).status_code == 422
    assert monitor.get("/api/history").json() == TOLD


def test_as_many_services_as_may_be(monitor):
    services = [{"service": f"s{n:02}" + "x" * 60, "parts": "p" * 96} for n in range(60)]
    assert monitor.put("/api/history", json=TOLD | {"services": services}).status_code == 204
    assert len(monitor.get("/api/history").json()["services"]) == 60


@pytest.mark.parametrize("token", ["", "wrong", "the-token-of-these-tests"])
def test_nobody_but_the_monitor_tells_it(client, token):
    headers = {"Authorization": f"Bearer {token}"}
    assert client.put("/api/history", json=TOLD, headers=headers).status_code == 401
    assert client.get("/api/history").json()["services"] == []


def test_one_that_is_known_is_not_sent_again(monitor):
    monitor.put("/api/history", json=TOLD)
    known = {"If-None-Match": monitor.get("/api/history").headers["etag"]}
    again = monitor.get("/api/history", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    monitor.put("/api/history", json=TOLD | {"until": "2026-11-25T13:20:00Z"})
    assert monitor.get("/api/history", headers=known).json()["until"] == "2026-11-25T13:20:00Z"


def test_the_table_is_made_beside_what_a_release_before_has(before, config, serve, eventually):
    client = serve(config)
    eventually(lambda: client.get("/health").status_code == 200)
    assert client.get("/api/history").json()["services"] == []
