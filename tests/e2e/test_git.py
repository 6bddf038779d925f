"""Code on its way: the developer works on a clone, pushes it, and the monitor gets it; nobody else has a way in."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.support.platform import Platform, eventually, read_topology
from tests.e2e.support.runs import PATIENCE

TOPOLOGY = read_topology()
CLIENTS = [
    service.name
    for service in TOPOLOGY.containers()
    if (service.ssh_ports or service.client_key) and service.name != "git"
]
READERS = {"ssh-developer", "ssh-monitor"}
STRANGERS = [name for name in CLIENTS if name not in READERS]

Done = subprocess.CompletedProcess[str]


def typed(platform: Platform, role: str, *lines: str) -> Done:
    """Type lines in a role's own shell, over SSH from the host; the first that fails ends it."""
    return subprocess.run(
        [
            *("ssh", "-F", str(platform.state / "ssh_config"), "-o", "BatchMode=yes", role),
            "set -e\n" + "\n".join(lines),
        ],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
    )


def ok(done: Done) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def heads(platform: Platform) -> dict[str, str]:
    """Commit by branch, as the origin has it."""
    done = platform.run(
        "git",
        "git",
        "--git-dir=/srv/git/app.git",
        "for-each-ref",
        "--format=%(refname:lstrip=2) %(objectname)",
    )
    return dict(line.split() for line in ok(done).splitlines())


def audit(platform: Platform, since: int = 0) -> list[dict[str, Any]]:
    lines = ok(platform.run("git", "cat", "/shared/logs/audit/git.jsonl")).splitlines()
    return [json.loads(line) for line in lines[since:]]


@pytest.fixture
def clone(platform: Platform) -> Iterator[str]:
    """A clone of the developer's own beside ~/app, on a branch of its own."""
    name = f"e2e-{os.getpid()}"
    ok(typed(platform, "developer", f"git clone -q git:app.git {name}", f"git -C {name} switch -qc {name}"))
    yield name
    typed(platform, "developer", f"rm -rf {name}", f"git -C app push -q origin --delete {name}")


@pytest.fixture(scope="module", autouse=True)
def suites(platform: Platform) -> Iterator[Future[Done]]:
    """All tests of the application in the developer's container: they run for a minute, beside the tests of this module."""
    name = f"suites-{os.getpid()}"
    ok(typed(platform, "developer", f"git clone -q git:app.git {name}"))
    script = (f"cd {name}", "test-local --json 2>/dev/null", "git status --porcelain --ignored >&2")
    with ThreadPoolExecutor() as pool:
        yield pool.submit(typed, platform, "developer", *script)
    typed(platform, "developer", f"rm -rf {name}")


# -- the origin --


def test_the_origin_begins_with_the_reference_application(platform: Platform) -> None:
    git = ("git", "git", "--git-dir=/srv/git/app.git")
    first = ok(platform.run(*git, "rev-list", "--max-parents=0", "main")).strip()
    assert ok(platform.run(*git, "show", "-s", "--format=%an", first)) == "Dockfra\n"
    files = ok(platform.run(*git, "ls-tree", "-r", "--name-only", first)).splitlines()
    assert {"README.md", "backend/Dockerfile", "backend/tests/conftest.py", "frontend/.dockerignore"} <= set(
        files
    )
    assert not [name for name in files if "__pycache__" in name or ".cache" in name]


