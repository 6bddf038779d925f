"""The role matrix, cell by cell, over real SSH: what is allowed by its effect, what is denied by exit 77 and by raw means.

The cells come from the policy (inventories/policy.yml). A capability none of whose commands exists yet is pending where it is
allowed; where it is denied it is tested already.
"""

from __future__ import annotations

import functools
import json
import os
import shlex
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dockfra.core.plugins.plugin_utils.cli import grammar
from ansible_collections.dockfra.core.plugins.plugin_utils.cli.command import PATH
from tests.e2e.support.deploys import SECONDS, Team
from tests.e2e.support.openrouter import fake_openrouter
from tests.e2e.support.platform import Platform
from tests.e2e.support.roles import SERVICE, TOPOLOGY, Answer, as_role, data, typed
from tests.fakes.openrouter import Turn

POLICY = TOPOLOGY.policy
ROLES = TOPOLOGY.roles()
CELLS = [(capability, role) for capability in POLICY.capabilities for role in ROLES]
ALLOWED = [(name, role) for name, role in CELLS if role in POLICY.capabilities[name].roles]
DENIED = [(name, role) for name, role in CELLS if role not in POLICY.capabilities[name].roles]
INTRUDER = (Path(__file__).parent / "support" / "intruder.py").read_text()

# What asks an engine, one for each Docker host.
DOCKER = [service.name for service in TOPOLOGY.containers() if service.docker_sockets]
BASTIONS = ("ssh-frontend", "ssh-backend", "ssh-rpi3")
DENIED_EXIT = 77

# What belongs to each role alone, put where that role keeps its settings; nobody else may ever see it.
CANARY = "sk-or-v1-canary-of-the-{role}-4f1d"

# What the denied would type for a capability that has no command of its own.
WITHOUT_COMMAND = {"ssh-to-bastions": ["ssh-to frontend"]}


def lines_of(capability: str) -> list[str]:
    """What somebody types who wants to use a capability."""
    commands = [rule.command for rule in POLICY.rules.values() if rule.capability == capability]
    return commands or WITHOUT_COMMAND[capability]


def exists(command: str) -> bool:
    rule = POLICY.rules[command]
    return any(
        (Path(grammar.COMMANDS) / folder.replace("-", "_") / f"{command.replace('-', '_')}.py").is_file()
        for folder in (*rule.places, *rule.callers, "common", "bastion")
    )


# -- the matrix itself --


def test_the_matrix_is_the_one_of_the_description() -> None:
    rows = {row.title: "".join("x" if role in row.roles else "-" for role in ("manager", "autopilot", "developer", "monitor"))
            for row in POLICY.capabilities.values()}  # fmt: skip
    assert rows == {
        "Create/manage tickets": "xx--",
        "Push tickets to GitHub": "x---",
        "Pull tickets from GitHub": "x---",
        "Configure LLM on services": "x---",
        "Update .env via SSH": "x---",
        "SSH to all role services": "xx--",
        "Work on assigned tickets": "--x-",
        "Edit code / git push": "--x-",
        "Run local tests": "--x-",
        "LLM code assistance": "--x-",
        "Deploy to production": "---x",
        "SSH to infrastructure bastions": "---x",
        "Health monitoring daemon": "---x",
        "LLM log analysis": "---x",
        "Autonomous LLM orchestration": "-x--",
        "Docker socket access": "---x",
    }
    assert len(CELLS) == 64


# -- allowed: by effect --


def new_ticket(platform: Platform, assignee: str = "developer") -> str:
    done = as_role(platform, "manager", f"ticket-create 'From the matrix' --assign {assignee} --json")
    return str(data(done)["id"])


def manages_tickets(platform: Platform, role: str) -> None:
    line = "ticket-create 'Made by a role' --priority high --json"
    if role == "manager":
        made = data(as_role(platform, role, line))
    else:
        made = data(as_role(platform, role, f"ssh ssh-manager {shlex.quote(line)}"))
    assert made["created_by"] == role
    assert data(as_role(platform, "developer", f"ticket-show {made['id']} --json"))["priority"] == "high"


