"""The progress callback, seen as a person sees it: real playbooks, on a terminal and through a pipe."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ANSIBLE_PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
STATUS = re.compile(r"^(\[\d+/\d+\] )?(\d+m)?\d+s(  waiting for: .*)?$")

# Returns what it is told to, after a while. An action, so that a task costs next to nothing.
ACTION = """
import time
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        args = dict(self._task.args)
        time.sleep(float(args.pop("sleep", 0)))
        for text in args.pop("display", []):
            self._display.display(text)
        for text in args.pop("warn", []):
            self._display.warning(text)
        if args.pop("raises", False):
            raise AnsibleError("raised on purpose")
        return args
"""

PLAN = """
- name: Plan
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Compare
      fake:
        dockfra_total: 4
        dockfra_pending:
          db: [image, container]
          web: [container]
          backend: [config]
"""


class Screen:
    """What a terminal shows: enough of one for the sequences that are used here."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows: list[str] = [""]
        self.row = self.column = 0
        self.seen: list[str] = []

    def feed(self, data: str) -> None:
        for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\r|\n)", data):
            if part == "\r":
                self._snapshot()
                self.column = 0
            elif part == "\n":
                self.row += 1
                if self.row == len(self.rows):
                    self.rows.append("")
            elif part == "\x1b[J":
                self.rows[self.row] = self.rows[self.row][: self.column]
                del self.rows[self.row + 1 :]
            elif part.startswith("\x1b["):
                assert part.endswith("m"), f"unknown sequence {part!r}"
            else:
                for char in part:
                    assert char >= " ", f"control character {char!r} on the screen"
                    if self.column == self.columns:
                        self.row, self.column = self.row + 1, 0
                        if self.row == len(self.rows):
                            self.rows.append("")
                    line = self.rows[self.row].ljust(self.column)
                    self.rows[self.row] = line[: self.column] + char + line[self.column + 1 :]
                    self.column += 1

    def _snapshot(self) -> None:
        if self.rows[self.row] and (not self.seen or self.seen[-1] != self.rows[self.row]):
            self.seen.append(self.rows[self.row])

    @property
    def text(self) -> str:
        return "\n".join(self.rows)

    @property
    def status_lines(self) -> list[str]:
        return [line for line in self.seen if STATUS.match(line)]


