import gzip
import json
import os
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

from elman import atomic
from elman.data import cache as cache_module
from elman.data import corpus as corpus_module
from elman.data.corpus import Corpus, encode_file, prepare
from elman.data.lanes import Lanes
from elman.data.sources import text_in_memory
from elman.data.tokenfile import TokenFile
from elman.data.tokenizers import ByteTokenizer, CharTokenizer
from elman.errors import UserError

TEXT = "".join(f"line {n}: {n * n} é\n" for n in range(400))


def text_of(tokens: TokenFile, corpus: Corpus) -> str:
    return corpus.tokenizer.decode(np.asarray(tokens))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "run" / "cache"


def write_times(cache: Path) -> dict[str, int]:
    """Of all but what is said of the files, which may be moved."""
    return {file.name: file.stat().st_mtime_ns for file in cache.iterdir() if not file.name.startswith("text-")}


@pytest.mark.parametrize("kind", ["char", "byte", "bpe"])
def test_one_text_is_cut_as_in_every_tutorial(path: Path, cache: Path, kind: str) -> None:
    corpus = prepare(path, cache, tokenizer=kind)
    n = int(0.9 * len(TEXT))
    assert text_of(corpus.train, corpus) == TEXT[:n]
    assert text_of(corpus.valid, corpus) == TEXT[n:]
    assert corpus.tokenizer.eod is None
    assert (corpus.train.characters, corpus.train.bytes) == (n, len(TEXT[:n].encode()))


def test_nothing_is_learnt_from_the_validation_part(path: Path, cache: Path) -> None:
    path.write_text("a" * 90 + "b" * 10)
    corpus = prepare(path, cache)
    assert corpus.tokenizer.to_json()["characters"] == "a"
    assert corpus.valid.unknown == 10
    words = prepare(path, cache, tokenizer="word")
    assert words.tokenizer.to_json()["words"] == ["a" * 90]


def test_documents_end_with_eod_and_are_not_cut(tmp_path: Path, cache: Path) -> None:
    documents = [f"document {n} " + "." * n for n in range(40)]
    path = tmp_path / "docs.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in documents))
    corpus = prepare(path, cache)
    eod = corpus.tokenizer.eod
    whole = [*np.asarray(corpus.train).tolist(), *np.asarray(corpus.valid).tolist()]
    assert np.asarray(corpus.train)[-1] == eod
    ends = [at for at, token in enumerate(whole) if token == eod]
    starts = [0, *(at + 1 for at in ends)]
    assert [corpus.tokenizer.decode(whole[a:b]) for a, b in zip(starts, ends, strict=False)] == documents
    assert ends[-1] == len(whole) - 1
    assert corpus.train.documents + corpus.valid.documents == 40
    assert 0.8 < corpus.train.characters / len("".join(documents)) < 0.97


def test_a_text_for_validation(path: Path, cache: Path, tmp_path: Path) -> None:
    other = tmp_path / "valid.txt.gz"
    other.write_bytes(gzip.compress("line 7: ψ\n".encode()))
    corpus = prepare(path, cache, valid=other)
    assert text_of(corpus.train, corpus) == TEXT
    assert text_of(corpus.valid, corpus) == "line 7: \ufffd\n"
    assert corpus.fingerprint != prepare(path, cache).fingerprint


