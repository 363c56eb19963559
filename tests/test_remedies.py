"""Remedies hold for whoever reads them: every option that a line names is an argument of Python too."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import elman
from elman.cli import run as command
from elman.compare import Plan, compare
from elman.errors import UserError
from elman.export import export
from elman.export.options import ExportOptions
from elman.lab import Setting
from elman.remedies import COMMANDS_ONLY, OPTION, in_python, of_a_command
from elman.tasks import TASKS
from elman.tasks.configuration import sections

SOURCE = Path(elman.__file__).parent
ELSEWHERE = {"cli", "serve", "report", "remedies.py", "environment.py"}  # these speak to commands, or are CSS


def lines() -> Iterator[tuple[str, str]]:
    """Every text of the sources that names an option, with its place; what it is given at runtime is X."""
    for path in sorted(SOURCE.rglob("*.py")):
        if path.relative_to(SOURCE).parts[0] in ELSEWHERE:
            continue
        tree = ast.parse(path.read_text())
        documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
            if id(node) not in documents and OPTION.search(text):
                yield f"{path.name}:{node.lineno}", text


def arguments() -> set[str]:
    """What Python takes by name."""
    callables = elman.fit, elman.import_model, compare, export, Plan, Setting
    names = {name for each in callables for name in inspect.signature(each).parameters} | {*ExportOptions.model_fields}
    for task in TASKS.values():
        every = [*task.options.values(), *(part for kind in task.models for part in sections(task, kind).values())]
        names |= {name for section in every for name in section.model_fields}
    return names


def test_every_option_in_a_line_is_an_argument_of_python() -> None:
    known, found = arguments(), list(lines())
    assert len(found) > 50
    for place, text in found:
        outside = "".join(text.split("`")[::2])
        for option in OPTION.finditer(outside):
            name, _, value = in_python(option[0]).partition("=")
            if option["name"] in COMMANDS_ONLY:
                continue
            assert value, place
            assert name in known | {"X"}, (place, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("--set lanes=..., or --processes 2", "lanes=..., or --processes 2"),
        ("train one with --set train.crf=false", "train one with crf=False"),
        ("the option --steps N", 'the argument budget="N steps"'),
        ("give --epochs or --steps", "give budget=..."),
        ("--task tagging, or name the --task", 'task="tagging", or name the task=...'),
        ("import it with a --tokenizer that fits", "import it with a tokenizer=... that fits"),
        ("choose another place (-o)", "choose another place (out=...)"),
        ("--from RUN, --max-source 9, well-known -- and a-o", "start=RUN, max_source=9, well-known -- and a-o"),
        ("`elman train --resume` again", "`elman train --resume` again"),
    ],
)
def test_options_in_python(text: str, said: str) -> None:
    assert in_python(text) == said


def test_an_error_speaks_to_whoever_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").touch()
    with pytest.raises(UserError, match=re.escape("go on with it (resume=True), replace it (overwrite=True) or")):
        elman.fit("abc " * 99, out=tmp_path / "run", progress=False)
    (tmp_path / "book.txt").write_text("abc " * 99)
    assert command(["train", str(tmp_path / "book.txt"), "-o", str(tmp_path / "run")]) == 2
    assert "go on with it (--resume), replace it (--overwrite) or choose another place (-o)" in capsys.readouterr().err
    with of_a_command():
        assert str(UserError("--valid", expected="two files", got="three")) == "--valid: expected two files, got three"
    assert str(UserError("--valid", expected="two files", got="three")) == "valid: expected two files, got three"
