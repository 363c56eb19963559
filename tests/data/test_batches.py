from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.data import batches as batches_module
from elman.data.batches import (
    Integers,
    PairBatch,
    PairPart,
    Sequences,
    TokenBatches,
    encode_texts,
    evaluation_batches,
)
from elman.data.endless import FreshPairs, named_pairs
from elman.data.lanes import NOT_COUNTED
from elman.data.textfile import TextPiece
from elman.data.tokenfile import write_tokens
from elman.data.tokenizers import ByteTokenizer, Tokenizers

EOD_SOURCE, EOD_TARGET = 50, 70

Lengths = list[tuple[int, int]]
LENGTHS = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=60)


def part_of(lengths: Lengths) -> PairPart:
    """Pairs of these lengths; the first token of a side is the pair's number."""
    sides = []
    for side, eod in ((0, EOD_SOURCE), (1, EOD_TARGET)):
        rows = [[n % 50] + [(n + t) % 50 for t in range(1, pair[side])] for n, pair in enumerate(lengths)]
        sides.append(Sequences(np.array([token for row in rows for token in [*row, eod]], np.uint16), eod))
    return PairPart(*sides)


def token_batches(part: PairPart, most: int, seed: int = 0) -> TokenBatches:
    return TokenBatches(part, most, seed)


def check(part: PairPart, rows: Integers, batch: PairBatch) -> None:
    """By a naive loop over the pairs."""
    assert all(tensor.dtype == torch.int64 for tensor in batch)
    assert batch.source.shape == (len(rows), max(len(part.pair(i)[0]) for i in rows) + 1)
    assert batch.inputs.shape == batch.targets.shape == (len(rows), max(len(part.pair(i)[1]) for i in rows) + 1)
    for b, i in enumerate(rows):
        source, target = (ids.tolist() for ids in part.pair(i))
        s, t = batch.source_lengths[b], batch.target_lengths[b]
        assert (s, t) == (len(source) + 1, len(target) + 1)
        assert batch.source[b, :s].tolist() == [*source, EOD_SOURCE]
        assert batch.inputs[b, :t].tolist() == [EOD_TARGET, *target]
        assert batch.targets[b, :t].tolist() == [*target, EOD_TARGET]
        assert set(batch.source[b, s:].tolist()) <= {EOD_SOURCE}
        assert set(batch.inputs[b, t:].tolist()) <= {EOD_TARGET}
        assert set(batch.targets[b, t:].tolist()) <= {NOT_COUNTED}


@given(lengths=LENGTHS, most=st.integers(1, 200), seed=st.integers(0, 5), epoch=st.integers(0, 5))
def test_every_pair_comes_once_within_the_budget(lengths: Lengths, most: int, seed: int, epoch: int) -> None:
    part = part_of(lengths)
    batches = token_batches(part, most, seed)
    plan = batches.plan(epoch)
    assert sorted(np.concatenate(plan).tolist()) == list(range(len(part)))
    assert batches.count(epoch) == len(plan)
    for index, rows in enumerate(plan):
        batch = batches.batch(epoch, index)
        assert max(batch.source.numel(), batch.inputs.numel()) <= most or len(rows) == 1
        check(part, rows, batch)


@given(lengths=LENGTHS, most=st.integers(1, 200), epoch=st.integers(0, 5))
def test_a_plan_depends_on_the_seed_and_the_epoch_alone(lengths: Lengths, most: int, epoch: int) -> None:
    fresh, used = (token_batches(part_of(lengths), most, seed=3) for _ in range(2))
    for before in range(epoch):
        used.plan(before)
    assert [rows.tolist() for rows in fresh.plan(epoch)] == [rows.tolist() for rows in used.plan(epoch)]


def test_another_epoch_has_other_batches_in_another_order() -> None:
    rng = np.random.default_rng(0)
    lengths = [(int(a), int(b)) for a, b in rng.integers(1, 30, (600, 2))]
    plans = [token_batches(part_of(lengths), 400, seed).plan(epoch) for seed in (0, 1) for epoch in (0, 1)]
    groups = [{frozenset(rows.tolist()) for rows in plan} for plan in plans]
    for a in range(4):
        longest = [max(map(max, (lengths[i] for i in rows))) for rows in plans[a]]
        assert longest != sorted(longest)
        for b in range(a):
            assert len(groups[a] & groups[b]) < 0.2 * len(groups[a])


