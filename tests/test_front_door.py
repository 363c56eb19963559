"""`import elman`: what there is, what it shows, and what its tutorial says."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import rich.console

import elman
from elman import display as displays
from elman.display import Display

TEXT = "the cat sat on a mat and the dog ran to the cat.\n" * 60
SIZES: dict[str, Any] = {"hidden_size": 8, "embedding_size": 6, "lanes": 4, "k1": 8}


def test_everything_is_listed_reachable_and_described() -> None:
    assert set(elman.__all__) <= set(dir(elman))
    for name in elman.__all__:
        assert getattr(elman, name) is not None
        if not name.startswith("_"):
            assert f"`{name}`" in (elman.__doc__ or "")
    for name in ("fit", "training", "load", "Run", "UserError", "train", "decode", "compare", "lab"):
        assert name in elman.__all__
    with pytest.raises(AttributeError, match="has no attribute 'fti'"):
        _ = elman.fti  # type: ignore[attr-defined]


def test_looking_imports_nothing_heavy() -> None:
    code = "import sys, elman; dir(elman), elman.UserError, elman.__doc__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_fit_takes() -> None:
    parameters = inspect.signature(elman.fit).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    promised = {**dict.fromkeys(("targets", "model", "budget", "valid", "out", "seed")), "task": "auto"}
    assert promised.items() <= defaults.items()
    told = {"say", "progress", "stop"}
    assert set(inspect.signature(elman.training).parameters) - told == set(parameters) - {"progress"}
    documented = elman.fit.__doc__ or ""
    assert all(f"        {name}: " in documented for name in parameters)


def test_a_script_leaves_nothing_behind(tmp_path: Path) -> None:
    code = f"import elman; run = elman.fit({TEXT!r}, budget='2 steps', **{SIZES!r}); print(run.path.exists())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout == "True\n"
    assert "chosen: " in done.stderr
    assert "best so far" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_silence(capfd: pytest.CaptureFixture[str]) -> None:
    elman.fit(TEXT, budget="2 steps", progress=False, **SIZES)
    assert capfd.readouterr() == ("", "")


class Handle:
    """Of an output of a notebook that is written anew."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def update(self, html: str) -> None:
        self.shown.append(html)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Handle:
    """A stand-in for IPython in a notebook, which is not installed here."""
    handle = Handle()
    module = types.ModuleType("IPython.display")
    module.HTML = str  # type: ignore[attr-defined]
    module.display = lambda html, display_id: handle  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    monkeypatch.setattr(displays, "NOTEBOOK_SECONDS", 0.0)
    return handle


def test_a_notebook_has_a_bar_while_it_trains_and_the_lines_after(
    notebook: Handle, capfd: pytest.CaptureFixture[str]
) -> None:
    elman.fit(TEXT, budget="3 steps", **SIZES)
    bars = [html for html in notebook.shown if "<progress" in html]
    assert any("training 100 %" in html or "step 3" in html for html in bars)
    assert "<progress" not in notebook.shown[-1]
    assert "best so far" in notebook.shown[-1]
    drawn = [html for html in notebook.shown if "<svg" in html]
    assert drawn  # the learning curve, before the end and at the end
    assert "Learning curve" in notebook.shown[-1]
    assert "<script" not in "".join(notebook.shown)
    assert capfd.readouterr() == ("", "")


def test_what_a_notebook_shows_is_text(notebook: Handle) -> None:
    with Display() as display:
        display.say("a <b> & c")
        display.stage("<script>", 0.25, "<i>")
    assert "a &lt;b&gt; &amp; c" in notebook.shown[0]
    assert 'value="0.2500"' in notebook.shown[1]
    assert not any("<script>" in html or "<i>" in html for html in notebook.shown)
