"""Requests that hold a unit, a gate or a head: of every task, and whoever else is heard meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import elman
from elman import lens
from elman.errors import UserError
from elman.export import export
from elman.lens.places import memory_of
from elman.runs import Run
from elman.serve import Sessions
from elman.tasks.holding import HeldReaders
from elman.tasks.tagging.inference import tag_on
from foreign_models import FOREIGN, VOCABULARY
from memories import in_float64, memory_over, same_memory
from sessions import Session, alone, close, imported, speak

WORDS = ["play", "Gal", "Tom", "at", "noon", "now"]
SENTENCES = [[WORDS[(at * step) % 6] for at in range(3 + step % 2)] for step in range(1, 12)]
TAGS = [["B-name" if word in ("Gal", "Tom") else "O" for word in words] for words in SENTENCES]
TEXTS = [" ".join(words) for words in SENTENCES]
LABELS = ["name" if "B-name" in tags else "none" for tags in TAGS]
WAVE = [round(10 + 3 * ((step * 7) % 11) / 11, 3) for step in range(60)]
SMALL: dict[str, Any] = {"hidden_size": 8, "budget": "1 steps", "progress": False}
FORWARD, HEADS = {"bidirectional": False}, {"model": "transformer", "num_heads": 2}
KINDS: dict[str, dict[str, Any]] = {
    "tagging, causal": {"model": "lstm", "crf": False, **FORWARD},
    "tagging, causal transformer": {**HEADS, "crf": False, "is_causal": True},
    "tagging, whole": {"model": "gru"},
    "tagging, whole transformer": {**HEADS, "crf": False, "is_causal": False},
    "classification, causal": {"model": "gru", "pooling": "mean", **FORWARD},
    "classification, whole": {"model": "lstm", "pooling": "attention"},
    "classification, whole transformer": {**HEADS, "is_causal": False},
    "forecasting, direct": {"model": "gru", "form": "direct"},
    "forecasting, likelihood": {"model": "lstm", "form": "likelihood", "samples": 5},
    "forecasting, transformer": {**HEADS, "form": "direct"},
    "translation, recurrent": {"model": "gru", "attention": "additive", "embedding_size": 6},
    "translation, transformer": {**HEADS},
}
IMPORTED = "tagging, imported"
EVERY = [*KINDS, IMPORTED]
EXAMPLES: dict[str, tuple[Any, ...]] = {
    "tagging": (SENTENCES * 3, TAGS * 3),
    "classification": (TEXTS * 3, LABELS * 3),
    "forecasting": (WAVE,),
    "translation": ([(text, text[::-1]) for text in TEXTS] * 2,),
}
MORE: dict[str, dict[str, Any]] = {
    "tagging": {"min_count": 1, "embedding_size": 6, "character_size": 4, "num_layers": 1},
    "classification": {"tokenizer": "word", "embedding_size": 6, "num_layers": 1},
    "forecasting": {"horizon": 3, "window": 6, "num_layers": 1},
    "translation": {"tokenizer": "char", "validation_sentences": 0},
}


def task_of(kind: str) -> str:
    return kind.partition(",")[0]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Models in which every parameter matters."""
    place, made = tmp_path_factory.mktemp("held"), {}
    for at, (kind, options) in enumerate(KINDS.items()):
        task = task_of(kind)
        given = EXAMPLES[task]
        made[kind] = elman.fit(*given, out=place / str(at), task=task, **{**MORE[task], **SMALL, **options})
    labels = ["O", "B-X", "I-X"]
    module = FOREIGN["tagging"].make().eval()
    made[IMPORTED] = imported("tagging", module, place / "imported", tokenizer=VOCABULARY, labels=labels)
    torch.manual_seed(5)
    for run in made.values():
        for parameter in run.model.parameters():
            nn.init.normal_(parameter, std=0.5)
    return made


def holds_of(run: Run) -> list[list[dict[str, Any]]]:
    """Nothing, and two things that can be held of a model."""
    first, *_, last = [*lens.places(run.model)] * 2
    if first.heads:
        return [[], [{**first.address, "head": 1}], [{**last.address, "head": last.heads, "value": 0.8}]]
    state = {**first.address, "state": "h", "unit": 2, "value": 0.75}
    gate = {**first.address, "gate": first.gates[-1]} if first.gates else {**first.address, "state": "h", "unit": 0}
    return [[], [state], [state | {"value": -0.5}, gate]]


