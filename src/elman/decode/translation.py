"""TranslatedLine of text: lines in, lines out, in their order, decoded in batches of like length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from elman.data.tokenizers import Tokenizer
from elman.decode.ancestral import sample_targets
from elman.decode.beam import beam_search
from elman.decode.constraints import Constraints, default_max_length
from elman.decode.hypotheses import Hypothesis
from elman.errors import UserError
from elman.models.encoder_decoder import EncoderDecoder

Alignment: TypeAlias = list[list[float]]
BATCHES = 16  # in a window: the more, the less padding, and the longer until the first line is there


@dataclass(frozen=True)
class Beam:
    """Search with a beam; see `beam_search`."""

    width: int = 5
    n_best: int = 1
    length_alpha: float = 0.6
    coverage_beta: float = 0.0


@dataclass(frozen=True)
class Sampling:
    """Draw targets at random; see `sample_targets`. What a line becomes depends on the seed and its number alone."""

    seed: int
    samples: int = 1
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None


@dataclass(frozen=True)
class Candidate:
    """One of the translations of a line."""

    text: str
    score: float
    log_probability: float
    """In nats, of the whole."""
    tokens: tuple[str, ...]
    """As they are shown to people."""
    alignment: Alignment | None
    """Where it was asked for: for each token what it attended to, a weight for each source token."""


@dataclass(frozen=True)
class TranslatedLine:
    """What a line became."""

    number: int
    """Of the line, from 1."""
    source: str
    source_tokens: tuple[str, ...]
    """As they are shown to people, with the token that ends a source."""
    unknown: int
    """How many of them stand for what the vocabulary lacks."""
    candidates: tuple[Candidate, ...]
    """The best first; samples as they were drawn. Never empty."""
    error: str = ""
    """Why the line was not translated, where it was not: then its one candidate is empty."""

    @property
    def text(self) -> str:
        """The best candidate's."""
        return self.candidates[0].text


