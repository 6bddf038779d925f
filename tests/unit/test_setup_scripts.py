"""init.sh and run-tests.sh as a newcomer meets them, with an interpreter that only pretends to install."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Acts like Python as far as the scripts use it. What an environment holds is this file again.
FAKE_PYTHON = """\
#!/usr/bin/env bash
all=$*
printf '%s\\n' "$all" >>"$FAKE/calls"
case $all in
  --version) echo "Python $(cat "$FAKE/version").7" ;;
  *"print(\\"%d.%d\\""*) cat "$FAKE/version" ;;
  *'print("python%d.%d-venv"'*) echo "python$(cat "$FAKE/version")-venv" ;;
  *"sys.exit(sys.version_info"*)
    wanted=${all##*(3, }
    [[ $(cut -d. -f2 "$FAKE/version") -ge ${wanted%%[!0-9]*} ]] ;;
  *"import ensurepip"*) [[ ! -e $FAKE/no-ensurepip ]] ;;
  *"-m venv"*)
    dir=${!#}
    mkdir -p "$dir/bin" "$dir/lib/python$(cat "$FAKE/version")/site-packages"
    cp "$0" "$dir/bin/python"
    printf '#!/usr/bin/env bash\\n[[ $* != --help ]] || { echo "[--check] [--become-password-file FILE] [--vault-id IDS] [--vault-password-file FILE]" && exit; }\\nprintf "playbook: %%s\\\\n" "$PWD" "$@"\\nexit "${FAKE_EXIT:-0}"\\n' \\
      >"$dir/bin/ansible-playbook"
    chmod +x "$dir/bin/ansible-playbook" ;;
  *"config get"*) exit 1 ;;
  *"pip install"*)
    [[ ! -e $FAKE/no-network ]] || { echo "ERROR: no route to the index"; exit 1; }
    for ((i = 0; i < ${FAKE_SECONDS:-0} * 10; i++)); do sleep 0.1; done ;;
  scripts/fill_in.py*) exit "$(cat "$FAKE/left")" ;;
  *) echo "unexpected: $*" >&2; exit 99 ;;
esac
"""


class Clone:
    """A copy of the repository's scripts, with a world of its own around them."""

    def __init__(self, path: Path) -> None:
        self.root = path / "a clone, with spaces"
        self.fake = path / "fake"
        self.root.mkdir(parents=True)
        (self.fake / "bin").mkdir(parents=True)
        shutil.copy(ROOT / "init.sh", self.root)
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        for name in ("local", "production"):
            (self.root / "inventories" / name).mkdir(parents=True)
        (self.root / "inventories/local/hosts.yml").write_text("---\nansible_connection: local\n")
        (self.root / "requirements.lock").write_text("# nothing\n")
        self.version("3.12")
        self.program("python3", FAKE_PYTHON)
        self.env = {
            "PATH": f"{self.fake / 'bin'}:/usr/bin:/bin",
            "HOME": str(path),
            "FAKE": str(self.fake),
            "DOCKER_HOST": f"unix://{path}/no-docker.sock",
        }

    def program(self, name: str, text: str) -> None:
        file = self.fake / "bin" / name
        file.write_text(text)
        file.chmod(0o755)

    def version(self, text: str) -> None:
        (self.fake / "version").write_text(text + "\n")

    @property
    def calls(self) -> str:
        file = self.fake / "calls"
        return file.read_text() if file.exists() else ""

    def start(self, *args: str, prefix: tuple[str, ...] = (), **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*prefix, str(self.root / "init.sh"), *args],
            cwd=self.root.parent,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *args: str, prefix: tuple[str, ...] = (), **env: str) -> tuple[int, str]:
        process = self.start(*args, prefix=prefix, **env)
        output, _ = process.communicate(timeout=30)
        return process.returncode, output


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def test_first_run_prepares_and_starts_the_playbook(clone: Clone) -> None:
    code, output = clone.run("local", "--check", "-e", "a=b c")
    assert code == 0
    assert re.search(r"^Making \.venv with Python 3\.12\.7: \d+\.\ds$", output, re.MULTILINE)
    assert re.search(r"^Installing requirements\.lock: \d+\.\ds$", output, re.MULTILINE)
    given = [str(clone.root), "site.yml", "-i", "inventories/local", "--check", "-e", "a=b c"]
    assert re.findall(r"^playbook: (.*)$", output, re.MULTILINE) == given
    assert "--no-deps --require-hashes" in clone.calls


