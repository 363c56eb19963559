"""The subject of the microscope in tagging: a run's model, the same model before its training, and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from elman.data.tagged import TaggedSentence
from elman.data.vocabulary import TagSet
from elman.data.word_batches import EncodedSentences, WordBatch
from elman.inspection.look import Observed
from elman.inspection.untrained import untrained
from elman.models.tagger import Tagger
from elman.tasks.exchange import Sources, Trained
from elman.tasks.tagging.corpus import sentences
from elman.tasks.tagging.objective import encode
from elman.tasks.tagging.sizing import build

SHOWN = 6  # sentences that are drawn
MOST_WORDS = 40  # of a sentence that is drawn


@dataclass(frozen=True)
class TaggedSubject(Observed):
    """A run's tagger, the same model before its training, and sentences that both read."""

    model: Tagger
    fresh: Tagger
    tags: TagSet
    references: Sequence[TaggedSentence]
    part: EncodedSentences
    unknown: int | None  # of the words

    def batch(self, rows: Sequence[int]) -> WordBatch:
        """Some sentences."""
        return self.part.batch(np.array(rows))

    def shown(self) -> list[int]:
        """Sentences that are long enough to be worth a picture, and short enough for one."""
        lengths = self.part.lengths
        fitting = np.flatnonzero(lengths < MOST_WORDS)
        fitting = fitting if len(fitting) else np.array([int(lengths.argmin())])
        order = fitting[np.argsort(-lengths[fitting], kind="stable")]
        return sorted(order[: 4 * SHOWN : 4].tolist())


def open_sentences(run: Trained, data: Sources) -> TaggedSubject:
    """A run with the sentences of `data`, or of its validation. Raises `UserError` where there are none."""
    references, name = sentences(run, data)
    settings = run.settings
    train = None if settings is None else settings.train
    fresh_name, fresh = untrained(partial(build, run.model.config), train)
    facts, about = [("sentences", name), ("number of sentences", f"{len(references):,}")], {"data": name}
    about["untrained"] = fresh_name
    part = encode(references, run)
    return TaggedSubject(
        run.path, run.model, fresh, fresh_name, facts, about, run.tags, references, part, run.words.unknown
    )