def test_seeding_is_reproducible_and_survives_a_crash(platform: Platform) -> None:
    """In a container of its own from the same image: twice beside the same leftover, then once more on top."""
    script = """
        set -e
        step=/usr/local/lib/dockfra/start.d/30-repository seed=/usr/local/share/dockfra/app
        mkdir -p /tmp/a/.app.git.unfinished/objects /tmp/b
        echo half > /tmp/a/.app.git.unfinished/HEAD
        for place in /tmp/a /tmp/b; do
            $step $seed $place 2>/dev/null
            git --git-dir=$place/app.git rev-parse main
            git --git-dir=$place/app.git fsck --strict
            ls -A $place
        done
        git --git-dir=/tmp/a/app.git update-ref refs/heads/other main
        $step $seed /tmp/a
        git --git-dir=/tmp/a/app.git rev-parse other
        """
    service = TOPOLOGY.services["git"]
    done = subprocess.run(
        platform.engine("git").command(
            *(
                "run",
                "--rm",
                "--network=none",
                "--read-only",
                f"--user={service.uid}",
                "--tmpfs=/tmp:mode=1777",
            ),
            *("--entrypoint=bash", platform.container("git").attrs["Image"], "-c", script),
        ),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    first, *rest = ok(done).split()
    assert rest == ["app.git", first, "app.git", first]


def test_an_existing_repository_is_left_alone_by_a_restart(platform: Platform) -> None:
    before = heads(platform)
    platform.run("git", "mkdir", "-p", "/srv/git/.app.git.unfinished")
    platform.container("git").restart(timeout=5)
    platform.wait_answering("git")
    assert heads(platform) == before
    platform.run("git", "rmdir", "/srv/git/.app.git.unfinished")


# -- who may what --


def test_the_developer_pushes_and_the_monitor_only_reads(platform: Platform, clone: str) -> None:
    since = len(audit(platform))
    work = (f"cd {clone}", f"echo {clone} > note", "commit-push 'A note' --json")
    pushed = json.loads(ok(typed(platform, "developer", *work)))
    assert (pushed["branch"], pushed["pushed"], pushed["files"]) == (clone, True, ["note"])
    before = heads(platform)
    assert before[clone] == pushed["commit"]

    directory = f"/tmp/{clone}"
    get = (
        f"git clone -q --branch {clone} git:app.git {directory}",
        f"cd {directory}",
        "git rev-parse HEAD",
        "cat note",
    )
    assert ok(typed(platform, "monitor", *get)).split() == [pushed["commit"], clone]
    put = (
        f"cd {directory}",
        "git -c user.name=m -c user.email=m@example.com commit -q --allow-empty -m mine",
        f"git push origin {clone} {clone}:main {clone}:other",
    )
    refused = typed(platform, "monitor", *put)
    assert refused.returncode == 128
    assert "denied: the monitor may not use git-receive-pack" in refused.stderr
    raw = typed(platform, "monitor", "ssh git \"git-receive-pack 'app.git'\"")
    assert (raw.returncode, raw.stdout) == (77, "")
    assert raw.stderr.startswith("denied: ")
    ok(typed(platform, "monitor", f"rm -rf {directory}"))
    assert heads(platform) == before

    told = [(line["caller"], line["verb"], line["verdict"]) for line in audit(platform, since)]
    assert ("developer", "git-receive-pack", "allowed") in told
    assert ("monitor", "git-upload-pack", "allowed") in told
    # Its daemon reads there meanwhile.
    pushed = [entry for entry in told if entry[:2] == ("monitor", "git-receive-pack")]
    assert pushed == [("monitor", "git-receive-pack", "denied")] * 2


def test_history_of_main_cannot_be_rewritten_or_deleted(platform: Platform, clone: str) -> None:
    before = heads(platform)
    for words in (
        "-q --force origin HEAD~0:refs/heads/main",
        "-q --force-with-lease origin HEAD:main",
        "-q origin --delete main",
    ):
        other = "git commit -q --amend --no-edit --reset-author"
        done = typed(platform, "developer", f"cd {clone}", other, f"git push {words}")
        assert done.returncode != 0, words
        assert heads(platform)["main"] == before["main"], words


def test_a_tag_cannot_be_moved_or_deleted(platform: Platform, clone: str) -> None:
    tag = f"refs/tags/v-{clone}"
    ok(typed(platform, "developer", f"cd {clone}", f"git push -q origin HEAD:{tag}"))
    tagged, since = heads(platform)[f"v-{clone}"], len(audit(platform))
    for words in (f"--force origin HEAD:{tag}", f"origin --delete {tag}"):
        other = "git commit -q --allow-empty -m other"
        done = typed(platform, "developer", f"cd {clone}", other, f"git push -q {words}")
        assert done.returncode != 0, words
        assert "tags are neither moved nor deleted" in done.stderr
        assert heads(platform)[f"v-{clone}"] == tagged, words
    pushes = [line for line in audit(platform, since) if line["verb"] == "git-receive-pack"]
    assert [line["result"] for line in pushes] == [1, 1]


def test_a_replacement_does_not_let_history_be_overwritten_finding_s1(platform: Platform, clone: str) -> None:
    ok(typed(platform, "developer", f"cd {clone}", "echo 1 > note", "commit-push 'Kept'"))
    kept = heads(platform)[clone]
    tricks = (
        "git commit -q --amend -m Other",
        "other=$(git rev-parse HEAD)",
        f"R=$(git cat-file commit $other | sed 's/^parent .*/parent {kept}/' | git hash-object -t commit -w --stdin)",
        "git push -q origin $R:refs/replace/$other || true",
        f"git push -q --force origin $other:refs/heads/{clone}",
    )
    done = typed(platform, "developer", f"cd {clone}", *tricks)
    assert done.returncode != 0
    assert "neither a branch nor a tag" in done.stderr
    assert "non-fast-forward" in done.stderr
    assert heads(platform)[clone] == kept


def test_a_rejected_push_is_told_and_the_commit_kept(platform: Platform, clone: str) -> None:
    ok(typed(platform, "developer", f"cd {clone}", "echo 1 > note", "commit-push 'First'"))
    theirs = heads(platform)[clone]
    behind = (f"cd {clone}", "git reset -q --hard HEAD~1", "echo 2 > note", "commit-push 'Second'")
    done = typed(platform, "developer", *behind)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"commit-push: the push of {clone} was rejected: ")
    assert len(done.stderr.splitlines()) == 1
    assert heads(platform)[clone] == theirs
    assert ok(typed(platform, "developer", f"git -C {clone} log -1 --format=%s")) == "Second\n"


