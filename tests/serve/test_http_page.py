from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from starlette.testclient import TestClient

from elman.report.style import STYLE

KINDS = {"js": "text/javascript", "css": "text/css", "html": "text/html", "svg": "image/svg+xml"}


@pytest.fixture
def addresses(client: TestClient) -> list[str]:
    """Of all files."""
    return [route.path for route in client.app.routes if not getattr(route, "include_in_schema", True)]  # type: ignore[attr-defined]


def test_files_have_their_types_and_policies(client: TestClient, addresses: list[str]) -> None:
    files = [path for path in addresses if path.startswith(("/web/", "/components/", "/docs"))]
    assert len(files) >= 5
    for path in files:
        response = client.get(path)
        assert response.status_code == 200, path
        kind = "html" if path == "/docs" else path.rpartition(".")[2]
        assert response.headers["content-type"].startswith(KINDS.get(kind, "")), path
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; ")
        assert "http" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"


def test_a_browser_keeps_a_file_until_it_changes(client: TestClient) -> None:
    first = client.get("/web/style.css")
    assert first.text == STYLE
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/web/style.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/web/style.css", headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.head("/web/style.css").content == b""


@pytest.mark.parametrize(
    "path",
    ["/web/../limits.py", "/web/%2e%2e/limits.py", "/web/..%2flimits.py", "/web//etc/passwd", "/web/", "/components",
     "/docs/%2e%2e", "/web/style.css/", "/web/style.css%00", "/web/\\..\\limits.py"],
)  # fmt: skip
def test_nothing_that_is_asked_becomes_a_path(client: TestClient, path: str) -> None:
    assert client.get(path, follow_redirects=False).status_code == 404


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_description_fetches_nothing_from_elsewhere(client: TestClient) -> None:
    links = Links()
    links.feed(client.get("/docs").text)
    assert links.links
    for link in links.links:
        if link != "data:,":
            assert link.startswith("/docs/")
            assert client.get(link).status_code == 200
    [url] = re.findall(r'url: "([^"]*)"', client.get("/docs/start.js").text)
    described = client.get(url).json()
    assert {"/v1/sessions/{id}/generate", "/v1/completions", "/metrics"} <= set(described["paths"])
    for operations in described["paths"].values():
        for operation in operations.values():
            assert "422" not in operation["responses"]
            assert operation["description"]
