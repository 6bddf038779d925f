# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Releases on a device, by the very scripts it gets, in a real shell: whole or not there, whatever breaks and wherever."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.devices import scripts
from ansible_collections.dockfra.core.plugins.module_utils.devices.answers import Answer
from ansible_collections.dockfra.core.plugins.module_utils.devices.artifacts import Artifact
from ansible_collections.dockfra.core.plugins.module_utils.devices.device import (
    KEPT,
    RESERVE,
    Device,
    Received,
    Switched,
)
from ansible_collections.dockfra.core.plugins.module_utils.errors import (
    DeviceAnswerError,
    DeviceAwayError,
    DeviceError,
    DeviceRefusedError,
    DeviceSpaceError,
    ReleaseInvalidError,
)
from ansible_collections.dockfra.core.tests.unit.made_devices import (
    SIZE,
    Home,
    artifact,
    identity,
    program,
)

OLD, NEW = identity(1), identity(2)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "device")


@pytest.fixture
def new(tmp_path: Path) -> Artifact:
    return artifact(tmp_path / "new", version="2.0.0")


@pytest.fixture
def old(tmp_path: Path) -> Artifact:
    return artifact(tmp_path / "old", program("1.0.0", 5000), "1.0.0")


def reached(home: Home) -> Device:
    return Device("rpi3", home, pause=lambda _seconds: None)


def deploy(home: Home, release: str, brought: Artifact) -> Received:
    device = reached(home)
    received = device.receive(release, brought)
    device.switch(release, brought.version)
    return received


def test_a_release_comes_whole_and_is_in_use(home: Home, new: Artifact) -> None:
    assert deploy(home, NEW, new) == Received(SIZE, 0)
    assert home.in_use() == NEW
    assert (home.releases / NEW / "program").read_bytes() == Path(new.path).read_bytes()
    found = reached(home).state()
    assert (found.current, found.previous, found.proven, found.halves) == (NEW, "", True, ())
    assert found.releases[NEW].sequence == 1


def test_what_is_there_is_not_sent_again(home: Home, new: Artifact) -> None:
    deploy(home, NEW, new)
    home.sent = 0
    assert deploy(home, NEW, new) == Received(0, SIZE)
    assert home.sent == 0


def test_what_a_card_has_lost_of_a_release_comes_again(home: Home, new: Artifact) -> None:
    deploy(home, NEW, new)
    with open(home.releases / NEW / "program", "r+b") as file:
        file.seek(100_000)
        file.write(b"\0" * 4096)
    assert deploy(home, NEW, new).sent == SIZE
    assert home.in_use() == NEW


@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_transfer_cut_at_each_tenth_goes_on(home: Home, old: Artifact, new: Artifact, tenth: int) -> None:
    deploy(home, OLD, old)
    home.sent, home.cut = 0, SIZE * tenth // 10
    with pytest.raises(DeviceAwayError):
        deploy(home, NEW, new)
    assert home.in_use() == OLD
    assert NEW not in reached(home).state().releases
    home.cut = None
    received = deploy(home, NEW, new)
    assert received.kept == SIZE * tenth // 10 // scripts.PIECE * scripts.PIECE
    assert home.in_use() == NEW
    assert f"{NEW}.part" not in home.names()


