# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Addresses: those people write, and those that requests go to."""

from __future__ import annotations

import urllib.parse

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.module_utils.errors import (
    GitHubInvalidError,
    GitHubSettingError,
)
from ansible_collections.dockfra.core.plugins.module_utils.github import address


@pytest.mark.parametrize("end", ["", ".git", "/", ".git/"])
@pytest.mark.parametrize(
    "start",
    [
        "",
        "github.com/",
        "https://github.com/",
        "http://www.github.com/",
        "https://octo@github.com/",
        "https://GitHub.com:443/",
        "git://github.com/",
        "ssh://git@github.com/",
        "ssh://git@github.com:22/",
        "ssh://git@ssh.github.com:443/",
        "git+ssh://git@github.com/",
        "git@github.com:",
        "git@github.com:/",
    ],
)
def test_every_form_of_an_address_means_the_repository(start: str, end: str) -> None:
    found = address.parse_repository(f"{start}octo-org/some.repo{end}")
    assert found == address.Repository("", "octo-org/some.repo")
    assert address.repository_at(f"{start}octo-org/some.repo{end}", address.API_URL) == "octo-org/some.repo"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "repo",
        "a/b/c",
        "a/.",
        "a/..",
        "../b",
        "/a/b",
        "a b/c",
        "https://github.com/a",
        "https://github.com/a/b/issues/1",
        "https://me:secret@github.com/a/b",
        "https://github.com/a/b?tab=readme",
        "https://github.com/a/../b",
        "file:///a/b",
        "ext::sh -c id",
        "-oProxyCommand=id:a/b",
        "git@github.com:a/b\n",
        "a/" + "b" * 101,
    ],
)
def test_what_is_no_repository_is_refused(text: str) -> None:
    assert address.parse_repository(text) is None
    with pytest.raises(GitHubSettingError):
        address.repository_at(text, address.API_URL)


def test_a_repository_of_another_host_is_not_asked_for_here() -> None:
    with pytest.raises(GitHubSettingError, match=r"a/b is at gitlab\.example, but .* one of github\.com"):
        address.repository_at("git@gitlab.example:a/b.git", address.API_URL)
    assert address.repository_at("https://ghe.example/a/b", "https://ghe.example:8443/api/v3") == "a/b"
    assert address.repository_at("https://x.ghe.com/a/b", "https://api.x.ghe.com") == "a/b"


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60))
def test_a_name_stays_one_part_of_the_path_finding_h3(name: str) -> None:
    """Also once a client has done to the address what clients do."""
    if not address.is_addressable(name):
        with pytest.raises(GitHubInvalidError):
            address.path("o/r", "issues", 1, "labels", name)
        return
    path = address.path("o/r", "issues", 1, "labels", name)
    sent = requests.Request("DELETE", f"https://host{path}").prepare().path_url
    parts = [urllib.parse.unquote(part) for part in sent.split("/")]
    assert parts == ["", "repos", "o", "r", "issues", "1", "labels", name]


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_names_that_would_shorten_a_path_have_no_address_finding_h3(name: str) -> None:
    with pytest.raises(GitHubInvalidError, match="cannot be part of an address"):
        address.path("o/r", "issues", 1, "labels", name)
