"""What a task is: all that elman knows of one kind of data, from recognising a file to the words for people.

A task is a folder beside this file with one subclass of `Task`, and one line in `elman.tasks.TASKS`. Commands, runs,
trainings, comparisons and reports ask the task and name none. Importing a task imports no torch: its methods import
what they need.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeVar

from elman.errors import UserError
from elman.settings import Section
from elman.train.settings import Optimization

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import nn

    from elman.data.linefile import InputLine
    from elman.data.tokenizers import Tokenizer
    from elman.inspection import Inspection, Look, Observed
    from elman.tasks.configuration import Settings
    from elman.train.objective import Objective

    Floats = npt.NDArray[np.float64]

S = TypeVar("S", bound=Section)

Say = Callable[[str], None]
"""Tells a person one line."""
Progress = Callable[[str, float], None]
"""Told what is being done, and how much of it is done, 0 to 1."""
NONE: Mapping[str, Any] = MappingProxyType({})
Sources = Sequence[Any]
"""Where data come from: paths, names, or data in memory."""


class Codec(Protocol):
    """What turns the data of people into numbers and back, such as a tokenizer: a file of the model's folder."""

    def to_json(self) -> dict[str, Any]:
        """All that makes it again."""
        ...


@dataclass(frozen=True)
class Choice:
    """Settings with nothing left open, and why they are what they are."""

    settings: Settings
    reason: str


