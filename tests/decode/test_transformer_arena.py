"""The core's arena of Transformers against the readable one, and every row of it against itself alone, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from elman.decode.arena import Arena, Draw, RowMemory, StateRows, WrittenRows, arena_of
from elman.decode.transformer_arena import TransformerRows, why_not_rows
from elman.errors import UserError
from elman.kernels.native import instruction_set
from elman.models import TransformerLM, build
from elman.state import entries, leaves

pytestmark = pytest.mark.skipif(instruction_set() is None, reason="the compiled core was not built")

V, END = 23, 3
FORMS: dict[str, dict[str, Any]] = {
    "rotary": {},
    "plain": {"qk_norm": False, "tied": True, "feedforward_size": 33},
    "window": {"window": 7},
    "long window": {"window": 100, "num_layers": 1},
    "alone": {"window": 1},
    "sinusoidal": {"positions": "sinusoidal"},
    "sinusoidal, window": {"positions": "sinusoidal", "window": 9, "qk_norm": False},
}


def model_of(form: str, dtype: torch.dtype = torch.float64, **options: Any) -> TransformerLM:
    torch.manual_seed(1)
    settings = {"hidden_size": 36, "num_layers": 2, "num_heads": 2, **FORMS[form], **options}
    made = build({"model": "transformer", "vocab_size": V, **settings}).to(dtype).eval()
    assert isinstance(made, TransformerLM)
    for parameter in made.parameters():  # large enough that texts differ
        nn.init.normal_(parameter, std=0.3)
    nn.init.ones_(made.decoder.bias[END : END + 1])  # and that some of them end
    return made


def texts(rows: int, longest: int) -> list[list[int]]:
    """The first as long as the longest; some are empty, some of a few tokens."""
    random = np.random.default_rng(rows + longest)
    lengths = [longest, *random.integers(0, longest + 1, rows - 1)]
    lengths[2::3] = [length % 5 for length in lengths[2::3]]
    return [random.integers(0, V, length).tolist() for length in lengths]


def started(arena: Arena, given: Sequence[Sequence[int]], first: int = 0) -> list[int]:
    """Slots which have read a token, and then the texts in two calls."""
    slots = [arena.admit(None) for _ in given]
    arena.read(slots, [[1]] * len(given))
    arena.read(slots, [text[:first] for text in given])
    arena.read(slots, [text[first:] for text in given])
    return slots


def everything(arena: Arena, slots: Sequence[int]) -> list[list[Tensor]]:
    """Of each row: its state, its hidden state and its logits."""
    rows = [arena.row(slot) for slot in slots]
    return [
        [x for x in (*leaves(row.state), row.hidden, arena.logits([slot])) if x is not None]
        for row, slot in zip(rows, slots, strict=True)
    ]


def same(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(ours, theirs, strict=True))


def draws(rows: int, steps: int) -> list[Draw]:
    """Rows with other filters, one after the other."""
    numbers = np.random.default_rng(0).random((rows, steps))
    options: list[dict[str, Any]] = [{}, {"temperature": 0.6, "top_k": 3}, {"top_p": 0.7}, {"min_p": 0.1, "top_p": 0.9}]
    return [Draw(numbers[r], **options[r % len(options)]) for r in range(rows)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("B", "T"), [(1, 3), (3, 90), (18, 20), (2, 600)])
def test_it_is_equal_to_the_reference(form: str, dtype: torch.dtype, B: int, T: int) -> None:
    """Memories of every length grow, turn in their windows, and end at the end of a document."""
    model, given, steps = model_of(form, dtype), texts(B, T), 40
    close = {"rtol": 0, "atol": 1e-11 if dtype == torch.float64 else 2e-4}
    found: list[tuple[list[list[Tensor]], WrittenRows, list[list[Tensor]], list[np.ndarray]]] = []
    for arena in (TransformerRows(model), StateRows(model)):
        slots = started(arena, given, first=T // 2)
        read = everything(arena, slots)
        written = arena.write(slots, draws(B, steps), steps, banned=[2], end=END)
        found.append((read, written, everything(arena, slots), arena.score(slots, given)))
    native, reference = found
    assert (native[1].tokens == reference[1].tokens).all()
    assert (native[1].counts == reference[1].counts).all()
    assert B < 18 or (native[1].counts < steps).any()  # some have ended
    for place in (0, 2):
        torch.testing.assert_close(native[place], reference[place], **close)  # type: ignore[arg-type]
    torch.testing.assert_close(native[1].log_probabilities, reference[1].log_probabilities, **close)
    torch.testing.assert_close(native[3], reference[3], **close)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_is_the_same_bits_alone_and_among_others(form: str, threads: int) -> None:
    """However many threads there are, and however what it writes is split over calls."""
    B, T, model = 19, 130, model_of(form, torch.float32, hidden_size=64)
    arena, given, drawn = TransformerRows(model), texts(B, T), draws(B, 9)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    slots = started(arena, given, first=11)
    together = everything(arena, slots)
    written = arena.write(slots, drawn, 9, end=END)
    after = everything(arena, slots)
    torch.set_num_threads(1)
    for r in (0, 1, 2, 17):
        [slot] = started(arena, [given[r]], first=11)
        assert same(everything(arena, [slot])[0], together[r])
        pieces = [arena.write([slot], [Draw(drawn[r].uniforms[:4], *drawn[r].filters)], 4, end=END)]
        if pieces[0].counts[0] == 4 and pieces[0].tokens[0, 3] != END:
            pieces.append(arena.write([slot], [Draw(drawn[r].uniforms[4:], *drawn[r].filters)], 5, end=END))
        ours = np.concatenate([piece.tokens[0, : piece.counts[0]] for piece in pieces])
        log_p = np.concatenate([piece.log_probabilities[0, : piece.counts[0]] for piece in pieces])
        assert (ours == written.tokens[r, : written.counts[r]]).all()
        assert (log_p == written.log_probabilities[r, : written.counts[r]]).all()
        assert same(everything(arena, [slot])[0], after[r])
    torch.set_num_threads(before)


def test_scores_are_the_same_bits_alone_and_among_others() -> None:
    """Of pieces that one call reads together, and of those that several calls read."""
    model = model_of("rotary", torch.float32)
    arena, given = TransformerRows(model), texts(7, 700)
    together = arena.score([arena.admit(None) for _ in given], given)
    for text, score in zip(given, together, strict=True):
        [alone] = arena.score([arena.admit(None)], [text])
        np.testing.assert_array_equal(alone, score)
        assert len(score) == len(text)


@pytest.mark.parametrize("form", ["rotary", "window"])
def test_many_steps_are_several_calls(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose rows write what one call writes, though some end in between."""
    model = model_of(form)
    whole, cut = TransformerRows(model), TransformerRows(model)
    given, drawn = [[5], [7, 8, 9], [1, 2], [4]], draws(4, 60)
    expected = whole.write(started(whole, given), drawn, 60, end=END)
    slots = started(cut, given)
    monkeypatch.setattr("elman.decode.transformer_arena.MOST_STEPS", 7)
    found = cut.write(slots, drawn, 60, end=END)
    assert len({*found.counts.tolist()}) > 1
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_memory_stays_where_it_is_until_it_grows() -> None:
    """To twice its slots, whatever the other rows have; and no further than its window."""
    arena = TransformerRows(model_of("rotary"))
    small, large = started(arena, [[4], [5] * 300])
    place = memory_of(arena, small).data_ptr()
    arena.write([small, large], draws(2, 50), 50)
    assert memory_of(arena, small).data_ptr() == place
    assert memory_of(arena, small).shape[3] == 64
    assert memory_of(arena, large).shape[3] == 512
    arena.read([small], [[1] * 30])
    assert memory_of(arena, small).shape[3] == 128
    windowed = TransformerRows(model_of("long window"))
    [slot] = started(windowed, [[4] * 70])
    assert memory_of(windowed, slot).shape[3] == 99
    assert entries(windowed.row(slot).state) == 71
    place = memory_of(windowed, slot).data_ptr()
    windowed.read([slot], [[1] * 3000])
    assert memory_of(windowed, slot).data_ptr() == place


