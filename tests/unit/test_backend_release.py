"""The reference backend under its supervisor, with a real database: what its releases do to the tables, and what they refuse."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.dockfra.core.plugins.module_utils.errors import ReleaseRefusedError
from ansible_collections.dockfra.core.plugins.module_utils.releases import spec_file
from ansible_collections.dockfra.core.tests.unit.free_ports import free_port
from ansible_collections.dockfra.core.tests.unit.served import ENVIRONMENT, Service, wait_for

SOURCE = Path(__file__).parents[2] / "app" / "backend"
# The state of the tables that it brings, and that of a release after it.
KNOWN = max(int(file.name[:4]) for file in SOURCE.glob("backend/migrations/*.sql"))
NEXT = KNOWN + 1
MORE = f"{NEXT:04}.more.sql"


class Backend(Service):
    """The backend of this repository; the mode of a release is a further migration."""

    def fill(self, content: Path, mode: str, **times: float) -> None:
        content.mkdir(parents=True, exist_ok=True)
        shutil.copytree(SOURCE / "backend", content / "backend", ignore=shutil.ignore_patterns("__pycache__"))
        text = (SOURCE / "release.yml").read_text().replace("settle_seconds: 5", "settle_seconds: 0")
        if mode:
            (content / "backend" / "migrations" / MORE).write_text(mode)
            text = text.replace("schema_min: 2", f"schema_min: {NEXT}")
        (content / "spec.json").write_bytes(spec_file.parse(text.encode()).to_json())


def packages(content: Path) -> None:
    [site] = ENVIRONMENT.glob("lib/python3*/site-packages")
    shutil.rmtree(content / "packages")
    (content / "packages").symlink_to(site)


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[list[str]]:
    """How the database is asked; it and redis run on ports of their own."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found or not shutil.which("redis-server"):
        pytest.fail("postgresql or redis-server is not installed: ./run-tests.sh unit installs them")
    user = "postgres" if os.geteuid() == 0 else None
    ports = free_port(), free_port()
    with tempfile.TemporaryDirectory() as data:
        shutil.chown(data, user or os.geteuid())
        initdb: list[str | Path] = [found[-1], "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"]
        subprocess.run(initdb, user=user, check=True, stdout=subprocess.DEVNULL)
        commands: list[list[str | Path]] = [
            [found[-1].with_name("postgres"), "-D", data, "-k", data, "-p", str(ports[0]), "-F"],
            ["redis-server", "--port", str(ports[1]), "--bind", "127.0.0.1", "--save", ""],
        ]
        servers = [
            subprocess.Popen(
                command, user=user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            for command in commands
        ]
        address = ["-h", "127.0.0.1", "-p", str(ports[0]), "-U", "postgres"]
        psql = [str(found[-1].with_name("psql")), *address, "-Atc"]
        wait_for(
            lambda: subprocess.run([*psql, "CREATE SCHEMA backend"], capture_output=True).returncode == 0
        )
        server = {"host": "127.0.0.1", "user": "postgres", "password": "x"}
        settings = {
            "log_level": "warning",
            "database": {**server, "port": ports[0], "name": "postgres"},
            "cache": {**server, "port": ports[1], "user": "default", "password": ""},
            "api_token": "the-token-of-these-tests",
            "status_watch_seconds": 0,
        }
        (tmp_path / "backend.json").write_text(json.dumps(settings))
        yield psql
        for process in servers:
            process.terminate()
            process.wait(20)


@pytest.mark.slow
def test_releases_migrate_or_are_refused_and_the_old_one_serves(tmp_path: Path, sql: list[str]) -> None:
    def asked(query: str) -> str:
        return subprocess.run([*sql, query], capture_output=True, text=True, check=True).stdout.strip()

    def release(migration: str = "") -> str:
        made = backend.release(migration)
        packages(Path(backend.store.folder) / made / "content")
        return made

    backend = Backend(tmp_path)
    backend.environment["BACKEND_CONFIG"] = str(tmp_path / "backend.json")
    backend.image()
    try:
        backend.up()
        first, bad = release(), release("DROP TABLE backend.devices; SELECT 1/0;")
        newer, older = release("CREATE TABLE backend.more ()"), release()
        backend.switch(first)
        assert backend.get("/api/info")[1:] == (first, {**backend.get("/api/info")[2], "release": first})
        with pytest.raises(ReleaseRefusedError, match=f"refused: migration {MORE} failed: division by zero"):
            backend.switch(bad)
        assert asked("SELECT version, schema_min FROM backend.schema_state") == f"{KNOWN}|2"
        assert backend.get("/health")[:2] == (200, first)
        backend.switch(newer)
        assert asked("SELECT version, schema_min FROM backend.schema_state") == f"{NEXT}|{NEXT}"
        with pytest.raises(
            ReleaseRefusedError, match=f"needs a release that knows {NEXT}; this one knows {KNOWN}"
        ):
            backend.switch(older)
        assert backend.get("/health")[:2] == (200, newer)
        assert asked("SELECT count(*) FROM backend.devices") == "0"
    finally:
        backend.clean()
