"""Every public name says what it is, and shows its use by an example that runs.

A module is public if `elman.__all__`, or that of another public module, names it, and its public names are those in its
own `__all__`. Everything else is internal, even where an `__all__` lets elman's own parts import from each other.
"""

from __future__ import annotations

import ast
import doctest
import inspect
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import elman
import elman.estimators

SOURCE = Path(elman.__file__).parent
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS  # as in pyproject.toml
OPTIONAL = ("estimators",)  # not in `elman.__all__`: scikit-learn is not in every installation


class PublicName(NamedTuple):
    module: ModuleType
    name: str

    @property
    def value(self) -> Any:
        return getattr(self.module, self.name)

    @property
    def is_constant(self) -> bool:
        return not (inspect.isroutine(self.value) or isinstance(self.value, type | ModuleType))

    @property
    def document(self) -> str:
        """Its own docstring, and none that is inherited."""
        return (documents_of_constant(*self) if self.is_constant else self.value.__doc__) or ""


def names_of(module: ModuleType) -> Iterator[PublicName]:
    """The names of a module and of the public modules among them."""
    assert len(set(module.__all__)) == len(module.__all__), module
    for name in (*module.__all__, *(OPTIONAL if module is elman else ())):
        yield (one := PublicName(module, name))
        if isinstance(one.value, ModuleType):
            yield from names_of(one.value)


def documents_of_constant(module: ModuleType, name: str) -> str | None:
    """The text under the assignment, in the nearest file that has one: there autodoc reads it too."""
    own = Path(module.__file__ or "")
    package = own.parent if own.name == "__init__.py" else own
    for files in ([own], sorted(package.rglob("*.py")), sorted(SOURCE.rglob("*.py"))):
        if found := [text for file in files for text in texts_under(file, name)]:
            assert len(found) == 1, f"{module.__name__}.{name} is documented twice"
            return found[0]
    return None


def texts_under(file: Path, name: str) -> Iterator[str]:
    """Docstrings of assignments to a name at the top of a file, or under its `if TYPE_CHECKING`."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    for block in (body, *(node.body for node in body if isinstance(node, ast.If))):
        for node, after in pairwise(block):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                text = getattr(getattr(after, "value", None), "value", None)
                if isinstance(after, ast.Expr) and isinstance(text, str):
                    yield inspect.cleandoc(text)


# Each value once; it is kept, so that no other can have its id.
ONCE = {id(value): (one, value) for one in reversed([*names_of(elman)]) for value in [one.value]}
NAMES = [one for one, _ in reversed(ONCE.values())]
IDS = [f"{one.module.__name__}.{one.name}" for one in NAMES]


def test_elman_itself_shows_its_use() -> None:
    assert ">>> " in (elman.__doc__ or "")


def test_the_reference_has_a_page_for_every_public_module() -> None:
    pages = {page.stem for page in (Path(__file__).parents[1] / "docs/en/reference/api").glob("elman*.md")}
    assert pages == {one.module.__name__ for one in NAMES}


@pytest.mark.parametrize("one", NAMES, ids=IDS)
def test_a_public_name_says_what_it_is_and_shows_its_use(one: PublicName) -> None:
    first, _, rest = one.document.strip().partition("\n\n")
    assert first, "no docstring"
    assert not first.startswith(">>>"), "the first paragraph says what it is"
    assert ">>> " in rest, "no example"


def is_found_by_pytest(one: PublicName) -> bool:
    """Whether the collection of doctests of the module that defines a name finds the name's."""
    if one.is_constant or isinstance(one.value, ModuleType):
        return not one.is_constant
    home = vars(sys.modules[one.value.__module__])
    return home.get(one.value.__name__) is one.value and getattr(one.value, "__globals__", home) is home


OTHERS = [one for one in NAMES if not is_found_by_pytest(one)]


@pytest.mark.parametrize("one", OTHERS, ids=[f"{one.module.__name__}.{one.name}" for one in OTHERS])
def test_examples_that_the_collection_of_doctests_passes_over(
    one: PublicName, beside_demo: Callable[[str], None]
) -> None:
    """Constants have no docstring, and what is made or wrapped by a function is not seen to be the module's."""
    beside_demo(one.document)
    names = dict(vars(sys.modules[getattr(inspect.unwrap(one.value), "__module__", one.module.__name__)]))
    test = doctest.DocTestParser().get_doctest(one.document, names, one.name, None, None)
    assert test.examples
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    runner.run(test)
    assert runner.summarize(verbose=False).failed == 0