def memory_of(arena: TransformerRows, slot: int) -> Tensor:
    return arena._rows[slot].memory


@pytest.mark.parametrize("form", FORMS)
def test_rows_move_between_arenas(form: str) -> None:
    """There and back, in the middle of a text, wherever the ring has turned to."""
    model = model_of(form)
    core, reference, text = TransformerRows(model), StateRows(model), np.arange(45).__mod__(V).tolist()
    for length in (1, 5, 44):
        [here], [there] = started(core, [text[:length]]), started(reference, [text[:length]])
        moved = [core.admit(reference.row(there)), reference.admit(core.row(here))]
        for arena, slot in zip((core, reference), moved, strict=True):
            arena.read([slot], [text[length:]])
            [expected] = started(reference, [text])
            torch.testing.assert_close(everything(arena, [slot]), everything(reference, [expected]), rtol=0, atol=1e-11)


def test_a_state_without_a_hidden_state_goes_on() -> None:
    """As `elman generate` goes on from a file: there are no logits until a token is read."""
    model = model_of("window")
    arena = TransformerRows(model)
    [slot] = started(arena, [[5, 6, 7]])
    again = arena.admit(RowMemory(arena.row(slot).state, None))
    assert arena.row(again).hidden is None
    with pytest.raises(AssertionError, match="no logits"):
        arena.logits([again])
    assert np.isnan(arena.score([again], [[9]])[0][0])
    arena.read([slot], [[9]])
    assert same(everything(arena, [again])[0], everything(arena, [slot])[0])


