#!/usr/bin/python
# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: llm
short_description: Ask a model for words
description:
  - Sends a question to a model of OpenRouter, or of any server that speaks OpenAI's protocol, and returns what it says.
  - There is one deadline for all of it, and a budget for a day. A model that does not answer is left alone for a while, and the next one asked.
  - For an answer that a play can go by, M(dockfra.core.llm_decision) has it fit a schema.
version_added: 0.4.0
author: Dockfra contributors (@dockfra)
extends_documentation_fragment:
  - dockfra.core.llm
  - dockfra.core.llm.attributes
options:
  timeout:
    description: Seconds for all of it.
    type: int
    default: 120
seealso:
  - module: dockfra.core.llm_decision
"""

EXAMPLES = r"""
- name: Say in words what changed
  dockfra.core.llm:
    task: You write release notes for users, in at most five lines.
    prompt: "{{ commits.stdout }}"
    model: openai/gpt-4o
    daily_cost: 0.5
  register: notes

- name: Ask with the settings and the budget of a role
  dockfra.core.llm:
    prompt: Which of these log lines matters?
    settings_file: /home/manager/.env
    state_path: /home/manager/.local/state/dockfra/llm
    secret_files: [/etc/dockfra]
"""

RETURN = r"""
text:
  description: What the model says.
  returned: when a model was asked
  type: str
model:
  description: What it took.
  returned: when a model was asked
  type: dict
  contains:
    served:
      description: The model that answered.
      type: str
    provider:
      description: Who runs it; empty where nobody says.
      type: str
    asked:
      description: The model that was asked, one of O(model) and O(fallback_models).
      type: str
    tokens:
      description: Tokens of all questions and answers that it took.
      type: int
    cost:
      description: US dollars of all these.
      type: float
    estimated:
      description: Whether the cost, or a part of it, is an estimate.
      type: bool
    seconds:
      description: How long it took.
      type: float
    redacted:
      description: Places of the question where a secret was taken out.
      type: int
messages:
  description: What would be sent, without secrets.
  returned: in check mode
  type: list
  elements: dict
questions:
  description: Of each question to a model who was asked, what it cost, and the digests of question and answer.
  returned: always
  type: list
  elements: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ansible_collections.dockfra.core.plugins.module_utils.llm import model as llm_model
from ansible_collections.dockfra.core.plugins.module_utils.llm import options as llm_options


def run(asking: llm_options.Asking, params: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Ask, and return the module's result; in check mode only what would be sent."""
    question = llm_model.Question(params["prompt"], params["task"])
    if asking.dry:
        return {"messages": asking.client.prompt(question)}
    answer = asking.client.ask(question, seconds=params["timeout"])
    return {"text": answer.text, "model": answer.to_dict()}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **llm_options.ARGUMENTS,
            "api_key": {"type": "str", "no_log": True, "fallback": (env_fallback, [llm_options.KEY])},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    result = llm_options.outcome(module.params, module.check_mode, run)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
