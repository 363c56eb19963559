"""What is looked at: a run's encoder-decoder, the same before it learnt anything, and pairs that it reads."""

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
from elman.inspection.untrained import untrained
from elman.models import EncoderDecoder, build_encoder_decoder
from elman.runs import TranslationRun
from elman.train import config
from elman.train.config import Settings

SHOWN = 4  # pairs that are drawn
MOST_TOKENS = 40  # of a pair that is drawn


@dataclass(frozen=True)
class Pairs:
    """A run's model, the same before its training, and pairs that they read."""

    run: TranslationRun
    fresh: EncoderDecoder
    fresh_name: str
    part: PairPart
    name: str

    @property
    def models(self) -> dict[str, EncoderDecoder]:
        """Side by side."""
        return {"trained": self.run.model, self.fresh_name: self.fresh}

    def batch(self, rows: Sequence[int]) -> tuple[torch.Tensor, ...]:
        """Source, its lengths, inputs and targets of some pairs."""
        source, target = self.part.source.eod, self.part.target.eod
        made = pair_batch(self.part, np.array(rows), source, target)
        return made.source, made.source_lengths, made.inputs, made.targets

    def shown(self) -> list[int]:
        """Pairs that are long enough to be worth a picture, and short enough for one."""
        longest = np.maximum(self.part.source_lengths, self.part.target_lengths)
        fitting = np.flatnonzero(longest < MOST_TOKENS)
        fitting = fitting if len(fitting) else np.array([int(longest.argmin())])
        order = fitting[np.argsort(-longest[fitting], kind="stable")]
        return sorted(order[: 4 * SHOWN : 4].tolist())


def open_pairs(run: TranslationRun, data: str | None) -> Pairs:
    """A run with pairs: `data`, or else those it was validated on.

    Raises:
        UserError: there are none.
    """
    tokenizers = Tokenizers(run.source_tokenizer, run.target_tokenizer)
    stored = run.path / "config.yaml"
    settings = config.build(config.read_yaml(stored)) if stored.is_file() else None
    if data is not None:
        part, name = evaluation_part(data, tokenizers), Path(data).name
    else:
        part, name = _validation(run, settings, tokenizers)
    fresh_name, fresh = untrained(partial(build_encoder_decoder, run.model.config), settings)
    return Pairs(run, fresh, fresh_name, part, name)


def _validation(run: TranslationRun, settings: Settings | None, tokenizers: Tokenizers) -> tuple[PairPart, str]:
    """The pairs that the run was validated on, from its cache or read again; and what they are."""
    if settings is None:
        raise UserError(f"{run.path} does not say what it was trained on", remedy="give pairs: a .tsv or .jsonl")
    data = settings.data
    source, valid = (
        [file for file in files if file is not None]
        for files in ((data.source, data.target), (data.valid, data.valid_target))
    )
    name = " and ".join(Path(file).name for file in valid or source)
    name = name if valid else f"the validation part of {name}"
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
