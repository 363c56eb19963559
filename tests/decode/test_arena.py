"""Every arena gives what each of its rows gives alone, by the plain calls of the model."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from elman.decode.arena import Arena, Draw, RowMemory, StateRows, arena_of
from elman.decode.generation import generate, prefill
from elman.decode.sampling import sample
from elman.decode.uniforms import uniforms
from elman.models import LanguageModel, build
from elman.state import concatenate, leaves

V, END, BANNED = 11, 10, [0]
MODELS = {
    "elman": {"model": "elman", "hidden_size": 5, "num_layers": 1},
    "lstm": {"model": "lstm", "hidden_size": 64, "num_layers": 2, "embedding_size": 7},
    "gru": {"model": "gru", "hidden_size": 5, "num_layers": 2, "layer_norm": True},
    "transformer": {"model": "transformer", "hidden_size": 8, "num_layers": 2, "num_heads": 2},
    "window": {"model": "transformer", "hidden_size": 8, "num_layers": 2, "num_heads": 2, "window": 5},
}
ARENAS = {"reference": StateRows, "fastest": arena_of}
FILTERS: list[dict[str, float | int]] = [{}, {"temperature": 0.0}, {"temperature": 0.7, "top_k": 4}, {"top_p": 0.8}]


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> LanguageModel:
    torch.manual_seed(3)
    made = build({"vocab_size": V, **MODELS[request.param]}).double().eval()
    for parameter in made.parameters():  # far enough from zero that texts differ
        torch.nn.init.normal_(parameter, std=0.5)
    return made


@pytest.fixture(params=ARENAS)
def arena(request: pytest.FixtureRequest, model: LanguageModel) -> Arena:
    return ARENAS[request.param](model)


def prompts(count: int, longest: int) -> list[list[int]]:
    random = np.random.default_rng(5)
    return [random.integers(1, END, length).tolist() for length in random.integers(1, longest + 1, count)]


def alone(
    model: LanguageModel, prompt: list[int], draw: dict[str, float | int], seed: int, steps: int
) -> list[tuple[int, float]]:
    """By `generate`, up to the end of the document."""
    numbers = uniforms(seed)

    def choose(logits: torch.Tensor) -> torch.Tensor:
        return sample(logits, uniform=logits.new_tensor([next(numbers)], dtype=torch.double), **draw)  # type: ignore[arg-type]

    written = []
    for token, log_p, _ in generate(model, prompt, choose, banned=BANNED):
        written.append((token, log_p))
        if token == END or len(written) == steps:
            return written
    raise AssertionError


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("steps", [1, 7, 33])
def test_it_writes_what_each_row_writes_alone(model: LanguageModel, arena: Arena, rows: int, steps: int) -> None:
    """In one call or in several, with other options in every row."""
    given = prompts(rows, 9)
    for pieces in ([steps], [steps // 2, steps - steps // 2]):
        slots = [arena.admit(None) for _ in given]
        arena.read(slots, [prompt[:2] for prompt in given])
        arena.read(slots, [prompt[2:] for prompt in given])
        written: list[list[tuple[int, float]]] = [[] for _ in given]
        for piece in pieces:
            due = [i for i in range(rows) if not (written[i] and written[i][-1][0] == END)]
            draws = [
                Draw(np.fromiter(uniforms(i, step=len(written[i])), float, piece), **FILTERS[i])  # type: ignore[arg-type]
                for i in due
            ]
            found = arena.write([slots[i] for i in due], draws, piece, banned=BANNED, end=END)
            assert found.tokens.shape == found.log_probabilities.shape == (len(due), piece)
            for place, i in enumerate(due):
                left = found.counts[place]
                written[i] += zip(
                    found.tokens[place, :left].tolist(), found.log_probabilities[place, :left], strict=True
                )
                assert (found.tokens[place, left:] == -1).all()
        for i, prompt in enumerate(given):
            expected = alone(model, prompt, FILTERS[i], i, steps)
            assert [token for token, _ in written[i]] == [token for token, _ in expected]
            np.testing.assert_allclose([p for _, p in written[i]], [p for _, p in expected], rtol=0, atol=1e-9)
            read = [END] if expected[-1][0] == END else [*prompt, *(token for token, _ in expected)]
            torch.testing.assert_close(arena.logits([slots[i]]), prefill(model, [read])[0], rtol=0, atol=1e-9)
            arena.release(slots[i])


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("length", [1, 7, 600])
def test_it_scores_what_it_reads(model: LanguageModel, arena: Arena, rows: int, length: int) -> None:
    given = prompts(rows, length)
    slots = [arena.admit(None) for _ in given]
    first = arena.score(slots, [prompt[:3] for prompt in given])
    then = arena.score(slots, [prompt[3:] for prompt in given])
    for prompt, *found in zip(given, first, then, strict=True):
        log_p = model(torch.tensor([prompt]))[0][0].log_softmax(-1)
        expected = [np.nan, *(float(log_p[t, token].detach()) for t, token in enumerate(prompt[1:]))]
        np.testing.assert_allclose(np.concatenate(found), expected, rtol=0, atol=1e-9)
        assert found[1].shape == (max(len(prompt) - 3, 0),)
    torch.testing.assert_close(arena.logits(slots), torch.cat([prefill(model, [prompt])[0] for prompt in given]))


def test_a_row_moves_and_stays_what_it_was(model: LanguageModel, arena: Arena) -> None:
    """A row that was taken out is no part of the arena, and goes on elsewhere."""
    slot, other = arena.admit(None), arena.admit(None)
    arena.read([slot, other], [[1, 2, 3], [4]])
    row = arena.row(slot)
    kept = [x.clone() for x in leaves((row.state, row.hidden))]  # type: ignore[arg-type]
    arena.read([slot, other], [[5], [6, 7, 8, 9, 1, 2, 3]])
    for x, before in zip(leaves((row.state, row.hidden)), kept, strict=True):  # type: ignore[arg-type]
        assert torch.equal(x, before)
    again = arena_of(model).admit(row)  # in another arena
    assert isinstance(again, int)
    slot = arena.admit(row)
    torch.testing.assert_close(arena.logits([slot]), prefill(model, [[1, 2, 3]])[0])
    arena.reset(slot)
    assert arena.row(slot).hidden is None
    arena.read([slot], [[5]])
    torch.testing.assert_close(arena.logits([slot]), prefill(model, [[5]])[0])


def test_a_memory_is_no_longer_than_its_row(model: LanguageModel, arena: Arena) -> None:
    """Though it was read beside a longer one."""
    slots = [arena.admit(None), arena.admit(None)]
    arena.read(slots, [[1], [1, 2, 3, 4, 5, 6, 7, 8]])
    sizes = [sum(x.numel() for x in leaves(arena.row(slot).state)) for slot in slots]
    single = model.read([[1]])[1]
    assert sizes[0] == sum(x.numel() for x in leaves(single))


def test_nan_harms_its_row_alone(model: LanguageModel, arena: Arena) -> None:
    slots = [arena.admit(None) for _ in range(3)]
    arena.read(slots, [[1, 2], [1, 2], [3]])
    row = arena.row(slots[0])
    assert row.hidden is not None
    arena.release(slots[0])
    slots[0] = arena.admit(RowMemory(concatenate([row.state]), torch.full_like(row.hidden, torch.nan)))
    draw = partial(Draw, np.full(4, 0.3))
    found = arena.write(slots, [draw(), draw(), draw()], 4, end=END)
    assert found.counts[0] == 0
    slot = arena.admit(row)
    expected = arena.write([slot], [draw()], 4, end=END)
    assert found.counts[1] == expected.counts[0] > 0
    assert (found.tokens[1] == expected.tokens[0]).all()