def configures(platform: Platform, role: str) -> None:
    for service, setting, value in (
        ("developer", "LLM_MODEL", "openai/gpt-4o"),
        ("monitor", "MONITOR_POLL_INTERVAL", "45"),
    ):
        done = as_role(platform, role, f"config-{service} {setting}={value}")
        assert done.returncode == 0, done.stderr
        stored = platform.run(SERVICE[service], "cat", f"/home/{service}/.env").stdout
        assert f"{setting}={value}" in stored.replace("'", "").replace('"', "")


def reaches_all_roles(platform: Platform, role: str) -> None:
    for other in ROLES:
        if other != role and role in POLICY.rules["id"].places.get(other, ()):
            user = TOPOLOGY.services[SERVICE[other]].user
            done = as_role(platform, role, f"ssh {user}@{SERVICE[other]} -p 2222 id")
            assert done.stdout.startswith(f"uid={TOPOLOGY.services[SERVICE[other]].uid}({user}) "), (
                done.stderr
            )
            assert f"caller={role}" in done.stdout
        elif other != role:
            # The manager's commands are the autopilot's way to it.
            done = as_role(platform, role, f"ssh {SERVICE[other]} ticket-list")
            assert done.returncode == 0, done.stderr


def works_on_tickets(platform: Platform, role: str) -> None:
    ticket = new_ticket(platform)
    assert ticket in as_role(platform, role, "my-tickets").stdout
    assert as_role(platform, role, f"ticket-work {ticket}").returncode == 0
    done = as_role(platform, role, f"ticket-done {ticket} --comment 'It works; $(id) `id`'")
    assert done.returncode == 0, done.stderr
    shown = data(as_role(platform, "manager", f"ticket-show {ticket} --json"))
    assert shown["status"] == "closed"
    assert [(c["author"], c["text"]) for c in shown["comments"]] == [("developer", "It works; $(id) `id`")]


def pushes_code(platform: Platform, role: str) -> None:
    name = f"matrix-{os.getpid()}"
    script = f"cd ~/app && git switch -q -c {name} && date > {name} && commit-push 'From the matrix' && git switch -q main"
    done = as_role(platform, role, script)
    assert done.returncode == 0, done.stderr
    seen = platform.run("git", "git", "--git-dir", "/srv/git/app.git", "show", f"{name}:{name}")
    assert seen.returncode == 0, seen.stderr


def runs_tests(platform: Platform, role: str) -> None:
    done = as_role(platform, role, "test-local frontend --json")
    assert done.returncode == 0, done.stdout + done.stderr


def goes_through_bastions(platform: Platform, role: str) -> None:
    for bastion in BASTIONS:
        done = as_role(platform, role, f"ssh {bastion} id -un")
        assert (done.returncode, done.stdout) == (0, "deployer\n"), done.stderr


def watches_health(platform: Platform, role: str) -> None:
    done = as_role(platform, role, "verify --json")
    assert done.returncode == 0, done.stdout + done.stderr
    services = json.loads(done.stdout)["services"]
    assert {service["service"] for service in services} == set(SERVICE.values())


def uses_docker(platform: Platform, role: str) -> None:
    listed = as_role(platform, role, "docker ps --format '{{.Names}}'")
    assert sorted(listed.stdout.split()) == sorted(TOPOLOGY.container_name(name) for name in platform.names)
    container = platform.container("desktop-app")
    before = container.attrs["State"]["StartedAt"]
    done = as_role(platform, role, f"docker restart {container.name}")
    assert done.returncode == 0, done.stderr
    container.reload()
    assert container.attrs["State"]["StartedAt"] != before
    platform.wait_answering("desktop-app")


def deploys(platform: Platform, role: str) -> None:
    team = Team(platform)
    with team.own_code():
        commit = team.push("From the matrix", "echo '<!-- matrix -->' >>frontend/site/index.html")
        done = platform.ssh(SERVICE[role], "deploy-frontend", timeout=SECONDS)
        assert done.returncode == 0, done.stderr
        assert team.serving("frontend").endswith(commit[:12])


