# Copyright (c) 2026 Dockfra contributors
# SPDX-License-Identifier: Apache-2.0
"""The settings: what is a value, and a file that people, shells and the library read alike."""

from __future__ import annotations

import codecs
import errno
import fcntl
import os
import pwd
import shutil
import subprocess
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ansible_collections.dockfra.core.plugins.module_utils.errors import CommandError, UsageError
from ansible_collections.dockfra.core.plugins.module_utils.policy.roles import ROLES
from ansible_collections.dockfra.core.plugins.module_utils.settings import catalogue
from ansible_collections.dockfra.core.plugins.module_utils.settings import file as settings_file
from ansible_collections.dockfra.core.plugins.module_utils.settings.catalogue import MAX_TEXT, TABLE
from ansible_collections.dockfra.core.plugins.module_utils.settings.file import EnvFile

START_STEP = (
    Path(__file__).resolve().parents[5]
    / "roles/gate/files/image/rootfs/usr/local/lib/dockfra/start.d/20-settings"
)
SHELLS = [shell for shell in ("bash", "dash") if shutil.which(shell)]

# Signs with a meaning to some reader of the file, and others.
TEXTS = st.text(
    st.sampled_from("ab '\"\\$`{}()!#=~;&|<>*?%\n\té€😀") | st.characters(codec="utf-8"), max_size=40
)


@pytest.fixture
def file(tmp_path: Path) -> EnvFile:
    return EnvFile(tmp_path / ".env", "developer")


