"""From a push to what serves, and back: by effect, under load, and when it goes wrong."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import expect

from tests.e2e.support.browser import DESK, View, opened
from tests.e2e.support.deploys import APP, QUICK, SECONDS, Team, under_load
from tests.e2e.support.platform import Platform, eventually
from tests.e2e.support.runs import playbook

RELEASED = ["frontend", "backend", "mobile-backend"]
SERVE = "backend/backend/serve.py"


@pytest.fixture(scope="module")
def team(platform: Platform) -> Iterator[Team]:
    team = Team(platform)
    with team.own_code():
        yield team


@pytest.fixture(scope="module")
def untested(team: Team) -> str:
    """The code's own tests do not run, so that deploys take seconds; the commit."""
    commit = team.push("Without tests", QUICK)
    team.deploy("deploy-all")
    return commit


@pytest.fixture
def quick(team: Team, untested: str) -> Iterator[Team]:
    """Whatever a test pushes, the next one finds good code."""
    yield team
    team.push("Good again", f"git read-tree -u --reset {untested}")


def page(team: Team, path: str) -> requests.Response:
    return requests.get(team.platform.url(path), verify=str(team.platform.authority), timeout=10)


def people_see(team: Team, text: str, commit: str) -> None:
    """A text of the page, and its row of the deploy, in a browser."""
    with opened(team.platform) as browser:
        view = View(team.platform, browser.new_context(viewport=DESK, locale="en-GB"))
        shown = view.open()
        expect(shown.get_by_text(text)).to_be_visible()
        expect(shown.locator("#services")).to_contain_text(f"release {commit[:12]}")
        expect(shown.locator("#deployments")).to_contain_text(commit[:12])
        view.shot("page-deployed")
        assert view.errors == []


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    return done.stderr.strip().splitlines()[-1]


# The way of a change -----------------------------------------------------------------------------------------------------


def test_a_pushed_change_is_built_tested_and_live(team: Team) -> None:
    """With the application's own tests, as a person does it."""
    manager = team.platform.ssh("manager", "ticket-create 'Greet' --json")
    ticket = json.loads(manager.stdout)["id"]
    team.developer(
        f"ticket-work {ticket} && cd ~/app && git pull -q && sed -i 's|</main>|<p>Hello from {ticket}</p></main>|' frontend/site/index.html"
        f' && sed -i \'s|"""The reference|"""Changed: the reference|\' backend/backend/app.py && echo \'# {ticket}\' >>{APP}'
        f" && commit-push 'Greet ({ticket})'"
    )
    commit = team.developer("cd ~/app && git rev-parse HEAD")
    planned = team.deploy("deploy-all --dry-run")
    assert {entry["service"] for entry in planned["services"]} >= {"frontend", "backend"}
    before = team.known("backend")["releases"]
    assert team.deploy("deploy-all --dry-run")
    assert team.known("backend")["releases"] == before
    done = team.monitor("deploy-all")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert f"all is at {commit[:12]} now" in done.stdout
    release = team.serving("backend")
    assert re.fullmatch(rf"\d{{8}}T\d{{6}}Z-{commit[:12]}", release)
    assert team.serving("frontend") == release
    people_see(team, f"Hello from {ticket}", commit)
    # Everybody knows.
    listed = page(team, "/api/deployments").json()
    [row] = [row for row in listed if row["release"] == release]
    assert (row["commit"], row["status"], row["tickets"]) == (commit, "succeeded", [ticket])
    comments = json.loads(team.platform.ssh("manager", f"ticket-show {ticket} --json").stdout)["comments"]
    [comment] = [comment for comment in comments if release in comment["text"]]
    assert comment["author"] == "monitor"
    lines = team.platform.run(
        "ssh-monitor", "cat", "/shared/logs/audit/ssh-monitor.jsonl"
    ).stdout.splitlines()
    entries = [entry for entry in map(json.loads, lines) if entry.get("verb") == "deploy-all"]
    told = [entry for entry in entries if "--dry-run" not in entry["arguments"]]
    assert (told[-1]["verdict"], told[-1]["result"]) == ("allowed", 0)


