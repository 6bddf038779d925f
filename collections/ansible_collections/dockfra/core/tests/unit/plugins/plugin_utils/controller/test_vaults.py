# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Secrets in a file of Ansible Vault: all of them in one, for whoever has its password, and never half of it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret, VaultSecretsContext

from ansible_collections.dockfra.core.plugins.module_utils.errors import KeyringError
from ansible_collections.dockfra.core.plugins.module_utils.secrets import changes
from ansible_collections.dockfra.core.plugins.module_utils.secrets.keyring import Keyring
from ansible_collections.dockfra.core.plugins.plugin_utils.controller.vaults import Vault

SECRETS = [("production", VaultSecret(b"one")), ("default", VaultSecret(b"two"))]


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[tuple[str, VaultSecret]]], None]:
    """The passwords that Ansible was given; another call gives others."""

    def give(secrets: list[tuple[str, VaultSecret]]) -> None:
        monkeypatch.setattr(VaultSecretsContext, "_current", VaultSecretsContext(secrets))

    give(SECRETS)
    return give


def vault(root: Path, identity: str = "production", **known: str) -> Vault:
    return Vault(str(root / "vars/vault.yml"), known, identity, root / "state")


def content(root: Path) -> dict[str, str]:
    plain = VaultLib(SECRETS).decrypt((root / "vars/vault.yml").read_bytes())
    found: dict[str, str] = yaml.safe_load(plain)["dockfra_vault"]
    return found


def test_a_secret_is_made_once_and_its_public_half_is_a_file(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "state", store=vault(tmp_path))
    password, public = keyring.password("db/backend"), keyring.ssh_public_key("keys/manager")
    assert set(content(tmp_path)) == {"secrets/db/backend", "keys/manager/id_ed25519"}
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {
        "vars/vault.yml",
        "state/keys/manager/id_ed25519.pub",
        "state/vault.lock",
        "state/vault.note",
    }
    again = Keyring(tmp_path / "state", store=vault(tmp_path))
    assert (again.password("db/backend"), again.ssh_public_key("keys/manager")) == (password, public)


class Decrypted:
    """Counts how often the file is decrypted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        decrypt = VaultLib.decrypt

        def counted(lib: VaultLib, *arguments: Any, **options: Any) -> Any:
            self.times += 1
            return decrypt(lib, *arguments, **options)

        monkeypatch.setattr(VaultLib, "decrypt", counted)


def test_what_ansible_has_decrypted_is_not_decrypted_again(
    tmp_path: Path, password: Callable[[list[tuple[str, VaultSecret]]], None]
) -> None:
    vault(tmp_path).write("secrets/a", "x" * 48, replace=False)
    password([])
    found = vault(tmp_path, **{"secrets/a": "x" * 48})
    assert found.read("secrets/a") == "x" * 48
    assert [found.read(f"secrets/a{end}") for end in (changes.NEXT, changes.OLD)] == [None, None]
    with pytest.raises(KeyringError, match="needs a password: add --vault-id production@prompt"):
        vault(tmp_path).read("secrets/a")


def test_what_was_changed_since_is_read_anew_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that waited for its turn, or that changes secrets itself, has decrypted what is no longer true."""
    vault(tmp_path).write("secrets/a", "1", replace=False)
    before = content(tmp_path)
    early = vault(tmp_path, **before)
    assert early.read("secrets/a") == "1"
    other = vault(tmp_path, **before)
    other.write("secrets/a.next", "2", replace=False)
    other.shift("secrets/a.next", "secrets/a", "secrets/a.old")
    decrypted = Decrypted(monkeypatch)
    late = vault(tmp_path, **before)
    for found in (early, late):
        assert [found.read(f"secrets/a{end}") for end in ("", ".next", ".old")] == ["2", None, "1"]
    assert decrypted.times == 2
    other.remove("secrets/a.old")
    other.remove("secrets/a.old")
    assert early.read("secrets/a.old") is None
    assert decrypted.times == 3
    assert content(tmp_path) == {"secrets/a": "2"}