def reviews_code(platform: Platform, role: str) -> None:
    finding = {
        "file": "new.py",
        "line": 1,
        "severity": "high",
        "message": "Divides by zero.",
        "suggestion": "",
    }
    script = (
        "d=$(mktemp -d) && git clone -q ~/app $d && cd $d && echo 'print(1 / 0)' >new.py && "
        "review --fail-at high --json; status=$?; rm -rf $d; exit $status"
    )
    with fake_openrouter(platform, [role]) as fake:
        fake.script(Turn(json.dumps({"summary": "", "findings": [finding]})))
        done = as_role(platform, role, script)
        assert done.returncode == 1, done.stderr
        assert json.loads(done.stdout)["findings"] == [finding]
        assert "1 +print(1 / 0)" in fake.asked[0]["messages"][-1]["content"]
    implements_a_ticket(platform, role)


def implements_a_ticket(platform: Platform, role: str) -> None:
    ticket = new_ticket(platform)
    path = f"frontend/notes-{ticket}.md"
    new = {"path": path, "old": "", "new": "# Notes\n", "base": "none"}
    with fake_openrouter(platform, [role]) as fake:
        fake.script(
            Turn(json.dumps({"files": []})),
            Turn(json.dumps({"summary": "Add notes", "edits": [new], "deletions": []})),
        )
        done = platform.ssh(SERVICE[role], f"implement {ticket}", timeout=300)
    assert done.returncode == 0, done.stderr
    name = f"ticket/{ticket}:{path}"
    seen = platform.run("git", "git", "--git-dir", "/srv/git/app.git", "show", name)
    assert seen.stdout == "# Notes\n", seen.stderr


def analyzes_logs(platform: Platform, role: str) -> None:
    finding = {"service": "backend", "line": 1, "what": "It began.", "severity": "info"}
    with fake_openrouter(platform, [role]) as fake:
        fake.script(Turn(json.dumps({"summary": "", "findings": [finding]})))
        [found] = data(as_role(platform, role, "analyze-logs backend --since 30d --json"))["findings"]
        assert len(fake.asked) == 1
    assert found["text"].strip() in platform.container("backend").logs(tail=1000).decode()


def orchestrates(platform: Platform, role: str) -> None:
    done = as_role(platform, role, "pilot-pause --for 1h --reason 'the matrix'")
    assert done.returncode == 0, done.stderr
    assert "the matrix" in data(as_role(platform, role, "pilot-status --json"))["paused"]
    assert as_role(platform, role, "pilot-resume").returncode == 0
    assert data(as_role(platform, role, "pilot-status --json"))["paused"] == ""
    ran = data(as_role(platform, role, "pilot-run --dry-run --json"))
    assert (ran["cycle"] > 0, ran["problems"]) == (True, [])


PROOFS: dict[str, Callable[[Platform, str], None]] = {
    "manage-tickets": manages_tickets,
    "configure-llm": configures,
    "update-env": configures,
    "ssh-to-roles": reaches_all_roles,
    "work-on-tickets": works_on_tickets,
    "push-code": pushes_code,
    "run-tests": runs_tests,
    "ssh-to-bastions": goes_through_bastions,
    "watch-health": watches_health,
    "docker-socket": uses_docker,
    "deploy": deploys,
    "code-assistance": reviews_code,
    "analyze-logs": analyzes_logs,
    "orchestrate": orchestrates,
}
# Proven against the fake GitHub in test_github.py.
ELSEWHERE = {"push-tickets", "pull-tickets"}


@pytest.mark.parametrize(("capability", "role"), [cell for cell in ALLOWED if cell[0] not in ELSEWHERE])
def test_allowed(platform: Platform, capability: str, role: str) -> None:
    if capability not in PROOFS:
        assert not any(exists(line) for line in lines_of(capability)), f"{capability} has come: prove it"
        pytest.skip(
            f"pending: {', '.join(lines_of(capability))} of the {role} come with an issue of their own"
        )
    PROOFS[capability](platform, role)


