# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Switches of an application under load: no request is lost, whatever the new release is like."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import LateError, ReleaseRefusedError
from ansible_collections.dockfra.core.plugins.module_utils.releases import spec_file, switch
from ansible_collections.dockfra.core.plugins.module_utils.releases.state import Try
from ansible_collections.dockfra.core.plugins.plugin_utils.supervisor import supervisor
from ansible_collections.dockfra.core.tests.unit.served import Load, Service, running, wait_for


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path) as service:
        yield service


def test_switches_lose_no_request_and_do_each_post_once(service: Service) -> None:
    releases = [service.release() for _round in range(2)]
    reported: list[tuple[float, str]] = []
    with Load(service.port, slow=1) as load:
        time.sleep(0.3)
        for release in (*releases, releases[0]):
            phases: list[tuple[str, float]] = []
            service.switch(release, phases)
            reported.append((time.monotonic(), release))
            assert service.get()[1:] == (release, service.get()[2])
            time.sleep(0.2)
    assert load.failed == []
    assert load.noted_once(service.notes)
    assert all(load.done.values())
    # Who asks after a switch was reported is answered by that release.
    for begin, _end, release in load.releases:
        known = [name for when, name in reported if when < begin]
        if known:
            assert release in (known[-1], *(name for when, name in reported if when > begin))
    assert (service.store.current(), service.store.previous()) == (releases[0], releases[1])


def refused(service: Service, release: str) -> tuple[str, str]:
    """How a switch ends that fails; the old release serves as before, and nothing is left."""
    before, current = service.get()[2], service.store.current()
    with pytest.raises(ReleaseRefusedError) as raised:
        service.switch(release)
    assert service.store.current() == current
    assert service.get()[2]["release"] == before["release"]
    assert not os.path.lexists(os.path.join(service.store.folder, "next"))
    assert service.state().running == before["release"]
    wait_for(lambda: len(service.workers()) == 1)
    return raised.value.result, raised.value.reason


def tried(service: Service, result: str) -> Try:
    """What the service says of its last try, when that has come so far."""

    def found() -> Try | None:
        said = service.state().tried
        return said if said and said.result == result else None

    found_at_last: Try = wait_for(found)
    return found_at_last


@pytest.mark.parametrize(
    ("mode", "result", "reason"),
    [
        ("import", "crashed", "it does not start: ModuleNotFoundError: No module named 'no_such_package'"),
        pytest.param(
            "lifespan", "crashed", "it does not start: OSError: no database", marks=pytest.mark.slow
        ),
        pytest.param("sleep", "hung", "it does not start within 2 s", marks=pytest.mark.slow),
        ("refused", "refused", "schema 7 of the database needs a newer release"),
        pytest.param("pages", "unhealthy", "/page answers 500", marks=pytest.mark.slow),
        ("broken", "unhealthy", "/page answers 500 RuntimeError: no page"),
        pytest.param("bare", "unhealthy", "/page answers RuntimeError: no page", marks=pytest.mark.slow),
        pytest.param("exit", "crashed", "SystemExit: configuration missing", marks=pytest.mark.slow),
        pytest.param("memory", "crashed", "it ended by SIGKILL", marks=pytest.mark.slow),
        pytest.param("wait", "hung", "it does not start within 2 s", marks=pytest.mark.slow),
        pytest.param("block", "hung", "it does not start within 2 s", marks=pytest.mark.slow),
        pytest.param("unhealthy", "unhealthy", "/health answers 503", marks=pytest.mark.slow),
        pytest.param("silent", "hung", "it does not start within 2 s", marks=pytest.mark.slow),
        pytest.param("raising", "unhealthy", "RuntimeError: nothing works", marks=pytest.mark.slow),
    ],
)
def test_a_release_that_does_not_work_is_never_reached(
    service: Service, mode: str, result: str, reason: str
) -> None:
    release = service.release(mode, start=2)
    with Load(service.port, slow=0.3) as load:
        told, why = refused(service, release)
    assert (told, load.failed) == (result, [])
    assert reason in why
    assert load.noted_once(service.notes)
    assert {release for _begin, _end, release in load.releases} == {""}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "result"), [("{", "damaged"), ('{"kind": "static", "root": "x"}', "refused")]
)
def test_what_the_bastion_would_not_send_is_refused_too(service: Service, text: str, result: str) -> None:
    release = service.release()
    spec = Path(service.store.folder) / release / "content" / "spec.json"
    right = spec.read_text()
    service.store.ask(release)
    tried(service, "ready")
    service.store.take_back()
    wait_for(lambda: service.get()[1] == "" and len(service.workers()) == 1)
    spec.write_text(text)
    service.store.ask(release)
    assert tried(service, result).release == release
    service.store.take_back()
    spec.write_text(right)
    service.switch(release)
    assert service.get()[1] == release


