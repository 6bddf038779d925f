"""The proof of a login at PostgreSQL: psql gets the password, and neither its arguments nor its environment have it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SCRIPT = ROOT / "roles/db/files/image/login-proved"
PSQL = """#!/bin/sh
echo "$*" >{seen}/arguments
env >{seen}/environment
stat -c %a "$PGPASSFILE" >{seen}/mode
cp "$PGPASSFILE" {seen}/passwords
echo {answer}
"""


@pytest.mark.parametrize("answer", ["1", ""])
def test_the_password_is_in_a_file_for_psql_alone_and_gone_afterwards(tmp_path: Path, answer: str) -> None:
    (tmp_path / "postgresql.conf").write_text("port = 5432\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "tmp").mkdir()
    psql = tmp_path / "bin/psql"
    psql.write_text(PSQL.format(seen=tmp_path, answer=answer))
    psql.chmod(0o755)
    text = SCRIPT.read_text().replace(
        "/etc/dockfra/postgresql/postgresql.conf", f"{tmp_path}/postgresql.conf"
    )
    script = tmp_path / "login-proved"
    script.write_text(text)
    environment = {"PATH": f"{psql.parent}:{os.environ['PATH']}", "TMPDIR": str(tmp_path / "tmp")}
    done = subprocess.run(
        ["bash", str(script)],
        input="backend\nse:cr\\et\n",
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (
        (0, "") if answer else (1, "db: the login backend is not admitted\n")
    )
    assert "--username=backend" in (tmp_path / "arguments").read_text()
    for seen in ("arguments", "environment"):
        assert "cr" not in (tmp_path / seen).read_text().replace(str(tmp_path), "")
    assert (tmp_path / "mode").read_text() == "600\n"
    assert (tmp_path / "passwords").read_text() == "*:*:*:*:se\\:cr\\\\et\n"
    assert list((tmp_path / "tmp").iterdir()) == []