def shell_values(shell: str, path: Path, *names: str) -> dict[str, str | None]:
    """What a shell has after reading the file."""
    script = 'set -a; . "$0" || exit 9; env -0'
    done = subprocess.run(
        [shell, "-c", script, str(path)], capture_output=True, env={"PATH": os.environ["PATH"]}, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    found = dict(line.split("=", 1) for line in done.stdout.decode().split("\0") if line)
    return {name: found.get(name) for name in names}


# -- values ------------------------------------------------------------------------------------------------------------


def test_every_default_is_a_value_of_its_setting() -> None:
    for setting in TABLE.values():
        assert setting.roles
        assert set(setting.roles) <= set(ROLES)
        if setting.default != "":
            assert setting.clean(setting.default) == setting.default
            assert setting.clean(catalogue.written(setting.default)) == setting.default


def test_the_contract_names_these_settings() -> None:
    llm = {"OPENROUTER_API_KEY", "OPENROUTER_BASE_URL", "LLM_MODEL", "LLM_FALLBACK_MODELS"}
    llm |= {"LLM_DAILY_TOKENS", "LLM_DAILY_COST", "LLM_MAX_TOKENS", "LLM_TEMPERATURE", "LLM_SYSTEM_PROMPT"}
    own = {
        "manager": {"GITHUB_TOKEN", "GITHUB_REPO", "GITHUB_API_URL"},
        "autopilot": {"AUTOPILOT_ENABLED", "AUTOPILOT_INTERVAL", "AUTOPILOT_MODE"},
        "monitor": {"MONITOR_POLL_INTERVAL", "MONITOR_AUTO_DEPLOY", "ALERT_URLS"},
        "developer": set(),
    }
    assert {role: {setting.name for setting in catalogue.of(role)} - llm for role in ROLES} == own
    assert all(llm <= {setting.name for setting in catalogue.of(role)} for role in ROLES)
    assert {name for name, setting in TABLE.items() if setting.secret} == {
        "OPENROUTER_API_KEY",
        "ALERT_URLS",
        "GITHUB_TOKEN",
    }


@pytest.mark.parametrize(
    ("name", "role", "given", "value"),
    [
        ("OPENROUTER_API_KEY", "developer", " sk-or-v1-0aZ_9.~+/== \n", "sk-or-v1-0aZ_9.~+/=="),
        ("OPENROUTER_BASE_URL", "developer", "http://fake-llm:8000/v1/", "http://fake-llm:8000/v1"),
        ("OPENROUTER_BASE_URL", "developer", "https://[::1]:8443", "https://[::1]:8443"),
        (
            "LLM_MODEL",
            "developer",
            "meta-llama/llama-3.1-70b-instruct:free",
            "meta-llama/llama-3.1-70b-instruct:free",
        ),
        ("LLM_MODEL", "developer", "deepseek/deepseek-chat-v3-0324", "deepseek/deepseek-chat-v3-0324"),
        ("LLM_MAX_TOKENS", "developer", "4096", 4096),
        ("LLM_MAX_TOKENS", "developer", 200_000, 200_000),
        ("LLM_TEMPERATURE", "developer", "2", 2.0),
        ("LLM_TEMPERATURE", "developer", ".5", 0.5),
        ("LLM_TEMPERATURE", "developer", 0.1 + 0.2, 0.3),
        ("LLM_SYSTEM_PROMPT", "developer", "First\r\n\tsecond ☃\n", "First\n\tsecond ☃"),
        ("AUTOPILOT_ENABLED", "autopilot", "Off", False),
        ("AUTOPILOT_ENABLED", "autopilot", True, True),
        ("AUTOPILOT_MODE", "autopilot", "SUGGEST", "suggest"),
        ("AUTOPILOT_INTERVAL", "autopilot", "1", 1),
        ("MONITOR_AUTO_DEPLOY", "monitor", "yes", True),
        ("GITHUB_REPO", "manager", "octo-org/some.repo", "octo-org/some.repo"),
        ("GITHUB_REPO", "manager", "git@github.com:octo/hello.git", "octo/hello"),
        ("GITHUB_REPO", "manager", "https://ghe.example/octo/hello", "ghe.example/octo/hello"),
        ("GITHUB_TOKEN", "manager", "github_pat_11AAAA", "github_pat_11AAAA"),
        ("LLM_FALLBACK_MODELS", "developer", "a/b, c/d:free\ne/f a/b", "a/b,c/d:free,e/f"),
        ("LLM_DAILY_TOKENS", "developer", "0", 0),
        ("LLM_DAILY_COST", "developer", "0.25", 0.25),
        ("LLM_SYSTEM_PROMPT", "developer", "Fais ceci\u00a0: \U0001f468\u200d\U0001f4bb", None),
        ("AUTOPILOT_MODE", "autopilot", "observe", "observe"),
        ("AUTOPILOT_MODE", "autopilot", "approve", "approve"),
        (
            "ALERT_URLS",
            "monitor",
            "https://a.example/T/B?k=1, http://b:8080",
            "https://a.example/T/B?k=1,http://b:8080",
        ),
    ],
)
def test_values_are_taken(name: str, role: str, given: object, value: object) -> None:
    found = catalogue.clean(name, given, role)
    value = given if value is None else value
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "role", "given"),
    [
        ("OPENROUTER_API_KEY", "developer", "two words"),
        ("OPENROUTER_API_KEY", "developer", "k'ey"),
        ("OPENROUTER_API_KEY", "developer", "k" * 501),
        ("OPENROUTER_BASE_URL", "developer", "ftp://host"),
        ("OPENROUTER_BASE_URL", "developer", "openrouter.ai/api"),
        ("OPENROUTER_BASE_URL", "developer", "https://me:hunter2@host/"),
        ("OPENROUTER_BASE_URL", "developer", "https://host/?key=hunter2"),
        ("OPENROUTER_BASE_URL", "developer", "https://host:65536"),
        ("OPENROUTER_BASE_URL", "developer", "https://host:0"),
        ("OPENROUTER_BASE_URL", "developer", "https://host/a b"),
        ("LLM_MODEL", "developer", "gpt-4o"),
        ("LLM_MODEL", "developer", "vendor/"),
        ("LLM_MODEL", "developer", "openai/gpt 4o"),
        ("LLM_MODEL", "developer", "sk-or-v1-hunter2"),
        ("LLM_MODEL", "developer", "a/" + "b" * 200),
        ("LLM_MAX_TOKENS", "developer", "0"),
        ("LLM_MAX_TOKENS", "developer", "-1"),
        ("LLM_MAX_TOKENS", "developer", "200001"),
        ("LLM_MAX_TOKENS", "developer", "4096.5"),
        ("LLM_MAX_TOKENS", "developer", "٤"),
        ("LLM_MAX_TOKENS", "developer", True),
        ("LLM_MAX_TOKENS", "developer", "9" * 5000),
        ("LLM_TEMPERATURE", "developer", "2.1"),
        ("LLM_TEMPERATURE", "developer", "nan"),
        ("LLM_TEMPERATURE", "developer", float("inf")),
        ("LLM_TEMPERATURE", "developer", "1e0"),
        ("LLM_SYSTEM_PROMPT", "developer", "x" * (MAX_TEXT + 1)),
        ("LLM_SYSTEM_PROMPT", "developer", "bell\a"),
        ("LLM_SYSTEM_PROMPT", "developer", "nul\0"),
        ("LLM_SYSTEM_PROMPT", "developer", "escape \x1b[2J"),
        ("LLM_SYSTEM_PROMPT", "developer", "half \ud800"),
        ("LLM_SYSTEM_PROMPT", "developer", "end\\"),
        ("LLM_SYSTEM_PROMPT", "developer", "one\rtwo"),
        ("LLM_SYSTEM_PROMPT", "developer", " \n"),
        ("LLM_SYSTEM_PROMPT", "developer", None),
        ("LLM_SYSTEM_PROMPT", "developer", ["a"]),
        ("AUTOPILOT_ENABLED", "autopilot", "maybe"),
        ("AUTOPILOT_MODE", "autopilot", "destroy"),
        ("AUTOPILOT_INTERVAL", "autopilot", "0"),
        ("MONITOR_POLL_INTERVAL", "monitor", "86401"),
        ("GITHUB_REPO", "manager", "repo"),
        ("GITHUB_REPO", "manager", "a/b/c"),
        ("GITHUB_REPO", "manager", "owner/.."),
        ("GITHUB_REPO", "manager", "a/" + "{{ x }}"),
        ("GITHUB_REPO", "manager", "https://me:hunter2@github.com/a/b"),
        ("LLM_FALLBACK_MODELS", "developer", "a/b, gpt"),
        ("LLM_FALLBACK_MODELS", "developer", ",,"),
        ("LLM_FALLBACK_MODELS", "developer", ",".join(f"a/b{number}" for number in range(11))),
        ("LLM_DAILY_TOKENS", "developer", "-1"),
        ("LLM_DAILY_COST", "developer", "10000"),
        ("ALERT_URLS", "monitor", "https://a.example/hunter2 mailto:me@example.com"),
        ("ALERT_URLS", "monitor", "https://me:hunter2@a.example/"),
    ],
)
def test_a_wrong_value_is_refused_with_its_rule_and_never_repeated(
    name: str, role: str, given: object
) -> None:
    with pytest.raises(UsageError) as caught:
        catalogue.clean(name, given, role)
    message = str(caught.value)
    assert message.startswith((f"{name} must be ", f"{name} cannot be empty"))
    assert "\n" not in message
    if isinstance(given, str) and len(given) > 6:
        assert given not in message
        assert "hunter2" not in message


