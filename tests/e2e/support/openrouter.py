"""An OpenRouter of the tests' own, and the roles' settings for it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.fakes.openrouter import FakeOpenRouter

from .platform import Platform
from .roles import SERVICE

KEY = "sk-or-v1-CanaryOfTheModelsKey0123456789"
ROLES = ("manager", "developer", "monitor")


@contextmanager
def fake_openrouter(
    platform: Platform, roles: Sequence[str] = ROLES, **settings: str
) -> Iterator[FakeOpenRouter]:
    """An OpenRouter that the roles' containers reach, which they ask meanwhile.

    Args:
        platform: the platform.
        roles: those that are to ask it.
        settings: of each of them, beside its address and key, or where these are not to be the right ones.
    """
    with FakeOpenRouter(KEY, host=platform.here) as fake:
        settings = {"OPENROUTER_API_KEY": KEY, "OPENROUTER_BASE_URL": fake.url, **settings}
        try:
            for role in roles:
                configure(platform, role, settings)
            yield fake
        finally:
            for role in roles:
                configure(platform, role, dict.fromkeys(settings))


def configure(platform: Platform, role: str, settings: Mapping[str, str | None]) -> None:
    """Set settings of a role as the manager's commands do, at its gate; None resets one."""
    line = "SSH_ORIGINAL_COMMAND=config-set gate manager"
    done = platform.ssh(SERVICE[role], line, text=json.dumps(settings))
    assert done.returncode == 0, done.stderr
