"""What runs in the containers beside commands: it heals by itself, stops quickly, and one role's excess stays its own.

The ordinary tests are short forms; those of a minute and more are slow ones.
"""

from __future__ import annotations

import json
import random
import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.e2e.support.platform import Platform, eventually

HEALTH = ("/usr/local/bin/healthcheck",)


@pytest.fixture(scope="module", autouse=True)
def heal(platform: Platform) -> Iterator[None]:
    yield
    platform.wait_healthy(*platform.names)


def processes(platform: Platform, service: str) -> dict[int, str]:
    """Command lines of a container's processes by their numbers inside, the first and the supervisor's own left out."""
    script = (
        "for p in /proc/[0-9]*; do n=${p#/proc/}; [ $n = $$ ] || "
        'echo "$n $(cat $p/comm 2>/dev/null) $(tr "\\0" " " <$p/cmdline 2>/dev/null)"; done'
    )
    found = {}
    for line in platform.run(service, "bash", "-c", script).stdout.splitlines():
        pid, comm, *words = [*line.split(), ""]
        if comm and not comm.startswith("s6-svscan") and int(pid) != 1 and "cmdline" not in line:
            found[int(pid)] = " ".join([comm, *words])
    return found


def status(platform: Platform) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(platform.ssh("monitor", "status", "--json").stdout)
    return found


def answers_soon(platform: Platform, alias: str, seconds: float) -> None:
    """A new connection works, after some tries at most."""
    deadline = time.monotonic() + seconds
    while platform.ssh(alias, "true", options=("-o", "ConnectTimeout=2")).returncode:
        assert time.monotonic() < deadline, f"{alias}: no connection within {seconds} s"


# The supervisor -----------------------------------------------------------------------------------------------------


def test_daemons_and_sshd_run_under_the_supervisor_and_beat(platform: Platform) -> None:
    for service in ("ssh-manager", "ssh-monitor", "ssh-frontend", "git"):
        names = " ".join(processes(platform, service).values())
        assert "s6-supervise sshd" in names, service
        hearts = platform.run(service, "ls", "/run/dockfra/hearts").stdout.split()
        monitors = ["audit-copy", "guard", "poll", "watch"]
        assert hearts == (monitors if service == "ssh-monitor" else ["guard"])


def test_a_daemon_that_hangs_makes_the_container_unhealthy(platform: Platform) -> None:
    [guard] = [pid for pid, line in processes(platform, "ssh-autopilot").items() if "daemon guard" in line]
    platform.run("ssh-autopilot", "kill", "-STOP", str(guard))
    try:
        told: list[str] = []

        def unhealthy() -> bool:
            checked = platform.run("ssh-autopilot", *HEALTH)
            told.append(checked.stdout)
            return checked.returncode != 0

        eventually(unhealthy, "the health check tells the daemon that hangs")
        assert "the daemon guard has said nothing for" in told[-1]
    finally:
        platform.run("ssh-autopilot", "kill", "-CONT", str(guard))
    platform.wait_answering("ssh-autopilot")


def test_what_sshd_says_is_json_in_the_containers_log(platform: Platform) -> None:
    assert platform.ssh("manager", "true").returncode == 0

    def logged() -> bool:
        lines = platform.container("ssh-manager").logs(tail=30).decode().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return any("Accepted publickey" in entry.get("message", "") for entry in found)

    eventually(logged, "the login is in the log")