def test_names_that_are_none() -> None:
    with pytest.raises(UsageError, match=r"^LLM_MODLE is no setting; did you mean LLM_MODEL\?$"):
        catalogue.clean("LLM_MODLE", "a/b", "developer")
    with pytest.raises(UsageError, match=r"^llm_model is no setting; did you mean LLM_MODEL\?$"):
        catalogue.clean("llm_model", "a/b", "developer")
    with pytest.raises(
        UsageError, match=r"^PATH is no setting; there are OPENROUTER_API_KEY, .*LLM_SYSTEM_PROMPT$"
    ):
        catalogue.clean("PATH", "/", "developer")
    with pytest.raises(
        UsageError, match=r"^GITHUB_TOKEN is no setting of the developer; it is one of the manager$"
    ):
        catalogue.clean("GITHUB_TOKEN", "x", "developer")
    # Name and value mixed up: what stands there may be a secret.
    for secret in ("sk-or-v1-0123456789", "ghp_0123456789abcdefABCDEF0123456789abcd"):
        with pytest.raises(UsageError) as caught:
            catalogue.clean(secret, "OPENROUTER_API_KEY", "developer")
        assert secret not in str(caught.value)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        catalogue.clean_changes(
            {"LLM_MODEL": "x", "LLM_TEMPERATURE": 3, "FOO": None, "LLM_MAX_TOKENS": 5}, "developer"
        )
    assert str(caught.value).count("; ") >= 2
    assert "LLM_MAX_TOKENS must" not in str(caught.value)


# -- reading -----------------------------------------------------------------------------------------------------------


def test_without_a_file_the_defaults_hold(file: EnvFile) -> None:
    found = file.read()
    assert (found.problems, dict(found.values)) == ((), {})
    assert found.get("LLM_MAX_TOKENS") == TABLE["LLM_MAX_TOKENS"].default
    assert found.to_dict()["OPENROUTER_API_KEY"] == {"set": False}
    assert not file.path.exists()


