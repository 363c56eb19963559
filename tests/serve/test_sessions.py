"""The engine of the server: what a session says is what its model says of the same text alone."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import elman
from elman.errors import UserError
from elman.kernels.native import instruction_set
from elman.runs import Run
from elman.serve import Busy, Full, Gone, ServingLimits, Session, Sessions, TooLarge, Unknown
from elman.serve.errors import status_of
from serving import SIZES, TEXT, language_model


@pytest.fixture(params=["char", "documents", "byte"])
def run(request: pytest.FixtureRequest) -> Run:
    kind = request.param
    return language_model(tokenizer="byte" if kind == "byte" else "char", documents=kind == "documents")


@pytest.fixture
def sessions(run: Run) -> Iterator[Sessions]:
    with Sessions(run) as made:
        yield made


def logits_after(run: Run, tokens: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return run.model([tokens])[0][0]


def test_it_reads_what_the_model_reads(run: Run, sessions: Sessions) -> None:
    """In pieces, with every token's surprise, and the next tokens."""
    session = sessions.create(text="the c")
    told = session.feed(text="afé", top=3)
    tokens = run.tokenizer.encode("the café").tolist()
    read = tokens if run.tokenizer.eod is None else [run.tokenizer.eod, *tokens]
    log_p = logits_after(run, read).double().log_softmax(-1)
    assert session.units == read
    assert session.text == "the café"
    assert session.position == told["position"] == len(read) == len(session.pieces())
    assert "".join(told["pieces"]) == "afé"
    last = len(run.tokenizer.encode("afé"))
    expected = [-float(log_p[at - 1, read[at]]) for at in range(len(read) - last, len(read))]
    assert told["surprise"] == pytest.approx(expected, abs=1e-4)
    assert [one["id"] for one in told["next"]] == log_p[-1].topk(3).indices.tolist()
    assert [one["probability"] for one in told["next"]] == pytest.approx(
        log_p[-1].topk(3).values.exp().tolist(), abs=1e-4
    )
    assert sessions.create(tokens=tokens[:2]).units == tokens[:2]  # tokens are read as they are


def test_the_first_surprise_is_unknown_and_nothing_may_be_read(run: Run, sessions: Sessions) -> None:
    told = sessions.create().feed(tokens=[1, 2], surprise=True)
    assert told["surprise"][0] is None
    assert told["surprise"][1] > 0
    assert "surprise" not in sessions.create().feed(tokens=[1], surprise=False)
    empty = sessions.create().feed(tokens=[])
    assert (empty["position"], empty["read"], empty["pieces"]) == (0, 0, [])


def assert_same_next(session: Session, other: Session, **feed: Any) -> None:
    """After the same feed; exactly where rows do not depend on the rows beside them."""
    found, expected = (each.feed(**(feed or {"tokens": []}), top=9)["next"] for each in (session, other))
    assert [one["id"] for one in found] == [one["id"] for one in expected]
    values = [one["probability"] for one in expected]
    assert [one["probability"] for one in found] == pytest.approx(values, abs=1e-5)


