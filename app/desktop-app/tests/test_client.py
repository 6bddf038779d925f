"""The command line: tables, JSON, exit codes, and one clear line for each error."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dockfra_status.device import release_of, state
from dockfra_status.tables import printable

CLIENT = Path(__file__).parents[1] / "client"


@pytest.fixture
def run(platform):
    def run(*arguments, url=platform.url):
        return subprocess.run(
            [sys.executable, "-m", "dockfra_status", "--url", url, *arguments],
            env=os.environ | {"PYTHONPATH": str(CLIENT)},
            capture_output=True,
            text=True,
            timeout=30,
        )

    return run


def test_all_is_well(run):
    result = run()
    assert (result.returncode, result.stderr) == (0, "")
    for text in (
        "ok, 1 of 3 services asked",
        "SERVICES",
        "db",
        "5432",
        "DEPLOYMENTS",
        "frontend",
        "1.2.0",
        "monitor",
        "DEVICES",
        "rpi3",
        "aarch64",
    ):
        assert text in result.stdout
    assert "\x1b" not in result.stdout


def test_nothing_there_yet(run, platform):
    platform.replaced = {"/api/deployments": (200, b"[]"), "/api/devices": (200, b"[]")}
    result = run()
    assert result.returncode == 0
    assert "DEVICES\n  none" in result.stdout


def test_something_is_down(run, platform):
    platform.service |= {"state": "down", "detail": "Connection refused"}
    platform.status["status"] = "degraded"
    result = run()
    assert result.returncode == 1
    assert "Connection refused" in result.stdout


def test_as_json(run):
    document = json.loads(run("--json").stdout)
    assert document["status"]["services"][0]["service"] == "db"
    assert document["deployments"][0]["version"] == "1.2.0"
    assert document["devices"][0]["name"] == "rpi3"
    assert document["problems"] == []


def test_an_unreachable_platform(run):
    result = run(url="http://127.0.0.1:9")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == "dockfra-status: http://127.0.0.1:9: cannot connect: Connection refused\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((503, b'{"detail": "the database is unavailable"}'), "HTTP 503: the database is unavailable"),
        ((502, b"<html>Bad Gateway</html>"), "HTTP 502"),
        ((404, b""), "HTTP 404"),
        ((200, b"<html>a login page</html>"), "not the answer of a Dockfra backend"),
        ((200, b'{"status": 1}'), "not the answer of a Dockfra backend"),
        ((200, b"\xff\xfe"), "not the answer of a Dockfra backend"),
        ((200, b""), "not the answer of a Dockfra backend"),
        ((200, b" " * (4 * 1024 * 1024 + 1)), "larger than"),
    ],
)
def test_answers_that_are_no_use(run, platform, answer, said):
    platform.replaced = {"/api/deployments": answer}
    result = run()
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert line.startswith("dockfra-status: /api/deployments")
    assert said in line
    assert "rpi3" in result.stdout, "the rest is shown all the same"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--url", "ftp://host"),
        ("--url", "file:///etc/passwd"),
        ("--url", "localhost"),
        ("--url", "http://"),
        ("--url", "http://[x"),
        ("--ca-file", "/nowhere"),
        ("--ca-file", __file__),
        ("--watch", "0"),
        ("--watch", "nan"),
        ("--watch", "soon"),
        ("--unknown",),
        ("argument",),
    ],
)
def test_wrong_usage(run, arguments):
    result = run(*arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith("dockfra-status: error: ")


def test_trusts_the_given_authority_only(run, platform, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += [
        "-keyout",
        key,
        "-out",
        certificate,
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    subprocess.run(command, check=True, capture_output=True)
    url = platform.use_tls(key, certificate)

    result = run(url=url)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "--ca-file" in result.stderr
    assert run("--ca-file", str(certificate), url=url).returncode == 0


def test_watches_until_interrupted(platform):
    command = [sys.executable, "-m", "dockfra_status", "--url", platform.url, "--json", "--watch", "1"]
    environment = os.environ | {"PYTHONPATH": str(CLIENT)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        looks = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(2)
        assert process.wait(5) == 0
        assert process.stderr.read() == ""
    assert [look["problems"] for look in looks] == [[], []]


def test_a_reader_that_leaves(platform):
    command = f"{sys.executable} -m dockfra_status --url {platform.url} | true"
    environment = os.environ | {"PYTHONPATH": str(CLIENT)}
    result = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True)
    assert result.stderr == ""


def test_the_terminal_obeys_nothing_from_outside(run, platform):
    platform.deployment["note"] = "\x1b[2J\x07 red\x9b31m \u202e\nnext"
    result = run()
    assert not set("\x1b\x07\x9b\u202e") & set(result.stdout)
    assert printable("a\n\tb  c") == "a b c"


# Reports -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def token(tmp_path):
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n")
    return str(file)


def test_a_device_reports_how_it_is(run, platform, token):
    result = run("--report", "rpi3", "--token-file", token)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    [(path, authorization, told)] = platform.reported
    assert (path, authorization) == ("/api/devices/rpi3", "Bearer 0123456789abcdef")
    assert (told["kind"], told["architecture"]) == ("edge", os.uname().machine)
    assert told["uptime"] > 0
    assert 0 <= told["disk_used"] <= 100
    assert "last_seen" not in told  # its clock may be wrong


def test_what_the_platform_says_to_a_report_is_told(run, platform, token):
    platform.replaced["/api/devices/rpi3"] = (401, b'{"detail": "a valid bearer token is needed"}')
    result = run("--report", "rpi3", "--token-file", token)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "dockfra-status: /api/devices/rpi3: HTTP 401: a valid bearer token is needed"
    ]


def test_a_token_is_sent_to_nobody_who_could_be_overheard(run, token):
    result = run("--report", "rpi3", "--token-file", token, url="http://192.0.2.1")
    assert result.returncode == 2
    assert "use https" in result.stderr


@pytest.mark.parametrize("content", [None, "", "two words", "\u00fc", "a\r\nX: 1"])
def test_what_is_no_token_is_not_sent(run, platform, tmp_path, content):
    file = tmp_path / "odd"
    if content is not None:
        file.write_text(content)
    result = run("--report", "rpi3", "--token-file", str(file))
    assert (result.returncode, platform.reported) == (2, [])
    assert "--token-file" in result.stderr


@pytest.mark.parametrize("name", ["../x", "a b", "", "-x", "x/y"])
def test_what_is_no_name_is_not_reported(run, platform, token, name):
    result = run(f"--report={name}", "--token-file", token)
    assert (result.returncode, platform.reported) == (2, [])


def test_what_a_system_does_not_say_is_left_out(tmp_path):
    found = state(tmp_path)
    assert (found.uptime, found.temperature) == (None, None)
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("48312\n")
    assert state(tmp_path).temperature == 48.312


def test_a_program_knows_its_release_by_any_link(tmp_path):
    folder = tmp_path / "20261125T131500Z-0123456789ab"
    folder.mkdir()
    (folder / "program").touch()
    (tmp_path / "current").symlink_to(folder.name)
    assert release_of(str(tmp_path / "current" / "program")) == folder.name
    assert release_of(str(tmp_path / "program")) == ""
