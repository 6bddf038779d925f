"""Text of people reaches the playbooks raw, or not at all: what looks like a template in it is never run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ansible_collections.dockfra.core.tests.unit.support import slow

ROOT = Path(__file__).parents[2]
PLAYBOOKS = {
    "tickets/create.yml": [
        "title",
        "description",
        "comment",
        "labels",
        "external_key",
        "priority",
        "assigned_to",
    ],
    "tickets/update.yml": [
        "title",
        "description",
        "comment",
        "labels",
        "status",
        "priority",
        "assigned_to",
        "id",
    ],
    "tickets/close.yml": ["comment", "id"],
    "tickets/show.yml": ["id"],
    "tickets/list.yml": ["text", "labels", "status", "priority", "assigned_to", "updated_since", "sort"],
    "tickets/push.yml": ["ids"],
    "configure.yml": ["service", "settings", "ask"],
}


def play(playbook: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a playbook on this machine, as the manager's container does with its own."""
    here = ["-e", "dockfra_ticket_connection=local", "-e", f"ansible_python_interpreter={sys.executable}"]
    command = [sys.executable, "-m", "ansible", "playbook", f"playbooks/{playbook}", "-i", "tests/inventory"]
    return subprocess.run(
        [*command, *(here if playbook.startswith("tickets/") else []), *words],
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_a_template_in_a_text_is_refused_and_not_run_finding_s7(tmp_path: Path, playbook: str) -> None:
    texts = PLAYBOOKS[playbook]
    given: dict[str, object] = {
        name: f"{{{{ lookup('pipe', 'touch {tmp_path}/{name}') }}}}" for name in texts
    }
    for name in {"labels", "ids"}.intersection(texts):
        given[name] = [given[name]]  # however deep it is hidden
    if "settings" in texts:
        given["settings"] = {"LLM_SYSTEM_PROMPT": given["settings"]}
    done = play(playbook, "-e", json.dumps(given))
    assert done.returncode != 0
    assert list(tmp_path.iterdir()) == []
    for name in texts:
        assert f"'{name}'" in done.stdout, done.stdout
    assert "!unsafe" in done.stdout


@pytest.mark.parametrize("sign", ["{{ 7 * 7 }}", slow("{% if true %}49{% endif %}"), slow("{# 49 #}x")])
def test_every_form_of_a_template_is_refused_finding_s7(sign: str) -> None:
    done = play("tickets/create.yml", "--check", "-e", f"title='{sign}'")
    assert done.returncode != 0
    assert "49" not in done.stdout.replace(sign, "")


def test_a_raw_text_arrives_as_it_is_finding_s7(tmp_path: Path) -> None:
    title = f"{{{{ lookup('pipe', 'touch {tmp_path}/made') }}}}"
    file = tmp_path / "ticket.yml"
    file.write_text(f"title: !unsafe {json.dumps(title)}\nlabels: [!unsafe '{{{{ 7 * 7 }}}}']\n")
    assert yaml.compose(file.read_text()) is not None
    done = play("tickets/create.yml", "--check", "-e", f"@{file}")
    assert done.returncode == 0, done.stdout
    assert "touch" in done.stdout
    assert "{{ 7 * 7 }}" in done.stdout
    assert list(tmp_path.iterdir()) == [file]