def test_a_skeleton_is_filled_in_before_the_playbook(clone: Clone) -> None:
    folder = clone.root / "inventories/production"
    (folder / "hosts.yml").write_text("dockfra_domain: FILL_IN\n")
    (clone.fake / "left").write_text("1")
    code, output = clone.run("production", "--set", "dockfra_domain=a b", "--set=ansible_user=root", "-v")
    assert code == 1
    assert "playbook: " not in output
    [call] = [line for line in clone.calls.splitlines() if line.startswith("scripts/fill_in.py")]
    assert (
        call == "scripts/fill_in.py inventories/production --set=dockfra_domain=a b --set=ansible_user=root"
    )
    (clone.fake / "left").write_text("0")
    code, output = clone.run("production", "-v")
    assert code == 0
    assert re.findall(r"^playbook: (.*)$", output, re.MULTILINE)[1:] == [
        "site.yml",
        "-i",
        "inventories/production",
        "-v",
    ]
    assert clone.run("local")[0] == 0
    assert clone.calls.count("scripts/fill_in.py") == 2
    assert clone.run("production", "--set") == (
        2,
        "init.sh: error: --set takes a name and a value, like --set dockfra_domain=platform.example.org\n",
    )


def test_without_a_terminal_secrets_need_a_password_from_elsewhere(clone: Clone) -> None:
    variables = clone.root / "inventories/production/group_vars/all"
    variables.mkdir(parents=True)
    (variables / "main.yml").write_text(
        'dockfra_vault_file: "{{ inventory_dir }}/group_vars/all/vault.yml"\n'
    )
    code, output = clone.run("production")
    assert code == 1
    assert "inventories/production/group_vars/all/vault.yml, which needs a password" in output
    assert "add --vault-id production@FILE" in output
    for words in (["--vault-id", "production@file"], ["--vault-password-file=file"]):
        code, output = clone.run("production", *words)
        assert (code, [word for word in words if f"playbook: {word}" not in output]) == (0, [])
    assert clone.run("production", ANSIBLE_VAULT_PASSWORD_FILE="file")[0] == 0


def test_second_run_installs_nothing_and_is_fast(clone: Clone) -> None:
    clone.run("local")
    (clone.fake / "calls").unlink()
    begin = time.monotonic()
    code, output = clone.run("local")
    elapsed = time.monotonic() - begin
    assert code == 0
    assert "Installing" not in output
    assert "pip" not in clone.calls
    assert elapsed < 0.5  # 0.03 s where nothing else runs


def test_exit_status_is_the_playbooks(clone: Clone) -> None:
    assert clone.run("local", FAKE_EXIT="4")[0] == 4


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "which inventory?"),
        (("staging",), "unknown inventory 'staging'"),
        (("../inventories/local",), "unknown inventory"),
        ((".",), "unknown inventory"),
        (("--check", "local"), "the inventory comes first"),
    ],
)
def test_wrong_usage(clone: Clone, args: tuple[str, ...], message: str) -> None:
    code, output = clone.run(*args)
    assert code == 2
    assert message in output
    assert "inventories here: local production" in output
    assert len(output.splitlines()) == 1
    assert not (clone.root / ".venv").exists()


def test_a_misspelt_option_is_named_finding_p13(clone: Clone) -> None:
    clone.run("local")
    code, output = clone.run("local", "--chek")
    assert code == 2
    assert output.startswith("init.sh: error: unknown option '--chek'; ./init.sh --help")
    assert len(output.splitlines()) == 1
    assert clone.run("local", "--che", "-e", "a=--b")[0] == 0  # as Ansible takes it


def test_plain_ssh_on_request_finding_u9(clone: Clone) -> None:
    code, output = clone.run("local", "--ssh-config", "--check")
    assert code == 0
    given = [
        str(clone.root),
        "site.yml",
        "-i",
        "inventories/local",
        "-e",
        "dockfra_ssh_config=true",
        "--check",
    ]
    assert re.findall(r"^playbook: (.*)$", output, re.MULTILINE) == given


