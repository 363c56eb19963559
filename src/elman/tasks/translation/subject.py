"""What the microscope sees of an encoder-decoder: the model, the same before it learnt anything, and pairs."""

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
from elman.tasks.configuration import Settings
from elman.tasks.task import Sources, Trained

SHOWN = 4  # pairs that are drawn
MOST_TOKENS = 40  # of a pair that is drawn


@dataclass(frozen=True)
class Pairs:
    """A run's model, the same before its training, and pairs that they read."""

    path: Path  # of the run
    model: EncoderDecoder
    tokenizers: Tokenizers
    fresh: EncoderDecoder
    fresh_name: str
    part: PairPart
    name: str

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What is read, for people."""
        return [("pairs", self.name), ("pairs there are", f"{len(self.part):,}")]

    @property
    def about(self) -> dict[str, str]:
        """What is read, for programs."""
        return {"data": self.name, "untrained": self.fresh_name}

    @property
    def models(self) -> dict[str, EncoderDecoder]:
        """Side by side."""
        return {"trained": self.model, self.fresh_name: self.fresh}

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


def open_pairs(run: Trained, data: Sources) -> Pairs:
    """A run with pairs: those of `data`, or else those that it was validated on.

    Raises:
        UserError: there are none.
    """
    tokenizers = Tokenizers(run.source_tokenizer, run.target_tokenizer)
    settings = run.settings
    if data:
        part, name = evaluation_part(data, tokenizers), " and ".join(Path(place).name for place in data)
    else:
        part, name = _validation(run, settings, tokenizers)
    fresh_name, fresh = untrained(
        partial(build_encoder_decoder, run.model.config), settings.train if settings else None
    )
    return Pairs(run.path, run.model, tokenizers, fresh, fresh_name, part, name)


def _validation(run: Trained, settings: Settings | None, tokenizers: Tokenizers) -> tuple[PairPart, str]:
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