def test_a_role_has_only_its_own_settings(file: EnvFile) -> None:
    file.path.write_text("GITHUB_TOKEN=x\nMY_OWN=1\n")
    found = file.read()
    assert found.problems == ()
    assert "GITHUB_TOKEN" not in found.to_dict()
    with pytest.raises(UsageError, match="no setting of the developer"):
        found.get("GITHUB_TOKEN")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("LLM_SYSTEM_PROMPT=word", "word"),
        ("  export LLM_SYSTEM_PROMPT=word  # and a remark", "word"),
        ("LLM_SYSTEM_PROMPT='a b'", "a b"),
        ("LLM_SYSTEM_PROMPT='a # b' # c", "a # b"),
        ('LLM_SYSTEM_PROMPT="say \\"hi\\" for 5$ \\\\ \\$HOME"', 'say "hi" for 5$ \\ $HOME'),
        ("LLM_SYSTEM_PROMPT='one\n# two\nLLM_MODEL=x/y'", "one\n# two\nLLM_MODEL=x/y"),
        ('LLM_SYSTEM_PROMPT="it\'s"', "it's"),
        ("LLM_SYSTEM_PROMPT=a#b", "a#b"),
        ("LLM_SYSTEM_PROMPT=first\nLLM_SYSTEM_PROMPT=last", "last"),
        ("LLM_SYSTEM_PROMPT=", ""),
        ("LLM_SYSTEM_PROMPT=''", ""),
        ("LLM_SYSTEM_PROMPT=x\nLLM_SYSTEM_PROMPT=", ""),
        ("LLM_SYSTEM_PROMPT= # nothing", ""),
        ("#LLM_SYSTEM_PROMPT=x", ""),
    ],
)
def test_a_line_by_hand_is_read_as_a_shell_reads_it(file: EnvFile, line: str, value: str) -> None:
    file.path.write_text(f"# mine\n\n{line}")
    found = file.read()
    assert found.problems == ()
    assert found.get("LLM_SYSTEM_PROMPT") == value
    for shell in SHELLS:
        assert (shell_values(shell, file.path, "LLM_SYSTEM_PROMPT")["LLM_SYSTEM_PROMPT"] or "") == value


@pytest.mark.parametrize(
    ("line", "name", "reason"),
    [
        ("LLM_MODEL = a/b", "LLM_MODEL", "not NAME=value as a shell"),
        ("LLM_MODEL: a/b", "LLM_MODEL", "not NAME=value as a shell"),
        ("LLM_MODEL", "LLM_MODEL", "not NAME=value as a shell"),
        ("LLM_MODEL=a/b c", "LLM_MODEL", "quote a value"),
        ("LLM_MODEL='a/b", "LLM_MODEL", "quote a value"),
        ("LLM_MODEL='a/b'c", "LLM_MODEL", "quote a value"),
        ("LLM_MODEL=$(id)", "LLM_MODEL", "quote a value"),
        ("LLM_MODEL=a/b;id", "LLM_MODEL", "quote a value"),
        ("LLM_MODEL=~/b", "LLM_MODEL", "quote a value"),
        ('LLM_MODEL="$(id)"', "LLM_MODEL", "use single quotes"),
        ('LLM_MODEL="`id`"', "LLM_MODEL", "use single quotes"),
        ('LLM_MODEL="${HOME}"', "LLM_MODEL", "use single quotes"),
        ('LLM_MODEL="a\\nb"', "LLM_MODEL", "use single quotes"),
        ("LLM_MODEL=a/b\r", "LLM_MODEL", "Windows"),
        ("LLM_MODEL=gpt", "LLM_MODEL", "must be a model"),
        ("LLM_MODEL=good/one\nLLM_MODEL=bad", "LLM_MODEL", "must be a model"),
        ("LLM_TEMPERATURE=hot", "LLM_TEMPERATURE", "must be a number from 0 to 2"),
        ("OPENROUTER_API_KEY='se cret'", "OPENROUTER_API_KEY", "must be a key"),
        ("OPENROUTER_API_KEY=se cret", "OPENROUTER_API_KEY", "quote a value"),
        ("OPENROUTER_KEY=secret", "", "OPENROUTER_KEY is no setting; did you mean OPENROUTER_API_KEY?"),
        ("what is this", "", "not NAME=value as a shell"),
        ("]]", "", "not NAME=value as a shell"),
    ],
)
def test_a_wrong_line_is_named_and_the_default_holds(
    file: EnvFile, line: str, name: str, reason: str
) -> None:
    file.path.write_bytes(f"# mine\n{line}\nLLM_MAX_TOKENS=77\n".encode())
    found = file.read()
    assert [problem.name for problem in found.problems] == [name]
    assert reason in found.problems[0].reason
    assert found.problems[0].line == (3 if line.startswith("LLM_MODEL=good") else 2)
    assert "cret" not in found.problems[0].reason.replace("secret", "").replace("OPENROUTER_KEY", "")
    if name:
        assert found.get(name) == TABLE[name].default
        assert not found.is_set(name)
    assert found.get("LLM_MAX_TOKENS") == 77


