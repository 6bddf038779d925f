"""What every unit test of the project needs before it is read, and what the tests of all that asks models share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ansible.plugins.loader import init_plugin_loader

# Before anything imports from ansible_collections: Ansible's own finder knows about collections, Python's does not.
init_plugin_loader([str(Path(__file__).parents[2] / "collections")])

if TYPE_CHECKING:
    from tests.fakes.openrouter import FakeOpenRouter
    from tests.unit.asking import Container


@pytest.fixture
def openrouter() -> Iterator[FakeOpenRouter]:
    """An OpenRouter whose key the containers have."""
    # Not above: they take long to import, and few tests need them.
    from tests.fakes.openrouter import FakeOpenRouter
    from tests.unit.asking import KEY

    with FakeOpenRouter(KEY) as running:
        yield running
        assert running.problems == []


@pytest.fixture
def container_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, openrouter: FakeOpenRouter
) -> Callable[[str], Container]:
    """Makes the container of a role."""
    from tests.unit import asking

    return lambda role: asking.Container(tmp_path / "container", role, openrouter, monkeypatch)