def test_the_monitor_deploys_by_itself_what_is_pushed(quick: Team) -> None:
    on = quick.platform.ssh("manager", "config-monitor MONITOR_AUTO_DEPLOY=true MONITOR_POLL_INTERVAL=5")
    assert on.returncode == 0, on.stderr
    try:
        commit = quick.push(
            "By itself", f"echo '# by itself' >>{APP}; echo '<!-- by itself -->' >>frontend/site/index.html"
        )
        eventually(
            lambda: {quick.serving(service)[-12:] for service in ("backend", "frontend")} == {commit[:12]},
            "both serve it",
            120,
        )
        # What is rolled back stays so.
        eventually(lambda: quick.known("backend")["holder"] is None, "the deploy has ended")
        quick.deploy("rollback")
        before = quick.serving("backend")
        assert not before.endswith(commit[:12])
        time.sleep(12)
        assert quick.serving("backend") == before
    finally:
        quick.platform.ssh("manager", "config-monitor MONITOR_AUTO_DEPLOY=false MONITOR_POLL_INTERVAL=")


def test_what_serves_already_is_left_alone(team: Team) -> None:
    before = {service: team.releases(service) for service in RELEASED}
    begin = time.monotonic()
    result = team.deploy("deploy-all")
    taken = time.monotonic() - begin
    assert (result["result"], result["services"]) == ("unchanged", [])
    assert {service: team.releases(service) for service in RELEASED} == before
    assert taken < 30  # the figure is the bench's


def test_a_rollback_goes_back_and_stays(quick: Team) -> None:
    before = quick.serving("backend")
    commit = quick.push("Worse", f"echo '# worse' >>{APP}")
    quick.deploy("deploy-backend")
    assert quick.serving("backend").endswith(commit[:12])
    result = quick.deploy("rollback backend")
    assert (result["result"], quick.serving("backend")) == ("rolled-back", before)
    # By itself the monitor does not try that again, a person may.
    assert quick.deploy("deploy-all --automatic")["result"] == "unchanged"
    assert quick.serving("backend") == before
    again = quick.deploy("deploy-backend")
    assert [entry["build"] for entry in again["services"]] == [False]
    assert quick.serving("backend").endswith(commit[:12])


def test_without_origin_and_builder_a_rollback_goes_all_the_same(quick: Team) -> None:
    quick.push("One", f"echo '# one' >>{APP}")
    quick.deploy("deploy-backend")
    before = quick.known("backend")["previous"]
    with quick.platform.stopped("git"), quick.platform.stopped("builder"):
        quick.deploy("rollback backend")
        assert quick.serving("backend") == before
        assert quick.monitor("deploy-backend").returncode == 1
    quick.platform.wait_answering("git")


def test_requests_go_on_while_releases_change(quick: Team) -> None:
    """The short form of the slow test."""
    with under_load(quick.platform) as load:
        for number in range(1):
            quick.push(
                f"Change {number}",
                f"echo '# {number}' >>{APP}; echo '<!-- {number} -->' >>frontend/site/index.html",
            )
            release = quick.deploy("deploy-all")["release"]
            since = time.monotonic()
            time.sleep(2)
            late = [found for begin, _took, found in load.answers if begin > since and found != release]
            assert late == []
        quick.deploy("rollback backend")
    assert load.failures == []
    assert load.sent > 100
    # Each was stored once: what is there already is refused by its name, and would be a failure above.
    stored = quick.platform.run(
        "db",
        "psql",
        "-At",
        "-d",
        "app",
        "-c",
        f"SELECT name FROM backend.devices WHERE name LIKE '{load.name}-%'",
    ).stdout.split()
    assert sorted(stored) == sorted(load.stored)


# What goes wrong -----------------------------------------------------------------------------------------------------------

