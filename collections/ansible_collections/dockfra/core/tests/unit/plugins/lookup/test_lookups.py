# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The lookups as templates use them."""

from __future__ import annotations

import ast
import hashlib
import hmac
import json
import os
import pwd
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from cryptography import x509

from ansible_collections.dockfra.core.plugins.lookup import package_indexes
from ansible_collections.dockfra.core.plugins.module_utils.secrets.keyring import new_ssh_key
from ansible_collections.dockfra.core.plugins.plugin_utils.controller import keyrings

Render = Callable[..., str]


@pytest.fixture
def render(tmp_path: Path) -> Render:
    def renderer(template: str, **variables: Any) -> str:
        keyrings._opened.clear()  # as in a new process
        known = {"dockfra_state_dir": str(tmp_path / "state"), "dockfra_project": "unit", **variables}
        known = {key: value for key, value in known.items() if value is not None}
        return str(
            Templar(DataLoader(), variables=known).template(trust_as_template(f"{{{{ {template} }}}}"))
        )

    return renderer


def test_a_password_is_kept(render: Render, tmp_path: Path) -> None:
    made = render("lookup('dockfra.core.password', 'db/backend')")
    assert re.fullmatch("[A-Za-z0-9]{48}", made)
    assert render("lookup('dockfra.core.password', 'db/backend')") == made
    assert (tmp_path / "state/secrets/db/backend").read_text().strip() == made
    both = render("query('dockfra.core.password', 'db/backend', 'other') | join(' ')").split()
    assert both[0] == made
    assert len(set(both)) == 2


def test_the_token_of_a_device_is_its_own_and_what_the_backend_expects(render: Render) -> None:
    one, other = (render(f"lookup('dockfra.core.device_token', '{name}')") for name in ("rpi3", "rpi4"))
    secret = str(render("lookup('dockfra.core.password', 'backend/api_token')"))
    assert one == hmac.new(secret.encode(), b"rpi3", hashlib.sha256).hexdigest()
    assert other not in (one, secret)


def test_keys_in_halves(render: Render) -> None:
    private = render("lookup('dockfra.core.ssh_key', 'keys/manager')")
    assert private.startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    public = render("lookup('dockfra.core.ssh_key', 'keys/manager', part='public')")
    assert re.fullmatch(r"ssh-ed25519 \S+ unit-manager", public)
    assert render("lookup('dockfra.core.ssh_key', 'keys/manager')") == private


def test_a_key_that_is_being_changed_has_two_lines(render: Render, tmp_path: Path) -> None:
    def lines(part: str) -> list[str]:
        return render(f"query('dockfra.core.ssh_key', 'keys/manager', part='{part}') | join('+')").split(
            "+ssh-"
        )

    assert lines("admitted") == lines("public")
    assert render("lookup('dockfra.core.ssh_key', 'keys/manager', part='newest')") == render(
        "lookup('dockfra.core.ssh_key', 'keys/manager')"
    )
    other = new_ssh_key()
    (tmp_path / "state/keys/manager/id_ed25519.next").write_text(other)
    assert len(lines("admitted")) == 2
    assert render("lookup('dockfra.core.ssh_key', 'keys/manager', part='newest')") == other


def test_a_login_is_a_user_with_its_password(render: Render, tmp_path: Path) -> None:
    def login(part: str) -> list[dict[str, str]]:
        return list(ast.literal_eval(render(f"query('dockfra.core.login', 'db/backend', part='{part}')")))

    password = render("lookup('dockfra.core.password', 'db/backend')")
    assert (
        login("used") == login("admitted") == login("newest") == [{"user": "backend", "password": password}]
    )
    (tmp_path / "state/secrets/db/backend.next").write_text("other\nbackend_b\n")
    assert login("used") == [{"user": "backend", "password": password}]
    assert login("newest") == [{"user": "backend_b", "password": "other"}]
    assert login("admitted") == login("used") + login("newest")
    with pytest.raises(AnsibleError, match="cannot name a secret"):
        render("lookup('dockfra.core.login', '../x')")