@dataclass(frozen=True)
class Trained:
    """A trained model with all that is needed to use it."""

    path: Path
    task: Task
    model: Any  # of the task, in eval mode
    codecs: Mapping[str, Any]  # by the names of their files
    config: Mapping[str, Any]  # what `config.json` holds

    def __getattr__(self, name: str) -> Any:
        """A codec by its name: `run.tokenizer`, `run.source_tokenizer`."""
        if not name.startswith("_") and name in self.codecs:
            return self.codecs[name]
        raise AttributeError(f"a run of {self.task.name} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.codecs]

    @property
    def settings(self) -> Settings | None:
        """The run's settings; None where there is a model folder alone."""
        from elman.tasks import configuration

        return configuration.read_settings(self.path) if (self.path / "config.yaml").is_file() else None


@dataclass(frozen=True)
class Evaluation:
    """What a model is worth on some data."""

    report: dict[str, Any]  # as `--json` prints it, its metrics by name, "loss" among them
    lines: Sequence[tuple[str, str]]  # for people: what, and how much
    complete: bool = True  # whether every part of the data was looked at


@dataclass(frozen=True)
class Answer:
    """What a model makes of one line of its input."""

    number: int  # of the line, from 1
    result: Any  # what `Run.predict` returns for it
    lines: Sequence[str]  # for people
    record: Mapping[str, Any]  # for programs
    error: str = ""  # why there is no result


class Piece(NamedTuple):
    """A piece of a text that is written."""

    text: str
    token: str | None  # as people are shown it; None: the rest of a character, which no token completed
    log_probability: float  # in nats, under the model itself


class Text(Protocol):
    """Pieces of a text as they are written, and the memory after those that were taken."""

    state: Any

    def __iter__(self) -> Iterator[Piece]:
        """The pieces."""
        ...


@dataclass(frozen=True)
class Writing:
    """A text that a model goes on with."""

    prompt_tokens: int
    unknown: int  # of the prompt's tokens
    seed: int
    text: Text


class Task(ABC):
    """One kind of data and what is learnt from it; see the module."""

    name: ClassVar[str]
    title: ClassVar[str]
    """What its model is called: "a language model"."""
    synonyms: ClassVar[str] = ""
    """What other tools call the task: words with spaces between."""
    reads: ClassVar[str]
    """What its data may be, for the help of commands: a sentence."""
    target: ClassVar[str] = "token"
    """What a loss is a mean over."""
    unit: ClassVar[str] = "nats"
    """In what a loss is counted."""
    sample: ClassVar[tuple[str, str]] = ("this", "text")
    """What data to validate on are called."""
    data: ClassVar[type[Section]]
    """Settings of the data; `source`, `valid` and `fingerprint` are among them."""
    places: ClassVar[Mapping[str, Sequence[str]]] = {"source": (), "valid": ()}
    """Those that say where the data are, each with the others that go with it; they may change when a run goes on."""
    models: ClassVar[Mapping[str, type[Section]]]
    """Settings of each kind of model."""
    kind: ClassVar[str]
    """The kind where nobody says one."""
    train: ClassVar[type[Optimization]]
    """Settings of the training."""
    options: ClassVar[Mapping[str, type[Section]]]
    """The commands that use a run of this task beside `inspect`, with the options that each takes for it."""
    codec_names: ClassVar[Sequence[str]] = ()
    """Files of a model's folder, beside its weights and its configuration."""
    parts: ClassVar[Sequence[str]] = ()
    """The names of `looks`, for who must not import them."""
    batch: ClassVar[Sequence[str]]
    """Settings of the training whose product is about how many targets a batch has."""
    size: ClassVar[str] = "hidden_size"
    """The setting of a model that a comparison changes until the model has as many parameters as the others."""
    scores: ClassVar[Mapping[str, str]] = {}
    """What a comparison shows of a model beside its loss, by name, with the heading of each in a table."""

    # Data

    @abstractmethod
    def recognises(self, data: Sources, valid: Sources) -> bool:
        """Whether the data look like this task's, where nobody says a task.

        Raises `UserError` where they look like those of no task, or cannot be read.
        """

    @abstractmethod
    def files(self, data: Sources, valid: Sources) -> dict[str, Any]:
        """The settings of the data that say where they are. Raises `UserError` for too many."""

    @abstractmethod
    def check(self, settings: Settings) -> None:
        """See that the data are there, and what else the training needs. Raises `UserError` where they are not."""

    def records(self, data: Any, targets: Any) -> Iterable[Mapping[str, Any]] | None:
        """Data in memory as lines of JSON that `recognises` and `corpus` read; None where they are not this task's."""
        return None

    @abstractmethod
    def corpus(
        self, settings: Settings, cache: Path, say: Say, progress: Progress | None, codecs: Mapping[str, Any] = NONE
    ) -> Any:
        """Read the data into a cache; the result has a `fingerprint`.

        `codecs` are those of the run that the training begins with, or goes on with, where they are not to be learnt.
        Raises `UserError` where the data are not usable.
        """

    @abstractmethod
    def describe(self, corpus: Any) -> str:
        """How much data there are."""

    # Training

    @abstractmethod
    def choose(self, settings: Settings, corpus: Any) -> Choice:
        """Fill in what was left open."""

    @abstractmethod
    def model_config(self, settings: Settings, corpus: Any) -> dict[str, Any]:
        """All that `build` makes the model from."""

    @abstractmethod
    def build(self, config: Mapping[str, Any]) -> nn.Module:
        """The model of a configuration, its parameters drawn anew. Raises `UserError` for one that is none."""

    def own(self, model: nn.Module | Callable[..., nn.Module], config: Mapping[str, Any]) -> nn.Module:
        """Somebody's own model, or what they make of the sizes of the vocabularies, as the task needs it."""
        from torch import nn

        sizes = [size for name, size in config.items() if name.endswith("vocab_size")]
        return model if isinstance(model, nn.Module) else model(*sizes)

    @abstractmethod
    def objective(self, settings: Settings, corpus: Any) -> Objective:
        """What is learnt."""

    # Use

    @abstractmethod
    def codecs(self, corpus: Any) -> Mapping[str, Codec]:
        """What turns the corpus into numbers, by `codec_names`."""

    @abstractmethod
    def read_codecs(self, folder: Path, model: nn.Module) -> Mapping[str, Any]:
        """The codecs in a model's folder. Raises `UserError` where they are damaged, or another model's."""

    @abstractmethod
    def usage(self, folder: Path) -> str:
        """How a model is used, for its card: a few lines of Python and of the command line."""

    @abstractmethod
    def evaluate(self, run: Trained, data: Sources, options: Any, say: Say, progress: Progress) -> Evaluation:
        """What the model is worth on data. Raises `UserError` where they do not fit it."""

    def predict(self, run: Trained, lines: Iterable[Sequence[InputLine]], options: Any, say: Say) -> Iterator[Answer]:
        """Answer every line; lines come together as they arrive. Tasks with "predict" among their `options` do."""
        raise NotImplementedError

    def generate(self, run: Trained, prompt: str, options: Any, state: Any = None) -> Writing:
        """Go on with a prompt. Tasks with "generate" among their `options` do."""
        raise NotImplementedError

    # The microscope

    @property
    @abstractmethod
    def looks(self) -> Mapping[str, Look]:
        """What the microscope can look at, by name."""

    @abstractmethod
    def observe(self, run: Trained, data: Sources) -> Observed:
        """What the looks are given: the model and data, or those that it was validated on where there are none."""

    def inspect(
        self,
        run: Trained,
        data: Sources,
        *,
        parts: Sequence[str] = (),
        progress: Progress = lambda name, done: None,
    ) -> Inspection:
        """Look at the model while it reads data; see `elman.inspection.inspect`."""
        from elman.inspection import inspect

        looks = self.looks
        return inspect(self.observe(run, data), looks, parts=parts, progress=progress)

    # Comparison

    @abstractmethod
    def block_losses(self, model: Any, corpus: Any) -> tuple[Floats, Floats]:
        """Losses (K,) of blocks of the validation set, in its order, summed over the targets (K,) of each."""

    @abstractmethod
    def counts(self, corpus: Any) -> dict[str, int]:
        """How much of everything there is in the data, by name."""

    @abstractmethod
    def training_targets(self, corpus: Any) -> int:
        """How many targets an epoch has."""

    def operations(self, settings: Settings, corpus: Any) -> float:
        """Floating-point operations to train on one target: two forward and four backward for each parameter."""
        from elman.tasks.capacity import count_parameters

        return 6.0 * count_parameters(lambda: self.build(self.model_config(settings, corpus)))

    def as_measured(self, settings: Settings, measured: Settings) -> Settings:
        """Settings with those of `measured` that `choose` makes from the speed of the machine."""
        return settings

    def score(self, model: Any, corpus: Any, loss: float) -> dict[str, float]:
        """The `scores` of a model with this loss on the validation set, as far as they can be measured here."""
        return {}

    def memory(self, model: Any, corpus: Any) -> dict[str, Any] | None:
        """How far gradients reach back: the numbers of `lens.Decay`, how many `lags`, the median `gradient` at each.

        Empty where the validation set is too short to tell; None where the task does not measure it.
        """
        return None

    def attention_window(self, model: Section) -> tuple[int, int] | None:
        """How many steps attention sees in a layer, and in how many layers; None where there is no bound."""
        return None

    def decoding_speed(self, model: Any) -> float | None:
        """Targets a second, written one after the other; None where nothing is written."""
        return None

    @property
    def loss_unit(self) -> str:
        """Such as "nats a token"."""
        return f"{self.unit} a {self.target}"

    def options_of(self, command: str, given: Mapping[str, Any], run: str | Path) -> Any:
        """The options of a command, from those that were given by name.

        Raises:
            UserError: the command is not for this task, or an option is another task's or out of its range.
        """
        from elman.tasks import TASKS, configuration

        if command not in self.options:
            uses = " and ".join(f"`elman {use} {run}`" for use in self.options)
            able = [task.title for task in TASKS.values() if command in task.options]
            expected = " or ".join(able)
            raise UserError(f"{run}", expected=expected, got=self.title, remedy=f"use it with {uses}", exit_code=2)
        section = self.options[command]
        for name in given:
            if name not in section.model_fields:
                owners = [task.title for task in TASKS.values() if name in _fields(task, command)]
                if owners:
                    option = f"--{name.replace('_', '-')}"
                    what = f"{option} is an option for {' and '.join(owners)}"
                    raise UserError(what, got=f"{run}, {self.title}", remedy="leave it out", exit_code=2)
        return configuration.make_section(section, given)


def _fields(task: Task, command: str) -> Mapping[str, Any]:
    return task.options[command].model_fields if command in task.options else {}


def fill(section: S, asked: Section, **values: Any) -> S:
    """A section with these values, except where something was asked for."""
    return section.model_copy(update={key: v for key, v in values.items() if key not in asked.model_fields_set})


def fitting_tokenizer(path: Path, vocab_size: int) -> Tokenizer:
    """A tokenizer of so many tokens. Raises `UserError` where the file is damaged, or another model's."""
    from elman.data.tokenizers import load_tokenizer

    tokenizer = load_tokenizer(path)
    if tokenizer.vocab_size != vocab_size:
        got = tokenizer.vocab_size
        raise UserError(f"{path} is another model's", expected=f"{vocab_size} tokens", got=got)
    return tokenizer
