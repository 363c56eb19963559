"""The next token as an objective, in lanes whose memory is carried from stretch to stretch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from elman.data.corpus import Corpus
from elman.data.lanes import Lanes
from elman.data.tokenfile import TokenFile
from elman.distributed import ALONE, Ranks
from elman.errors import UserError
from elman.models import LanguageModel
from elman.state import State
from elman.tasks.configuration import Settings
from elman.tasks.language_modelling.losses import cross_entropy
from elman.train import bptt
from elman.train.objective import Loss, Place

if TYPE_CHECKING:
    from elman.tasks.language_modelling.adaptive_truncation import AdaptiveTruncation


@dataclass
class NextToken:
    """The objective of a language model on a corpus (see `train.objective.Objective`).

    A batch of the epoch is one stretch of `k1` steps in every lane, through whose last `k2` steps the gradient flows
    (None: to the lanes' beginning). `adaptive` chooses k2 instead, where it is given.
    """

    train: Lanes
    valid: TokenFile
    eod: int | None
    k1: int
    k2: int | None
    adaptive: AdaptiveTruncation | None = None
    metric: str = field(default="loss", init=False)
    ranks: Ranks = field(default=ALONE, init=False)

    def __post_init__(self) -> None:
        self.training_size = self.train.lanes * self.train.steps
        self.validation_size = len(self.valid)

    def batches(self, epoch: int) -> int:
        """How many stretches the lanes have."""
        return bptt.count(self.train.steps, self.k1)

    def loss(self, model: nn.Module, place: Place, state: State | None) -> Loss:
        """Mean cross entropy, in nats a token, of one stretch."""
        model = cast(LanguageModel, model)
        device, adaptive = next(model.parameters()).device, self.adaptive
        k2 = adaptive.k2 if adaptive else self.k2
        begin = adaptive.kept if adaptive and state is not None else None
        part = bptt.stretch(place.batch, self.train.steps, self.k1, k2, begin)
        if adaptive:
            adaptive.epoch, adaptive.kept = place.epoch, part.keep

        def read(begin: int, stop: int, state: State | None) -> tuple[Tensor, State]:
            window = self.train.window(begin, stop, place.epoch).to(device)
            return model.read(window.inputs, state, resets=window.resets)

        hidden, kept = bptt.read(read, part, state)  # (B, T, H)
        targets = self.train.window(part.start, part.stop, place.epoch).to(device).targets  # (B, T)
        return Loss(cross_entropy(model, hidden, targets, "mean"), targets.numel(), kept)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Metrics on the whole validation set, the memory carried through it."""
        from elman.tasks.language_modelling.evaluation import evaluate

        return evaluate(cast(LanguageModel, model), self.valid, self.eod, ranks=self.ranks)

    def cost(self, metrics: dict[str, float]) -> float:
        """The loss."""
        return metrics["loss"]

    def describe(self, metrics: dict[str, float]) -> str:
        """Loss and bits a character, and the chosen window."""
        from elman.metrics.words import words

        text = f"{words(metrics['loss'])} nats a token, {words(metrics['bits_per_character'])} bits a character"
        return f"{text}, k2 {metrics['k2']:.0f}" if "k2" in metrics else text

    def initial_state(self, model: nn.Module) -> State:
        """A fresh memory for my lanes."""
        return cast(LanguageModel, model).initial_state(len(self.train.mine))

    def layers(self, model: nn.Module) -> Iterable[nn.Module]:
        """Those between the embedding and the output layer; none of a person's own model."""
        return cast(Iterable[nn.Module], getattr(model, "layers", ()))

    def divide(self, ranks: Ranks) -> None:
        """Read the lanes of this rank alone. Raises `UserError` where there are fewer lanes than processes."""
        lanes = self.train.lanes
        if lanes < ranks.size:
            remedy = "--set lanes=..., or fewer processes"
            raise UserError("lanes", expected=f"{ranks.size} or more, one for each process", got=lanes, remedy=remedy)
        self.ranks, self.train.mine = ranks.readers, ranks.share(self.train.mine)
        if self.adaptive:
            self.adaptive.ranks = ranks


def next_token(settings: Settings, corpus: Corpus) -> NextToken:
    """The objective of a training on a corpus."""
    train, eod, adaptive = settings.train, corpus.tokenizer.eod, None
    seed = train.seed if train.random_offsets else None
    lanes = Lanes(corpus.train, train.lanes, eod=eod, window=train.k1, seed=seed)
    if train.k2 == "auto":
        from elman.tasks.language_modelling.adaptive_truncation import AdaptiveTruncation  # and all of the lens

        adaptive = AdaptiveTruncation(lanes, train.k1, train.k2_cosine)
    return NextToken(lanes, corpus.valid, eod, train.k1, train.backward_steps, adaptive)
