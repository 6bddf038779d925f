#!/usr/bin/env bash
# Writes requirements.lock and requirements-dev.lock from the two .txt files, and those of the commands' libraries and of the Docker gateway:
# every package beneath them, for every Python from 3.11 on, with hashes. Run it after editing a version.
set -euo pipefail

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
cd -- "$ROOT"
tool=.cache/uv
[[ -x $tool/bin/uv ]] || { python3 -m venv "$tool" && "$tool/bin/pip" install --quiet uv==0.13.9; }

lock() { # <Python> <from> <to>
  "$tool/bin/uv" pip compile --quiet --universal --generate-hashes --python-version "$1" --no-annotate --no-header --no-strip-extras \
    --output-file "$3" "$2"
}

for name in requirements requirements-dev; do
  lock 3.11 "$name.txt" "$name.lock"
done
# Inside the containers there is Debian's Python.
for role in libraries docker_gateway; do
  image=collections/ansible_collections/dockfra/core/roles/$role/files/image
  lock 3.13 "$image/requirements.in" "$image/requirements.txt"
done
