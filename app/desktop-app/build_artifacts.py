"""Build the downloadable client: one file for each architecture, and the manifest that describes them.

Runs while the image is built. The files hold the client, its wheels for each supported Python, and a
loader; the same sources give the same bytes.
"""

import hashlib
import json
import runpy
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

CLIENT = Path(__file__).with_name("client")
REQUIREMENTS = str(CLIENT / "requirements.txt")
ARCHITECTURES = {"x86_64": "x86_64", "arm64": "aarch64"}
PYTHONS = ("3.11", "3.12", "3.13")


def run_module(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", *arguments], check=True)


def build(version: str, architecture: str, target: Path) -> dict[str, str | int]:
    name = f"dockfra-status-{version}-linux-{architecture}"
    platform = f"manylinux2014_{ARCHITECTURES[architecture]}"
    abis = [f"cp{python.replace('.', '')}" for python in PYTHONS]
    with tempfile.TemporaryDirectory() as wheels:
        # pex could resolve by itself, but would set up a pip of its own for each platform first.
        for python, abi in zip(PYTHONS, abis, strict=True):
            run_module(
                *("pip", "download", "--quiet", "--require-hashes", "--only-binary=:all:", "--no-deps"),
                *("--platform", platform, "--python-version", python, "--abi", abi),
                *("--requirement", REQUIREMENTS, "--dest", wheels),
            )
        run_module(
            *("pex", "--requirement", REQUIREMENTS, "--pre-resolved-dists", wheels),
            *(f"--platform={platform}-cp-{abi[2:]}-{abi}" for abi in abis),
            *("--sources-directory", str(CLIENT), "--entry-point", "dockfra_status.cli:main"),
            *("--python-shebang", "/usr/bin/env python3", "--no-use-system-time", "--no-emit-warnings"),
            *("--output-file", str(target / name)),
        )
    content = (target / name).read_bytes()
    return {
        "name": name,
        "version": version,
        "architecture": architecture,
        "python": f"CPython {', '.join(PYTHONS)}",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "url": f"/artifacts/{name}",
    }


def main() -> None:
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    version = runpy.run_path(str(CLIENT / "dockfra_status" / "__init__.py"))["__version__"]
    with ThreadPoolExecutor() as pool:
        artifacts = list(pool.map(lambda architecture: build(version, architecture, target), ARCHITECTURES))
    (target / "manifest.json").write_text(json.dumps({"artifacts": artifacts}, indent=2) + "\n")


if __name__ == "__main__":
    main()
