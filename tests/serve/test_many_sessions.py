"""Many sessions at once: each says what it would say alone, whatever happens to the others."""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.decode.arena import arena_in_core
from elman.decode.generation import generate, prefill
from elman.decode.sampling import sample
from elman.decode.uniforms import uniforms
from elman.errors import UserError
from elman.runs import Run
from elman.serve import Full, ModelFailed, Session, Sessions
from elman.state import map_state
from elman.tasks.listening import Memory, Work
from serving import SIZES, TEXT, language_model

RUNS = {(kind, documents): language_model(kind, documents=documents) for kind in SIZES for documents in (False, True)}


def in_memory(run: Run, units: list[int]) -> list[int]:
    """What of the units is still remembered: a document knows nothing of the one before."""
    eod = run.tokenizer.eod
    last = max((at for at, token in enumerate(units) if token == eod), default=0)
    return units[last:]


def alone(run: Run, units: list[int], tokens: int, seed: int, stop: str) -> list[int]:
    """The units after those, by `generate` with a fresh memory, up to a stop string."""
    begun = units or [run.tokenizer.start]
    numbers = uniforms(seed)

    def choose(logits: torch.Tensor) -> torch.Tensor:
        return sample(logits, temperature=0.8, uniform=logits.new_tensor([next(numbers)], dtype=torch.double))

    written: list[int] = []
    if tokens:
        for token, _, _ in generate(run.model, in_memory(run, begun), choose, banned=[run.tokenizer.unk]):
            written.append(token)
            if stop and stop in run.tokenizer.decode(written):
                written = written[: -len(stop)]
                break
            if token == run.tokenizer.eod or len(written) == tokens:
                break
    return begun + written


class Expected:
    """Sessions, and the units that each should have."""

    def __init__(self, run: Run, folder: str) -> None:
        self.run, self.folder = run, folder
        self.sessions = Sessions(run, folder=folder, memory="20KB", chunk=7)
        self.units: dict[str, list[int]] = {self.sessions.create().id: []}

    def together(self, asked: Sequence[tuple[int, str, Any]]) -> None:
        """Requests of different sessions, at once."""
        ids, jobs = list(self.units), {}
        for number, kind, what in asked:
            name = ids[number % len(ids)]
            if name not in jobs:
                jobs[name] = self.sessions.submit(name, kind, what)
                before = self.units[name]
                if kind == "feed":
                    starts = not before and self.run.tokenizer.eod is not None
                    text = self.run.tokenizer.encode(what["text"]).tolist()
                    self.units[name] = before + ([self.run.tokenizer.eod] if starts else []) + text
                else:
                    self.units[name] = alone(self.run, before, what["tokens"], what["seed"], (what["stop"] or [""])[0])
        for job in jobs.values():
            job.result(30)

    def fork(self, number: int, part: float) -> None:
        name = list(self.units)[number % len(self.units)]
        at = int(part * len(self.units[name]))
        fork = self.sessions.get(name).fork(at)
        self.units[fork.id] = self.units[name][:at]

    def rollback(self, number: int, part: float) -> None:
        name = list(self.units)[number % len(self.units)]
        at = int(part * len(self.units[name]))
        assert self.sessions.get(name).rollback(at) == at
        self.units[name] = self.units[name][:at]

    def park(self) -> None:
        for record in self.sessions.store.records.values():
            if record.content is not None:
                self.sessions.store._park(record, record.content)

    def restart(self) -> None:
        self.sessions.close()
        self.sessions = Sessions(self.run, folder=self.folder, memory="20KB", chunk=7)
        assert self.sessions.restore() == len(self.units)

    def check(self) -> None:
        for name, units in self.units.items():
            session = self.sessions.get(name)
            assert session.units == units
            assert session.position == len(units)
            if units:
                found = session.feed(tokens=[], top=50)["next"]
                logits, _ = prefill(self.run.model, [in_memory(self.run, units)])
                expected = logits[0].softmax(-1)
                assert [one["probability"] for one in found] == pytest.approx(
                    expected[[one["id"] for one in found]].tolist(), abs=1e-5
                )


number = st.integers(0, 50)
part = st.floats(0, 1)
feed = st.tuples(number, st.just("feed"), st.fixed_dictionaries({"text": st.text(TEXT, max_size=30)}))
writing = st.fixed_dictionaries(
    {"tokens": st.integers(0, 60), "seed": number, "stop": st.sampled_from([[], ["e"], ["the"], ["t "], ["\n"]])}
)
write = st.tuples(number, st.just("generate"), writing)
actions = st.one_of(
    st.tuples(st.just("together"), st.tuples(st.lists(st.one_of(feed, write), min_size=1, max_size=8))),
    st.tuples(st.just("together"), st.tuples(st.lists(st.one_of(feed, write), min_size=1, max_size=8))),
    st.tuples(st.just("fork"), st.tuples(number, part)),
    st.tuples(st.just("rollback"), st.tuples(number, part)),
    st.tuples(st.sampled_from(["park", "restart"]), st.just(())),
)