def test_certificates_in_parts_for_the_platforms_names(render: Render) -> None:
    names = {"dockfra_hostnames": ["example.org", "192.0.2.1"]}
    made = x509.load_pem_x509_certificate(
        render("lookup('dockfra.core.certificate', 'server')", **names).encode()
    )
    found = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert found.get_values_for_type(x509.DNSName) == ["example.org"]
    authority = render("lookup('dockfra.core.certificate', 'server', part='ca')", **names)
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.encode()))
    assert "PRIVATE KEY" in render("lookup('dockfra.core.certificate', 'server', part='key')", **names)


@pytest.mark.parametrize(
    "template",
    [
        "lookup('dockfra.core.password', 'a')",
        "lookup('dockfra.core.ssh_key', 'keys/a', part='public')",
        "lookup('dockfra.core.certificate', 'server')",
    ],
)
def test_check_mode_keeps_nothing(render: Render, tmp_path: Path, template: str) -> None:
    first = render(template, ansible_check_mode=True)
    assert first
    assert render(template, ansible_check_mode=True) != first
    assert not (tmp_path / "state").exists()


def test_the_state_directory_may_be_a_template(render: Render, tmp_path: Path) -> None:
    where = trust_as_template("{{ base }}/other")
    render("lookup('dockfra.core.password', 'a')", dockfra_state_dir=where, base=str(tmp_path))
    assert (tmp_path / "other/secrets/a").exists()


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("lookup('dockfra.core.password', '../x')", "cannot name a secret"),
        ("lookup('dockfra.core.ssh_key', 'manager')", "must be keys/<owner> or host_keys/<service>"),
        ("lookup('dockfra.core.ssh_key', 'keys/a', part='both')", "both"),
        ("lookup('dockfra.core.certificate', 'ca', part='key')", "authority's own name"),
    ],
)
def test_wrong_use_is_told(render: Render, tmp_path: Path, template: str, message: str) -> None:
    with pytest.raises(AnsibleError, match=message):
        render(template)
    assert not (tmp_path / "state").exists()


def test_without_a_state_directory_nothing_is_written_anywhere(render: Render) -> None:
    with pytest.raises(AnsibleError, match="dockfra_state_dir is not defined"):
        render("lookup('dockfra.core.password', 'a')", dockfra_state_dir=None)


def test_the_effective_user(render: Render) -> None:
    assert render("lookup('dockfra.core.effective_user')") == pwd.getpwuid(os.geteuid()).pw_name


# Of nobody: RFC 6761 keeps these names for examples.
MIRROR = "https://mirror.example/simple"


@pytest.mark.parametrize(
    ("environment", "hosts", "options"),
    [
        ({"PIP_INDEX_URL": MIRROR}, ["mirror.example:443"], {"index-url": [MIRROR], "extra-index-url": []}),
        (
            {"PIP_INDEX_URL": "https://user:secret@mirror.example:8443/simple"},
            ["mirror.example:8443"],
            {"index-url": ["https://mirror.example:8443/simple"], "extra-index-url": []},
        ),
        (
            {
                "PIP_INDEX_URL": MIRROR,
                "PIP_EXTRA_INDEX_URL": "http://more.example/ file:///srv/wheels /srv/wheels",
            },
            ["mirror.example:443", "more.example:80"],
            {"index-url": [MIRROR], "extra-index-url": ["http://more.example/"]},
        ),
        ({}, None, {"index-url": [], "extra-index-url": []}),
    ],
)
def test_package_indexes_are_those_of_pip(
    render: Render,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    hosts: list[str] | None,
    options: dict[str, list[str]],
) -> None:
    from pip._internal.models.index import PyPI

    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)  # no configuration file but this
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    package_indexes._indexes.cache_clear()
    found = json.loads(render("lookup('dockfra.core.package_indexes') | to_json"))
    package_indexes._indexes.cache_clear()
    assert found["options"] == options
    # Without any configuration it is pip's own, with where its files are.
    assert found["hosts"] == (hosts or [f"{PyPI.netloc}:443", f"{PyPI.file_storage_domain}:443"])
    assert "secret" not in str(found)
