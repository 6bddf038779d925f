"""Build the downloadable client: one file for each architecture, and the manifest that describes them.

Runs while the image is built. The files hold the client, its wheels for each supported Python, and a
loader; the same sources give the same bytes.
"""

import hashlib
import json
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

CLIENT = Path(__file__).with_name("client")
ARCHITECTURES = {"x86_64": "x86_64", "arm64": "aarch64"}
PYTHONS = ("3.11", "3.12", "3.13")


def build(version: str, architecture: str, target: Path) -> dict[str, str | int]:
    name = f"dockfra-status-{version}-linux-{architecture}"
    machine = ARCHITECTURES[architecture]
    abis = [python.replace(".", "") for python in PYTHONS]
    platforms = [f"--platform=manylinux2014_{machine}-cp-{abi}-cp{abi}" for abi in abis]
    subprocess.run(
        [
            *(sys.executable, "-m", "pex"),
            *("--requirement", str(CLIENT / "requirements.txt"), "--no-build", *platforms),
            *("--sources-directory", str(CLIENT), "--entry-point", "dockfra_status.cli:main"),
            *("--python-shebang", "/usr/bin/env python3", "--no-use-system-time"),
            *("--output-file", str(target / name)),
        ],
        check=True,
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
