"""What the tests of all that asks models share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fakes.openrouter import FakeOpenRouter

if TYPE_CHECKING:
    from tests.unit.asking import Container


@pytest.fixture
def openrouter() -> Iterator[FakeOpenRouter]:
    """An OpenRouter whose key the containers have."""
    # Not above: the collection's own conftest has to come before anything of the collection.
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
