"""Every setting with its range, its default, and why it has this default.

```{settings}
```
"""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from docutils import nodes
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx
from sphinx.errors import SphinxError
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

from elman.settings import Section
from elman.tasks import TASKS
from elman.tasks.configuration import NOT_SETTABLE
from elman.train.settings import Optimization

Fields = dict[str, tuple[type[Section], FieldInfo]]
KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
BOUNDS = {Ge: "at least {0.ge:,}", Gt: "above {0.gt:,}", Le: "at most {0.le:,}", Lt: "below {0.lt:,}"}


def page() -> str:
    """All settings, in MyST."""
    parts = ["## Every training\n\nThe section `train` of `config.yaml`.", *listed(own(Optimization))]
    for task in TASKS.values():
        common = own(Optimization)
        parts += [f"## {task.title[0].upper()}{task.title[1:]}: data", *listed(own(task.data))]
        trained = {name: found for name, found in own(task.train).items() if name not in common}
        parts += [f"## {task.title[0].upper()}{task.title[1:]}: training", *listed(trained)]
        parts += [f"## {task.title[0].upper()}{task.title[1:]}: models", *_models(task.models)]
    return "\n\n".join(parts)


def own(section: type[Section]) -> Fields:
    """The settings of a class that a person can set."""
    return {name: (section, field) for name, field in section.model_fields.items() if name not in NOT_SETTABLE}


def _models(kinds: dict[str, type[Section]]) -> Iterator[str]:
    """The settings of the kinds of models, those of recurrent ones together."""
    recurrent = {kind: own(section) for kind, section in kinds.items() if kind != "transformer"}
    yield f"### {', '.join(recurrent)}"
    every: Fields = {}
    for fields in recurrent.values():
        every |= fields
    for name, found in every.items():
        having = [kind for kind, fields in recurrent.items() if name in fields]
        yield entry(name, *found, only="" if len(having) == len(recurrent) else f" of {', '.join(having)}")
    yield "### transformer"
    yield from listed(own(kinds["transformer"]))


def listed(fields: Fields) -> Iterator[str]:
    """Settings one below the other."""
    return (entry(name, *found) for name, found in fields.items())


def entry(name: str, section: type[Section], field: FieldInfo, only: str = "") -> str:
    """A setting: its name, what it takes, its default, what it is and why."""
    default = (
        "none" if field.default is None else str(field.default).lower() if field.annotation is bool else field.default
    )
    default = ", ".join(map(str, default)) if isinstance(default, tuple) else default
    taken = f"`{name}`{only}: {values(field)}; default {f'`{default}`' if str(default) else 'empty'}"
    return f"{taken}\n: {description(section, name)}"


def values(field: FieldInfo) -> str:
    """What a setting takes, in words."""
    bounds = [BOUNDS[type(each)].format(each) for each in field.metadata if type(each) in BOUNDS]
    return " ".join([_kind(field.annotation), " and ".join(bounds)]).strip()


def _kind(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if annotation in KINDS:
        return KINDS[annotation]
    if get_origin(annotation) is tuple:
        return "names or numbers with commas between them"
    members = [member for member in get_args(annotation) if member not in (NoneType, Ellipsis)]
    # A member of a union may carry its bounds or a validator with it.
    return " or ".join(
        dict.fromkeys(_kind(get_args(each)[0] if hasattr(each, "__metadata__") else each) for each in members)
    )


def description(section: type[Section], name: str) -> str:
    """The description of a field, or the string below it in the class that declares it."""
    if said := section.model_fields[name].description:
        return said.replace("\n", " ")
    for declaring in section.__mro__:
        if name in vars(declaring).get("__annotations__", {}):
            analyzer = ModuleAnalyzer.for_module(declaring.__module__)
            if said := analyzer.find_attr_docs().get((declaring.__name__, name)):
                return " ".join(said).strip()
    raise SphinxError(f"the setting {name} of {section.__name__} has no description")


class SettingGroups(SphinxDirective):
    """The directive `settings`."""

    def run(self) -> list[nodes.Node]:
        """The page's nodes."""
        return self.parse_text_to_nodes(page(), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Join the build."""
    app.add_directive("settings", SettingGroups)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
