"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import elman

SOURCE = Path(elman.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))

# A part may import itself and what is named beside it, and nothing else of elman.
GROUND = {
    *("arrays", "errors", "synonyms", "state", "atomic", "reading", "strict_json", "settings", "cells"),
    *("launcher", "messages", "rendezvous", "distributed", "lazy", "wording", "remedies"),
}
BELOW: dict[str, set[str]] = {
    "lazy": set(),
    "wording": set(),
    "synonyms": set(),
    "arrays": set(),
    "remedies": set(),
    "errors": {"synonyms", "remedies"},
    "state": set(),
    "atomic": {"errors"},
    "launcher": set(),
    "messages": set(),
    "rendezvous": {"errors"},
    "distributed": {"errors", "launcher", "messages", "rendezvous", "state"},
    "reading": {"errors"},
    "cells": set(),
    "strict_json": set(),
    "settings": {"errors"},
    "kernels": GROUND,
    "nn": GROUND | {"kernels"},
    "models": GROUND | {"kernels", "nn", "environment"},
    "data": GROUND,
    "train": GROUND | {"kernels"},
    "metrics": GROUND,
    "decode": GROUND | {"kernels", "nn", "models", "data", "environment"},
    "interop": GROUND | {"kernels", "nn", "models"},
    "environment": GROUND | {"kernels"},
    "bench": GROUND | {"kernels", "nn", "environment", "interop", "report"},
    "display": GROUND | {"metrics", "train", "tasks", "report"},
    "run_folders": {"errors", "atomic", "data", "tasks"},
    "given": GROUND | {"tasks"},
    "data_in_memory": GROUND | {"data", "tasks"},
    "resuming": GROUND | {"tasks", "run_folders"},
    "model_folders": GROUND | {"models", "tasks"},
    "run_card": {"errors", "information", "tasks"},
    "run": GROUND
    | {"models", "data", "train", "tasks", "inspection", "data_in_memory", "model_folders", "run_card", "run_folders"}
    | {"report"},
    "runs": GROUND | {"models", "tasks", "run", "model_folders"},
    "information": GROUND | {"models", "train", "tasks", "model_folders", "run_folders"},
    "lens": GROUND | {"kernels", "nn", "models", "train"},
    "report": {"wording"},
    "inspection": GROUND | {"kernels", "nn", "models", "data", "train", "lens", "report", "environment"},
    "tasks": GROUND
    | {"kernels", "nn", "models", "data", "train", "environment", "metrics", "decode", "lens", "report", "inspection"},
    "preparation": GROUND
    | {"models", "train", "tasks", "runs", "run_folders", "model_folders", "data_in_memory", "resuming", "environment"},
    "fitting": GROUND
    | {"train", "tasks", "runs", "given", "data_in_memory", "resuming", "preparation", "display", "environment"},
    "estimators": {"data", "errors", "fitting", "runs"},
    "compare": GROUND
    | {"models", "train", "tasks", "runs", "run_folders", "preparation", "metrics", "lens", "report", "inspection"}
    | {"environment"},
    "export": GROUND | {"kernels", "nn", "models", "data", "tasks", "runs", "interop"},
    "importing": GROUND | {"data", "interop", "models", "tasks", "runs", "run_folders", "model_folders"},
    "serve": GROUND
    | {"kernels", "nn", "models", "data", "decode", "train", "tasks", "runs", "lens", "report", "model_folders"}
    | {"environment", "run_folders"},
    "lab": GROUND | {"kernels", "nn", "models", "data", "train", "lens", "report", "inspection", "environment"},
}
BELOW["cli"] = set(BELOW)
BELOW["__main__"] = {"cli"}


