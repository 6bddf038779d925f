# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Keys and secrets of a backup, from files or a vault to files or a vault: all of them, and nowhere a copy that is not encrypted."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.parsing.vault import VaultSecret, VaultSecretsContext

from ansible_collections.dockfra.core.plugins.module_utils.backups import collection, snapshots
from ansible_collections.dockfra.core.plugins.module_utils.backups.parts import CONTROLLER, MANIFEST
from ansible_collections.dockfra.core.plugins.module_utils.errors import BackupError, KeyringError
from ansible_collections.dockfra.core.plugins.module_utils.secrets.keyring import Keyring
from ansible_collections.dockfra.core.plugins.plugin_utils.controller import restored
from ansible_collections.dockfra.core.plugins.plugin_utils.controller.restored import Keeping, bring
from ansible_collections.dockfra.core.plugins.plugin_utils.controller.vaults import Vault

FILES, VAULT, INSIDE = "files", "vault", "a vault in the state directory"
OLD, NEW = VaultSecret(b"of the old one"), VaultSecret(b"of the new one")
Give = Callable[[list[tuple[str, VaultSecret]]], None]


@pytest.fixture(autouse=True)
def passwords(monkeypatch: pytest.MonkeyPatch) -> Give:
    """The passwords that Ansible was given; another call gives others."""

    def give(secrets: list[tuple[str, VaultSecret]]) -> None:
        monkeypatch.setattr(VaultSecretsContext, "_current", VaultSecretsContext(secrets))

    give([("old", OLD), ("new", NEW)])
    return give


class Checkout:
    """A checkout with an inventory, where a platform has its secrets."""

    def __init__(self, folder: Path, kind: str, identity: str) -> None:
        self.state = folder / "state"
        self.inventory = folder / "inventory"
        (self.inventory / "group_vars/all").mkdir(parents=True)
        (self.inventory / "hosts.yml").write_text("all:\n")
        vault = {
            FILES: "",
            VAULT: str(self.inventory / "group_vars/all/vault.yml"),
            INSIDE: str(self.state / "vault.yml"),
        }[kind]
        self.here = Keeping(str(self.state), vault, identity)

    def keyring(self) -> Keyring:
        store = Vault(self.here.vault, {}, self.here.identity, self.state) if self.here.vault else None
        return Keyring(self.state, store=store)

    def secrets(self) -> dict[str, str]:
        """What services would get."""
        ring = self.keyring()
        return {
            "password": ring.password("db/backend"),
            "key": ring.ssh_private_key("keys/manager"),
            "public": ring.ssh_public_key("keys/manager"),
            "host key": ring.ssh_private_key("host_keys/git"),
            "authority": ring.ca_certificate(),
            "server key": ring.server_key("traefik"),
            "checkout": ring.password("platform/checkout"),
        }

    def back_up(self, run: Path) -> Path:
        """What a run of the backup has of the controller."""
        collection.of_directories(
            "unit",
            {"state": str(self.state), "inventory": str(self.inventory)},
            str(run / snapshots.HOSTS / CONTROLLER),
            self.here.vault,
        )
        return run


def in_plain(text: str, *folders: Path) -> list[str]:
    return [
        str(path)
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and text.strip().encode() in path.read_bytes()
    ]


KINDS = [(a, b) for a in (FILES, VAULT, INSIDE) for b in (FILES, VAULT, INSIDE)]


@pytest.mark.parametrize(("there", "here"), KINDS)
@pytest.mark.parametrize("moved", [False, True], ids=["same", "moved"])
def test_secrets_come_to_where_they_are_kept_here_finding_backup(
    tmp_path: Path, there: str, here: str, moved: bool
) -> None:
    old = Checkout(tmp_path / "old", there, "old")
    wanted = old.secrets()
    old_other = old.keyring().password("only/there")
    (old.state / "notes").write_text("no secret\n")
    (old.state / "backup_password").write_text("of the old repository\n")
    new = Checkout(tmp_path / "new", here, "new")
    before = new.secrets()
    (new.state / "backup_password").write_text("of the new repository\n")
    run = old.back_up(tmp_path / "run")
    keep = (str(new.state / "backup_password"), str(tmp_path / "elsewhere"))
    changed, kept = bring(str(run), new.here, moved, keep)
    assert changed
    expected = {**wanted, "checkout": before["checkout"]} if moved else wanted
    assert {name: text for name, text in new.secrets().items() if name != "authority"} == {
        name: text for name, text in expected.items() if name != "authority"
    }
    assert new.keyring().ca_certificate() == wanted["authority"]
    assert new.keyring().password("only/there") == old_other
    assert (new.state / "notes").read_text() == "no secret\n"
    assert (new.state / "backup_password").read_text() == "of the new repository\n"
    # What was there is there, and is encrypted where it was.
    assert kept
    assert all(Path(path).exists() for path in kept)
    for text in (wanted["key"], wanted["password"], old_other):
        found = in_plain(text, new.state, new.inventory)
        assert bool(found) == (here == FILES)
        for name in found:
            assert Path(name).stat().st_mode & 0o777 == 0o600
    if here != FILES:
        assert not (new.state / "keys/manager/id_ed25519").exists()
        assert not in_plain(before["password"], tmp_path / "new")
        (copy,) = (path for path in kept if path.endswith(f".vault{snapshots.BEFORE}"))
        assert Path(copy).read_bytes().startswith(b"$ANSIBLE_VAULT;")
    else:
        assert not (new.state / "vault.note").exists()
        assert not (new.state / "vault.yml").exists()
    # A second time, as after a kill, nothing is lost of what was kept, and all of it is told.
    again, more = bring(str(run), new.here, moved, keep)
    assert set(kept) <= set(more)
    assert len(more) > len(kept) or not again
    assert all(Path(path).exists() for path in more)
    assert new.secrets()["key"] == wanted["key"]


