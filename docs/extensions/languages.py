"""Two languages, one site: the same page in the other language, and links into the reference, which is English."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

# A link from a Portuguese page to an English one, as it works in the repository.
ENGLISH = re.compile(r"\[([^\]]+)\]\((?:\.\./)+en/([\w/-]+)\.md\)")
NAMES = {"en": "English", "pt": "Português"}


def find_english(app: Sphinx, config: Config) -> None:
    """Portuguese pages find the English reference by the inventory of the English site, which is built first."""
    if Path(app.srcdir).name == "pt":
        config["intersphinx_mapping"] = {"en": ("../en", str(Path(app.outdir).parent / "en" / "objects.inv"))}


def cross(app: Sphinx, docname: str, source: list[str]) -> None:
    """Make a link into the other folder one of intersphinx, which warns where the link leads nowhere."""
    source[0] = ENGLISH.sub(r"{external+en:doc}`\1 <\2>`", source[0])


def twin(app: Sphinx, docname: str) -> tuple[str, str] | None:
    """The other language's name, and the address of this page there from this page; the English reference has none."""
    mine = Path(app.srcdir).name
    other = next(language for language in NAMES if language != mine)
    source = Path(app.srcdir).parent / other / f"{docname}.md"
    page = docname if source.exists() else "index"
    here = posixpath.dirname(app.builder.get_target_uri(docname))
    there = posixpath.join("..", other, app.builder.get_target_uri(page))
    return NAMES[other], posixpath.relpath(there, here or ".")


def tell(app: Sphinx, docname: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Give the templates the link to the other language."""
    name, address = twin(app, docname)
    context["twin"] = {"name": name, "address": address, "code": "pt-BR" if name == NAMES["pt"] else "en"}


def setup(app: Sphinx) -> dict[str, bool]:
    """Join the build."""
    # Before intersphinx reads its settings.
    app.connect("config-inited", find_english, priority=1)
    app.connect("source-read", cross)
    app.connect("html-page-context", tell)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
