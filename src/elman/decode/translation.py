"""Translation of lines of text, in their order, decoded in batches of like length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import islice, repeat
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from elman.data.tokenizers import Tokenizer
from elman.decode.ancestral import sample_targets
from elman.decode.beam import beam_search
from elman.decode.constraints import Constraints, default_max_length
from elman.decode.hypotheses import Hypothesis
from elman.environment import torch_threads
from elman.errors import UserError
from elman.models.encoder_decoder import EncoderDecoder

AlignmentRows: TypeAlias = list[list[float]]
Batch = TypeVar("Batch")
Decoded = TypeVar("Decoded")
BATCHES = 16  # in a window: more of them need less padding, and delay the first line longer


@dataclass(frozen=True)
class Beam:
    """Search with a beam; see `beam_search`."""

    beam: int = 5
    n_best: int = 1
    length_alpha: float = 0.6
    coverage_beta: float = 0.0


@dataclass(frozen=True)
class Sampling:
    """Draw targets at random; see `sample_targets`. A line's samples depend on the seed and the line's number alone."""

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
    log_probability: float  # of all tokens, in nats
    tokens: tuple[str, ...]  # as symbols
    alignment: AlignmentRows | None  # a weight for each token and each source token, if alignments were asked for


@dataclass(frozen=True)
class TranslatedLine:
    """A line and its translations."""

    number: int  # of the line, from 1
    source: str
    source_tokens: tuple[str, ...]  # as symbols, with `<eod>`
    unknown: int  # source tokens that are `<unk>`
    candidates: tuple[Candidate, ...]
    """The best first; samples as they were drawn. There is at least one."""
    error: str = ""
    """The reason why the line was not translated; its one candidate is then empty."""

    @property
    def text(self) -> str:
        """The best candidate's text."""
        return self.candidates[0].text


