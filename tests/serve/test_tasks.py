"""Sessions of every other task behind the engine: taggers, classifiers, a forecaster, an encoder-decoder."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

import elman
from elman.errors import UserError
from elman.serve import Session, Sessions
from http_client import client_of, error_of
from sessions import close

TAGGED = [["play", "Gal", "now"], ["at", "noon", "wait"], ["play", "Tom", "here"]] * 8
TAGS = [["O", "B-name", "O"], ["O", "B-time", "O"], ["O", "B-name", "O"]] * 8
TEXTS = [f"{a} {b} cat" for a in ("red", "green", "blue", "old") for b in ("big", "small", "new", "the", "one")]
WAVE = [round(10 + 3 * ((step * 7) % 11) / 11, 3) for step in range(60)]
SMALL: dict[str, Any] = {"hidden_size": 6, "budget": "2 steps", "progress": False}
# A feed in two parts, of each run.
FEEDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "tags": ({"text": "play Gal"}, {"text": "now wait"}),
    "whole-tags": ({"text": "play Gal"}, {"tokens": ["now", "wait"]}),
    "labels": ({"text": "a red"}, {"text": " cat"}),
    "whole-labels": ({"text": "a red"}, {"text": " cat"}),
    "series": ({"values": WAVE[:9], "ds": 5}, {"values": [None, *WAVE[9:12]]}),
    "pairs": ({"text": "abc"}, {"text": "cab"}),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A run of each task, and of both kinds of memories."""
    place, tags = tmp_path_factory.mktemp("tasks"), {"task": "tagging", "embedding_size": 4, "num_layers": 1, **SMALL}
    labels = {"task": "classification", "model": "gru", "tokenizer": "char", **SMALL}
    elman.fit(TAGGED, TAGS, out=place / "tags", model="gru", crf=False, bidirectional=False, **tags)
    elman.fit(TAGGED, TAGS, out=place / "whole-tags", model="lstm", **tags)
    colours = [text.split()[0] for text in TEXTS]
    elman.fit(TEXTS, colours, out=place / "labels", bidirectional=False, **labels)
    elman.fit(TEXTS, colours, out=place / "whole-labels", **labels)
    elman.fit(WAVE, out=place / "series", task="forecasting", model="gru", horizon=3, window=6, **SMALL)
    pairs = [(text[:4], text[3::-1]) for text in TEXTS]
    elman.fit(pairs, valid=pairs[:4], out=place / "pairs", task="translation", model="gru", tokenizer="char", **SMALL)
    return [place / name for name in FEEDS]


def fed(session: Session) -> list[dict[str, Any]]:
    return [session.feed(**each) for each in FEEDS[session.model]]


@pytest.mark.parametrize("name", FEEDS)
def test_ways_back_forks_and_files_say_what_was_said(folders: list[Path], name: str, tmp_path: Path) -> None:
    with Sessions(folders, folder=tmp_path / "kept") as sessions:
        session = sessions.create(name)
        first = session.feed(**FEEDS[name][0])
        begun = session.position
        kept = session.checkpoint()
        last = session.feed(**FEEDS[name][1])
        assert session.position == len(session.units) == len(session.pieces()) == last["position"] > begun
        fork = session.fork(at=begun)
        close(fork.feed(**FEEDS[name][1]), last)
        copied = sessions.create(name, memory=session.state())
        again = {"units": []}
        said = session.feed(**again)
        assert copied.feed(**again) == said
        session.state("json")
        for to in (begun, kept):
            session.rollback(to)
            assert session.position == begun
            close(session.feed(**FEEDS[name][1]), last)
            session.rollback(kept)
        session.rollback(0)
        close(session.feed(**FEEDS[name][0]), first)
        close(session.feed(**FEEDS[name][1]), last)
        told, found = session.feed(**again), session.id
    with Sessions(folders, folder=tmp_path / "kept") as later:
        later.restore()
        assert later.get(found).feed(**again) == told