@pytest.fixture(scope="module")
def ways_in(platform: Platform) -> Iterator[dict[str, Future[Done]]]:
    """What comes of every container's attempts, all made at the same time: most wait for an answer that never comes."""
    script = """
        export GIT_SSH_COMMAND='ssh -o BatchMode=yes -o ConnectTimeout=5'
        git ls-remote git:app.git && echo in
        for key in /etc/dockfra/ssh/id_ed25519 /etc/dockfra/ssh/ssh_host_ed25519_key ~/.ssh/*; do
            [ -r "$key" ] || continue
            for address; do
                GIT_SSH_COMMAND="ssh -F none -i $key -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=no \\
                    -o UserKnownHostsFile=/dev/null" git ls-remote "ssh://git@$address:2222/srv/git/app.git" && echo in
            done
        done
        exit 0
        """

    def attempt(name: str) -> Done:
        found = [address for address in platform.found_at("git", name) if ":" not in address]
        # Where nothing leads to it, its own address leads to somebody else.
        address = next(iter(found or platform.addresses("git")))
        return platform.run(name, "bash", "-c", script, "attempt", address)

    with ThreadPoolExecutor() as pool:
        yield {name: pool.submit(attempt, name) for name in CLIENTS}


@pytest.mark.parametrize("service", STRANGERS)
def test_no_other_container_has_a_way_in(ways_in: dict[str, Future[Done]], service: str) -> None:
    """Neither by the configuration it has nor with the address and every key it finds."""
    done = ways_in[service].result()
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("service", sorted(READERS))
def test_by_the_same_ways_its_readers_get_in_finding_s15(
    ways_in: dict[str, Future[Done]], service: str
) -> None:
    """Twice: by the configuration, and with the address and the key; so the ways are ways."""
    done = ways_in[service].result()
    assert done.stdout.split().count("in") == 2, done.stderr


def test_nothing_of_it_is_published_and_nobody_has_a_shell(platform: Platform) -> None:
    assert not any((platform.container("git").attrs["NetworkSettings"]["Ports"] or {}).values())
    for role in ("developer", "monitor"):
        for line in ("id", "sh -c id", "git-shell", "git-upload-pack '/etc'", "git-upload-pack '../app.git'"):
            done = typed(platform, role, f"ssh git {shlex.quote(line)}")
            assert (done.returncode, done.stdout) == (77, ""), f"{role}: {line}: {done.stderr}"
        copied = typed(platform, role, "scp -q /etc/hostname git:/srv/git/app.git/hooks-of-mine")
        assert copied.returncode != 0
    assert "hooks-of-mine" not in ok(platform.run("git", "ls", "-A", "/srv/git/app.git"))


