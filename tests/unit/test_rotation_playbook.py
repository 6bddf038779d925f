"""playbooks/rotate_keys.yml as it is, for two servers whose secrets are in Ansible Vault; containers and servers are nothing but their files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.secrets import changes
from ansible_collections.dockfra.core.plugins.module_utils.secrets.keyring import is_ssh_key, path_of
from tests.unit.platforms import ROOT
from tests.unit.production import lines_of, secrets_of
from tests.unit.staged import Staged, vault_password

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files of services belong to users of their own")

# One of each kind: a person's key, that of the link, a login, and the host key of the link's other end.
NAMES = ["keys/manager", "keys/tunnel", "db/backend", "host_keys/tunnel-app"]
SOME = NAMES[:1]
STEPS = [
    "Let it be admitted",
    "Prove the new one",
    "Use it from now on",
    "Let it be used",
    "Forget the old one",
    "Take note",
]


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[Staged]:
    with vault_password():
        yield Staged(tmp_path)


def plain_text(staged: Staged, secrets: dict[str, str]) -> set[str]:
    """Which files outside of the containers have a secret in plain text."""
    lines = lines_of(secrets)
    files = [path for path in staged.root.rglob("*") if path.is_file() and not path.is_symlink()]
    kept = {
        path: path.read_text(errors="replace")
        for path in files
        if ROOT not in path.resolve().parents and staged.data not in path.parents
    }
    return {
        str(path.relative_to(staged.root))
        for path, text in kept.items()
        if any(line in text for line in lines)
    }


@pytest.mark.parametrize("names", [SOME, pytest.param(NAMES, marks=pytest.mark.slow)], ids=["some", "all"])
def test_what_is_in_a_vault_is_changed(staged: Staged, names: list[str]) -> None:
    before = secrets_of(staged)
    files = plain_text(staged, before)
    words = ",".join(name.removeprefix("keys/") for name in names)
    staged.decrypted()
    run = staged.run("-e", f"dockfra_rotate={words}", "-vvv")
    assert run.returncode == 0, run.stdout[-6000:]
    decrypted = staged.decrypted()
    after = secrets_of(staged)
    assert {name for name in before if before[name] != after[name]} == {path_of(name) for name in names}
    assert set(after) == set(before)
    assert staged.locked_out() == []
    assert not (staged.state / changes.JOURNAL).exists()
    # Once at its beginning, and once after each change of the file.
    assert decrypted == 1 + 3 * len(names)
    for secrets in (before, after):
        assert [line for line in lines_of(secrets) if line in run.stdout] == []
    # In plain text there is what was there before: the keys with which the person here logs in.
    assert plain_text(staged, after) == files
    assert all(path.startswith(".dockfra/production/keys/") for path in files)
    assert {path.stat().st_mode & 0o777 for path in staged.state.glob("keys/*/id_ed25519*")} == {0o400, 0o600}
    assert staged.vault.stat().st_mode & 0o777 == 0o600
    assert plain_text(staged, {name: before[name] for name in before if before[name] != after[name]}) == set()
    again = staged.run("--check", "-e", "dockfra_rotate=keys")
    assert again.returncode == 0, again.stdout[-3000:]
    assert secrets_of(staged) == after


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_killed_at_each_step_and_run_again_nobody_is_locked_out(staged: Staged, name: str) -> None:
    word = f"dockfra_rotate={name.removeprefix('keys/')}"
    for task in STEPS:
        before = secrets_of(staged)[path_of(name)]
        staged.killed(task, "-e", word)
        if (staged.state / changes.JOURNAL).exists():
            run = staged.run("-e", word)
            assert run.returncode == 0, run.stdout[-6000:]
            assert "An earlier rotation goes on" in run.stdout
        after = secrets_of(staged)
        assert after[path_of(name)] != before
        assert not [each for each in after if each.endswith((changes.NEXT, changes.OLD))]
        assert staged.locked_out() == [], task
        if is_ssh_key(name):
            assert not list(staged.state.glob(f"{name}/*.next"))