def test_the_doctor_instead_of_the_site(clone: Clone) -> None:
    code, output = clone.run("production", "--doctor", "-e", "doctor_file=/tmp/x", FAKE_EXIT="2")
    assert code == 2
    given = [
        str(clone.root),
        "playbooks/doctor.yml",
        "-i",
        "inventories/production",
        "-e",
        "doctor_file=/tmp/x",
    ]
    assert re.findall(r"^playbook: (.*)$", output, re.MULTILINE) == given


@pytest.mark.parametrize("variable", ["LC_ALL", "LANG", "LC_MESSAGES"])
def test_no_program_meets_a_locale_that_does_not_exist_finding_g6(clone: Clone, variable: str) -> None:
    clone.program("sha256sum", '#!/bin/sh\necho "$LC_ALL" >>"$FAKE/locales"\nexec /usr/bin/sha256sum "$@"\n')
    clone.env[variable] = "xx_XX.UTF-8"
    code, output = clone.run("local")
    assert code == 0
    assert set((clone.fake / "locales").read_text().split()) == {"C.UTF-8"}
    # Bash itself looks at it before its first line.
    assert [line for line in output.splitlines() if "xx_XX" in line and "bash: warning" not in line] == []


def test_help(clone: Clone) -> None:
    code, output = clone.run("--help")
    assert code == 0
    assert output.startswith("usage: ./init.sh <inventory>")
    assert "local production" in output


@pytest.mark.parametrize(
    "change",
    ["lock", "python", "moved"],
)
def test_environment_is_made_anew_after_a_change(clone: Clone, change: str) -> None:
    clone.run("local")
    (clone.root / ".venv/left-over").touch()
    if change == "lock":
        (clone.root / "requirements.lock").write_text("# something else\n")
    elif change == "python":
        clone.version("3.13")
    else:
        clone.root = clone.root.rename(clone.root.with_name("moved"))
    code, output = clone.run("local")
    assert code == 0
    assert "Making .venv" in output
    assert not (clone.root / ".venv/left-over").exists()


def test_interrupted_environment_is_made_anew(clone: Clone) -> None:
    process = clone.start("local", FAKE_SECONDS="20")
    wait_for(lambda: "pip install" in clone.calls)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "run the same command again" in output
    assert not (clone.root / ".venv/.complete").exists()
    code, output = clone.run("local")
    assert code == 0
    assert "Making .venv" in output


def test_killed_while_installing(clone: Clone) -> None:
    process = clone.start("local", FAKE_SECONDS="20")
    wait_for(lambda: "pip install" in clone.calls)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=10)
    code, output = clone.run("local")
    assert code == 0
    assert "Making .venv" in output


def test_two_at_once(clone: Clone) -> None:
    first = clone.start("local", FAKE_SECONDS="2")
    wait_for(lambda: "pip install" in clone.calls)
    code, output = clone.run("local")
    assert first.wait(timeout=10) == 0
    assert code == 0
    assert "waiting for another run" in output
    assert "Making" not in output
    assert clone.calls.count("pip install") == 1
    assert first.stdout
    first.stdout.close()


def test_failed_installation_shows_the_log(clone: Clone) -> None:
    (clone.fake / "no-network").touch()
    code, output = clone.run("local")
    assert code == 1
    assert "  ERROR: no route to the index" in output
    assert f"full log: {clone.root}/.venv.log" in output
    assert "playbook" not in output
    (clone.fake / "no-network").unlink()
    assert clone.run("local")[0] == 0