BAD = {
    "its tests fail": (
        "sed -i 's/^  command: .*/  command: [python, -c, \"raise SystemExit(3)\"]/' backend/release.yml",
        "backend: test",
    ),
    "release.yml is damaged": (
        "echo 'settle_secnds: 3' >>backend/release.yml",
        r"backend/release\.yml:\d+: .*settle_seconds",
    ),
    "it does not start": (f"echo 'raise RuntimeError(\"no\")' >>{SERVE}", "crashed|does not start|unhealthy"),
    "it is unhealthy": (
        "sed -i 's|path: /health|path: /no-such-page|; s|  seconds: 30|  seconds: 3|' backend/release.yml",
        "unhealthy",
    ),
    "it ends after the switch": (
        f"printf 'import os, threading\\nthreading.Timer(3, os._exit, [1]).start()\\n' >>{SERVE}",
        "crashed",
    ),
    "its migration fails": (
        "echo 'SELECT no_such_function();' >backend/backend/migrations/0099.bad.sql",
        "backend",
    ),
    "it answers with an error": (
        f"""cat >>{SERVE} <<'END'


_made = application


def application():
    app = _made()
    app.router.routes[:] = [route for route in app.router.routes if getattr(route, "path", "") != "/api/info"]

    @app.get("/api/info")
    def bad():
        raise RuntimeError

    return app
END""",
        "unhealthy.*500",
    ),
    "a package has another hash": (
        "sed -i 's/sha256:./sha256:0/' backend/requirements.txt",
        "packages|hash",
    ),
    "a directory is missing": ("git rm -rq backend", "no directory backend"),
}


# Tried each time; the others are slow together.
OFTEN = ("its tests fail", "it is unhealthy", "its migration fails")


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=() if what in OFTEN else pytest.mark.slow) for what in BAD]
)
def test_what_is_bad_never_serves(quick: Team, what: str) -> None:
    change, told = BAD[what]
    before = quick.serving("backend")
    quick.push(what, change)
    with under_load(quick.platform, 2) as load:
        done = quick.monitor("deploy-backend")
    assert done.returncode == 1, f"{done.stdout}{done.stderr}"
    assert re.search(told, last_line(done)), done.stderr
    assert "Traceback" not in last_line(done)
    assert quick.serving("backend") == before
    if what == "it ends after the switch":
        # What stores something and was under way in that moment may not be done twice by anybody: one of each worker at most.
        assert len(load.failures) <= 2
        assert all(failure.startswith("POST 502 ") for failure in load.failures)
    else:
        assert load.failures == []
    known = quick.known("backend")
    assert (known["running"], known["current"], known["holder"]) == (before, before, None)
    # What failed is not tried again by itself.
    if what != "a directory is missing":
        assert quick.deploy("deploy-backend --automatic")["result"] == "unchanged"


def test_after_all_that_the_next_good_one_serves(quick: Team) -> None:
    commit = quick.push("Good", f"echo '# good' >>{APP}")
    quick.deploy("deploy-backend")
    assert quick.serving("backend").endswith(commit[:12])


def test_a_second_deploy_is_told_who_works(quick: Team) -> None:
    quick.push(
        "Slow",
        f"echo '# slow' >>{APP}; sed -i 's/^  command: .*/  command: [sleep, \"20\"]/' backend/release.yml",
    )
    first = _start(quick, "deploy-backend")
    eventually(lambda: quick.known("backend")["holder"] is not None, "the first deploy holds the bastion")
    second = quick.monitor("deploy-backend")
    assert second.returncode == 75
    assert "monitor since " in last_line(second)
    asked = quick.platform.ssh("autopilot", "ssh ssh-monitor request-restart backend")
    assert asked.returncode == 75
    assert "deploy" in asked.stderr
    assert first.wait(SECONDS) == 0
    assert quick.known("backend")["holder"] is None


# What serves well and then does not let go, and what takes all room there is.
BAD_LATER = {
    "it does not end when it is told to": (
        "sed -i 's/^drain_seconds: .*/drain_seconds: 3/' backend/release.yml\n"
        f"printf 'import atexit, threading\\natexit.register(threading.Event().wait)\\n' >>{SERVE}"
    ),
    "it fills what it may write": f"""cat >>{SERVE} <<'END'


def _fill():
    import pathlib, time
    for number in range(10**6):
        for place in ("/srv/state/backend", "/tmp", "/run", "/dev/shm"):
            try:
                pathlib.Path(place, f"full-{{number}}").write_bytes(bytes(2**20))
            except OSError:
                time.sleep(0.001)


import threading

threading.Thread(target=_fill, daemon=True).start()
END""",
}