@dataclass(frozen=True)
class Translator:
    """All that turns lines into translations.

    `prefix` is what every translation begins with. The unknown token and a line's end are never written. `batch_size`
    sentences are decoded together; `max_source` is the longest source in tokens that is taken on, its end among them,
    where the model's own limit is not less.
    """

    model: EncoderDecoder
    source_tokenizer: Tokenizer
    target_tokenizer: Tokenizer
    search: Beam | Sampling = Beam()
    constraints: Constraints = field(default_factory=Constraints)
    prefix: str = ""
    batch_size: int = 64
    max_source: int | None = None
    alignments: bool = False

    @property
    def window(self) -> int:
        """How many lines are best given at once."""
        return BATCHES * self.batch_size

    def __call__(self, lines: Sequence[str], first: int = 1) -> Iterator[TranslatedLine]:
        """Translate lines together, the first of which has the number `first`; a blank one stays empty.

        One that is too long stays empty too, and its `error` says so; the others are translated as ever.
        """
        sources = [self._encode(line) for line in lines]
        errors = [self._too_long(len(source)) for source in sources]
        taken = [[] if error else source for source, error in zip(sources, errors, strict=True)]
        for translation, error in zip(self._translate(lines, taken, first), errors, strict=True):
            yield replace(translation, error=error) if error else translation

    def _too_long(self, length: int) -> str:
        """What is wrong with a source of so many tokens; nothing where it is short enough."""
        longest = self.model.longest
        if longest is not None and length > longest:
            return f"expected at most the model's {longest:,} positions, got {length:,}; split it"
        if self.max_source is not None and length > self.max_source:
            remedy = "split it, or raise the limit (--max-source)"
            return f"expected at most {self.max_source:,} tokens, got {length:,}; {remedy}"
        return ""

    def _encode(self, line: str) -> list[int]:
        """The source tokens of a line with their end, none for a blank line."""
        assert self.source_tokenizer.eod is not None
        ids = self.source_tokenizer.encode(line).tolist() if line.strip() else []
        return [*ids, self.source_tokenizer.eod] if ids else []

    def _translate(self, lines: Sequence[str], sources: list[list[int]], first: int) -> list[TranslatedLine]:
        blank = Candidate("", 0.0, 0.0, (), [] if self.alignments else None)
        found: list[tuple[Candidate, ...]] = [(blank,)] * len(lines)
        order = sorted((i for i, source in enumerate(sources) if source), key=lambda i: len(sources[i]))
        for start in range(0, len(order), self.batch_size):
            places = order[start : start + self.batch_size]
            candidates = self._decode([sources[i] for i in places], [first + i for i in places])
            for place, of_it in zip(places, candidates, strict=True):
                found[place] = of_it
        return [
            TranslatedLine(
                number,
                line,
                tuple(self.source_tokenizer.symbol(token) for token in source),
                self.source_tokenizer.count_unknown(source),
                candidates,
            )
            for number, (line, source, candidates) in enumerate(zip(lines, sources, found, strict=True), first)
        ]

    def _decode(self, sources: list[list[int]], numbers: list[int]) -> list[tuple[Candidate, ...]]:
        """Decode a batch of sentences; the numbers are their lines'."""
        device = next(self.model.parameters()).device
        lengths = torch.tensor([len(source) for source in sources], device=device)
        source = pad_sequence([torch.tensor(ids) for ids in sources], batch_first=True).to(device)
        hypotheses = self._search(source, lengths, numbers)
        alignments = self._align(source, lengths, hypotheses) if self.alignments else None
        return [
            tuple(
                Candidate(
                    self.target_tokenizer.decode(y.tokens),
                    y.score,
                    y.log_probability,
                    tuple(self.target_tokenizer.symbol(token) for token in y.tokens),
                    alignments[row][rank] if alignments else None,
                )
                for rank, y in enumerate(of_one)
            )
            for row, of_one in enumerate(hypotheses)
        ]

    def _search(self, source: Tensor, lengths: Tensor, numbers: list[int]) -> list[list[Hypothesis]]:
        tokenizer, how = self.target_tokenizer, self.search
        assert tokenizer.eod is not None
        prefix = tokenizer.encode(self.prefix).tolist()
        constraints = replace(
            self.constraints,
            max_length=self._max_length(lengths),
            prefixes=[prefix] * len(source) if prefix else None,
            banned=[*self.constraints.banned, *(x for x in (tokenizer.unk, tokenizer.eos) if x is not None)],
        )
        if isinstance(how, Beam):
            return beam_search(
                self.model,
                source,
                lengths,
                end=tokenizer.eod,
                beam=how.width,
                n_best=how.n_best,
                length_alpha=how.length_alpha,
                coverage_beta=how.coverage_beta,
                constraints=constraints,
            )
        return sample_targets(
            self.model,
            source,
            lengths,
            end=tokenizer.eod,
            seeds=[(how.seed + 1_000_003 * number) % 2**63 for number in numbers],
            samples=how.samples,
            temperature=how.temperature,
            top_k=how.top_k,
            top_p=how.top_p,
            min_p=how.min_p,
            constraints=constraints,
        )

    def _max_length(self, lengths: Tensor) -> int | Sequence[int] | None:
        """The most tokens of each target, where there is a limit: its last step reads the model's last position."""
        asked, longest = self.constraints.max_length, self.model.longest
        if longest is None:
            return asked
        wanted = default_max_length(lengths) if asked is None else torch.as_tensor(asked).expand(len(lengths))
        return wanted.clamp(max=longest - 1).tolist()

    @torch.inference_mode()
    def _align(self, source: Tensor, lengths: Tensor, hypotheses: list[list[Hypothesis]]) -> list[list[Alignment]]:
        """The weights of every hypothesis, as it is read once more: for each of its tokens those of the source."""
        rows = torch.tensor([row for row, of_one in enumerate(hypotheses) for _ in of_one], device=source.device)
        # The step that writes a token reads the one before it.
        read = [torch.tensor([self.target_tokenizer.eod, *y.tokens]) for of_one in hypotheses for y in of_one]
        tokens = pad_sequence(read, batch_first=True).to(source.device)
        weights = self.model.align(tokens, self.model.encode(source[rows], lengths[rows]))  # (R, T, S)
        if weights is None:
            raise UserError("alignments", expected="a model with attention", got="one without", exit_code=2)
        of_all = iter(zip(weights, read, lengths[rows].tolist(), strict=True))
        return [[x[: len(y) - 1, :S].tolist() for x, y, S in islice(of_all, len(of_one))] for of_one in hypotheses]


def translate(translator: Translator, lines: Iterable[str], *, window: int | None = None) -> Iterator[TranslatedLine]:
    """Translate lines as they come, `window` at a time (None: as many as are best), in their order.

    Lines are read only as translations are asked for.
    """
    lines, first = iter(lines), 1
    while together := [line.rstrip("\r\n") for line in islice(lines, window or translator.window)]:
        yield from translator(together, first)
        first += len(together)