@pytest.mark.parametrize("role", ROLES)
def test_every_command_that_exists_is_on_its_roles_path_and_no_other_is(
    platform: Platform, role: str
) -> None:
    listing = f"ls {PATH}"
    own = sorted(grammar.own(POLICY, role))
    others = [command for command in POLICY.rules if command not in own and command != "id"]
    answers = typed(
        platform,
        role,
        [
            listing,
            *(f"{command} --help" for command in own),
            *(f"command -v {command}" for command in (*own, *others)),
        ],
    )
    assert sorted(answers[listing].stdout.split()) == own
    for command in own:
        assert answers[f"{command} --help"].code == 0, command
        assert "Examples:" in answers[f"{command} --help"].stdout, command
        assert answers[f"command -v {command}"].stdout.strip() == f"{PATH}/{command}"
    for command in others:
        assert answers[f"command -v {command}"].stdout == "", command


@pytest.mark.parametrize("role", ROLES)
def test_a_person_at_a_prompt_has_the_commands(platform: Platform, role: str) -> None:
    """A login shell on a terminal, which sets its PATH itself."""
    own = grammar.own(POLICY, role)[0]
    done = platform.ssh(
        SERVICE[role], options=["-tt"], text=f"{own} --help; echo status=$?; ssh-to x; echo status=$?; exit\n"
    )
    assert "status=0" in done.stdout, done.stdout
    if role != "manager":
        assert "status=77" in done.stdout, done.stdout


# -- denied: the command says no --


@pytest.fixture(scope="module")
def refusals(platform: Platform) -> Callable[[str], dict[str, Answer]]:
    """What a role gets that types everything it may not in its own shell; the raw tests try the gates."""

    @functools.cache
    def collect(role: str) -> dict[str, Answer]:
        lines = [line for name, denied in DENIED if denied == role for line in lines_of(name)]
        return typed(platform, role, list(dict.fromkeys(lines)))

    return collect


@pytest.mark.parametrize(("capability", "role"), DENIED)
def test_denied(refusals: Callable[[str], dict[str, Answer]], capability: str, role: str) -> None:
    answers = refusals(role)
    for line in lines_of(capability):
        answer = answers[line]
        assert answer.code == DENIED_EXIT, f"{line}: {answer}"
        assert answer.stdout == "", line
        assert answer.stderr.startswith("denied: "), f"{line}: {answer}"
        assert len(answer.stderr.splitlines()) == 1, f"{line}: {answer}"


# -- denied: raw means from a full shell --


@dataclass(frozen=True)
class Loot:
    """What an intruder with a role's shell could get at; see support/intruder.py.

    Attributes:
        own: what was laid out to be found, by kind.
        keys: private keys.
        found: (canary, where it is).
        sockets: Unix sockets.
        open: [address, port] that accept a connection.
        writable: of the paths asked about.
        attempts: what each line did on each server with each key.
    """

    own: dict[str, str]
    keys: list[str]
    found: list[list[str]]
    sockets: list[str]
    open: list[list[Any]]
    writable: list[str]
    attempts: list[dict[str, Any]]

    def see(self, role: str, open_to_all: list[list[Any]]) -> Loot:
        """This loot, of an intruder who is not blind: what is the role's own was found by the same means."""
        own = SERVICE[role]
        canary = CANARY.format(role=role)
        assert "/etc/dockfra/ssh/id_ed25519" in self.keys
        assert [canary, f"/home/{role}/.env"] in self.found
        assert [canary, self.own["environment"]] in self.found
        assert self.own["socket"] in self.sockets
        assert {f"/home/{role}/.env", f"/shared/logs/audit/{own}.jsonl"} <= set(self.writable)
        assert [place for place in open_to_all if place not in self.open] == []
        for server, line in admitted(role):
            codes = [a["code"] for a in self.attempts if (a["server"], a["line"]) == (server, line)]
            assert 0 in codes, f"{line} at {server} is admitted and did not run: {codes}"
        return self


def admitted(role: str) -> list[tuple[str, str]]:
    """A harmless line for each server whose gate has something for a role: help of a command it may use there."""
    places = {place: POLICY.commands(role, place) for place in TOPOLOGY.places() if place != role}
    return [
        (TOPOLOGY.places()[place], f"{next(name for name in commands if exists(name))} --help")
        for place, commands in places.items()
        if any(exists(name) for name in commands)
    ]