def test_the_cache_is_used_again(path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(path, cache)
    written = write_times(cache)
    stages: list[str] = []

    def progress(stage: str, done: float) -> None:
        assert 0 <= done <= 1
        stages.append(stage)

    again = prepare(path, cache, progress=progress)
    assert (again.train, again.valid, again.fingerprint) == (first.train, first.valid, first.fingerprint)
    assert not stages, "untouched files are not read"
    os.utime(path, ns=(0, 0))
    moved = path.rename(path.with_name("moved.txt"))
    again = prepare(moved, cache, progress=progress, expect=first.fingerprint)
    assert set(stages) == {"reading"}
    assert write_times(cache) == written
    ready = prepare(moved, cache, tokenizer=again.tokenizer)
    assert ready.train == first.train
    assert write_times(cache) == {name: time for name, time in written.items() if not name.startswith("tokenizer-")}


@pytest.mark.parametrize(
    "change",
    [{"tokenizer": "byte"}, {"max_vocab": 5}, {"min_count": 400}, {"tokenizer": CharTokenizer("line ")}],
    ids=["byte", "fewer", "rarer", "given"],
)
def test_another_recipe_makes_the_cache_anew(path: Path, cache: Path, change: dict) -> None:
    first = prepare(path, cache)
    other = prepare(path, cache, **change)
    assert other.tokenizer.fingerprint != first.tokenizer.fingerprint
    assert other.fingerprint == first.fingerprint
    assert prepare(path, cache, **change).train == other.train
    assert len(list(cache.glob("*.bin"))) == 2, "what the other recipe made is gone"


def test_changed_data_are_noticed_and_nothing_is_lost(path: Path, cache: Path) -> None:
    first = prepare(path, cache)
    written = write_times(cache)
    path.write_text(TEXT + "more")
    with pytest.raises(UserError, match="is not the text that the run began with"):
        prepare(path, cache, expect=first.fingerprint)
    assert write_times(cache) == written
    path.write_text(TEXT)
    assert prepare(path, cache, expect=first.fingerprint).train == first.train
    with pytest.raises(UserError, match="is not the text"):
        prepare(path, cache, expect="of another run")
    path.write_text(TEXT + "more")
    assert prepare(path, cache).fingerprint != first.fingerprint


def test_a_lost_cache_is_made_again(path: Path, cache: Path) -> None:
    first = prepare(path, cache, tokenizer="bpe")
    tokens = np.array(first.train, copy=True)
    prepare(path, cache, tokenizer=first.tokenizer)
    for file in sorted(cache.iterdir()):
        whole = file.read_bytes()
        for damaged in (None, whole[: len(whole) // 2]):
            file.unlink() if damaged is None else file.write_bytes(damaged)
            again = prepare(path, cache, tokenizer=first.tokenizer, expect=first.fingerprint)
            assert again.fingerprint == first.fingerprint
            assert np.array_equal(np.asarray(again.train), tokens)
    kept = [file.name.partition("-")[0] + file.suffix for file in cache.iterdir()]
    assert sorted(kept) == ["text.json", "train.bin", "train.json", "valid.bin", "valid.json"]


@pytest.mark.parametrize("calls", range(7))
def test_a_kill_at_any_moment(path: Path, cache: Path, calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(path, cache, tokenizer="byte")
    seen = 0

    def killer(place: object, name: str):
        real = getattr(place, name)

        def killed(*args, **kwargs):
            nonlocal seen
            seen += 1
            if seen > calls:
                raise KeyboardInterrupt
            return real(*args, **kwargs)

        return killed

    path.write_text(TEXT.upper())
    with monkeypatch.context() as patched:
        for place, name in (
            (corpus_module, "train_tokenizer"),
            (cache_module, "write_tokens"),
            (atomic, "write_text"),
        ):
            patched.setattr(place, name, killer(place, name))
        with pytest.raises(KeyboardInterrupt):
            prepare(path, cache, tokenizer="byte")
    again = prepare(path, cache, tokenizer="byte")
    assert text_of(again.train, again) + text_of(again.valid, again) == TEXT.upper()
    assert again.fingerprint != first.fingerprint


def test_a_text_that_changes_while_it_is_read(path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = corpus_module.survey

    def survey_then_change(pieces):
        found = real(pieces)
        path.write_text(TEXT[:100])
        return found

    monkeypatch.setattr(corpus_module, "survey", survey_then_change)
    with pytest.raises(UserError, match="changed while it was read"):
        prepare(path, cache)


@pytest.mark.parametrize("content", [b"", b"\xff\xfea\0", b"caf\xe9", b"\0\1"])
def test_bad_texts_leave_nothing_behind(path: Path, cache: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        prepare(path, cache)
    assert "\n" not in str(caught.value)
    assert not cache.exists()


@pytest.mark.parametrize("text", ["a", "ab", "\n"])
def test_the_shortest_texts(path: Path, cache: Path, text: str) -> None:
    path.write_text(text)
    corpus = prepare(path, cache)
    assert len(corpus.train) + len(corpus.valid) == len(text)


def test_skipped_files_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text("one text")
    (folder / "b.txt").write_text("another text")
    (folder / "c.png").write_bytes(b"\0")
    for _ in range(2):
        corpus = prepare(folder, tmp_path / "cache")
        assert corpus.skipped == 1
    assert corpus.tokenizer.eod is not None


def test_encode_file(path: Path, cache: Path) -> None:
    tokenizer = ByteTokenizer()
    made = encode_file(path, tokenizer, cache)
    assert bytes(np.asarray(made).astype(np.uint8)).decode() == TEXT
    stages: list[str] = []
    assert encode_file(str(path), tokenizer, cache, lambda stage, done: stages.append(stage)) == made
    assert not stages
    assert encode_file(path, CharTokenizer("abc"), cache).unknown > 0


def test_memory_does_not_grow_with_the_text(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "long.txt"
    with path.open("w") as file:
        for _ in range(40):
            file.write(TEXT * 60)  # 400 kB: 16 MB in all
    tracemalloc.start()
    try:
        corpus = prepare(path, cache)
        lanes = Lanes(corpus.train, 4)
        for start in range(0, lanes.steps - 1000, lanes.steps // 50):
            lanes.window(start, start + 1000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size / 2


def test_bpe_learns_from_a_sample_spread_over_the_text(path: Path, cache: Path, monkeypatch) -> None:
    path.write_text("".join(f"{n:07} " for n in range(10_000)))
    monkeypatch.setattr("elman.data.textfile.BLOCK", 4096)
    monkeypatch.setattr(corpus_module, "BPE_SAMPLE", 20_000)
    seen: list[str] = []
    real = corpus_module.train_tokenizer

    def spy(kind, texts, **options):
        seen.extend(texts)
        return real(kind, seen, **options)

    monkeypatch.setattr(corpus_module, "train_tokenizer", spy)
    prepare(path, cache, tokenizer="bpe", max_vocab=300)
    assert 10_000 < sum(map(len, seen)) <= 24_000
    assert len(seen) > 1
    assert int(seen[-1].split()[-1]) > 7_000


def test_a_kept_vocabulary_that_is_none_is_learnt_again(path: Path, cache: Path) -> None:
    first = prepare(path, cache)
    (kept,) = cache.glob("tokenizer-*.json")
    value = json.dumps({"kind": "other", "eod": False})
    kept.write_text(f'{{"crc32": {zlib.crc32(value.encode())}, "value": {value}}}')
    assert prepare(path, cache).tokenizer.fingerprint == first.tokenizer.fingerprint


def test_a_text_in_memory_is_as_one_in_a_file(path: Path, cache: Path, tmp_path: Path) -> None:
    from_file = prepare(path, cache)
    corpus = prepare(text_in_memory(TEXT), tmp_path / "other", expect=from_file.fingerprint)
    assert corpus.train.crc32 == from_file.train.crc32
    assert text_of(corpus.valid, corpus) == TEXT[int(0.9 * len(TEXT)) :]
    told: list[float] = []
    prepare(text_in_memory(TEXT), tmp_path / "other", progress=lambda _, done: told.append(done))
    assert not told, "what is in the cache is not read again"
    both = prepare(path, tmp_path / "both", valid=text_in_memory("line 7"), progress=lambda _, done: told.append(done))
    assert text_of(both.valid, both) == "line 7"
    assert max(told) == 1
    assert encode_file(text_in_memory("é"), ByteTokenizer(), cache).tokens == 2


def test_documents_in_memory(tmp_path: Path) -> None:
    corpus = prepare(text_in_memory(["one", "", "two", "three"]), tmp_path)
    assert corpus.tokenizer.eod is not None
    assert corpus.train.documents + corpus.valid.documents == 3
    with pytest.raises(UserError, match="text in memory is not the text that the run began with"):
        prepare(text_in_memory(["one", "two"]), tmp_path, expect=corpus.fingerprint)
    with pytest.raises(UserError, match="text in memory holds no text: it is empty"):
        prepare(text_in_memory([""]), tmp_path)


def test_a_text_of_characters_imports_nothing_of_pairs_and_no_other_tokenizer(path: Path, cache: Path) -> None:
    code = f"""if True:
        import sys
        from pathlib import Path
        from elman.data.corpus import prepare
        from elman.data.pairs import holds_pairs
        from elman.data.recognition import check_text
        assert not holds_pairs([{str(path)!r}])
        check_text({str(path)!r})
        prepare({str(path)!r}, Path({str(cache)!r}))
        assert "torch" not in sys.modules
        import elman.data.lanes
        print(*sorted(name for name in sys.modules if name.startswith("elman.data")))
    """
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert len(found) <= 13, found
    assert not {name.rpartition(".")[2] for name in found} & {
        *("word", "byte", "bpe", "dates", "numbers", "endless", "pair_corpus", "batches", "stdlib")
    }
