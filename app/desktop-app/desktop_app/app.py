"""The download server: a listing, the manifest, the files, and whether they are intact."""

from base64 import b64encode
from hashlib import sha256
from html import escape
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.staticfiles import NotModifiedResponse, StaticFiles

from desktop_app import __version__
from desktop_app.about import About
from desktop_app.artifacts import Artifact, Artifacts

STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
li { margin-bottom: 1rem }
code { overflow-wrap: anywhere }
"""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'",
    "Cache-Control": "no-cache",
}
ABOUT = About(
    name="dockfra-desktop-app",
    title="Dockfra downloads",
    text="Serves the command-line client that shows the platform's state in a terminal.",
    version=__version__,
    links={"Downloads": "/artifacts/", "Manifest for programs": "/artifacts/manifest.json"},
)


def create_app(directory: Path) -> Starlette:
    app = Starlette(
        routes=[
            Route("/", ABOUT.answer),
            Route("/health", health),
            Route("/artifacts", listing),
            Route("/artifacts/", listing),
            Route("/artifacts/manifest.json", manifest),
            Route("/artifacts/{name}", download),
        ]
    )
    app.router.redirect_slashes = False  # a path with a slash too many is not found
    app.state.artifacts = Artifacts(directory)
    # Knows what a client has already, from the headers of an answer and a request.
    app.state.files = StaticFiles(directory=directory)
    return app


def health(request: Request) -> Response:
    damaged = request.app.state.artifacts.damaged()
    state = {"status": "unavailable" if damaged else "ok", "damaged": damaged, "version": __version__}
    return JSONResponse(state, 503 if damaged else 200)


def manifest(request: Request) -> Response:
    return JSONResponse(request.app.state.artifacts.manifest, headers=HEADERS)


def listing(request: Request) -> Response:
    accept = request.headers.get("accept", "")
    if "application/json" in accept and "text/html" not in accept:
        return manifest(request)
    entries = "\n".join(_entry(artifact) for artifact in request.app.state.artifacts.by_name.values())
    page = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Downloads</title>
<style>{STYLE}</style>
<h1>Downloads</h1>
<p>The platform's state in a terminal. Each file runs where Python is installed: make it executable and start it.</p>
<ul>
{entries}
</ul>
<p><a href="/artifacts/manifest.json">manifest.json</a></p>
</html>
"""
    return HTMLResponse(page, headers=HEADERS)


def _entry(artifact: Artifact) -> str:
    return (
        f'<li><a href="{escape(artifact.url)}">{escape(artifact.name)}</a> '
        f"({artifact.size / 1e6:.1f} MB, {escape(artifact.python)})<br>"
        f"SHA-256 <code>{escape(artifact.sha256)}</code></li>"
    )


def download(request: Request) -> Response:
    artifacts: Artifacts = request.app.state.artifacts
    # Only what the manifest names is served, so a path from outside never reaches the file system.
    artifact = artifacts.by_name.get(request.path_params["name"])
    if artifact is None or not artifacts.path(artifact).is_file():
        raise HTTPException(404)
    answer = FileResponse(
        artifacts.path(artifact),
        filename=artifact.name,
        media_type="application/octet-stream",
        headers={**HEADERS, "ETag": f'"{artifact.sha256}"'},
    )
    if request.app.state.files.is_not_modified(answer.headers, request.headers):
        return NotModifiedResponse(answer.headers)
    return answer