OPTIONS: list[dict[str, Any]] = [
    {"tokens": 40, "seed": 5},
    {"tokens": 40, "seed": 5, "temperature": 0.0},
    {"tokens": 33, "seed": 1, "temperature": 1.3, "top_k": 5, "top_p": 0.9},
    {"tokens": 1, "seed": 2, "min_p": 0.1},
    {"tokens": 0, "seed": 2},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("prompt", ["", "the ca"])
def test_it_writes_what_generate_writes(run: Run, sessions: Sessions, options: dict[str, Any], prompt: str) -> None:
    session = sessions.create(text=prompt) if prompt else sessions.create()
    writing = session.generate(**options)
    events = list(writing)
    text, state = run.generate(prompt, **options)
    assert "".join(event["text"] for event in events) == writing.answer["text"] == text
    assert [token for event in events for token in event["ids"]] == writing.answer["ids"]
    assert writing.answer["seed"] == options["seed"]
    ended = writing.answer["ids"][-1:] == [run.tokenizer.eod]
    assert writing.answer["finished"] == ("end" if ended else "length")
    more = options | {"tokens": 9}  # as if it had been written at once
    further = session.generate(**more, drawn=len(writing.answer["ids"])).answer["text"]
    assert further == run.generate("", state, **more)[0]


def test_without_a_seed_one_is_drawn_and_told(sessions: Sessions) -> None:
    session = sessions.create(text="the")
    start = session.checkpoint()
    first = session.generate(tokens=30).answer
    session.rollback(start)
    assert session.generate(tokens=30, seed=first["seed"]).answer["text"] == first["text"]
    session.rollback(start)
    assert session.generate(tokens=30).answer["seed"] != first["seed"]


def test_probabilities_are_told(run: Run, sessions: Sessions) -> None:
    """Of what was drawn, and of others: those of the model itself, before temperature and filters."""
    session = sessions.create(tokens=[1, 2, 3])
    answer = session.generate(tokens=6, seed=3, temperature=2.0, top_k=4, log_probabilities=2).answer
    log_p = logits_after(run, session.units).double().log_softmax(-1)
    at = range(2, 2 + len(answer["ids"]))
    expected = [float(log_p[place, token]) for place, token in zip(at, answer["ids"], strict=True)]
    assert answer["log_probabilities"] == pytest.approx(expected, abs=1e-4)
    for place, told in zip(at, answer["top"], strict=True):
        assert [one["id"] for one in told] == log_p[place].topk(2).indices.tolist()
        assert [math.log(one["probability"]) for one in told] == pytest.approx(
            log_p[place].topk(2).values.tolist(), abs=1e-4
        )
    session = sessions.create(tokens=[1, 2, 3])
    plain = session.generate(tokens=6, seed=3, temperature=2.0, top_k=4, log_probabilities=0).answer
    assert plain["ids"] == answer["ids"]
    assert plain["log_probabilities"] == pytest.approx(answer["log_probabilities"], abs=1e-5)
    assert "top" not in plain


@pytest.mark.parametrize("length", [1, 2, 3])
def test_it_stops_before_a_string(run: Run, sessions: Sessions, length: int) -> None:
    """At the first place where one of them is, wherever rounds end; the memory is that of the text before it."""
    session = sessions.create(text="the")
    start = session.checkpoint()
    free = session.generate(tokens=200, seed=9).answer
    whole = free["text"]
    for at in range(0, len(whole) - length, max(1, len(whole) // 12)):
        stop = whole[at : at + length]
        found = whole.index(stop)
        session.rollback(start)
        writing = session.generate(tokens=200, seed=9, stop=[stop, "never to be seen"])
        assert "".join(event["text"] for event in writing) == writing.answer["text"] == whole[:found]
        assert writing.answer["finished"] == "stop"
        beyond = ("the" + whole[:found]).removeprefix(session.text)
        assert len(beyond) <= (run.tokenizer.kind == "byte")  # a byte may end one bad character and be another
        again = sessions.create(units=session.units)
        assert_same_next(session, again)
        again.close()
    session.rollback(start)
    assert session.generate(tokens=200, seed=9, stop=["never to be seen"]).answer["text"] == whole


def test_a_fork_goes_its_own_way(sessions: Sessions) -> None:
    session = sessions.create(text="the cat")
    fork = session.fork()
    assert fork.parent == session.id
    assert session.parent is None
    expected = session.generate(tokens=20, seed=1).answer["text"]
    assert fork.text == "the cat"
    assert fork.generate(tokens=20, seed=1).answer["text"] == expected
    early = session.fork(at=session.position - 22)
    assert early.units == session.units[:-22]
    early.close()
    with pytest.raises(Unknown):
        early.feed(text="a")
    assert session.feed(text="a")["read"] == 1


def test_it_goes_back(sessions: Sessions) -> None:
    """To any position and to checkpoints, also to those of what was forgotten since."""
    session = sessions.create(text="the ")
    session.generate(tokens=150, seed=4).answer  # noqa: B018
    name = session.checkpoint()
    units = session.units
    for position in [at for at in (len(units) - 1, 100, 64, 63, 5, 1, 0) if at < len(units)]:
        assert session.rollback(position) == session.position == position
        assert session.units == units[:position]
        other = sessions.create(units=units[:position])
        assert_same_next(session, other, tokens=[1])
        other.close()
        session.rollback(position)
    assert session.rollback(name) == len(units)
    assert session.units == units
    assert session.describe()["checkpoints"] == [{"id": name, "position": len(units)}]
    for wrong, error in ((len(units) + 1, UserError), (-1, UserError), ("x", Unknown), (True, UserError)):
        with pytest.raises(error):
            session.rollback(wrong)
    later = sessions.create(memory=session.state())
    assert later.position == len(units)
    with pytest.raises(Gone):
        later.rollback(5)
    assert later.rollback(len(units)) == len(units)


def test_a_state_moves(run: Run, sessions: Sessions) -> None:
    session = sessions.create(text="the caf")
    data = session.state()
    with Sessions(run) as elsewhere:
        moved = elsewhere.create(memory=data)
        assert moved.generate(tokens=20, seed=2).answer["text"] == session.generate(tokens=20, seed=2).answer["text"]
    numbers = session.state("json")
    assert numbers["position"] == session.position
    assert all(math.prod(one["shape"]) == len(one["data"]) for one in numbers["state"].values())
    with pytest.raises(UserError, match="safetensors or json"):
        session.state("pickle")


def test_what_is_wrong_is_said(sessions: Sessions) -> None:
    session = sessions.create(text="a")
    wrong: list[dict[str, Any]] = [{}, {"text": "a", "tokens": [1]}, {"tokens": [10**9]}, {"tokens": [-1]}]
    wrong += [{"values": [1.0]}, {"text": 5}, {"tokens": ["x"]}, {"text": "a", "top": -1}, {"text": "a", "topp": 1}]
    for asked in wrong:
        with pytest.raises(UserError) as caught:
            session.feed(**asked)
        assert "\n" not in str(caught.value)
        assert status_of(caught.value) == 400
    for options in (
        {"tokens": -1},
        {"temperature": -1},
        {"stop": [""]},
        {"stop": ["a"] * 5},
        {"log_probabilities": 21},
        {"n": 2},
    ):
        with pytest.raises(UserError):
            session.generate(**options)
    with pytest.raises(Unknown):
        sessions.get("../../etc/passwd")
    with pytest.raises(Unknown):
        sessions.create("another")
    assert session.text == "a"


def test_limits(run: Run) -> None:
    with Sessions(run, sessions=2, prompt=5, tokens=7, checkpoints=1) as sessions:
        session = sessions.create(text="abc")
        sessions.create()
        with pytest.raises(Full):
            sessions.create()
        with pytest.raises(Full):
            session.fork()
        with pytest.raises(TooLarge):
            session.feed(text="the cat")
        with pytest.raises(TooLarge):
            session.generate(tokens=8)
        session.checkpoint()
        with pytest.raises(Full):
            session.checkpoint()
        session.close()
        sessions.create(text="abc")
    for wrong in ({"memory": "much"}, {"idle": "soon"}, {"sessions": 0}, {"color": 1}):
        with pytest.raises(UserError):
            Sessions(run, **wrong)
    assert ServingLimits(memory="1.5MB", idle="2m").memory_bytes == 1_500_000


def test_one_thing_at_a_time_and_a_queue() -> None:
    with Sessions(language_model(), queue=1) as sessions:
        session, other = sessions.create(text="a"), sessions.create(text="b")
        job = sessions.submit(session.id, "generate", {"tokens": 100_000})
        with pytest.raises(Busy):
            session.feed(text="x")
        with pytest.raises(Busy):
            session.rollback(0)
        with pytest.raises(Full) as caught:
            other.feed(text="x")
        assert caught.value.retry_after >= 1
        job.cancel()
        assert job.result(10)["finished"] == "cancelled"
        assert other.feed(text="x")["read"] == 1


def test_who_leaves_stops_the_writing_and_keeps_the_session(run: Run, sessions: Sessions) -> None:
    session = sessions.create(text="the")
    with session.generate(tokens=100_000, seed=1) as writing:
        first = next(iter(writing))
    answer = writing.answer
    assert answer["finished"] in ("cancelled", "end")
    assert answer["text"].startswith(first["text"])
    assert session.text == "the" + answer["text"]
    assert session.feed(text="a")["read"] == 1


def test_all_is_told_before_a_job_is_done(sessions: Sessions) -> None:
    told, jobs = list[tuple[bool, int]](), list[Any]()
    session = sessions.create(text="the ")
    ready, ended = threading.Event(), threading.Event()

    def listen(events: list[dict[str, Any]]) -> None:
        ready.wait()
        told.append((jobs[0].done, len(events)))
        if jobs[0].done:
            ended.set()

    jobs.append(sessions.submit(session.id, "generate", {"tokens": 50, "seed": 1}, listen))
    ready.set()
    assert ended.wait(30)
    assert told[-1] == (True, 0)
    assert all(count and not done for done, count in told[:-1])
    session.close()


def test_models_by_their_names(run: Run) -> None:
    other = language_model("gru", name="other")
    with Sessions([run, other]) as sessions:
        assert set(sessions.models) == {"demo", "other"}
        assert sessions.create("other", text="a").model == "other"
        with pytest.raises(Unknown):
            sessions.create(text="a")
        with pytest.raises(UserError, match="another model"):
            sessions.create("other", memory=sessions.create("demo", text="a").state())
        told = sessions.models["other"].describe()
        assert (told["kind"], told["writes"], told["tokenizer"]) == ("gru", True, "char")
    with pytest.raises(UserError, match="two runs"):
        Sessions([run, run])
    with pytest.raises(UserError, match="at least one"):
        Sessions([])


def test_nobody_uses_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sessions(run, idle="10m") as sessions:
        old, new = sessions.create(text="a"), sessions.create(text="b")
        sessions.store.records[old.id].used -= 601
        sessions.store.sweep()
        assert new.feed(text="c")["read"] == 1
        with pytest.raises(Unknown):
            sessions.get(old.id)
        assert sessions.stats()["ended_idle"] == 1


@pytest.mark.parametrize("kind", SIZES)
def test_every_kind_of_model(kind: str) -> None:
    run = language_model(kind)
    with Sessions(run) as sessions:
        session = sessions.create(text=TEXT)
        assert session.generate(tokens=30, seed=3).answer["text"] == run.generate(TEXT, tokens=30, seed=3)[0]
        session.rollback(20)
        assert session.fork(at=7).text == TEXT[:7]
        moved = sessions.create(memory=session.state())
        assert_same_next(session, moved, text="a")


def test_the_front_door() -> None:
    assert elman.serve.Sessions is Sessions
    with pytest.raises(AttributeError):
        elman.serve.nothing  # noqa: B018


def test_a_temporary_folder_goes(run: Run) -> None:
    with Sessions(run) as sessions:
        folder = sessions.folder
        assert folder.is_dir()
    assert not folder.exists()


def test_a_folder_that_was_given_stays(run: Run, tmp_path: Path) -> None:
    with Sessions(run, folder=tmp_path / "here"):
        pass
    assert (tmp_path / "here").is_dir()


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_weights_become_bytes_where_the_model_can(kind: str) -> None:
    """The others stay as they are, and a client is told."""
    run = elman.fit("the cat sat on the mat. " * 40, model=kind, budget="2 steps", hidden_size=16, progress=False)
    with Sessions(run, int8=True) as sessions:
        [served] = sessions.models.values()
        able = instruction_set() is not None and kind == "lstm"
        assert served.describe()["int8"] is able
        assert len(sessions.create(text="the").generate(tokens=5, seed=1).answer["ids"]) == 5
