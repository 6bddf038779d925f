# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A secret becomes another one in steps: cut anywhere, it goes on, and what is used is admitted all the time."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import KeyringError
from ansible_collections.dockfra.core.plugins.module_utils.files import atomic
from ansible_collections.dockfra.core.plugins.module_utils.secrets import changes, keyring
from ansible_collections.dockfra.core.plugins.module_utils.secrets.changes import Change, Journal
from ansible_collections.dockfra.core.plugins.module_utils.secrets.keyring import Keyring

NAMES = ["keys/manager", "db/backend"]


class Cut(BaseException):
    """The process ends here."""


def change(state: Path, name: str) -> Change:
    return Change(state / keyring.path_of(name))


def successor(name: str) -> Callable[[str], str]:
    if name.startswith("keys/"):
        return lambda text: keyring.new_ssh_key()
    return lambda text: changes.other_login(name, text, keyring.new_password())


def used(state: Path, name: str) -> str:
    ring = Keyring(state)
    return ring.ssh_public_key(name) if name.startswith("keys/") else "\n".join(ring.login(name))


def admitted(state: Path, name: str) -> list[str]:
    ring = Keyring(state)
    if name.startswith("keys/"):
        return ring.ssh_admitted(name)
    return ["\n".join(login) for login in ring.logins(name)]


def walk(state: Path, name: str) -> list[bool]:
    """All steps, as the playbook takes them."""
    under_way = change(state, name)
    return [under_way.add(successor(name)), under_way.switch(), under_way.retire()]


@pytest.mark.parametrize("name", NAMES)
def test_step_by_step_two_are_admitted_until_the_old_one_goes(tmp_path: Path, name: str) -> None:
    first = used(tmp_path, name)
    under_way = change(tmp_path, name)
    assert (under_way.stage, admitted(tmp_path, name)) == (changes.SETTLED, [first])

    assert under_way.add(successor(name))
    assert under_way.stage == changes.ADDED
    assert used(tmp_path, name) == first
    both = admitted(tmp_path, name)
    assert len(both) == 2
    second = both[1]

    assert under_way.switch()
    assert under_way.stage == changes.SWITCHED
    assert (used(tmp_path, name), admitted(tmp_path, name)) == (second, [second, first])

    assert under_way.retire()
    assert (under_way.stage, admitted(tmp_path, name)) == (changes.SETTLED, [second])
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert not {file for file in left if file.endswith((changes.NEXT, changes.OLD))}
    for path in tmp_path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("name", NAMES)
def test_each_step_may_be_taken_again(tmp_path: Path, name: str) -> None:
    used(tmp_path, name)
    under_way = change(tmp_path, name)
    assert [under_way.add(successor(name)), under_way.add(successor(name))] == [True, False]
    coming = admitted(tmp_path, name)[1]
    assert [under_way.switch(), under_way.switch(), under_way.add(successor(name))] == [True, False, False]
    assert used(tmp_path, name) == coming
    assert [under_way.retire(), under_way.retire()] == [True, False]
    assert used(tmp_path, name) == coming


def test_the_old_one_does_not_go_before_the_new_one_is_used(tmp_path: Path) -> None:
    used(tmp_path, "db/backend")
    under_way = change(tmp_path, "db/backend")
    under_way.add(successor("db/backend"))
    with pytest.raises(KeyringError, match="is not used yet"):
        under_way.retire()


def cut_at(number: int, late: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the process at one of its calls that change the disk, before or after it is done."""
    calls = 0

    def cutting(module: Any, function: str) -> None:
        original = getattr(module, function)

        def cut(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            here = calls == number
            if here and not late:
                raise Cut
            result = original(*arguments, **options)
            if here:
                raise Cut
            return result

        monkeypatch.setattr(module, function, cut)

    for function in ("create", "replace", "remove", "sync_directory"):
        cutting(atomic, function)
    cutting(os, "replace")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("late", [False, True])
def test_cut_before_or_after_any_change_on_the_disk_it_goes_on(
    tmp_path: Path, name: str, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, number = False, 0
    while not ended:
        number += 1
        state = tmp_path / str(number)
        first = used(state, name)
        with monkeypatch.context() as patched:
            cut_at(number, late, patched)
            try:
                walk(state, name)
                ended = True
            except Cut:
                ended = False
        # Whoever used it is let in, whatever the moment.
        assert used(state, name) in admitted(state, name)
        if change(state, name).stage != changes.SETTLED:
            assert first in admitted(state, name)
        walk(state, name)
        assert change(state, name).stage == changes.SETTLED
        assert admitted(state, name) == [used(state, name)]
    assert number > 5


def test_the_users_of_a_login_take_turns(tmp_path: Path) -> None:
    ring = [Keyring(tmp_path).login("db/backend")]
    for _turn in range(3):
        walk(tmp_path, "db/backend")
        ring.append(Keyring(tmp_path).login("db/backend"))
    assert [login.user for login in ring] == ["backend", "backend_b", "backend", "backend_b"]
    assert len({login.password for login in ring}) == 4
    assert Keyring(tmp_path).password("db/backend") == ring[-1].password


def test_the_user_before_is_known_while_it_is_admitted(tmp_path: Path) -> None:
    used(tmp_path, "db/backend")
    under_way = change(tmp_path, "db/backend")
    assert under_way.former("db/backend") == ""
    under_way.add(successor("db/backend"))
    under_way.switch()
    assert under_way.former("db/backend") == "backend"


def test_a_text_with_its_secrets_named_is_the_same_at_each_stage(tmp_path: Path) -> None:
    def text() -> str:
        ring = Keyring(tmp_path)
        lines = [f"restrict {line}" for line in ring.ssh_admitted("keys/manager")]
        lines += [f"{ring.ssh_private_key('keys/manager').strip()}", "mobile_backend"]
        lines += [f"{login.user} {login.password}" for login in ring.logins("db/mobile")]
        lines += [hashlib.sha256(login.password.encode()).hexdigest() for login in ring.logins("db/mobile")]
        shown = ring.named("\n".join(lines))
        assert ring.password("db/mobile") not in shown
        return shown

    found = [text()]
    for name in ("keys/manager", "db/mobile"):
        under_way = change(tmp_path, name)
        for step in (lambda: under_way.add(successor(name)), under_way.switch, under_way.retire):  # noqa: B023
            assert step()
            found.append(text())
    assert len(set(found)) == 1
    assert "mobile_backend" in found[0]


def test_what_is_left_is_kept_until_there_is_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.left() == []
    assert journal.begin(["a", "b", "a"]) == ["a", "b"]
    assert journal.done("a")
    assert not journal.done("a")
    assert Journal(tmp_path).left() == ["b"]
    # The rest of an earlier rotation comes first.
    assert journal.begin(["c", "b"]) == ["b", "c"]
    assert [journal.done("c"), journal.done("b")] == [True, True]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"{}", b"[1]", b"[", b"\xff"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / changes.JOURNAL).write_bytes(content)
    with pytest.raises(KeyringError, match=r"rotation\.json cannot be read"):
        Journal(tmp_path).begin(["a"])
    assert (tmp_path / changes.JOURNAL).read_bytes() == content


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyringError, match="cannot be written"):
        Journal(tmp_path / "nowhere").begin(["a"])
    under_way = Change(tmp_path / "nowhere")
    with pytest.raises(KeyringError, match="cannot be written"):
        under_way.add(lambda text: text)
