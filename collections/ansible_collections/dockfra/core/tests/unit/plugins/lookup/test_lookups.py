# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The lookups as templates use them."""

from __future__ import annotations

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

from ansible_collections.dockfra.core.plugins.plugin_utils.controller import keyrings

Render = Callable[..., str]


@pytest.fixture
def render(tmp_path: Path) -> Render:
    def renderer(template: str, **variables: Any) -> str:
        keyrings._keyring.cache_clear()  # as in a new process
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


def test_keys_in_halves(render: Render) -> None:
    private = render("lookup('dockfra.core.ssh_key', 'keys/manager')")
    assert private.startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    public = render("lookup('dockfra.core.ssh_key', 'keys/manager', part='public')")
    assert re.fullmatch(r"ssh-ed25519 \S+ unit-manager", public)
    assert render("lookup('dockfra.core.ssh_key', 'keys/manager')") == private


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