def test_all_tasks_at_once_and_every_answer_its_own(folders: list[Path]) -> None:
    with Sessions(folders, chunk=1) as sessions:
        wanted = {name: fed(sessions.create(name)) for name in FEEDS}
        told: dict[tuple[str, int], Any] = {}

        def speak(name: str, number: int) -> None:
            told[name, number] = fed(sessions.create(name))

        threads = [threading.Thread(target=speak, args=(name, n)) for name in FEEDS for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(told) == len(threads)
        for (name, _), answers in told.items():
            close(answers, wanted[name], 1e-4)


def test_a_target_goes_on_differently_after_a_fork(folders: list[Path]) -> None:
    with Sessions(folders) as sessions:
        session = sessions.create("pairs", text="blue")
        with session.generate(tokens=6, prefix="red ", temperature=1.0, seed=1) as writing:
            text = "".join(event["text"] for event in writing)
        assert writing.answer["text"] == text
        assert text.startswith("red ")
        assert session.position == 1 + len(writing.answer["ids"])
        fork = session.fork(at=5)  # the source and the prefix
        assert fork.units == session.units[:5]
        assert fork.generate(tokens=2, temperature=1.0, seed=1).answer["ids"] == session.units[5:]
        other = session.fork(at=5).generate(tokens=2, prefix="ob").answer
        assert (other["text"], other["finished"], other["position"]) == ("ob", "length", 7)
        rest = fork.generate(tokens=40, prefix="red " * 8)
        rest.close()
        assert rest.answer["finished"] in ("cancelled", "length")
        assert fork.position == len(fork.units) == rest.answer["position"]
        with pytest.raises(UserError, match="a source that was fed before"):
            sessions.create("pairs").generate().answer  # noqa: B018
        with pytest.raises(UserError, match="writes nothing"):
            sessions.create("tags").generate()


def test_what_does_not_fit_is_said_and_changes_nothing(folders: list[Path]) -> None:
    wrong: dict[str, dict[str, Any]] = {
        "tags": {"tokens": [""]},
        "whole-tags": {"text": 5},
        "labels": {"values": [1]},
        "whole-labels": {"tokens": [-1]},
        "series": {"values": [[1, 2]]},
        "pairs": {"text": " "},
    }
    with Sessions(folders) as sessions:
        for name, asked in wrong.items():
            session = sessions.create(name)
            answer = session.feed(**FEEDS[name][0])
            with pytest.raises(UserError):
                session.feed(**asked)
            assert session.position == answer["position"]
            close(session.feed(units=[]), {**answer, **session.feed(units=[])})


@pytest.mark.parametrize(("name", "least"), [("whole-tags", 200), ("whole-labels", 44), ("series", 44)])
def test_what_is_read_again_counts_as_memory(folders: list[Path], name: str, least: int) -> None:
    """Beside the units, there are words among a memory's notes, or numbers in its tensor."""
    more = {
        "whole-tags": {"text": "now " * 500},
        "whole-labels": {"text": "red " * 125},
        "series": {"values": WAVE * 9},
    }
    with Sessions(folders) as sessions:
        session = sessions.create(name, **FEEDS[name][0])
        before = session.describe()["bytes"]
        session.feed(**more[name])
        assert session.describe()["bytes"] > before + least * 500


def test_models_are_described(folders: list[Path]) -> None:
    with Sessions(folders) as sessions:
        facts = {name: served.describe() for name, served in sessions.models.items()}
    assert [facts[name]["writes"] for name in FEEDS] == [False] * 5 + [True]
    assert [facts[name]["whole"] for name in FEEDS] == [False, True, False, True, True, False]
    assert [facts[name]["reads"] for name in FEEDS] == ["text"] * 4 + ["values", "text"]


def test_over_http(folders: list[Path]) -> None:
    """The same answers; what is not finite, or not right, is refused with its status."""
    with Sessions(folders) as sessions, client_of(sessions) as client:
        for name, (first, then) in FEEDS.items():
            made = client.post("/v1/sessions", json={"model": name, **first})
            assert made.status_code == 201, made.text
            place = f"/v1/sessions/{made.json()['id']}"
            answers = [made.json()["answer"], client.post(f"{place}/feed", json=then).json()]
            close(answers, fed(sessions.create(name)))
            back = client.post(f"{place}/rollback", json={"to": answers[0]["position"]})
            assert back.status_code == 200, back.text
            error_of(client.post(f"{place}/feed", json={"txt": "a"}), 400)
            assert client.get(f"{place}/state").status_code == 200
            assert client.get(f"/v1/models/{name}").json()["elman"]["task"] == sessions.models[name].run.task.name
        made = client.post("/v1/sessions", json={"model": "pairs", "text": "blue"}).json()
        asked = {"tokens": 5, "prefix": "gre", "temperature": 1.0, "seed": 2}
        place = f"/v1/sessions/{made['id']}"
        told = client.post(f"{place}/fork", json={}).json()["id"]
        whole = client.post(f"/v1/sessions/{told}/generate", json=asked).json()
        lines = client.post(f"{place}/generate", json={**asked, "stream": True}).text.splitlines()
        events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        close(events[-1]["answer"], whole)
        assert "".join(event["text"] for event in events[:-1]) == whole["text"]
        assert [row for event in events[:-1] for row in event["alignment"]] == whole["alignment"]
