"""Models of other tasks over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

import elman
from elman.serve import Sessions
from http_client import client_of, error_of, events_of

SMALL: dict[str, Any] = {"hidden_size": 6, "budget": "2 steps", "progress": False, "model": "gru"}
WAVE = [round(10 + 3 * ((step * 7) % 11) / 11, 3) for step in range(60)]
PAIRS = [(text, text[::-1]) for text in ("abc", "cab", "bca", "acb")] * 4


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    place = tmp_path_factory.mktemp("several")
    elman.fit(WAVE, out=place / "series", task="forecasting", horizon=3, window=6, **SMALL)
    elman.fit(PAIRS, valid=PAIRS[:4], out=place / "pairs", task="translation", tokenizer="char", **SMALL)
    with Sessions([place / "series", place / "pairs"]) as sessions:
        yield sessions


@pytest.fixture(scope="module")
def asking(several: Sessions) -> Iterator[TestClient]:
    with client_of(several) as client:
        yield client


def test_every_model_has_its_description(asking: TestClient) -> None:
    models = {model["id"]: model["elman"] for model in asking.get("/v1/models").json()["data"]}
    assert {id: (each["reads"], each["writes"]) for id, each in models.items()} == {
        "series": ("values", False),
        "pairs": ("text", True),
    }
    assert error_of(asking.post("/v1/sessions", json={}), 404)["message"]  # of several models, one is to be named


def test_a_series_is_fed_by_its_values(asking: TestClient, several: Sessions) -> None:
    alone = several.create("series")
    fed = [alone.feed(values=WAVE[:9], ds=5), alone.feed(values=[None, *WAVE[9:12]])]
    told = asking.post("/v1/sessions", json={"model": "series", "values": WAVE[:9], "ds": 5}).json()
    assert told["answer"] == fed[0]
    address = f"/v1/sessions/{told['id']}"
    assert asking.post(f"{address}/feed", json={"values": [None, *WAVE[9:12]]}).json() == fed[1]
    for wrong in ({"values": ["x"]}, {"values": [[1.0], [1.0, 2.0]]}, {"text": "abc"}, {"values": [1.0], "h": 0}):
        error_of(asking.post(f"{address}/feed", json=wrong), 400)
    assert "writes nothing" in error_of(asking.post(f"{address}/generate", json={}), 400)["message"]
    assert asking.get(address).json()["position"] == fed[1]["position"]


def test_a_translation_is_streamed_with_its_alignment(asking: TestClient, several: Sessions) -> None:
    alone = several.create("pairs")
    fed = alone.feed(text="abc")
    told = asking.post("/v1/sessions", json={"model": "pairs", "text": "abc"}).json()
    assert told["answer"] == fed
    asked = {"tokens": 6, "temperature": 2, "seed": 3}
    response = asking.post(f"/v1/sessions/{told['id']}/generate", json={**asked, "stream": True})
    *events, last = events_of(response)
    answer = alone.generate(**asked).answer
    assert answer["tokens"]
    assert last == {"answer": answer}
    assert [token for event in events for token in event["tokens"]] == answer["tokens"]
    assert [row for event in events for row in event["alignment"]] == answer["alignment"]


def test_what_is_held_over_http_is_held_in_the_engine(asking: TestClient, several: Sessions) -> None:
    """A series, and a source with its target; where a model has no such place, the answer names those it has."""
    places = {id: asking.get(f"/v1/models/{id}").json()["elman"]["places"] for id in ("series", "pairs")}
    assert [place["name"] for place in places["pairs"]][:3] == [
        "decoder layer 1",
        "attention to the source of decoder layer 1",
        "encoder layer 1 forward",
    ]
    unit, gate = {"state": "h", "unit": 2, "value": 0.75}, {"gate": "z", "value": 1}
    held = {id: [{**places[id][0]["address"], **what} for what in (unit, gate)] for id in places}
    held["pairs"] += [{"part": "encoder", "layer": 1, "direction": "reverse", "state": "h", "value": 0.5}]
    held["pairs"] += [{"layer": 1, "attention": "cross", "head": 1}]
    feeds: dict[str, dict[str, Any]] = {"series": {"values": WAVE[:9]}, "pairs": {"text": "abc"}}
    for id, feed in feeds.items():
        asked = {**feed, "set": held[id]}
        alone = several.create(id)
        expected = alone.feed(**asked)
        told = asking.post("/v1/sessions", json={"model": id, **asked}).json()
        assert told["answer"] == expected
        address = f"/v1/sessions/{told['id']}"
        seen = asking.post(f"{address}/watch", json={"units": [2], "to": told["position"]}).json()
        assert seen["states"]["layer 1 h"]["units"] == [2]
        if id == "series":
            assert expected != several.create(id, **feed).feed(units=[])
        else:
            written = {"tokens": 5, "set": held[id]}
            answer = alone.generate(**written).answer
            assert asking.post(f"{address}/generate", json=written | {"seed": answer["seed"]}).json() == answer
            h = alone.watch(units=[2])["states"]["layer 1 h"]["values"][0]
            assert (h[1:] == 0.75).all()
        error = error_of(asking.post(f"{address}/feed", json={**feed, "set": [{"layer": 7, "head": 1}]}), 400)
        assert all(place["name"] in error["message"] for place in places[id])
        for wrong in ([{"layer": 1}], [{"layer": 1, "state": "h", "unit": 2, "value": "x"}], "h", [{}]):
            error_of(asking.post(f"{address}/feed", json={**feed, "set": wrong}), 400)
        assert asking.get(address).json()["position"] == alone.position


def test_a_completion_of_another_task_names_its_routes(asking: TestClient) -> None:
    said = {}
    for model in ("series", "pairs"):
        error = error_of(asking.post("/v1/completions", json={"model": model, "prompt": "a"}), 400)
        said[model] = error["message"]
        assert "POST /v1/sessions" in error["message"]
        assert "/feed" in error["message"]
    assert "/generate" in said["pairs"]
    assert "/generate" not in said["series"]
