"""Uses of a tagger: sentences come back to the byte with their tags, as JSON, word by word; and their scores."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import elman
from elman.cli import run as command
from elman.data.linefile import arriving_lines
from elman.data.spans import TagSpan, breaks, spans_of, tags_of
from elman.data.vocabulary import Scheme
from elman.errors import UserError
from elman.runs import Run
from elman.tasks.exchange import Answer, Inputs
from elman.tasks.tagging.corpus import sentences

SLOTS = [(["play", "Chico", "Buarque", "now"], ["O", "B-artist", "I-artist", "O"])] * 3
SLOTS += [(["at", "noon", "play", name], ["O", "B-time", "O", "B-artist"]) for name in ("Elis", "Gal", "Tom", "#")]
SLOTS += [(["wait", word], ["O", "O"]) for word in ("here", "there", "now", "a", "the")]
SMALL = {"min_count": 1, "embedding_size": 6, "character_size": 4, "hidden_size": 8, "num_layers": 1, "batch_words": 16}


@pytest.fixture(scope="module")
def slots(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A bidirectional tagger with a CRF, of lists in memory."""
    made = tmp_path_factory.mktemp("slots") / "run"
    tokens, tags = map(list, zip(*SLOTS, strict=True))
    return elman.fit(tokens, tags, out=made, task="tagging", budget="3 steps", model="gru", **SMALL)


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("columns") / "train.conll"
    rows = ["\n".join(f"{n} {a} _ {b}" for n, (a, b) in enumerate(zip(*each, strict=True), 1)) for each in SLOTS]
    file.write_text("\n\n".join(rows) + "\n", encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def causal(columns: Path) -> Run:
    """A tagger that reads forward, of a file with a token a line."""
    made = columns.parent / "run"
    return elman.fit(columns, out=made, task="tagging", budget="3 steps", crf=False, bidirectional=False, **SMALL)


def predicted(run: Run, data: bytes, name: str = "stdin", size: int = 1 << 16, **options: Any) -> list[Answer]:
    blocks = (data[at : at + size] for at in range(0, len(data), size))
    chosen = run.task.options_of("predict", options, run.path)
    return list(run.task.predict(run, Inputs(name, arriving_lines(blocks, name)), chosen, pytest.fail))


def written(answers: Sequence[Answer]) -> bytes:
    return b"".join(answer.written or b"" for answer in answers)


LINE = st.sampled_from(
    [b"play\tO", b"#\tO", b"Chico Buarque\tB-x", b"\xc3\xa9\tX", b"", b" ", b"# c", b"-DOCSTART-\tO"]
)
END = st.sampled_from([b"\n", b"\r\n"])


@given(st.lists(st.tuples(LINE, END), max_size=12), st.booleans(), st.booleans(), st.sampled_from([1, 3, 1 << 16]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_columns_come_back_to_the_byte(
    causal: Run, rows: list[tuple[bytes, bytes]], ended: bool, marked: bool, size: int
) -> None:
    """Without the column that was added, the output is the input: ends of lines, blank lines, comments and all."""
    data = b"\xef\xbb\xbf" * marked + b"".join(line + end for line, end in rows)
    data = data if ended else data.removesuffix(b"\n").removesuffix(b"\r")
    answers = predicted(causal, data, "x.conll", size)
    found = written(answers).split(b"\n")
    tags = [tag for answer in answers for tag in answer.result or []]
    for line, given_line in zip(found, data.split(b"\n"), strict=True):
        bare = given_line.removesuffix(b"\r")
        if b"\t" in bare and not bare.endswith(b"-DOCSTART-\tO"):
            assert line == bare + b"\t" + tags.pop(0).encode() + given_line[len(bare) :]
        else:
            assert line == given_line
    assert not tags


def word(number: str, form: str) -> str:
    return "\t".join([number, form, "_", "GOLD", *"______"])


def test_ranges_and_empty_nodes_come_back_as_they_were(slots: Run) -> None:
    rows = [
        "# text = playno now",
        word("1-2", "playno"),
        word("1", "play"),
        word("2", "no"),
        word("2.1", "e"),
        word("3", "now"),
    ]
    data = "\r\n".join(rows).encode()
    (answer,) = predicted(slots, data, "x.conllu")
    expected = iter(answer.result)
    lines = [row if at in (0, 1, 4) else f"{row}\t{next(expected)}" for at, row in enumerate(rows)]
    assert answer.written == "\r\n".join(lines).encode()
    assert answer.record["text"] == "playno now"
    assert answer.record["offsets"] == [(0, 6), (0, 6), (7, 10)]
    (replaced,) = predicted(slots, data, "x.conllu", replace=True)
    gold = [data.split(b"\r\n")[at] for at in (1, 4)]
    said = [
        word(row[0], row.split("\t")[1]).replace("GOLD", tag)
        for row, tag in zip([rows[2], rows[3], rows[5]], answer.result, strict=True)
    ]
    lines = [rows[0].encode(), gold[0], said[0].encode(), said[1].encode(), gold[1], said[2].encode()]
    assert replaced.written == b"\r\n".join(lines)


def test_json_has_probabilities_offsets_and_spans(slots: Run) -> None:
    data = "  play  Chico\tBuarque \n\nat é😀 play Gal\n".encode()
    first, empty, last = predicted(slots, data, format="lines")
    assert empty.record["tokens"] == empty.result == []
    for answer, text in ((first, "  play  Chico\tBuarque "), (last, "at é😀 play Gal")):
        found = json.loads(json.dumps(answer.record))
        assert found["text"] == text
        assert found["tokens"] == text.split() == [text[start:stop] for start, stop in found["offsets"]]
        assert len(found["tags"]) == len(found["probabilities"]) == len(found["tokens"])
        for each in found["probabilities"]:
            assert set(each) == set(slots.tags.names)
            assert sum(each.values()) == pytest.approx(1, abs=1e-6)
        assert not breaks(found["tags"], slots.tags.scheme)
        for span in found["spans"]:
            assert found["tags"][span["start"]] == f"B-{span['label']}"
            assert found["text"][slice(*span["offsets"])] == span["text"]
    assert last.record["unknown"] == 1
    assert written([first, empty, last]) == f"{' '.join(first.result)}\n\n{' '.join(last.result)}\n".encode()


def test_objects_come_back_with_their_tags(slots: Run) -> None:
    data = b'{"x": 1.50, "tokens": ["play", "Gal"]} \r\n\n{"text": " play Gal"}'
    first, _, last = answers = predicted(slots, data)
    tags = json.dumps(first.result).encode()
    assert written(
        answers
    ) == b'{"x": 1.50, "tokens": ["play", "Gal"], "predicted": %b} \r\n\n{"text": " play Gal", "predicted": %b}' % (
        tags,
        tags,
    )
    assert (first.result, last.record["offsets"]) == (last.result, [(1, 5), (6, 9)])
    (both,) = predicted(slots, b'{"text": "playGal", "tokens": ["play", "Gal"], "tags": ["X", "X"]}', replace=True)
    assert both.record["offsets"] == [(0, 4), (4, 7)]
    assert json.loads(both.written or b"")["tags"] == first.result
    (surrogate,) = predicted(slots, rb'{"text": "a\ud800 b"}')
    assert json.dumps(surrogate.record, ensure_ascii=False).encode()


def test_one_at_a_time_equals_many(slots: Run, causal: Run) -> None:
    texts = [tokens[:n] for tokens, _ in SLOTS for n in (1, 2, 4)] + [["unseen", "words" * 9], []]
    for run in (slots, causal):
        many = predicted(run, "\n".join(map(" ".join, texts)).encode(), format="lines")
        for tokens, answer in zip(texts, many, strict=False):
            (one,) = predicted(run, " ".join(tokens).encode() + b"\n", format="lines", batch=1)
            assert one.result == answer.result == run.predict([tokens])[0]
            shares = [[list(each.values()) for each in found.record["probabilities"]] for found in (one, answer)]
            np.testing.assert_allclose(*shares, atol=1e-6)


def test_word_by_word_equals_whole(causal: Run) -> None:
    texts = [tokens for tokens, _ in SLOTS]
    data = "\n\n".join("\n".join(tokens) for tokens in texts).encode()
    whole = predicted(causal, data, "x.conll")
    streamed = predicted(causal, data, size=3, stream=True)
    assert written(streamed) == written(whole)
    shares = [[list(share.values()) for answer in whole for share in answer.record["probabilities"]]]
    shares += [[list(answer.record["probabilities"].values()) for answer in streamed if answer.record]]
    np.testing.assert_allclose(*shares, atol=1e-6)


def test_sentences_in_memory_are_read_word_by_word_too(causal: Run) -> None:
    texts = [*(tokens for tokens, _ in SLOTS), []]
    whole, steps = causal.answers(texts), causal.answers(texts, stream=True)
    for first, second in zip(whole, steps, strict=True):
        assert first.result == second.result
        shares = [[list(share.values()) for share in answer.record["probabilities"]] for answer in (first, second)]
        np.testing.assert_allclose(*shares, atol=1e-6)
        assert first.result == [max(share, key=share.__getitem__) for share in first.record["probabilities"]]


def test_a_tag_is_there_before_the_next_word(causal: Run) -> None:
    asked = []

    def blocks() -> Iterator[bytes]:
        for block in (b"pl", b"ay\n", b"a b\n", b"now\n"):
            asked.append(block)
            yield block

    chosen = causal.task.options_of("predict", {"stream": True}, causal.path)
    answers = causal.task.predict(causal, Inputs("stdin", arriving_lines(blocks(), "stdin")), chosen, pytest.fail)
    assert next(answers).record["token"] == "play"
    assert asked == [b"pl", b"ay\n"]
    wrong, last = answers
    assert wrong.error.startswith("expected one column, got 2")
    assert wrong.written == b"a b\n"
    assert last.record["token"] == "now"


@pytest.mark.parametrize(("options", "message"), [({}, "both directions"), ({"bidirectional": False}, "CRF")])
def test_a_model_that_needs_the_whole_refuses_to_stream(
    options: dict[str, Any], message: str, slots: Run, tmp_path: Path
) -> None:
    run = slots
    if options:
        tokens, tags = map(list, zip(*SLOTS, strict=True))
        run = elman.fit(
            tokens, tags, out=tmp_path / "run", task="tagging", budget="1 steps", crf=True, **SMALL, **options
        )
    with pytest.raises(UserError, match=message):
        predicted(run, b"a\n", stream=True)
    with pytest.raises(UserError, match=message):
        run.predict(["a"], stream=True)


FORMS = {
    b"play Gal\n": ("lines", 2),
    b"play\nGal\n": ("conll", 2),
    b"play B\nGal O\n\nnow O\n": ("conll", 3),
    b"play Gal\nnow\n": ("lines", 3),
    b"play\tB\n": ("conll", 1),
    b'{"tokens": ["a", "b", "c"]}': ("jsonl", 3),
    b"{ play\n": ("lines", 2),
    word("1", "play").encode(): ("conllu", 1),
    b"": ("none", 0),
}  # fmt: skip


@pytest.mark.parametrize("data", FORMS)
def test_the_form_of_the_input_is_recognised(data: bytes, causal: Run) -> None:
    assert sum(len(answer.result) for answer in predicted(causal, data)) == FORMS[data][1]
    if FORMS[data][0] != "none":
        assert written(predicted(causal, data)) == written(predicted(causal, data, format=FORMS[data][0]))


@pytest.mark.parametrize("text", [b"play  Gal\tnow\n\nat noon\n", b"play\tGal at noon\n"])
def test_a_tab_between_the_words_of_a_sentence_makes_no_columns(text: bytes, slots: Run) -> None:
    answers = predicted(slots, text)
    assert [len(answer.result) for answer in answers] == [len(line.split()) for line in text.splitlines()]


def test_a_malformed_sentence_comes_back_and_is_named(
    slots: Run, tmp_path: Path, capfdbinary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"play\tO\r\nGal\tO\r\n\r\nChico\r\nnow\tO\r\n\r\n\xff\tO\n\nat\tO"
    file = tmp_path / "x.conll"
    file.write_bytes(data)
    capfdbinary.readouterr()
    assert command(["predict", str(slots.path), str(file)]) == 1
    out, err = capfdbinary.readouterr()
    lines, given_lines = out.split(b"\r\n"), data.split(b"\r\n")
    assert lines[2:6] == given_lines[2:6]
    assert lines[0].startswith(b"play\tO\t")
    assert b"\xff\tO\n\nat\tO\t" in out
    assert b"line 4: expected 2 columns, parted by tabs, got 1; " in err
    assert b"line 7: expected UTF-8 text" in err
    assert b"2 of 4 lines have no answer" in err
    assert command(["predict", str(slots.path), str(file), "--json"]) == 1
    records = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [(record["line"], "error" in record) for record in records] == [(1, False), (4, True), (7, True), (9, False)]


def test_lines_without_a_sentence_are_no_json(slots: Run, tmp_path: Path, capfdbinary: Any) -> None:
    file = tmp_path / "x.conll"
    file.write_bytes(b"# c\n\na\n\n\n# d\n")
    assert command(["predict", str(slots.path), str(file), "--json"]) == 0
    assert [json.loads(line)["tokens"] for line in capfdbinary.readouterr().out.splitlines()] == [["a"]]


def test_options_that_do_not_fit_the_input_are_refused(slots: Run, causal: Run) -> None:
    with pytest.raises(UserError, match="replace: expected a column of tags, got a sentence a line"):
        predicted(slots, b"a b\n", format="lines", replace=True)
    with pytest.raises(UserError, match='stream: expected format="conll" or conllu, got jsonl'):
        predicted(causal, b"a\n", format="jsonl", stream=True)


def test_python_takes_lists_of_words_texts_and_frames(slots: Run) -> None:
    pandas = pytest.importorskip("pandas")
    found = slots.predict([["play", "Gal"], "play  Gal", ("play", "Gal"), []])
    assert found[0] == found[1] == found[2] == slots.predict("play Gal")
    assert (len(found[0]), found[3]) == (2, [])
    assert slots.predict({"tokens": ["play", "Gal"]}) == slots.predict({"text": "play Gal"}) == found[0]
    frame = pandas.DataFrame({"id": [1, 2], "text": ["play Gal", "wait"]})
    table = slots.predict(frame)
    assert table["predicted"].tolist() == [found[0], slots.predict("wait")]
    assert table["id"].tolist() == [1, 2]
    for wrong in (3, [3], [""]):
        with pytest.raises(UserError, match=r"expected a list of words, or a text, got .*; give a list of sentences"):
            slots.predict([wrong])


# Scores


def test_the_scores_of_sentences(slots: Run, tmp_path: Path) -> None:
    tokens, tags = map(list, zip(*SLOTS, strict=True))
    found = slots.evaluate(tokens, tags)
    said = slots.predict(tokens)
    right = sum(a == b for pair in zip(said, tags, strict=True) for a, b in zip(*pair, strict=True))
    assert found["accuracy"] == pytest.approx(100 * right / sum(map(len, tags)))
    assert {"loss", "span_f1", "span_f1_lenient"} <= set(found)
    perfect = slots.evaluate(tokens, said)
    assert perfect["accuracy"] == 100
    assert perfect["span_f1"] in (100, None)
    assert (found["sentences"], found["tags"], found["unknown_words"]) == (12, sum(map(len, tags)), 0)
    assert json.dumps(found, allow_nan=False)


def test_a_tag_of_the_test_set_alone_is_missed_and_named(
    slots: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "test.conll"
    file.write_text("play O\nRio B-city\nto I-city\n\nnew O\nx FOO\n", encoding="utf-8")
    assert command(["evaluate", str(slots.path), str(file)]) == 0
    out = capsys.readouterr().out
    assert (
        "unknown tags        B-city (1), I-city (1), FOO (1): the training had none of them, so that all are missed"
        in out
    )
    assert "IOB2, strict mode" in out
    assert "IOB2, lenient mode" in out
    found = slots.evaluate(file)
    assert found["unknown_tags"] == {"B-city": 1, "I-city": 1, "FOO": 1}
    assert found["accuracy"] <= 40
    assert found["labels"]["city"] == {"f1": 0, "precision": 0, "recall": 0, "spans": 1}
    assert found["unknown_words"] == 4
    assert np.isfinite(found["loss"])
    file.write_text("play FOO\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"knows no tag of .*test.conll: expected such as O, .*, got FOO; give data"):
        slots.evaluate(file)


@pytest.mark.parametrize(
    ("scheme", "scored"), [("IOB1", "IOB1"), ("BIOES", "BIOES"), ("BILOU", "BIOES"), ("BMEWO", "BIOES")]
)
def test_every_scheme_is_kept_to_and_scored(scheme: Scheme, scored: str, tmp_path: Path) -> None:
    """In the letters that the training had, which seqeval does not read in all of them."""
    spans = [TagSpan("x", 0, 1), TagSpan("x", 1, 4), TagSpan("y", 5, 7)]
    tokens, tags = [f"w{n}" for n in range(8)], tags_of(spans, 8, scheme)
    part = [(tokens[:4], tags[:4]), (tokens, tags)] * 3 + [(["a", "w0"], ["O", *tags_of(spans[:1], 1, scheme)])]
    sentences, targets = map(list, zip(*part, strict=True))
    run = elman.fit(sentences, targets, out=tmp_path / "run", task="tagging", budget="1 steps", **SMALL)
    assert run.tags.scheme == scheme
    for answer in run.answers([[f"w{n}" for n in range(k, k + 9)] for k in range(9)]):
        assert not breaks(answer.result, scheme)
        assert [(s["label"], s["start"], s["stop"]) for s in answer.record["spans"]] == spans_of(answer.result, scheme)
    said = run.predict(sentences)
    found = run.evaluate(sentences, said)
    assert found["span_scorer"].endswith(f", {scored}")
    assert found["span_f1"] in (100, None)
    assert run.evaluate(sentences, targets)["labels"]["x"]["spans"] == 13


def test_without_seqeval_there_is_accuracy(slots: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elman.metrics.spans.find_spec", lambda name: None)
    told: list[str] = []
    tokens, tags = SLOTS[0]
    with elman.data_in_memory.in_memory() as made:
        data = elman.data_in_memory.places([tokens], [tags], made)
        report = slots.evaluation(data, {}, memory=made, say=told.append).report
    assert "span_f1" not in report
    assert told == ["without seqeval there is no F1 of spans: pip install 'elman[spans]'"]


def test_the_validation_part_is_found_again(slots: Run, causal: Run, columns: Path) -> None:
    for run in (slots, causal):
        part, name = sentences(run, [])
        assert name.startswith("the validation part of ")
        assert 1 <= len(part) < len(SLOTS)
        assert sentences(run, [columns])[0][0].tokens == ("play", "Chico", "Buarque", "now")
    assert causal.layout.token_column == 2


def test_codecs_of_another_model_are_refused(causal: Run, tmp_path: Path) -> None:
    copy = causal.save(tmp_path / "copy")
    for name in ("words", "characters", "tags"):
        file = copy.path / "model" / f"{name}.json"
        kept = file.read_text()
        file.write_text(json.dumps(json.loads(kept) | {"names": ["<unk>", "<pad>"]}))
        with pytest.raises(UserError, match=f"{name}.json is another model's: expected"):
            elman.load(copy.path)
        file.write_text('{"names": 3}')
        with pytest.raises(UserError, match=f"{name}.json is damaged"):
            elman.load(copy.path)
        file.write_text(kept)
    with warnings.catch_warnings():
        assert elman.load(copy.path / "model").predict([["play"]]) == causal.predict([["play"]])
