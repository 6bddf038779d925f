# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The config commands: four places in one process, each behind its gate; what is in their files afterwards."""

from __future__ import annotations

import builtins
import getpass
import io
import json
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.audit import files as audit_files
from ansible_collections.dockfra.core.plugins.module_utils.audit import log as audit
from ansible_collections.dockfra.core.plugins.module_utils.audit.chain import read
from ansible_collections.dockfra.core.plugins.module_utils.errors import CommandError
from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.module_utils.policy.roles import ROLES
from ansible_collections.dockfra.core.plugins.module_utils.settings import catalogue
from ansible_collections.dockfra.core.plugins.module_utils.settings import file as settings_file
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import call as calls
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import gate, grammar, journal, remote, runner
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.call import Place
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.outcome import Outcome
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.output import Style

SECRET = "sk-or-v1-hunter2hunter2"
AT_MANAGER = {"at": {"manager": ["manager"]}}
EVERYWHERE = {"at": {role: ["manager"] for role in ROLES}}
POLICY = Policy(
    {},
    {
        "config-developer": AT_MANAGER,
        "config-monitor": AT_MANAGER,
        "config-show": AT_MANAGER,
        "config-get": EVERYWHERE,
        "config-set": EVERYWHERE,
    },
)


class Terminal(io.BytesIO):
    """An input that a person types into."""

    def isatty(self) -> bool:
        return True