# -- the developer's workspace --


def test_the_workspace_is_there_after_the_start_and_again_when_it_was_deleted(platform: Platform) -> None:
    eventually(
        lambda: typed(platform, "developer", "git -C app rev-parse HEAD").returncode == 0, "~/app is cloned"
    )
    assert ok(typed(platform, "developer", "git -C app remote get-url origin")) == "git:app.git\n"
    assert ok(typed(platform, "developer", "git config user.email")) == "developer@dockfra.internal\n"

    ok(typed(platform, "developer", "mv app kept"))
    try:
        assert "Nothing to commit" in ok(typed(platform, "developer", "commit-push"))
    finally:
        ok(typed(platform, "developer", "rm -rf app && mv kept app"))


def test_without_an_origin_the_commit_is_kept(platform: Platform, clone: str) -> None:
    with platform.stopped("git"):
        done = typed(platform, "developer", f"cd {clone}", "echo 1 > note", "commit-push 'Alone'")
        assert (done.returncode, done.stdout) == (1, "")
        assert "the origin cannot be reached" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        services = typed(platform, "developer", "check-services --json")
        assert services.returncode == 1
        assert down(services) == {"git"}
    platform.wait_answering("git")
    assert "pushed" in ok(typed(platform, "developer", f"cd {clone}", "commit-push"))


def test_broken_code_fails_the_tests(platform: Platform, clone: str) -> None:
    broken = "sed -i 's/<h1/<h2/' frontend/site/index.html"
    done = typed(platform, "developer", f"cd {clone}", broken, "test-local frontend")
    assert done.returncode == 1
    assert "test_the_landmarks_are_there" in done.stdout
    assert "Failed: " in done.stdout

    done = typed(
        platform, "developer", f"cd {clone}", "rm frontend/tests/test_*.py", "test-local frontend --json"
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["parts"][0]["state"] == "no tests"


# -- what the developer may reach --


def down(done: Done) -> set[str]:
    return {service["service"] for service in json.loads(done.stdout)["services"] if service["state"] != "up"}


def test_services_are_asked_for_real(platform: Platform) -> None:
    shown = ok(typed(platform, "developer", "check-services"))
    for secret in ("db/developer", "redis/developer"):
        assert platform.secret(secret) not in shown
    done = typed(platform, "developer", "check-services --json")
    ok(done)
    assert {(service["service"], service["kind"]) for service in json.loads(done.stdout)["services"]} == {
        ("frontend", "http"),
        ("backend", "http"),
        ("mobile-backend", "http"),
        ("db", "postgres"),
        ("redis", "redis"),
        ("ssh-manager", "ssh"),
        ("git", "ssh"),
        ("tester", "http"),
        ("package-proxy", "tcp"),
    }

    with platform.stopped("backend"):
        done = typed(platform, "developer", "check-services --json")
        assert (done.returncode, down(done)) == (1, {"backend"})
        assert " down " in typed(platform, "developer", "check-services").stdout
    platform.wait_answering("backend")
    ok(typed(platform, "developer", "check-services"))


# -- the tests that ran meanwhile --


def test_the_applications_tests_pass_in_the_developers_container(suites: Future[Done]) -> None:
    """All of them for real: none is skipped because a server is missing."""
    done = suites.result()
    data = json.loads(ok(done))
    assert {part["part"] for part in data["parts"]} == {
        "backend",
        "desktop-app",
        "frontend",
        "mobile-backend",
    }
    for part in data["parts"]:
        assert (part["state"], part["failed"], part["skipped"], part["note"]) == ("passed", 0, 0, ""), part
        assert part["tests"] > 10
    assert data["passed"]
    assert done.stderr == "", "files left in the clone"
