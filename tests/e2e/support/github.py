"""A GitHub of the tests' own, and the manager's settings for it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.fakes.github import FakeGitHub

from .platform import Platform

TOKEN = "ghp_CanaryOfTheGitHubToken0123456789"
REPO = "dockfra/example"


@contextmanager
def fake_github(platform: Platform, **settings: str) -> Iterator[FakeGitHub]:
    """A GitHub that the manager's container reaches, which it uses meanwhile.

    Args:
        platform: the platform.
        settings: of the manager, where they are not to be the right ones.
    """
    with FakeGitHub(repo=REPO, token=TOKEN, host=platform.here) as fake:
        settings = {"GITHUB_REPO": REPO, "GITHUB_API_URL": fake.url, "GITHUB_TOKEN": TOKEN, **settings}
        configure(platform, settings)
        try:
            yield fake
        finally:
            configure(platform, dict.fromkeys(settings))


def configure(platform: Platform, settings: Mapping[str, str | None]) -> None:
    line = "SSH_ORIGINAL_COMMAND=config-set gate manager"
    done = platform.ssh("ssh-manager", line, text=json.dumps(settings))
    assert done.returncode == 0, done.stderr
