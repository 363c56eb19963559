"""What a task is given, and what it gives: the terms of the methods of `Task`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from elman.data.sources import Progress as Progress  # offered to tasks beside `Say`
from elman.errors import UserError

if TYPE_CHECKING:
    from elman.arrays import Floats
    from elman.data.linefile import InputLine
    from elman.data.tokenizers import Tokenizer
    from elman.tasks.configuration import Settings
    from elman.tasks.task import Task

Say = Callable[[str], None]
"""Tells a person one line."""
NONE: Mapping[str, Any] = MappingProxyType({})
Sources = Sequence[Any]
"""The places of data: paths, names, or data in memory."""


class Codec(Protocol):
    """A translator between the data of people and numbers, such as a tokenizer: a file of the model's folder."""

    def to_json(self) -> dict[str, Any]:
        """Everything that the codec is made from when its file is read."""
        ...


@dataclass(frozen=True)
class Choice:
    """Settings with nothing left open, and the reasons for a person."""

    settings: Settings
    reason: str


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model with all that is needed to use it."""

    path: Path
    task: Task
    model: Any  # of the task, in eval mode
    codecs: Mapping[str, Any]  # by the names of their files
    config: Mapping[str, Any]  # the content of `config.json`

    def __getattr__(self, name: str) -> Any:
        """A codec by its name: `run.tokenizer`, `run.source_tokenizer`."""
        held = vars(self)  # empty while a copy is made
        if name in held.get("codecs", {}):
            return self.codecs[name]
        of = f" of {self.task.name}" if "task" in held else ""
        raise AttributeError(f"a run{of} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.codecs]

    def with_model(self, model: Any) -> Self:
        """The same with another model of the same outputs, such as a held one; see `elman.lens.hold`."""
        return replace(self, model=model)

    @property
    def settings(self) -> Settings | None:
        """The run's settings; None where there is a model folder alone."""
        from elman.tasks import configuration

        return configuration.read_settings(self.path) if (self.path / "config.yaml").is_file() else None


@dataclass(frozen=True)
class Evaluation:
    """The scores of a model on some data."""

    report: dict[str, Any]  # as `--json` prints it: metrics by name, "loss" among them
    lines: Sequence[tuple[str, str]]  # for people: the name of each metric, and its value
    complete: bool = True  # whether the model read all of the data


@dataclass(frozen=True)
class ValidationScores:
    """What one reading of the validation part tells of a model, for a comparison."""

    losses: Floats  # (K,) of blocks of the part, in its order, summed over the targets of each
    targets: Floats  # (K,)
    scores: Mapping[str, float] = field(default_factory=dict)  # `Task.scores`, where the installation can measure them
    terms: Mapping[str, Floats] = field(default_factory=dict)
    """Of some scores, what each example adds (N, P) to the sums that `Task.score_of` makes the score of."""


@dataclass(frozen=True)
class Inputs:
    """What a model is asked: the lines of a file or of stdin as they arrive, or objects in memory."""

    name: str  # of the file, for people
    arriving: Iterable[Sequence[InputLine]] = ()  # lines that arrived together
    path: Path | None = None  # of the file, for a task that reads files in whole
    memory: Sequence[Any] | None = None  # objects, each of which has one answer; there are no lines then


@dataclass(frozen=True)
class Answer:
    """The model's answer to one input: to a line, or to as many lines as the task takes for one."""

    number: int  # of the input, from 1
    result: Any  # `Run.predict` returns it
    lines: Sequence[str]  # for people
    record: Mapping[str, Any]  # for programs; empty where there is nothing but `written`
    error: str = ""  # why there is no result
    written: bytes | None = None  # for people instead of `lines`: what was given, to the byte, and the answer in it


PREDICTED = "predicted"
"""The column, or the key, of the answers in a table or an object that is given back."""


def table_in(memory: Sequence[Any]) -> list[Mapping[str, Any]] | None:
    """The rows of the one table in memory that is asked about; None for inputs that are none."""
    [*rows] = memory[0] if len(memory) == 1 and isinstance(memory[0], list) else ()
    return rows if rows and all(isinstance(row, Mapping) for row in rows) else None


def in_table(rows: Sequence[Mapping[str, Any]], answers: Iterable[Answer], say: Say) -> Answer:
    """The rows of a table with the answer to each in a further column; None, and a line, where there is no answer."""
    made = []
    for row, answer in zip(rows, answers, strict=True):
        if answer.error:
            say(f"row {answer.number}: {answer.error}")
        made.append({**row, PREDICTED: None if answer.error else answer.result})
    return Answer(1, made, [], {})


@dataclass(frozen=True)
class Particulars:
    """What a person says of a model of another framework, whose file cannot hold it."""

    tokenizer: Tokenizer | None = None
    labels: Sequence[str] | None = None  # the names of the outputs, in order
    window: int | None = None  # steps of a series that are read


class Adopted(NamedTuple):
    """A model of another framework as one of a task."""

    config: dict[str, Any]  # `Task.build` makes the model from it
    codecs: Mapping[str, Codec]
    notes: Sequence[str]  # for people: what was taken for what nobody said


class Piece(NamedTuple):
    """A piece of a text that is written."""

    text: str
    token: str | None  # in the form that people are shown; None for the last bytes of an unfinished character
    log_probability: float  # in nats, under the model itself


class Writing(Protocol):
    """A text that a model writes after a prompt: its pieces, one after the other."""

    prompt_tokens: int
    unknown: int  # of the prompt's tokens
    seed: int

    @property
    def state(self) -> Any:
        """The state after the pieces that were taken."""
        ...

    def __iter__(self) -> Iterator[Piece]:
        """The pieces."""
        ...


def fitting_tokenizer(path: Path, vocab_size: int) -> Tokenizer:
    """A tokenizer of so many tokens. Raises `UserError` where the file is damaged, or another model's."""
    from elman.data.tokenizers import load_tokenizer

    tokenizer = load_tokenizer(path)
    if tokenizer.vocab_size != vocab_size:
        got = tokenizer.vocab_size
        raise UserError(f"{path} is another model's", expected=f"{vocab_size} tokens", got=got)
    return tokenizer