@pytest.fixture(scope="module")
def canaries(platform: Platform) -> Iterator[None]:
    """Every role has a secret of its own in its .env for as long as the raw tests run."""
    for role in ROLES:
        line = f"\nOPENROUTER_API_KEY={CANARY.format(role=role)}\n"
        done = platform.run(
            SERVICE[role], "sh", "-c", "umask 077; cp -p ~/.env ~/.env.before; cat >> ~/.env", text=line
        )
        assert done.returncode == 0, done.stderr
    yield
    for role in ROLES:
        platform.run(SERVICE[role], "sh", "-c", "mv ~/.env.before ~/.env")


@pytest.fixture(scope="module")
def loot(platform: Platform, canaries: None) -> Iterator[Callable[[str], Loot]]:
    generic = ["true", "bash -i", "cat .env"]
    paths = [
        "/shared/tickets",
        "/shared/tickets/T-0001.json",
        "/srv/git/app.git",
        "/etc/dockfra",
        "/usr/local/bin",
    ]
    paths += [f"/shared/logs/audit/{service.name}.jsonl" for service in TOPOLOGY.audited()]
    paths += [f"/shared/logs/others/{service.name}/{service.name}.jsonl" for service in TOPOLOGY.audited()]

    def search(role: str) -> Loot:
        own = SERVICE[role]

        def addresses(service: str) -> list[str]:
            return [address for address in platform.found_at(service, own) if ":" not in address]

        servers = [
            {
                "name": service.name,
                "user": service.user,
                "port": service.ssh_ports[0].number,
                "address": address,
            }
            for service in TOPOLOGY.containers()
            if service.ssh_ports
            for address in addresses(service.name)
        ]
        networks = platform.engine(own).client.networks
        gateways = [
            network.attrs["IPAM"]["Config"][0].get("Gateway", "")
            for network in networks.list(filters={"label": f"dockfra.project={TOPOLOGY.project}"})
        ]
        targets = [
            [address, port] for address in filter(None, [*gateways, "127.0.0.1"]) for port in (2375, 2376)
        ]
        targets += [[server["address"], server["port"]] for server in servers if server["name"] in BASTIONS]
        targets += [
            [address, port.number]
            for name in DOCKER
            for address in addresses(name)
            for port in TOPOLOGY.services[name].ports
        ]
        # Everybody has business at the origin or may at least knock.
        of_all = {"shared-net", *(each.network for each in TOPOLOGY.crossings if each.service == "git")}
        git = platform.found_at("git", own)
        open_to_all = [
            [server["address"], server["port"]]
            for server in servers
            if server["name"] == "git"
            and git[str(server["address"])][0].removeprefix(f"{TOPOLOGY.project}-") in of_all
        ]
        assert open_to_all
        request = {
            "servers": [server for server in servers if server["name"] != own],
            "targets": [*targets, *open_to_all],
            "lines": [
                *generic,
                *dict.fromkeys(line for _server, line in admitted(role)),
                *(line for name, denied in DENIED if denied == role for line in lines_of(name)),
            ],
            "paths": [*paths, f"/home/{role}/.env"],
            "own": CANARY.format(role=role),
            "needles": [CANARY.format(role=other) for other in ROLES if other != role],
        }
        script = f"import io, sys\nsys.stdin = io.StringIO({json.dumps(request)!r})\n{INTRUDER}"
        done = platform.run(
            own, "python3", "-", text=script.replace("from __future__ import annotations\n", "")
        )
        assert done.returncode == 0, done.stderr
        return Loot(**json.loads(done.stdout)).see(role, open_to_all)

    with ThreadPoolExecutor() as pool:  # four intruders at the same time: most of it is waiting
        found = {role: pool.submit(search, role) for role in ROLES}
        yield lambda role: found[role].result()


@pytest.mark.parametrize("role", ROLES)
def test_an_intruder_finds_what_is_its_own_finding_s15(loot: Callable[[str], Loot], role: str) -> None:
    """What makes the denials below mean something; `Loot.see` has looked."""
    assert admitted(role)
    assert loot(role).attempts


