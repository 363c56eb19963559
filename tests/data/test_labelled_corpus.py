from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from elman.data.labelled import Labelled
from elman.data.labelled_corpus import Examples, encode, prepare
from elman.data.lanes import NOT_COUNTED
from elman.data.scaler import ChannelScaler
from elman.data.tokenizers import train_tokenizer
from elman.errors import UserError


def texts(count: int = 200, name: str = "f") -> Labelled:
    """Sorted by class; nine of ten are of the class "a"."""
    inputs = [f"the cat number {at} sat" for at in range(count)]
    cells = ["a" if at < 0.9 * count else "b" for at in range(count)]
    return Labelled(name, inputs, cells, [f"{name}, line {at + 1}" for at in range(count)])


def series(count: int = 60, channels: int = 2) -> Labelled:
    random = np.random.default_rng(0)
    inputs = [random.normal(at % 2, 2, (3 + at % 5, channels)) for at in range(count)]
    return Labelled("s", inputs, [at % 2 for at in range(count)], [f"s, line {at + 1}" for at in range(count)])


def read(examples: Examples) -> list[str]:
    assert examples.texts is not None
    return examples.texts


def test_a_tenth_of_each_class_is_held_out() -> None:
    corpus = prepare(texts())
    assert Counter(map(str, corpus.valid.labels or ())) == {"a": 18, "b": 2}
    assert sorted(read(corpus.train) + read(corpus.valid)) == sorted(texts().inputs)
    assert corpus.labels.counts == (162, 18)
    assert corpus.train.targets is not None
    assert corpus.train.targets.tolist() == [0] * 162 + [1] * 18


def test_the_split_does_not_depend_on_the_order_or_on_other_classes() -> None:
    data = texts()
    reverse = replace(data, inputs=data.inputs[::-1], cells=(data.cells or [])[::-1])
    assert sorted(read(prepare(reverse).valid)) == sorted(read(prepare(data).valid))
    more = replace(data, inputs=[*data.inputs, "x", "y"], cells=[*(data.cells or []), "c", "c"], places=[""] * 202)
    assert {*read(prepare(data).valid)} <= {*read(prepare(more).valid)}


def test_equal_examples_are_in_one_part() -> None:
    inputs = [f"text {at % 20}" for at in range(200)]
    corpus = prepare(Labelled("f", inputs, [str(at % 2) for at in range(200)], [""] * 200))
    assert not {*read(corpus.train)} & {*read(corpus.valid)}
    assert len(corpus.valid) > 0


def test_the_only_example_of_a_class_is_for_training() -> None:
    data = texts(20)
    corpus = prepare(replace(data, cells=[*(data.cells or [])[:-1], "rare"]))
    assert "rare" in corpus.labels.names
    assert "rare" not in (corpus.valid.labels or ())
    with pytest.raises(
        UserError, match="no example of f is left for validation: expected two different inputs of one label"
    ):
        prepare(Labelled("f", ["x", "y"], ["a", "b"], ["", ""]))


def test_a_decimal_comma_makes_no_class_of_every_number() -> None:
    data = replace(texts(40), cells=[f"{at / 7:.3f}".replace(".", ",") for at in range(40)])
    with pytest.raises(UserError, match="f, line 1: expected a label, got '0,000'; write a decimal point, or"):
        prepare(data)
    assert prepare(data, data, kind="class").labels.kind == "class"
    assert prepare(replace(texts(40), cells=["a,b", "b,a"] * 20)).labels.names == ("a,b", "b,a")


