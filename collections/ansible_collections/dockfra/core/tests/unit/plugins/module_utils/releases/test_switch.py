# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A switch at the bastion: it believes only the answer to its own request, in time, and takes it back otherwise."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import LateError, ReleaseRefusedError
from ansible_collections.dockfra.core.plugins.module_utils.releases import links, state, switch
from ansible_collections.dockfra.core.plugins.module_utils.releases.state import State, Try
from ansible_collections.dockfra.core.plugins.module_utils.releases.store import Store
from ansible_collections.dockfra.core.tests.unit.made_releases import add, packed, store

DATA = packed({"site/index.html": b"one"})


class Service:
    """A service that answers to what it is asked with prepared results."""

    def __init__(self, where: Store, folder: Path) -> None:
        self.where, self.folder, self.running = where, folder, ""
        self.answers: list[tuple[str, str]] = []
        self.stopped = threading.Event()
        self.seen: list[str] = []
        folder.mkdir(parents=True)

    def work(self) -> None:
        while not self.stopped.wait(0.01):
            asked = links.read(self.where.folder, "next")
            if asked is None or asked.token in self.seen or not self.answers:
                continue
            self.seen.append(asked.token)
            for result, reason in self.answers:
                self.running = asked.release if result in ("settling", "ready") else ""
                self.say(Try(asked.release, asked.token, result, reason))
                time.sleep(0.1)

    def say(self, tried: Try) -> None:
        state.write(self.folder, State(self.running, tried))


@pytest.fixture
def where(tmp_path: Path) -> Store:
    return store(tmp_path / "releases")


@pytest.fixture
def service(where: Store, tmp_path: Path) -> Iterator[Service]:
    service = Service(where, tmp_path / "states" / "frontend")
    thread = threading.Thread(target=service.work)
    thread.start()
    yield service
    service.stopped.set()
    thread.join(5)


@pytest.fixture
def change(where: Store, tmp_path: Path) -> Callable[..., switch.Switched]:
    def change(release: str, **options: object) -> switch.Switched:
        return switch.switch(where, release, tmp_path / "states", **options)  # type: ignore[arg-type]

    return change


def test_links_move_when_the_service_is_ready(
    where: Store, service: Service, change: Callable[..., switch.Switched]
) -> None:
    one, two = add(where, DATA, 1), add(where, DATA, 2)
    service.answers = [("trying", ""), ("settling", ""), ("ready", "")]
    phases: list[str] = []
    assert change(one, on_phase=phases.append)[:2] == ("", one)
    assert phases == ["trying", "settling"]
    assert change(two)[:2] == (one, two)
    assert (where.current(), where.previous()) == (two, one)


@pytest.mark.parametrize("result", ["unhealthy", "crashed", "hung", "refused", "damaged"])
def test_a_refused_release_changes_nothing(
    where: Store, service: Service, change: Callable[..., switch.Switched], result: str
) -> None:
    one, two = add(where, DATA, 1), add(where, DATA, 2)
    where.confirm(one)
    service.answers = [("trying", ""), (result, "for a reason.")]
    told = f"frontend does not serve {two}: {result}: for a reason. It serves {one} as before."
    with pytest.raises(ReleaseRefusedError) as raised:
        change(two)
    assert str(raised.value) == told
    assert (raised.value.result, raised.value.reason) == (result, "for a reason.")
    assert (where.current(), where.previous()) == (one, "")
    assert links.read(where.folder, "next") is None


def test_a_service_that_takes_no_notice_is_not_waited_for_long(
    where: Store, service: Service, change: Callable[..., switch.Switched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch, "NOTICE_SECONDS", 0.3)
    monkeypatch.setattr(switch, "BACK_SECONDS", 0.1)
    one = add(where, DATA, 1)
    # The answer to another's request is none.
    service.say(Try(one, "1.1", "ready"))
    begin = time.monotonic()
    with pytest.raises(LateError, match="takes no notice"):
        change(one)
    assert time.monotonic() - begin < 2
    assert where.current() == ""
    assert links.read(where.folder, "next") is None


def test_a_service_that_never_ends_to_try_is_left_in_time(
    where: Store, service: Service, change: Callable[..., switch.Switched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch, "longest", lambda _spec: 0.3)
    monkeypatch.setattr(switch, "BACK_SECONDS", 0.1)
    service.answers = [("trying", "")]
    with pytest.raises(LateError, match="is trying since then"):
        change(add(where, DATA, 1))
    assert links.read(where.folder, "next") is None


def test_nonsense_of_the_service_is_no_answer(
    where: Store, service: Service, change: Callable[..., switch.Switched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch, "NOTICE_SECONDS", 0.2)
    (service.folder / "state.json").write_text('{"running": "../../etc"}')
    with pytest.raises(LateError):
        change(add(where, DATA, 1))


def test_a_switch_that_is_interrupted_is_taken_back(
    where: Store, service: Service, change: Callable[..., switch.Switched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch, "BACK_SECONDS", 0.1)
    service.answers = [("trying", ""), ("settling", "")]

    def interrupt(phase: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        change(add(where, DATA, 1), on_phase=interrupt)
    assert links.read(where.folder, "next") is None
    assert where.current() == ""


def test_the_image_takes_over_or_the_release_stays_and_says_why(
    where: Store, service: Service, change: Callable[..., switch.Switched]
) -> None:
    one = add(where, DATA, 1)
    assert change("") == ("", "", 0.0)
    where.confirm(one)
    service.running = one
    service.answers = [("trying", ""), ("unhealthy", "/ answers 503")]
    why = f"does not serve what its image brought: unhealthy: / answers 503. It serves {one} as before"
    for _time in range(2):
        with pytest.raises(ReleaseRefusedError, match=why):
            change("")
        assert where.current() == one
        assert links.read(where.folder, "next") is None
    service.answers = [("settling", ""), ("ready", "")]
    assert change("")[:2] == (one, "")
    assert (where.current(), where.previous()) == ("", one)
