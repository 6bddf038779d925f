# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""A secret becomes another one in steps: cut anywhere, it goes on, and what is used is admitted all the time."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing import vault
from ansible.parsing.vault import VaultLib, VaultSecret, VaultSecretsContext

from ansible_collections.dockfra.core.plugins.module_utils.errors import KeyringError
from ansible_collections.dockfra.core.plugins.module_utils.secrets import changes, keyring
from ansible_collections.dockfra.core.plugins.module_utils.secrets.changes import Change, Journal
from ansible_collections.dockfra.core.plugins.module_utils.secrets.keyring import Keyring
from ansible_collections.dockfra.core.plugins.module_utils.secrets.stores import Directory, Store
from ansible_collections.dockfra.core.plugins.plugin_utils.controller.vaults import Vault
from ansible_collections.dockfra.core.tests.unit.support import slow

NAMES = ["keys/manager", "host_keys/git", "db/backend"]
SECRETS = [("default", VaultSecret(b"a password of the tests"))]
KINDS = ["files", "vault"]


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VaultSecretsContext, "_current", VaultSecretsContext(SECRETS))
    # A key is made of the password in one round instead of thousands, as these tests do it that often.
    derive = vault.PBKDF2HMAC
    monkeypatch.setattr(
        vault, "PBKDF2HMAC", lambda *args, **kwargs: derive(*args, **{**kwargs, "iterations": 1})
    )


@dataclass
class Kept:
    """A state directory whose secrets are kept in files, or in a vault beside it; each use is like one by a new process.

    Attributes:
        state: the directory.
        kind: ``files`` or ``vault``.
        known: what Ansible has decrypted at the start of the run.
    """

    state: Path
    kind: str
    known: dict[str, str] = field(default_factory=dict)

    @property
    def vault(self) -> Path:
        return self.state.with_name(f"{self.state.name}.vault.yml")

    def store(self) -> Store:
        return (
            Directory(self.state)
            if self.kind == "files"
            else Vault(str(self.vault), self.known, "default", self.state)
        )

    def ring(self) -> Keyring:
        return Keyring(self.state, store=self.store())

    def change(self, name: str) -> Change:
        return Change(self.store(), keyring.path_of(name))

    def used(self, name: str) -> str:
        ring = self.ring()
        return ring.ssh_public_key(name) if keyring.is_ssh_key(name) else "\n".join(ring.login(name))

    def admitted(self, name: str) -> list[str]:
        ring = self.ring()
        if keyring.is_ssh_key(name):
            return ring.ssh_admitted(name)
        return ["\n".join(login) for login in ring.logins(name)]

    def walk(self, name: str) -> list[bool]:
        """All steps, as the playbook takes them."""
        return [
            self.change(name).add(successor(name)),
            self.change(name).switch(),
            self.change(name).retire(),
        ]

    def content(self) -> dict[str, str]:
        """All that is in the vault."""
        plain = VaultLib(SECRETS).decrypt(self.vault.read_bytes())
        found: dict[str, str] = yaml.safe_load(plain)["dockfra_vault"]
        return found


@pytest.fixture(params=KINDS)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    return Kept(tmp_path / "state", request.param)


def successor(name: str) -> Callable[[str], str]:
    if keyring.is_ssh_key(name):
        return lambda text: keyring.new_ssh_key()
    return lambda text: changes.other_login(name, text, keyring.new_password())


@pytest.mark.parametrize("name", NAMES)
def test_step_by_step_two_are_admitted_until_the_old_one_goes(kept: Kept, name: str) -> None:
    first = kept.used(name)
    assert (kept.change(name).stage, kept.admitted(name)) == (changes.SETTLED, [first])

    assert kept.change(name).add(successor(name))
    assert kept.change(name).stage == changes.ADDED
    assert kept.used(name) == first
    both = kept.admitted(name)
    assert len(both) == 2
    second = both[1]

    assert kept.change(name).switch()
    assert kept.change(name).stage == changes.SWITCHED
    assert (kept.used(name), kept.admitted(name)) == (second, [second, first])

    assert kept.change(name).retire()
    assert (kept.change(name).stage, kept.admitted(name)) == (changes.SETTLED, [second])
    left = {path.name for path in kept.state.rglob("*") if path.is_file()}
    if kept.kind == "vault":
        left |= set(kept.content())
        assert stat.S_IMODE(kept.vault.stat().st_mode) == 0o600
    assert not {file for file in left if file.endswith((changes.NEXT, changes.OLD))}
    for path in kept.state.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("name", NAMES)
def test_each_step_may_be_taken_again(kept: Kept, name: str) -> None:
    kept.used(name)
    under_way = kept.change(name)
    assert [under_way.add(successor(name)), under_way.add(successor(name))] == [True, False]
    coming = kept.admitted(name)[1]
    assert [under_way.switch(), under_way.switch(), under_way.add(successor(name))] == [True, False, False]
    assert kept.used(name) == coming
    assert [under_way.retire(), under_way.retire()] == [True, False]
    assert kept.used(name) == coming


def test_the_old_one_does_not_go_before_the_new_one_is_used(kept: Kept) -> None:
    kept.used("db/backend")
    under_way = kept.change("db/backend")
    under_way.add(successor("db/backend"))
    with pytest.raises(KeyringError, match="is not used yet"):
        under_way.retire()


