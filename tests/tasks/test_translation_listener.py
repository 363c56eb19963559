"""Encoder-decoders that many sessions speak to: a target is that of `elman predict`, whoever else is heard."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import elman
from elman.errors import UserError
from elman.runs import Run
from elman.state import map_state
from elman.tasks.listening import Listener, Memory, Work
from sessions import Session, alone, close, speak, stored

LETTERS = "abcdeé "
SOURCES = ["".join(random.Random(n).choices(LETTERS[:6], k=2 + n % 5)) for n in range(60)]
PAIRS = [(source, source[::-1] + source[0]) for source in SOURCES]
SMALL = {"task": "translation", "hidden_size": 8, "embedding_size": 6, "num_layers": 1, "batch_tokens": 64}
KINDS: dict[str, dict[str, Any]] = {
    "attention": {"model": "gru", "attention": "additive", "tokenizer": "char"},
    "input feeding": {"model": "lstm", "attention": "general", "input_feeding": True, "tokenizer": "byte"},
    "no attention": {"model": "elman", "attention": "none", "tokenizer": "char", "joint": False},
    "transformer": {"model": "transformer", "num_heads": 2, "positions": "learned", "max_length": 39},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    place, made = tmp_path_factory.mktemp("translators"), {}
    for at, (name, options) in enumerate(KINDS.items()):
        sizes = dict(SMALL)
        if options["model"] == "transformer":
            del sizes["embedding_size"], sizes["num_layers"]
        made[name] = elman.fit(PAIRS, out=place / str(at), budget="12 steps", **sizes, **options)
    return made


def expected(run: Run, source: str, **options: Any) -> Mapping[str, Any]:
    """What `elman predict --json` says of a line."""
    (answer,) = run.answers([source], **options)
    return answer.record


SOURCE = st.text(LETTERS, min_size=1, max_size=8).filter(str.strip)
DRAWING = st.fixed_dictionaries(
    {"temperature": st.sampled_from([0.0, 0.7, 1.5]), "seed": st.integers(0, 99), "top_k": st.sampled_from([None, 3])}
)


@pytest.mark.parametrize("kind", KINDS)
@given(st.lists(st.tuples(SOURCE, DRAWING, st.integers(0, 3), st.sampled_from([7, 200])), min_size=1, max_size=4))
@settings(max_examples=12, deadline=None)
def test_every_target_is_that_of_the_line_alone(runs: dict[str, Run], kind: str, drawn: list[Any]) -> None:
    """In one piece or in many; greedily or drawn by a seed; each step's attention with it."""
    run = runs[kind]
    listener = run.task.listener(run)
    aligned = listener.about()["attention"]
    sessions = [
        Session([("feed", {"text": source}), *[("generate", {**how, "tokens": tokens})] * (60 // tokens + 1)], begins)
        for source, how, begins, tokens in drawn
    ]
    speak(listener, sessions)
    for session, (source, how, *_) in zip(sessions, drawn, strict=True):
        fed, *parts = session.told
        if how["temperature"]:
            wanted = expected(run, source, sample=True, alignments=aligned, **how)
        else:
            wanted = expected(run, source, beam=1, alignments=aligned)
        assert fed["source_tokens"][-1] == "<eod>"
        assert fed["unknown"] == wanted["unknown"]
        end = [part["finished"] for part in parts].index("end") if "end" in [p["finished"] for p in parts] else None
        symbols = [symbol for part in parts for symbol in part["tokens"]]
        own = symbols if end is None else symbols[: sum(len(part["tokens"]) for part in parts[: end + 1])]
        assert own[: len(wanted["tokens"])] == list(wanted["tokens"])
        if end is None or len(own) > len(wanted["tokens"]):  # predict ends a target that is too long
            continue
        assert all(part["finished"] == "length" for part in parts[:end])
        assert "".join(part["text"] for part in parts[: end + 1]) == wanted["text"]
        total = sum(part["log_probability"] for part in parts[: end + 1])
        assert total == pytest.approx(wanted["log_probability"], abs=1e-4)
        if aligned:
            found = [row for part in parts[: end + 1] for row in part["alignment"]]
            torch.testing.assert_close(torch.tensor(found), torch.tensor(wanted["alignment"]), atol=2e-4, rtol=0)
        for events, part in zip(session.events[1:], parts, strict=True):
            assert "".join(event["text"] for event in events) == part["text"]
            for name in ("tokens", "ids", *(["alignment"] if aligned else [])):
                assert [one for event in events for one in event[name]] == part[name]
            assert all(event["position"] <= part["position"] for event in events)


def seed_of(listener: Listener, source: str, tokens: int, **how: Any) -> int:
    """A seed with which the target is so long."""
    for seed in range(1000):
        told = alone(listener, ("feed", {"text": source}), ("generate", {**how, "seed": seed, "tokens": tokens})).told[
            1
        ]
        if len(told["ids"]) == tokens:
            return seed
    raise AssertionError("no target is so long")


@pytest.mark.parametrize("kind", KINDS)
def test_a_memory_read_again_goes_on_as_before(runs: dict[str, Run], kind: str) -> None:
    """Units are the source, and each token of the target: a session is rolled back by reading a part of them."""
    run = runs[kind]
    listener = run.task.listener(run)
    how = {"temperature": 1.2, "seed": seed_of(listener, "abc", 6, temperature=1.2), "tokens": 3}
    session = alone(listener, ("feed", {"text": "abc"}), ("generate", how), ("generate", how), ("feed", {"text": "é"}))
    assert session.units[0] == run.source_tokenizer.encode("abc").tolist()
    again = alone(listener, ("feed", {"units": session.units[:4]}), ("generate", how))
    wanted = session.told[2]
    assert (again.told[1]["text"], again.told[1]["ids"]) == (wanted["text"], wanted["ids"])
    close(again.told[1].get("alignment"), wanted.get("alignment"), 2e-4)
    told = alone(listener, ("feed", {"units": session.units})).told[0]
    assert (told["source_tokens"], told["target"]) == (session.told[3]["source_tokens"], "")
    split = alone(listener, *(("feed", {"units": [unit]}) for unit in session.units[:4]), ("generate", how))
    assert split.told[-1]["ids"] == wanted["ids"]
    pieces = listener.text_of(session.units[:4])
    assert pieces[0] == "abc\n"
    assert "".join(pieces[1:]) == session.told[1]["text"]
    forked = {**how, "seed": 77}
    other = alone(listener, ("feed", {"units": session.units[:3]}), ("generate", forked), ("generate", forked))
    assert other.memories[-1].position == len(other.units)


def test_a_prefix_and_a_beam(runs: dict[str, Run]) -> None:
    for kind in ("attention", "transformer"):
        run = runs[kind]
        listener = run.task.listener(run)
        for how in ({"prefix": "ca"}, {"beam": 4}, {"beam": 3, "length_penalty": 0.0, "prefix": "b"}):
            told = alone(listener, ("feed", {"text": "abcd"}), ("generate", how)).told[1]
            wanted = expected(run, "abcd", **({"beam": 1} | how))
            assert (told["text"], told["tokens"]) == (wanted["text"], list(wanted["tokens"]))
            if told["finished"] == "end":  # predict ends a target that is too long
                assert told["log_probability"] == pytest.approx(wanted["log_probability"], abs=1e-4)
        begun = alone(listener, ("feed", {"text": "abcd"}), ("generate", {"tokens": 2}), ("generate", {"beam": 4}))
        whole = begun.told[1]["text"] + begun.told[2]["text"]
        assert whole == expected(run, "abcd", beam=4, prefix=begun.told[1]["text"])["text"]


def test_a_stop_string_is_not_told_and_nothing_after_it_is_remembered(runs: dict[str, Run]) -> None:
    run = runs["attention"]
    listener = run.task.listener(run)
    how = {"temperature": 2.0, "seed": seed_of(listener, "abcde", 20, temperature=2.0), "tokens": 20}
    whole = alone(listener, ("feed", {"text": "abcde"}), ("generate", how)).told[1]
    text = whole["text"]
    for begin, end in ((9, 12), (0, 1), (5, 7)):
        stop = text[begin:end]
        at = text.index(stop)
        session = alone(
            listener, ("feed", {"text": "abcde"}), ("generate", {**how, "stop": ["zz", stop]}), ("generate", how)
        )
        told = session.told[1]
        assert (told["text"], told["finished"]) == (text[:at], "stop")
        assert told["tokens"] == whole["tokens"][: len(told["tokens"])]
        assert "".join(event["text"] for event in session.events[1]) == text[:at]
        assert session.memories[2].position == 1 + len(told["tokens"])
        assert (told["text"] + session.told[2]["text"])[: len(text)] == text  # the same seed goes on the same


def test_log_probabilities_and_alternatives(runs: dict[str, Run]) -> None:
    listener = runs["attention"].task.listener(runs["attention"])
    told = alone(listener, ("feed", {"text": "abc"}), ("generate", {"tokens": 4, "log_probabilities": 2})).told[1]
    for symbol, log_p, top in zip(told["tokens"], told["log_probabilities"], told["top"], strict=True):
        assert len(top) == 2
        assert top[0]["token"] == symbol or symbol not in [one["token"] for one in top]
        assert max(one["probability"] for one in top) >= torch.tensor(log_p).exp() - 1e-6


def test_a_work_that_leaves_is_told_as_far_as_it_went(runs: dict[str, Run]) -> None:
    listener = runs["attention"].task.listener(runs["attention"])
    memory = alone(listener, ("feed", {"text": "abc"})).memories[-1]
    work = Work("generate", listener.check("generate", {"prefix": "abcdeabcdeabcde"}), memory)
    listener.round([work])
    listener.leave(work)
    assert work.answer["finished"] == "cancelled"
    assert "".join(event["text"] for event in work.events) == work.answer["text"]
    assert work.memory.position == 1 + len(work.answer["ids"]) == 9
    listener.check_memory(stored(listener, work.memory))


@pytest.mark.parametrize(
    ("kind", "asked", "message"),
    [
        ("feed", {}, "one of text, tokens, units, got none"),
        ("feed", {"text": "  "}, "a source of a token or more, got an empty one"),
        ("feed", {"text": "a" * 60}, "a source of at most 40 tokens, got 61 with its end"),
        ("feed", {"tokens": [1, 999]}, "tokens: expected numbers of tokens"),
        ("feed", {"units": [[1], "b"]}, "units: expected numbers of tokens"),
        ("generate", {"temprature": 1}, "did you mean 'temperature'"),
        ("generate", {"temperature": -1}, "temperature: expected greater"),
        ("generate", {"beam": 4, "temperature": 0.5}, "beam: expected none where"),
        ("generate", {"stop": ["a"] * 5}, "stop: expected"),
    ],
)
def test_what_is_asked_is_checked(runs: dict[str, Run], kind: str, asked: dict[str, Any], message: str) -> None:
    listener = runs["transformer"].task.listener(runs["transformer"])
    with pytest.raises(UserError, match=message):
        listener.check(kind, asked)


@pytest.mark.parametrize("kind", ["attention", "transformer"])
def test_a_session_that_fails_harms_itself_alone(runs: dict[str, Run], kind: str) -> None:
    listener = runs[kind].task.listener(runs[kind])
    memory = alone(listener, ("feed", {"text": "abc"})).memories[-1]
    nan = memory._replace(state=map_state(lambda x: x * torch.nan if x.is_floating_point() else x, memory.state))
    memories = [
        memory,
        nan,
        listener.begin(),
        memory._replace(state=memory.state._replace(decoder=torch.zeros(1))),
        memory,
    ]
    works = [Work("generate", listener.check("generate", {"tokens": 5}), one) for one in memories]
    fed = Work("feed", listener.check("feed", {"units": [1]}), listener.begin())
    for _ in range(5):
        listener.round([work for work in (*works, fed) if not work.done])
    errors = ["no token a probability|NaN", "a source that was fed before", "does not fit the model"]
    for work, error, before in zip(works[1:4], errors, memories[1:4], strict=True):
        assert any(part in str(work.error) for part in error.split("|"))
        assert work.memory is before
    assert "a source before the tokens of a target" in str(fed.error)
    wanted = alone(listener, ("feed", {"text": "abc"}), ("generate", {"tokens": 5})).told[1]
    for work in (works[0], works[4]):
        assert work.answer["ids"] == wanted["ids"]


@pytest.mark.parametrize("kind", KINDS)
def test_memories_from_outside_are_checked(runs: dict[str, Run], kind: str) -> None:
    listener = runs[kind].task.listener(runs[kind])
    listener.check_memory(listener.begin())
    memory = alone(
        listener, ("feed", {"text": "abc"}), ("generate", {"tokens": 3, "temperature": 2.0, "seed": 1})
    ).memories[-1]
    listener.check_memory(memory)
    wrong = [
        memory._replace(notes={"source": [1], "target": []}),
        memory._replace(notes={"source": [999], "target": []}),
        memory._replace(notes={}),
        memory._replace(position=1),
        Memory(memory.state.decoder, memory.notes, memory.position),
    ]
    for one in wrong:
        with pytest.raises(UserError):
            listener.check_memory(one)


def test_what_a_client_wants_to_know(runs: dict[str, Run]) -> None:
    facts = {kind: run.task.listener(run).about() for kind, run in runs.items()}
    assert [facts[kind]["attention"] for kind in KINDS] == [True, True, False, True]
    assert facts["transformer"]["longest"] == 40
    assert facts["input feeding"]["tokenizer"] == "byte"