def test_to_an_empty_checkout_all_of_it_comes_finding_backup(tmp_path: Path) -> None:
    old = Checkout(tmp_path / "old", VAULT, "old")
    wanted = old.secrets()
    new = Checkout(tmp_path / "new", VAULT, "new")
    assert bring(str(old.back_up(tmp_path / "run")), new.here, moved=True) == (True, [])
    assert new.secrets() == wanted


@pytest.mark.parametrize("here", [FILES, VAULT])
def test_a_vault_whose_password_was_not_given_changes_nothing_finding_backup(
    tmp_path: Path, passwords: Give, here: str
) -> None:
    old = Checkout(tmp_path / "old", VAULT, "old")
    old.secrets()
    new = Checkout(tmp_path / "new", here, "new")
    before = new.secrets()
    run = old.back_up(tmp_path / "run")
    tree = sorted(tmp_path.rglob("*"))
    given: list[tuple[str, VaultSecret]]
    for given in ([("new", NEW)], []):
        passwords(given)
        with pytest.raises(KeyringError, match=r"--vault-id (old|new)@") as caught:
            bring(str(run), new.here)
        if given:
            assert "inventory/group_vars/all/vault.yml) that cannot be decrypted" in str(caught.value)
            assert "--vault-id old@FILE. Nothing was changed." in str(caught.value)
    passwords([("old", OLD), ("new", NEW)])
    assert sorted(tmp_path.rglob("*")) == tree
    assert new.secrets() == before


def test_where_the_vaults_own_password_was_not_given_nothing_is_changed(
    tmp_path: Path, passwords: Give
) -> None:
    old = Checkout(tmp_path / "old", FILES, "old")
    old.secrets()
    new = Checkout(tmp_path / "new", VAULT, "new")
    run = old.back_up(tmp_path / "run")
    passwords([])
    with pytest.raises(KeyringError, match="needs a password: add --vault-id new@prompt"):
        bring(str(run), new.here)
    assert not new.state.exists()


def test_a_backup_of_an_earlier_version_is_read_as_it_was_made(tmp_path: Path) -> None:
    """Its manifest names no vault: it is where an inventory of two servers has it, unless secrets are files."""
    for kind in (FILES, VAULT):
        old = Checkout(tmp_path / kind / "old", kind, "old")
        wanted = old.secrets()
        run = old.back_up(tmp_path / kind / "run")
        path = run / snapshots.HOSTS / CONTROLLER / MANIFEST
        lines = path.read_text().splitlines()
        path.write_text("\n".join(line for line in lines if '"vault"' not in line).replace("],\n}", "]\n}"))
        new = Checkout(tmp_path / kind / "new", FILES, "new")
        bring(str(run), new.here)
        assert new.secrets() == wanted


def test_a_vault_that_no_backup_would_have_is_refused_when_it_is_made(tmp_path: Path) -> None:
    old = Checkout(tmp_path / "old", FILES, "old")
    old.secrets()
    (tmp_path / "vault.yml").touch()
    with pytest.raises(BackupError, match="in none of the directories that are backed up"):
        collection.of_directories(
            "unit", {"state": str(old.state)}, str(tmp_path / "run"), str(tmp_path / "vault.yml")
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("where", ["copied", "written", "between"])
def test_killed_anywhere_the_next_try_brings_it_to_its_end_finding_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    old = Checkout(tmp_path / "old", FILES, "old")
    wanted = old.secrets()
    new = Checkout(tmp_path / "new", VAULT, "new")
    before = new.secrets()
    run = old.back_up(tmp_path / "run")

    class KilledError(BaseException):
        pass

    def killed(*_words: object, **_more: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        if where == "copied":
            patch.setattr(Vault, "replace", killed)
        elif where == "written":
            patch.setattr(snapshots.os, "sync", killed)
        else:
            rename = os.rename
            calls: list[object] = []

            def second(*words: str, **more: int) -> None:
                calls.extend([] if more else [words])  # those within a directory are of single files
                if len(calls) == 2:
                    raise KilledError
                rename(*words, **more)

            patch.setattr(snapshots.os, "rename", second)
        with pytest.raises(KilledError):
            bring(str(run), new.here, moved=True)
    bring(str(run), new.here, moved=True)
    assert new.secrets() == {**wanted, "checkout": before["checkout"]}
    assert not in_plain(wanted["password"], tmp_path / "new")
    # The vault as it was before the first try.
    first = Path(f"{new.here.state_dir}.vault{snapshots.BEFORE}")
    held = Vault(str(first), {}, "new", tmp_path / "look").read("secrets/db/backend")
    assert held is not None
    assert held.strip() == before["password"]


def test_the_usual_place_is_where_the_inventory_of_two_servers_has_it() -> None:
    assert restored._USUAL == "inventory/group_vars/all/vault.yml"