def held_run(run: Run, held: Sequence[dict[str, Any]]) -> Run:
    return run.with_model(lens.hold(run.model, lens.interventions(held)))


PIECES: dict[str, Any] = {
    "tagging": st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(lambda words: {"tokens": words}),
    "classification": st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(
        lambda words: {"text": " ".join(words)}
    ),
    "forecasting": st.lists(st.sampled_from(WAVE), min_size=1, max_size=9).map(lambda values: {"values": values}),
    "translation": st.sampled_from(TEXTS).map(lambda text: {"text": text}),
}


@pytest.mark.parametrize("kind", EVERY)
@given(st.data())
@settings(max_examples=8, deadline=None)
def test_sessions_with_and_without_holds_say_what_each_alone_says(
    runs: dict[str, Run], kind: str, data: st.DataObject
) -> None:
    run, task = runs[kind], task_of(kind)
    held = st.sampled_from(holds_of(run))
    listener = run.task.listener(run, {"chunk": data.draw(st.sampled_from([1, 3, 256]))})
    sessions = []
    for _ in range(data.draw(st.integers(2, 4))):
        asked: list[tuple[str, dict[str, Any]]] = []
        for _ in range(data.draw(st.integers(1, 3))):
            asked.append(("feed", data.draw(PIECES[task]) | {"set": data.draw(held)}))
            if listener.writes:
                asked.append(("generate", {"tokens": 6, "temperature": 1.0, "seed": 3, "set": data.draw(held)}))
        sessions.append(Session(asked, data.draw(st.integers(0, 2))))
    speak(listener, sessions)
    other = run.task.listener(run)
    for session in sessions:
        close(session.told, alone(other, *session.asked).told, 2e-4)


@pytest.mark.parametrize("kind", [kind for kind in EVERY if task_of(kind) != "translation"])
def test_a_feed_is_read_by_the_held_model(runs: dict[str, Run], kind: str) -> None:
    """A whole one as `predict` with the held model; a causal one from the states before."""
    run, task = runs[kind], task_of(kind)
    listener = run.task.listener(run)
    pieces: list[Any] = [WORDS[:3], WORDS[3:], WORDS[1:4]] if task != "forecasting" else [WAVE[:7], WAVE[7:9], WAVE[9:]]
    form = {"tagging": "tokens", "classification": "text", "forecasting": "values"}[task]
    sets = [[], *holds_of(run)[1:]]
    asked = [
        ("feed", {form: " ".join(piece) if form == "text" else piece, "set": held})
        for piece, held in zip(pieces, sets, strict=True)
    ]
    told = alone(listener, *asked).told
    state = None if getattr(listener, "whole", True) else run.model.initial_state(1)
    for at, (piece, held) in enumerate(zip(pieces, sets, strict=True)):
        read: Any = [one for each in pieces[: at + 1] for one in each]
        other = held_run(run, held)
        if state is not None and task == "tagging":
            (said,), (state,) = tag_on(other, [piece], [state])
            assert [each["tag"] for each in told[at]["tags"]] == said.tags
            shares = [[*each["probabilities"].values()] for each in told[at]["tags"]]
            np.testing.assert_allclose(shares, said.probabilities, atol=1e-5)
        elif state is not None:
            inputs = torch.from_numpy(listener.check("feed", {"text": " ".join(piece)}).inputs)[None]
            with torch.no_grad():
                logits, state = other.model.scores(inputs, state)
            shares = [*told[at]["probabilities"].values()]
            np.testing.assert_allclose(shares, run.model.probabilities(logits)[0], atol=1e-5)
        else:
            (answer,) = other.answers([" ".join(read) if task == "classification" else read])
            names = {"tagging": "tags", "classification": "probabilities", "forecasting": "forecast"}
            wanted: Any = answer.record["tags"] if task == "tagging" else answer.record.get("probabilities")
            found = told[at][names[task]]
            if task == "forecasting":
                found, wanted = [row["mean"] for row in found], [row["mean"] for row in answer.result]
            close([each["tag"] for each in found] if task == "tagging" else found, wanted, 1e-4)
    assert told != alone(listener, *(("feed", {**each, "set": []}) for _, each in asked)).told


INPUTS: dict[str, Any] = {
    "tagging": [WORDS, WORDS[2:5]],
    "classification": [" ".join(WORDS), "now Tom"],
    "forecasting": [WAVE[:20], WAVE[5:30]],
    "translation": ["play now", "at noon Gal"],
}


