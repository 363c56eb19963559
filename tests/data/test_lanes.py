from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.data.lanes import Lanes, evaluation_windows
from elman.data.textfile import TextPiece
from elman.data.tokenfile import Reader, write_tokens
from elman.data.tokenizers import ByteTokenizer
from elman.distributed import Ranks
from elman.errors import UserError


@given(st.integers(2, 200), st.integers(1, 7), st.integers(1, 33))
def test_windows_put_together_are_the_lanes(count: int, lanes: int, window: int) -> None:
    if (count - 1) // lanes < 1:
        return
    tokens = np.arange(100, 100 + count, dtype=np.uint16)
    read = Lanes(tokens, lanes)
    n = (count - 1) // lanes
    assert read.steps == n
    windows = [read.window(start, min(start + window, n)) for start in range(0, n, window)]
    inputs = torch.cat([found.inputs for found in windows], dim=1)
    targets = torch.cat([found.targets for found in windows], dim=1)
    assert inputs.tolist() == [list(range(100 + b * n, 100 + (b + 1) * n)) for b in range(lanes)]
    assert torch.equal(targets, inputs + 1)
    assert inputs.dtype == targets.dtype == torch.int64
    assert windows[0].inputs.is_contiguous()


@given(st.integers(2, 200), st.integers(1, 7), st.integers(1, 33), st.integers(0, 99), st.integers(1, 9))
def test_a_pass_from_an_offset_reads_the_circle_once(
    count: int, lanes: int, window: int, seed: int, epoch: int
) -> None:
    """Every step is read once at most, all but a lane's worth of them are, and a memory goes round by a reset alone."""
    if (count - 1) // lanes < 1:
        return
    read = Lanes(np.arange(count, dtype=np.uint16), lanes, seed=seed)
    starts = range(0, read.steps, window)
    windows = [read.window(start, min(start + window, read.steps), epoch) for start in starts]
    inputs = torch.cat([found.inputs for found in windows], dim=1)
    resets = [torch.zeros_like(w.inputs, dtype=torch.bool) if w.resets is None else w.resets for w in windows]
    around = torch.cat(resets, dim=1)[:, 1:]
    assert torch.equal(torch.cat([found.targets for found in windows], dim=1), inputs + 1)
    steps = inputs.flatten().tolist()
    assert len(set(steps)) == len(steps) == lanes * read.steps > count - 1 - lanes
    assert set(steps) <= set(range(count - 1))
    assert torch.equal(inputs[:, 1:], torch.where(around, 0, inputs[:, :-1] + 1))
    assert torch.equal(around, inputs[:, 1:] == 0)


def test_every_pass_but_the_first_has_an_offset_that_the_seed_draws() -> None:
    tokens = np.arange(1001, dtype=np.uint16)
    first = [
        [int(Lanes(tokens, 3, seed=seed).window(0, 1, epoch).inputs[0, 0]) for epoch in range(5)] for seed in (1, 2)
    ]
    assert first[0][0] == first[1][0] == 0
    assert len({*first[0][1:], *first[1][1:]}) == 8
    assert torch.equal(Lanes(tokens, 3).window(0, 5, 4).inputs, Lanes(tokens, 3).window(0, 5).inputs)


def test_the_reset_where_the_text_begins_anew_joins_those_of_documents() -> None:
    read = Lanes(np.array([0, 1, 2, 3, 4, 2, 5], np.uint16), 1, eod=2, seed=0)
    for epoch in range(1, 20):
        window = read.window(0, 6, epoch)
        assert window.resets is not None
        rows = window.inputs[0].tolist()
        anew = [step > 0 and number == 0 for step, number in enumerate(rows)]
        begun = [number == 2 or again for number, again in zip(rows, anew, strict=True)]
        assert window.resets[0].tolist()[1:] == begun[1:]


@given(st.lists(st.integers(0, 3), min_size=9, max_size=60), st.integers(1, 4), st.integers(1, 9))
def test_resets_come_before_every_eod_that_is_read(ids: list[int], lanes: int, window: int) -> None:
    read = Lanes(np.array(ids, np.uint16), lanes, eod=3)
    for start in range(0, read.steps, window):
        found = read.window(start, min(start + window, read.steps))
        if found.resets is None:
            assert not (found.inputs == 3).any()
        else:
            assert found.resets.dtype == torch.bool
            assert torch.equal(found.resets, found.inputs == 3)
            assert found.resets.any()
    assert Lanes(np.array(ids, np.uint16), lanes).window(0, read.steps).resets is None


