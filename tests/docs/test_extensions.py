"""The reference is made from the code: docstrings as Markdown, every setting with its reason, every command."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pytest

import pages
from elman.cli import COMMANDS
from elman.tasks import TASKS
from elman.tasks.tagging.settings import TaggingTraining

pytest.importorskip("sphinx")


@pytest.fixture(scope="module", autouse=True)
def extensions() -> None:
    """The extensions lie beside the pages, where Sphinx finds them."""
    place = str(pages.DOCS / "extensions")
    if place not in sys.path:
        sys.path.append(place)


def extension(name: str) -> ModuleType:
    return importlib.import_module(name)


def test_docstrings_become_markdown() -> None:
    said = "Add one.\n\n>>> add(1)\n2\n\n>>> add(2)\n3\n\n"
    said += "Raises:\n    UserError: a <thing> is no number,\n        or none.\n"
    assert extension("docstrings").to_markdown(said) == (
        "Add one.\n\n```pycon\n>>> add(1)\n2\n\n>>> add(2)\n3\n```\n\n**Raises**\n\n"
        "- UserError: a &lt;thing> is no number, or none."
    )


def test_equations_and_lists_of_docstrings_keep_their_form() -> None:
    made = extension("docstrings").to_markdown("A cell.\n\n    h = tanh(x)\n\nOf `<eos>` and <eos>:\n- one\n- two")
    assert made == "A cell.\n\n```text\nh = tanh(x)\n```\n\nOf `<eos>` and &lt;eos>:\n- one\n- two"


def test_every_setting_says_what_it_is_and_why_it_has_its_default() -> None:
    groups = extension("setting_groups")
    for task in TASKS.values():
        for section in (task.data, task.train, *task.models.values()):
            for name in groups.own(section):
                assert len(groups.description(section, name).split()) >= 4, f"{section.__name__}.{name}"


def test_a_setting_is_told_with_its_range_and_default() -> None:
    groups = extension("setting_groups")
    told = groups.entry("word_dropout", *groups.own(TaggingTraining)["word_dropout"])
    assert told.startswith(
        "`word_dropout`: a number at least 0 and at most 1,000; default `0.25`\n: A word that occurs"
    )
    assert "default `none`" in groups.entry("k2", *groups.own(TaggingTraining)["k2"])
    assert "`loss` or `accuracy` or `span_f1`" in groups.entry("metric", *groups.own(TaggingTraining)["metric"])


def test_the_page_of_commands_has_every_command_and_option() -> None:
    page = extension("commands").page()
    assert all(f"\n## elman {name}\n" in f"\n{page}" for name in COMMANDS)
    assert "`-o`, `--out` *RUN*" in page
    assert "`--port` *PORT* from 0 to 65,535" in page
    assert "--help" not in page


def test_a_page_of_the_api_has_names_members_and_fields() -> None:
    page = extension("api").page("elman.nn")
    assert "{py:class} LSTM(" in page
    page = extension("api").page("elman")
    assert "{py:function} fit(" in page
    assert "{py:method} evaluate(data: Any, " in page
    assert "[elman.nn](elman.nn.md)" in page
