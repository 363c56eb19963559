"""The subject of the microscope in translation: a run's model, the same model before its training, and pairs."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from elman.data import pair_corpus
from elman.data.batches import PairPart, encode_texts, pair_batch
from elman.data.cache import Cache
from elman.data.pair_corpus import evaluation_part
from elman.data.tokenizers import Tokenizers
from elman.errors import UserError
from elman.inspection.look import Observed
from elman.inspection.untrained import untrained
from elman.models import EncoderDecoder, build_encoder_decoder
from elman.tasks.configuration import Settings, named
from elman.tasks.exchange import Sources, Trained

SHOWN = 6  # pairs that are drawn
MOST_TOKENS = 40  # of a pair that is drawn
PAIRS = 256  # pairs that are measured
HALF = 20  # source tokens, for which half of a page is wide enough


@dataclass(frozen=True)
class Pairs(Observed):
    """A run's encoder-decoder, the same model before its training, and pairs that both read."""

    model: EncoderDecoder
    fresh: EncoderDecoder
    tokenizers: Tokenizers
    part: PairPart

    def batch(self, rows: Sequence[int]) -> tuple[torch.Tensor, ...]:
        """Source, its lengths, inputs and targets of some pairs."""
        made = pair_batch(self.part, np.array(rows))
        return made.source, made.source_lengths, made.inputs, made.targets

    def shown(self) -> list[int]:
        """Pairs that are long enough to be worth a picture, and short enough for one."""
        longest = np.maximum(self.part.source_lengths, self.part.target_lengths)
        fitting = np.flatnonzero(longest < MOST_TOKENS)
        fitting = fitting if len(fitting) else np.array([int(longest.argmin())])
        order = fitting[np.argsort(-longest[fitting], kind="stable")]
        return sorted(order[: 4 * SHOWN : 4].tolist())

    @property
    def wide(self) -> bool:
        """Whether the sources that are drawn need the whole width of a page."""
        return int(self.part.source_lengths[self.shown()].max()) > HALF


def open_pairs(run: Trained, data: Sources) -> Pairs:
    """A run with the pairs of `data`, or of its validation. Raises `UserError` where there are none."""
    tokenizers, settings = Tokenizers(run.source_tokenizer, run.target_tokenizer), run.settings
    if data:
        part, name = evaluation_part(data, tokenizers), _names(data, run)
    else:
        part, name = _validation(run, settings, tokenizers)
    train = None if settings is None else settings.train
    fresh_name, fresh = untrained(partial(build_encoder_decoder, run.model.config), train)
    facts, about = [("pairs", name), ("number of pairs", f"{len(part):,}")], {"data": name, "untrained": fresh_name}
    return Pairs(run.path, run.model, fresh, fresh_name, facts, about, tokenizers, part)


def _names(places: Sources, run: Trained) -> str:
    return " and ".join(Path(named(str(place), run.path)).name for place in places)


def _validation(run: Trained, settings: Settings | None, tokenizers: Tokenizers) -> tuple[PairPart, str]:
    """The pairs that the run was validated on, from its cache or read again; and their name."""
    if settings is None:
        raise UserError(f"{run.path} does not say which data it was trained on", remedy="give pairs: a .tsv or .jsonl")
    data = settings.data
    source, valid = (
        [file for file in files if file is not None]
        for files in ((data.source, data.target), (data.valid, data.valid_target))
    )
    name = ("" if valid else "the validation part of ") + _names(valid or source, run)
    kept = pair_corpus.kept_validation(Cache(run.path / "cache"), data.fingerprint)
    if kept is not None:
        return encode_texts(kept, tokenizers), name
    with tempfile.TemporaryDirectory(prefix="elman-") as cache:
        corpus = pair_corpus.prepare(
            source,
            Path(cache),
            valid=valid or None,
            tokenizer=tokenizers,
            seed=settings.train.seed,
            expect=data.fingerprint or None,
        )
    return corpus.valid, name
