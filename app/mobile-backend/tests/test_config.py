"""The configuration file: what is wrong with it is told without what is in it."""

import json
from pathlib import Path

import pytest
from mobile_backend.config import load_config
from pydantic import ValidationError

SECRET = "s3cret-of-the-platform"


@pytest.mark.parametrize(
    "values",
    [
        {"database": {"host": "db", "port": "x" + SECRET, "name": "app", "user": "a", "password": SECRET}},
        {"database": {"host": "db", "port": 5432, "name": "app", "user": "a", "password": [SECRET]}},
        {"api_token": [SECRET], "database": SECRET},
    ],
)
def test_an_error_does_not_show_what_is_in_the_file(
    values: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(values))
    monkeypatch.setenv("MOBILE_BACKEND_CONFIG", str(tmp_path / "config.json"))
    with pytest.raises(ValidationError) as caught:
        load_config()
    assert SECRET not in str(caught.value)