@pytest.mark.parametrize("kind", EVERY)
def test_a_held_model_predicts(runs: dict[str, Run], kind: str) -> None:
    """What a session says that was fed all under the same holds; the run stays as it was."""
    run, task = runs[kind], task_of(kind)
    options = {"beam": 1} if task == "translation" else {}
    before = [answer.record for answer in run.answers(INPUTS[task], **options)]
    listener = run.task.listener(run)
    form = {"tagging": "tokens", "forecasting": "values"}.get(task, "text")
    differ = False
    for held in holds_of(run)[1:]:
        other = held_run(run, held)
        for one, answer, plain in zip(INPUTS[task], other.answers(INPUTS[task], **options), before, strict=True):
            asked: list[Any] = [("feed", {form: one, "set": held})]
            asked += [("generate", {"set": held})] if listener.writes else []
            told = alone(listener, *asked).told[-1]
            record = answer.record
            differ |= record != plain
            if task == "tagging":
                shares = [[*each["probabilities"].values()] for each in told["tags"]]
                close(shares, [[*each.values()] for each in record["probabilities"]])
            elif task == "classification":
                close(told["probabilities"], record["probabilities"])
            elif task == "forecasting":
                for name in ("mean", *listener.about()["levels"]):
                    close([row[name] for row in told["forecast"]], [row[name] for row in answer.result], 1e-4)
            elif told["finished"] == "end":
                assert told["text"] == record["text"]
    assert differ
    close([answer.record for answer in run.answers(INPUTS[task], **options)], before)


@pytest.mark.parametrize("kind", [kind for kind in EVERY if task_of(kind) == "translation"])
@pytest.mark.parametrize(("reading", "writing"), [(0, 1), (1, 0), (1, 2), (2, 2)])
@torch.no_grad()
def test_a_target_is_written_by_the_held_model(runs: dict[str, Run], kind: str, reading: int, writing: int) -> None:
    """Greedily, step by step: the source and its end under one hold, the tokens of the target under the other."""
    run = in_float64(runs[kind])
    holds = holds_of(run)
    first, then = (held_run(run, holds[at]).model for at in (reading, writing))
    source, end = [*run.source_tokenizer.encode("play"), run.source_tokenizer.eod], run.target_tokenizer.eod
    hidden, alignment, state = first.read_aligned([[end]], first.encode([source]))
    tokens: list[int] = []
    weights: list[Any] = []
    banned = [token for token in (run.target_tokenizer.unk, run.target_tokenizer.eos) if token is not None]
    for _ in range(7):
        logits = run.model.output(hidden)[0, -1].index_fill(0, torch.tensor(banned), -torch.inf)
        if int(logits.argmax()) == end:
            break
        tokens.append(int(logits.argmax()))
        weights.append(alignment[0, -1].tolist())
        hidden, alignment, state = then.read_aligned([tokens[-1:]], state)
    listener = run.task.listener(run)
    asked = [("feed", {"text": "play", "set": holds[reading]}), ("generate", {"tokens": 7, "set": holds[writing]})]
    told = alone(listener, *asked).told[1]
    assert told["ids"] == tokens
    np.testing.assert_allclose(told["alignment"], weights, atol=1e-4)


STEPS: dict[str, list[dict[str, Any]]] = {
    "tagging": [{"tokens": WORDS[:3]}, {"tokens": WORDS[3:5]}, {"tokens": WORDS[1:3]}, {"tokens": WORDS[5:]}],
    "classification": [{"text": "play Gal"}, {"text": "at noon"}, {"text": "now Tom"}, {"text": "at"}],
    "forecasting": [{"values": WAVE[:7]}, {"values": WAVE[7:9]}, {"values": WAVE[9:12]}, {"values": WAVE[12:14]}],
}


