"""The whole loop, once and unattended: from an issue to a live release, and back from it when it turns out to be bad."""

from __future__ import annotations

import json

import pytest

from tests.e2e.support.deploys import APP, QUICK, Team
from tests.e2e.support.github import fake_github
from tests.e2e.support.openrouter import fake_openrouter
from tests.e2e.support.platform import Platform, eventually
from tests.e2e.support.roles import as_role, data
from tests.e2e.test_autopilot import Pilot
from tests.e2e.test_implement import Desk
from tests.fakes.openrouter import Turn

# What the model makes of the issue works, and breaks later, as the test wants it.
FAULT = "/tmp/out-of-order"
LINE = '    down = [name for name, state in checks.items() if state == "down"]\n'
CHANGE = (APP, LINE, f'{LINE}    if __import__("os").path.exists("{FAULT}"):\n        down.append("order")\n')
GOOD = json.dumps({"summary": "It does what the ticket says", "findings": []})


@pytest.mark.slow
def test_from_an_issue_to_a_release_and_back(platform: Platform) -> None:
    team, pilot = Team(platform), Pilot(platform)
    pilot.forget()
    with team.own_code(), fake_github(platform) as github, fake_openrouter(platform, ["developer"]) as model:
        team.push("Without tests", QUICK)
        team.deploy("deploy-all")
        before = team.serving("backend")
        desk = Desk(platform, model)

        # The issue becomes a ticket, and the ticket a branch.
        issue = github.add_issue("Health knows whether all is in order", labels=["assigned:developer"])
        pulled = as_role(platform, "manager", "ticket-pull")
        assert pulled.returncode == 0, pulled.stderr
        listed = data(as_role(platform, "manager", "ticket-list --json"))["tickets"]
        [ticket] = [entry["id"] for entry in listed if entry["github_issue_number"] == issue]
        desk.says([CHANGE])
        commit = desk.succeeds(ticket, ["passed"])
        model.script(Turn(GOOD))
        team.developer(
            f"cd ~/app && git fetch -q && review --branch ticket/{ticket} --fail-at high"
            f" && git switch -q main && git merge -q --ff-only ticket/{ticket} && git push -q origin main"
        )
        try:
            # The monitor and the autopilot are left to themselves from here on.
            on = as_role(
                platform, "manager", "config-monitor MONITOR_AUTO_DEPLOY=true MONITOR_POLL_INTERVAL=5"
            )
            assert on.returncode == 0, on.stderr
            pilot.set(AUTOPILOT_INTERVAL=5, AUTOPILOT_MODE="act", AUTOPILOT_ENABLED="true")
            eventually(lambda: team.serving("backend").endswith(commit[:12]), "what was merged is live", 120)
            eventually(lambda: team.known("backend")["holder"] is None, "the deploy has ended")
            release = team.serving("backend")
            assert platform.run("backend", "touch", FAULT).returncode == 0
            eventually(lambda: ("request-rollback", "backend") in pilot.did(), "it was rolled back", 180)
            assert team.serving("backend") == before
        finally:
            pilot.set(AUTOPILOT_INTERVAL="", AUTOPILOT_MODE="", AUTOPILOT_ENABLED="false")
            as_role(platform, "manager", "config-monitor MONITOR_AUTO_DEPLOY=false MONITOR_POLL_INTERVAL=")
            platform.run("backend", "rm", "-f", FAULT)

        # Ticket and issue tell the story.
        [entry] = [entry for entry in pilot.log() if entry["action"] == "request-rollback"]
        assert (entry["planner"], entry["verdict"]) == ("rules", "done")
        comments = desk.comments(ticket)
        for told in (f"ticket/{ticket}", release, "rolled back"):
            assert told in comments, comments
        pushed = as_role(platform, "manager", f"ticket-push {ticket}")
        assert pushed.returncode == 0, pushed.stderr
        said = "\n".join(comment["body"] for comment in github.issue(issue)["comments"])
        for told in (f"ticket/{ticket}", release, "rolled back"):
            assert told in said, said