# Watched --------------------------------------------------------------------------------------------------------------


def test_one_that_crashes_soon_after_the_switch_is_taken_back(service: Service) -> None:
    good = service.release()
    service.switch(good)
    bad = service.release("crash 1.5", settle=4)
    with Load(service.port, slow=0.05) as load:
        result, reason = refused(service, bad)
    assert (result, reason) == ("crashed", "it ended with status 3")
    # What it had begun when it ended is lost with it: of five clients one request each at most.
    assert len(load.failed) <= len(load.WAYS), load.failed
    seen = [release for _begin, _end, release in load.releases]
    assert bad in seen
    assert seen[-1] == good
    assert bad in service.state().crashed
    # It may be tried again.
    service.fill(Path(service.store.folder) / bad / "content", "")
    service.switch(bad)
    assert service.state().crashed == {}


def hang(service: Service) -> None:
    """Let what serves answer nothing any more."""
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(b"GET /block HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.3)


@pytest.mark.slow
@pytest.mark.parametrize("settle", [5, 20])
def test_one_that_hangs_soon_after_the_switch_is_taken_back(service: Service, settle: int) -> None:
    # Also where it is watched no longer than it may take to answer.
    bad = service.release(settle=settle)
    service.store.ask(bad)
    tried(service, "settling")
    hang(service)
    assert tried(service, "hung").reason == "it does not answer for 5 s"
    wait_for(lambda: service.get()[1] == "")
    wait_for(lambda: len(service.workers()) == 1)


def test_a_request_that_is_withdrawn_leaves_the_old_one(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mode, phase in (("wait", "trying"), ("", "settling")):
        release = service.release(mode, settle=20)
        service.store.ask(release)
        tried(service, phase)
        service.store.take_back()
        assert tried(service, "withdrawn").release == release
        assert service.get()[1] == ""
        assert service.state().running == ""
    assert service.state().crashed == {}


@pytest.mark.slow
def test_a_request_that_is_withdrawn_when_the_old_one_was_killed_leaves_one_that_serves(
    service: Service,
) -> None:
    release = service.release(settle=20)
    [old] = service.workers()
    service.store.ask(release)
    tried(service, "settling")
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: old not in service.workers())
    with Load(service.port, slow=0.1) as load:
        service.store.take_back()
        tried(service, "withdrawn")
        wait_for(lambda: service.get()[1] == "" and len(service.workers()) == 1)
    assert load.failed == []


@pytest.mark.slow
def test_a_switch_that_nobody_confirms_is_taken_back(service: Service) -> None:
    """As when the bastion was killed and nobody comes to put its links right."""
    release = service.release()
    with Load(service.port) as load:
        service.store.ask(release)
        tried(service, "ready")
        assert service.get()[1] == release
        wait_for(lambda: service.state().running == "", supervisor.CONFIRM_SECONDS + 10)
        time.sleep(1)
        assert service.get()[1] == ""
    assert load.failed == []


# Killed ---------------------------------------------------------------------------------------------------------------


def test_a_new_one_that_is_killed_before_it_serves_costs_nothing(service: Service) -> None:
    release = service.release("wait", start=20)
    [old] = service.workers()
    with Load(service.port, slow=0.3) as load:
        service.store.ask(release)
        new = wait_for(lambda: set(service.workers()) - {old}).pop()
        os.kill(new, signal.SIGKILL)
        assert tried(service, "crashed").reason == "it ended by SIGKILL"
        assert service.workers() == [old]
    assert load.failed == []


@pytest.mark.slow
def test_an_old_one_that_is_killed_while_it_stands_by_is_not_missed(service: Service) -> None:
    release = service.release(settle=3)
    [old] = service.workers()
    service.store.ask(release)
    tried(service, "settling")
    time.sleep(0.3)
    with Load(service.port, slow=0.1) as load:
        os.kill(old, signal.SIGKILL)
        tried(service, "ready")
    assert load.failed == []


def test_what_serves_is_started_again_and_nobody_is_turned_away(service: Service) -> None:
    release = service.release()
    service.switch(release)
    wait_for(lambda: len(service.workers()) == 1)
    [old] = service.workers()
    os.kill(old, signal.SIGKILL)
    # The socket is still there: who connects waits, and is served.
    assert service.get()[1] == release
    assert service.workers() != [old]
    assert service.state().running == release


def test_one_that_is_killed_soon_after_the_switch_is_replaced_by_the_old_one_at_once(
    service: Service,
) -> None:
    release = service.release(settle=20)
    [old] = service.workers()
    service.store.ask(release)
    tried(service, "settling")
    [new] = set(service.workers()) - {old}
    os.kill(new, signal.SIGKILL)
    begin = time.monotonic()
    assert service.get()[2]["pid"] == old
    assert time.monotonic() - begin < 2
    assert tried(service, "crashed").reason == "it ended by SIGKILL"


@pytest.mark.parametrize("phase", [pytest.param("trying", marks=pytest.mark.slow), "settling"])
def test_a_supervisor_that_is_killed_goes_on_with_what_is_current(service: Service, phase: str) -> None:
    """In a container all ends with it; here its processes end by themselves."""
    good, new = service.release(), service.release("wait" if phase == "trying" else "", settle=3)
    service.switch(good)
    service.store.ask(new)
    tried(service, phase)
    assert service.process is not None
    left = service.workers()
    service.process.kill()
    service.process.wait(10)
    wait_for(
        lambda: (
            not any(
                Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes()
                for pid in left
            )
        )
    )
    service.fill(Path(service.store.folder) / new / "content", "", settle=0)
    service.up()
    # What was asked for is tried again, as nobody was told how it ended.
    wait_for(lambda: service.get()[1] == new)
    service.store.take_back()
    wait_for(lambda: service.get()[1] == good)


@pytest.mark.slow
def test_one_that_will_not_end_is_ended(service: Service) -> None:
    stubborn, next_one = service.release("undying", drain=3), service.release()
    service.switch(stubborn)
    with Load(service.port, slow=0.1) as load:
        service.switch(next_one)
        begin = time.monotonic()
        wait_for(lambda: len(service.workers()) == 1)
        assert time.monotonic() - begin < 8
    assert load.failed == []
    service.switch(stubborn)
    begin = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - begin < 7


# A start ----------------------------------------------------------------------------------------------------------------


def test_what_one_left_where_it_only_reports_goes_with_it(service: Service) -> None:
    service.switch(service.release())
    left = service.states / service.name / "left"
    left.mkdir()
    (left / "file").write_text("left")
    release = service.release()
    service.switch(release)
    wait_for(lambda: not left.exists())
    assert service.state().running == release


def test_a_start_takes_what_is_current(service: Service) -> None:
    release = service.release()
    service.switch(release)
    service.stop()
    service.up()
    assert service.get()[1] == release


@pytest.mark.slow
def test_a_start_takes_the_one_before_where_the_current_one_crashes(service: Service) -> None:
    first, second = service.release(), service.release()
    service.switch(first)
    service.switch(second)
    service.stop()
    service.up()
    assert service.get()[1] == second
    service.stop()
    # Now it crashes at each start.
    service.fill(Path(service.store.folder) / second / "content", "exit")
    service.up()
    wait_for(lambda: service.get()[1] == first)
    assert set(service.state().crashed) == {second}
    assert service.state().running == first
    service.stop()
    service.up()
    assert service.get()[1] == first
    # And it is not followed again, until somebody asks for it.
    time.sleep(0.5)
    assert service.get()[1] == first
    service.fill(Path(service.store.folder) / second / "content", "")
    service.switch(second)
    assert service.get()[1] == second


def test_releases_that_are_gone_leave_what_the_image_brought(service: Service) -> None:
    service.switch(service.release())
    service.stop()
    current = Path(service.store.folder) / service.store.current()
    current.rename(current.with_name(".away"))
    service.up()
    assert service.get()[1:] == ("", service.get()[2])
    assert any(event["event"] == "passed over" for event in service.events())


@pytest.mark.slow
def test_without_anything_that_serves_it_ends_with_one_line(service: Service) -> None:
    service.stop()
    service.image("exit")
    service.start()
    assert service.process is not None
    assert service.process.wait(20) == 1
    [line] = [line for line in service.log.read_text().splitlines() if line.startswith("supervise:")]
    assert (
        line
        == "supervise: What the image brought does not serve: it does not start: SystemExit: configuration missing."
    )


def test_an_unhealthy_start_serves_what_it_can(service: Service) -> None:
    """As without releases: what a service depends on may come later."""
    service.stop()
    service.image("unhealthy")
    service.start()
    wait_for(lambda: service.log.read_text().count('"serves"') == 2)
    assert service.get("/health")[0] == 503
    assert service.get("/")[0] == 200


# Answers --------------------------------------------------------------------------------------------------------------


def test_each_answer_names_its_release(service: Service) -> None:
    release = service.release()
    assert service.get()[1] == ""
    assert b"x-release" not in service.raw(b"nonsense\r\n\r\n").lower()
    service.switch(release)
    for path, status in (("/", 200), ("/missing", 404), ("/raise", 500), ("/page", 200)):
        assert service.get(path)[:2] == (status, release)
    for odd in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nA b: c\r\n\r\n"):
        answer = service.raw(odd)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert f"X-Release: {release}".lower().encode() in answer.lower()
        assert b"x-content-type-options: nosniff" in answer.lower()
    answer = service.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").lower()
    assert answer.count(b"x-release") == answer.count(b"nosniff") == 1
    assert b"server:" not in answer


def test_it_stops_soon_also_while_something_is_under_way(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(b"GET /slow?1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.3)
        begin = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - begin < 3
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_bastion_that_asks_while_nobody_is_there_is_told_so(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.stop()
    monkeypatch.setattr(switch, "NOTICE_SECONDS", 0.3)
    monkeypatch.setattr(switch, "BACK_SECONDS", 0.1)
    with pytest.raises(LateError, match="takes no notice; see whether it runs"):
        service.switch(service.release())


@pytest.mark.slow
def test_it_costs_next_to_nothing_while_nothing_happens(service: Service) -> None:
    service.switch(service.release())
    wait_for(lambda: len(service.workers()) == 1)
    assert service.process is not None
    ticks = os.sysconf("SC_CLK_TCK")

    def used() -> float:
        fields = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()  # type: ignore[union-attr]
        return (int(fields[11]) + int(fields[12])) / ticks

    before = used()
    time.sleep(2)
    # Of a core; a busy machine's clock counts coarsely.
    assert used() - before <= 0.03


@pytest.mark.slow
def test_many_switches_and_refusals_lose_no_request(service: Service) -> None:
    good = [service.release() for _round in range(4)]
    bad = [service.release(mode, start=2) for mode in ("import", "refused", "sleep", "pages", "wait")]
    took: list[float] = []
    with Load(service.port, pause=0.004, slow=5, each=2) as load:
        for number in range(30):
            phases: list[tuple[str, float]] = []
            service.switch(good[number % len(good)], phases)
            took.append(dict(phases)["settling"])
            if number % 3 == 2:
                refused(service, bad[number // 3 % len(bad)])
    assert load.failed == []
    assert load.noted_once(service.notes)
    asked = sum(load.done.values())
    seconds = sorted(load.seconds)
    print(
        f"{asked} requests, {len(took)} switches, {max(took):.2f} s at most, {sum(took) / len(took):.2f} s on average"
    )
    print(f"answers: p50 {seconds[len(seconds) // 2]:.3f} s, p99 {seconds[len(seconds) * 99 // 100]:.3f} s")
    assert asked > 2000


def test_files_are_served_by_what_the_image_brought(service: Service) -> None:
    service.stop()
    spec = "kind: files\nroot: data\nstart: {app: 'application:app'}\nsettle_seconds: 0\n"
    described = spec_file.parse(spec.encode()).to_json()
    (service.app / "spec.json").write_bytes(described)
    release = service.release()
    content = Path(service.store.folder) / release / "content"
    for left in ("application.py", "packages"):
        (content / left).rename(content.with_name(left))  # nothing of it may run
    (content / "data").mkdir()
    (content / "spec.json").write_bytes(described)
    service.up()
    assert service.get()[1:] == ("", {**service.get()[2], "files": str(service.app / "data")})
    with Load(service.port, slow=0.3) as load:
        service.switch(release)
        _status, named, found = service.get()
    assert (named, found["files"], found["version"]) == (
        release,
        str(content / "data"),
        service.app.parent.name,
    )
    assert load.failed == []
