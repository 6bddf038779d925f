# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""What lies between a command and a model: the role's settings, the secrets of its container, its budget and its audit log.

Every question of a command goes through `client`, so none can leave with a secret that the container knows, or without a line in the
audit log.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...module_utils.audit.log import AuditLog
from ...module_utils.llm import breakers, known
from ...module_utils.llm.client import LLMClient
from ...module_utils.llm.model import Answer, Configuration, Question
from ...module_utils.settings import catalogue
from ...module_utils.settings import file as settings_file
from ...module_utils.settings.file import EnvFile
from . import libraries
from .call import Call, Place
from .grammar import checked, suggest
from .journal import log_path

# All that the platform has given the container: keys, and files of services with passwords in them.
FILES = Path("/etc/dockfra")

# Beneath the role's home: where it keeps what it has used and which models fail, and what else may be a person's secret there.
STATE = ".local/state/dockfra/llm"
_OWN_FILES = (".ssh", ".git-credentials", ".netrc", ".pgpass")

# With a default in the place of a mistyped one of these, the key would go to a foreign server, or a budget would be none.
_SETTINGS = frozenset(name for name in catalogue.TABLE if name.startswith(("LLM_", "OPENROUTER_")))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of all commands that ask a model."""
    action = parser.add_argument(
        "--model",
        type=checked(lambda text: str(catalogue.TABLE["LLM_MODEL"].clean(text))),
        metavar="NAME",
        help="ask this model, and no other, instead of those of the settings",
    )
    suggest(action, _offered)
    parser.add_argument(
        "--show-prompt",
        action="store_true",
        help="show what would be sent, without secrets, and ask nothing",
    )


def client(
    place: Place,
    secrets: Sequence[str] = (),
    *,
    model: str | None = None,
    dry: bool = False,
    breaker_seconds: float = breakers.SECONDS,
) -> LLMClient:
    """Return what asks models for the role of a container.

    Args:
        place: the container.
        secrets: values that must not leave, beside those that are found in the container.
        model: is asked instead of those of the settings.
        dry: whether nothing is to be asked, so that no key and no trace are needed.
        breaker_seconds: how long a model is left alone that failed.

    Raises:
        LLMSettingError: there is no key, or it is not known what is secret here.
        CommandError: the file sets something in vain.
        AuditError: a question would leave no trace.
    """
    libraries.enable()
    settings = EnvFile.of(place.name).read()
    settings.require_usable(_SETTINGS)
    home = settings_file.HOMES / place.name
    hidden = [
        *secrets,
        *known.of_settings(
            settings.get, [setting.name for setting in catalogue.of(place.name) if setting.secret]
        ),
        *known.of_files([FILES, *(home / name for name in _OWN_FILES)]),
    ]

    def get(name: str) -> Any:
        value = settings.get(name)
        return "none" if dry and name == "OPENROUTER_API_KEY" and not value else value

    configuration = Configuration.of(get)
    if model:
        configuration = dataclasses.replace(configuration, models=(model,))
    log = AuditLog(log_path(place.service))
    if not dry:
        log.check()

    def record(line: Mapping[str, Any]) -> None:
        log.append({"caller": place.name, "role": place.name, **line})

    return LLMClient(configuration, home / STATE, hidden, record, breaker_seconds)


def of(call: Call, secrets: Sequence[str] = ()) -> LLMClient:
    """Return what asks models for a call, as the arguments of `add_arguments` say; raises as `client` does."""
    return client(call.place, secrets, model=call.options.model, dry=call.options.show_prompt)


def cost(answer: Answer) -> str:
    """Return the line that tells a person what an answer took."""
    return cost_line(answer.to_dict())


def cost_line(taken: Mapping[str, Any]) -> str:
    """Return the same of what ``Answer.to_dict`` returns."""
    parts = [
        f"{taken['tokens']} tokens",
        f"{'about ' if taken['estimated'] else ''}${taken['cost']:.6f}".rstrip("0").rstrip("."),
        f"{taken['seconds']:.1f} s",
    ]
    if hidden := taken["redacted"]:
        parts.append(f"{hidden} secret{'s' if hidden > 1 else ''} taken out of the question")
    return f"{taken['served']}: {', '.join(parts)}"


def shown(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return for a person what would be sent."""
    return "\n\n".join(f"== {message['role']}\n{message['content']}" for message in messages)


def preview(client: LLMClient, question: Question, schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what ``--show-prompt`` has to show of a question, as data of a command."""
    return {"prompt": client.prompt(question), **({} if schema is None else {"schema": dict(schema)})}


def render_preview(data: Mapping[str, Any]) -> str:
    """Return for a person what `preview` has found; nothing where it was not asked for."""
    if "prompt" not in data:
        return ""
    form = f"\n\n== form of the answer\n{json.dumps(data['schema'], indent=1)}" if "schema" in data else ""
    return shown(data["prompt"]) + form


def _offered(_place: Place, _given: Sequence[str]) -> list[str]:
    from ...module_utils.llm.prices import OFFERED

    return list(OFFERED)