@pytest.mark.parametrize(("capability", "role"), DENIED)
def test_denied_by_raw_means(loot: Callable[[str], Loot], capability: str, role: str) -> None:
    """With every key it can read, at every address of every server, whatever it sends: nothing of the capability."""
    got = loot(role)
    for attempt in got.attempts:
        if attempt["line"] not in lines_of(capability):
            continue
        if attempt["server"] in BASTIONS and role in POLICY.capabilities["ssh-to-bastions"].roles:
            assert attempt["code"] != 0, attempt  # a shell it may have, without such a command
            continue
        assert attempt["code"] in (255, DENIED_EXIT), attempt
        assert attempt["code"] == 255 or attempt["error"].startswith("denied: "), attempt


@pytest.mark.parametrize("role", ROLES)
def test_a_shell_opens_nothing_else(platform: Platform, loot: Callable[[str], Loot], role: str) -> None:
    got = loot(role)
    own = SERVICE[role]
    assert {Path(key).name for key in got.keys} <= {"id_ed25519", "ssh_host_ed25519_key"}
    assert {canary for canary, _place in got.found} == {CANARY.format(role=role)}, "a secret of another role"
    assert got.sockets == [got.own["socket"]]
    expected = {own} if role != "manager" else {own, "tickets"}
    assert {path for path in got.writable if "audit" in path} <= {f"/shared/logs/audit/{own}.jsonl"}
    rest = {path for path in got.writable if "audit" not in path} - {f"/home/{role}/.env"}
    assert rest == ({"/shared/tickets", "/shared/tickets/T-0001.json"} if "tickets" in expected else set())
    git = set(platform.found_at("git", own))
    addresses = {address for address, _port in got.open} - git
    bastions = {address for name in BASTIONS for address in platform.found_at(name, own)}
    gateway = {
        address
        for name in DOCKER
        for address in platform.found_at(name, SERVICE["monitor"])
        if ":" not in address
    }
    assert addresses <= (bastions | gateway if role == "monitor" else set())
    assert (gateway <= addresses) == (role in POLICY.capabilities["docker-socket"].roles)
    shells = {a["server"] for a in got.attempts if a["line"] == "true" and a["code"] == 0}
    assert shells <= (set(BASTIONS) if role == "monitor" else set())
    for attempt in got.attempts:
        if attempt["line"] in ("true", "bash -i", "cat .env") and attempt["server"] not in shells:
            assert attempt["code"] in (2, 77, 255), attempt


@pytest.mark.parametrize(("role", "other"), [("developer", "manager"), ("manager", "developer")])
def test_at_a_gate_only_those_with_a_prompt_get_a_terminal(platform: Platform, role: str, other: str) -> None:
    """Keys that end or stop processes are a way to interfere; programs have no use for them."""
    done = as_role(platform, role, f"ssh -tt {SERVICE[other]} id")
    admitted = role in TOPOLOGY.gate_prompts(SERVICE[other])
    assert ("PTY allocation request failed" not in done.stderr) == admitted, done
    assert (f"caller={role}" in done.stdout) == admitted, done


def test_the_home_directory_of_a_role_has_no_say_at_its_gate(platform: Platform) -> None:
    """bash, which sshd starts, would read it before the gate: an output, a function, an end."""
    own = SERVICE["manager"]
    log = f"/shared/logs/audit/{own}.jsonl"
    before = len(platform.run(own, "cat", log).stdout.splitlines())
    trap = "echo hello; /usr/local/bin/gate() { cat >/tmp/stolen; echo mine; }; exec 2>&1\n"
    platform.run(own, "sh", "-c", "cp -p ~/.bashrc ~/.bashrc.before; cat >> ~/.bashrc", text=trap)
    try:
        line = f"ssh {own} 'ticket-create Whole --desc - --json'"
        made = data(as_role(platform, "autopilot", line, "A text of the autopilot"))
        stolen = platform.run(own, "ls", "/tmp/stolen").returncode == 0
    finally:
        platform.run(own, "sh", "-c", "mv ~/.bashrc.before ~/.bashrc; rm -f /tmp/stolen")
    assert (made["title"], made["description"], made["created_by"]) == (
        "Whole",
        "A text of the autopilot",
        "autopilot",
    )
    assert not stolen
    [entry] = [json.loads(entry) for entry in platform.run(own, "cat", log).stdout.splitlines()[before:]]
    assert (entry["caller"], entry["verb"], entry["result"]) == ("autopilot", "ticket-create", 0)
