# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import LLMSettingError
from ansible_collections.dockfra.core.plugins.module_utils.llm import known
from ansible_collections.dockfra.core.plugins.module_utils.llm.redaction import Redactor
from ansible_collections.dockfra.core.plugins.module_utils.secrets.keyring import Keyring

DIGEST = "3f786850e387550fdab836ed7e6dc881de23001b"


def test_what_the_platform_makes_is_known_where_it_stands_in_a_configuration(tmp_path: Path) -> None:
    ring = Keyring(tmp_path / "state")
    password, key = ring.password("db/backend"), ring.ssh_private_key("keys/monitor")
    etc = tmp_path / "etc"
    (etc / "deep").mkdir(parents=True)
    (etc / "deep" / "backend.json").write_text(
        f'{{"dsn": "postgres://app:{password}@db/app", "image": "{DIGEST}"}}'
    )
    (tmp_path / "id_ed25519").write_text(key)
    os.mkfifo(etc / "pipe")
    values = known.of_files([etc, tmp_path / "id_ed25519", tmp_path / "missing"])
    assert values == [password, key.strip()]
    text = f"it says {password} of {DIGEST} and {key.splitlines()[2]}"
    assert Redactor(values).redact(text).text == f"it says [hidden] of {DIGEST} and [hidden]"


def test_what_a_person_chose_is_known_where_programs_keep_it(tmp_path: Path) -> None:
    files = {
        ".netrc": "machine git.example.org\n  login dora\n  password tr0ub4dor\n",
        ".git-credentials": "https://dora:p%40ssw0rd@example.org\nhttps://example.org\n",
        ".pgpass": "# mine\ndb:5432:*:reader:col\\:on7x\n\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    values = known.of_files([tmp_path / name for name in files])
    assert sorted(values) == ["col:on7x", "p%40ssw0rd", "p@ssw0rd", "tr0ub4dor"]
    shown = Redactor(values).redact("it is tr0ub4dor, p@ssw0rd and col:on7x").text
    assert shown == "it is [hidden], [hidden] and [hidden]"


def test_each_secret_of_a_setting_counts() -> None:
    values = {"A": "https://one/secret,json://two/secret", "B": ""}
    assert known.of_settings(values.__getitem__, values) == ["https://one/secret", "json://two/secret"]


def test_where_it_is_not_known_what_is_secret_nobody_is_asked(tmp_path: Path) -> None:
    (tmp_path / "large").write_text("x" * 300_000)
    with pytest.raises(LLMSettingError, match="no model is asked"):
        known.of_files([tmp_path / "large"])
    for number in range(501):
        (tmp_path / f"{number}").write_text("")
    (tmp_path / "large").unlink()
    with pytest.raises(LLMSettingError, match="more than 500 files"):
        known.of_files([tmp_path])