def part(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """The parts of elman that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            first, _, rest = name.partition(".")
            if first == "elman":
                yield rest.partition(".")[0] or "__init__"


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(SOURCE)) for path in FILES])
def test_imports_run_downward(path: Path) -> None:
    if path == SOURCE / "__init__.py":  # it offers what is asked for
        return
    here = part(path)
    assert here in BELOW, f"{here} has no place yet: give it one in BELOW"
    upward = set(imported(path)) - BELOW[here] - {here, "__version__"}
    assert not upward, f"{path.relative_to(SOURCE)} imports {', '.join(sorted(upward))}"


def test_below_is_an_order() -> None:
    placed: set[str] = set()
    while placed != set(BELOW):
        now = {name for name, below in BELOW.items() if below <= placed}
        assert now > placed, f"a circle among {sorted(set(BELOW) - placed)}"
        placed = now


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", "import elman"],
        ["-c", "import elman; elman.serve"],
        ["-m", "elman", "--help"],
        ["-m", "elman", "train", "--help"],
        ["-m", "elman", "bench", "--help"],
        ["-m", "elman", "inspect", "--help"],
        ["-m", "elman", "predict", "--help"],
        ["-m", "elman", "compare", "--help"],
        ["-m", "elman", "lab", "--help"],
        ["-m", "elman", "interop"],
        ["-m", "elman", "export", "--help"],
        ["-m", "elman", "import", "--help"],
        ["-m", "elman", "serve", "--help"],
    ],
)
def test_torch_is_not_imported_where_it_is_not_needed(arguments: list[str]) -> None:
    code = "-Ximporttime"
    result = subprocess.run([sys.executable, code, *arguments], capture_output=True, text=True, check=True)
    modules = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "elman" in modules
    assert not modules & {"torch", "numpy", "fastapi", "uvicorn"}


def test_no_two_classes_have_the_same_name() -> None:
    places: dict[str, list[str]] = {}
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(SOURCE)))
    twice = {name: paths for name, paths in places.items() if len(paths) > 1}
    assert not twice


def test_nothing_is_called_utils() -> None:
    assert not [path for path in FILES if path.stem in {"utils", "helpers", "misc", "common"}]


def test_numbers_are_written_in_one_way() -> None:
    """A share is `42 %`, as `wording.percent` has it, and a number below zero has the minus that one can type."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            place = f"{path.relative_to(SOURCE)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
                assert not ast.unparse(node.format_spec).rstrip("'\"").endswith("%"), f"{place}: say percent(…)"
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
                assert not re.search(r"\{[^{}]*%\}|\}%", node.value), f"{place}: a space before %"
                assert node.value != "−", f"{place}: write -"
            if isinstance(node, ast.Subscript):
                assert ast.unparse(node.value) != "'s'", f"{place}: say counted(…)"
            if isinstance(node, ast.JoinedStr):
                for one, other in pairwise(node.values):
                    words = one if isinstance(one, ast.Constant) else other
                    text = str(words.value) if isinstance(words, ast.Constant) else ""
                    assert other is not words or not text.startswith("%") or text.startswith("%);"), (
                        f"{place}: a space before %"
                    )  # but in a style
                    assert one is not words or not text.endswith("−"), f"{place}: write -"


# A longer file has a second idea in it, and so has a function with more lines of statements.
FILE_LINES, FUNCTION_LINES = 250, 50
# Files that are longer still. The list only shrinks: a file that is short enough is taken off.
LONGER = {
    "data/pair_corpus.py",
    "decode/arena.py",
    "kernels/native/arena_calls.h",
    "kernels/native/forward.h",
    "serve/batching.py",
    "serve/handle.py",
    "tasks/language_modelling/listener.py",
    "tasks/task.py",
}


def test_a_file_has_one_idea() -> None:
    written = [path for ending in ("py", "js", "css", "h", "cpp") for path in SOURCE.rglob(f"*.{ending}")]
    lengths = {
        path.relative_to(SOURCE).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in written
        if "vendor" not in path.parts
    }
    longer = {name for name, lines in lengths.items() if lines > FILE_LINES}
    assert not longer - LONGER, f"over {FILE_LINES} lines"
    assert not LONGER - longer, "no longer on this list"


def test_a_function_has_one_idea() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first, *others = node.body
                begin = others[0] if others and ast.get_docstring(node) is not None else first
                lines = (node.end_lineno or 0) - begin.lineno + 1
                assert lines <= FUNCTION_LINES, f"{path.relative_to(SOURCE)}: {node.name} has {lines} lines"


def is_a_set(node: ast.expr) -> bool:
    """As far as the expression alone tells."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub | ast.BitOr | ast.BitAnd | ast.BitXor):
        return is_a_set(node.left) or is_a_set(node.right)
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) in ("set", "frozenset")
    return isinstance(node, ast.Set | ast.SetComp) or ast.unparse(node).endswith(".model_fields_set")


def test_nothing_walks_a_set() -> None:
    """Its order is another one in every process: that of strings by their hash, that of objects by where they lie."""
    walks = ("list", "tuple", "iter", "next", "enumerate", "map", "filter", "zip", "join", "fromkeys", "extend")
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            walked: list[ast.expr] = []
            if isinstance(node, ast.For | ast.comprehension):
                walked = [node.iter]
            elif isinstance(node, ast.Starred):
                walked = [node.value]
            elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in walks:
                walked = node.args
            found = [ast.unparse(each) for each in walked if is_a_set(each)]
            assert not found, f"{path.relative_to(SOURCE)} walks {found[0]}: sort it, or dict.fromkeys"


def test_nothing_is_unpickled() -> None:
    """`torch.load` and pickle run what a file says, unless it is told to read weights alone."""
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        safe = {
            node.func
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and any(word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in node.keywords)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "pickle" not in ast.unparse(node), path
            if isinstance(node, ast.Attribute) and node not in safe:
                assert ast.unparse(node) != "torch.load", path


def test_a_task_is_named_in_its_folder_alone() -> None:
    """And in the dictionary of tasks, as what there is where nobody says one (`configuration.DEFAULT_TASK`), and by
    the estimators, each of which is one task's."""
    from elman.tasks import TASKS

    for path in FILES:
        inside = path.relative_to(SOURCE).parts
        if inside == ("estimators.py",):
            continue
        if inside[0] == "tasks" and (len(inside) > 2 or inside[-1] == "__init__.py"):
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for task in TASKS.values():
                    module = type(task).__module__
                    assert module not in ast.unparse(node), f"{path}: {ast.unparse(node)}"
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said = [name for name in TASKS if node.value == name or f"--task {name}" in node.value]
                is_default = path.stem == "configuration" and lines[node.lineno - 1].startswith("DEFAULT_TASK = ")
                assert not said or is_default or "\n" in node.value, f"{path}:{node.lineno} names {said[0]}"


# What `elman train FILE` has imported of elman before its first step: whoever reads a training reads these files.
MODULES = 125

COUNT = """
import sys
from elman.train.training import Training
def step(self, progress):
    raise KeyboardInterrupt
Training.step = step
from elman.cli import run
assert run(sys.argv[1:]) == 130
print(*sorted(name for name in sys.modules if name.partition(".")[0] == "elman"))
"""


def test_a_training_is_reached_through_few_files(plain_text: Path, tmp_path: Path) -> None:
    arguments = ["train", str(plain_text), "-o", str(tmp_path / "run"), "--steps", "2"]
    result = subprocess.run([sys.executable, "-c", COUNT, *arguments], capture_output=True, text=True, check=True)
    modules = result.stdout.split()
    assert len(modules) <= MODULES, f"{len(modules)}: {', '.join(modules)}"
    unneeded = ("elman.lens", "elman.report", "elman.inspection", "elman.decode", "elman.compare")
    assert not [name for name in modules if name.startswith(unneeded)]
