"""The documentation says what is so: generated parts are current, and what it tells people to type exists."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.yaml.loader import AnsibleLoader

from ansible_collections.dockfra.core.plugins.module_utils.policy.model import Policy
from ansible_collections.dockfra.core.plugins.module_utils.settings import catalogue
from ansible_collections.dockfra.core.plugins.module_utils.topology.problems import problems
from ansible_collections.dockfra.core.plugins.plugin_utils.cli import grammar

ROOT = Path(__file__).parents[2]
RENDER = ROOT / "tests" / "tools" / "render_docs.py"
COLLECTION = Path("collections/ansible_collections/dockfra/core")
# What people read to use the platform: README first, then the guides.
GUIDES = [
    Path("README.md"),
    Path("SECURITY.md"),
    *sorted(path.relative_to(ROOT) for path in (ROOT / "docs").glob("*.md")),
]
DOCUMENTS = [*GUIDES, Path("CONTRIBUTING.md"), Path("app/README.md"), COLLECTION / "README.md"]

# What readers make themselves while they follow the examples.
MADE_BY_READER = (
    "inventories/production/values.yml",
    "inventories/production/group_vars/all/vault.yml",
    "app/hello",
    "inventories/second",
    "images/web",
)
# Known to templates and playbooks, not variables that people set.
NO_VARIABLES = {
    "backend_b",  # a user
    "dockfra_audit_logs",
    "dockfra_collected_logs",
    "dockfra_far_logs",
    "dockfra_kept_links",
    "dockfra_link_permits",
    "dockfra_servers",
    "dockfra_served_logs",
    "dockfra_engines",
    "dockfra_gate",
    "dockfra_gate_callers",
    "dockfra_gate_json",
    "dockfra_gate_prompts",
    "dockfra_gate_verbs",
    "dockfra_gates",
    "dockfra_listen_hosts",
    "dockfra_listeners",
    "dockfra_pages",
    "dockfra_permitted_tunnels",
    "dockfra_published",
    "dockfra_reach",
    "dockfra_role_logins",
    "dockfra_stacks",
    "dockfra_served_routes",
    "dockfra_tunnels",
    "dockfra_probe_targets",
    "dockfra_service_names",
    "dockfra_service_needs",
    "dockfra_deployables",
    "dockfra_devices",
    "dockfra_own_devices",
    "dockfra_ssh_peers",
    "dockfra_pending_services",
    "dockfra_progress",
}

TOP_LEVEL = sorted(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("."))
PATH = re.compile(
    rf"(?<![\w./-])(?:\./[\w./-]+|(?:{'|'.join(TOP_LEVEL)})/[\w./-]*|(?:init|run-tests)\.sh|site\.yml)"
)
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block; ``file`` is the path that its first line names, if it does."""

    language: str
    text: str

    @property
    def file(self) -> str:
        found = re.match(r"# ([\w./-]+/[\w.-]+)\n", self.text)
        return found[1] if found else ""


def read(document: Path) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: Path, *languages: str) -> list[Block]:
    found = [Block(match["language"], match["text"]) for match in BLOCK.finditer(read(document))]
    return [block for block in found if block.language in languages]


def examples(*languages: str) -> list[Block]:
    """The blocks of README and of all guides."""
    return [block for document in GUIDES for block in blocks(document, *languages)]


def guides() -> str:
    """All that README and the guides say."""
    return "".join(map(read, GUIDES))


def prose(document: Path) -> str:
    return BLOCK.sub("", read(document))


@functools.cache
def tool() -> ModuleType:
    """The script that writes the generated parts, as a module."""
    spec = importlib.util.spec_from_file_location("render_docs", RENDER)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # data classes look their module up
    spec.loader.exec_module(module)
    # Read once: each time is a start of Ansible, and nobody changes what was read.
    module.load_platform = functools.cache(module.load_platform)  # type: ignore[attr-defined]
    return module


@pytest.fixture(scope="module")
def specifications() -> dict[str, dict[str, Any]]:
    """The options of each role, by its name."""
    return {role: options for role, _short, options in tool().specifications()}


