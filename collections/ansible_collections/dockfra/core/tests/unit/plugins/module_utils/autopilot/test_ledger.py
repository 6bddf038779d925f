# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the ledger says is what was done: through kills, full disks, several writers and rotation."""

from __future__ import annotations

import datetime
import json
import multiprocessing
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit import chain
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.ledger import (
    SHOWN,
    UNKNOWN,
    Decision,
    Ledger,
    effect_id,
)
from ansible_collections.dockfra.core.plugins.module_utils.errors import LedgerError
from ansible_collections.dockfra.core.tests.unit.support import COLLECTIONS


def decision(effect: str = "00000007-aaaaaaaaaaaa", verdict: str = "done", **values: object) -> Decision:
    base = {
        "id": effect,
        "cycle": 7,
        "planner": "rules",
        "action": "restart",
        "parameters": {"service": "web"},
    }
    base |= {"subject": "service/web", "risk": "medium", "verdict": verdict, "digest": "a" * 64}
    return Decision(**{**base, **values})  # type: ignore[arg-type]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl")


def test_an_effect_is_open_until_its_end_is_written(ledger: Ledger, tmp_path: Path) -> None:
    ledger.begin(decision(before={"state": "down"}))
    assert [effect.id for effect in ledger.open()] == ["00000007-aaaaaaaaaaaa"]
    shown = ledger.decisions()[0].to_dict()
    assert list(shown) == list(SHOWN)
    assert (shown["verdict"], shown["result"], shown["before"]) == ("failed", UNKNOWN, {"state": "down"})
    ledger.end("00000007-aaaaaaaaaaaa", "done", "it works again", {"state": "up"}, cost=0.25)
    assert ledger.open() == []
    (found,) = Ledger(tmp_path / "ledger.jsonl").decisions()
    shown = found.to_dict()
    assert (shown["verdict"], shown["result"], shown["after"]) == ("done", "it works again", {"state": "up"})
    assert (shown["before"], shown["cost"], shown["undone"]) == ({"state": "down"}, 0.25, "")


def test_what_was_read_is_read_again_when_somebody_writes(ledger: Ledger, tmp_path: Path) -> None:
    other = Ledger(tmp_path / "ledger.jsonl", limit=2000)
    assert ledger.decisions() == []
    for number in range(1, 30):  # through several files
        other.note(decision(f"{number:08d}-aaaaaaaaaaaa", "refused"))
        assert ledger.decisions()[-1].id == f"{number:08d}-aaaaaaaaaaaa"
    other.begin(decision("00000099-aaaaaaaaaaaa"))
    with pytest.raises(LedgerError, match="was begun already"):
        ledger.begin(decision("00000099-aaaaaaaaaaaa"))
    ledger.decisions().clear()
    assert ledger.decisions()
    (tmp_path / "ledger.jsonl").unlink()
    assert [entry.cycle for entry in ledger.open()] == []


def test_no_effect_is_begun_twice_and_none_ends_that_was_not_begun(ledger: Ledger) -> None:
    ledger.begin(decision())
    with pytest.raises(LedgerError, match="was begun already"):
        ledger.begin(decision())
    ledger.end(decision().id, "failed", "it does not work")
    with pytest.raises(LedgerError, match="was begun already"):
        ledger.begin(decision())
    with pytest.raises(LedgerError, match="no effect"):
        ledger.end(decision().id, "done")
    with pytest.raises(LedgerError, match="no effect"):
        ledger.end("00000009-bbbbbbbbbbbb", "done")
    with pytest.raises(LedgerError, match="no end of an effect"):
        ledger.end(decision().id, "waiting")
    with pytest.raises(LedgerError, match="no verdict"):
        ledger.note(decision(verdict="admitted"))
    ledger.end(decision().id, "undone", "brought back", undone="00000008-cccccccccccc")
    assert ledger.decisions()[0].to_dict()["undone"] == "00000008-cccccccccccc"


def test_that_lines_were_changed_or_are_gone_is_told(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    assert ledger.problems() == []
    for number in range(3):
        ledger.begin(decision(effect_id(number, "a" * 64)))
        ledger.end(effect_id(number, "a" * 64), "failed")
    assert ledger.problems() == Ledger(path).problems() == []
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]))  # a strike less
    [problem] = ledger.problems()
    assert f"the ledger {path} is not as it was written: it ends at line 4, and had 6 lines" in problem
    path.write_bytes(
        b"".join(
            [*lines[:2], lines[2].replace(b"failed", b"refused").replace(b"begun", b"other"), *lines[3:]]
        )
    )
    for reader in (ledger, Ledger(path)):
        assert "line 4 does not follow line 3" in reader.problems()[0]
    path.unlink()
    assert "it is gone, and had 6 lines" in ledger.problems()[0]
    assert ledger.problems() == []


