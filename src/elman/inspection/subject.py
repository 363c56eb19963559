"""What is looked at: a run's model, the same model before it learnt anything, and a text that it reads."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from elman.data.cache import Cache
from elman.data.corpus import encode_file, prepare
from elman.data.lanes import resets_of
from elman.data.tokenfile import TokenFile
from elman.data.tokenizers import Tokenizer
from elman.errors import UserError
from elman.inspection.untrained import untrained
from elman.models import LanguageModel, build
from elman.runs import Run
from elman.train import config
from elman.train.config import Settings

MOST_TOKENS = 1 << 20  # of a text are looked at
MOST_UNKNOWN = 0.5  # of a text's tokens
LEAST_STEPS = 8  # of a window


@dataclass(frozen=True)
class Subject:
    """Everything that a look needs."""

    run: Run
    settings: Settings | None  # None where there is a model folder alone
    fresh: LanguageModel  # the run's model before its training
    fresh_name: str
    tokens: npt.NDArray[np.int64]  # (N,)
    text: str  # which one
    text_name: str  # for the page: its file's name

    @property
    def models(self) -> dict[str, LanguageModel]:
        """Side by side."""
        return {"trained": self.run.model, self.fresh_name: self.fresh}

    def windows(self, rows: int, steps: int, *, apart: bool = False) -> Tensor:
        """(B, T): windows of the text, evenly spread over it, with no document's border inside where that can be.

        T is `steps` or, where the text or its documents are shorter, as much less as it takes; so is B. Documents of
        less than a few tokens are read one after another, with `resets`. Windows of a short text overlap, unless they
        are to be `apart`: then there are fewer.
        """
        wanted = min(steps, len(self.tokens))
        starts = _starts(self.tokens, self.run.tokenizer.eod, steps)
        while not len(starts) and steps // 2 >= LEAST_STEPS:
            steps //= 2
            starts = _starts(self.tokens, self.run.tokenizer.eod, steps)
        if not len(starts):
            steps, starts = wanted, _starts(self.tokens, None, wanted)
        chosen = starts[np.unique(np.linspace(0, len(starts) - 1, rows).astype(int))]
        if apart:
            chosen = _apart(chosen, steps)
        return torch.from_numpy(self.tokens[chosen[:, None] + np.arange(steps)])

    def resets(self, tokens: Tensor) -> Tensor | None:
        """Where a document begins in tokens (B, T) of the text, for `model.read`: (B, T), or None where it does not."""
        return resets_of(tokens, self.run.tokenizer.eod)

    def pieces(self, tokens: npt.NDArray[np.int64] | Tensor) -> list[str | None]:
        """The text of every token (T,), None for a document's end."""
        tokenizer, previous, found = self.run.tokenizer, None, []
        for token in tokens.tolist():
            text = None if token == tokenizer.eod else tokenizer.spell(token, previous).decode("utf-8", "replace")
            found.append(text)
            previous = token
        return found

    def symbols(self, tokens: Tensor) -> list[str]:
        """Every token (T,) as it is shown to people."""
        return [self.run.tokenizer.symbol(token) for token in tokens.tolist()]


def open_subject(run: Run, data: str | None) -> Subject:
    """A run's model with a text: `data`, or else the text that the run was validated on.

    Raises:
        UserError: no such text, or one that does not fit the run.
    """
    stored = run.path / "config.yaml"
    settings = config.build(config.read_yaml(stored)) if stored.is_file() else None
    with tempfile.TemporaryDirectory(prefix="elman-") as cache:
        if data is not None:
            file, text, source = encode_file(data, run.tokenizer, Path(cache)), data, data
        else:
            file, text, source = _validation(run, settings, Path(cache))
        tokens = np.array(np.asarray(file)[:MOST_TOKENS], np.int64)
    _check_fit(tokens, run.tokenizer, text)
    name = text.replace(source, Path(source).name)
    fresh_name, fresh = untrained(partial(build, run.model.config), settings)
    return Subject(run, settings, fresh, fresh_name, tokens, text, name)


def _validation(run: Run, settings: Settings | None, cache: Path) -> tuple[TokenFile, str, str]:
    """The tokens that the run was validated on, from its cache or made again; what they are; and their source."""
    if settings is None:
        raise UserError(f"{run.path} does not say what it was trained on", remedy="give a text: elman inspect RUN DATA")
    data = settings.data
    source = data.valid or data.source
    text = data.valid or f"the validation part of {source}"
    kept = Cache(run.path / "cache").open_tokens("valid", data.fingerprint, run.tokenizer)
    if kept is not None:
        return kept, text, source
    try:
        corpus = prepare(data.source, cache, valid=data.valid, tokenizer=run.tokenizer, expect=data.fingerprint or None)
    except UserError as error:
        raise UserError(
            f"the text of the run is gone ({error})", remedy="give another one: elman inspect RUN DATA", exit_code=1
        ) from error
    return corpus.valid, text, source


def _check_fit(tokens: npt.NDArray[np.int64], tokenizer: Tokenizer, text: str) -> None:
    unknown = 0.0 if tokenizer.unk is None or not len(tokens) else float((tokens == tokenizer.unk).mean())
    if unknown > MOST_UNKNOWN:
        raise UserError(
            f"{text} does not fit the run",
            expected="text in the tokens it was trained on",
            got=f"{unknown:.0%} that it does not know",
            remedy="give a text of the same kind",
        )
    if len(tokens) < LEAST_STEPS + 1:
        raise UserError(
            f"{text} is too short to look at", expected=f"at least {LEAST_STEPS + 1} tokens", got=len(tokens)
        )


def _starts(tokens: npt.NDArray[np.int64], eod: int | None, steps: int) -> npt.NDArray[np.int64]:
    """Where a window of so many steps can begin without a border in it."""
    if len(tokens) < steps:
        return np.zeros(0, np.int64)
    borders = np.concatenate(([0], np.cumsum(tokens == (-1 if eod is None else eod))))
    return np.flatnonzero(borders[steps:] == borders[:-steps])


def _apart(starts: npt.NDArray[np.int64], steps: int) -> npt.NDArray[np.int64]:
    """Of rising starts, those at which a window of so many steps overlaps none before it."""
    kept: list[int] = []
    for start in starts.tolist():
        if not kept or start - kept[-1] >= steps:
            kept.append(start)
    return np.array(kept)
