"""The files of the live page: all there, nothing from elsewhere, nothing that its policy forbids."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import elman
from elman.report.names import SPECIAL
from elman.report.style import STYLE

SOURCE = Path(elman.__file__).parent
COMPONENTS, WEB = SOURCE / "report" / "components", SOURCE / "serve" / "web"
UPLOT = COMPONENTS / "vendor" / "uplot"
OWN = sorted([*WEB.iterdir(), *(path for path in COMPONENTS.iterdir() if path.is_file())])
ADDRESSES = {"web": WEB, "components": COMPONENTS}


def named(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("path", [path for path in OWN if path.suffix == ".js"], ids=named)
def test_every_import_is_a_file_of_ours(path: Path) -> None:
    text = path.read_text("utf-8")
    found = re.findall(r'^(?:import|export) .*?from "(.+?)";', text, re.MULTILINE)
    assert len(found) == len(re.findall(r"^import ", text, re.MULTILINE))
    for place in found:
        assert place.startswith(".")
        if place.startswith("../components/"):  # as the server has them
            assert (COMPONENTS / place.removeprefix("../components/")).is_file()
        else:
            assert (path.parent / place).is_file()


@pytest.mark.parametrize("path", OWN, ids=named)
def test_nothing_comes_from_elsewhere(path: Path) -> None:
    text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|//cdn|@import|\beval\(|new Function|innerHTML|document\.write", text)


def test_the_page_has_no_script_or_style_of_its_own() -> None:
    text = (WEB / "index.html").read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=", text)
    assert re.findall(r"<script[^>]*>(.*?)</script>", text) == [""]
    for address in re.findall(r'(?:src|href)="(?!data:)(.+?)"', text):
        folder, _, name = address.partition("/")
        assert (ADDRESSES[folder] / name).is_file() or address == "web/style.css"


def test_a_special_symbol_has_the_same_letter_in_a_drawing_and_on_a_canvas() -> None:
    said = re.search(r"SPECIAL = new Map\((.+)\);", (COMPONENTS / "heat_names.js").read_text("utf-8"))
    assert said is not None
    assert dict(json.loads(said[1])) == SPECIAL


def test_the_vendored_chart_is_the_version_that_is_named() -> None:
    said = re.match(r"uPlot ([\d.]+) ", (UPLOT / "README.md").read_text("utf-8"))
    assert said is not None
    assert f"(v{said[1]})" in (UPLOT / "uPlot.min.js").read_text("utf-8")[:600]
    assert "MIT License" in (UPLOT / "LICENSE").read_text("utf-8")


@pytest.mark.parametrize("path", [path for path in OWN if path.suffix == ".css"], ids=named)
def test_every_colour_is_one_of_the_reports(path: Path) -> None:
    text = path.read_text("utf-8")
    set_here = {"c", "part", "sure", "ribbon", "marks", "row", "columns"}
    assert {*re.findall(r"var\(--([\w-]+)", text)} <= {*re.findall(r"--([\w-]+):", STYLE)} | set_here


def test_a_theme_can_be_chosen_against_the_system() -> None:
    for theme in ("light", "dark"):
        assert f":root[data-theme={theme}]{{--page:" in STYLE
