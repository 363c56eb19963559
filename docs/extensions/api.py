"""The page of a public module: every name of its `__all__`, with what its docstring says.

```{api} elman.nn
```
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any, ClassVar

from docstrings import to_markdown
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import SphinxError
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective
from sphinx.util.inspect import stringify_signature

FIELD = re.compile(r"^    (\w+): .*?  # (.+)$", re.MULTILINE)


def page(module_name: str) -> str:
    """The page of a module, in MyST."""
    module = importlib.import_module(module_name)
    names = [name for name in module.__all__ if not name.startswith("__")]
    parts = [f"```{{py:module}} {module_name}\n```", to_markdown(module.__doc__ or "")]
    return "\n\n".join([*parts, *(entry(module, name) for name in names)])


def entry(module: ModuleType, name: str) -> str:
    """A public name as a directive of Sphinx's domain for Python."""
    value = getattr(module, name)
    if isinstance(value, ModuleType):
        return f"- [{value.__name__}]({value.__name__}.md)"
    home = ".".join(getattr(value, "__module__", "").split(".")[:2])
    if home not in (module.__name__, "elman.runs") and name in getattr(
        importlib.import_module(home or "elman"), "__all__", ()
    ):
        return f"{{py:obj}}`{home}.{name}`"
    if inspect.isclass(value):
        members = "\n\n".join(_members(value))
        return _directive("class", f"{name}{_signature(value)}", module, _class_words(value), members)
    if callable(value):
        return _directive("function", f"{name}{_signature(value)}", module, inspect.getdoc(value) or "")
    return _directive("data", name, module, constant_words(module, name))


def constant_words(module: ModuleType, name: str) -> str:
    """The string under the assignment of a constant, in the module that defines it."""
    for defining in _defining(module, name):
        found = ModuleAnalyzer.for_module(defining).find_attr_docs().get(("", name))
        if found:
            return "\n".join(found)
    raise SphinxError(f"{module.__name__}.{name} has no docstring under its assignment")


def _defining(module: ModuleType, name: str) -> Iterator[str]:
    """The modules that may define a name: this one, and those that it is imported from."""
    yield module.__name__
    for found in re.finditer(r"^ *from (elman[\w.]*) import (\([^)]*\)|.*)$", inspect.getsource(module), re.MULTILINE):
        if re.search(rf"\b{name}\b", found[2]):
            yield from _defining(importlib.import_module(found[1]), name)


def _directive(kind: str, signature: str, module: ModuleType, words: str, members: str = "") -> str:
    body = "\n\n".join(part for part in (f":module: {module.__name__}", to_markdown(words), members) if part)
    return f"`````{{py:{kind}}} {signature}\n{body}\n`````"


def _signature(value: Any, *, bound: bool = False) -> str:
    """The signature in words; of a method without `self`, which is bound."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):  # an exception, or a class that is made of nothing
        return ""
    if bound:
        found = found.replace(parameters=list(found.parameters.values())[1:])
    return stringify_signature(found, unqualified_typehints=True, show_return_annotation=not inspect.isclass(value))


def _class_words(value: type) -> str:
    """A class's docstring, and its fields with the comments that stand beside them."""
    words = inspect.cleandoc(value.__doc__ or "")
    fields = FIELD.findall(inspect.getsource(value)) if _has_fields(value) else []
    return words + "".join(["\n\nAttributes:"] * bool(fields) + [f"\n    `{name}`: {said}" for name, said in fields])


def _has_fields(value: type) -> bool:
    return any(hasattr(value, name) for name in ("__dataclass_fields__", "_fields", "model_fields"))


def _members(value: type) -> Iterator[str]:
    """The public methods and properties of a class that say something."""
    for name, member in vars(value).items():
        called = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if (
            name.startswith("_")
            or not inspect.getdoc(called)
            or not (inspect.isfunction(called) or _is_property(member))
        ):
            continue
        words = to_markdown(inspect.getdoc(called) or "")
        if _is_property(member):
            yield f"````{{py:property}} {name}\n\n{words}\n````"
        else:
            option = ":classmethod:\n" if isinstance(member, classmethod) else ""
            signature = _signature(called, bound=not isinstance(member, staticmethod))
            yield f"````{{py:method}} {name}{signature}\n{option}\n{words}\n````"


def _is_property(member: Any) -> bool:
    return isinstance(member, property) or type(member).__name__ == "cached_property"


class Api(SphinxDirective):
    """The directive `api`."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """The page's nodes."""
        module = importlib.import_module(self.arguments[0])
        for source in (module.__file__, __file__):
            self.env.note_dependency(source or "")
        return self.parse_text_to_nodes(page(self.arguments[0]), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Join the build."""
    app.add_directive("api", Api)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
