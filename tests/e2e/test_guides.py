"""A newcomer's way: what README and the guides tell people to type, typed in their order, with every check well at its end."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.support import runs
from tests.e2e.support.platform import Platform

ROOT = runs.ROOT
BLOCK = re.compile(r"^```sh\n(?:# in (?P<service>[\w-]+)\n)?(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
GUIDES = [
    "README.md",
    *(
        f"docs/{name}.md"
        for name in (
            "access",
            "roles",
            "tickets",
            "configuration",
            "code",
            "deploy",
            "monitor",
            "health",
            "models",
        )
    ),
]

# What is answered where a line asks.
ANSWERS = {
    "config-developer OPENROUTER_API_KEY": "sk-or-v1-a-key-of-the-guide\n",
    "ssh-to developer": "help\nexit\n",
}
# What lies in the reader's directory.
FILES = {
    "key.txt": "sk-or-v1-a-key-of-the-guide\n",
    "ticket.yml": 'title: !unsafe "What does {{ this }} mean?"\n',
}
# Proven elsewhere, or not for a platform that other tests go on with.
ELSEWHERE = {
    "git clone": "the clone is there",
    "ticket-push": "test_github.py, against a GitHub of the tests' own",
    "ticket-pull": "test_github.py",
    "playbooks/teardown.yml": "test_teardown.py",
    'ask "': "test_models.py, against a model of the tests' own",
    "plan ": "test_models.py",
    "review ": "test_roles.py",
    "analyze-logs": "test_roles.py",
    "greeter": "test_customize.py",
    "implement": "test_implement.py, with a model of the tests' own",
    "--watch": "test_watch.py, on a terminal",
    "ALERT_URLS": "test_watch.py",
    "ask=": "tests/unit/test_configure_playbook.py, on a terminal",
    ". .venv/bin/activate": "the tests run in an environment",
}
# Asks for one setting after the other, on a terminal: test_configuration.py of the collection.
QUESTIONS = "config-developer"


@dataclass(frozen=True)
class Line:
    """A line to type, and the container it is typed in; on the host where there is none."""

    service: str
    text: str


def lines(guide: str) -> list[Line]:
    """The lines of a guide; those that go on over a backslash or a here-document are one."""
    found = []
    for block in BLOCK.finditer((ROOT / guide).read_text(encoding="utf-8")):
        found += [
            Line(block["service"] or "", text) for text in block["text"].replace("\\\n", "").splitlines()
        ]
    return [
        line for line in found if line.text != QUESTIONS and not any(word in line.text for word in ELSEWHERE)
    ]


class Reader:
    """Somebody who follows a guide on the platform of the tests, whose names, ports and directories are others."""

    def __init__(self, platform: Platform, files: Path) -> None:
        self.platform = platform
        self.files = files
        self.ticket = ""
        self.directories: dict[str, str] = {}

    def type(self, line: Line) -> subprocess.CompletedProcess[str]:
        """Type a line where it belongs and return what came of it."""
        text = self.translated(line.text)
        if line.service and text.startswith("cd "):
            self.directories[line.service] = text
        done = self._in(line.service, text) if line.service else self._here(text)
        made = re.search(r"\bT-\d+\b", done.stdout)
        if line.text.startswith("ticket-create") and made:
            self.ticket = made[0]
        return done

    def translated(self, text: str) -> str:
        """What the guides call `local` is the tests' inventory here, and their first ticket one that was made just now."""
        if self.ticket:
            text = text.replace("T-0001", self.ticket)
        text = text.replace("inventories/local", runs.INVENTORY).replace(
            ".dockfra/local", str(self.platform.state)
        )
        text = text.replace("< key.txt", f"< {self.files}/key.txt").replace(
            "@ticket.yml", f"@{self.files}/ticket.yml"
        )
        text = text.replace("https://localhost/", self.platform.url("/"))
        for name in self.platform.names:
            text = re.sub(
                rf"(?<![\w-])dockfra-{name}(?![\w-])", self.platform.topology.container_name(name), text
            )
        text = re.sub(r"^\./init\.sh local", f"ansible-playbook site.yml -i {runs.INVENTORY}", text)
        return re.sub(r"-p 2202\b", f"-p {self.platform.published('ssh-manager', 'ssh')}", text)

    def _in(self, service: str, text: str) -> subprocess.CompletedProcess[str]:
        directory = self.directories.get(service)
        there = f"{directory} && {text}" if directory and not text.startswith("cd ") else text
        options = ["-tt"] if text == "ssh-to developer" else []
        return self.platform.ssh(service, there, options=options, text=ANSWERS.get(text, ""))

    def _here(self, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            # Without a terminal a secret is read from the input.
            ["bash", "-c", text.replace("ssh -t ", "ssh ")],
            cwd=ROOT,
            env=runs.environment(ROOT),
            input=next((answer for asked, answer in ANSWERS.items() if text.endswith(asked)), "exit\n"),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=runs.PATIENCE,
        )


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_leads_to_its_end(platform: Platform, guide: str, tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    reader = Reader(platform, tmp_path)
    # There is something to commit.
    platform.ssh("developer", f"date >~/app/{Path(guide).stem}")
    typed = lines(guide)
    assert typed, guide
    for line in typed:
        done = reader.type(line)
        assert done.returncode == 0, f"{guide}: {line.text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    # A guide restarts services, and Docker does not wait until they work again.
    platform.wait_answering(*platform.names)
    done = platform.ssh("monitor", "verify")
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    # A guide leaves the monitor to deploy by itself, and here only those deploy that say so.
    assert (
        platform.ssh("manager", "config-monitor MONITOR_AUTO_DEPLOY=false MONITOR_POLL_INTERVAL=").returncode
        == 0
    )
    platform.ssh("manager", "config-developer OPENROUTER_API_KEY= LLM_MAX_TOKENS= LLM_MODEL=")