@pytest.mark.parametrize(
    "sign", ["\u00a0", "\u200b", "\u202e", "\u2066", "\u00ad", "\ufeff", "\u3000", "\u2028", "\u3164"]
)
@pytest.mark.parametrize(
    "line",
    [
        "*LLM_MODEL=a/b",
        "LLM*_MODEL=a/b",
        "LLM_MODEL*=a/b",
        "LLM_MODEL=*a/b",
        "LLM_MODEL=a/b*",
        "LLM_MODEL='a/*b'",
    ],
)
def test_a_sign_that_nobody_sees_is_named_with_its_line_finding_g5(
    file: EnvFile, line: str, sign: str
) -> None:
    file.path.write_text(f"# mine\n{line.replace('*', sign)}\nLLM_MAX_TOKENS=77\n")
    found = file.read()
    (problem,) = found.problems
    assert (problem.line, problem.name) == (2, "LLM_MODEL")
    assert f"U+{ord(sign):04X} ({unicodedata.name(sign)})" in problem.reason
    assert found.get("LLM_MAX_TOKENS") == 77
    with pytest.raises(CommandError, match=r"^line 2 of \.env: LLM_MODEL .*U\+"):
        found.require_usable(["LLM_MODEL"])


@pytest.mark.parametrize("sign", ["\u200b", "\u202e", "\U000e0041"])
def test_a_prompt_holds_nothing_that_nobody_sees_finding_g5(file: EnvFile, sign: str) -> None:
    with pytest.raises(UsageError, match=rf"^LLM_SYSTEM_PROMPT holds the invisible sign U\+{ord(sign):04X} "):
        file.update({"LLM_SYSTEM_PROMPT": f"be{sign} short"})


def test_a_byte_order_mark_is_ignored_finding_g5(file: EnvFile) -> None:
    file.path.write_bytes(codecs.BOM_UTF8 + b"LLM_MODEL=a/b\n# end\n")
    assert (file.read().problems, file.read().get("LLM_MODEL")) == ((), "a/b")
    file.update({"LLM_MAX_TOKENS": 5})
    assert file.path.read_bytes() == b"LLM_MODEL=a/b\n# end\nLLM_MAX_TOKENS=5\n"


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_another_encoding_is_named_finding_g5(file: EnvFile, mark: bytes) -> None:
    data = mark + "LLM_MODEL=a/b\n".encode("utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be")
    file.path.write_bytes(data)
    with pytest.raises(CommandError, match=r"\.env is written in UTF-16; save it as UTF-8$"):
        file.read().require_usable(["LLM_MODEL"])
    with pytest.raises(CommandError, match="UTF-16"):
        file.update({"LLM_MODEL": "a/b"})
    assert file.path.read_bytes() == data


def test_bytes_that_are_no_text_are_named_with_their_line_finding_g5(file: EnvFile) -> None:
    file.path.write_bytes(b"\n# caf\xe9\nLLM_SYSTEM_PROMPT='caf\xe9'\n\xff=1\n")
    assert [(problem.line, problem.name) for problem in file.read().problems] == [
        (3, "LLM_SYSTEM_PROMPT"),
        (4, ""),
    ]
    assert all("not written in UTF-8" in problem.reason for problem in file.read().problems)


def test_a_right_line_below_a_wrong_one_counts(file: EnvFile) -> None:
    file.path.write_text("LLM_MODEL = a/b\nLLM_MODEL=a/b\n")
    assert (file.read().problems, file.read().get("LLM_MODEL")) == ((), "a/b")


