"""Which pairs are held out for validation, where no others are given: a hash of the source text decides.

So a sorted file gives a fair sample, and one source, however often it occurs, is never on both sides.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from elman.data.pairs import Pair

VALID_FRACTION = 0.05
MOST_VALID = 2_000  # pairs: their translation and its score stay affordable however many pairs there are


@dataclass(frozen=True)
class PairSurvey:
    """What one pass over pairs finds: a digest of them, how many, their characters, and where to cut them."""

    digest: str
    pairs: int
    characters: int
    cut: int
    """A pair is held out where `source_hash` is less: about 5 % of them and at most 2,000, perhaps none."""


def survey_pairs(pairs: Iterable[Pair]) -> PairSurvey:
    """Read pairs once, to the end. The digest depends on the texts only, not on the files' form."""
    digest = hashlib.sha256()
    hashes = array("Q")
    characters = 0
    for pair in pairs:
        characters += len(pair.source) + len(pair.target)
        digest.update(b"%b\xff%b\xff" % (pair.source.encode(), pair.target.encode()))  # 0xff is in no UTF-8 text
        hashes.append(source_hash(pair.source))
    return PairSurvey(digest.hexdigest(), len(hashes), characters, _cut(np.array(hashes, np.uint64)))


def source_hash(source: str) -> int:
    """64 bits of a source text's hash."""
    return int.from_bytes(hashlib.blake2b(source.encode(), digest_size=8).digest(), "little")


def _cut(hashes: np.ndarray) -> int:
    held_out = min(max(int(VALID_FRACTION * len(hashes)), 1), MOST_VALID)
    if len(hashes) <= held_out:
        return 0
    return int(np.partition(hashes, held_out)[held_out])