@pytest.mark.parametrize("kind", [kind for kind in EVERY if task_of(kind) != "translation"])
def test_a_trail_keeps_what_was_held(runs: dict[str, Run], kind: str, tmp_path: Path) -> None:
    """Two feeds of four hold the same: forks, ways back, files and watching read again as was read."""
    run, task = runs[kind], task_of(kind)
    run, held = run if task == "forecasting" else in_float64(run), holds_of(run)[1]
    feeds = [one | {"set": held if at in (1, 2) else []} for at, one in enumerate(STEPS[task])]
    with Sessions(run, folder=tmp_path / "kept") as sessions:
        session = sessions.create()
        answers, ends = [], []
        for feed in feeds:
            answers.append(session.feed(**feed))
            ends.append(session.position)
        trail = session._content().trail
        assert [(first, last) for first, last, _ in trail.held] == [(ends[0], ends[2])]
        assert set(trail.pins) == {ends[0], ends[2]}
        seen = session.watch(units=[2], top=0)
        for at in (ends[1], ends[1] - 1, ends[2]):
            fork = session.fork(at=at)
            again = fork.watch(units=[2], top=0)
            for name, part in again["states"].items():
                if at == ends[2] or not getattr(sessions.models[session.model].listener, "whole", True):
                    np.testing.assert_allclose(part["values"], seen["states"][name]["values"][:, :at], atol=1e-6)
            if at == ends[1]:
                close(fork.feed(**feeds[2]), answers[2])
                close(fork.feed(**feeds[3]), answers[3])
        session.rollback(ends[1])
        close([session.feed(**feed) for feed in feeds[2:]], answers[2:])
        if not (place := lens.places(run.model)[0]).heads:
            h = seen["states"][f"{place.name} h"]["values"][0]
            there = np.isfinite(h)
            at = np.arange(len(h))
            assert ((h == 0.75) == ((at >= ends[0]) & (at < ends[2])))[there].all()
            assert (h == 0.75).any()
        found = session.id
    with Sessions(run, folder=tmp_path / "kept") as later:
        later.restore()
        session = later.get(found)
        session.rollback(ends[1])
        close([session.feed(**feed) for feed in feeds[2:]], answers[2:])


def test_a_part_that_shows_nothing_is_watched_beside_others(runs: dict[str, Run]) -> None:
    """A series that begins with a missing value, while something is held."""
    run = runs["forecasting, direct"]
    with Sessions(run) as sessions:
        session = sessions.create(values=[None, None], set=holds_of(run)[1])
        session.feed(values=WAVE[:6])
        values = session.watch(units=[2], unit=2)
        h = values["states"]["layer 1 h"]["values"][0]
        assert np.isnan(h).tolist() == [True] * 2 + [False] * 6
        assert np.isfinite(values["gates"]["layer 1"]["z"][2:]).all()


@pytest.mark.parametrize("kind", ["tagging, whole", "tagging, whole transformer", "classification, whole"])
def test_a_whole_that_is_held_is_watched_so(runs: dict[str, Run], kind: str) -> None:
    run = in_float64(runs[kind])
    held = holds_of(run)[2]
    other = held_run(run, held)
    with Sessions(run) as sessions:
        session = sessions.create(**STEPS[task_of(kind)][0])
        first = session.position
        session.feed(**STEPS[task_of(kind)][1], set=held)
        found = session.watch(begin=first, unit=1, units=[0, 3])
        listener = sessions.models[session.model].listener
        if task_of(kind) == "tagging":
            whole = memory_over(memory_of(other.model), lambda: other.answers([session.units]))
        else:
            inputs = torch.from_numpy(listener.check("feed", {"units": session.units}).inputs)[None]
            whole = memory_over(memory_of(other.model), lambda: other.model.scores(inputs))
        same_memory(found, whole, first, units=[0, 3], unit=1)


@pytest.mark.parametrize("kind", [kind for kind in EVERY if task_of(kind) == "translation"])
def test_a_translation_is_watched_as_it_was_held(runs: dict[str, Run], kind: str) -> None:
    """Each token is shown by the step that chose it, under what was held when that step was read."""
    run = in_float64(runs[kind])
    _, first, then = holds_of(run)
    with Sessions(run) as sessions:
        session = sessions.create(text="play", set=first)
        how = {"temperature": 1.0, "prefix": "now", "log_probabilities": 0}
        parts = [session.generate(tokens=3, **how).answer, session.generate(tokens=3, set=then, **how).answer]
        parts += [session.generate(tokens=3, **how).answer]
        told = session.watch()
        log_p = [value for part in parts for value in part["log_probabilities"]]
        assert told["surprise"] == pytest.approx([None, *(-value for value in log_p)], abs=1e-5)
        weights = [row for part in parts for row in part["alignment"]]
        np.testing.assert_allclose(told["alignment"][1:], weights, atol=1e-4)
        for begin in range(1, 10):
            piece = session.watch(begin=begin)
            np.testing.assert_allclose(piece["alignment"], told["alignment"][begin:], atol=1e-12)
            assert piece["surprise"] == pytest.approx(told["surprise"][begin:], abs=1e-5)
        if not lens.places(run.model)[0].heads:
            h = session.watch(units=[2])["states"]["layer 1 h"]["values"][0]
            assert np.isnan(h[0])
            assert h[1] == 0.75  # by the step that read the source
            assert (h[5:8] == -0.5).all()  # by the steps that read the tokens of the second part
            assert not np.isin(h[[2, 3, 4, 8, 9]], [0.75, -0.5]).any()
        fork = session.fork(at=6)
        again = fork.generate(tokens=1, set=then, temperature=0.0)
        np.testing.assert_allclose(again.answer["alignment"], [weights[5]], atol=1e-4)
        session.feed(text="at")  # another source, which has another length
        session.generate(tokens=2, set=first).answer  # noqa: B018
        assert session.watch()["alignment"].shape[1] == 5