@pytest.mark.parametrize(("kind", "documents"), RUNS)
@settings(max_examples=12, deadline=None)
@given(program=st.lists(actions, max_size=14))
def test_each_is_as_alone(kind: str, documents: bool, program: list[tuple[str, tuple[Any, ...]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        expected = Expected(RUNS[kind, documents], folder)
        try:
            for action, arguments in program:
                getattr(expected, action)(*arguments)
            expected.check()
        finally:
            expected.sessions.close()


@pytest.mark.parametrize(("kind", "chunks"), [("lstm", (256, 3)), ("gru", (256, 3)), ("transformer", (1, 1))])
def test_the_others_do_not_change_a_bit(kind: str, chunks: tuple[int, int]) -> None:
    """Where the core keeps the rows: not of a probability, and in no way of cutting what is written.

    Nor what is read; but for Transformers, whose sums are others where more tokens are read together.
    """
    run = language_model(kind)
    if arena_in_core(run.model) is None:
        pytest.skip("the core keeps no such rows here")
    asked = {"tokens": 90, "seed": 5, "log_probabilities": 0}
    with Sessions(run, chunk=chunks[0]) as sessions:
        session = sessions.create(text=TEXT)
        told, expected = session.feed(text="the"), session.generate(**asked).answer
        state = session.state()
    with Sessions(run, chunk=chunks[1]) as sessions:
        others = [sessions.create(text=TEXT[number:]) for number in range(20)]
        session = sessions.create(text=TEXT)
        jobs = [sessions.submit(each.id, "generate", {"tokens": 3000, "stop": ["zz"]}) for each in others]
        assert session.feed(text="the") == told
        assert session.generate(**asked).answer == expected
        assert session.state() == state
        for job in jobs:
            job.cancel()


def test_a_long_prompt_keeps_nobody_waiting() -> None:
    """It is read in pieces, between which others write."""
    with Sessions(language_model(), chunk=16) as sessions:
        reader, writer = sessions.create(), sessions.create(text="the")
        reading = sessions.submit(reader.id, "feed", {"text": TEXT * 400})
        told: list[bool] = []
        writing = sessions.submit(
            writer.id, "generate", {"tokens": 20, "seed": 1}, lambda events: told.append(reading.done)
        )
        writing.result(20)
        assert told
        assert not told[0]
        assert reading.result(20)["read"] == 400 * len(TEXT)


def test_a_memory_that_is_not_of_numbers_harms_its_session_alone() -> None:
    run = language_model()
    with Sessions(run) as sessions:
        good, bad = sessions.create(text="the"), sessions.create(text="the")
        trail = bad._content().trail
        trail.memory = Memory(map_state(lambda x: torch.full_like(x, torch.nan), trail.memory.state), {}, 3)
        start = good.checkpoint()
        expected = good.generate(tokens=50, seed=1).answer["text"]
        good.rollback(start)
        jobs = [sessions.submit(each.id, "generate", {"tokens": 50, "seed": 1}) for each in (bad, good)]
        assert jobs[1].result(10)["text"] == expected
        with pytest.raises(UserError, match="NaN"):
            jobs[0].result(10)
        with pytest.raises(UserError, match="NaN"):
            bad.feed(text="a")
        assert bad.position == 3
        assert bad.rollback(0) == 0
        assert bad.feed(text="a")["read"] == 1


def test_a_failure_in_a_round_is_that_of_its_work_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of whatever kind; the thread lives on, and the others say what they would have said."""
    run = language_model()
    with Sessions(run) as sessions:
        made = [sessions.create(text="the") for _ in range(5)]
        expected = {session.id: session.fork().generate(tokens=40, seed=9, stop=["zz"]).answer for session in made}
        arena = sessions.model(None).listener.arenas.plain  # type: ignore[attr-defined]
        write, read, logits = arena.write, arena.score, arena.logits

        def broken_write(slots: Sequence[int], draws: Sequence[Any], *rest: Any, **options: Any) -> Any:
            found = write(slots, draws, *rest, **options)  # the slots have moved on when the failure comes
            if any(draw.temperature == 0.123 for draw in draws):
                raise RuntimeError("out of\nmemory")
            return found

        def broken_score(slots: Sequence[int], tokens: Sequence[Sequence[int]]) -> Any:
            found = read(slots, tokens)
            if any(5 in row for row in tokens):
                raise MemoryError
            return found

        def broken_logits(slots: Sequence[int]) -> torch.Tensor:
            if len(slots) > 1:
                raise RuntimeError
            return logits(slots)

        monkeypatch.setattr(arena, "write", broken_write)
        monkeypatch.setattr(arena, "score", broken_score)
        monkeypatch.setattr(arena, "logits", broken_logits)
        barrier = hold_rounds(sessions, monkeypatch)
        jobs = [sessions.submit(each.id, "generate", {"tokens": 40, "seed": 9, "stop": ["zz"]}) for each in made[:3]]
        bad = sessions.submit(made[3].id, "generate", {"tokens": 40, "temperature": 0.123})
        worse = sessions.submit(made[4].id, "feed", {"tokens": [1, 2, 5]})
        barrier.set()
        for session, job in zip(made, jobs, strict=False):
            assert job.result(10) == expected[session.id]
        for job in (bad, worse):
            with pytest.raises(ModelFailed) as caught:
                job.result(10)
            assert "\n" not in str(caught.value)
        barrier.clear()
        fed = [sessions.submit(sessions.create().id, "feed", {"tokens": [1, 2, 3]}) for _ in range(3)]
        barrier.set()
        first, *others = [job.result(10) for job in fed]
        assert all(other == first for other in others)
        assert len(first["next"]) == 5
        assert [session.text for session in made[3:]] == ["the", "the"]
        assert made[4].feed(tokens=[1, 2])["read"] == 2
        assert not sessions.model(None).listener._turns  # type: ignore[attr-defined]


def hold_rounds(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """No round begins until the event is set, so that all works that were asked for are in one."""
    served, barrier = sessions.model(None), threading.Event()
    move: Callable[[Sequence[Work]], None] = served.listener.round

    def wait(works: Sequence[Work]) -> None:
        barrier.wait()
        move(works)

    monkeypatch.setattr(served.listener, "round", wait)
    return barrier


def test_a_listener_that_fails_hears_no_more() -> None:
    with Sessions(language_model()) as sessions:
        session, heard = sessions.create(text="a"), []

        def callback(events: list[dict[str, Any]]) -> None:
            heard.append(events)
            raise ValueError

        job = sessions.submit(session.id, "generate", {"tokens": 50_000}, callback)
        assert job.result(20)["finished"] == "cancelled"
        assert len(heard) == 1
        assert session.feed(text="b")["read"] == 1


def patiently(call: Callable[[], Session]) -> Session:
    """Again, while those that are at work take all the memory."""
    for _ in range(1000):
        try:
            return call()
        except Full:
            time.sleep(0.01)
    raise AssertionError


def test_many_threads() -> None:
    """That feed, write, fork, go back and leave at once: nothing is mixed up, and nothing is left."""
    run = language_model("gru")
    errors: list[BaseException] = []

    def use(seed: int) -> None:
        rng = random.Random(seed)
        try:
            session = patiently(lambda: sessions.create(text=TEXT[: seed + 1]))
            units = session.units
            for _ in range(12):
                action = rng.randrange(4)
                if action == 0:
                    session.feed(text=(text := "".join(rng.choices(TEXT, k=9))))
                    units = units + run.tokenizer.encode(text).tolist()
                elif action == 1:
                    number = rng.randrange(99)
                    answer = session.generate(tokens=20, seed=number).answer
                    assert units + answer["ids"] == alone(run, units, 20, number, "")
                    units = units + answer["ids"]
                elif action == 2:
                    fork = patiently(partial(session.fork, at=len(units) // 2))
                    session.close()
                    session, units = fork, units[: len(units) // 2]
                else:
                    with session.generate(tokens=5000) as generation:
                        next(iter(generation))
                    units = units + generation.answer["ids"]
                assert session.units == units
            session.close()
        except BaseException as error:
            errors.append(error)

    with Sessions(run, memory="30KB") as sessions:
        threads = [threading.Thread(target=use, args=(seed,)) for seed in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not errors, errors
        stats = sessions.stats()
        assert (stats["sessions"], stats["bytes"], stats["running"], stats["queue"]) == (0, 0, 0, 0)
        assert not list(sessions.folder.glob("*.session"))


def test_ending_a_session_that_writes() -> None:
    """Ends the writing, too."""
    with Sessions(language_model()) as sessions:
        session = sessions.create(text="a")
        job = sessions.submit(session.id, "generate", {"tokens": 100_000})
        session.close()
        assert job.result(10)["finished"] == "cancelled"
        assert sessions.store.bytes == 0
        assert not sessions.store.records