class Platform:
    """Four places whose gates are called instead of connected to.

    Attributes:
        down: places that cannot be reached.
        sent: every line that went to another place.
        answers: what people answer to prompts, in turn; prompts are in ``prompts``, those that hide the answer in ``hidden``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.down: set[str] = set()
        self.sent: list[str] = []
        self.answers: list[str] = []
        self.prompts: list[str] = []
        self.hidden: list[str] = []
        services = {role: f"ssh-{role}" for role in ROLES}
        self.places = {role: Place(role, services[role], POLICY, services) for role in services}
        for role in ROLES:
            (root / role).mkdir()

    def file(self, role: str) -> Path:
        return self.root / role / ".env"

    def text(self, role: str) -> str:
        return self.file(role).read_text() if self.file(role).exists() else ""

    def gate(self, place: str, caller: str, line: str, text: str = "") -> Outcome:
        log = audit.AuditLog(self.root / f"{place}.jsonl")
        return gate.Gate(self.places[place], caller, log).answer(line, io.BytesIO(text.encode()), Style())

    def request(
        self, home: Place, place: str, words: Sequence[str], text: str | None = None, *_events: Any
    ) -> tuple[Any, int, str]:
        """In the place of `remote.request`."""
        if place in self.down:
            raise CommandError(f"{home.services[place]} cannot be reached: timed out; see 'status'")
        line = shlex.join([words[0], "--json", *words[1:]])
        self.sent.append(line)
        done = self.gate(place, home.name, line, text or "")
        return json.loads(done.text) if done.text else None, done.status, done.message.partition(": ")[2]

    def run(
        self,
        *words: str,
        text: str = "",
        terminal: bool = False,
        caller: str = "manager",
        style: Style | None = None,
    ) -> Outcome:
        """What a command at home ends with."""
        stdin = Terminal() if terminal else io.BytesIO(text.encode())
        return runner.run(self.places[caller], caller, words, stdin, style or Style(), terminal)

    def json(self, *words: str, text: str = "") -> Any:
        done = self.run(*words, "--json", text=text)
        assert (done.status, done.message) == (0, "")
        return json.loads(done.text)

    def answer(self, prompt: str) -> str:
        self.prompts.append(prompt)
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)

    def answer_hidden(self, prompt: str) -> str:
        self.hidden.append(prompt)
        return self.answer(prompt)


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    found = Platform(tmp_path)
    monkeypatch.setattr(settings_file, "HOMES", tmp_path)
    monkeypatch.setattr(audit_files, "DIRECTORY", str(tmp_path))
    monkeypatch.setattr(remote, "request", found.request)
    monkeypatch.setattr(builtins, "input", found.answer)
    monkeypatch.setattr(getpass, "getpass", found.answer_hidden)
    yield found
    # Whatever a test did: no key was in a line to another place, nor in an audit log.
    logs = "".join(path.read_text() for path in tmp_path.glob("*.jsonl"))
    assert "hunter2" not in "".join(found.sent) + logs


# -- setting -----------------------------------------------------------------------------------------------------------


def test_values_reach_the_developers_file(platform: Platform) -> None:
    done = platform.run("config-developer", "LLM_MODEL=openai/gpt-4o", "LLM_MAX_TOKENS=4096")
    assert (done.status, done.message) == (0, "")
    assert done.text.splitlines() == [
        "ssh-developer: LLM_MODEL is now openai/gpt-4o",
        "ssh-developer: LLM_MAX_TOKENS is now 4096",
    ]
    assert platform.text("developer") == "LLM_MODEL=openai/gpt-4o\nLLM_MAX_TOKENS=4096\n"
    assert platform.file("developer").stat().st_mode & 0o777 == 0o600
    assert platform.sent == ["config-set --json"]
    assert (
        platform.run("config-developer", "LLM_MODEL=openai/gpt-4o").text == "ssh-developer: nothing changed"
    )
    assert platform.run("config-developer", "LLM_MODEL=", "LLM_MAX_TOKENS=").text.splitlines() == [
        "ssh-developer: LLM_MODEL is reset to openai/gpt-4o-mini",
        "ssh-developer: LLM_MAX_TOKENS is reset to 2048",
    ]
    assert platform.text("developer") == ""


def test_the_monitor_has_settings_of_its_own(platform: Platform) -> None:
    data = platform.json("config-monitor", "MONITOR_AUTO_DEPLOY=off", "MONITOR_POLL_INTERVAL=5")
    assert data["changed"] == ["MONITOR_AUTO_DEPLOY", "MONITOR_POLL_INTERVAL"]
    assert data["settings"]["MONITOR_AUTO_DEPLOY"] == {"set": True, "value": False}
    assert platform.text("monitor") == "MONITOR_AUTO_DEPLOY=false\nMONITOR_POLL_INTERVAL=5\n"
    done = platform.run("config-developer", "MONITOR_POLL_INTERVAL=5")
    assert done.status == 2
    assert "MONITOR_POLL_INTERVAL is no setting of the developer; it is one of the monitor" in done.message


def test_a_value_comes_from_the_input(platform: Platform) -> None:
    done = platform.run("config-developer", "OPENROUTER_API_KEY", "LLM_TEMPERATURE=1", text=f"{SECRET}\n")
    assert done.text.splitlines() == [
        "ssh-developer: OPENROUTER_API_KEY is set",
        "ssh-developer: LLM_TEMPERATURE is now 1",
    ]
    assert platform.text("developer") == f"OPENROUTER_API_KEY={SECRET}\nLLM_TEMPERATURE=1\n"
    prompt = "Don't touch `main`.\n\nCosts: 5$ or ${LESS}\\day\n"
    platform.run("config-developer", "LLM_SYSTEM_PROMPT", text=prompt)
    assert settings_file.EnvFile.of("developer").read().get("LLM_SYSTEM_PROMPT") == prompt.strip()
    assert (
        platform.run("config-developer", "OPENROUTER_API_KEY=").text
        == "ssh-developer: OPENROUTER_API_KEY is reset"
    )
    assert SECRET not in platform.text("developer")


def test_a_person_types_a_secret_unseen(platform: Platform) -> None:
    platform.answers = [SECRET, "a/b"]
    done = platform.run("config-developer", "OPENROUTER_API_KEY", "LLM_MODEL", terminal=True)
    assert (done.status, platform.prompts, platform.hidden) == (
        0,
        ["OPENROUTER_API_KEY: ", "LLM_MODEL: "],
        ["OPENROUTER_API_KEY: "],
    )
    assert platform.text("developer") == f"OPENROUTER_API_KEY={SECRET}\nLLM_MODEL=a/b\n"
    assert "hunter2" not in done.text + done.message


def test_a_secret_is_hidden_even_when_only_the_output_goes_elsewhere(platform: Platform) -> None:
    platform.answers = [SECRET]
    words = ["config-developer", "OPENROUTER_API_KEY"]
    done = runner.run(platform.places["manager"], "manager", words, Terminal(), Style(), terminal=False)
    assert (done.status, platform.hidden) == (0, ["OPENROUTER_API_KEY: "])


@pytest.mark.parametrize(
    ("words", "text", "says"),
    [
        (
            [f"OPENROUTER_API_KEY={SECRET}"],
            "",
            "OPENROUTER_API_KEY is a secret, which others can see in the arguments",
        ),
        (
            ["LLM_MODEL=a/b", f"OPENROUTER_API_KEY={SECRET}"],
            "",
            "use 'config-developer OPENROUTER_API_KEY' and type it",
        ),
        ([f"LLM_MODEL={SECRET}"], "", "LLM_MODEL must be a model as provider/name"),
        ([SECRET], "", "is no setting"),
        ([f"{SECRET}=OPENROUTER_API_KEY"], "", "is no setting"),
        (["OPENROUTER_API_KEY"], f"{SECRET} {SECRET}", "OPENROUTER_API_KEY must be a key"),
        (
            ["OPENROUTER_API_KEY"],
            " \n",
            "no value for OPENROUTER_API_KEY was given; OPENROUTER_API_KEY= resets it",
        ),
        (["OPENROUTER_API_KEY", "LLM_MODEL"], SECRET, "only one value can be read from the input"),
        (["LLM_MODEL=a/b", "LLM_MODEL=c/d"], "", "named twice"),
        (["LLM_MODLE=a/b"], "", "did you mean LLM_MODEL?"),
        (["LLM_TEMPERATURE=2.5", "LLM_MODEL=a/b"], "", "LLM_TEMPERATURE must be a number from 0 to 2"),
        (["LLM_MODEL", "=", "a/b"], "", "is no setting"),
        (["GITHUB_TOKEN"], SECRET, "GITHUB_TOKEN is no setting of the developer"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(
    platform: Platform, words: list[str], text: str, says: str
) -> None:
    platform.file("developer").write_text("LLM_MODEL=old/one\n")
    done = platform.run("config-developer", *words, text=text)
    assert (done.status, done.text) == (2, "")
    assert done.message.startswith("config-developer: ")
    assert says in done.message
    assert "\n" not in done.message
    assert "hunter2" not in done.message
    assert platform.sent == []
    assert platform.text("developer") == "LLM_MODEL=old/one\n"


def test_a_container_that_is_down(platform: Platform) -> None:
    platform.down = {"developer"}
    for words in (["LLM_MODEL=a/b"], []):
        done = platform.run("config-developer", *words)
        assert (done.status, done.text) == (1, "")
        assert done.message == "config-developer: ssh-developer cannot be reached: timed out; see 'status'"


def test_a_container_that_cannot_write(platform: Platform) -> None:
    platform.file("developer").mkdir()
    done = platform.run("config-developer", "LLM_MODEL=a/b")
    assert (done.status, done.text) == (1, "")
    assert done.message.startswith("config-developer: ")
    assert ".env" in done.message


@pytest.mark.parametrize("caller", ["developer", "autopilot", "monitor"])
def test_others_may_not(platform: Platform, caller: str) -> None:
    for words in (["config-developer", "LLM_MODEL=a/b"], ["config-show"], ["config-set"], ["config-get"]):
        done = platform.run(*words, text="{}", caller=caller)
        assert (done.status, done.text) == (77, "")
        assert done.message.startswith(f"denied: the {caller} may not use {words[0]}")
    for place in ROLES:
        for line in ("config-set", "config-get"):
            done = platform.gate(place, caller, line, '{"LLM_MODEL": "a/b"}')
            assert (done.status, done.text) == (77, "")
    assert not any(platform.file(role).exists() for role in ROLES)


# -- showing -----------------------------------------------------------------------------------------------------------


def test_a_program_gets_all_settings_without_secrets(platform: Platform) -> None:
    platform.file("developer").write_text(
        f"OPENROUTER_API_KEY={SECRET}\nLLM_MODEL=a/b\nLLM_TEMPERATURE=hot\n"
    )
    data = platform.json("config-developer")
    assert list(data) == ["role", "service", "settings", "problems"]
    assert (data["role"], data["service"]) == ("developer", "ssh-developer")
    assert data["settings"]["OPENROUTER_API_KEY"] == {"set": True}
    assert data["settings"]["LLM_MODEL"] == {"set": True, "value": "a/b"}
    assert data["settings"]["LLM_TEMPERATURE"] == {"set": False, "value": 0.2}
    assert data["problems"] == [
        {"line": 3, "name": "LLM_TEMPERATURE", "reason": "must be a number from 0 to 2"}
    ]
    text = platform.run("config-developer").text
    rows = [line.split() for line in text.splitlines()]
    assert rows[0] == ["SETTING", "SOURCE", "VALUE"]
    assert ["OPENROUTER_API_KEY", "set", "(hidden)"] in rows
    assert ["LLM_MODEL", "set", "a/b"] in rows
    assert ["LLM_TEMPERATURE", "default", "0.2"] in rows
    assert ["LLM_SYSTEM_PROMPT", "unset", "-"] in rows
    assert text.splitlines()[-1] == (
        "ssh-developer: .env line 3: LLM_TEMPERATURE must be a number from 0 to 2; its default holds"
    )
    assert "hunter2" not in json.dumps(data) + text


def test_config_show_has_all_roles(platform: Platform) -> None:
    platform.file("manager").write_text("GITHUB_TOKEN=ghp_hunter2hunter2hunter2\n")
    platform.file("autopilot").write_text("AUTOPILOT_MODE=suggest\n")
    data = platform.json("config-show")
    assert [found["service"] for found in data["services"]] == [
        "ssh-manager",
        "ssh-autopilot",
        "ssh-monitor",
        "ssh-developer",
    ]
    assert data["services"][0]["settings"]["GITHUB_TOKEN"] == {"set": True}
    assert platform.json("config-show", "all") == data
    # The manager's own are read without a connection.
    assert platform.sent == ["config-get --json"] * 6
    done = platform.run("config-show")
    rows = [line.split() for line in done.text.splitlines()]
    assert rows[0] == ["SERVICE", "SETTING", "SOURCE", "VALUE"]
    assert ["ssh-manager", "GITHUB_TOKEN", "set", "(hidden)"] in rows
    assert ["ssh-autopilot", "AUTOPILOT_MODE", "set", "suggest"] in rows
    assert len(rows) == 1 + sum(len(catalogue.of(role)) for role in ROLES)
    assert "hunter2" not in done.text + json.dumps(data)


@pytest.mark.parametrize("name", ["monitor", "ssh-monitor"])
def test_config_show_of_one(platform: Platform, name: str) -> None:
    data = platform.json("config-show", name)
    assert [found["role"] for found in data["services"]] == ["monitor"]
    assert platform.run("config-show", "frontend").status == 2


def test_config_show_of_one_that_is_down(platform: Platform) -> None:
    platform.down = {"monitor"}
    done = platform.run("config-show")
    assert (done.status, done.message) == (1, "")
    rows = done.text.splitlines()
    assert any(
        row.startswith("ssh-monitor") and "error" in row and "ssh-monitor cannot be reached" in row
        for row in rows
    )
    assert any(row.split()[:2] == ["ssh-developer", "LLM_MODEL"] for row in rows)
    done = platform.run("config-show", "--json")
    found = {service["role"]: "error" in service for service in json.loads(done.text)["services"]}
    assert done.status == 1
    assert found == {"manager": False, "autopilot": False, "monitor": True, "developer": False}
    assert platform.run("config-show", "developer").status == 0


def test_long_and_foreign_text_stays_in_its_line(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    platform.run("config-developer", "LLM_SYSTEM_PROMPT", text="first\nsecond " + "long " * 50)
    row = next(
        line for line in platform.run("config-developer").text.splitlines() if "LLM_SYSTEM_PROMPT" in line
    )
    assert "first second long" in row
    assert len(row) <= 100
    assert row.endswith("…")
    # What another container answers is not obeyed by the terminal.
    evil: dict[str, Any] = {
        "role": "developer",
        "service": "ssh-\x1b[2Jdeveloper",
        "settings": {"X\x1b]0;": {"set": True, "value": "\x9b31m\r\nx"}},
    }
    evil["problems"] = [{"line": 1, "name": "", "reason": "\x1b[31m"}]
    monkeypatch.setattr(remote, "request", lambda *_: (evil, 0, ""))
    for words in (["config-developer"], ["config-show", "developer"]):
        text = platform.run(*words).text
        assert all(sign.isprintable() or sign == "\n" for sign in text)


# -- asking a person ---------------------------------------------------------------------------------------------------


def test_a_person_is_asked_for_each(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    platform.file("developer").write_text("LLM_MODEL=a/b\nLLM_TEMPERATURE=1\n")
    # Key, address, model, others, tokens and cost a day, tokens (twice, as the first is wrong), temperature, prompt.
    platform.answers = [SECRET, "", "c/d", "", "", "", "many", "512", "-", "-"]
    done = platform.run("config-developer", terminal=True)
    assert done.status == 0
    assert done.text.splitlines() == [
        "ssh-developer: OPENROUTER_API_KEY is set",
        "ssh-developer: LLM_MODEL is now c/d",
        "ssh-developer: LLM_MAX_TOKENS is now 512",
        "ssh-developer: LLM_TEMPERATURE is reset to 0.2",
    ]
    assert platform.prompts == [
        "OPENROUTER_API_KEY [-]: ",
        "OPENROUTER_BASE_URL [https://openrouter.ai/api/v1]: ",
        "LLM_MODEL [a/b]: ",
        "LLM_FALLBACK_MODELS [-]: ",
        "LLM_DAILY_TOKENS [1000000]: ",
        "LLM_DAILY_COST [5]: ",
        "LLM_MAX_TOKENS [2048]: ",
        "LLM_MAX_TOKENS [2048]: ",
        "LLM_TEMPERATURE [1]: ",
        "LLM_SYSTEM_PROMPT [-]: ",
    ]
    assert platform.hidden == ["OPENROUTER_API_KEY [-]: "]
    assert platform.text("developer") == f"LLM_MODEL=c/d\nOPENROUTER_API_KEY={SECRET}\nLLM_MAX_TOKENS=512\n"
    assert platform.sent == ["config-get --json", "config-set --json"]
    output = capsys.readouterr().out
    assert "LLM_MAX_TOKENS must be a whole number from 1 to 200000.\n" in output
    assert "hunter2" not in output + done.text


def test_a_person_who_keeps_everything_changes_nothing(platform: Platform) -> None:
    platform.answers = [""] * len(catalogue.of("monitor"))
    done = platform.run("config-monitor", terminal=True)
    assert (done.status, done.text) == (0, "ssh-monitor: nothing changed")
    assert platform.sent == ["config-get --json"]


def test_a_person_who_leaves_changes_nothing(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    platform.answers = [SECRET, "", "c/d"]
    done = platform.run("config-developer", terminal=True)
    assert (done.status, done.message) == (1, "config-developer: the input ended; nothing was changed")

    def interrupted(_prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(getpass, "getpass", interrupted)
    done = platform.run("config-developer", terminal=True)
    assert (done.status, done.message) == (130, "config-developer: interrupted")
    assert platform.text("developer") == ""


def test_data_is_never_mixed_with_questions(platform: Platform) -> None:
    done = platform.run("config-developer", "--json", terminal=True)
    assert json.loads(done.text)["role"] == "developer"
    assert platform.prompts == []


# -- the verbs of the gate ---------------------------------------------------------------------------------------------


def test_the_gate_sets_and_shows(platform: Platform) -> None:
    changes = {
        "OPENROUTER_API_KEY": SECRET,
        "LLM_MAX_TOKENS": 100,
        "AUTOPILOT_ENABLED": False,
        "LLM_MODEL": None,
    }
    done = platform.gate("autopilot", "manager", "config-set --json", json.dumps(changes))
    assert (done.status, done.message) == (0, "")
    answer = json.loads(done.text)
    assert answer["changed"] == ["OPENROUTER_API_KEY", "LLM_MAX_TOKENS", "AUTOPILOT_ENABLED"]
    assert (
        platform.text("autopilot")
        == f"OPENROUTER_API_KEY={SECRET}\nLLM_MAX_TOKENS=100\nAUTOPILOT_ENABLED=false\n"
    )
    del answer["changed"], answer["dry_run"]
    assert json.loads(platform.gate("autopilot", "manager", "config-get --json").text) == answer
    assert answer["settings"]["OPENROUTER_API_KEY"] == {"set": True}
    entries = list(read(platform.root / "autopilot.jsonl"))
    assert [(entry["verb"], entry["arguments"]) for entry in entries] == [
        ("config-set", ["--json"]),
        ("config-get", ["--json"]),
    ]


def test_the_managers_own_settings_are_set_in_its_shell(platform: Platform) -> None:
    done = platform.gate("manager", "manager", "config-set --json", '{"GITHUB_REPO": "octo/repo"}')
    assert json.loads(done.text)["changed"] == ["GITHUB_REPO"]
    assert platform.text("manager") == "GITHUB_REPO=octo/repo\n"


def test_a_dry_run_of_the_gate_changes_nothing(platform: Platform) -> None:
    done = platform.gate("monitor", "manager", "config-set --dry-run", '{"LLM_MODEL": "a/b"}')
    assert (done.status, done.text) == (
        0,
        "ssh-monitor: LLM_MODEL is now a/b (in a dry run: nothing is changed)",
    )
    assert not platform.file("monitor").exists()
    assert platform.gate("monitor", "manager", "config-set --dry-run", '{"LLM_MODEL": "b"}').status == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the input is no JSON"),
        (SECRET, "the input is no JSON"),
        (f'{{"OPENROUTER_API_KEY": "{SECRET}"', "the input is no JSON"),
        ("[" * 100_000, "the input is no JSON"),
        ('{"LLM_MAX_TOKENS": ' + "9" * 5000 + "}", "the input is no JSON"),
        (f'["{SECRET}"]', "no JSON object"),
        (f'{{"OPENROUTER_API_KEY": "{SECRET}", "OPENROUTER_API_KEY": null}}', "names a setting twice"),
        (f'{{"OPENROUTER_API_KEY": ["{SECRET}"]}}', "OPENROUTER_API_KEY must be a key"),
        (f'{{"LLM_MODEL": "{SECRET}", "LLM_MAX_TOKENS": 5}}', "LLM_MODEL must be"),
        (f'{{"{SECRET}": "x", "LLM_MAX_TOKENS": 5}}', "is no setting"),
        ('{"LLM_TEMPERATURE": NaN}', "LLM_TEMPERATURE must be"),
        ('{"LLM_MAX_TOKENS": "5", "MONITOR_POLL_INTERVAL": 5}', "is no setting of the developer"),
        ('{"LLM_MAX_TOKENS": ""}', "cannot be empty; reset it instead"),
        ("x" * (calls.MAX_INPUT + 1), "bytes; send less"),
    ],
)
def test_a_wrong_input_changes_nothing(platform: Platform, text: str, says: str) -> None:
    platform.file("developer").write_text("LLM_MODEL=old/one\n")
    done = platform.gate("developer", "manager", "config-set", text)
    assert (done.status, done.text) == (2, "")
    assert says in done.message
    assert "hunter2" not in done.message
    assert platform.text("developer") == "LLM_MODEL=old/one\n"


def test_no_value_is_taken_from_the_arguments(platform: Platform) -> None:
    done = platform.gate("developer", "manager", "config-set LLM_MODEL=a/b", "{}")
    assert done.status == 2
    assert not platform.file("developer").exists()


# -- what the log keeps ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("OPENROUTER_API_KEY=hunter2", "OPENROUTER_API_KEY=***"),
        ("GITHUB_TOKEN=hunter2", "GITHUB_TOKEN=***"),
        ("LLM_MAX_TOKENS=4096", "LLM_MAX_TOKENS=4096"),
        ("LLM_MODEL=a/b", "LLM_MODEL=a/b"),
        (f"LLM_MODEL={SECRET}", "LLM_MODEL=***"),
        ("--password=hunter2", "--password=***"),
        ("MY_TOKEN=hunter2", "MY_TOKEN=***"),
    ],
)
def test_the_audit_log_masks_secret_settings_and_no_others(word: str, kept: str) -> None:
    assert journal.record(["config-developer", word])["arguments"] == [kept]


# -- help --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", ["config-developer", "config-monitor", "config-show", "config-get", "config-set"]
)
def test_help_and_examples(platform: Platform, command: str) -> None:
    done = platform.run(command, "--help")
    assert (done.status, done.message) == (0, "")
    found = grammar.find(command, "manager", "manager")
    assert all(example in done.text for example in found.examples)
    if command == "config-monitor":
        assert all(setting.name in done.text for setting in catalogue.of("monitor"))


def test_the_examples_work(platform: Platform) -> None:
    for command in ("config-developer", "config-monitor", "config-show"):
        for example in grammar.find(command, "manager", "manager").examples:
            words = shlex.split(example.partition(" <")[0])
            text = SECRET if "OPENROUTER_API_KEY" in example else "You are kind."
            assert platform.run(*words, text=text).status == 0, example
    assert os.listdir(platform.root / "developer") == [".env"]