@pytest.mark.parametrize("note", [None, "", "another"])
def test_a_file_from_elsewhere_is_decrypted_once_more(
    tmp_path: Path, note: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault(tmp_path).write("secrets/a", "1", replace=False)
    place = tmp_path / "state/vault.note"
    place.unlink()
    if note is not None:
        place.write_text(note)
    known = content(tmp_path)
    decrypted = Decrypted(monkeypatch)
    for _time in range(3):
        assert vault(tmp_path, **known).read("secrets/a") == "1"
    assert decrypted.times == 1


def test_a_writer_that_was_killed_leaves_nothing_behind_for_long(tmp_path: Path) -> None:
    vault(tmp_path).write("secrets/a", "1", replace=False)
    (tmp_path / "vars/.vault.yml.new").write_text("half of it")
    vault(tmp_path).write("secrets/b", "1", replace=False)
    assert [path.name for path in (tmp_path / "vars").iterdir()] == ["vault.yml"]
    assert (tmp_path / "vars/vault.yml").stat().st_mode & 0o777 == 0o600


def test_what_is_not_there_does_not_come_into_use(tmp_path: Path) -> None:
    vault(tmp_path).write("secrets/a", "1", replace=False)
    with pytest.raises(KeyringError, match=r"secrets/a\.next in .* is not there any more"):
        vault(tmp_path).shift("secrets/a.next", "secrets/a", "secrets/a.old")
    assert content(tmp_path) == {"secrets/a": "1"}


def test_without_a_password_of_its_id_another_one_does(
    tmp_path: Path, password: Callable[[list[tuple[str, VaultSecret]]], None]
) -> None:
    password(SECRETS[1:])
    vault(tmp_path).write("secrets/a", "x", replace=False)
    assert VaultLib(SECRETS[1:]).decrypt((tmp_path / "vars/vault.yml").read_bytes())
    password(SECRETS[:1])
    with pytest.raises(KeyringError, match="cannot be decrypted"):
        vault(tmp_path).read("secrets/a")


def _keep(root: Path, number: int) -> str:
    return vault(root).write("secrets/a", str(number), replace=False) + vault(root).write(
        f"secrets/{number}", "x", replace=False
    )


def test_of_many_who_make_the_same_the_first_wins_and_nothing_is_lost(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        results = pool.starmap(_keep, [(tmp_path, number) for number in range(12)])
    assert len({result[:-1] for result in results}) == 1
    assert set(content(tmp_path)) == {"secrets/a", *(f"secrets/{number}" for number in range(12))}


def test_a_changed_secret_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    one, other = vault(tmp_path), vault(tmp_path)
    assert one.write("secrets/a", "1", replace=False) == "1"
    assert other.write("secrets/a", "2", replace=False) == "1"
    assert other.write("secrets/a", "3", replace=True) == "3"
    assert content(tmp_path) == {"secrets/a": "3"}


@pytest.mark.parametrize("text", ["", "$ANSIBLE_VAULT;1.2;AES256;production\n00\n", "plain: text\n"])
def test_a_damaged_file_is_named_and_kept(tmp_path: Path, text: str) -> None:
    (tmp_path / "vars").mkdir()
    (tmp_path / "vars/vault.yml").write_text(text)
    for act in (
        lambda: vault(tmp_path).read("secrets/a"),
        lambda: vault(tmp_path).write("secrets/a", "1", False),
    ):
        with pytest.raises(KeyringError, match=r"vault\.yml cannot be decrypted: "):
            act()
    assert (tmp_path / "vars/vault.yml").read_text() == text


def test_content_that_is_none_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "vars").mkdir()
    for plain in ("canary: [1", "canary: 1", "dockfra_vault: canary"):
        text = VaultLib(SECRETS).encrypt(plain, secret=SECRETS[0][1], vault_id="production")
        (tmp_path / "vars/vault.yml").write_bytes(text)
        with pytest.raises(KeyringError) as error:
            vault(tmp_path).read("secrets/a")
        assert "canary" not in str(error.value)
