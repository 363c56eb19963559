"""A classifier: an encoder, a pool over its hidden states, and an output layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import UserError, nearest
from elman.models.configuration import CLASSIFIER_SETTINGS, IMPORTED, ClassifierHead, RecurrentEncoderSettings
from elman.models.constructor import checked, configure
from elman.models.encoder import make_encoder
from elman.models.sequence_encoder import read_truncated
from elman.nn.dropout import Dropout
from elman.nn.ngram_embedding import NgramEmbedding
from elman.nn.pooling import Pooling, PoolState
from elman.nn.sequences import Integers, Lengths, Resets, as_tokens, embed
from elman.settings import UNITS
from elman.state import State

LabelKind = Literal["class", "number", "several"]


class ClassifierState(NamedTuple):
    """The memory of a causal classifier."""

    encoder: State
    pool: PoolState


class Classifier(nn.Module):
    """Logits for a whole sequence of tokens or of a series' channels.

        x_t = E[token_t]        or        W [value_t, missing_t] + b
        h_1 … h_T = encoder(x)
        logits = V pool(h_1 … h_T) + c

        logits, state = model(inputs, state, lengths=lengths)         inputs (B, T) or (B, T, C) -> (B, K)

    With `ngrams`, tokens are sets of numbers of n-grams, (B, T, G), and E[token] is the sum of their vectors.

    A value that is NaN is missing: it is read as 0, the mean of standardised values; where `missing`, a flag beside it
    says so. `kind_of_labels` says what the K outputs are: classes, one number, or several labels at once. A causal
    classifier keeps the state contract: its state holds all that the logits need of the steps before, so that there is
    a label while the sequence arrives. One that is not causal takes no state, and the state after it is ().

    `temperature` divides logits before they become probabilities (Guo et al. 2017, "On calibration of modern neural
    networks"); of a number it is the variance of the error. A label of several holds from its probability in
    `thresholds` (K,) on. All are fitted on the validation part. Raises `UserError` for settings that do not fit.

    >>> import torch
    >>> model = Classifier("gru", outputs=3, channels=2, hidden_size=8)  # of series of two channels
    >>> logits, _ = model(torch.randn(4, 20, 2), lengths=[20, 20, 11, 3])
    >>> logits.shape
    torch.Size([4, 3])
    """

    memory_part: ClassVar[str] = "encoder"
    temperature: Tensor
    thresholds: Tensor

    def __init__(
        self,
        model: str,
        *,
        outputs: int,
        kind_of_labels: LabelKind = "class",
        vocab_size: int | None = None,
        ngrams: bool = False,
        channels: int | None = None,
        missing: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__()
        if model not in CLASSIFIER_SETTINGS:
            raise UserError("model", expected="a kind of encoder", got=repr(model), remedy=nearest(str(model), KINDS))
        if (vocab_size is None) == (channels is None):
            raise UserError("a classifier", expected="either a vocab_size or a number of channels")
        own = configure(self, model, cast(type[RecurrentEncoderSettings], CLASSIFIER_SETTINGS[model]), settings)
        head = cast(ClassifierHead, own)
        self.outputs, self.kind_of_labels = _size(outputs, "outputs"), kind_of_labels
        self.vocab_size, self.ngrams = vocab_size, checked(ngrams, bool, "ngrams")
        self.channels, self.missing = channels, checked(missing, bool, "missing")
        E = cast(int, head.embedding_size)
        self.embedding: nn.Module
        if vocab_size is not None:
            kind = NgramEmbedding if self.ngrams else nn.Embedding
            self.embedding = kind(_size(vocab_size, "vocab_size"), E)
        else:
            C = _size(cast(int, channels), "channels") * (1 + self.missing)
            self.embedding = nn.Linear(C, E)
            nn.init.normal_(self.embedding.weight, std=C**-0.5)
            nn.init.zeros_(self.embedding.bias)
        self.encoder = make_encoder(model, E, own)
        H = self.encoder.output_size
        backward = 0 if self.encoder.causal or model == "transformer" else H // 2
        self.pool = Pooling(head.pooling, H, backward_size=backward)
        self.dropout = Dropout(head.dropout_pooled)
        self.output = nn.Linear(H, self.outputs)
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("thresholds", torch.full((self.outputs,), 0.5))

    @property
    def causal(self) -> bool:
        """Whether labels can be had while the sequence arrives."""
        return self.encoder.causal

    @property
    def config(self) -> dict[str, Any]:
        """Plain values from which `build_classifier` makes such a model again."""
        names = ("outputs", "kind_of_labels", "vocab_size", "ngrams", "channels", "missing")
        return {"model": self.kind, **{name: getattr(self, name) for name in names}, **self.settings.model_dump()}

    def initial_state(self, batch_size: int) -> State:
        """A fresh memory; () where the model is not causal."""
        if not self.causal:
            return ()
        like = self.output.weight
        return ClassifierState(self.encoder.initial_state(batch_size), self.pool.initial_state(batch_size, like))

    def embed(self, inputs: Integers | Tensor) -> Tensor:
        """Tokens (B, T), their n-grams (B, T, G), or values (B, T, C) -> (B, T, E). Raises `UserError` for others."""
        if self.vocab_size is not None:
            return embed(self.embedding, as_tokens(inputs, self, dims=3 if self.ngrams else 2))
        values = self.values(inputs)
        absent = values.isnan()
        values = values.masked_fill(absent, 0)
        return self.embedding(torch.cat((values, absent.to(values.dtype)), -1) if self.missing else values)

    def values(self, inputs: Any) -> Tensor:
        """Values (B, T, C) as the parameters are. Raises `UserError` for another shape."""
        like = next(self.parameters())
        values = torch.as_tensor(inputs, dtype=like.dtype, device=like.device)
        if values.dim() != 3 or values.shape[2] != self.channels:
            expected = f"values of shape (B, T, {self.channels})"
            raise UserError("inputs", expected=expected, got=f"shape {tuple(values.shape)}")
        return values

    def forward(
        self,
        inputs: Integers | Tensor,
        state: State | None = None,
        *,
        lengths: Lengths = None,
        resets: Resets = None,
        k2: int | None = None,
    ) -> tuple[Tensor, State]:
        """Logits (B, K) of all steps since each row's last reset, and the state after them.

        No gradient flows back over more than `k2` steps through time, for a call without `state` and `resets`.
        """
        if state is not None and not self.causal:
            self.encoder.refuse_steps()
        x, memory = self.embed(inputs), cast("ClassifierState | None", state)
        if k2 is not None and memory is None and resets is None:
            hidden, after = read_truncated(self.encoder, x, k2, lengths=lengths)
        else:
            before = None if memory is None else memory.encoder
            hidden, after = self.encoder(x, before, lengths=lengths, resets=resets)
        pooled, pool = self.pool(hidden, None if memory is None else memory.pool, lengths=lengths, resets=resets)
        logits = self.output(self.dropout(pooled.to(hidden.dtype)))
        return logits, ClassifierState(after, pool) if self.causal else ()

    def scores(
        self,
        inputs: Integers | Tensor,
        state: State | None = None,
        *,
        lengths: Lengths = None,
        resets: Resets = None,
        k2: int | None = None,
    ) -> tuple[Tensor, State]:
        """As a call: the logits or numbers (B, K) that losses take, and the state after the inputs."""
        return self(inputs, state, lengths=lengths, resets=resets, k2=k2)

    def refuse_steps(self) -> None:
        """Raise the `UserError` of a model that is not causal."""
        self.encoder.refuse_steps()

    @torch.no_grad()
    def pooling_weights(self, inputs: Integers | Tensor, *, lengths: Lengths = None) -> Tensor:
        """How much of what is pooled is of each step, (B, T); see `Pooling.weights`."""
        hidden, _ = self.encoder(self.embed(inputs), lengths=lengths)
        return self.pool.weights(hidden, lengths=lengths)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities (B, K) of logits (B, K), float64; over the classes, or of each label by itself."""
        scaled = logits.double() / self.temperature.double()
        return scaled.softmax(-1) if self.kind_of_labels == "class" else scaled.sigmoid()

    def nats(self, logits: Tensor, targets: Tensor) -> Tensor:
        """−log p (B,), float64, of targets by logits (B, K) that are calibrated; NaN of a target that is negative.

        Targets are classes (B,), standardised numbers (B,), or 0 and 1 for each label (B, K).
        """
        z, T = logits.double(), self.temperature.double().to(logits.device)
        if self.kind_of_labels == "number":
            return 0.5 * ((z[:, 0] - targets).square() / T + (2 * math.pi * T).log())
        if self.kind_of_labels == "several":
            return (F.softplus(z / T) - z / T * targets).sum(1)
        found = F.cross_entropy(z / T, targets.clamp(min=0), reduction="none")
        return found.masked_fill(targets < 0, torch.nan)

    def stacked_maps(self) -> dict[Tensor, int]:
        """Those of the encoder."""
        return self.encoder.stacked_maps()

    if TYPE_CHECKING:  # else mypy takes a setting for a tensor or a module, which torch.nn.Module finds by name

        def __getattr__(self, name: str) -> Any: ...


KINDS = tuple(CLASSIFIER_SETTINGS)


def build_classifier(config: Mapping[str, Any]) -> Classifier:
    """Make the classifier that a configuration names, its parameters drawn anew.

    >>> build_classifier({"model": "gru", "vocab_size": 9, "outputs": 3, "hidden_sise": 8})
    Traceback (most recent call last):
    elman.errors.UserError: hidden_sise: no setting of the model 'gru'; did you mean 'hidden_size'?
    """
    values = dict(config)
    kind = values.pop("model", "")
    if kind == IMPORTED:
        from elman.models.layered_classifier import LayeredClassifier

        return LayeredClassifier(**values)
    return Classifier(kind, **values)


def _size(value: int, name: str) -> int:
    """A positive number. Raises `UserError` for any other value."""
    size: int = checked(value, int, name)
    if not 1 <= size <= UNITS << 8:
        raise UserError(name, expected=f"from 1 to {UNITS << 8:,}", got=size)
    return size
