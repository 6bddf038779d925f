#!/usr/bin/env bash
# Writes requirements.lock and requirements-dev.lock from the two .txt files: every package beneath them, for every
# Python from 3.11 on, with hashes. Run it after editing a version.
set -euo pipefail

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
cd -- "$ROOT"
tool=.cache/uv
[[ -x $tool/bin/uv ]] || { python3 -m venv "$tool" && "$tool/bin/pip" install --quiet uv==0.13.9; }

for name in requirements requirements-dev; do
  "$tool/bin/uv" pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-annotate --no-header \
    --output-file "$name.lock" "$name.txt"
done