@pytest.mark.parametrize("given", [True, False])
def test_nothing_of_the_validation_part_reaches_codecs(given: bool) -> None:
    """Other values, words and lengths of the validation part leave the training part bit-equal."""
    for data in (texts(), series()):
        first = prepare(data, data if given else None, tokenizer="word")
        change: Any = (lambda x: x + " unseen") if not data.series else (lambda x: 1e6 * x[:1])
        if given:
            second = prepare(data, replace(data, inputs=list(map(change, data.inputs))), tokenizer="word")
        else:
            # The same examples are held out: their inputs are changed after the split has been made.
            held = [row for row in range(len(data)) if not _is_in(data.inputs[row], first, data)]
            kept = [row for row in range(len(data)) if row not in held]
            train, valid = (
                replace(
                    data,
                    inputs=[(change if rows is held else lambda x: x)(data.inputs[row]) for row in rows],
                    cells=[(data.cells or [])[row] for row in rows],
                    places=[data.places[row] for row in rows],
                )
                for rows in (kept, held)
            )
            second = prepare(train, valid, tokenizer="word")
        assert first.labels == second.labels
        assert first.scaler == second.scaler
        assert (first.tokenizer and first.tokenizer.to_json()) == (second.tokenizer and second.tokenizer.to_json())
        for one, other in zip(first.train.inputs, second.train.inputs, strict=True):
            np.testing.assert_array_equal(one, other)
        assert first.fingerprint != second.fingerprint


def _is_in(one: Any, corpus: Any, data: Labelled) -> bool:
    scaled = one if not data.series else corpus.scaler.scale(one)
    held = corpus.train.texts if not data.series else corpus.train.inputs
    return any(np.array_equal(scaled, each) for each in held)


