"""What an application says of itself at its root: a page for people, data for programs.

The applications have this file in common, to the byte: each is a build context and a release of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class About:
    """An application in a few words.

    Attributes:
        name: as programs know it.
        title, text: what it is, for people.
        version: of the application.
        links: where to go on, paths by what is there.
    """

    name: str
    title: str
    text: str
    version: str
    links: Mapping[str, str]

    async def answer(self, request: Request) -> Response:
        """Who asks for HTML gets a page, anybody else JSON; paths are as the client sees them."""
        prefix = request.scope.get("root_path", "")
        links = {label: f"{prefix}{path}" for label, path in self.links.items()}
        if "text/html" not in request.headers.get("accept", ""):
            told = {"name": self.name, "description": self.text, "version": self.version, "links": links}
            return JSONResponse(told, headers={"Vary": "Accept"})
        headers = {"Vary": "Accept", "Content-Security-Policy": POLICY}
        return HTMLResponse(self._page(links, "x-forwarded-host" in request.headers), headers=headers)

    def _page(self, links: Mapping[str, str], proxied: bool) -> str:
        """The page; behind the proxy it looks like the platform's own, and leads back there."""
        entries = "".join(
            f'\n<li><a href="{escape(path)}">{escape(label)}</a></li>' for label, path in links.items()
        )
        look = '<link rel="icon" href="/favicon.ico">\n<link rel="stylesheet" href="/style.css">\n'
        home = '\n<p><a href="/">To the platform&rsquo;s page</a></p>'
        return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(self.title)}</title>
{look if proxied else ""}</head>
<body class="message">
<main>
<h1>{escape(self.title)}</h1>
<p>{escape(self.text)}</p>
<ul>{entries}
</ul>
<p class="quiet">Version {escape(self.version)}</p>{home if proxied else ""}
</main>
</body>
</html>
"""
