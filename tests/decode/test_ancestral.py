"""Sampling: a seed and a sentence decide, and nothing else."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from elman.decode.ancestral import greedy_search, sample_targets
from elman.decode.beam import beam_search
from elman.decode.constraints import Constraints
from elman.decode.sampling import sample
from elman.decode.uniforms import uniforms
from encoder_decoders import Table

SOURCE = torch.tensor([[1, 2, 3], [2, 3, 0], [1, 1, 1]])
LENGTHS = torch.tensor([3, 2, 3])


def test_targets_are_drawn_as_often_as_they_are_probable() -> None:
    constraints = Constraints(max_length=2)
    options = {"end": 3, "constraints": constraints}
    [every] = beam_search(Table(4), SOURCE[:1], beam=20, n_best=20, **options)  # type: ignore[arg-type]
    # The end of the longest is forced: it is drawn whatever its probability.
    logs = [y.log_probability - (y.token_log_probabilities[-1] if len(y.tokens) == 2 else 0.0) for y in every]
    [drawn] = sample_targets(Table(4), SOURCE[:1], seed=1, samples=20_000, **options)  # type: ignore[arg-type]
    counts = Counter(y.tokens for y in drawn)
    for y, log_p in zip(every, logs, strict=True):
        assert counts[y.tokens] / 20_000 == pytest.approx(math.exp(log_p), abs=0.012)
    assert {y.tokens: y.log_probability for y in drawn} == pytest.approx({y.tokens: y.log_probability for y in every})


def test_a_sentence_is_drawn_alike_in_any_batch() -> None:
    together = sample_targets(Table(6), SOURCE, LENGTHS, end=5, seed=5, rows=[4, 0, 7], samples=3, top_p=0.95)
    for at, row in enumerate([4, 0, 7]):
        source = SOURCE[at : at + 1, : LENGTHS[at]]
        assert sample_targets(Table(6), source, end=5, seed=5, rows=[row], samples=3, top_p=0.95) == [together[at]]
    assert len({y.tokens for y in together[0]}) > 1
    for other in ({"seed": 6, "rows": [4, 0, 7]}, {"seed": 5, "rows": [3, 0, 7]}):
        assert sample_targets(Table(6), SOURCE, LENGTHS, end=5, samples=3, top_p=0.95, **other)[0] != together[0]  # type: ignore[arg-type]


@pytest.mark.parametrize("filters", [{"temperature": 0.0}, {"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}])
def test_the_strictest_filters_leave_greedy_search(filters: dict[str, float]) -> None:
    found = sample_targets(Table(6), SOURCE, LENGTHS, end=5, seed=1, samples=2, **filters)  # type: ignore[arg-type]
    greedy = greedy_search(Table(6), SOURCE, LENGTHS, end=5)
    assert [[y.tokens for y in of_one] for of_one in found] == [[y.tokens] * 2 for y in greedy]


def test_a_number_decides_by_the_cumulative_sum() -> None:
    logits = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.2, 0.0]).log()
    numbers = [0.0, 0.49, 0.51, 0.79, 0.81, 1 - 2**-53]
    uniform = torch.tensor(numbers, dtype=torch.double)
    assert sample(logits.expand(6, 6), uniform=uniform).tolist() == [1, 1, 3, 3, 4, 4]


def test_the_numbers_of_a_sample_are_those_of_its_seed_and_row_in_the_order_of_the_steps() -> None:
    model, samples, least, most = Table(6), 3, 40, 60
    constraints = Constraints(min_length=least, max_length=most)
    found = sample_targets(model, SOURCE, end=5, seed=5, samples=samples, constraints=constraints)
    for row, of_one in enumerate(found):
        for number, y in enumerate(of_one):
            logits, state = model(torch.tensor([[5]]), model.encode(SOURCE[row : row + 1]))
            for t, token in enumerate([*y.tokens, 5][:most]):
                if t < least:
                    logits[..., 5] = -torch.inf
                uniform = torch.tensor([next(uniforms(5, row, number, t))], dtype=torch.double)
                assert int(sample(logits[:, -1], uniform=uniform)) == token
                logits, state = model(torch.tensor([[token]]), state)


def test_memory_does_not_grow_with_the_longest_target_that_is_allowed() -> None:
    constraints = Constraints(max_length=10**12)
    [found] = sample_targets(Table(6), SOURCE[:1], end=5, seed=1, samples=100, constraints=constraints)
    assert max(len(y.tokens) for y in found) < 200
