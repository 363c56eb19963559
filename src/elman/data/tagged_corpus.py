"""A corpus of tagged sentences, in RAM, with the vocabularies of its training part."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from elman.data.spans import breaks, completed, mended, recognise_scheme
from elman.data.tagged import Layout, TaggedSentence
from elman.data.tagged_files import layout_like, read_tagged
from elman.data.vocabulary import TagSet, Vocabulary, learn_vocabulary
from elman.data.word_batches import Vocabularies
from elman.errors import UserError

VALID_FRACTION = 0.1
MOST_VALID = 2_000  # sentences, so that validation stays affordable


@dataclass(frozen=True, eq=False)
class TaggedCorpus:
    """Tagged sentences to train on. `fingerprint` identifies them and their split, independently of files' places."""

    train: Sequence[TaggedSentence]
    valid: Sequence[TaggedSentence]
    words: Vocabulary
    characters: Vocabulary
    tags: TagSet
    layout: Layout
    fingerprint: str

    @property
    def vocabularies(self) -> Vocabularies:
        """The three together."""
        return Vocabularies(self.words, self.characters, self.tags)

    @property
    def word_counts(self) -> npt.NDArray[np.int64]:
        """How often the training part has each word of the vocabulary (V,)."""
        numbers = self.words.encode(token for sentence in self.train for token in sentence.tokens)
        return np.bincount(np.array(numbers, np.int64), minlength=len(self.words))


def prepare(
    files: Sequence[str],
    layout: Layout,
    *,
    valid: Sequence[str] = (),
    vocabularies: Vocabularies | None = None,
    lowercase: bool = True,
    min_count: int = 1,
    further: Callable[[], Sequence[str]] = tuple,
) -> TaggedCorpus:
    """The sentences of `files` for training, and those of `valid`, or else some of `files`, for validation.

    Without `valid`, a hash of the tokens holds 10 % of the sentences out, at most 2,000, so that equal sentences are in
    the same part. Vocabularies are learnt from the training part alone, unless they are given; words that occur fewer
    than `min_count` times are left out of it, and the `further` words are put in.

    Errors: `UserError` where files cannot be read or a line is malformed, where no sentence is left for one of the
    parts, and where all tokens have the same tag.
    """
    sentences = read_all(files, layout)
    name = " and ".join(files)
    if valid:
        train, held_out = sentences, read_all(valid, layout_like(valid, layout))
    else:
        train, held_out = split(sentences, name)
    if len({tag for sentence in train for tag in sentence.tags}) < 2:
        what = f"every token of {name} has the tag {train[0].tags[0]!r}"
        raise UserError(what, expected="different tags", remedy="set data.column to the column of the tags")
    digest = hashlib.sha256()
    for part in (train, held_out):
        digest.update(b"\xff")  # is in no UTF-8 text
        for sentence in part:
            digest.update(json.dumps(sentence).encode())
    vocabularies = vocabularies or learn(train, lowercase, min_count, further())
    return TaggedCorpus(train, held_out, *vocabularies, layout, digest.hexdigest())


def read_all(files: Sequence[str], layout: Layout) -> list[TaggedSentence]:
    """All sentences of files. Errors: `UserError`, also where there are none."""
    sentences = list(read_tagged(files, layout))
    if not sentences:
        raise UserError(f"{' and '.join(files)} holds no sentences", remedy="give lines with a token and its tag each")
    return sentences


def split(sentences: Sequence[TaggedSentence], name: str) -> tuple[list[TaggedSentence], list[TaggedSentence]]:
    """The training part and the validation part. Errors: `UserError` where all are equal."""
    hashes = np.array([_hash(sentence) for sentence in sentences], np.uint64)
    different = np.unique(hashes)
    if len(different) < 2:
        what, got = f"no sentence of {name} is left for validation", "one sentence, however often"
        raise UserError(what, expected="different sentences", got=got, remedy="give sentences with --valid")
    held_out = min(max(int(VALID_FRACTION * len(hashes)), 1), MOST_VALID)
    cut = max(np.partition(hashes, held_out)[held_out], different[1])  # one sentence may occur very often
    parts = [[sentences[at] for at in np.flatnonzero(chosen).tolist()] for chosen in (hashes >= cut, hashes < cut)]
    return parts[0], parts[1]


def learn(
    train: Sequence[TaggedSentence], lowercase: bool = True, min_count: int = 1, further: Sequence[str] = ()
) -> Vocabularies:
    """The vocabularies of a training part, and the scheme of its tags."""
    tokens = [token for sentence in train for token in sentence.tokens]
    scheme = recognise_scheme(sentence.tags for sentence in train)
    spelt = Counter(tag for sentence in train for tag in mended(sentence.tags, scheme))
    names = sorted(spelt, key=lambda tag: (-spelt[tag], tag))
    return Vocabularies(
        learn_vocabulary(tokens, lowercase=lowercase, min_count=min_count, further=further),
        learn_vocabulary(character for token in tokens for character in token),
        TagSet(tuple(completed(names, scheme)), scheme),
    )


def count_breaches(sentences: Sequence[TaggedSentence], tags: TagSet) -> tuple[int, str]:
    """How many sentences have tags that break their scheme, and the tokens of the first."""
    broken = [sentence for sentence in sentences if tags.scheme and breaks(sentence.tags, tags.scheme)]
    return len(broken), " ".join(broken[0].tokens) if broken else ""


def _hash(sentence: TaggedSentence) -> int:
    return int.from_bytes(hashlib.blake2b("\n".join(sentence.tokens).encode(), digest_size=8).digest(), "little")
