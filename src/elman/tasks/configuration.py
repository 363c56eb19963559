"""The settings of a run: validated, frozen, and read from YAML; an unknown name is refused with the nearest known one.

Settings come from defaults < `--config FILE.yaml` < `--set key=value`. A field that a person left open is not in
`model_fields_set`: `Task.choose` fills exactly those, and the run keeps the resolved whole.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from elman.errors import UserError, nearest, suggestion
from elman.models.configuration import IMPORTED as IMPORTED  # as OWN, for those who may import tasks alone
from elman.models.configuration import ImportedSettings
from elman.reading import Missing, parse_yaml, place_of, read_text
from elman.settings import Section, complaint
from elman.tasks import TASKS
from elman.tasks.task import Task
from elman.train.schedule import Budget, parse_budget
from elman.wording import MEMORY

S = TypeVar("S", bound=Section)

DEFAULT_TASK = "language-modelling"
GIVEN = "given"  # the folder of a run for data that came from memory
OWN = "own"  # the kind of a person's own model, which has no settings here
NOT_SETTABLE = {"source", "target", "valid_target", "fingerprint"}  # they have arguments, or follow from the data


class Settings(Section):
    """The settings that define a run."""

    task: str
    kind: str
    start: str | None = None  # the run whose weights and codecs the training began with
    budget: Budget
    data: Any  # as `sections` says
    model: Any
    train: Any

    def to_yaml(self) -> str:
        """The settings as `config.yaml` holds them."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def with_data(self, changes: Mapping[str, Any]) -> Settings:
        """These settings, but for those of the data that change."""
        return self.model_copy(update={"data": self.data.model_copy(update=changes)})


def sections(task: Task, kind: str) -> dict[str, type[Section]]:
    """The classes of a task's settings for a kind of model; an unknown kind has those of the default."""
    special: dict[str, type[Section]] = {OWN: Section, IMPORTED: ImportedSettings}
    model = special.get(kind) or task.models.get(kind, task.models[task.kind])
    return {"data": task.data, "model": model, "train": task.train}


def find_task(name: Any) -> Task:
    """A task by its name. Raises `UserError` where there is none."""
    if name not in TASKS:
        raise UserError(f"task: none called {name!r}", remedy=nearest(called(str(name)), TASKS), exit_code=2)
    return TASKS[name]


def called(word: str) -> str:
    """The name of the task that other tools call by this word, or the word itself.

    >>> called("seq2seq"), called("painting")
    ('translation', 'painting')
    """
    plain = word.lower().replace("-", "_")
    return next((task.name for task in TASKS.values() if plain in task.synonyms.split()), word)


def build(tree: dict[str, Any]) -> Settings:
    """Settings from a plain tree as YAML has it.

    Raises:
        UserError: an unknown kind of model, an unknown key (with the nearest known one), a value out of range.
    """
    tree = dict(tree)
    task = find_task(tree.setdefault("task", DEFAULT_TASK))
    kind = tree.setdefault("kind", task.kind)
    if kind not in (OWN, IMPORTED) and kind not in task.models:
        raise UserError(f"model: no kind called {kind!r}", remedy=_kind_remedy(str(kind), task), exit_code=2)
    if kind == IMPORTED and "network" not in (tree.get("model") or {}):
        remedy = "`elman import FILE -o RUN`, then train with --from RUN"
        raise UserError("a model of another framework comes from a file", remedy=remedy, exit_code=2)
    if isinstance(tree.get("budget"), str):
        tree["budget"] = parse_budget(tree["budget"])
    known = sections(task, kind)
    try:
        for name, section in known.items():
            values = tree.get(name) or {}
            if wrong := [key for key in values if not isinstance(key, str)]:  # YAML reads `no` as false
                raise UserError(f"no setting called {wrong[0]!r}", remedy="write a name", exit_code=2)
            tree[name] = section(**values)
        return Settings(**tree)
    except ValidationError as error:
        raise _told(error, task, known) from None


def make_section(section: type[S], values: Mapping[str, Any]) -> S:
    """A section with these values. Raises `UserError` for an unknown name, or a value out of its range."""
    try:
        return section(**values)
    except ValidationError as error:
        raise _told(error, None, {"": section}) from None


