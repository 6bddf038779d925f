# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""How whoever is no role of the platform says how models are asked: by options, by a file of settings, or by both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..audit.log import AuditLog
from ..errors import DockfraError, LLMRequestError, LLMSettingError, UsageError
from ..settings import catalogue
from ..settings.file import EnvFile
from . import known
from .client import LLMClient
from .model import Configuration

# Which setting stands for an option that is not given.
SETTINGS = {
    "api_key": "OPENROUTER_API_KEY",
    "base_url": "OPENROUTER_BASE_URL",
    "model": "LLM_MODEL",
    "fallback_models": "LLM_FALLBACK_MODELS",
    "max_tokens": "LLM_MAX_TOKENS",
    "temperature": "LLM_TEMPERATURE",
    "daily_tokens": "LLM_DAILY_TOKENS",
    "daily_cost": "LLM_DAILY_COST",
}
KEY = SETTINGS["api_key"]

# What all modules take; their documentation is the fragment ``llm``.
ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "prompt": {"type": "str", "required": True},
    "task": {"type": "str", "default": ""},
    "base_url": {"type": "str"},
    "model": {"type": "str"},
    "fallback_models": {"type": "list", "elements": "str"},
    "max_tokens": {"type": "int", "no_log": False},
    "temperature": {"type": "float"},
    "daily_tokens": {"type": "int", "no_log": False},
    "daily_cost": {"type": "float"},
    "settings_file": {"type": "path"},
    "state_path": {"type": "path", "default": "~/.local/state/dockfra/llm"},
    "audit_path": {"type": "path"},
    "secrets": {"type": "list", "elements": "str", "default": [], "no_log": True},
    "secret_files": {"type": "list", "elements": "path", "default": [], "no_log": False},
}

# All roles have them.
_ROLE = "manager"


class Asking:
    """What a task asks models with.

    Args:
        options: see the documentation of the modules.
        lines: get of each question to a model what the audit keeps of it.
        dry: whether nothing will be asked, so that no key is needed.

    Attributes:
        client: asks.
        dry: as given.

    Raises:
        LLMSettingError, CommandError: an option, a setting or a file cannot be used.
        AuditError: a question would leave no trace.
    """

    def __init__(self, options: Mapping[str, Any], lines: list[dict[str, Any]], *, dry: bool) -> None:
        self.dry = dry
        values = _values(options)
        if dry:
            values[KEY] = values[KEY] or "none"
        if not values[KEY]:
            raise LLMSettingError(f"No key is given, so no model can be asked; set api_key or {KEY}.")
        self._lines = lines
        self._log = AuditLog(options["audit_path"]) if options["audit_path"] and not dry else None
        if self._log is not None:
            self._log.check()
        hidden = [*options["secrets"], *known.of_files(options["secret_files"])]
        configuration = Configuration.of(lambda name: values.get(name, ""))
        self.client = LLMClient(configuration, options["state_path"], hidden, self._record)

    def _record(self, line: Mapping[str, Any]) -> None:
        self._lines.append(dict(line))
        if self._log is not None:
            self._log.append(line)


def outcome(
    options: Mapping[str, Any], dry: bool, work: Callable[[Asking, Mapping[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """Let a task do its work, and return its result; that of one that fails has ``failed`` and ``msg``.

    Args:
        options: of the task.
        dry: whether it is only to say what it would send.
        work: asks, and returns what came.
    """
    lines: list[dict[str, Any]] = []
    try:
        found = work(Asking(options, lines, dry=dry), options)
    except DockfraError as error:
        return {"failed": True, "msg": str(error), "questions": lines}
    return {"changed": False, "questions": lines, **found}


def require_schema(schema: Mapping[str, Any]) -> None:
    """Raise LLMRequestError where a schema is none, or none of an object; LLMSettingError where that cannot be told."""
    try:
        import jsonschema
    except ImportError as error:
        raise LLMSettingError(
            "The Python package jsonschema is missing here, so no model can be asked; install it."
        ) from error
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except (jsonschema.SchemaError, RecursionError) as error:
        reason = getattr(error, "message", "it is nested too deeply")
        raise LLMRequestError(f"The schema is none: {' '.join(reason.split())[:200]}.") from error
    if schema.get("type") != "object":
        raise LLMRequestError("The schema has to be that of an object (type: object).")


def _values(options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the options stand for."""
    given = {name: options[option] for option, name in SETTINGS.items() if options[option] not in (None, "")}
    values = {name: catalogue.TABLE[name].default for name in SETTINGS.values()}
    if options["settings_file"]:
        stored = EnvFile(options["settings_file"], _ROLE).read()
        # With the default address instead of a mistyped one, the key would go to a foreign server.
        stored.require_usable([name for name in SETTINGS.values() if name not in given])
        values |= {name: stored.get(name) for name in (*SETTINGS.values(), "LLM_SYSTEM_PROMPT")}
    for name, value in given.items():
        try:
            values[name] = catalogue.clean(name, ",".join(value) if isinstance(value, list) else value, _ROLE)
        except UsageError as error:
            raise LLMSettingError(f"An option cannot be used: {error}.") from error
    return values
