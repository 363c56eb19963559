"""A tagger: an encoder of words, and an output layer that scores every tag at every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from elman.errors import UserError, nearest
from elman.models.configuration import IMPORTED, TAGGER_SETTINGS, TaggerHead
from elman.models.constructor import checked, configure
from elman.models.encoder import make_encoder
from elman.models.sequence_encoder import read_truncated
from elman.models.word_reader import WordReader
from elman.nn.crf import CRF
from elman.nn.sequences import Integers, Lengths, Resets, as_batch, as_tokens
from elman.state import State


class Tagger(nn.Module):
    """Scores of K tags for every word of a sentence.

        x_t = reader(word_t)                            see `WordReader`
        h_1 … h_T = encoder(x_1 … x_T)
        scores_t = W h_t + b

        scores, state = model(words, spelling, characters, state, lengths=lengths)

    Without a CRF, p(tag_t) = softmax(scores_t), and a causal model keeps the state contract: tags can be had while the
    sentence arrives. With a CRF (Huang, Xu and Yu 2015, "Bidirectional LSTM-CRF models for sequence tagging",
    arXiv:1508.01991; characters as in Lample et al. 2016, arXiv:1603.01360), a search finds the best path of tags,
    which needs the whole sentence, and takes only `allowed` steps; see `CRF`.

    Args:
        model: the kind of encoder.
        tags: their names; `scheme` is that of the spans which they write, if they do.

    Raises:
        UserError: settings that do not fit.

    >>> import torch
    >>> model = Tagger("gru", 100, 30, ["O", "B-LOC"], hidden_size=8)
    >>> words, spelling = torch.tensor([[5, 9]]), torch.tensor([[0, 1]])
    >>> characters = torch.tensor([[3, 4, 5], [6, 7, 0]])  # of each different word, padded
    >>> model(words, spelling, characters)[0].shape
    torch.Size([1, 2, 2])
    """

    memory_part: ClassVar[str] = "encoder"

    def __init__(
        self,
        model: str,
        /,
        word_vocab_size: int,
        character_vocab_size: int,
        tags: Sequence[str],
        scheme: str | None = None,
        *,
        allowed: Tensor | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        if model not in TAGGER_SETTINGS:
            remedy = nearest(str(model), TAGGER_SETTINGS)
            raise UserError("model", expected="a kind of encoder", got=repr(model), remedy=remedy)
        own = cast(TaggerHead, configure(self, model, cast(Any, TAGGER_SETTINGS[model]), settings))
        self.word_vocab_size = checked(word_vocab_size, int, "word_vocab_size")
        self.character_vocab_size = checked(character_vocab_size, int, "character_vocab_size")
        if not isinstance(tags, Sequence) or not tags or not all(isinstance(tag, str) for tag in tags):
            raise UserError("tags", expected="the names of one tag or more", got=repr(tags)[:60])
        self.tags, self.scheme = tuple(tags), scheme
        self.reader = WordReader(word_vocab_size, character_vocab_size, own.embedding_size, own.character_size)
        self.encoder = make_encoder(model, self.reader.output_size, cast(Any, own))
        self.output_layer = nn.Linear(self.encoder.output_size, len(self.tags))
        nn.init.normal_(self.output_layer.weight, std=self.encoder.output_size**-0.5)
        nn.init.zeros_(self.output_layer.bias)
        self.crf_layer = CRF(len(self.tags), allowed) if own.crf else None

    @property
    def causal(self) -> bool:
        """Whether a tag can be had as soon as its word has arrived."""
        return self.encoder.causal and self.crf_layer is None

    @property
    def config(self) -> dict[str, Any]:
        """Plain values from which `elman.models.build_tagger` makes such a model again."""
        sizes = {"word_vocab_size": self.word_vocab_size, "character_vocab_size": self.character_vocab_size}
        return {
            "model": self.kind,
            **sizes,
            "tags": list(self.tags),
            "scheme": self.scheme,
            **self.settings.model_dump(),
        }

    def initial_state(self, batch_size: int) -> State:
        """A fresh memory; () where the encoder is not causal."""
        return self.encoder.initial_state(batch_size)

    def embed(self, words: Integers, spelling: Integers, characters: Integers) -> Tensor:
        """The encoder's inputs (B, T, D)."""
        given = {"words": words, "spelling": spelling, "characters": characters}
        return self.reader(*(as_tokens(each, self, name) for name, each in given.items()))

    def forward(
        self,
        words: Integers,
        spelling: Integers,
        characters: Integers,
        state: State | None = None,
        *,
        lengths: Lengths = None,
        resets: Resets = None,
        k2: int | None = None,
    ) -> tuple[Tensor, State]:
        """Scores (B, T, K) and the state after the words (B, T).

        The spelling of a word is the row of characters (U, C) at its `spelling` (B, T). No gradient flows back over
        more than `k2` steps, for a call without `state` and `resets`.

        Raises:
            UserError: a state, where the model needs the whole sentence.
        """
        x = self.embed(words, spelling, characters)
        _, lengths, resets = as_batch(self, words, lengths, resets)
        if k2 is not None and state is None and resets is None:
            hidden, after = read_truncated(self.encoder, x, k2, lengths=lengths)
        else:
            hidden, after = self.encoder(x, state, lengths=lengths, resets=resets)
        return self.output_layer(hidden), after

    def scores(self, *words: Any, **given: Any) -> tuple[Tensor, State]:
        """As a call: the scores that `nats`, `best` and `distribution` take, and the state after the words."""
        return self(*words, **given)

    def refuse_steps(self) -> None:
        """Raise a `UserError` where the model needs the whole sentence, and is asked for tags while it arrives."""
        if not self.encoder.causal:
            self.encoder.refuse_steps()
        if self.crf_layer is not None:
            what = "this model has a CRF, whose search needs the whole sentence: it cannot tag word by word"
            raise UserError(what, remedy="train one with --set crf=false")

    def loss(
        self,
        words: Tensor,
        spelling: Tensor,
        characters: Tensor,
        targets: Tensor,
        lengths: Tensor,
        *,
        k2: int | None = None,
    ) -> Tensor:
        """−log p (B,), in nats, of the targets (B, T) of each sentence; negative targets do not count."""
        return self.nats(self.scores(words, spelling, characters, lengths=lengths, k2=k2)[0], targets, lengths)

    def nats(self, scores: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
        """−log p (B,) of targets (B, T) by the scores (B, T, K)."""
        if self.crf_layer is not None:
            return self.crf_layer.loss(scores, targets, lengths)
        exact = scores.to(torch.promote_types(scores.dtype, torch.float32))
        wanted = targets.masked_fill(targets < 0, NOT_COUNTED)
        return F.cross_entropy(exact.transpose(1, 2), wanted, ignore_index=NOT_COUNTED, reduction="none").sum(1)

    def best(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The tags (B, T) that scores (B, T, K) speak for; 0 at padding."""
        if self.crf_layer is not None:
            return self.crf_layer.best(scores, lengths)
        padding = torch.arange(scores.shape[1], device=scores.device) >= lengths[:, None]
        return scores.argmax(-1).masked_fill(padding, 0)

    def tag(self, words: Tensor, spelling: Tensor, characters: Tensor, lengths: Tensor) -> Tensor:
        """The best tag (B, T) of every word."""
        return self.best(self.scores(words, spelling, characters, lengths=lengths)[0], lengths)

    def probabilities(self, words: Tensor, spelling: Tensor, characters: Tensor, lengths: Tensor) -> Tensor:
        """The probability (B, T, K) of each tag."""
        return self.distribution(self.scores(words, spelling, characters, lengths=lengths)[0], lengths)

    def distribution(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The probability (B, T, K) of each tag by the scores: softmax, or the CRF's marginals over allowed paths."""
        exact = scores.double()
        return exact.softmax(-1) if self.crf_layer is None else self.crf_layer.marginals(exact, lengths)

    def stacked_maps(self) -> dict[Tensor, int]:
        """Those of the encoder, and those of the LSTM that reads characters."""
        spelled = [p for p in self.reader.spelling.parameters() if p.dim() == 2] if self.character_size else []
        return self.encoder.stacked_maps() | dict.fromkeys(spelled, 4)

    def undecayed(self) -> list[Tensor]:
        """The pretrained vectors of words: decay would shrink those of words that no training sentence has."""
        return [self.reader.words.weight] if self.vectors is not None else []

    if TYPE_CHECKING:  # else mypy takes a setting for a tensor or a module, which torch.nn.Module finds by name

        def __getattr__(self, name: str) -> Any: ...


NOT_COUNTED = -100  # the target that torch's cross entropy leaves out


def build_tagger(config: Mapping[str, Any], allowed: Tensor | None = None) -> Tagger:
    """Make the tagger that a configuration names, its parameters drawn anew.

    >>> build_tagger({"model": "gru", "word_vocab_size": 9, "character_vocab_size": 9, "tags": ["X"], "hidden_sise": 8})
    Traceback (most recent call last):
    elman.errors.UserError: hidden_sise: no setting of the model 'gru'; did you mean 'hidden_size'?
    """
    values = dict(config)
    if values.get("model") == IMPORTED:
        from elman.models.layered_tagger import LayeredTagger

        return LayeredTagger(**{name: value for name, value in values.items() if name != "model"})
    for name in ("word_vocab_size", "character_vocab_size", "tags"):
        if name not in values:
            raise UserError(f"{name}: the model needs it")
    return Tagger(values.pop("model", ""), allowed=allowed, **values)