def test_series_are_standardised_by_the_training_part() -> None:
    corpus = prepare(series())
    assert isinstance(corpus.scaler, ChannelScaler)
    steps = np.concatenate(corpus.train.inputs)
    np.testing.assert_allclose(steps.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(steps.std(0), 1, rtol=1e-6)
    assert corpus.tokenizer is None
    assert corpus.train.texts is None


@pytest.mark.parametrize(
    ("cells", "kind", "given"),
    [
        ([True, False], None, [True, False]),
        ([3, -7], "class", [3, -7]),
        (["true", "false"], None, ["true", "false"]),
        ([True, 3], "class", ["true", "3"]),  # of two types
        ([[1, 2], [2]], "several", [(1, 2), (2,)]),
    ],
)
def test_labels_come_back_in_the_form_in_which_they_were_given(cells: list[Any], kind: Any, given: list[Any]) -> None:
    texts = [f"text {at}" for at in range(40)]
    data = Labelled("f", texts, cells * 20, [f"row {at}" for at in range(40)])
    codec = prepare(data, kind=kind).labels
    back = [codec.given(label) for label in data.labels(codec.kind)[:2]]
    assert back == given
    assert [type(label) for label in back] == [type(label) for label in given]


def test_labels_that_training_lacks_are_not_counted() -> None:
    valid = Labelled("v", ["x", "y"], ["b", "new"], ["", ""])
    corpus = prepare(texts(), valid)
    assert corpus.valid.targets is not None
    assert corpus.valid.targets.tolist() == [1, NOT_COUNTED]
    assert corpus.valid.labels == ["b", "new"]
    assert len(corpus.train) == 200


def test_kinds_of_labels_are_recognised() -> None:
    data = texts(100)
    numbers = replace(data, cells=[at / 7 for at in range(100)])
    corpus = prepare(numbers)
    assert corpus.labels.kind == "number"
    assert "labels are numbers" in corpus.reasons[0]
    few = prepare(replace(numbers, cells=[at % 9 / 7 for at in range(100)]))
    assert few.labels.kind == "class"
    assert "though all are numbers (data.label_type=number" in few.reasons[0]
    assert not any("numbers" in reason for reason in prepare(replace(data, cells=["1", "2"] * 50)).reasons)
    assert prepare(replace(data, cells=["1", "2.5"] * 50, numeric=True)).labels.kind == "number"
    several = prepare(replace(data, cells=[["a"], [], ["a", "b"], ["b"]] * 25))
    assert several.labels.kind == "several"
    assert several.train.targets is not None
    assert several.train.targets.shape == (90, 2)


@pytest.mark.parametrize(
    ("inputs", "kind"),
    [
        (["the cat sat on the mat", "the cat sat on the cat"] * 20, "ngrams"),
        ([f"name{at}" for at in range(40)], "char"),
        ([f"{at} {at + 1000} {at + 2000} new words" for at in range(40)], "char"),
        ([" ".join(f"w{at * step}" for step in range(60)) for at in range(40)], "ngrams"),
        (["我喜欢这部电影", "不好"] * 20, "char"),
    ],
)
def test_the_tokens_follow_from_the_texts(inputs: list[str], kind: str) -> None:
    corpus = prepare(Labelled("f", inputs, ["a", "b"] * 20, [""] * 40), Labelled("v", ["x"], ["a"], [""]))
    assert corpus.tokenizer is not None
    assert corpus.tokenizer.kind == kind
    assert corpus.reasons[-1].startswith(f"tokens are {'words, read by' if kind == 'ngrams' else 'characters'}")


def test_sequences_are_cut_and_never_empty() -> None:
    tokenizer = train_tokenizer("word", ["a b c"], eod=True)
    found = encode(["a b c a", "", " "], tokenizer, max_length=3)
    assert [each.tolist() for each in found.inputs] == [tokenizer.encode("a b c").tolist(), *[[tokenizer.eod]] * 2]
    assert (found.cut, found.lengths.tolist()) == (1, [3, 1, 1])
    assert (found.targets, found.labels, found.texts) == (None, None, ["a b c a", "", " "])


def test_other_inputs_than_training_had_are_refused() -> None:
    with pytest.raises(UserError, match="s: expected texts, got series"):
        prepare(texts(), series())
    corpus = prepare(series())
    codecs = {"labels": corpus.labels, "scaler": corpus.scaler}
    with pytest.raises(UserError, match="f: expected series, got texts"):
        prepare(texts(), codecs=codecs)
    with pytest.raises(UserError, match="place 1: expected as many channels as in training, 2, got 3"):
        encode([np.ones((4, 3))], corpus.scaler, places=["place 1"])  # type: ignore[arg-type]
    again = prepare(series(), codecs=codecs)
    assert again.fingerprint == corpus.fingerprint
    assert again.labels is corpus.labels


def test_the_fingerprint_is_that_of_the_examples() -> None:
    data = series()
    assert prepare(data).fingerprint == prepare(replace(data, name="moved", places=[""] * 60)).fingerprint
    changed = [data.inputs[0] + 1e-9, *data.inputs[1:]]
    assert prepare(data).fingerprint != prepare(replace(data, inputs=changed)).fingerprint
    assert prepare(data).fingerprint != prepare(replace(data, cells=[1, 0, *(data.cells or [])[2:]])).fingerprint


def test_a_class_that_the_given_codecs_lack_cannot_be_trained_on() -> None:
    first = prepare(texts())
    codecs = {"labels": first.labels, "tokenizer": first.tokenizer}
    more = texts()
    with pytest.raises(UserError, match="expected the labels a, b, got c; train a new model"):
        prepare(replace(more, cells=["a", "b", "c", "c"] * 50), codecs=codecs)
    held = replace(more, cells=["a", "b", "c", "c"] * 50)
    targets = prepare(more, held, codecs=codecs).valid.targets  # to score, it counts as missed
    assert targets is not None
    assert targets[:3].tolist() == [0, 1, NOT_COUNTED]


def test_one_of_several_labels_that_the_given_codecs_lack_cannot_be_trained_on() -> None:
    made = prepare(replace(texts(), cells=["a|b", "b"] * 100), kind="several")
    codecs = {"labels": made.labels, "tokenizer": made.tokenizer}
    more = replace(texts(name="g"), cells=["a|c", "b"] * 100)
    with pytest.raises(UserError, match="g: expected the labels a, b, got c; train a new model"):
        prepare(more, codecs=codecs)
    assert len(prepare(made_of(more, ["a", ""]), codecs=codecs).train)


def made_of(data: Labelled, cells: list[str]) -> Labelled:
    return replace(data, cells=cells * (len(data) // len(cells)))


@pytest.mark.parametrize("missing", ["", "nan", None])
def test_a_missing_label_among_numbers_is_named_and_no_class(missing: str | None) -> None:
    cells = [f"{at}.5" for at in range(60)]
    data = Labelled("f", [f"text {at}" for at in range(60)], cells, [f"f, line {at + 1}" for at in range(60)])
    assert prepare(data).labels.kind == "number"
    with pytest.raises(UserError, match=r"^f, line 30: expected a label that is a number, got .*; leave out the ex"):
        prepare(replace(data, cells=[*cells[:29], missing, *cells[30:]]))
