"""A task: all that elman knows of one kind of data, from recognising a file to the words for people.

A task is a folder beside this file with one subclass of `Task`, and one line in `elman.tasks.TASKS`. Commands, runs,
trainings, comparisons and reports ask the task and name none. Importing a task imports no torch: its methods import
what they need, or are `deferred`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from elman.errors import UserError
from elman.settings import Section
from elman.tasks.exchange import (
    NONE,
    Adopted,
    Answer,
    Choice,
    Codec,
    Evaluation,
    Inputs,
    Particulars,
    Progress,
    Say,
    Sources,
    Trained,
    ValidationScores,
    Writing,
)
from elman.train.settings import Optimization

if TYPE_CHECKING:
    from torch import nn

    from elman.arrays import Floats
    from elman.inspection import Inspection, Look, Observed
    from elman.models.layered import LayeredModel
    from elman.tasks.configuration import Settings
    from elman.tasks.listening import Listener, Memory
    from elman.tasks.watching import Watched, WatchOptions
    from elman.train.objective import Objective


class Task(ABC):
    """One kind of data, and everything that a model learns from them; see the module.

    >>> from elman.tasks import TASKS
    >>> task = TASKS["translation"]
    >>> task.kind, task.codec_names, [*task.scores]
    ('lstm', ('source_tokenizer', 'target_tokenizer'), ['exact_match', 'bleu', 'chrf'])
    """

    name: ClassVar[str]
    title: ClassVar[str]  # of its models, for people: "a language model"
    synonyms: ClassVar[str] = ""  # other tools' names for the task: words with spaces between
    reads: ClassVar[str]  # a sentence for the help of commands: the data that the task takes
    target: ClassVar[str] = "token"  # a loss is a mean over targets
    unit: ClassVar[str] = "nats"  # of a loss
    sample: ClassVar[tuple[str, str]] = ("this", "text")  # the words for validation data
    data: ClassVar[type[Section]]  # settings of the data; `source`, `valid` and `fingerprint` are among them
    places: ClassVar[Mapping[str, Sequence[str]]] = {"source": (), "valid": ()}
    """The settings that say where the data are, each with those that go with it; they may change when a run goes on."""
    models: ClassVar[Mapping[str, type[Section]]]  # settings of each kind of model
    kind: ClassVar[str]  # the kind of model where nobody chooses one
    train: ClassVar[type[Optimization]]  # settings of the training
    options: ClassVar[Mapping[str, type[Section]]]
    """The commands that use a run of this task beside `inspect`, with the options that each takes for it."""
    codec_names: ClassVar[Sequence[str]] = ()  # files of a model's folder, and attributes of a corpus
    parts: ClassVar[Sequence[str]] = ()  # the names of `looks`, for commands that must not import them
    usage: ClassVar[str]  # for a model's card: lines of Python and of the command line, with {run} for its folder
    batch: ClassVar[Sequence[str]]  # settings of the training whose product is about the number of targets in a batch
    whole: ClassVar[bool | None] = None  # whether an output is of a whole sequence; None: of either
    size: ClassVar[str] = "hidden_size"
    """The setting of a model that a comparison changes until the model has as many parameters as the others."""
    scores: ClassVar[Mapping[str, str]] = {}
    """The scores that a comparison shows beside the loss, by name, with the heading of each in a table."""
    ranking: ClassVar[Mapping[str, Literal["more", "less"]]] = {}
    """Whether more or less of a score is better; a comparison tells the order by the first that was measured."""
    floors: ClassVar[Mapping[str, str]] = {}
    """Of a score, the score of a forecast without a model, below which no model should be."""
    terms: ClassVar[Mapping[str, int]] = {}
    """How many sums a score is made of, where it is no ratio of two."""

    # Data

    @abstractmethod
    def recognises(self, data: Sources, valid: Sources) -> str | None:
        """Why the data look like this task's, such as "train.tsv holds pairs"; None where they do not.

        Raises `UserError` where the data look like those of no task, or cannot be read.
        """

    @abstractmethod
    def files(self, data: Sources, valid: Sources) -> dict[str, Any]:
        """The settings of the data that say where they are. Raises `UserError` for too many."""

    @abstractmethod
    def check(self, settings: Settings) -> None:
        """See that the data and all else that a training needs are there. Raises `UserError` where they are not."""

    def records(self, data: Any, targets: Any) -> Iterable[Mapping[str, Any]] | None:
        """Data in memory as lines of JSON that `recognises` and `corpus` read; None where they are not this task's."""
        return None

    @abstractmethod
    def corpus(
        self, settings: Settings, cache: Path, say: Say, progress: Progress | None, codecs: Mapping[str, Any] = NONE
    ) -> Any:
        """Read the data into a cache; the result has a `fingerprint`, and each codec under its name.

        `codecs` are those of the run that the training begins with, or resumes; without them, codecs are learnt.
        Raises `UserError` where the data are not usable.
        """

    @abstractmethod
    def describe(self, corpus: Any) -> str:
        """How much data there are, in words."""

    # Training

    @abstractmethod
    def choose(self, asked: Settings, corpus: Any) -> Choice:
        """Choose the settings that a person left open: those not in the `model_fields_set` of their sections."""

    @abstractmethod
    def model_config(self, settings: Settings, corpus: Any) -> dict[str, Any]:
        """Everything that `build` makes the model from."""

    @abstractmethod
    def build(self, config: Mapping[str, Any]) -> nn.Module:
        """The model of a configuration, its parameters drawn anew. Raises `UserError` for a wrong configuration."""

    def own(self, model: nn.Module | Callable[..., nn.Module], config: Mapping[str, Any]) -> nn.Module:
        """A person's own model, or the model that their callable makes of the sizes of the vocabularies.

        Raises `UserError` where that is no module, or has no parameters.
        """
        from elman.models.own import module_of

        return module_of(model, [size for name, size in config.items() if name.endswith("vocab_size")])

    def begin(self, model: nn.Module, settings: Settings, corpus: Any) -> None:  # noqa: B027
        """Give a new model what it takes from elsewhere before its training, such as vectors of words."""

    @abstractmethod
    def objective(self, settings: Settings, corpus: Any) -> Objective:
        """The objective that the model is trained on."""

    # Models of other frameworks

    def recognises_network(self, network: LayeredModel) -> str | None:
        """Why layers look like a model of this task, such as "it has an output for a whole sequence"; None: no."""
        return None

    def adopt(self, network: LayeredModel, said: Particulars) -> Adopted:
        """The layers as a model of this task. Raises `UserError` where they do not fit the task, or what is said."""
        able = ", ".join(task.name for task in _tasks() if type(task).adopt is not Task.adopt)
        what, remedy = f"{self.name} takes no model of another framework", f"name another task: {able}"
        raise UserError(what, remedy=remedy, exit_code=2)

    # Use

    def codecs(self, corpus: Any) -> Mapping[str, Codec]:
        """The codecs of a corpus, by `codec_names`."""
        return {name: getattr(corpus, name) for name in self.codec_names}

    @abstractmethod
    def read_codecs(self, folder: Path, model: nn.Module) -> Mapping[str, Any]:
        """The codecs in a model's folder. Raises `UserError` where they are damaged, or another model's."""

    @abstractmethod
    def evaluate(self, run: Trained, data: Sources, options: Any, say: Say, progress: Progress) -> Evaluation:
        """Score the model on data. Raises `UserError` where they do not fit it."""

    def keys(self, run: Trained) -> Collection[str]:
        """The keys of objects that are predicted, each of which has one of them."""
        return ()

    def predict(self, run: Trained, inputs: Inputs, options: Any, say: Say) -> Iterator[Answer]:
        """Answer every input, in order. Tasks with "predict" among their `options` do."""
        raise NotImplementedError

    def generate(self, run: Trained, prompt: str, options: Any, state: Any = None) -> Writing:
        """Go on with a prompt. Tasks with "generate" among their `options` do."""
        raise NotImplementedError

    # Serving

    def listener(self, run: Trained, options: Mapping[str, Any] = NONE) -> Listener:
        """The model for many sessions at once. Raises `UserError` where the task is not served, or for an option.

        The options are those of a server that concern a model: `chunk`, how many units of a prompt are read in a round,
        and others that a task knows; a task passes over what it does not know.
        """
        able = ", ".join(task.name for task in _tasks() if type(task).listener is not Task.listener)
        what, remedy = f"{run.path}: {self.name} is not served", f"serve a run of another task: {able}"
        raise UserError(what, remedy=remedy, exit_code=2)

    # The microscope

    @property
    @abstractmethod
    def looks(self) -> Mapping[str, Look]:
        """The looks of the microscope, by name."""

    @abstractmethod
    def observe(self, run: Trained, data: Sources) -> Observed:
        """The model with these data, for the looks; without data, with those that the model was validated on."""

    watch_lag: ClassVar[int] = 0  # 1: what is watched of a unit is the step that chose it, which read the unit before

    def watch(self, run: Trained, memory: Memory, units: Sequence[Any], skip: int, options: WatchOptions) -> Watched:
        """What happens while a session's `units` are read from the memory before them; the first `skip` are not told.

        The run's model is a twin, which nobody else reads with. Raises `UserError` where the task shows nothing, or for
        an option that does not fit the model.
        """
        raise UserError(f"{run.path}: {self.name} shows nothing of a session", exit_code=2)

    def inspect(self, run: Trained, data: Sources, *, parts: Sequence[str], progress: Progress) -> Inspection:
        """Look at the model while it reads data; see `elman.inspection.inspect`."""
        from elman.inspection import inspect

        return inspect(self.observe(run, data), self.looks, parts=parts, progress=progress)

    # Comparison

    @abstractmethod
    def measure(self, model: Any, corpus: Any) -> ValidationScores:
        """The losses and the `scores` of a model on the validation part, which is read once for all of them."""

    def score_of(self, name: str, sums: Floats) -> Floats:
        """The values (R,) of a score, of sums (R, P) over the terms of examples: the first by the second of two."""
        from elman.metrics.sums import ratio

        return ratio(sums)

    @abstractmethod
    def counts(self, corpus: Any) -> dict[str, int]:
        """The sizes of the parts of the data and of the vocabularies, by name."""

    @abstractmethod
    def training_targets(self, corpus: Any) -> int:
        """How many targets an epoch has."""

    def operations(self, settings: Settings, corpus: Any) -> float:
        """Floating-point operations to train on one target: two forward and four backward for each parameter."""
        from elman.tasks.sizing import count_parameters

        return 6.0 * count_parameters(lambda: self.build(self.model_config(settings, corpus)))

    def as_measured(self, settings: Settings, measured: Settings) -> Settings:
        """Settings with those of `measured` that `choose` makes from the speed of the machine."""
        return settings

    def memory(self, model: Any, corpus: Any) -> dict[str, Any] | None:
        """How far gradients reach back: the numbers of `lens.Decay`, how many `lags`, the median `gradient` at each.

        Empty where the validation set is too short to tell; None where the task does not measure it.
        """
        return None

    def attention_window(self, model: Section) -> tuple[int, int] | None:
        """How many steps attention sees in a layer, and in how many layers; None where there is no bound."""
        return None

    def decoding_speed(self, model: Any) -> float | None:
        """Targets a second, written one after the other; None where the task writes nothing."""
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
        from elman.tasks.options import options_of

        return options_of(self, command, given, run)


def _tasks() -> Iterable[Task]:
    from elman.tasks import TASKS

    return TASKS.values()