@given(
    st.binary(max_size=300) | TEXTS.map(lambda text: f"LLM_SYSTEM_PROMPT={text}\nLLM_MODEL=a/b\n".encode())
)
@example(b"LLM_MODEL=a/\xff\n")
@example(b"\xef\xbb\xbfLLM_MODEL=a/b\n")
@example(b"\xef\xbb\xbf# comment\nLLM_MODEL=a/b\n\xef\xbb\xbfLLM_MODEL=c/d\n")
@example(b"LLM_SYSTEM_PROMPT='\n" * 50)
def test_no_file_can_break_reading_or_writing(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    assume(not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)))
    file = EnvFile(tmp_path_factory.mktemp("home") / ".env", "developer")
    file.path.write_bytes(data)
    before = file.read()
    assert file.path.read_bytes() == data
    done = file.update({"LLM_TEMPERATURE": 1.5})
    assert done.settings.get("LLM_TEMPERATURE") == 1.5
    assert {**file.read().values, "LLM_TEMPERATURE": 0} == {**before.values, "LLM_TEMPERATURE": 0}
    if b"TEMPERATURE" not in data and b"DOCKFRA_" not in data:
        assert file.path.read_bytes().startswith(data.removeprefix(codecs.BOM_UTF8))


def test_what_is_no_proper_file_is_reported_and_left_alone(tmp_path: Path) -> None:
    pipe, folder, large, private = (
        EnvFile(tmp_path / name, "developer") for name in ("pipe", "folder", "large", "x/y")
    )
    os.mkfifo(pipe.path)
    folder.path.mkdir()
    large.path.write_bytes(b"#" * (settings_file.MAX_FILE + 1))
    for file, reason in ((pipe, "is no file"), (folder, "cannot be read|is no file"), (large, "more than")):
        found = file.read()
        assert [(problem.line, problem.name) for problem in found.problems] == [(0, "")]
        assert found.get("LLM_TEMPERATURE") == TABLE["LLM_TEMPERATURE"].default
        with pytest.raises(CommandError, match=reason):
            file.update({"LLM_TEMPERATURE": 1})
    assert large.path.stat().st_size == settings_file.MAX_FILE + 1
    with pytest.raises(
        CommandError, match=r"x/y cannot be written: No such file or directory; nothing was changed$"
    ):
        private.update({"LLM_TEMPERATURE": 1})
    assert sorted(os.listdir(tmp_path)) == ["folder", "large", "pipe"]


# -- writing -----------------------------------------------------------------------------------------------------------


def test_a_hand_edited_file_keeps_everything_else(file: EnvFile) -> None:
    text = (
        "# my settings\n\nexport MY_OWN='kept' # yes\n  LLM_MODEL=old/one  # remark\nnonsense here\n"
        "#LLM_TEMPERATURE=0.2\n\n# end\nLLM_MAX_TOKENS=5"
    )
    file.path.write_text(text)
    done = file.update({"LLM_MODEL": "new/one", "LLM_TEMPERATURE": "1.0", "LLM_SYSTEM_PROMPT": "a b"})
    assert done.changed == ("LLM_MODEL", "LLM_TEMPERATURE", "LLM_SYSTEM_PROMPT")
    assert file.path.read_text() == (
        "# my settings\n\nexport MY_OWN='kept' # yes\nLLM_MODEL=new/one\nnonsense here\n"
        "#LLM_TEMPERATURE=0.2\nLLM_TEMPERATURE=1\n\n# end\nLLM_MAX_TOKENS=5\nLLM_SYSTEM_PROMPT='a b'\n"
    )
    file.update(
        {"LLM_MODEL": None, "LLM_TEMPERATURE": None, "LLM_SYSTEM_PROMPT": None, "LLM_MAX_TOKENS": None}
    )
    assert file.path.read_text() == (
        "# my settings\n\nexport MY_OWN='kept' # yes\nnonsense here\n#LLM_TEMPERATURE=0.2\n\n# end\n"
    )


def test_repeated_and_wrong_lines_of_a_name_become_one(file: EnvFile) -> None:
    file.path.write_text("LLM_MODEL=a/b\n# between\nLLM_MODEL = c/d\n# end\n")
    assert file.update({"LLM_MODEL": "e/f"}).settings.problems == ()
    assert file.path.read_text() == "# between\nLLM_MODEL=e/f\n# end\n"