@pytest.fixture(scope="module")
def variables(specifications: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {name for options in specifications.values() for name in options}


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_generated_parts_are_current() -> None:
    done = subprocess.run([sys.executable, RENDER, "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_check_finds_what_is_stale(tmp_path: Path) -> None:
    module = tool()
    file = tmp_path / "a.md"
    file.write_text("old", encoding="utf-8")
    assert module.stale({file: "new", tmp_path / "b.md": "new"}) == [file, tmp_path / "b.md"]
    assert module.stale({file: "old"}) == []


def test_a_lost_section_is_refused() -> None:
    module = tool()
    platform = module.load_platform()
    with pytest.raises(module.DocsError, match="generated sections"):
        module.fill_sections(module.DOCS / "roles.md", "# Nothing generated\n", platform)


def test_picture_shows_every_service_and_network() -> None:
    module = tool()
    platform = module.load_platform()
    picture = module.Drawing(platform).text()
    for name in (*platform.topology.services, *platform.topology.networks):
        assert f">{name}</text>" in picture
    assert "http://" not in picture.replace("http://www.w3.org/2000/svg", "")


def named_paths(document: Path) -> Iterator[str]:
    sources = [block.text for block in blocks(document, "sh")]
    sources += re.findall(r"`([^`\n]+)`", prose(document))
    made = {block.file for block in blocks(document, "yaml", "dockerfile", "python")}
    for text in sources:
        if any(character in text for character in "*<…{"):
            continue
        for match in PATH.finditer(text):
            path = match[0].rstrip(".")
            if path not in made and not path.removeprefix("./").startswith(MADE_BY_READER):
                yield path


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_paths_exist(document: Path) -> None:
    # The collection's page names the repository's files; those of roles and libraries are its own.
    places = [ROOT, ROOT / document.parent]
    missing = {path for path in named_paths(document) if not any((place / path).exists() for place in places)}
    # In the collection these are files of any role.
    missing -= {path for path in missing if path.startswith(("templates/", "tasks/"))}
    assert not missing


def test_paths_are_looked_for() -> None:
    assert {"./init.sh", "playbooks/verify.yml", "inventories/local"} <= set(named_paths(Path("README.md")))


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _hash, anchor = target.partition("#")
        page = document.parent / path if path else document
        assert (ROOT / page).exists(), target
        if anchor:
            assert anchor in anchors(read(page)), target


def test_pictures_are_small_and_shown_somewhere() -> None:
    pictures = sorted((ROOT / "docs" / "pictures").iterdir())
    shown = "".join(read(document) for document in DOCUMENTS)
    assert len(pictures) >= 3
    for picture in pictures:
        assert picture.suffix == ".webp"
        assert picture.stat().st_size < 100_000, picture
        assert f"pictures/{picture.name})" in shown, picture


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_variables_exist(document: Path, variables: set[str]) -> None:
    words = set(
        re.findall(
            r"(?<![\w.-])(?:dockfra|traefik|vnc_rpi3|frontend|backend|db|redis)_[a-z_]+\b", read(document)
        )
    )
    assert not words - variables - NO_VARIABLES


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_secrets_exist(document: Path) -> None:
    roles = ROOT / "roles"
    paths = (*roles.rglob("templates/**/*.j2"), *roles.glob("*/meta/argument_specs.yml"))
    written = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    for name in re.findall(r"\.dockfra/local/secrets/([\w/]+)", read(document)):
        group = name.partition("/")[0]
        by_itself = f"'{name}'" in written or f": {name}}}" in written
        assert by_itself or f"'{group}/' ~" in written, name


def test_ssh_names_are_services() -> None:
    services = tool().load_platform().topology.services
    names = {name for name in services if services[name].ssh_ports}
    names |= {name.removeprefix("ssh-") for name in names}
    logins = re.findall(r"ssh -F \.dockfra/local/ssh_config ([\w-]+)", guides())
    assert logins
    assert set(logins) <= names


def test_targets_exist() -> None:
    script = (ROOT / "run-tests.sh").read_text(encoding="utf-8")
    named = re.findall(r"run-tests\.sh ([a-z0-9]+)", "".join(map(read, DOCUMENTS)))
    assert named
    for target in named:
        assert f"target_{target}()" in script, target


def test_heading_that_failed_runs_point_to() -> None:
    callback = (ROOT / "plugins" / "callback" / "dockfra_progress.py").read_text(encoding="utf-8")
    found = re.search(r'(docs/[\w.]+), "([^"]+)"', callback)
    assert found
    assert f"\n## {found[2]}\n" in read(Path(found[1]))


def test_examples_make_a_sound_platform(tmp_path: Path, specifications: Mapping[str, dict[str, Any]]) -> None:
    """All inventory files of the guides at once, beside the local inventory."""
    inventory = tmp_path / "local"
    shutil.copytree(ROOT / "inventories" / "local", inventory)
    files = [block for block in examples("yaml") if block.file.startswith("inventories/local/")]
    assert len(files) >= 5
    for block in files:
        path = inventory / block.file.removeprefix("inventories/local/")
        path.parent.mkdir(exist_ok=True)
        # Keys are shortened for the reader.
        path.write_text(block.text.replace("AAAAI…", "AAAAI" + "A" * 43), encoding="utf-8")
    topology = tool().load_platform(str(inventory)).topology
    assert problems(topology) == []
    assert topology.services["db"].port("postgres").publish == 15432
    assert topology.services["hello"].networks == ("proxy-net",)
    assert topology.services["rpi3"].external_address
    options = specifications["dockfra.core.service"]
    for name in ("db", "hello", "backend", "frontend", "ssh-manager", "rpi3"):
        given = {key: value for key, value in topology.services[name].variables.items() if key in options}
        outcome = ArgumentSpecValidator(options).validate(given, validate_role_argument_spec=True)
        assert outcome.error_messages == [], name


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_yaml_is_valid(document: Path) -> None:
    for block in blocks(document, "yaml"):
        assert yaml.load(block.text, AnsibleLoader) is not None


def test_finding_u10_examples_say_what_else_they_need() -> None:
    """Where an example reaches beyond this machine, its chapter says by which address, past what, under which name."""
    chapters = {}
    for document in GUIDES:
        title = ""
        for part in re.split(r"^## (.+)$", read(document), flags=re.MULTILINE):
            if "\n" in part:
                chapters[title] = part
            title = part
    person = chapters["Let a person in with their own SSH key"]
    assert "dockfra_publish_address: " in person
    assert "known_hosts" in person
    for title in ("Let a person in with their own SSH key", "Open a port to other machines"):
        assert "firewall" in chapters[title], title
    opened = chapters["Open a port to other machines"]
    for word in ("dockfra_publish_address", "dockfra_hostnames", "DNS", "ca.crt", "every container"):
        assert word in opened, word
    # Examples with a machine that is not this one, and what its chapter speaks of.
    for title, words in (
        ("Change a port", ["from this machine only"]),
        ("Put in your own application", ["docker login", "`curl`"]),
        ("Connect a real Raspberry Pi", ["firewall", "port 22"]),
        ("GitHub issues", ["api.github.com"]),
    ):
        for word in words:
            assert word in chapters[title], (title, word)


# -- roles and commands ------------------------------------------------------------------------------------------------

# Programs that are no commands of a role, as the guides use them in a role's shell.
PROGRAMS = {"ansible-playbook", "cd"}


def typed_in(service: str) -> list[str]:
    """The lines that README and the guides type in a container's shell."""
    head = f"# in {service}\n"
    found = [block.text.removeprefix(head) for block in examples("sh") if head in block.text]
    return [line for text in found for line in text.splitlines()]


@pytest.mark.parametrize("role", ["manager", "developer"])
def test_commands_of_roles_can_be_typed(role: str) -> None:
    """Each line is one the role's own commands understand, with its options and arguments."""
    policy = tool().load_platform().topology.policy
    lines = typed_in(f"ssh-{role}")
    assert len(lines) >= 4
    for line in lines:
        name, *words = grammar.split(line)
        if name not in PROGRAMS:
            assert name in grammar.own(policy, role), line
            grammar.find(name, policy.place(role, name), role).parse(words)


def test_playbooks_get_variables_they_have() -> None:
    for line in re.findall(r"^ansible-playbook (playbooks/(?:tickets|configure).*)$", guides(), re.MULTILINE):
        playbook, *words = shlex.split(line)
        text = read(Path(playbook))
        # What comes in a file is raw; its names are not in the line.
        for given in (
            word for option, word in itertools.pairwise(words) if option == "-e" and word[0] != "@"
        ):
            for name in json.loads(given) if given.startswith("{") else [given.partition("=")[0]]:
                assert re.search(rf"\b{name}\b", text), line


def test_tables_are_complete() -> None:
    """The tables name each row of the matrix, each command of a role, each setting."""
    text = guides()
    topology = tool().load_platform().topology
    for row in topology.policy.capabilities.values():
        assert f"\n| {row.title} |" in text
    for role in topology.roles():
        for name in grammar.own(topology.policy, role):
            assert f"\n| {role} | `{name}` |" in text
    for name in catalogue.TABLE:
        assert f"\n| `{name}` |" in read(Path("docs/settings.md"))


def test_the_example_of_a_command_works(tmp_path: Path) -> None:
    """The guide's file and line of the policy, as they stand there, make a command."""
    [example] = examples("python")
    [line] = [block.text for block in examples("yaml") if block.text.startswith("disk-space:")]
    shutil.copytree(
        ROOT / COLLECTION / "plugins",
        tmp_path / COLLECTION / "plugins",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (tmp_path / example.file).write_text(example.text, encoding="utf-8")
    topology = tool().load_platform().topology
    policy = topology.policy.to_dict()
    policy["commands"] |= yaml.safe_load(line)
    assert list(Policy.from_dict(policy).problems(topology.places(), topology.roles())) == []
    file = tmp_path / "policy.json"
    place = {"place": "monitor", "service": "ssh-monitor", "services": topology.places(), **policy}
    file.write_text(json.dumps(place), encoding="utf-8")
    program = (
        "import pathlib, sys; from ansible_collections.dockfra.core.plugins.plugin_utils.cli.command import main;"
        f"sys.exit(main(['disk-space', *sys.argv[1:]], pathlib.Path({str(file)!r})))"
    )

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, *words]
        path = str(tmp_path / "collections")
        return subprocess.run(command, env={"PYTHONPATH": path}, capture_output=True, text=True)

    assert re.fullmatch(r"\d+ of \d+ MiB are free\n", run("--path", "/").stdout)
    assert set(json.loads(run("--path=/", "--json").stdout)) == {"free", "total"}
    assert "Show how much room" in run("--help").stdout
    assert run("--nothing").returncode == 2
