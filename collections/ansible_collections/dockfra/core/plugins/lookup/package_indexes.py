# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""Lookup of the package indexes of the controller's pip; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
name: package_indexes
short_description: The package indexes that pip is configured for on the controller
description:
  - Returns where pip gets packages from, by its configuration files and its environment, and where nothing is said by its own defaults.
  - Passwords in the addresses are left out, and what is no address of a server is, too.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
options:
  _terms:
    description: Not used.
"""

EXAMPLES = r"""
- name: Show what a proxy has to let through
  ansible.builtin.debug:
    msg: "{{ lookup('dockfra.core.package_indexes').hosts }}"
"""

RETURN = r"""
_raw:
  description: >-
    One dictionary with C(hosts) (each C(host:port)) and C(options), which has C(index-url) and C(extra-index-url), each a list that is
    empty where nothing is configured.
  type: list
  elements: dict
"""

import functools
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

try:
    from pip._internal.configuration import Configuration
    from pip._internal.models.index import PyPI
except ImportError as error:
    _PIP_ERROR: ImportError | None = error
else:
    _PIP_ERROR = None

_OPTIONS = ("index-url", "extra-index-url")
_PORTS = {"https": 443, "http": 80}


class LookupModule(LookupBase):
    """Asks pip's own code."""

    def run(
        self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        if _PIP_ERROR is not None:
            raise AnsibleLookupError(
                f"pip is missing beside Ansible ({_PIP_ERROR}), so nobody knows its indexes; "
                "install it there, or set package_proxy_hosts."
            )
        return [_indexes()]


@functools.cache
def _indexes() -> dict[str, Any]:
    configuration = Configuration(isolated=False)
    configuration.load()
    said: dict[str, list[str]] = {option: [] for option in _OPTIONS}
    # In the order of what overrules what: the environment comes last.
    for name, value in configuration.items():
        # pip 25.3 and later keep the values of each file apart.
        for key, text in value.items() if isinstance(value, dict) else [(name, value)]:
            option = str(key).rpartition(".")[2]
            if option in said:
                said[option] = [url for word in str(text).split() if (url := _plain(word))]
    urls = [*(said["index-url"] or [PyPI.simple_url]), *said["extra-index-url"]]
    hosts = [_place(url) for url in urls]
    if PyPI.netloc in {urlsplit(url).hostname for url in urls}:
        # Its files are elsewhere.
        hosts.append(f"{PyPI.file_storage_domain}:443")
    return {"hosts": list(dict.fromkeys(hosts)), "options": said}


def _plain(url: str) -> str:
    """An address without who asks; empty for what is no server's."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        return ""
    host = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
    return urlunsplit((parts.scheme, host, parts.path, parts.query, ""))


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or _PORTS[parts.scheme]}"