def set_values(tree: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """A tree with the assignments `key=value` or `section.key=value`; values are YAML.

    >>> set_values({"kind": "gru"}, ["hidden_size=64", "train.clip=none"])
    {'kind': 'gru', 'model': {'hidden_size': 64}, 'train': {'clip': 'none'}}
    """
    values = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise UserError("--set", expected="key=value", got=repr(assignment), exit_code=2)
        try:
            values[path] = parse_yaml(_number(text))
        except ValueError:
            raise UserError(f"--set {path}", expected="a YAML value", got=reprlib.repr(text), exit_code=2) from None
    return assign(tree, values, "--set: ")


def assign(tree: Mapping[str, Any], values: Mapping[str, Any], option: str = "") -> dict[str, Any]:
    """A tree with further values, each under its name, as `section.name`, or in a mapping of its section.

    >>> assign({}, {"hidden_size": 64, "train": {"clip": "none"}})
    {'model': {'hidden_size': 64}, 'train': {'clip': 'none'}}

    Raises:
        UserError: no such setting; the message begins with `option`.
    """
    tree = {name: dict(value) if isinstance(value, Mapping) else value for name, value in tree.items()}
    task = TASKS.get(tree.get("task", ""), TASKS[DEFAULT_TASK])
    kind = tree.get("kind", task.kind)
    here = sections(task, kind)
    # Of two settings of one name, that of the first section has the bare name.
    fields = [(key, name) for name, section in reversed(here.items()) for key in section.model_fields]
    places = {key: name for key, name in fields if key not in NOT_SETTABLE}
    for path, value in values.items():
        if path in here and isinstance(value, Mapping):
            tree[path] = (tree.get(path) or {}) | dict(value)
            continue
        section, dot, key = path.strip().rpartition(".")
        if dot and section in here and key in here[section].model_fields and key not in NOT_SETTABLE:
            places = places | {key: section}  # another section has a setting of the same name
        if key not in places or (dot and places[key] != section):
            from elman.tasks.remedies import remedy

            known = [*places, *(f"{name}.{k}" for k, name in places.items())]
            of = f"--model {kind}" if option else f"model={kind!r}"
            meant = remedy(key, task, here, nearest(path, known))
            raise UserError(f"{option}no setting called {path!r} for {of}", remedy=meant, exit_code=2)
        tree[places[key]] = (tree.get(places[key]) or {}) | {key: value}
    return tree


def read_settings(folder: Path) -> Settings:
    """The settings of the run in a folder, with the present places of its own files. Raises `UserError`, as `build`."""
    settings = build(read_yaml(folder / "config.yaml"))
    given = [(name, Path(value)) for name, value in settings.data if isinstance(value, str)]
    here = {name: folder / GIVEN / path.name for name, path in given if path.parent.name == GIVEN}
    moved = {name: str(path) for name, path in here.items() if path.is_file()}
    return settings.with_data(moved)


def named(place: str, run: Path) -> str:
    """The place of data as a report names it: files that were made of data in memory are named as such."""
    folder = Path(place).parent
    return "data in memory" if folder == run / GIVEN or folder.name.startswith(MEMORY) else place


def read_yaml(path: Path, *, streams: bool = False) -> dict[str, Any]:
    """A tree of settings from a file, or, with `streams`, from a pipe or a terminal, read to its end.

    Raises:
        UserError: no such file, or no YAML mapping in it.
    """
    try:
        is_stream = streams and (path.is_fifo() or path.is_char_device())
        text = path.read_bytes().decode() if is_stream else read_text(path)
    except Missing:
        raise UserError(f"{path}: no such file", exit_code=2) from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {place_of(error)}") from None
    try:
        tree = parse_yaml(text)
    except ValueError as error:
        raise UserError(f"{path}: not readable as YAML: {error}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}", expected="a YAML mapping of settings", got=type(tree).__name__)
    groups = dict.fromkeys(("data", "model", "train"), dict)
    for name, expected in {"task": str, "kind": str, "start": str, "budget": dict | str, **groups}.items():
        if not isinstance(tree.get(name), expected | None):
            what = "a name" if expected is str else "a mapping"
            raise UserError(f"{path}: {name}", expected=what, got=reprlib.repr(tree[name]), exit_code=2)
    return {name: value for name, value in tree.items() if value is not None}


def _number(text: str) -> str:
    """The text as YAML 1.1 reads it: 1e-3 would be a word there, and people mean the number."""
    try:
        return repr(float(text)) if "e" in text.lower() else text
    except ValueError:
        return text


def _told(error: ValidationError, task: Task | None, known: Mapping[str, type[Section]]) -> UserError:
    """Pydantic's first complaint in one line."""
    from elman.tasks.remedies import remedy

    first = error.errors()[0]
    if first["type"] != "extra_forbidden":
        return complaint(error, exit_code=2)
    key = str(first["loc"][-1])
    fields = next((s.model_fields for s in known.values() if s.__name__ == error.title), Settings.model_fields)
    meant = nearest(key, fields) if task is None else remedy(key, task, known, nearest(key, fields))
    return UserError(f"no setting called {key!r}", remedy=meant, exit_code=2)


def _kind_remedy(kind: str, task: Task) -> str:
    """The remedy for an unknown kind of model, which may be the name of a task."""
    other = called(kind)
    if other in TASKS and other != task.name and not suggestion(kind, task.models):
        return f"it is --task {other}, with --model {', '.join(task.models)}"
    return nearest(kind, task.models)