def test_a_secret_that_is_not_there_is_named(kept: Kept) -> None:
    with pytest.raises(KeyringError, match=r"secrets/db/backend.* is not there, so it cannot be changed"):
        kept.change("db/backend").add(successor("db/backend"))


def killed_at(number: int, late: bool, act: Callable[[], object]) -> bool:
    """Do something in a process that is killed at one of its calls that change the disk, before or after it is done.

    Returns:
        Whether it came to its end before that.
    """
    process = os.fork()
    if process:
        status = os.waitpid(process, 0)[1]
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
        return os.WIFEXITED(status)
    code = 1
    try:
        cut_at(number, late)
        act()
        code = 0
    finally:
        os._exit(code)


def cut_at(number: int, late: bool) -> None:
    calls = 0

    def cutting(module: Any, function: str) -> None:
        original = getattr(module, function)

        def cut(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            here = calls == number
            if here and not late:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return original(*arguments, **options)
            finally:
                if here:
                    os.kill(os.getpid(), signal.SIGKILL)

        setattr(module, function, cut)

    # Each by which atomic files come and go: what stands above them is cut with them.
    for function in ("open", "write", "fsync", "rename", "replace", "link", "unlink"):
        cutting(os, function)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES[1:])
@pytest.mark.parametrize("late", [slow(False), True])
def test_killed_before_or_after_any_change_on_the_disk_it_goes_on(
    tmp_path: Path, name: str, late: bool, kind: str
) -> None:
    begin = Kept(tmp_path / "begin", kind)
    first, other = begin.used(name), begin.used("db/monitor")
    ended, number = False, 0
    while not ended:
        number += 1
        kept = Kept(tmp_path / str(number), kind, begin.content() if kind == "vault" else {})
        shutil.copytree(begin.state, kept.state)
        if kind == "vault":
            shutil.copy(begin.vault, kept.vault)
        ended = killed_at(number, late, lambda: kept.walk(name))  # noqa: B023
        # Whoever used it is let in, whatever the moment.
        assert kept.used(name) in kept.admitted(name)
        if kept.change(name).stage != changes.SETTLED:
            assert first in kept.admitted(name)
        kept.walk(name)
        assert kept.change(name).stage == changes.SETTLED
        assert kept.admitted(name) == [kept.used(name)]
        assert kept.used(name) != first
        assert kept.used("db/monitor") == other
    assert number > 15


def test_the_users_of_a_login_take_turns(kept: Kept) -> None:
    ring = [kept.ring().login("db/backend")]
    for _turn in range(3):
        kept.walk("db/backend")
        ring.append(kept.ring().login("db/backend"))
    assert [login.user for login in ring] == ["backend", "backend_b", "backend", "backend_b"]
    assert len({login.password for login in ring}) == 4
    assert kept.ring().password("db/backend") == ring[-1].password


def test_the_user_before_is_known_while_it_is_admitted(kept: Kept) -> None:
    kept.used("db/backend")
    under_way = kept.change("db/backend")
    assert under_way.former("db/backend") == ""
    under_way.add(successor("db/backend"))
    under_way.switch()
    assert under_way.former("db/backend") == "backend"


def test_the_key_that_is_used_next_is_known_at_each_stage(kept: Kept) -> None:
    first = kept.used("host_keys/git")
    assert kept.ring().newest_public("host_keys/git") == first
    under_way = kept.change("host_keys/git")
    under_way.add(successor("host_keys/git"))
    coming = kept.ring().newest_public("host_keys/git")
    assert coming == kept.admitted("host_keys/git")[1]
    under_way.switch()
    assert kept.ring().newest_public("host_keys/git") == coming


def test_a_host_key_is_taken_up_without_a_start_only_when_a_rotation_has_put_it_there(kept: Kept) -> None:
    def waits() -> bool:
        ring = kept.ring()
        return ring.waits_for_start(f"{ring.ssh_private_key('host_keys/git').strip()}\n")

    under_way = kept.change("host_keys/git")
    found = [waits()]
    for step in (lambda: under_way.add(successor("host_keys/git")), under_way.switch, under_way.retire):
        step()
        found.append(waits())
    assert found == [True, True, False, True]
    ring = kept.ring()
    assert not ring.waits_for_start(
        "\n".join([ring.ssh_public_key("host_keys/git"), ring.ssh_private_key("keys/a")])
    )


def test_a_text_with_its_secrets_named_is_the_same_at_each_stage(kept: Kept) -> None:
    def text() -> str:
        ring = kept.ring()
        lines = [f"restrict {line}" for line in ring.ssh_admitted("keys/manager")]
        lines += [f"git {line}" for line in ring.ssh_admitted("host_keys/git")]
        lines += [ring.ssh_private_key(name).strip() for name in ("keys/manager", "host_keys/git")]
        lines += ["mobile_backend"]
        lines += [f"{login.user} {login.password}" for login in ring.logins("db/mobile")]
        lines += [hashlib.sha256(login.password.encode()).hexdigest() for login in ring.logins("db/mobile")]
        shown = ring.named("\n".join(lines))
        assert ring.password("db/mobile") not in shown
        return shown

    found = [text()]
    for name in ("keys/manager", "host_keys/git", "db/mobile"):
        under_way = kept.change(name)
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