def test_a_token_file_reads_as_its_array(tmp_path: Path) -> None:
    text = "documents " * 30
    made = write_tokens(tmp_path / "a.bin", [TextPiece(text, False, 0)] * 2, ByteTokenizer(), "")
    whole = np.frombuffer((text * 2).encode(), np.uint8)
    for one, two in [
        (Lanes(made, 3).window(5, 38), Lanes(whole, 3).window(5, 38)),
        *zip(evaluation_windows(made, 3, 7), evaluation_windows(whole, 3, 7), strict=True),
    ]:
        assert torch.equal(one.inputs, two.inputs)
        assert torch.equal(one.targets, two.targets)


@pytest.mark.parametrize(("count", "lanes", "window"), [(0, 1, 1), (1, 1, 1), (32, 1, 32), (96, 3, 32), (2, 64, 1)])
def test_too_short(count: int, lanes: int, window: int) -> None:
    with pytest.raises(UserError, match=f"at least {lanes * window + 1} tokens .*, got {count}"):
        Lanes(np.zeros(count, np.uint16), lanes, window=window)
    Lanes(np.zeros(lanes * window + 1, np.uint16), lanes, window=window)


@given(st.integers(2, 150), st.integers(1, 9), st.integers(1, 40), st.integers(0, 50), st.booleans())
def test_evaluation_counts_every_token_once_after_its_predecessor(
    count: int, lanes: int, window: int, burn_in: int, marked: bool
) -> None:
    tokens = np.arange(count, dtype=np.uint16)  # every token is its own position
    windows = list(evaluation_windows(tokens, lanes, window, burn_in=burn_in, eod=7 if marked else None))
    inputs = torch.cat([found.inputs for found in windows], dim=1)
    targets = torch.cat([found.targets for found in windows], dim=1)
    counted = targets != -100
    assert sorted(targets[counted].tolist()) == list(range(1, count))
    assert torch.equal(inputs[counted] + 1, targets[counted])
    assert all(found.inputs.shape[1] <= window for found in windows)
    for row, used in zip(inputs, counted, strict=True):
        first, last = used.nonzero()[[0, -1], 0].tolist()
        assert used[first : last + 1].all(), "no gap in what is counted"
        assert (row[1 : last + 1] == row[:last] + 1).all(), "one contiguous stretch is read"
        assert first == min(burn_in, row[first]), "with burn-in, or else from the text's own beginning"
        assert first == burn_in or row[0] == 0
    for found in windows:
        resets = (found.inputs == 7) & marked
        assert torch.equal(resets, torch.zeros_like(resets) if found.resets is None else found.resets)


def test_one_lane_is_one_exact_pass() -> None:
    windows = list(evaluation_windows(np.arange(34), 1, 8, burn_in=5))
    assert [found.inputs.shape for found in windows] == [(1, 8)] * 4 + [(1, 1)]
    assert torch.cat([found.inputs for found in windows], 1).tolist() == [list(range(33))]
    assert torch.cat([found.targets for found in windows], 1).tolist() == [list(range(1, 34))]


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_evaluate(count: int) -> None:
    with pytest.raises(UserError, match=f"at least 2 tokens, got {count}"):
        next(evaluation_windows(np.zeros(count, np.uint16), 4, 8))


@pytest.mark.parametrize("rank", range(3))
def test_a_rank_reads_the_tokens_of_its_lanes_alone(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is mapped: a whole epoch asks for no token but those of its lanes, and the one after each."""
    asked: list[np.ndarray] = []
    real = Reader.__getitem__

    def noting(self: Reader, positions: np.ndarray) -> np.ndarray:
        asked.append(positions)
        return real(self, positions)

    monkeypatch.setattr(Reader, "__getitem__", noting)
    lanes = Lanes(np.arange(1001), 10)
    lanes.mine = Ranks(rank, 3).share(lanes.mine)
    for start in range(0, 100, 20):
        lanes.window(start, start + 20)
    read = np.unique(np.concatenate([positions.ravel() for positions in asked]))
    assert read.tolist() == list(range(lanes.mine[0] * 100, (lanes.mine[-1] + 1) * 100 + 1))
