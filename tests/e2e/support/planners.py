"""Who plans for the autopilot in the fault bench: its rules, a model that knows what it does, or one that talks nonsense."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import runs
from .advice import answer, right, silenced, wrong
from .openrouter import fake_openrouter
from .platform import Platform

CATALOGUE = "playbooks/autopilot/catalogue.yml"

# A bench asks more in an hour than the autopilot does in a day.
BUDGET = {"LLM_DAILY_TOKENS": "900000000", "LLM_DAILY_COST": "9000"}


@contextmanager
def by_rules(_platform: Platform, _folder: Path) -> Iterator[None]:
    """No key, so the rules alone."""
    yield


@contextmanager
def by_model(platform: Platform, folder: Path) -> Iterator[None]:
    """The rules propose nothing, so all that is done is the model's."""
    clone = runs.copy_tree(folder / "silent")
    path = clone / CATALOGUE
    path.write_text(silenced(path.read_text(encoding="utf-8")), encoding="utf-8")
    try:
        runs.playbook(
            "site.yml", "-e", f"dockfra_state_dir={platform.state}", root=clone, name="faults-silent"
        ).ok()
        platform.wait_healthy("ssh-autopilot")
        with fake_openrouter(platform, ["autopilot"], **BUDGET) as fake:
            fake.answers = lambda messages: answer(right(json.loads(messages[1]["content"])))
            yield
            assert fake.problems == []
    finally:
        runs.playbook("site.yml", name="faults-back").ok()
        platform.wait_healthy("ssh-autopilot")


@contextmanager
def by_nonsense(platform: Platform, _folder: Path) -> Iterator[None]:
    """The rules, beside a model that wants only what does harm, and what is not there."""
    with fake_openrouter(platform, ["autopilot"], **BUDGET) as fake:
        fake.answers = lambda messages: answer(wrong(json.loads(messages[1]["content"])))
        yield


PLANNERS = {"rules": by_rules, "model": by_model, "nonsense": by_nonsense}