@pytest.mark.slow
@pytest.mark.parametrize("what", BAD_LATER)
def test_the_next_good_one_replaces_what_is_bad_later(quick: Team, what: str) -> None:
    before = quick.serving("backend")
    commit = quick.push(what, BAD_LATER[what])
    with under_load(quick.platform, 2) as load:
        done = quick.monitor("deploy-backend")
        assert done.returncode in (0, 1), done.stderr
        assert quick.serving("backend")[-12:] in (commit[:12], before[-12:])
        good = quick.push("Good", f"git read-tree -u --reset HEAD~1; echo '# good' >>{APP}")
        quick.deploy("deploy-backend")
    assert quick.serving("backend").endswith(good[:12])
    assert load.failures == []
    backend = quick.platform.container("backend")
    eventually(lambda: commit[:12] not in str(backend.top()), "its processes have ended", 60)
    eventually(
        lambda: (
            quick.platform.run("backend", "ls", "-A", "/srv/state/backend").stdout.split() == ["state.json"]
        ),
        "what it has written is gone",
    )


@pytest.mark.parametrize(
    "end",
    ["killed", *(pytest.param(end, marks=pytest.mark.slow) for end in ("cut", "terminated"))],
)
def test_a_deploy_that_is_ended_leaves_what_served(quick: Team, end: str) -> None:
    before = quick.serving("backend")
    quick.push(
        end,
        f"echo '# {end}' >>{APP}; sed -i 's/^  command: .*/  command: [sleep, \"30\"]/' backend/release.yml",
    )
    process = _start(quick, "deploy-backend")
    eventually(lambda: quick.known("backend")["holder"] is not None, "the deploy holds the bastion")
    time.sleep(3)
    if end == "cut":
        process.kill()
    else:
        quick.platform.run(
            "ssh-monitor", "pkill", "-KILL" if end == "killed" else "-TERM", "-f", "deploy-backend"
        )
    process.wait(60)
    eventually(lambda: quick.known("backend")["holder"] is None, "nobody holds the bastion any more")
    assert quick.serving("backend") == before
    eventually(
        lambda: not quick.platform.run("ssh-monitor", "pgrep", "-f", "ansible-playbook").stdout,
        "its playbook has ended",
    )
    quick.push(f"After {end}", QUICK)
    quick.deploy("deploy-backend")
    assert quick.serving("backend") != before
    listed = page(quick, "/api/deployments").json()
    assert [row["status"] for row in listed[:2]] == ["succeeded", "failed"]


# Who else ----------------------------------------------------------------------------------------------------------------------


def test_the_autopilot_may_only_ask(quick: Team) -> None:
    before = quick.serving("backend")
    side = quick.developer(
        "cd ~/app && git switch -qC topic && git commit -q --allow-empty -m x && git push -qf origin topic && git rev-parse HEAD"
    )
    asked = quick.platform.ssh("autopilot", f"ssh ssh-monitor request-deploy backend {side}")
    assert asked.returncode == 77
    assert "not on main" in asked.stderr
    commit = quick.push("Asked for", f"echo '# asked' >>{APP}")
    asked = quick.platform.ssh("autopilot", "ssh ssh-monitor request-deploy backend --json", timeout=SECONDS)
    assert asked.returncode == 0, asked.stderr
    assert quick.serving("backend").endswith(commit[:12])
    asked = quick.platform.ssh("autopilot", "ssh ssh-monitor request-rollback backend", timeout=SECONDS)
    assert (asked.returncode, quick.serving("backend")) == (0, before), asked.stderr
    assert quick.platform.ssh("autopilot", "ssh ssh-monitor deploy-backend").returncode == 77


def test_site_leaves_releases_alone_and_they_outlive_containers(quick: Team) -> None:
    before = {service: quick.serving(service) for service in RELEASED}
    assert before["backend"]
    run = playbook("site.yml").ok()
    assert run.changed == 0
    # And says so.
    assert re.search(rf"made of other source .*backend \(commit {before['backend'][-12:]}\)", run.output)
    for service in RELEASED:
        quick.platform.container(service).remove(force=True)
    playbook("site.yml").ok()
    assert {service: quick.serving(service) for service in RELEASED} == before


def _start(team: Team, line: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["ssh", "-F", str(team.platform.state / "ssh_config"), "-o", "BatchMode=yes", "monitor", line],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
