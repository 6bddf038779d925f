# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Addresses: of a repository as people write it, of GitHub's API, and of what is in a repository."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import GitHubInvalidError, GitHubSettingError
from ..text import shown

API_URL = "https://api.github.com"

_NAME = r"(?P<owner>[A-Za-z0-9][A-Za-z0-9_-]{0,61})/(?P<name>(?!\.{1,2}(?:\.git)?/?$)[A-Za-z0-9._-]{1,104}?)(?:\.git)?/?"
_HOST = r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}))"
# A user may stand in front, as git itself writes it; a password may not, for the value is no secret.
_FORMS = (
    _NAME,
    rf"(?=[^/]*\.){_HOST}/{_NAME}",
    rf"(?:https?|git|(?:git\+)?ssh)://(?:[A-Za-z0-9._-]+@)?{_HOST}(?::[0-9]{{1,5}})?/{_NAME}",
    rf"(?:[A-Za-z0-9._-]+@){_HOST}:/?{_NAME}",
)
_REPOSITORY = tuple(re.compile(form, re.ASCII) for form in _FORMS)
# Which names of GitHub's lead to the same repositories.
_SAME_HOST = re.compile(r"(?:www|ssh|altssh|api)\.(?=[^.]+\.)")


class Repository(NamedTuple):
    """A repository.

    Attributes:
        host: where it is, as far as its address says so; empty otherwise.
        name: ``owner/name``.
    """

    host: str
    name: str

    def __str__(self) -> str:
        return f"{self.host}/{self.name}" if self.host else self.name


def parse_repository(text: str) -> Repository | None:
    """Return the repository that an address means in any of git's usual forms, or None.

    These are ``owner/name``, ``https://host/owner/name``, ``ssh://git@host/owner/name`` and ``git@host:owner/name``, each
    with or without ``.git``. GitHub's own host is left out, because it is the default.
    """
    match = next((match for form in _REPOSITORY if (match := form.fullmatch(text))), None)
    if match is None or len(match["name"]) > 100:
        return None
    host = _plain_host(match.groupdict().get("host") or "")
    return Repository("" if host == "github.com" else host, f"{match['owner']}/{match['name']}")


def repository_at(value: object, api_url: str) -> str:
    """Return the ``owner/name`` of a repository that is to be asked for at an API.

    Raises:
        GitHubSettingError: it is no repository's address, or one of another host.
    """
    found = parse_repository(value) if isinstance(value, str) else None
    if found is None:
        raise GitHubSettingError(
            f"{shown(value)} is no repository; one looks like owner/name or https://github.com/owner/name."
        )
    here = _plain_host(host_of(api_url).partition(":")[0])
    if found.host and found.host != here:
        raise GitHubSettingError(
            f"The repository {found.name} is at {found.host}, but the API address is one of {here}; correct either."
        )
    return found.name


def clean_api_url(value: object) -> str:
    """Return the address of an API without a slash at its end; raises GitHubSettingError."""
    from urllib.parse import urlsplit  # not needed by those who only read a repository's address

    if isinstance(value, str) and re.fullmatch(r"[\x21-\x7e]+", value):
        try:
            parts = urlsplit(value)
            plain = not (parts.username or parts.password or parts.query or parts.fragment)
            if parts.scheme in ("http", "https") and parts.hostname and plain and parts.port != 0:
                return value.rstrip("/")
        except ValueError:
            pass
    # Not repeated: there may be a password in it.
    raise GitHubSettingError(f"The API address has to be like {API_URL}, without user, query or fragment.")


def host_of(api_url: str) -> str:
    """Return the host and port of an API."""
    return api_url.partition("://")[2].partition("/")[0]


def path(repo: str, *parts: str | int) -> str:
    """Return the path of something in a repository: ``path("o/r", "issues", 1)`` is ``/repos/o/r/issues/1``.

    Raises:
        GitHubInvalidError: a part is one that `is_addressable` refuses.
    """
    from urllib.parse import quote  # not needed by those who only read a repository's address

    texts = [str(part) for part in parts]
    for text in texts:
        if not is_addressable(text):
            raise GitHubInvalidError(f"The name {shown(text)} cannot be part of an address.")
    return "/".join(["", "repos", *repo.split("/"), *(quote(text, safe="") for text in texts)])


def is_addressable(name: str) -> bool:
    """Whether a name can be a part of a path.

    ``.`` and ``..`` shorten a path, escaped too: clients and proxies unescape dots before they look (RFC 3986, sections
    5.2.4 and 6.2.2.2). An empty one names what is above it.
    """
    return name not in ("", ".", "..")


def _plain_host(host: str) -> str:
    return _SAME_HOST.sub("", host.casefold(), count=1)