@given(TEXTS)
@example('Don\'t use `rm`, ${HOME}, $HOME or \\n.\n"Quoted" \\\\ \\\' \\"')
@example("${DOCKFRA_DOLLAR} `")
@example("a\\\\b'")
@example("LLM_MODEL=x/y\n'")
@example("#x")
@example("~")
@example("!!")
def test_every_text_comes_back_from_the_file_and_from_shells(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = EnvFile(tmp_path_factory.mktemp("home") / ".env", "developer")
    file.create()
    try:
        done = file.update({"LLM_MODEL": "a/b", "LLM_SYSTEM_PROMPT": text, "LLM_TEMPERATURE": 1})
    except UsageError:
        return
    expected = text.replace("\r\n", "\n").strip()
    assert done.settings.get("LLM_SYSTEM_PROMPT") == file.read().get("LLM_SYSTEM_PROMPT") == expected
    assert (done.settings.problems, file.read().get("LLM_TEMPERATURE")) == ((), 1.0)
    for shell in SHELLS:
        found = shell_values(shell, file.path, "LLM_SYSTEM_PROMPT", "LLM_MODEL", "LLM_TEMPERATURE")
        assert found == {"LLM_SYSTEM_PROMPT": expected, "LLM_MODEL": "a/b", "LLM_TEMPERATURE": "1"}
    # The same again is no change, and without the value nothing of it is left.
    assert file.update({"LLM_SYSTEM_PROMPT": text}).changed == ()
    file.update({"LLM_SYSTEM_PROMPT": None, "LLM_MODEL": None, "LLM_TEMPERATURE": None})
    assert file.path.read_text() == settings_file.template("developer")


def test_a_change_that_is_none_writes_nothing(file: EnvFile) -> None:
    file.path.write_text("LLM_MODEL='a/b'\n")
    before = file.path.stat()
    assert file.update({"LLM_MODEL": " a/b ", "LLM_TEMPERATURE": None}).changed == ()
    assert file.path.stat() == before
    assert file.path.read_text() == "LLM_MODEL='a/b'\n"


def test_a_dry_run_says_what_would_change(file: EnvFile) -> None:
    file.path.write_text("LLM_MODEL=a/b\n")
    done = file.update({"LLM_MODEL": "c/d"}, dry_run=True)
    assert (done.changed, done.settings.get("LLM_MODEL")) == (("LLM_MODEL",), "c/d")
    assert file.path.read_text() == "LLM_MODEL=a/b\n"
    with pytest.raises(UsageError):
        file.update({"LLM_MODEL": "x"}, dry_run=True)


def test_all_change_or_none(file: EnvFile) -> None:
    file.path.write_text("LLM_MODEL=a/b\n")
    with pytest.raises(UsageError, match="LLM_TEMPERATURE must be a number from 0 to 2"):
        file.update({"LLM_MODEL": "c/d", "LLM_TEMPERATURE": "3"})
    assert file.path.read_text() == "LLM_MODEL=a/b\n"


def test_the_file_is_for_its_owner_alone(file: EnvFile) -> None:
    before = os.umask(0)
    try:
        file.update({"OPENROUTER_API_KEY": "sk-one"})
        assert file.path.stat().st_mode & 0o777 == 0o600
        file.path.chmod(0o644)
        os.umask(0o777)
        file.update({"OPENROUTER_API_KEY": "sk-two"})
    finally:
        os.umask(before)
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(file.path.parent) == [".env"]


def test_what_a_killed_writer_left_is_replaced(file: EnvFile) -> None:
    (file.path.parent / ".env.new").write_text("LLM_MODEL=half")
    file.update({"LLM_MODEL": "a/b"})
    assert os.listdir(file.path.parent) == [".env"]
    assert file.path.read_text() == "LLM_MODEL=a/b\n"


def test_a_full_disk_leaves_the_old_file(file: EnvFile, monkeypatch: pytest.MonkeyPatch) -> None:
    file.path.write_text("LLM_MODEL=a/b\n")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        CommandError, match=r"cannot be written: No space left on device; nothing was changed$"
    ):
        file.update({"LLM_MODEL": "c/d"})
    assert os.listdir(file.path.parent) == [".env"]
    assert file.path.read_text() == "LLM_MODEL=a/b\n"