def test_works_that_hold_the_same_are_read_together(runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs["classification, causal"]
    listener = run.task.listener(run)
    _, one, other = holds_of(run)
    sizes = []
    monkeypatch.setattr(
        "elman.tasks.classification.listener.read_pieces",
        lambda states, lengths, read: (sizes.append(len(states)), read_pieces(states, lengths, read))[1],
    )
    from elman.tasks.hearing import read_pieces

    sessions = [Session([("feed", {"text": "play", "set": held})]) for held in (one, [], other, one, [], one)]
    speak(listener, sessions)
    assert sorted(sizes) == [1, 2, 3]


def test_a_held_model_is_made_once(runs: dict[str, Run]) -> None:
    run = runs["tagging, whole"]
    made: list[Any] = []
    readers = HeldReaders(run.model, lambda model: made.append(model) or model)
    request = run.task.listener(run).check("feed", {"text": "play", "set": holds_of(run)[1]})
    again = run.task.listener(run).check("feed", {"text": "now", "set": holds_of(run)[1]})
    assert readers(request) is readers(again) is made[1]
    assert readers(run.task.listener(run).check("feed", {"text": "play"})) is run.model
    assert [p.data_ptr() for p in made[1].parameters()] == [p.data_ptr() for p in run.model.parameters()]


@pytest.mark.parametrize("kind", ["tagging, whole", "translation, transformer"])
def test_a_held_model_is_not_written(runs: dict[str, Run], kind: str, tmp_path: Path) -> None:
    """A file would hold a head, and would not hold a unit."""
    other = held_run(runs[kind], holds_of(runs[kind])[1])
    for write in (other.save, lambda path: export(other, to="safetensors", path=path)):
        with pytest.raises(UserError, match=r"a model to write: expected one as it was trained, got .*layer 1.* held"):
            write(tmp_path / "out")
    assert not [*tmp_path.iterdir()]
    runs[kind].save(tmp_path / "out")


@pytest.mark.parametrize("kind", EVERY)
def test_what_cannot_be_held_names_what_can(runs: dict[str, Run], kind: str) -> None:
    run, task = runs[kind], task_of(kind)
    names = [place.name for place in lens.places(run.model)]
    given = {"tagging": {"text": "play"}, "forecasting": {"values": [1.0]}}.get(task, {"text": "play"})
    with Sessions(run) as sessions:
        session = sessions.create()
        asked = [("feed", given)] + ([("generate", {})] if task == "translation" else [])
        for what, rest in asked:
            for wrong in ({"layer": 9, "state": "h"}, {"layer": 9, "head": 1}):
                with pytest.raises(UserError, match="a place to hold: expected") as caught:
                    sessions.submit(session.id, what, {**rest, "set": [wrong]})
                assert all(name in str(caught.value) for name in names)
                assert "\n" not in str(caught.value)
            with pytest.raises(UserError, match='what is held: expected one of "state", "gate" and "head"'):
                sessions.submit(session.id, what, {**rest, "set": [{"layer": 1}]})
            with pytest.raises(UserError, match=r"set: expected .*at most 256 items"):
                sessions.submit(session.id, what, {**rest, "set": [{"layer": 1, "head": 1}] * 257})
            with pytest.raises(UserError, match="a gate: expected a value from 0 to 1"):
                sessions.submit(session.id, what, {**rest, "set": [{"layer": 1, "gate": "f", "value": 3}]})
        assert not session.position
