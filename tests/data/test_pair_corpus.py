import json
from pathlib import Path

import numpy as np
import pytest

from elman.data import pair_corpus
from elman.data.batches import PairPart
from elman.data.endless import FreshPairs
from elman.data.pair_corpus import ParallelCorpus, evaluation_part, prepare
from elman.data.pairs import Data, pairs_in_memory
from elman.data.tokenizers import ByteTokenizer, Tokenizers
from elman.errors import UserError

PAIRS = [(f"the number {n}", f"die Zahl {n * n} ü") for n in range(200)]


def write(folder: Path, pairs: list[tuple[str, str]], name: str = "x") -> list[Path]:
    paths = [folder / f"{name}.en", folder / f"{name}.de"]
    for side, path in enumerate(paths):
        path.write_text("".join(f"{pair[side]}\n" for pair in pairs), encoding="utf-8")
    return paths


@pytest.fixture(autouse=True)
def _learn_from_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elman.data.pair_corpus.LEARN_FROM", 3000)


@pytest.fixture
def data(tmp_path: Path) -> list[Path]:
    return write(tmp_path, PAIRS)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "run" / "cache"


def texts_of(part: PairPart | FreshPairs, corpus: ParallelCorpus) -> list[tuple[str, str]]:
    pairs = part.epoch(0)
    both = corpus.source_tokenizer, corpus.target_tokenizer
    decoded = [[tok.decode(ids) for tok, ids in zip(both, pairs.pair(n), strict=True)] for n in range(len(pairs))]
    return [(source, target) for source, target in decoded]


def write_times(cache: Path) -> dict[str, int]:
    """Of all but what is said of the files, which may be moved."""
    return {file.name: file.stat().st_mtime_ns for file in cache.iterdir() if not file.name.startswith("pairs-")}


@pytest.mark.parametrize("kind", ["char", "byte", "word", "bpe"])
@pytest.mark.parametrize("joint", [True, False])
def test_pairs_in_and_out(data: list[Path], cache: Path, kind: str, joint: bool) -> None:
    corpus = prepare(data, cache, valid=data, tokenizer=kind, joint=joint)
    assert texts_of(corpus.train, corpus) == texts_of(corpus.valid, corpus) == list(corpus.valid.texts()) == PAIRS
    assert (corpus.source_tokenizer is corpus.target_tokenizer) == (joint or kind == "byte")
    for tokenizer in (corpus.source_tokenizer, corpus.target_tokenizer):
        assert tokenizer.eod is not None
    again = prepare(data, cache, valid=data, tokenizer=kind, joint=joint)
    assert texts_of(again.train, again) == PAIRS
    assert (again.source_tokenizer is again.target_tokenizer) == (joint or kind == "byte")


def test_each_side_learns_its_own_or_both_learn_one(data: list[Path], cache: Path) -> None:
    def characters(joint: bool) -> list[set[str]]:
        corpus = prepare(data, cache, valid=data, joint=joint)
        return [set(t.to_json()["characters"]) for t in (corpus.source_tokenizer, corpus.target_tokenizer)]

    sides = [{c for pair in PAIRS for c in pair[side]} for side in (0, 1)]
    assert characters(joint=False) == sides
    assert characters(joint=True) == [sides[0] | sides[1]] * 2


