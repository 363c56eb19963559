import numpy as np
import pytest
import torch

from elman.data.example_batches import ExampleBatches, evaluation_batches, example_batch
from elman.data.labelled_corpus import Examples

LENGTHS = [*range(1, 40), 7, 7, 7]


def some(channels: int = 0) -> Examples:
    random = np.random.default_rng(0)
    shape = (channels,) if channels else ()
    inputs = [random.normal(size=(T, *shape)).astype(np.float32) for T in LENGTHS]
    if not channels:
        inputs = [(10 * np.abs(each)).astype(np.int64) for each in inputs]
    return Examples(inputs, np.arange(len(LENGTHS)), None, None)


@pytest.mark.parametrize("channels", [0, 3])
@pytest.mark.parametrize("size", [1, 4, 100])
def test_every_example_comes_once_an_epoch(channels: int, size: int) -> None:
    examples = some(channels)
    batches = ExampleBatches(examples, size, seed=1)
    seen = []
    for index in range(batches.count(3)):
        batch = batches.batch(3, index)
        assert len(batch.lengths) <= size
        assert batch.inputs.shape == (len(batch.lengths), int(batch.lengths.max()), *((channels,) if channels else ()))
        assert batch.inputs.dtype == (torch.float32 if channels else torch.int64)
        assert batch.targets is not None
        for inputs, length, target in zip(batch.inputs, batch.lengths, batch.targets.tolist(), strict=True):
            np.testing.assert_array_equal(inputs[:length], examples.inputs[target])
            assert not inputs[length:].any()
            seen.append(target)
    assert sorted(seen) == list(range(len(LENGTHS)))


def test_batches_are_a_function_of_the_seed_and_the_epoch() -> None:
    def plan(seed: int, epoch: int) -> list[list[int]]:
        return [rows.tolist() for rows in ExampleBatches(some(), 4, seed).plan(epoch)]

    batches = ExampleBatches(some(), 4, seed=1)
    for epoch in (0, 5, 0):
        assert [rows.tolist() for rows in batches.plan(epoch)] == plan(1, epoch)
    assert plan(1, 0) != plan(1, 1)
    assert plan(1, 0) != plan(2, 0)


def test_a_batch_has_nearly_equal_lengths() -> None:
    lengths = np.random.default_rng(0).integers(5, 100, 1000)
    examples = Examples([np.zeros(T, np.int64) for T in lengths], None, None, None)
    batches = ExampleBatches(examples, 32)
    padded = sum(batches.batch(0, index).inputs.numel() for index in range(batches.count(0)))
    assert lengths.sum() / padded > 0.7
    assert batches.batch(0, 0).targets is None


def test_evaluation_reads_the_shortest_first() -> None:
    examples = some()
    found = list(evaluation_batches(examples, 5))
    rows = np.concatenate([rows for rows, _ in found])
    assert sorted(rows.tolist()) == list(range(len(LENGTHS)))
    assert np.all(np.diff(examples.lengths[rows]) >= 0)
    torch.testing.assert_close(found[-1][1].inputs, example_batch(examples, rows[-2:]).inputs)
    assert found[0][1].to(torch.device("cpu")).lengths.tolist() == [1, 2, 3, 4, 5]