@dataclass(frozen=True)
class Translator:
    """A function from lines to translations.

    Every translation begins with `prefix`; `<unk>` and `<eos>` are never written. `batch_size` sentences are decoded
    together. A source of more than `max_source` tokens, or of more than the model has positions, `<eod>` included, is
    not translated.
    """

    model: EncoderDecoder
    source_tokenizer: Tokenizer
    target_tokenizer: Tokenizer
    search: Beam | Sampling = Beam()
    constraints: Constraints = field(default_factory=Constraints)
    prefix: str | Sequence[int] = ""  # a text, or tokens
    batch_size: int = 64
    max_source: int | None = None
    alignments: bool = False

    @property
    def window(self) -> int:
        """The number of lines that are best translated together."""
        return BATCHES * self.batch_size

    def __call__(self, lines: Sequence[str], first: int = 1) -> Iterator[TranslatedLine]:
        """Translate lines, the first of which has the number `first`.

        The translation of a blank line is empty; that of a line that is too long is empty too, and has an `error`.
        """
        sources = [self._encode(line) for line in lines]
        errors = [self._too_long(len(source)) for source in sources]
        sources = [[] if error else source for source, error in zip(sources, errors, strict=True)]
        blank = Candidate("", 0.0, 0.0, (), [] if self.alignments else None)
        found: list[tuple[Candidate, ...]] = [(blank,)] * len(lines)
        order = sorted((i for i, source in enumerate(sources) if source), key=lambda i: len(sources[i]))
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]

        def decode(rows: list[int]) -> list[tuple[Candidate, ...]]:
            return list(self._decode([sources[i] for i in rows], [first + i for i in rows]))

        for rows, decoded in zip(batches, self._side_by_side(decode, batches), strict=True):
            for i, candidates in zip(rows, decoded, strict=True):
                found[i] = candidates
        for i, (line, source) in enumerate(zip(lines, sources, strict=True)):
            symbols = tuple(map(self.source_tokenizer.symbol, source))
            unknown = self.source_tokenizer.count_unknown(source)
            yield TranslatedLine(first + i, line, symbols, unknown, found[i], errors[i])

    def _side_by_side(self, decode: Callable[[Batch], Decoded], batches: Sequence[Batch]) -> Iterator[Decoded]:
        """The results of `decode` in order, on a CPU of as many batches at a time as torch has threads.

        A step is too small to be shared: its threads wait for each other longer than they work.
        """
        threads = torch.get_num_threads()
        workers = min(threads, len(batches))
        if workers < 2 or next(self.model.parameters()).device.type != "cpu":
            yield from map(decode, batches)
            return
        with torch_threads(threads // workers), ThreadPoolExecutor(workers) as pool:
            yield from pool.map(decode, batches)

    def _too_long(self, length: int) -> str:
        """The error of a source of so many tokens; empty where the source is short enough."""
        longest = self.model.longest
        if longest is not None and length > longest:
            return f"expected at most the model's {longest:,} positions, got {length:,}; split it"
        if self.max_source is not None and length > self.max_source:
            remedy = "split it, or raise the limit (--max-source)"
            return f"expected at most {self.max_source:,} tokens, got {length:,}; {remedy}"
        return ""

    def _encode(self, line: str) -> list[int]:
        """The source tokens of a line and `<eod>`; no tokens for a blank line."""
        assert self.source_tokenizer.eod is not None
        ids = self.source_tokenizer.encode(line).tolist() if line.strip() else []
        return [*ids, self.source_tokenizer.eod] if ids else []

    def _decode(self, sources: list[list[int]], numbers: list[int]) -> Iterator[tuple[Candidate, ...]]:
        """Decode a batch of sentences of the lines with these numbers."""
        device = next(self.model.parameters()).device
        lengths = torch.tensor([len(source) for source in sources], device=device)
        source = pad_sequence([torch.tensor(ids) for ids in sources], batch_first=True).to(device)
        hypotheses = self.hypotheses(source, lengths, numbers)
        alignments: Iterator[AlignmentRows | None] = repeat(None)
        if self.alignments:
            alignments = iter(self._align(source, lengths, hypotheses))
        for of_one in hypotheses:
            candidates = []
            for y, alignment in zip(of_one, alignments, strict=False):
                text, symbols = self.target_tokenizer.decode(y.tokens), map(self.target_tokenizer.symbol, y.tokens)
                candidates.append(Candidate(text, y.score, y.log_probability, tuple(symbols), alignment))
            yield tuple(candidates)

    def hypotheses(self, source: Tensor, lengths: Tensor, numbers: Sequence[int]) -> list[list[Hypothesis]]:
        """The targets of sources (B, S), each with `<eod>` behind, which are those of the lines with these numbers."""
        tokenizer, settings = self.target_tokenizer, asdict(self.search)
        assert tokenizer.eod is not None
        prefix = tokenizer.encode(self.prefix).tolist() if isinstance(self.prefix, str) else [*self.prefix]
        constraints = replace(
            self.constraints,
            max_length=self._max_length(lengths),
            prefixes=[prefix] * len(source) if prefix else None,
            banned=[*self.constraints.banned, *(x for x in (tokenizer.unk, tokenizer.eos) if x is not None)],
        )
        settings |= {"end": tokenizer.eod, "constraints": constraints}
        if isinstance(self.search, Beam):
            return beam_search(self.model, source, lengths, **settings)
        return sample_targets(self.model, source, lengths, rows=numbers, **settings)

    def _max_length(self, lengths: Tensor) -> int | Sequence[int] | None:
        """The limit of each target's tokens: a target's last step reads at most the model's last position."""
        asked, longest = self.constraints.max_length, self.model.longest
        if longest is None:
            return asked
        wanted = default_max_length(lengths) if asked is None else torch.as_tensor(asked).expand(len(lengths))
        return wanted.clamp(max=longest - 1).tolist()

    @torch.inference_mode()
    def _align(self, source: Tensor, lengths: Tensor, hypotheses: list[list[Hypothesis]]) -> list[AlignmentRows]:
        """Read every hypothesis once more, and return its attention to the tokens of the source."""
        rows = torch.tensor([row for row, of_one in enumerate(hypotheses) for _ in of_one], device=source.device)
        # Each step reads the token before the token that it writes.
        read = [torch.tensor([self.target_tokenizer.eod, *y.tokens]) for of_one in hypotheses for y in of_one]
        tokens = pad_sequence(read, batch_first=True).to(source.device)
        weights = self.model.align(tokens, self.model.encode(source[rows], lengths[rows]))  # (R, T, S)
        if weights is None:
            raise UserError("alignments", expected="a model with attention", got="one without", exit_code=2)
        return [x[: len(y) - 1, :S].tolist() for x, y, S in zip(weights, read, lengths[rows].tolist(), strict=True)]


def translate(translator: Translator, lines: Iterable[str], *, window: int | None = None) -> Iterator[TranslatedLine]:
    """Translate a stream of lines in their order, reading `window` lines at a time (None: `translator.window`)."""
    lines, first = iter(lines), 1
    while together := [line.rstrip("\r\n") for line in islice(lines, window or translator.window)]:
        yield from translator(together, first)
        first += len(together)
