"""Classifiers that many sessions speak to: a label is that of all that its session has read, whoever else is heard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import elman
from elman.errors import UserError
from elman.lens.places import memory_of
from elman.runs import Run
from elman.serve import Sessions
from elman.state import map_state
from elman.tasks.classification.corpus import in_memory
from elman.tasks.hearing import WholeMemory
from elman.tasks.listening import Memory, Work
from foreign_models import FOREIGN, VOCABULARY, Reader
from memories import in_float64, memory_over, same_memory
from sessions import Session, alone, close, imported, speak

WORDS = ["red", "green", "blue", "cat", "box,", "the", "unseen"]
TEXTS = [" ".join(words) for words in np.random.default_rng(5).choice(WORDS[:6], (60, 4))]
FIRST = ["red" if "red" in text else "none" for text in TEXTS]
WAVES = [(np.sin(row + np.arange(9) / (1 + row % 3))[:, None] * [1, -2]).tolist() for row in range(60)]
SMALL = {"hidden_size": 8, "embedding_size": 6, "num_layers": 1, "batch_size": 16}
BACK = {"bidirectional": False}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "causal characters": ("class", {"model": "lstm", "pooling": "attention", "tokenizer": "char", **BACK}),
    "causal words": ("number", {"model": "elman", "pooling": "mean", "tokenizer": "word", **BACK}),
    "causal n-grams": ("class", {"model": "gru", "pooling": "max", "tokenizer": "ngrams", **BACK}),
    "causal series": ("series", {"model": "gru", "pooling": "last", **BACK}),
    "causal transformer": (
        "class",
        {"model": "transformer", "pooling": "last", "tokenizer": "char", "is_causal": True},
    ),
    "both directions": ("several", {"model": "lstm", "pooling": "attention", "tokenizer": "char"}),
    "n-grams in both directions": ("class", {"model": "gru", "pooling": "attention", "tokenizer": "ngrams"}),
    "series in both directions": ("series", {"model": "gru", "pooling": "max"}),
    "transformer of series": ("series", {"model": "transformer", "pooling": "mean", "is_causal": False}),
}
IMPORTED = {
    "imported, causal": FOREIGN["classification"].make,
    "imported, both directions": lambda: Reader(13, nn.GRU(6, 10, batch_first=True, bidirectional=True), 2, True),
}
LABELS = {
    "class": FIRST,
    "number": [1.5 * len(text) for text in TEXTS],
    "several": [["red"] * ("red" in text) + ["blue"] * ("blue" in text) for text in TEXTS],
    "series": ["a", "b", "c"] * 20,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    place, made = tmp_path_factory.mktemp("classifiers"), {}
    for at, (name, (labels, options)) in enumerate(KINDS.items()):
        if options["model"] == "transformer":
            options = {"num_heads": 2, **options}
        inputs = WAVES if labels == "series" else TEXTS
        options |= {"label_type": "number"} if labels == "number" else {}
        options |= {"task": "classification", "budget": "6 steps", "out": place / str(at)} | SMALL
        made[name] = elman.fit(inputs, LABELS[labels], **options)
    torch.manual_seed(3)
    for name, make in IMPORTED.items():
        module = make().eval()
        folder = place / name.replace(" ", "-")
        made[name] = imported("classification", module, folder, tokenizer=VOCABULARY, labels=["none", "pet"])
    return made


def is_series(run: Run) -> bool:
    return "scaler" in run.codecs


TEXT = st.lists(st.sampled_from(WORDS), max_size=4).map(lambda words: " ".join(words))
NUMBER = st.none() | st.floats(-3, 3, width=16)
ROWS = st.lists(st.tuples(NUMBER, NUMBER).map(list), max_size=4)


def expected(run: Run, read: Any) -> dict[str, Any]:
    """What `elman predict --json` says of all that was read."""
    (answer,) = run.answers([read])
    return {name: value for name, value in answer.record.items() if name not in ("input", "tokens")}


@pytest.mark.parametrize("kind", [*KINDS, *IMPORTED])
@given(st.data())
@settings(max_examples=15, deadline=None)
def test_every_answer_is_that_of_all_that_was_read(runs: dict[str, Run], kind: str, data: st.DataObject) -> None:
    run = runs[kind]
    listener = run.task.listener(run, {"chunk": data.draw(st.sampled_from([1, 3, 256]))})
    words = is_series(run) or run.tokenizer.kind != "char"  # between pieces of a text there is a blank
    form = "values" if is_series(run) else "text"
    pieces = data.draw(
        st.lists(st.lists(ROWS if is_series(run) else TEXT, min_size=1, max_size=4), min_size=1, max_size=4)
    )
    begins = [data.draw(st.integers(0, 3)) for _ in pieces]
    sessions = [
        Session([("feed", {form: piece}) for piece in each], begin) for each, begin in zip(pieces, begins, strict=True)
    ]
    speak(listener, sessions)
    for session, each in zip(sessions, pieces, strict=True):
        read: Any = [] if is_series(run) else ""
        for piece, answer in zip(each, session.told, strict=True):
            read = read + piece if is_series(run) or not words else f"{read} {piece}".strip()
            if not read:
                assert "the session has read nothing yet" in str(answer)
                continue
            wanted = expected(run, read)
            if not listener.whole:
                wanted.pop("attention", None)
            assert answer.pop("position") == len(in_memory(run, [read]).inputs[0])
            close(answer, wanted)
        again = Session([("feed", {"units": session.units})])
        if session.units:
            speak(listener, [again])
            answer = again.told[0]
            assert answer.pop("position") == len(session.units)
            close(answer, wanted if listener.whole else session.told[-1])
            assert again.units == session.units


def test_a_stream_says_the_same(runs: dict[str, Run], tmp_path: Path) -> None:
    from elman.data.linefile import arriving_lines
    from elman.tasks.exchange import Inputs

    run = runs["causal words"]
    data = b"red cat\nthe\nbox, blue\n"
    options = run.task.options_of("predict", {"stream": True}, run.path)
    streamed = list(run.task.predict(run, Inputs("stdin", arriving_lines([data], "stdin")), options, print))
    told = alone(run.task.listener(run), *(("feed", {"text": line}) for line in data.decode().splitlines())).told
    for answer, one in zip(told, streamed, strict=True):
        wanted = {"position": one.record["step"], **one.record}
        close(answer, {name: value for name, value in wanted.items() if name not in ("input", "step")}, 1e-6)


@pytest.mark.parametrize(
    ("kind", "asked", "message"),
    [
        ("causal series", {}, "feed: expected one of values, units, got none"),
        ("causal series", {"text": "a"}, "no setting called 'text'"),
        ("causal series", {"values": [[1]]}, "values: expected rows of 2 channels, got 1"),
        ("causal series", {"values": [[1, 2], [3]]}, "rows of different lengths"),
        ("causal series", {"values": [["x", 2]]}, "a list of numbers"),
        ("causal series", {"values": [[float("inf"), 2]]}, "finite numbers"),
        ("causal series", {"units": [[1, 2, 3]]}, "units: expected rows of 2 channels, got 3"),
        ("causal characters", {"tokens": [0, 99]}, "tokens: expected numbers of tokens, from 0 to"),
        ("causal characters", {"tokens": [True]}, "got True"),
        ("causal characters", {"units": ["a"]}, "units: expected numbers of tokens"),
        ("causal n-grams", {"tokens": [5]}, "tokens: expected words"),
        ("imported, causal", {"text": "cat", "tokens": [1]}, "got text and tokens"),
    ],
)
def test_what_is_asked_is_checked(runs: dict[str, Run], kind: str, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        runs[kind].task.listener(runs[kind]).check("feed", asked)


def test_values_beyond_all_measure_are_refused(runs: dict[str, Run]) -> None:
    with pytest.raises(UserError, match="too large for the model"):
        runs["causal series"].task.listener(runs["causal series"]).check("feed", {"values": [[1e300, 0]]})


@pytest.mark.parametrize("kind", ["causal series", "series in both directions"])
def test_a_memory_with_numbers_that_are_none_harms_its_session_alone(runs: dict[str, Run], kind: str) -> None:
    listener = runs[kind].task.listener(runs[kind])
    works = [Work("feed", listener.check("feed", {"values": WAVES[0]}), listener.begin()) for _ in range(4)]
    wrong = listener.check("feed", {"values": WAVES[0]}).inputs * np.inf
    if listener.whole:
        works[1].memory = Memory(WholeMemory(torch.from_numpy(wrong)[None]), {}, len(wrong))
    else:
        works[1].memory = Memory(map_state(lambda x: x * torch.nan, listener.begin().state), {}, 9)
    before = works[1].memory
    listener.round(works)
    assert "not finite" in str(works[1].error)
    assert works[1].memory is before
    (wanted,) = alone(listener, ("feed", {"values": WAVES[0]})).told
    for work in (works[0], *works[2:]):
        close(work.answer, wanted)


def test_a_model_of_the_whole_reads_as_much_as_its_run_says(runs: dict[str, Run]) -> None:
    run = runs["both directions"]
    listener = run.task.listener(run)
    listener.longest = 5
    session = alone(listener, ("feed", {"text": "red"}), ("feed", {"text": " cat"}), ("feed", {"text": "s"}))
    assert "expected at most 5 steps, got 7" in str(session.told[1])
    assert session.told[2]["position"] == 4


def test_works_beyond_a_batch_wait_for_the_next_round(runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elman.tasks.hearing.TOGETHER", 9)
    run = runs["both directions"]
    listener = run.task.listener(run)
    works = [Work("feed", listener.check("feed", {"text": text}), listener.begin()) for text in ("red", "blue", "cat")]
    listener.round(works)
    assert [work.done for work in works] == [True, True, False]
    listener.round(works[2:])
    assert works[2].done


def test_what_a_client_wants_to_know(runs: dict[str, Run]) -> None:
    facts = {kind: run.task.listener(run).about() for kind, run in runs.items()}
    assert facts["causal series"] | {"labels": 0} == {
        "reads": "values", "channels": 2, "columns": ["channel 1", "channel 2"], "whole": False, "longest": None,
        "label_kind": "class", "labels": 0,
    }  # fmt: skip
    assert (facts["both directions"]["whole"], facts["both directions"]["label_kind"]) == (True, "several")
    assert facts["imported, causal"]["labels"] == ["none", "pet"]
    assert (facts["causal words"]["label_kind"], facts["causal words"]["tokenizer"]) == ("number", "word")


def test_memories_from_outside_are_checked(runs: dict[str, Run]) -> None:
    listener = runs["both directions"].task.listener(runs["both directions"])
    memory = alone(listener, ("feed", {"text": "red"})).memories[-1]
    listener.check_memory(memory)
    with pytest.raises(UserError, match="steps: expected 7, got 3"):
        listener.check_memory(memory._replace(position=7))
    with pytest.raises(UserError, match="tokens: expected from 0 to"):
        listener.check_memory(memory._replace(state=type(memory.state)(torch.full((1, 3, 1), 99))))


@pytest.mark.parametrize("kind", [*KINDS, *IMPORTED])
def test_what_is_watched_is_what_the_whole_sequence_does(runs: dict[str, Run], kind: str) -> None:
    run = in_float64(runs[kind])
    listener = run.task.listener(run)
    given = (
        {"values": WAVES[3]} if "series" in kind or kind == "transformer of series" else {"text": "the red cat, blue"}
    )
    request = listener.check("feed", given)
    inputs, units = torch.from_numpy(request.inputs)[None], request.units
    expected = memory_over(memory_of(run.model), lambda: run.model.scores(inputs))
    with Sessions(run) as sessions:
        session = sessions.create(units=units[:2])
        session.checkpoint()
        session.feed(units=units[2:])
        for begin in (0, 1, 2, 3):
            found = session.watch(begin=begin, unit=1, units=[0, 3])
            same_memory(found, expected, begin, units=[0, 3], unit=1)
            if kind in IMPORTED or (not listener.whole and begin >= 2):
                assert "pooled" not in found
            else:
                weights = run.model.pooling_weights(inputs)[0, begin:].numpy()
                np.testing.assert_allclose(found["pooled"], weights, rtol=0, atol=1e-12)