def test_a_writer_that_waits_in_vain_says_so(file: EnvFile) -> None:
    folder = os.open(file.path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with pytest.raises(CommandError, match="is being changed by somebody else"):
            EnvFile(file.path, "developer", lock_timeout=0).update({"LLM_MODEL": "a/b"})
        # Readers do not wait.
        assert file.read().problems == ()
    finally:
        os.close(folder)
    assert file.update({"LLM_MODEL": "a/b"}).changed == ("LLM_MODEL",)


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "LLM_MODEL": "a/b",
        "LLM_MAX_TOKENS": 7,
        "LLM_TEMPERATURE": 1.5,
        "LLM_SYSTEM_PROMPT": "it's `so`",
        "AUTOPILOT_INTERVAL": 9,
        "AUTOPILOT_MODE": "suggest",
        "AUTOPILOT_ENABLED": False,
        "OPENROUTER_API_KEY": "key",
    }

    def write(change: tuple[str, Any]) -> tuple[str, ...]:
        return EnvFile(tmp_path / ".env", "autopilot").update(dict([change])).changed

    with ThreadPoolExecutor(len(changes)) as pool:
        assert list(pool.map(write, changes.items())) == [(name,) for name in changes]
    found = EnvFile(tmp_path / ".env", "autopilot").read()
    assert (dict(found.values), found.problems) == (changes, ())


# -- daemons -----------------------------------------------------------------------------------------------------------


def test_a_daemon_notices_every_change(file: EnvFile) -> None:
    assert file.changed()
    assert file.latest().get("LLM_MAX_TOKENS") == 2048
    assert not file.changed()
    other = EnvFile(file.path, "developer")
    for number in (5, 6, 7):
        other.update({"LLM_MAX_TOKENS": number})
        assert file.changed()
        assert file.latest().get("LLM_MAX_TOKENS") == number
        assert not file.changed()
    assert file.latest() is file.latest()
    file.path.unlink()
    assert file.changed()
    assert file.latest().get("LLM_MAX_TOKENS") == 2048


def test_secrets_stay_out_of_what_is_shown(file: EnvFile) -> None:
    done = file.update({"OPENROUTER_API_KEY": "sk-hunter2"})
    assert done.settings.get("OPENROUTER_API_KEY") == "sk-hunter2"
    assert done.settings.to_dict()["OPENROUTER_API_KEY"] == {"set": True}
    assert "hunter2" not in f"{done!r} {done.settings!r} {done.settings.to_dict()}"


# -- the file that a home directory starts with ------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_a_new_file_names_all_and_sets_nothing(tmp_path: Path, role: str) -> None:
    file = EnvFile(tmp_path / ".env", role)
    assert file.create()
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert (file.read().problems, dict(file.read().values)) == ((), {})
    text = file.path.read_text()
    for setting in catalogue.of(role):
        assert f"\n#{setting.name}=" in text
        for shell in SHELLS:
            assert shell_values(shell, file.path, setting.name) == {setting.name: None}
    # Without the comment sign, each line is a value that holds.
    file.path.write_text(text.replace("\n#", "\n").replace("\n ", "\n# "))
    assert file.read().problems == ()
    assert set(file.read().values) == {
        setting.name for setting in catalogue.of(role) if setting.default != ""
    }


def test_a_file_that_is_there_is_never_replaced(file: EnvFile) -> None:
    file.path.write_text("MINE=1\n")
    assert not file.create()
    assert file.path.read_text() == "MINE=1\n"
    file.path.unlink()
    file.path.symlink_to("nowhere")
    assert not file.create()
    assert os.readlink(file.path) == "nowhere"


@pytest.mark.parametrize(("user", "made"), [("monitor", True), ("deployer", False)])
def test_the_start_step(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    user: str,
    made: bool,
) -> None:
    monkeypatch.setattr(settings_file, "HOMES", tmp_path)
    monkeypatch.setattr(
        pwd, "getpwuid", lambda _uid: pwd.struct_passwd((user, "x", 1, 1, "", "/", "/bin/sh"))
    )
    monkeypatch.setattr("sys.path", ["/nowhere"])
    assert os.access(START_STEP, os.X_OK)
    # A home that is not there keeps nobody out.
    exec(START_STEP.read_text(), {})
    assert ("cannot be written" in capsys.readouterr().err) is made
    (tmp_path / user).mkdir()
    exec(START_STEP.read_text(), {})
    assert [path.name for path in (tmp_path / user).iterdir()] == ([".env"] if made else [])
    if made:
        assert (tmp_path / user / ".env").read_text() == settings_file.template(user)