def test_little_is_padding() -> None:
    """Of sentences and their translations: lengths that go together, but not quite."""
    rng = np.random.default_rng(0)
    source = rng.gamma(4, 4, 5000)
    pairs = np.rint(np.stack([source, source * rng.uniform(0.8, 1.2, 5000)], 1)).astype(int) + 1
    part = part_of([(a, b) for a, b in pairs.tolist()])
    batches = token_batches(part, 1000)
    read = [batches.batch(0, index) for index in range(batches.count(0))]
    padded = sum(batch.source.numel() + batch.inputs.numel() for batch in read)
    needed = sum(int(batch.source_lengths.sum() + batch.target_lengths.sum()) for batch in read)
    assert needed > 0.95 * padded
    assert len(read) < 1.15 * sum(max(batch.source.numel(), batch.inputs.numel()) for batch in read) / 1000


@given(lengths=LENGTHS, most=st.integers(1, 200))
def test_evaluation_reads_every_pair_once_the_shortest_first(lengths: Lengths, most: int) -> None:
    part = part_of(lengths)
    read = list(evaluation_batches(part, most))
    order = np.concatenate([rows for rows, _ in read])
    assert sorted(order.tolist()) == list(range(len(part)))
    longest = [max(lengths[i]) for i in order]
    assert longest == sorted(longest)
    for rows, batch in read:
        assert max(batch.source.numel(), batch.inputs.numel()) <= most or len(rows) == 1
        check(part, rows, batch)


@given(lengths=LENGTHS, most=st.integers(1, 40))
def test_a_limit_leaves_the_longer_pairs_out(lengths: Lengths, most: int) -> None:
    part, whole = part_of(lengths), part_of(lengths)
    kept = [n for n, pair in enumerate(lengths) if max(pair) <= most]
    assert part.limit(None) == 0
    assert part.limit(most) == len(lengths) - len(kept)
    assert part.source_lengths.tolist() == [lengths[n][0] for n in kept]
    for at, n in enumerate(kept):
        for mine, theirs in zip(part.pair(at), whole.pair(n), strict=True):
            assert mine.tolist() == theirs.tolist()


def test_a_token_file_is_read_as_memory_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches_module, "SCAN", 4)
    tokenizer = ByteTokenizer(eod=True)
    texts = ["abc", "d", "efghijk", "é"]
    pieces = [piece for text in texts for piece in (TextPiece(text, False, 0), TextPiece("", True, 0))]
    file = Sequences(write_tokens(tmp_path / "x.bin", pieces, tokenizer, ""), tokenizer.eod)
    assert [tokenizer.decode(file[n]) for n in range(len(file))] == texts
    assert file.lengths.tolist() == [3, 1, 7, 2]
    assert len(Sequences(write_tokens(tmp_path / "y.bin", [], tokenizer, ""), tokenizer.eod)) == 0


def test_the_texts_of_a_part() -> None:
    tokenizer = ByteTokenizer(eod=True)
    texts = [("a", "bc"), ("é", "d")]
    part = encode_texts(texts, Tokenizers(tokenizer, tokenizer))
    assert list(part.texts()) == list(part.texts()) == texts
    assert [tokenizer.decode(part.pair(1)[side]) for side in (0, 1)] == ["é", "d"]
    assert len(encode_texts([], Tokenizers(tokenizer, tokenizer))) == 0


def test_fresh_pairs_every_epoch() -> None:
    tokenizer = ByteTokenizer(eod=True)
    source = named_pairs("dates")
    fresh = FreshPairs(source, Tokenizers(tokenizer, tokenizer), 40, seed=5)
    batches = TokenBatches(fresh, 300, 5)
    read = set()
    for epoch in (1, 0):
        seen = set()
        for index in range(batches.count(epoch)):
            batch = batches.batch(epoch, index)
            for ids, length in zip(batch.source, batch.source_lengths, strict=True):
                seen.add(tokenizer.decode(ids[: length - 1].tolist()))
        assert seen == {text for text, _ in source.texts("train", 5, epoch * 40, epoch * 40 + 40)}
        read |= seen
    assert len(read) > 70


def test_a_batch_goes_to_a_device() -> None:
    batch = token_batches(part_of([(1, 2), (3, 1)]), 100).batch(0, 0)
    assert all(tensor.is_meta for tensor in batch.to(torch.device("meta")))