def test_progress_on_a_terminal(clone: Clone) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(clone.root / "init.sh"), "local"],
        env=clone.env | {"FAKE_SECONDS": "2"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            seen += os.read(ours, 4096)
        except OSError:
            break
    os.close(ours)
    assert process.wait(timeout=10) == 0
    assert "Installing requirements.lock … 1s".encode() in seen


def test_python_too_old(clone: Clone) -> None:
    clone.version("3.10")
    clone.env["PATH"] = f"{clone.fake / 'bin'}:{bare_path(clone)}"
    code, output = clone.run("local")
    assert code == 1
    assert "Python 3.11 or newer is needed, found Python 3.10.7" in output
    assert len(output.splitlines()) == 1


def test_newer_python_beside_an_old_one_finding_t6(clone: Clone) -> None:
    clone.env["PATH"] = f"{clone.fake / 'bin'}:{bare_path(clone)}"  # the machine's own may be any
    clone.program("python3", "#!/bin/sh\nexit 1\n")
    clone.program(
        "python3.14", "#!/bin/sh\nexit 127\n"
    )  # such as a version manager's, without a version behind it
    clone.program("python3.12", FAKE_PYTHON)
    code, output = clone.run("local")
    assert code == 0
    assert "Making .venv with Python 3.12.7" in output


def test_missing_ensurepip_is_installed(clone: Clone) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    (clone.fake / "no-ensurepip").touch()
    clone.program(
        "apt-get",
        '#!/bin/sh\necho "apt-get $*" >>"$FAKE/apt"\ncase "$*" in *install*) rm "$FAKE/no-ensurepip";; esac\n',
    )
    code, output = clone.run("local")
    assert code == 0, output
    assert "install -y --no-install-recommends python3.12-venv" in (clone.fake / "apt").read_text()


def as_nobody(clone: Clone) -> tuple[str, ...]:
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    for path in (clone.root.parent, clone.root, clone.fake, *clone.fake.iterdir()):
        os.chown(path, 65534, 65534)
    # pytest keeps its directories to itself.
    for parent in clone.root.parents:
        if parent.stat().st_uid == 0 and parent != Path("/") and str(parent).startswith("/tmp/"):
            parent.chmod(0o711)
    return (shutil.which("setpriv") or "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")


def test_missing_ensurepip_without_root(clone: Clone) -> None:
    prefix = as_nobody(clone)
    (clone.fake / "no-ensurepip").touch()
    clone.program("sudo", "#!/bin/sh\nexit 1\n")
    code, output = clone.run("local", "--become-password-file", "x", prefix=prefix)
    assert code == 1
    assert "run: sudo apt-get install python3.12-venv" in output
    assert len(output.splitlines()) == 1


def test_neither_root_nor_sudo(clone: Clone) -> None:
    prefix = as_nobody(clone)
    clone.env["PATH"] = f"{clone.fake / 'bin'}:{bare_path(clone)}"
    code, output = clone.run("local", prefix=prefix)
    assert code == 1
    assert "is not root and there is no sudo" in output
    assert len(output.splitlines()) == 1
    assert not (clone.root / ".venv").exists()
    # Elsewhere's Docker is none of this machine's business.
    assert clone.run("production", prefix=prefix)[0] == 0


def test_sudo_with_a_password_needs_a_terminal_or_a_file(clone: Clone) -> None:
    prefix = as_nobody(clone)
    clone.program("sudo", "#!/bin/sh\nexit 1\n")
    code, output = clone.run("local", prefix=prefix)
    assert code == 1
    assert "sudo asks for a password and there is no terminal" in output
    code, output = clone.run("local", "--become-password-file", "x", prefix=prefix)
    assert code == 0, output


def bare_path(clone: Clone) -> Path:
    """A PATH with what the scripts call, and without sudo or any other Python."""
    path = clone.fake / "tools"
    path.mkdir(exist_ok=True)
    path.chmod(0o755)
    tools = "bash basename cat chmod cp cut dirname env flock grep id locale mkdir readlink rm sed sh sha256sum sleep sort tail"
    for tool in tools.split():
        if (found := shutil.which(tool)) and not (path / tool).exists():
            (path / tool).symlink_to(found)
    return path


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ID=debian\nVERSION_ID=12\n", 0),
        ("ID=ubuntu\nID_LIKE=debian\n", 0),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', 0),
        ('ID=fedora\nPRETTY_NAME="Fedora Linux 44"\n', 1),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', 1),
    ],
)
def test_operating_system(tmp_path: Path, text: str, code: int) -> None:
    file = tmp_path / "os-release"
    file.write_text(text)
    script = 'PROGRAM=init.sh ROOT=/ && source "$1" && require_supported_os "$2"'
    done = subprocess.run(
        ["bash", "-c", script, "-", str(ROOT / "scripts/lib.sh"), str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert done.stdout == ""
    if code:
        assert re.fullmatch(
            r"init\.sh: error: unsupported operating system: .*; Debian or Ubuntu is needed\n", done.stderr
        )
        assert "Fedora Linux 44" in done.stderr or "opensuse-leap" in done.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("lnit",), "unknown target 'lnit'"),
        (("-x",), "unknown target '-x'"),
        (("llm",), "it needs a key in OPENROUTER_API_KEY"),
    ],
)
def test_run_tests_wrong_usage(args: tuple[str, ...], message: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OPENROUTER_API_KEY"}
    done = subprocess.run(
        [str(ROOT / "run-tests.sh"), *args],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


class Suite(Clone):
    """A copy with a suite of three parts: the project's tests, the collection's, and those of one application."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        shutil.copy(ROOT / "run-tests.sh", self.root)
        (self.root / "tests/tools").mkdir(parents=True)
        shutil.copy(ROOT / "tests/tools/report.py", self.root / "tests/tools")
        collection = "collections/ansible_collections/dockfra/core"
        (self.root / collection / "plugins").mkdir(parents=True)
        self.test("tests/unit/test_readme.py", "test_readme_is_there")
        self.test(f"{collection}/tests/unit/test_store.py", "test_store_keeps")
        self.test("app/shop/tests/test_shop.py", "test_shop_sells")
        (self.root / "app/shop/requirements-test.txt").write_text("# nothing\n")
        (self.root / "requirements-dev.lock").write_text("# nothing\n")
        # Nothing is to be installed, and no other Python is looked for.
        self.version("3.13")
        for name in ("redis-server", "nginx", "initdb"):
            self.program(name, "#!/bin/sh\nexit 99\n")
        self.program("eatmydata", '#!/bin/sh\nexec "$@"\n')
        # Only what prepares the environments pretends; the tests are run.
        real = '  *"-m pytest "* | *tests/tools/report.py*) exec "$REAL" "$@" ;;\n'
        self.program("python3", FAKE_PYTHON.replace("case $all in\n", f"case $all in\n{real}"))
        self.env |= {"REAL": sys.executable, "DOCKFRA_TEST_PROCESSES": "1"}
        # Each start of pytest takes long enough without plugins that nothing here needs.
        needed = "-p xdist.plugin -p xdist.looponfail -p pytest_cov.plugin"
        self.env |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": needed}

    def test(self, path: str, name: str, body: str = "pass") -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"def {name}():\n    {body}\n")

    def run_tests(self, *words: str) -> tuple[int, str]:
        """Exit status and output of ./run-tests.sh."""
        done = subprocess.run(
            [str(self.root / "run-tests.sh"), *words],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        return done.returncode, done.stdout


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


def told(output: str) -> list[str]:
    """What the table at the end says of the target, and of all."""
    return re.findall(r"^(?:unit|total) +(\w+) ", output, re.MULTILINE)


@pytest.mark.parametrize("word", ["readme", "shop"])
def test_finding_g7_a_selection_that_finds_nothing_in_a_part_is_no_failure(suite: Suite, word: str) -> None:
    code, output = suite.run_tests("unit", "--", "-k", word)
    assert (code, told(output)) == (0, ["ok", "ok"]), output
    assert "1 tests ran" in output


def test_finding_g7_a_selection_that_finds_nothing_at_all_is_one(suite: Suite) -> None:
    code, output = suite.run_tests("unit", "--", "-k", "nowhere")
    assert (code, told(output)) == (1, ["ok", "FAILED"]), output
    assert "run-tests.sh: no test ran" in output


def test_finding_g7_a_selected_test_that_fails_is_one(suite: Suite) -> None:
    suite.test("app/shop/tests/test_shop.py", "test_readme_of_the_shop", "assert False")
    code, output = suite.run_tests("unit", "--", "-k", "readme")
    assert (code, told(output)) == (1, ["FAILED", "FAILED"]), output


def test_finding_g7_without_a_selection_a_part_without_tests_is_one(suite: Suite) -> None:
    (suite.root / "app/shop/tests/test_shop.py").unlink()
    code, output = suite.run_tests("unit")
    assert (code, told(output)) == (1, ["FAILED", "FAILED"]), output
    assert "unit-shop: no test ran" in output


def wait_for(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
