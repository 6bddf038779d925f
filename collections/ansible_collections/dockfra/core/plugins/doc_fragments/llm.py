# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What the modules that ask models have in common."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of all modules that ask models."""

    DOCUMENTATION = r"""
options:
  prompt:
    description: The question, with all that belongs to it. Secrets are taken out of it before it leaves.
    type: str
    required: true
  task:
    description: What the model is to do, before the question and apart from it.
    type: str
    default: ""
  api_key:
    description:
      - The key of the service.
      - Taken from the environment variable E(OPENROUTER_API_KEY) where it is not given.
    type: str
  base_url:
    description: Where models answer; any server that speaks OpenAI's protocol will do. By default OpenRouter.
    type: str
  model:
    description: The model that answers, as V(provider/name). By default V(openai/gpt-4o-mini).
    type: str
  fallback_models:
    description: Models that are asked in this order where O(model) does not answer.
    type: list
    elements: str
  max_tokens:
    description: How long an answer may become. By default 2048.
    type: int
  temperature:
    description: How freely the model words its answer, from 0 to 2. By default 0.2.
    type: float
  daily_tokens:
    description: Tokens of questions and answers that may be used in a day (UTC). By default a million.
    type: int
  daily_cost:
    description: US dollars that may be spent in a day (UTC). By default 5.
    type: float
  settings_file:
    description:
      - File with C(OPENROUTER_API_KEY), C(OPENROUTER_BASE_URL), C(LLM_MODEL) and the other settings of a role, for those options that are not given.
      - A line with one of them that cannot be used is refused.
    type: path
  state_path:
    description:
      - Folder of what was used today and of the models that failed lately. It is made where it is missing.
      - All tasks with the same folder share a budget.
    type: path
    default: ~/.local/state/dockfra/llm
  audit_path:
    description: Audit log that gets a line for each question to a model, with digests and cost. By default none is written.
    type: path
  secrets:
    description: Values that must not leave, beside the key and what looks like a secret.
    type: list
    elements: str
    default: []
  secret_files:
    description: Files and folders whose private keys and long random values must not leave.
    type: list
    elements: path
    default: []
requirements:
  - openai 3.57 or later
  - stamina 26.1 or later
  - jsonschema 4.26 or later
  - json-repair 0.64 or later
notes:
  - A question costs money. It is asked in every run of the task; register what it returns, or ask under a condition.
  - The answer of a model is no fact. What is done with it is for the play to decide, by values that it lists itself.
  - Ansible logs the options of a task where it runs, except O(api_key) and O(secrets); with C(no_log) it does not log the question either.
"""

    ATTRIBUTES = r"""
attributes:
  check_mode:
    description: Asks nothing, costs nothing, and returns what would be sent.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
"""
