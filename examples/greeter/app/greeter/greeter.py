"""A service that greets: an ASGI application without a framework."""

PAGES = {"/health": b"ok\n", "/greeter": b"Hello\n", "/greeter/": b"Hello\n"}


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        return
    page = PAGES.get(scope["path"])
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200 if page else 404, "headers": headers})
    await send({"type": "http.response.body", "body": page or b"not found\n"})