class Project:
    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "plugins/callback").mkdir(parents=True)
        shutil.copy(ROOT / "plugins/callback/dockfra_progress.py", path / "plugins/callback")
        shutil.copy(ROOT / "ansible.cfg", path)
        (path / "plugins/action").mkdir()
        (path / "plugins/action/fake.py").write_text(ACTION)
        inventory = path / "inventories/local"
        inventory.mkdir(parents=True)
        hosts: dict[str, object] = {name: {} for name in ("db", "web", "backend")}
        groups = {"local": {"hosts": {"localhost": {}}}, "services": {"hosts": hosts}}
        everything = {"children": groups, "vars": {"ansible_connection": "local"}}
        (inventory / "hosts.yml").write_text(json.dumps({"all": everything}))
        # Buffering as a person has it, and no setting from the outside.
        foreign = re.compile(r"ANSIBLE_|DOCKFRA_|PYTHONUNBUFFERED$|NO_COLOR$")
        self.env = {name: value for name, value in os.environ.items() if not foreign.match(name)}
        self.env |= {"TERM": "xterm", "LC_ALL": "C.UTF-8"}
        self.env["ANSIBLE_ACTION_PLUGINS"] = str(path / "plugins/action")

    def command(self, playbook: str, *args: str) -> list[str]:
        (self.path / "site.yml").write_text(textwrap.dedent(playbook))
        return [str(ANSIBLE_PLAYBOOK), "site.yml", "-i", "inventories/local", *args]

    def pipe(self, playbook: str, *args: str, **env: str) -> tuple[int, str]:
        done = subprocess.run(
            self.command(playbook, *args),
            cwd=self.path,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout

    def terminal(
        self,
        playbook: str,
        *args: str,
        columns: int = 100,
        on_output: Callable[[int, subprocess.Popen[bytes], Screen], None] | None = None,
        env: dict[str, str] | None = None,
    ) -> tuple[int, Screen, str]:
        ours, theirs = pty.openpty()
        resize(ours, columns)
        process = subprocess.Popen(
            self.command(playbook, *args),
            cwd=self.path,
            env=self.env | (env or {}),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            # The terminal has to control the process for Ctrl-C to reach it.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        os.close(theirs)
        screen, raw, deadline = Screen(columns), "", time.monotonic() + 60
        try:
            while time.monotonic() < deadline:
                if not select.select([ours], [], [], 0.2)[0]:
                    continue
                try:
                    data = os.read(ours, 65536).decode()
                except OSError:
                    break
                raw += data
                screen.feed(data)
                if on_output:
                    on_output(ours, process, screen)
            return process.wait(timeout=10), screen, raw
        finally:
            process.kill()
            process.wait()
            os.close(ours)


def resize(terminal: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def apply_play(*tasks: str, strategy: str = "linear") -> str:
    head = f"""
- name: Apply
  hosts: services
  gather_facts: false
  strategy: {strategy}
  tasks:
"""
    return head + "".join(f"    - {task}\n" for task in tasks)


READY = "{name: Report, fake: {dockfra_service: {name: '{{ inventory_hostname }}', state: ready}}}"
SECONDS = "{{ 3.5 if inventory_hostname == 'db' else 0 }}"
SLOW = f'{{name: Wait until healthy, fake: {{changed: true, sleep: "{SECONDS}"}}}}'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "a project")


@pytest.mark.parametrize("strategy", ["linear", "free"])
def test_pipe_has_a_line_per_service_and_a_heartbeat(project: Project, strategy: str) -> None:
    code, out = project.pipe(PLAN + apply_play(SLOW, READY, strategy=strategy), DOCKFRA_HEARTBEAT="1")
    assert code == 0
    assert sorted(re.findall(r"^\[(\d)/4\] \w+ ready after \d+\.\d+s$", out, re.MULTILINE)) == ["2", "3", "4"]
    assert set(re.findall(r"(\w+) ready after", out)) == {"db", "web", "backend"}
    heartbeats = re.findall(r"^\[(\d)/4\] \d+s  waiting for: (.*)$", out, re.MULTILINE)
    assert heartbeats
    # On a busy machine there is one more, of what comes after that.
    assert ("1" if strategy == "linear" else "3", "db (Wait until healthy)") in heartbeats
    assert "\x1b" not in out
    assert "\r" not in out
    # Programs read these.
    assert "PLAY [Apply] ****" in out
    assert re.search(r"^db +: ok=2 +changed=1 +unreachable=0 +failed=0 ", out, re.MULTILINE)
    assert "changed: [db]" in out


def test_pipe_is_not_buffered(project: Project) -> None:
    """A heartbeat is there while the task still runs, though output goes to a pipe."""
    task = "{name: Long, fake: {sleep: 8}}"
    process = subprocess.Popen(
        project.command(apply_play(task), "--limit", "db"),
        cwd=project.path,
        env=project.env | {"DOCKFRA_HEARTBEAT": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout
    seen = b""
    while b"waiting for: db (Long)" not in seen and (chunk := os.read(process.stdout.fileno(), 4096)):
        seen += chunk
    assert b"waiting for: db (Long)" in seen
    assert process.poll() is None
    process.communicate()


def test_nothing_to_do_is_quiet(project: Project) -> None:
    plan = """
- name: Plan
  hosts: localhost
  gather_facts: false
  tasks: [{fake: {dockfra_pending: {}, dockfra_total: 4}}]
"""
    quiet = "{name: Same as ever, fake: {msg: nothing}}"
    skipped = "{name: Not wanted, fake: {msg: nothing}, when: false}"
    playbook = plan + apply_play(quiet, skipped)
    code, out = project.pipe(playbook)
    assert code == 0
    assert "TASK" not in out
    assert "waiting" not in out
    assert "Same as ever" not in out
    assert "changed=0" in out
    code, out = project.pipe(playbook, "-v")
    assert "TASK [Same as ever]" in out
    assert "TASK [Not wanted]" in out
    assert "skipping: [db]" in out


def test_plans_of_several_docker_hosts_add_up(project: Project) -> None:
    playbook = """
- name: Plan
  hosts: services
  gather_facts: false
  tasks:
    - name: Compare
      fake: "{{ item }}"
      run_once: true
      loop:
        - {docker_host: one, dockfra_total: 5, dockfra_pending: {db: [image]}, sleep: 2.5}
        - {docker_host: two, dockfra_total: 10, dockfra_pending: {web: [config], backend: []}}
    - name: Report
      set_fact: {dockfra_service: {name: "{{ inventory_hostname }}", state: ready}}
      when: inventory_hostname != 'web'
    - {name: Compare again, fake: {docker_host: two, dockfra_total: 10, dockfra_pending: {}}, run_once: true}
    - {name: Linger, fake: {sleep: 2.5}, run_once: true}
"""
    code, out = project.pipe(playbook, DOCKFRA_HEARTBEAT="1", ANSIBLE_LOCALHOST_WARNING="false")
    assert code == 0
    ready = re.findall(r"^\[(\d+)/15\] (\w+) ready after", out, re.MULTILINE)
    assert [count for count, _ in ready] == ["13", "14"]
    assert {name for _, name in ready} == {"db", "backend"}
    heartbeats = re.findall(r"^(.*) waiting for: (.*)$", out, re.MULTILINE)
    assert heartbeats[0][1] == "Compare"
    assert heartbeats[-1][0].startswith("[15/15] ")
    assert heartbeats[-1][1] == "Linger"


def test_messages_for_people_are_shown(project: Project) -> None:
    debug = "{name: Tell, debug: {msg: read me}}"
    warn = "{name: Mind, fake: {warn: [mind the gap], display: [said by a worker]}}"
    result_warning = "{name: Mind too, fake: {warnings: [from the result]}}"
    code, out = project.pipe(apply_play(debug, warn, result_warning), "--limit", "db")
    assert code == 0
    assert "read me" in out
    assert "[WARNING]: mind the gap" in out
    assert "said by a worker" in out
    assert "[WARNING]: from the result" in out


def test_a_run_in_steps_says_the_order_and_where_it_has_ended(project: Project) -> None:
    steps = "{name: Order, fake: {dockfra_steps: [[db], [web], [backend]]}, run_once: true}"
    begin = "{name: Begin, fake: {dockfra_service: [{name: '{{ inventory_hostname }}', state: begun}]}}"
    fail = "{name: Start, fake: {failed: '{{ inventory_hostname == \"web\" }}', msg: it is ill}}"
    play = apply_play(begin, fail, READY).replace("strategy: linear", "serial: 1\n  order: inventory")
    code, out = project.pipe(PLAN + apply_play(steps) + play.replace("name: Apply", "name: One by one"))
    assert code == 2
    assert "In this order, as each is well: db, then web, then backend\n" in out
    assert out.count("PLAY [One by one]") == 1
    end = out.split("PLAY RECAP")[1]
    assert "FAILED web: Start: it is ill\nDone: db\nNot touched, " in end
    assert re.search(r"^Not touched, .*: backend$", end, re.MULTILINE)
    # A run that ends well has nothing of this to say.
    code, out = project.pipe(PLAN + apply_play(steps) + apply_play(READY))
    assert code == 0
    assert "Done:" not in out
    assert "Not touched" not in out


def test_failure_ends_with_service_task_reason_and_next_step(project: Project) -> None:
    fail = (
        "{name: 'db : Start', fake: {failed: '{{ inventory_hostname == \"db\" }}',"
        ' msg: "\\n\\e[31mport 5432 is taken\\e[0m\\nsecond line"}}'
    )
    code, out = project.pipe(PLAN + apply_play(fail, READY))
    assert code == 2
    assert "fatal: [db]: FAILED!" in out
    end = out.split("PLAY RECAP")[1]
    assert "\x1b" not in end
    assert "FAILED db: db : Start: port 5432 is taken\n" in end
    assert "run ./init.sh local again" in end
    assert 'docs/operate.md, "When a step fails"' in end
    assert "FAILED web" not in end
    assert "[3/4] " in out


def test_failure_of_a_roles_task_is_named_by_the_task_alone(project: Project) -> None:
    tasks = project.path / "roles/start/tasks"
    tasks.mkdir(parents=True)
    for message, shown in (
        ("it is ill\n\nin many ways", "it is ill"),
        ("These are wrong:\n\n the port\nand more", "These are wrong: the port"),
    ):
        look = {"name": "Look", "fake": {"failed": True, "msg": message}}
        (tasks / "main.yml").write_text(json.dumps([look]))
        code, out = project.pipe(apply_play("{include_role: {name: start}}"), "--limit", "db")
        assert code == 2
        assert "TASK [start : Look]" in out
        assert f"FAILED db: Look: {shown}\n" in out


def test_failure_of_a_loop_names_the_item_that_failed(project: Project) -> None:
    fail = "{name: Many, fake: {failed: '{{ item == 2 }}', msg: 'no {{ item }}'}, loop: [1, 2, 3]}"
    code, out = project.pipe(apply_play(fail), "--limit", "db")
    assert code == 2
    assert "FAILED db: Many: no 2\n" in out


def test_rescued_and_ignored_failures_are_no_failures(project: Project) -> None:
    rescued = "{block: [{name: Try, fake: {failed: true, msg: oh}}], rescue: [{name: Mend, fake: {}}]}"
    ignored = "{name: Never mind, fake: {failed: true, msg: oh}, ignore_errors: true}"
    code, out = project.pipe(apply_play(rescued, ignored), "--limit", "db")
    assert code == 0
    assert "FAILED db" not in out
    assert "Next:" not in out


def test_unreachable(project: Project) -> None:
    playbook = """
    - name: Far
      hosts: db
      gather_facts: false
      vars: {ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}
      tasks: [{name: Look, ping: {}}]
    """
    code, out = project.pipe(playbook)
    assert code == 4
    assert "UNREACHABLE!" in out
    assert re.search(r"^FAILED db: Look: .*(refused|unreachable)", out, re.MULTILINE | re.IGNORECASE)


def test_what_ssh_draws_around_a_warning_is_left_out(project: Project) -> None:
    frame = "@" * 59
    told = (
        f"Failed: {frame}\\r\\n@    WARNING: IT HAS CHANGED!     @\\r\\n{frame}\\r\\nSomebody could be there"
    )
    code, out = project.pipe(
        apply_play(f'{{name: Look, fake: {{failed: true, msg: "{told}"}}}}'), "--limit", "db"
    )
    assert code == 2
    assert "FAILED db: Look: Failed: WARNING: IT HAS CHANGED!\n" in out


def test_exception_in_a_task(project: Project) -> None:
    code, screen, _ = project.terminal(apply_play("{name: Burst, fake: {raises: true}}"), "--limit", "db")
    assert code == 2
    assert re.search(r"FAILED db: Burst: .*raised on purpose", screen.text.replace("\n", ""))
    assert not [line for line in screen.rows if STATUS.match(line)]


def test_summary_is_the_last_thing_verbatim(project: Project) -> None:
    playbook = (
        PLAN
        + """
- name: Tell
  hosts: localhost
  gather_facts: false
  tasks: [{fake: {dockfra_summary: "web   https://localhost/\\n  db  127.0.0.1:5432"}}]
"""
    )
    code, out = project.pipe(playbook)
    assert code == 0
    assert out.endswith("\nweb   https://localhost/\n  db  127.0.0.1:5432\n")
    assert out.count("https://localhost/") == 1


def test_notes_are_told_once_and_before_the_summary(project: Project) -> None:
    told = '{dockfra_notes: ["web serves \\x1b[31mother code"], dockfra_summary: "web https://localhost/"}'
    playbook = f"""
{PLAN}
- name: Tell
  hosts: localhost
  gather_facts: false
  tasks: [{{fake: {told}}}, {{fake: {told}}}]
"""
    code, out = project.pipe(playbook)
    assert code == 0
    assert out.endswith("\nweb serves other code\nweb https://localhost/\n")
    assert out.count("other code") == 1
    code, out = project.pipe(playbook.replace("dockfra_summary", "failed: true, dockfra_summary", 1))
    assert code == 2
    assert "other code" in out


def test_check_mode_with_diff(project: Project) -> None:
    diff = '{name: Render, fake: {changed: true, diff: {before: "old\\n", after: "new\\n"}}}'
    code, screen, _ = project.terminal(PLAN + apply_play(diff), "--check", "--diff")
    assert code == 0
    assert screen.text.count("-old") == 3
    assert screen.text.count("+new") == 3
    assert not [line for line in screen.rows if STATUS.match(line)]


@pytest.mark.parametrize("columns", [100, 40])
def test_terminal_has_one_live_line_that_leaves_no_trace(project: Project, columns: int) -> None:
    noisy = "{name: Speak, fake: {sleep: 1.2, changed: true, display: ['line {{ inventory_hostname }}']}}"
    code, screen, _ = project.terminal(PLAN + apply_play(noisy, SLOW, READY), columns=columns)
    assert code == 0
    assert screen.status_lines
    assert all(len(line) < columns for line in screen.status_lines)
    assert any(line.startswith("[1/4] ") and "db (Wait until" in line for line in screen.status_lines)
    # Gone from the final screen, with everything else intact.
    assert not [line for line in screen.rows if STATUS.match(line)]
    for name in ("db", "web", "backend"):
        assert f"line {name}" in screen.rows
        assert f"changed: [{name}]" in screen.rows
        assert [row for row in screen.rows if re.fullmatch(rf"\[\d/4\] {name} ready after [\d.]+s", row)]


def test_terminal_shows_retries_as_waiting(project: Project) -> None:
    loop = "retries: 2, delay: 2, until: r is success, register: r"
    retry = f"{{name: Ask, fake: {{failed: true, msg: not yet}}, {loop}}}"
    code, screen, _ = project.terminal(PLAN + apply_play(retry), "--limit", "localhost,db")
    assert code == 2
    assert [line for line in screen.status_lines if "db (Ask, try 2)" in line]
    assert "RETRYING" not in screen.text


def test_terminal_resized_meanwhile(project: Project) -> None:
    def shrink(terminal: int, _: subprocess.Popen[bytes], screen: Screen) -> None:
        if screen.status_lines and screen.columns != 30:
            screen.columns = 30
            screen.seen.clear()
            resize(terminal, 30)

    code, screen, _ = project.terminal(PLAN + apply_play(SLOW, READY), on_output=shrink)
    assert code == 0
    assert screen.columns == 30
    assert len(screen.status_lines) >= 2
    assert all(len(line) < 30 for line in screen.status_lines[1:])


@pytest.mark.parametrize("variable", ["NO_COLOR", "ANSIBLE_NOCOLOR"])
def test_terminal_without_colour(project: Project, variable: str) -> None:
    code, screen, raw = project.terminal(PLAN + apply_play(SLOW, READY), env={variable: "1"})
    assert code == 0
    assert screen.status_lines
    assert not re.search(r"\x1b\[[0-9;]*m", raw)


def test_dumb_terminal_gets_plain_lines(project: Project) -> None:
    env = {"TERM": "dumb", "NO_COLOR": "1", "DOCKFRA_HEARTBEAT": "1"}
    code, screen, raw = project.terminal(PLAN + apply_play(SLOW, READY), env=env)
    assert code == 0
    assert "\x1b" not in raw
    assert any("waiting for: db" in row for row in screen.rows)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_on_a_terminal(project: Project, number: signal.Signals) -> None:
    sent: list[float] = []
    seen: list[float] = []

    def interrupt(terminal: int, process: subprocess.Popen[bytes], screen: Screen) -> None:
        if any("Wait until" in line for line in screen.status_lines):
            seen.append(time.monotonic())
        # Not in the moment of the fork: Python drops a KeyboardInterrupt that falls into the clean-up behind it.
        if not sent and seen and time.monotonic() - seen[0] > 1.5:
            sent.append(time.monotonic())
            if number == signal.SIGINT:
                os.write(terminal, b"\x03")
            else:
                process.send_signal(number)

    slow = "{name: Wait until healthy, fake: {sleep: 30}}"
    code, screen, _ = project.terminal(PLAN + apply_play(slow, READY), on_output=interrupt)
    assert sent
    assert time.monotonic() - sent[0] < 10
    assert code != 0
    if number == signal.SIGINT:
        assert not [line for line in screen.rows if STATUS.match(line)]
        assert "interrupted" in screen.text.lower()
    else:
        # Killed without a word: the cursor is at the line's start, so a shell's prompt overwrites it.
        assert screen.column == 0


def test_help_of_the_plugin_is_readable(project: Project) -> None:
    doc = subprocess.run(
        [str(ANSIBLE_PLAYBOOK.with_name("ansible-doc")), "-t", "callback", "dockfra_progress"],
        cwd=project.path,
        env=project.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "heartbeat" in doc.stdout


def test_a_wrong_sudo_password_is_said_in_ones_own_words_finding_p13(project: Project) -> None:
    sudo = project.path.parent / "sudo"  # its own path has a blank
    sudo.write_text(
        "#!/bin/bash\n"
        'while [[ $1 != -p ]]; do shift; done; printf "%s" "$2" >&2; read -r\n'
        'echo "Sorry, try again." >&2; printf "%s" "$2" >&2; read -r; exit 1\n'
    )
    sudo.chmod(0o755)
    play = f"""
- hosts: localhost
  gather_facts: false
  become: true
  vars: {{ansible_connection: local, ansible_become_exe: {sudo}, ansible_become_password: wrong}}
  tasks:
    - name: Become root
      ansible.builtin.command: id
"""
    code, out = project.pipe(play, ANSIBLE_BECOME_ALLOW_SAME_USER="1")
    assert code != 0
    assert "FAILED localhost: Become root: sudo does not take the password; run the same command" in out