def test_what_a_power_cut_took_of_a_half_comes_again(home: Home, new: Artifact) -> None:
    home.cut = SIZE - 10
    with pytest.raises(DeviceAwayError):
        reached(home).receive(NEW, new)
    # The size was safe, the data were not.
    with open(home.releases / f"{NEW}.part" / "program", "r+b") as file:
        file.seek(scripts.PIECE // 2)
        file.write(b"\0" * 8192)
    home.cut = None
    assert reached(home).receive(NEW, new) == Received(SIZE, 0)
    assert reached(home).switch(NEW, "2.0.0") == Switched("", NEW)


def test_a_half_that_is_too_long_begins_anew(home: Home, new: Artifact) -> None:
    part = home.releases / f"{NEW}.part"
    part.mkdir(parents=True)
    (part / "program").write_bytes(b"x" * (SIZE + 1))
    assert deploy(home, NEW, new) == Received(SIZE, 0)


def test_a_way_that_breaks_once_is_tried_again(home: Home, new: Artifact) -> None:
    home.lost = 5
    told: list[str] = []
    device = Device("rpi3", home, told.append, pause=lambda _seconds: None)
    assert device.receive(NEW, new).kept == 0
    assert [line for line in told if "broke" in line] == [
        "rpi3: the way there broke at piece 2 of 3; tries again"
    ]


def _killed_at(home: Home, at: int) -> None:
    """Let the device lose its power before the command with that number, of those that change something."""
    for name in ("chmod", "dd", "ln", "mkdir", "mv", "rm", "sync"):
        real = "true" if name == "sync" else shutil.which(name)
        home.fake(
            name,
            f'n=$(cat "$HOME/../count"); echo $((n + 1)) >"$HOME/../count"\n'
            f'[ "$n" != {at} ] || kill -9 0\nexec {real} "$@"',
        )
    (home.path.parent / "count").write_text("0\n")


def _commands(home: Home) -> int:
    return int((home.path.parent / "count").read_text())


def test_power_cut_at_each_command_leaves_old_or_new_whole(tmp_path: Path, old: Artifact) -> None:
    new = artifact(tmp_path / "small", program("2.0.0", 3000), "2.0.0")
    home = Home(tmp_path / "counted")
    deploy(home, OLD, old)
    shutil.copytree(home.path, tmp_path / "before", symlinks=True)
    _killed_at(home, -1)
    deploy(home, NEW, new)
    total = _commands(home)
    assert total > 15
    seen, cut = set(), 0
    for at in range(total):
        home = Home(tmp_path / f"at-{at}", tmp_path / "before")
        _killed_at(home, at)
        try:
            deploy(home, NEW, new)
        except DeviceAwayError:
            cut += 1
        _killed_at(home, -1)
        seen.add((home.in_use(), reached(home).state().proven))
        deploy(home, NEW, new)
        found = reached(home).state()
        assert (home.in_use(), found.previous, found.proven) == (NEW, OLD, True), at
    # A piece is sent again at once.
    assert cut == total - 2
    assert seen == {(OLD, True), (OLD, False), (NEW, False), (NEW, True)}


def test_all_of_a_release_is_safe_before_it_has_its_name(home: Home, new: Artifact) -> None:
    for name in ("mv", "sync"):
        real = "true" if name == "sync" else shutil.which(name)
        home.fake(name, f'echo "{name} $*" >>"$HOME/log"\nexec {real} "$@"')
    deploy(home, NEW, new)
    log = (home.path / "log").read_text().splitlines()
    half = f"{NEW}.part"
    named = log.index(f"mv -T {half} {NEW}")
    assert log[named - 1] == f"sync {half}/program {half}/about {half}"
    assert log[named + 1] == "sync ."
    used = log.index("mv -T .current.new current")
    assert named < log.index("sync unproven .") < used
    assert log[used + 1] == "sync ."


def test_removing_killed_at_each_command_leaves_no_half_that_looks_whole(
    tmp_path: Path, old: Artifact
) -> None:
    for at in range(5):
        home = Home(tmp_path / f"at-{at}")
        reached(home).receive(OLD, old)
        _killed_at(home, at)
        home.calls = 0
        try:
            home(scripts.line(scripts.REMOVE, [OLD]), b"", 10)
        except DeviceAwayError:
            _killed_at(home, -1)
            if OLD in home.names():
                assert (home.releases / OLD / "program").stat().st_size == old.size
            reached(home).tidy()


def test_a_full_card_is_told_before_anything_is_sent(home: Home, old: Artifact, new: Artifact) -> None:
    deploy(home, OLD, old)
    home.sent = 0
    home.fake("df", f"printf 'head\\n/dev/root 9 9 {(SIZE + RESERVE) // 1024 - 1} 99%% /\\n'")
    with pytest.raises(DeviceSpaceError, match=r"rpi3 has 1\d MiB free, and 18 MiB are needed"):
        deploy(home, NEW, new)
    assert home.sent == 0
    assert (home.in_use(), home.names()) == (OLD, sorted([OLD, "current"]))


def test_a_card_that_fills_up_meanwhile_is_cleaned(home: Home, old: Artifact, new: Artifact) -> None:
    deploy(home, OLD, old)
    # In blocks of 512 bytes: files of this size are the most that the device can write.
    home.before = f"trap '' XFSZ; ulimit -f {scripts.PIECE * 3 // 2 // 512}; "
    with pytest.raises(DeviceSpaceError, match="rpi3 has no room left"):
        deploy(home, NEW, new)
    assert (home.in_use(), home.names()) == (OLD, sorted([OLD, "current"]))
    home.before = ""
    deploy(home, NEW, new)
    assert home.in_use() == NEW


def test_a_card_that_gives_back_something_else_is_found_out(home: Home, new: Artifact) -> None:
    real = shutil.which("dd")
    home.fake("dd", f'case $* in of=*) tr s z | {real} "$@" ;; *) exec {real} "$@" ;; esac')
    with pytest.raises(DeviceError, match=f"piece 1 of {NEW} is not what was sent"):
        deploy(home, NEW, new)
    assert home.names() == []


def test_old_releases_go_before_a_new_one_is_refused(home: Home, tmp_path: Path, new: Artifact) -> None:
    numbers = range(10, 14)
    for number in numbers:
        deploy(
            home, identity(number), artifact(tmp_path / str(number), program(f"{number}", 500), f"{number}")
        )
    marker = home.releases / identity(10)
    home.fake(
        "df",
        f'free=9; [ -d "{marker}" ] || free=99999999\nprintf "head\\n/dev/root 9 9 $free 99%% /\\n"',
    )
    deploy(home, NEW, new)
    assert set(reached(home).state().releases) == {identity(13), identity(12), NEW}


def test_three_releases_stay_and_those_in_need(home: Home, tmp_path: Path) -> None:
    made = [identity(number) for number in range(10, 16)]
    for number, release in enumerate(made):
        deploy(home, release, artifact(tmp_path / str(number), program(f"{number}", 500), f"{number}"))
    device = reached(home)
    device.switch(made[0])
    (home.releases / f"{NEW}.part").mkdir()
    gone = device.tidy()
    assert set(gone) == {*made[1:4], NEW}
    left = device.state()
    assert set(left.releases) == {made[0], made[4], made[5]}
    assert len(left.releases) == KEPT
    assert (left.current, left.previous) == (made[0], made[5])


def test_the_clock_of_a_device_counts_for_nothing(home: Home, tmp_path: Path) -> None:
    made = [identity(number) for number in range(10, 15)]
    for number, release in enumerate(made):
        deploy(home, release, artifact(tmp_path / str(number), program(f"{number}", 500), f"{number}"))
        # The later, the older it looks.
        os.utime(home.releases / release, (1000 - number, 1000 - number))
    reached(home).tidy()
    assert set(reached(home).state().releases) == set(made[2:])


def test_a_program_that_does_not_run_is_not_used(home: Home, old: Artifact, tmp_path: Path) -> None:
    deploy(home, OLD, old)
    bad = artifact(tmp_path / "bad", program("2.0.0", 5000, status=3), "2.0.0")
    with pytest.raises(
        DeviceRefusedError, match=f"rpi3 does not use {NEW}: its program ends with 3 there: status"
    ):
        deploy(home, NEW, bad)
    assert home.in_use() == OLD


def test_what_a_program_unpacks_goes_with_it(home: Home, tmp_path: Path, old: Artifact) -> None:
    text = b'#!/bin/sh\nmkdir -p "$XDG_CACHE_HOME/it" && echo status 2.0.0\n'
    deploy(home, NEW, artifact(tmp_path / "unpacking", text, "2.0.0"))
    assert (home.releases / NEW / "cache/it").is_dir()
    device = reached(home)
    device.switch("")
    device.receive(OLD, old)
    home(scripts.line(scripts.REMOVE, [NEW]), b"", 10)
    assert home.names() == sorted([OLD, "previous"])


def test_a_program_of_another_version_is_not_used(home: Home, tmp_path: Path) -> None:
    other = artifact(tmp_path / "other", program("1.9.0", 5000), "2.0.0")
    with pytest.raises(DeviceRefusedError, match=r"says 'status 1.9.0' of itself, not 2.0.0"):
        deploy(home, NEW, other)
    assert home.in_use() == ""


@pytest.mark.parametrize(
    ("hook", "words"), [("restart", "it does not start: no"), ("healthy", "it is not well: no")]
)
def test_a_device_that_is_not_well_goes_back(
    home: Home, old: Artifact, new: Artifact, hook: str, words: str
) -> None:
    deploy(home, OLD, old)
    home.hook(hook, f'[ "$(readlink "$HOME/releases/current")" = {OLD} ] || {{ echo no; exit 1; }}')
    with pytest.raises(DeviceRefusedError, match=f"rpi3 does not use {NEW}: {words}. It is back at {OLD}."):
        deploy(home, NEW, new)
    assert home.in_use() == OLD
    assert reached(home).state().proven


def cut_before_it_was_well(home: Home, release: str, built: Artifact) -> None:
    """Bring a release into use as where the way breaks before anybody asks whether the device is well."""
    reached(home).receive(release, built)
    home(scripts.line(scripts.SWITCH, [release]), b"", 10)
    assert (home.in_use(), reached(home).state().proven) == (release, False)


@pytest.mark.parametrize("program_fails", [False, True])
def test_a_switch_that_was_cut_goes_back_to_what_was_well(
    home: Home, old: Artifact, new: Artifact, program_fails: bool
) -> None:
    deploy(home, OLD, old)
    cut_before_it_was_well(home, NEW, new)
    assert reached(home).state().trusted == OLD
    home.hook("healthy", f'[ "$(readlink "$HOME/releases/current")" = {OLD} ] || {{ echo no; exit 1; }}')
    version = "3.0.0" if program_fails else "2.0.0"
    words = "its program says 'status 2.0.0' of itself, not 3.0.0" if program_fails else "it is not well: no"
    with pytest.raises(DeviceRefusedError, match=f"{words}. It is back at {OLD}."):
        reached(home).switch(NEW, version)
    found = reached(home).state()
    assert (home.in_use(), found.proven, found.trusted) == (OLD, True, OLD)


def test_a_switch_that_was_cut_is_taken_up_again_where_all_is_well(
    home: Home, old: Artifact, new: Artifact
) -> None:
    deploy(home, OLD, old)
    cut_before_it_was_well(home, NEW, new)
    assert reached(home).switch(NEW, "2.0.0") == Switched(OLD, NEW)
    found = reached(home).state()
    assert (found.current, found.proven, found.trusted) == (NEW, True, NEW)


def test_the_first_release_of_a_device_goes_where_it_is_not_well(home: Home, new: Artifact) -> None:
    cut_before_it_was_well(home, NEW, new)
    home.hook("healthy", '[ ! -e "$HOME/releases/current" ] || { echo no; exit 1; }')
    with pytest.raises(DeviceRefusedError, match=r"it is not well: no. It is back at no release."):
        reached(home).switch(NEW, "2.0.0")
    assert (home.in_use(), reached(home).state().proven) == ("", True)


def test_what_it_was_well_with_stays_what_it_goes_back_to(home: Home, old: Artifact, new: Artifact) -> None:
    deploy(home, OLD, old)
    home.hook("healthy", "echo too hot; exit 1")
    with pytest.raises(DeviceRefusedError, match="but it is not well"):
        deploy(home, NEW, new)
    # Not the one that was refused, though it was in use in between.
    assert reached(home).state().previous == NEW
    with pytest.raises(DeviceRefusedError, match="It was in use before, too"):
        reached(home).switch(OLD)
    assert home.in_use() == OLD
    # A mark of an earlier version names nothing.
    (home.releases / "unproven").write_text("")
    assert reached(home).state().trusted == NEW


def test_a_device_that_stays_unwell_says_so(home: Home, old: Artifact, new: Artifact) -> None:
    deploy(home, OLD, old)
    home.hook("healthy", "echo too hot; exit 1")
    with pytest.raises(DeviceRefusedError, match=f"It is back at {OLD}, but it is not well: too hot"):
        deploy(home, NEW, new)
    assert (home.in_use(), reached(home).state().proven) == (OLD, False)


def test_back_and_to_nothing(home: Home, old: Artifact, new: Artifact) -> None:
    deploy(home, OLD, old)
    deploy(home, NEW, new)
    device = reached(home)
    assert device.switch(OLD, "1.0.0") == Switched(NEW, OLD)
    assert device.state().previous == NEW
    assert device.switch("") == Switched(OLD, "")
    assert home.in_use() == ""
    with pytest.raises(DeviceError, match=f"has no release {identity(9)}; it has {OLD}, {NEW}"):
        device.switch(identity(9))


def test_a_device_starts_anew_and_is_waited_for(home: Home) -> None:
    home.hook("reboot", 'touch "$HOME/rebooted"')
    device = reached(home)
    with pytest.raises(DeviceAwayError, match="was told to start anew 0 s ago and has not"):
        device.reboot(0)
    assert (home.path / "rebooted").exists()

    def way(line: str, data: bytes, seconds: float) -> Answer:
        """The device is away for a while and then another start of itself."""
        if (home.path / "rebooted").exists():
            away.append(line)
            if len(away) < 3:
                raise DeviceAwayError("it is away")
            return Answer(0, home(line, data, seconds).output.replace(b"boot ", b"boot other-"))
        return home(line, data, seconds)

    away: list[str] = []
    (home.path / "rebooted").unlink()
    assert Device("rpi3", way, pause=lambda _seconds: None).reboot(30) < 30
    assert len(away) == 3


def test_a_device_that_is_not_well_after_a_restart_goes_back_to_what_it_used_before(
    home: Home, old: Artifact, new: Artifact
) -> None:
    deploy(home, OLD, old)
    deploy(home, NEW, new)
    home.hook("healthy", f'[ "$(readlink "$HOME/releases/current")" = {OLD} ]')
    with pytest.raises(DeviceRefusedError, match=f"It is back at {OLD}"):
        reached(home).switch(NEW, "2.0.0", before=OLD)
    assert home.in_use() == OLD


def test_no_restart_unless_one_is_asked_for(home: Home, new: Artifact) -> None:
    home.hook("reboot", 'touch "$HOME/rebooted"')
    deploy(home, NEW, new)
    assert not (home.path / "rebooted").exists()


@pytest.mark.parametrize("release", ["../../etc", "$(touch x)", "current", "-rf", ""])
def test_what_is_no_release_reaches_no_shell(home: Home, new: Artifact, release: str) -> None:
    with pytest.raises(ReleaseInvalidError):
        reached(home).receive(release, new)
    assert home.calls == 0


def test_arguments_stay_single_words(home: Home) -> None:
    words = ["a b", "'; touch broken; '", "$(touch broken)", "*"]
    answer = home(scripts.line('for word; do say word "$word"; done\n', words), b"", 10)
    assert answer.output.decode().splitlines() == [*(f"word {word}" for word in words), scripts.END]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"machine x86_64\nbits 64\nboot a\nfree 1\n",
        b"machine x86_64\nbits 64\nboot a\nfree 1\ndone",
        b"done\nmore\n",
    ],
)
def test_half_an_answer_is_none(answer: bytes) -> None:
    with pytest.raises(DeviceAwayError, match="the answer of rpi3 broke off"):
        Device("rpi3", lambda _line, _data, _seconds: Answer(0, answer)).state()


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("machine", "\x1b[2J"),
        ("machine", ""),
        ("free", "-1"),
        ("free", "9" * 40),
        ("bits", "many"),
        ("boot", "a b"),
    ],
)
def test_a_hostile_answer_is_refused(word: str, value: str) -> None:
    values = {"machine": "x86_64", "bits": "64", "boot": "a", "free": "1", word: value}
    text = "".join(f"{name} {text}\n" for name, text in values.items()) + "done\n"
    with pytest.raises(DeviceAnswerError, match="see what runs there"):
        Device("rpi3", lambda _line, _data, _seconds: Answer(0, text.encode())).state()


def test_a_device_without_what_is_needed_says_what(home: Home, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for name in ["sh", *scripts.TOOLS.split()]:
        if name not in ("timeout", "sync"):
            (few / name).symlink_to(shutil.which(name) or "")
    home.variables["PATH"] = str(few)
    with pytest.raises(DeviceError, match="rpi3 has no sync, timeout; install coreutils there"):
        reached(home).state()


def test_foreign_things_among_the_releases_are_left_alone(home: Home, new: Artifact) -> None:
    (home.releases / "notes").mkdir(parents=True)
    (home.releases / "notes" / "about").write_text("what I think\n")
    (home.releases / "notes.part").mkdir()
    (home.releases / "current").symlink_to("/etc")
    device = reached(home)
    assert device.state()[4:] == ("", "", True, "", {}, ())
    deploy(home, NEW, new)
    device.tidy()
    assert {"notes", "notes.part"} <= set(home.names())


@pytest.fixture(autouse=True)
def _gone(tmp_path: Path) -> Iterator[None]:
    yield
    shutil.rmtree(tmp_path, ignore_errors=True)
