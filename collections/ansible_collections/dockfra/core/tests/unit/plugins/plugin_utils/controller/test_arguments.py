# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What a playbook takes of what it is started with."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.template import trust_as_template

from ansible_collections.dockfra.core.plugins.plugin_utils.controller import arguments


@pytest.mark.parametrize(
    ("given", "taken", "meant"),
    [
        ("assignee", ["id", "assigned_to", "status"], "assigned_to"),
        ("prioriti", ["title", "priority"], "priority"),
        ("setings", ["service", "settings"], "settings"),
        ("dockfra_verfy", [], "dockfra_verify"),
    ],
)
def test_the_nearest_right_name_is_said_finding_p10(given: str, taken: list[str], meant: str) -> None:
    (problem,) = arguments.unknown([given], taken, ["dockfra_verify"], "update.yml")
    assert problem == f"update.yml does not know the variable '{given}'; did you mean '{meant}'?"


def test_what_is_known_passes_and_what_is_like_nothing_is_told_with_all_that_is_taken_finding_p10() -> None:
    given = ["id", "dockfra_project", "ansible_become", "zzz"]
    (problem,) = arguments.unknown(given, ["id", "comment"], ["dockfra_project"], "close.yml")
    assert problem == "close.yml does not know the variable 'zzz'; it takes comment, id."


@pytest.mark.parametrize("text", ["{{ lookup('pipe', 'id') }}", "a {% if x %}", "{# note #}"])
@pytest.mark.parametrize("shape", [lambda text: text, lambda text: [text], lambda text: {"a": [text]}])
def test_a_template_in_a_text_is_refused_and_named_finding_s7(text: str, shape: Any) -> None:
    given = {"title": shape(trust_as_template(text)), "other": trust_as_template(text)}
    (problem,) = arguments.templates_in(given, ["title", "comment"])
    assert problem.startswith("The text in 'title' holds a template")
    assert "!unsafe" in problem
    # Text that Ansible does not run is text.
    assert arguments.templates_in({"title": shape(text)}, ["title"]) == []


@pytest.mark.parametrize(
    ("words", "environment", "named"),
    [
        (["site.yml"], {}, False),
        (["site.yml", "-e", "a=b"], {}, False),
        (["site.yml", "-i", "x"], {}, True),
        (["-ix", "site.yml"], {}, True),
        (["--inventory=x", "site.yml"], {}, True),
        (["site.yml"], {"ANSIBLE_INVENTORY": "x"}, True),
    ],
)
def test_whether_an_inventory_was_named_finding_p11(
    words: list[str], environment: dict[str, str], named: bool
) -> None:
    assert arguments.inventory_named(words, environment) == named