def test_the_same_plan_in_the_same_cycle_is_the_same_effect() -> None:
    assert effect_id(7, "a" * 64) == effect_id(7, "a" * 64) == "00000007-aaaaaaaaaaaa"
    assert effect_id(8, "a" * 64) != effect_id(7, "a" * 64) != effect_id(7, "b" * 64)


def test_decisions_without_an_effect_are_kept_beside(ledger: Ledger) -> None:
    for verdict in ("refused", "refused", "suggested", "waiting"):
        ledger.note(decision(verdict=verdict, reasons=("mode: observe",)))
    ledger.begin(decision())
    assert [found.verdict for found in ledger.decisions()] == [
        "refused",
        "refused",
        "suggested",
        "waiting",
        "done",
    ]
    assert [effect.id for effect in ledger.effects()] == [decision().id]
    assert ledger.next_cycle() == 8


def test_the_policy_sees_what_was_done(ledger: Ledger) -> None:
    ledger.note(decision(verdict="refused"))
    ledger.begin(decision())
    now = time.time()
    assert len(ledger.past(now).attempts("restart", "service/web", 60)) == 1
    assert ledger.past(now).strikes("service/web") == 1  # nobody knows what it did
    ledger.end(decision().id, "done")
    assert ledger.past(now + 1).strikes("service/web") == 0
    assert ledger.past(now + 3601).attempts("restart", "service/web", 3600) == []


def test_a_writer_that_was_killed_leaves_an_effect_that_is_open(ledger: Ledger, tmp_path: Path) -> None:
    ledger.begin(decision())
    path = tmp_path / "ledger.jsonl"
    with open(path, "ab") as file:
        file.write(b'{"time": "2026-11-26T00:00:00.000000Z", "step": "ended", "id": "00000007-aa')
    assert [effect.id for effect in ledger.open()] == [decision().id]
    ledger.end(decision().id, "done")
    assert ledger.open() == []
    assert chain.verify(path).problems == ()


def test_lines_that_are_none_of_ours_are_left_out(ledger: Ledger, tmp_path: Path) -> None:
    ledger.begin(decision())
    with open(tmp_path / "ledger.jsonl", "ab") as file:
        file.write(b'{"step": "ended"}\n[]\nnonsense\n\xff\n{"step": "begun", "id": 5}\n')
    assert len(ledger.open()) == 1


def test_it_is_bounded_in_files_and_bytes(tmp_path: Path) -> None:
    small = Ledger(tmp_path / "ledger.jsonl", limit=8192, keep=2)
    for number in range(120):
        small.begin(decision(f"{number:08d}-aaaaaaaaaaaa", cycle=number, before={"text": "x" * 5000}))
        small.end(f"{number:08d}-aaaaaaaaaaaa", "done", "y" * 100_000)
    names = sorted(path.name for path in tmp_path.glob("ledger.jsonl*") if "turn" not in path.name)
    assert len(names) == 3
    assert sum((tmp_path / name).stat().st_size for name in names) < 3 * (8192 + 2 * 8192)
    assert small.next_cycle() == 120
    assert small.open() == []
    assert stat.S_IMODE((tmp_path / "ledger.jsonl").stat().st_mode) == 0o644


@pytest.mark.parametrize("sign", ["x", "Ж", "🔥", "\x00", "\ud800"])
def test_no_text_keeps_a_decision_from_being_written(ledger: Ledger, tmp_path: Path, sign: str) -> None:
    evidence = tuple(f"told/T-{number:04d}/text: {sign * 600}" for number in range(20))
    parameters = {"service": "web", "title": sign * 200, "description": sign * 4000}
    reasons = ("mode", "AUTOPILOT_MODE is act", sign * 500)
    more = {"evidence": evidence, "parameters": parameters, "reasons": reasons, "subject": "service/web"}
    ledger.begin(decision(before={str(number): sign * 2000 for number in range(50)}, **more))
    ledger.end(decision().id, "done", sign * 5000, {str(number): sign * 2000 for number in range(50)})
    [kept] = ledger.decisions()
    assert (kept.ended, kept.verdict, kept.subject) == (True, "done", "service/web")
    assert kept.parameters["service"] == "web"
    assert set(kept.parameters) == set(parameters)
    assert kept.reasons[:2] == reasons[:2]
    assert kept.evidence[0].startswith("told/T-0000/text: ")
    assert kept.evidence[0].endswith("… (cut)")
    assert 5 <= len(kept.evidence) <= 20
    assert all(len(line) < 60 * 1024 for line in (tmp_path / "ledger.jsonl").read_bytes().splitlines())