def test_a_twentieth_is_held_out_by_its_source(data: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = prepare(data, cache)
    valid, train = texts_of(corpus.valid, corpus), texts_of(corpus.train, corpus)
    assert len(valid) == 10
    assert list(corpus.valid.texts()) == [pair for pair in PAIRS if pair in set(valid)]
    assert train == [pair for pair in PAIRS if pair not in set(valid)]
    monkeypatch.setattr(pair_corpus, "MOST_VALID", 3)
    assert len(prepare(data, cache / "few").valid) == 3


def test_a_source_is_never_on_both_sides(tmp_path: Path, cache: Path) -> None:
    pairs = [(f"source {n % 40}", f"target {n}") for n in range(400)]
    corpus = prepare(write(tmp_path, pairs), cache)
    valid = {source for source, _ in corpus.valid.texts()}
    assert {source for source, _ in texts_of(corpus.train, corpus)} == {source for source, _ in pairs} - valid
    assert len(corpus.valid) == 20


def test_nothing_is_learnt_from_the_validation_part(tmp_path: Path, cache: Path) -> None:
    valid = write(tmp_path, [("x", "y")], "valid")
    corpus = prepare(write(tmp_path, [("a", "b")] * 3), cache, valid=valid)
    assert [corpus.source_tokenizer.vocab_size, corpus.target_tokenizer.vocab_size] == [3, 3]
    assert corpus.valid.pair(0)[0].tolist() == [corpus.source_tokenizer.unk]
    assert list(corpus.valid.texts()) == [("x", "y")]


def test_a_cache_is_used_again(data: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(data, cache)
    times = write_times(cache)
    with monkeypatch.context() as patched:  # untouched files are not even read
        patched.setattr("elman.data.pairs.open_binary", None)
        again = prepare(data, cache, expect=first.fingerprint)
    assert texts_of(again.train, again) == texts_of(first.train, first)
    assert list(again.valid.texts()) == list(first.valid.texts())

    tsv = data[0].with_suffix(".tsv")
    tsv.write_text("".join(f"{a}\t{b}\n" for a, b in PAIRS) + "x\t\n", encoding="utf-8")
    moved = prepare(tsv, cache, expect=first.fingerprint)  # the same pairs in another form
    assert moved.fingerprint == first.fingerprint
    assert moved.skipped.empty == 1
    by_name = Tokenizers(first.source_tokenizer, first.target_tokenizer)
    assert write_times(cache) == times
    prepare(tsv, cache, tokenizer=by_name)
    assert write_times(cache) == {name: time for name, time in times.items() if not name.startswith("tokenizer-")}

    other = prepare(tsv, cache, tokenizer="byte")
    assert other.source_tokenizer.kind == "byte"
    assert other.fingerprint == first.fingerprint


@pytest.mark.parametrize(
    "damage", ["pairs-*.json", "held_out-*.json", "train_target-*.bin", "train_target-*.json", "tokenizer-*.json"]
)
@pytest.mark.parametrize("how", ["missing", "short", "changed"])
def test_a_damaged_cache_is_made_anew(data: list[Path], cache: Path, damage: str, how: str) -> None:
    first = prepare(data, cache)
    path = min(cache.glob(damage))
    content = path.read_bytes()
    path.unlink()
    if how == "short":
        path.write_bytes(content[: len(content) // 2])
    elif how == "changed":
        path.write_bytes(content.replace(b"1", b"2"))
    again = prepare(data, cache)
    assert texts_of(again.train, again) == texts_of(first.train, first)
    assert list(again.valid.texts()) == list(first.valid.texts())
    assert path.read_bytes() == content


def test_an_interrupted_encoding_does_no_harm(data: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(data, cache)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("elman.data.cache.Cache.remove_others", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(data, cache, tokenizer="byte")
    assert len(list(cache.glob("train_*.bin"))) == 4
    corpus = prepare(data, cache)
    assert len(corpus.train) == 190
    assert len(list(cache.glob("train_*.bin"))) == 2


def test_pairs_are_the_expected_ones(data: list[Path], cache: Path) -> None:
    first = prepare(data, cache)
    write(data[0].parent, [*PAIRS[:-1], ("another", "pair")])
    with pytest.raises(UserError, match="does not hold the pairs that the run began with"):
        prepare(data, cache, expect=first.fingerprint)
    write(data[0].parent, PAIRS)
    assert prepare(data, cache, expect=first.fingerprint).fingerprint == first.fingerprint
    with pytest.raises(UserError, match="does not hold the pairs"):
        prepare(data, cache, valid=data, expect=first.fingerprint)
    prepare(data, cache)
    with pytest.raises(UserError, match="does not hold the pairs"):  # known without reading
        prepare(data, cache, expect="another")


def test_what_is_left_out_is_counted(tmp_path: Path, cache: Path) -> None:
    pairs = [("a", "b"), ("", "b"), ("aaa", "b"), ("a", "bbbb"), ("a", " ")]
    train, valid = write(tmp_path, pairs), write(tmp_path, [("aaaa", "b"), ("a", "")], "valid")
    corpus = prepare(train, cache, valid=valid, max_length=3)
    assert texts_of(corpus.train, corpus) == [("a", "b"), ("aaa", "b")]
    assert list(corpus.valid.texts()) == [("aaaa", "b")]
    assert (corpus.skipped.empty, corpus.skipped.too_long) == (3, 1)
    assert corpus.skipped.first_empty == f"line 2 of {train[0]} and {train[1]}"
    assert len(prepare(train, cache, valid=valid).train) == 3  # the limit is no part of the recipe
    again = prepare(train, cache, valid=valid, max_length=2)
    assert (len(again.train), again.skipped.empty, again.skipped.too_long) == (1, 3, 2)


def test_errors(tmp_path: Path, cache: Path) -> None:
    whole = write(tmp_path, PAIRS)
    empty, one = write(tmp_path, [], "empty"), write(tmp_path, [("a", "b")], "one")
    for data, options, said in [
        (empty, {}, "holds no pairs; give lines with a source and a target"),
        (one, {}, "no pair of .* is left for validation; give pairs for validation with valid="),
        (whole, {"valid": empty}, "no pair of .*empty.* is left for validation; give more"),
        (whole, {"max_length": 2}, "no training pair of .* has at most 2 tokens on both sides; raise max_length"),
        (whole, {"tokenizer": "chars"}, "no such tokenizer: chars"),
        ("dates", {"epoch_pairs": 9, "max_length": 2}, "no training pair of dates has at most 2 tokens"),
    ]:
        with pytest.raises(UserError, match=said):
            prepare(data, cache, **options).train.epoch(0)  # type: ignore[arg-type]
    assert len(prepare(one, cache, valid=one).train) == 1


def test_of_two_pairs_that_recur_one_is_held_out(tmp_path: Path, cache: Path) -> None:
    corpus = prepare(write(tmp_path, [("a", "b"), ("c", "d")] * 40), cache)
    assert (len(corpus.train), len(corpus.valid)) == (40, 40)


def test_progress_is_told(data: list[Path], cache: Path) -> None:
    told: dict[str, list[float]] = {}
    prepare(data, cache, progress=lambda stage, done: told.setdefault(stage, []).append(done))
    assert list(told) == ["reading", "learning the vocabularies", "encoding"]
    assert all(0 <= done <= 1 for stage in told.values() for done in stage)


@pytest.mark.parametrize("name", ["numbers-en", "digits-pt_BR", "dates"])
def test_endless_sources(name: str, cache: Path) -> None:
    corpus = prepare(name, cache, epoch_pairs=100, seed=3, joint=True)
    assert len(corpus.train) == 100
    assert len(corpus.valid) == 1000
    assert texts_of(corpus.valid, corpus) == list(corpus.valid.texts())
    train, valid = texts_of(corpus.train, corpus), texts_of(corpus.valid, corpus)
    assert not set(train) & set(valid)
    assert [len(source) for source, _ in train] == corpus.train.epoch(0).source_lengths.tolist()
    times = write_times(cache)
    again = prepare(name, cache, epoch_pairs=100, seed=3, joint=True, expect=corpus.fingerprint)
    assert texts_of(again.train, again) == train
    assert write_times(cache) == times
    assert prepare(name, cache, epoch_pairs=100, seed=4, joint=True).fingerprint != corpus.fingerprint
    tested = evaluation_part(name, Tokenizers(corpus.source_tokenizer, corpus.target_tokenizer))
    assert not set(tested.texts()) & (set(valid) | set(train))


def test_an_endless_source_and_a_file_for_validation(data: list[Path], cache: Path) -> None:
    corpus = prepare("numbers-en", cache, valid=data, tokenizer="byte", epoch_pairs=5)
    assert list(corpus.valid.texts()) == PAIRS
    assert len(corpus.train.epoch(1)) == 5
    other = prepare(data, cache, valid="numbers-en", tokenizer="byte")
    assert (len(other.train), len(other.valid)) == (200, 1000)


def test_fresh_pairs_have_a_limit(cache: Path) -> None:
    corpus = prepare("numbers-en", cache, tokenizer="byte", epoch_pairs=50, max_length=30)
    pairs = corpus.train.epoch(0)
    assert 0 < len(pairs) < 50
    assert np.maximum(pairs.source_lengths, pairs.target_lengths).max() <= 30
    assert corpus.skipped.too_long == 0


def test_evaluation_reads_any_pairs(data: list[Path], tmp_path: Path) -> None:
    byte = ByteTokenizer(eod=True)
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({"source": a, "target": b}) + "\n" for a, b in PAIRS))
    forms: list[Data] = [data, path, str(path), [str(path)]]
    for form in forms:
        assert list(evaluation_part(form, Tokenizers(byte, byte)).texts()) == PAIRS
    with pytest.raises(UserError, match="holds no pairs"):
        evaluation_part(write(tmp_path, []), Tokenizers(byte, byte))


def test_pairs_in_memory_are_as_those_in_files(data: list[Path], cache: Path, tmp_path: Path) -> None:
    from_files = prepare(data, cache)
    memory = pairs_in_memory([*PAIRS, ("left out", " ")])
    corpus = prepare(memory, tmp_path / "other", expect=from_files.fingerprint)
    assert texts_of(corpus.train, corpus) == texts_of(from_files.train, from_files)
    assert list(corpus.valid.texts()) == list(from_files.valid.texts())
    assert (corpus.skipped.empty, corpus.skipped.first_empty) == (1, "line 201 of pairs in memory")
    whole = prepare(memory, tmp_path / "whole", valid=memory)  # all of them for both, though it is one object
    assert texts_of(whole.train, whole) == list(whole.valid.texts()) == PAIRS
    tokenizers = Tokenizers(corpus.source_tokenizer, corpus.target_tokenizer)
    assert list(evaluation_part(pairs_in_memory(PAIRS[:3]), tokenizers).texts()) == PAIRS[:3]


def test_vocabularies_that_are_equal_are_joint_only_where_that_is_asked_for(tmp_path: Path) -> None:
    """Whether the cache has them or not."""
    same = pairs_in_memory([(f"{n:03}", f"{n * 7 % 1000:03}") for n in range(200)])
    for joint in (False, True):
        for _ in range(2):
            corpus = prepare(same, tmp_path / str(joint), joint=joint)
            assert (corpus.source_tokenizer is corpus.target_tokenizer) == joint
            assert corpus.source_tokenizer.fingerprint == corpus.target_tokenizer.fingerprint


def test_pairs_that_change_while_they_are_read(data: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pair_corpus._read

    def read_then_change(*arguments: object) -> object:
        found = real(*arguments)
        write(data[0].parent, PAIRS[:50])
        return found

    monkeypatch.setattr(pair_corpus, "_read", read_then_change)
    with pytest.raises(UserError, match="the pairs changed while they were read; try again"):
        prepare(data, cache, tokenizer="byte")
    assert not list(cache.glob("train_*"))