def test_an_established_session_survives_its_server(platform: Platform) -> None:
    session = subprocess.Popen(
        ["ssh", "-F", str(platform.state / "ssh_config"), "-o", "BatchMode=yes", "autopilot", "cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert session.stdin
    assert session.stdout
    session.stdin.write("before\n")
    session.stdin.flush()
    assert session.stdout.readline() == "before\n"
    for pid, line in processes(platform, "ssh-autopilot").items():
        if line.startswith("sshd ") or "s6-supervise" in line or "daemon guard" in line:
            platform.run("ssh-autopilot", "kill", "-KILL", str(pid))
    eventually(lambda: platform.ssh("autopilot", "true").returncode == 0, "sshd answers again", 20)
    output, _none = session.communicate("after\n", timeout=30)
    assert output == "after\n"


def kill_at_random(platform: Platform, service: str, alias: str, times: int, seconds: float) -> None:
    """Kill a random process, and see to it that sshd answers within a time each time."""
    chosen = random.Random(times)
    for _number in range(times):
        found = processes(platform, service)
        pid = chosen.choice(sorted(found))
        platform.run(service, "kill", "-KILL", str(pid))
        killed = time.monotonic()
        while platform.ssh(alias, "true", options=("-o", "ConnectTimeout=1")).returncode:
            assert time.monotonic() - killed < seconds, f"{found[pid]} was killed"
    platform.wait_answering(service)


def test_sshd_answers_again_whatever_was_killed(platform: Platform) -> None:
    kill_at_random(platform, "ssh-autopilot", "autopilot", 6, 20)


@pytest.mark.slow
@pytest.mark.parametrize(("service", "alias"), [("ssh-autopilot", "autopilot"), ("ssh-monitor", "monitor")])
def test_sshd_answers_again_within_three_seconds_after_each_of_fifty_kills(
    platform: Platform, service: str, alias: str
) -> None:
    lines = sum(
        log["lines"] for log in json.loads(platform.ssh("monitor", "verify", "--json").stdout)["audit"]
    )
    kill_at_random(platform, service, alias, 50, 3)
    after = json.loads(platform.ssh("monitor", "verify", "--json").stdout)["audit"]
    assert sum(log["lines"] for log in after) >= lines
    assert [log["problems"] for log in after if log["problems"]] == []


@pytest.mark.parametrize("service", ["ssh-autopilot", "git"])
def test_a_stop_is_clean(platform: Platform, service: str) -> None:
    container = platform.container(service)
    began = time.monotonic()
    container.stop(timeout=10)
    # Docker's own 10 s would mean that it was killed.
    assert time.monotonic() - began < 8
    container.start()
    platform.wait_answering(service)


# Connections --------------------------------------------------------------------------------------------------------


@contextmanager
def held(platform: Platform, service: str, script: str) -> Iterator[None]:
    """Something goes on in a role's container until the block ends."""
    command = platform.exec(service, "bash", "-c", script)
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        platform.run(service, "pkill", "-KILL", "-f", "flood")
        process.kill()
        process.wait()


def idle(target: str, count: int) -> str:
    """A shell script that holds so many connections without a call."""
    return f": flood; for i in $(seq {count}); do (exec -a flood ssh -N {target}) & done; wait"


def half_open(target: str, count: int) -> str:
    """One that holds so many connections that say nothing."""
    source = (
        "import socket,time\nkept=[]\nend=time.time()+600\nwhile time.time()<end:\n"
        f" while len(kept)<{count}:\n  try: kept.append(socket.create_connection(('{target}',2222),2))\n"
        "  except OSError: break\n time.sleep(1)\n"
    )
    return f"exec -a flood python3 -c {shlex.quote(source)} flood"


def others_work(platform: Platform) -> None:
    """Every other role, git, the database and redis."""
    for alias in ("manager", "autopilot", "monitor"):
        answers_soon(platform, alias, 20)
    fetched = ("git", "ls-remote", "git:app.git")
    eventually(
        lambda: platform.run("ssh-monitor", *fetched).returncode == 0, "the monitor reads the origin", 20
    )
    states = {entry["service"]: entry["state"] for entry in status(platform)["services"]}
    assert (states["db"], states["redis"]) == ("up", "up")


def test_connections_without_a_call_stay_the_callers_own_problem_finding_s3(platform: Platform) -> None:
    with held(platform, "ssh-developer", idle("git", 40)):

        def told() -> bool:
            return any(
                (entry["service"], entry["caller"], entry["limit"]) == ("git", "developer", "connections")
                for entry in status(platform)["limits"]
            )

        eventually(told, "status says who")
        others_work(platform)
        assert platform.run("git", *HEALTH).returncode == 0


def test_half_open_connections_leave_room_for_others_finding_s9(platform: Platform) -> None:
    port = platform.published("ssh-autopilot", "ssh")
    with ExitStack() as kept:
        for _number in range(40):
            kept.enter_context(socket.create_connection(("127.0.0.1", port), 5))
        answers_soon(platform, "autopilot", 20)
    with held(platform, "ssh-developer", half_open("git", 40)):
        others_work(platform)


@pytest.mark.slow
@pytest.mark.parametrize("make", [idle, half_open])
def test_two_hundred_connections_for_a_minute_finding_s3(
    platform: Platform, make: Callable[[str, int], str]
) -> None:
    with ExitStack() as kept:
        for target in ("git", "ssh-manager"):
            kept.enter_context(held(platform, "ssh-developer", make(target, 100)))
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for alias in ("manager", "autopilot", "monitor"):
                answers_soon(platform, alias, 5)
            others_work(platform)
        assert any(entry["caller"] == "developer" for entry in status(platform)["limits"])


# Room on the disk ---------------------------------------------------------------------------------------------------


def test_who_fills_its_home_is_stopped_and_told_and_others_go_on_finding_s8(platform: Platform) -> None:
    """Holes would be no room: what is set aside is."""
    writer = (
        ": flood; for i in $(seq 40); do fallocate -l 100M ~/flood.$i || exit; sleep 0.2; done; sleep 600"
    )
    try:
        with held(platform, "ssh-autopilot", writer):
            eventually(
                lambda: platform.run("ssh-autopilot", "test", "-e", "/run/dockfra/closed").returncode == 0,
                "the container is closed",
            )
            assert not any("sleep 600" in line for line in processes(platform, "ssh-autopilot").values())
            assert platform.run("ssh-autopilot", *HEALTH).returncode != 0
            assert platform.ssh("autopilot", "true", options=("-o", "ConnectTimeout=2")).returncode == 255
            told = [
                (entry["caller"], entry["verdict"])
                for entry in status(platform)["limits"]
                if "room" in entry["limit"]
            ]
            assert ("autopilot", "denied") in told
            assert platform.ssh("manager", "ticket-list").returncode == 0
    finally:
        platform.run("ssh-autopilot", "bash", "-c", "rm -f ~/flood.*")
    eventually(lambda: platform.ssh("autopilot", "true").returncode == 0, "it opens when there is room again")


@pytest.mark.slow
def test_a_role_that_writes_for_a_minute_wherever_it_may_finding_s8(platform: Platform) -> None:
    """Its home, pushes and refused calls, as fast as it can."""
    home = ": flood; while :; do head -c 50M /dev/zero >~/flood.$RANDOM; done"
    refused = ": flood; while :; do ssh -n git $(head -c 9000 /dev/urandom | base64 -w 0) 2>/dev/null; done"
    with ExitStack() as kept:
        for script in (home, refused, refused):
            kept.enter_context(held(platform, "ssh-developer", script))
        end = time.monotonic() + 60
        while time.monotonic() < end:
            assert platform.ssh("manager", "ticket-list").returncode == 0
            others_work(platform)
        assert any(entry["caller"] == "developer" for entry in status(platform)["limits"])
    platform.run("ssh-developer", "bash", "-c", "rm -f ~/flood.*")
    eventually(lambda: platform.ssh("developer", "true").returncode == 0, "the developer is let in again")


# The monitor's copy -------------------------------------------------------------------------------------------------


def test_a_log_its_service_wrote_anew_is_found_by_verify_finding_s12(platform: Platform) -> None:
    log = "/shared/logs/audit/ssh-autopilot.jsonl"
    copy = "/shared/logs/copies/ssh-autopilot/000001.jsonl"
    before = platform.run("ssh-autopilot", "cat", log).stdout
    if not before:
        platform.run("ssh-manager", "ssh", "ssh-autopilot", "id")
        before = platform.run("ssh-autopilot", "cat", log).stdout
    eventually(lambda: platform.run("ssh-monitor", "cat", copy).stdout == before, "the copy is taken")
    anew = before.replace('"manager"', '"nobody!"', 1)
    try:
        platform.run("ssh-autopilot", "tee", log, text=anew)
        verified = json.loads(platform.ssh("monitor", "verify", "--json").stdout)
        assert any("is not what the monitor's copy has" in problem for problem in verified["problems"])
    finally:
        platform.run("ssh-autopilot", "tee", log, text=before)
    verified = json.loads(platform.ssh("monitor", "verify", "--json").stdout)
    assert [log["problems"] for log in verified["audit"] if log["problems"]] == []