def test_a_reset_leaves_nothing_behind() -> None:
    """Not even of numbers that are none."""
    arena = TransformerRows(model_of("rotary"))
    [slot], [fresh] = started(arena, [[5, 6, 7]]), started(arena, [[8, 2]])
    memory_of(arena, slot).fill_(torch.nan)
    arena.reset(slot)
    assert arena.row(slot).hidden is None
    assert entries(arena.row(slot).state) == 0
    arena.read([slot], [[1]])
    arena.read([slot], [[8, 2]])
    assert same(everything(arena, [slot])[0], everything(arena, [fresh])[0])


def test_a_token_beyond_the_vocabulary_is_said_before_anything_is_read() -> None:
    arena = arena_of(model_of("rotary"))
    slots = started(arena, [[1], [2]])
    before = everything(arena, slots)
    for wrong in (V, -1):
        with pytest.raises(UserError, match="from 0 to 22"):
            arena.read(slots, [[1], [1, wrong]])
    assert all(same(x, y) for x, y in zip(everything(arena, slots), before, strict=True))
    arena.read(slots, [[], []])
    arena.read([], [])
    assert all(same(x, y) for x, y in zip(everything(arena, slots), before, strict=True))


def test_what_the_core_does_not_know_goes_to_the_reference() -> None:
    assert type(arena_of(model_of("rotary"))) is TransformerRows
    changes: dict[str, Any] = {
        "no rows of bfloat16": lambda made: made.bfloat16(),
        "one dtype": lambda made: made.decoder.to(torch.float32),
        "hooks": lambda made: made.layers[0].attention.register_forward_hook(lambda *_: None),
        "plain layers": lambda made: setattr(made, "decoder", nn.Sequential(made.decoder, nn.Tanh())),
        "usual ones": lambda made: setattr(made.norm, "eps", 1e-3),
    }
    for reason, change in changes.items():
        made = model_of("rotary")
        change(made)
        assert reason in (why_not_rows(made) or "")
        assert type(arena_of(made)) is StateRows
    with pytest.raises(UserError, match="int8"):
        arena_of(model_of("rotary", torch.float32), int8=True)


def test_later_changes_of_the_model_do_not_reach_it() -> None:
    model = model_of("plain")
    arena = arena_of(model)
    before = everything(arena, started(arena, [[1, 2]]))
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    assert same(everything(arena, started(arena, [[1, 2]]))[0], before[0])