def test_a_line_that_fits_is_written_as_it_is(ledger: Ledger) -> None:
    evidence = tuple(f"told/T-{number:04d}/text: {'x' * 600}" for number in range(20))
    ledger.note(decision(verdict="refused", evidence=evidence))
    assert ledger.decisions()[0].evidence == evidence


def test_an_effect_that_begins_in_one_file_may_end_in_the_next(tmp_path: Path) -> None:
    small = Ledger(tmp_path / "ledger.jsonl", limit=2048, keep=3)
    small.begin(decision())
    for _number in range(8):
        small.note(decision("x", "refused"))
    assert list(tmp_path.glob("ledger.jsonl.0*"))
    assert [effect.id for effect in small.open()] == [decision().id]
    small.end(decision().id, "failed")
    assert small.open() == []


def test_without_a_place_to_write_nothing_is_begun(tmp_path: Path) -> None:
    missing = Ledger(tmp_path / "gone" / "ledger.jsonl")
    with pytest.raises(LedgerError, match="cannot be written"):
        missing.begin(decision())
    assert missing.decisions() == []
    (tmp_path / "ledger.jsonl").mkdir()
    with pytest.raises(LedgerError):
        Ledger(tmp_path / "ledger.jsonl").begin(decision())


def begin(path: str, number: int) -> None:
    with_same_id = decision("00000001-aaaaaaaaaaaa", cycle=1)
    try:
        Ledger(path).begin(with_same_id)
    except LedgerError:
        return
    Path(path).with_name(f"done-{number}").touch()


def test_of_many_who_begin_the_same_effect_one_does(tmp_path: Path) -> None:
    path = str(tmp_path / "ledger.jsonl")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=begin, args=(path, number)) for number in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len(list(tmp_path.glob("done-*"))) == 1
    assert len(Ledger(path).effects()) == 1


# Begins an effect, does it, ends it, again and again; each effect is a line in a file.
WORK = """
import sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.dockfra.core.plugins.module_utils.autopilot.ledger import Decision, Ledger, effect_id
ledger = Ledger(sys.argv[2])
while True:
    cycle = ledger.next_cycle()
    effect = effect_id(cycle, "a" * 64)
    ledger.begin(Decision(effect, cycle, "rules", "restart", {"service": "web"}, "web", "medium", "done"))
    with open(sys.argv[3], "a") as file:
        file.write(effect + chr(10))
    ledger.end(effect, "done")
"""


def test_whoever_is_killed_at_any_point_repeats_nothing_and_loses_nothing(tmp_path: Path) -> None:
    ledger, effects = Ledger(tmp_path / "ledger.jsonl"), tmp_path / "effects"
    words = [sys.executable, "-c", WORK, str(COLLECTIONS), str(tmp_path / "ledger.jsonl"), str(effects)]
    for number in range(20):
        process = subprocess.Popen(words, stderr=subprocess.PIPE)
        before = time.monotonic()
        while time.monotonic() - before < 10 and len(ledger.effects()) < 3 * number + 2:
            time.sleep(0.002 + number / 10_000)
        process.send_signal(signal.SIGKILL)
        errors = process.communicate()[1]
        assert process.returncode == -signal.SIGKILL, errors
        # What is open is known to be open, and ended as nobody knows.
        for effect in ledger.open():
            ledger.end(effect.id, "failed", UNKNOWN)
    done = effects.read_text().split()
    assert len(done) == len(set(done)) >= 20
    known = {effect.id for effect in ledger.effects()}
    assert set(done) <= known
    assert len(known) - len(done) <= 20
    assert chain.verify(tmp_path / "ledger.jsonl").problems == ()


def test_times_are_those_of_the_beginning(tmp_path: Path) -> None:
    # The clock is asked twice for each line.
    moments = iter(datetime.datetime(2027, 1, 1, 0, minute, tzinfo=datetime.UTC) for minute in range(9))
    ledger = Ledger(tmp_path / "ledger.jsonl", lambda: next(moments))
    ledger.begin(decision())
    ledger.end(decision().id, "done")
    assert ledger.decisions()[0].time == "2027-01-01T00:01:00.000000Z"
    assert (
        json.loads((tmp_path / "ledger.jsonl").read_text().splitlines()[1])["time"]
        == "2027-01-01T00:03:00.000000Z"
    )
