from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import elman
from elman.serve import Sessions
from http_client import error_of, events_of


def complete(client: TestClient, **asked: Any) -> Any:
    return client.post("/v1/completions", json={"model": "run", **asked})


def test_models(client: TestClient) -> None:
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    [model] = listed["data"]
    assert (model["id"], model["object"], model["owned_by"]) == ("run", "model", "elman")
    assert isinstance(model["created"], int)
    assert model["elman"]["writes"] is True
    assert client.get("/v1/models/run").json() == model
    assert "run" in error_of(client.get("/v1/models/runs"), 404)["message"]


def test_a_completion_is_the_text_that_the_model_writes(client: TestClient, sessions: Sessions, trained: Path) -> None:
    before = sessions.stats()["sessions"]
    text, _ = elman.load(trained).generate("the cat ", tokens=20, seed=7, temperature=1.0)
    told = complete(client, prompt="the cat ", max_tokens=20, seed=7).json()
    assert (told["object"], told["model"]) == ("text_completion", "run")
    assert told["choices"] == [{"text": text, "index": 0, "logprobs": None, "finish_reason": "length"}]
    assert told["usage"] == {"prompt_tokens": 8, "completion_tokens": 20, "total_tokens": 28}
    assert sessions.stats()["sessions"] == before  # its session ends with it


def test_a_stream_has_the_same_choices(client: TestClient) -> None:
    asked: dict[str, Any] = {"prompt": ["the ", "on a"], "max_tokens": 30, "seed": 1, "n": 2, "logprobs": 2}
    whole = complete(client, **asked).json()
    chunks = events_of(complete(client, **asked, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == whole["usage"]
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert [choice["index"] for choice in whole["choices"]] == [0, 1, 2, 3]
    for choice in whole["choices"]:
        parts = [part for chunk in chunks for part in chunk["choices"] if part["index"] == choice["index"]]
        assert "".join(part["text"] for part in parts) == choice["text"]
        assert [part["finish_reason"] for part in parts] == [None] * (len(parts) - 1) + ["length"]
        assert [token for part in parts for token in part["logprobs"]["tokens"]] == choice["logprobs"]["tokens"]
    alone = complete(client, prompt="on a", max_tokens=30, seed=4).json()  # a seed of its own for each choice
    assert alone["choices"][0]["text"] == whole["choices"][3]["text"]
    assert all("usage" not in chunk for chunk in events_of(complete(client, **asked, stream=True)))


def test_echo_scores_the_prompt(client: TestClient, sessions: Sessions) -> None:
    fed = sessions.create().feed(text="the cat")
    told = complete(client, prompt="the cat", max_tokens=0, echo=True, logprobs=1).json()
    [choice] = told["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("the cat", "length")
    found = choice["logprobs"]
    assert "".join(found["tokens"]) == "the cat"
    assert found["token_logprobs"] == [None if nats is None else -nats for nats in fed["surprise"]]
    assert found["text_offset"] == list(range(7))

    told = complete(client, prompt="the cat", max_tokens=5, echo=True, logprobs=3, seed=1).json()["choices"][0]
    assert told["text"].startswith("the cat")
    assert len(told["logprobs"]["tokens"]) == len(told["logprobs"]["top_logprobs"]) == 12
    for token, nats, top in list(zip(*list(told["logprobs"].values())[:3], strict=True))[7:]:
        assert len(top) == 3
        assert top.get(token, nats) == pytest.approx(nats, abs=1e-5)
        assert max(top.values()) <= 0
        assert sum(map(math.exp, top.values())) <= 1 + 1e-6


def test_prompts_of_tokens_and_of_nothing(client: TestClient, trained: Path) -> None:
    ids = elman.load(trained).tokenizer.encode("the cat").tolist()
    texts = [complete(client, prompt=p, seed=1).json()["choices"][0]["text"] for p in ("the cat", ids)]
    assert texts[0] == texts[1]
    both = complete(client, prompt=[ids, ids], seed=1).json()["choices"]
    assert both[0]["text"] == texts[0]
    assert complete(client, prompt=ids, max_tokens=0, echo=True).json()["choices"][0]["text"] == "the cat"
    for nothing in ("", []):
        assert complete(client, prompt=nothing, seed=1).json()["usage"]["prompt_tokens"] == 0


def test_a_stop_ends_the_text_before_it(client: TestClient) -> None:
    whole = complete(client, prompt="the", max_tokens=40, seed=2).json()["choices"][0]["text"]
    stop = whole[10:12]
    for asked in ({"stop": stop}, {"stop": [stop, "never there"]}):
        [choice] = complete(client, prompt="the", max_tokens=40, seed=2, **asked).json()["choices"]
        assert (choice["text"], choice["finish_reason"]) == (whole[: whole.index(stop)], "stop")


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"suffix": "x"}, "suffix"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": -1}, "frequency_penalty"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"best_of": 2}, "best_of"),
        ({"n": 0}, "n"),
        ({"n": 1000}, "n"),
        ({"logprobs": 21}, "logprobs"),
        ({"temprature": 1}, "temprature"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"prompt": 3}, "prompt"),
        ({"prompt": [1.5]}, "prompt"),
        ({"prompt": ["a"] * 65}, "prompt"),
    ],
)
def test_what_no_model_here_can_do_is_refused(client: TestClient, asked: Any, param: str) -> None:
    assert error_of(complete(client, **asked), 400)["param"] == param


def test_what_asks_for_nothing_is_passed_over(client: TestClient) -> None:
    neutral = {
        "presence_penalty": 0,
        "frequency_penalty": 0.0,
        "logit_bias": {},
        "suffix": None,
        "best_of": 1,
        "user": "x",
    }
    nulls = dict.fromkeys(("max_tokens", "temperature", "top_p", "n", "stream", "echo", "stop", "seed", "logprobs"))
    assert complete(client, **neutral, **nulls).json()["usage"]["completion_tokens"] == 16


def test_errors_have_their_status_in_a_stream_too(client: TestClient, sessions: Sessions) -> None:
    before = sessions.stats()["sessions"]
    for stream in (False, True):
        error_of(complete(client, prompt=[10**6], stream=stream), 400)
        error_of(complete(client, prompt="a", top_p=1e-300, stop=[""] * 9, stream=stream), 400)
    assert error_of(client.post("/v1/completions", json={"model": "other"}), 404)["code"] == "not_found"
    assert error_of(client.post("/v1/completions", json={}), 400)["param"] == "model"
    assert sessions.stats()["sessions"] == before
