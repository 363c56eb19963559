"""The page, and the description's page: files that are known when the server starts; nothing asked becomes a path."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable

from fastapi import FastAPI, Request, Response

TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "map": "application/json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "woff2": "font/woff2",
    "md": "text/plain; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "LICENSE": "text/plain; charset=utf-8",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Swagger's page writes styles into its own elements.
DOCS_POLICY = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")

DOCS = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>elman serve</title><link rel="stylesheet" href="/docs/swagger-ui.css"><link rel="icon" href="data:,"></head>
<body><div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>
"""
START = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null});\n'


class Page:
    """Files by their addresses, in memory."""

    def __init__(self) -> None:
        self.files = dict(_files())
        self.tags = {
            address: f'"{hashlib.sha256(content).hexdigest()[:32]}"' for address, content in self.files.items()
        }

    def answer(self, request: Request) -> Response:
        """The file at the address of a request, or that it has not changed."""
        address = request.url.path
        tag = self.tags[address]
        policy = DOCS_POLICY if address.startswith("/docs") else POLICY
        headers = {
            "ETag": tag,
            "Cache-Control": "no-cache",  # it may be kept, and is asked for again: a new server has a new page
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        kind = TYPES["html" if address in ("/", "/docs") else address.rpartition("/")[2].rpartition(".")[2]]
        return Response(self.files[address], headers=headers | {"Content-Type": kind})


def _files() -> Iterator[tuple[str, bytes]]:
    from elman.report.style import STYLE

    for package, address in (("elman.serve", "web"), ("elman.report", "components")):
        yield from _below(resources.files(package) / address, f"/{address}")
    yield "/web/style.css", STYLE.encode()
    index = resources.files("elman.serve") / "web" / "index.html"
    if index.is_file():
        yield "/", index.read_bytes()
    swagger = resources.files("fastapi_offline") / "static"
    for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
        yield f"/docs/{name}", (swagger / name).read_bytes()
    yield "/docs", DOCS.encode()
    yield "/docs/start.js", START.encode()


def _below(folder: Traversable, address: str) -> Iterator[tuple[str, bytes]]:
    if not folder.is_dir():
        return
    for each in folder.iterdir():
        if each.is_dir():
            yield from _below(each, f"{address}/{each.name}")
        elif each.name.rpartition(".")[2] in TYPES:
            yield f"{address}/{each.name}", each.read_bytes()


def add(app: FastAPI) -> Mapping[str, bytes]:
    """Give an app the routes of the files, and return these."""
    page = Page()

    async def file(request: Request) -> Response:
        return page.answer(request)

    for address in page.files:
        app.add_api_route(address, file, methods=["GET", "HEAD"], include_in_schema=False)
    return page.files
