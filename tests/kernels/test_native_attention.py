"""What only native attention could get wrong; that it equals the formula is shown with all other backends."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from elman.kernels.attention import reference
from elman.kernels.attention.seam import AttentionCall
from elman.kernels.attention.sight import Sight
from elman.kernels.native import attention, attention_operator, instruction_set

pytestmark = pytest.mark.skipif(instruction_set() is None, reason="the native kernels are not built")
copies_are_traced = pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning:torch._subclasses.meta_utils"
)
PRECISIONS = {torch.float64: 1e-11, torch.float32: 3e-5, torch.bfloat16: 0.08}
KINDS: dict[str, dict[str, Any]] = {
    "everything": {},
    "grouped heads": {"heads": (4, 2), "window": 10, "before": (9, 0, 57)},
    "one key head": {"heads": (3, 1), "before": (0, 0, 0)},
    "a window of one": {"window": 1, "before": (0, 8, 3)},
    "a window within": {"window": 6, "before": (13, 4, 0)},
    "dropout": {"heads": (2, 1), "window": 8, "before": (7, 30, 2), "kept": True},
    "neither norm nor rotation": {"plain": True, "window": 20, "before": (300, 0, 19)},
    "full rings": {"masked": False, "window": 65, "before": (64, 64, 64)},
    "no memory": {"before": None},
    "another sequence": {"before": None, "more": 3, "heads": (2, 1)},
}


def draw(T: int, B: int, D: int, dtype: torch.dtype, *, heads: tuple[int, int] = (2, 2), window: int | None = None,
         before: tuple[int, ...] | None = (5, 0, 3), kept: bool = False, plain: bool = False, masked: bool = True,
         more: int | None = None) -> AttentionCall:  # fmt: skip
    """A call whose tensors are leaves, but queries, keys and values of one tensor where that can be."""
    torch.manual_seed(T + B + D)
    (N, G), small = heads, torch.float32 if dtype == torch.bfloat16 else dtype
    causal, S = more is None, T + (more or 0)

    def normal(*sizes: int, dtype: torch.dtype = small) -> Tensor:
        return torch.randn(sizes, dtype=dtype).requires_grad_()

    together = normal(B, T, N + 2 * G, D, dtype=dtype) if causal else None
    parts = (normal(B, T, N, D, dtype=dtype), normal(B, S, G, D, dtype=dtype), normal(B, S, G, D, dtype=dtype))
    memory, C, position = None, 0, None
    if before is not None:
        position = torch.tensor(before[:B])
        C = int(position.max() if window is None else position.max().clamp(max=window - 1))
        memory = normal(B, G, C, D), normal(B, G, C, D)
    angle = torch.randn(B, T, D // 2, dtype=small)
    lengths = torch.tensor([S, 0, S // 2][:B]) if masked else None
    return AttentionCall(
        *(parts if together is None else together.split((N, G, G), 2)),
        memory,
        Sight(causal, window, position, lengths, torch.rand(B, T) < 3 / (T + 9) if masked and causal else None),
        (angle.cos(), angle.sin()) if causal and D % 2 == 0 and not plain else None,
        (None, None) if plain else (normal(D), normal(D)),
        kept=(torch.rand(B, N, T, C + S) < 0.7).to(small) / 0.7 if kept else None,
        together=together,
    )


def inputs_of(call: AttentionCall) -> list[Tensor]:
    parts = call[:3] if call.together is None else [call.together]
    return [*parts, *(call.memory or ()), *(gain for gain in call.gains if gain is not None)]


def as_float64(call: AttentionCall) -> AttentionCall:
    """A copy of a call, with leaves of its own."""

    def copy(part: Tensor | None) -> Any:
        return None if part is None else part.detach().double().requires_grad_()

    together, N, G = copy(call.together), call.queries.shape[2], call.keys.shape[2]
    parts = map(copy, call[:3]) if together is None else together.split((N, G, G), 2)
    return AttentionCall(
        *parts,
        None if call.memory is None else (copy(call.memory[0]), copy(call.memory[1])),
        call.sight,
        None if call.rotation is None else (call.rotation[0].double(), call.rotation[1].double()),
        (copy(call.gains[0]), copy(call.gains[1])),
        kept=None if call.kept is None else call.kept.double(),
        together=together,
    )


def outputs_and_gradients(call: AttentionCall, attend: Any) -> list[Tensor]:
    """Outputs with zeros at padding, and all derivatives of a fixed combination of the real ones."""
    y, memory = attend(call)
    if call.sight.causal and call.sight.lengths is not None:
        real = torch.arange(y.shape[1]) < call.sight.lengths[:, None]
        y = torch.where(real[..., None, None], y, 0)
    outputs = [y, *(memory or ())]
    generator = torch.Generator().manual_seed(1)
    directions = [torch.randn(part.shape, generator=generator).to(part.dtype) for part in outputs]
    given = [(part, by) for part, by in zip(outputs, directions, strict=True) if part.requires_grad]
    inputs = inputs_of(call)
    ends, starts = zip(*given, strict=True)
    return [*outputs, *torch.autograd.grad(ends, inputs, starts, materialize_grads=True)]


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("T", "B", "D"), [(1, 1, 5), (2, 3, 16), (7, 3, 5), (33, 1, 64), (33, 3, 32), (130, 2, 80)])
def test_every_kind_of_call_against_the_reference(T: int, B: int, D: int, kind: str, dtype: torch.dtype):
    call = draw(T, B, D, dtype, **KINDS[kind])
    found = outputs_and_gradients(call, attention.attend)
    expected = outputs_and_gradients(as_float64(call), reference.attend)
    for part, right in zip(found, expected, strict=True):
        size = max(1.0, right.abs().max().item() if right.numel() else 0.0)
        torch.testing.assert_close(part.double(), right, rtol=0, atol=PRECISIONS[dtype] * size)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "a window of one"])  # it has no derivatives
@pytest.mark.parametrize(("T", "B", "D"), [(7, 3, 5), (19, 2, 48), (33, 3, 32), (70, 2, 17), (130, 1, 80)])
def test_in_bfloat16_all_that_differs_is_rounding(T: int, B: int, D: int, kind: str):
    """A key too few or too many among a pair, which the largest error would not show, moves the whole by more."""
    call = draw(T, B, D, torch.bfloat16, **KINDS[kind])
    found = outputs_and_gradients(call, attention.attend)
    expected = outputs_and_gradients(as_float64(call), reference.attend)
    for part, right in zip(found, expected, strict=True):
        assert (part.double() - right).norm() <= 0.02 * right.norm()


@pytest.mark.parametrize("T", [1, 257, 600])
def test_long_sequences_and_large_heads(T: int):
    """More keys than a block has, and sums of a panel of more than four vectors."""
    call = draw(T, 1, 128, torch.float64, window=300, before=(1000,), masked=False)
    found = outputs_and_gradients(call, attention.attend)
    for part, right in zip(found, outputs_and_gradients(as_float64(call), reference.attend), strict=True):
        torch.testing.assert_close(part, right, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ["everything", "dropout", "another sequence"])
@pytest.mark.parametrize("T", [1, 3])
def test_derivatives_of_the_first_and_second_order(kind: str, T: int):
    call = draw(T, 2, 4, torch.float64, **KINDS[kind])
    leaves = inputs_of(call)

    def outputs(*given: Tensor) -> tuple[Tensor, ...]:
        rest = iter(given)
        together = None if call.together is None else next(rest)
        parts = (
            [next(rest) for _ in range(3)]
            if together is None
            else together.split((call.queries.shape[2], *[call.keys.shape[2]] * 2), 2)
        )
        memory = None if call.memory is None else (next(rest), next(rest))
        again = call._replace(queries=parts[0], keys=parts[1], values=parts[2], memory=memory, together=together)
        y, after = attention.attend(again._replace(gains=(next(rest), next(rest))))
        return y, *(after or ())

    assert torch.autograd.gradcheck(outputs, leaves)
    assert torch.autograd.gradgradcheck(outputs, leaves)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_reruns_and_threads_change_no_bit(dtype: torch.dtype):
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 2, 5):
            torch.set_num_threads(threads)
            call = draw(130, 3, 32, dtype, window=40, before=(39, 0, 200))
            results.append(outputs_and_gradients(call, attention.attend))
    finally:
        torch.set_num_threads(before)
    for one, other in pairwise(results):
        assert all(torch.equal(part, same) for part, same in zip(one, other, strict=True))


@pytest.mark.parametrize("T", [3, 40])
def test_what_is_in_the_padding_is_not_seen(T: int):
    def results(filling: float) -> list[Tensor]:
        call = draw(T, 3, 16, torch.float32, **KINDS["grouped heads"])
        with torch.no_grad():
            for b, length in enumerate(call.sight.lengths.tolist()):
                call.together[b, length:] = filling
        return outputs_and_gradients(call, attention.attend)

    for plain, strange in zip(results(0.0), results(math.nan), strict=True):
        assert torch.equal(plain, strange)


@pytest.mark.parametrize("T", [2, 20])
def test_a_strange_number_stays_in_its_row(T: int):
    call = draw(T, 3, 16, torch.float32, **KINDS["full rings"])
    plain = attention.attend(call).y
    with torch.no_grad():
        call.together[1, 1] = math.nan
    strange = attention.attend(call).y
    assert torch.equal(strange[[0, 2]], plain[[0, 2]])
    assert strange[1, 1:].isnan().all()


@pytest.mark.parametrize("T", [1, 6])
def test_in_place_the_memory_after_is_the_memory_before(T: int):
    call = draw(T, 3, 16, torch.float32, **KINDS["full rings"])
    with torch.no_grad():
        y, after = attention.attend(call)
        memory = tuple(part.detach().clone() for part in call.memory)
        y_in_place, same = attention.attend(call._replace(memory=memory, in_place=True))
    assert torch.equal(y_in_place, y)
    assert [part.data_ptr() for part in same] == [part.data_ptr() for part in memory]
    assert all(torch.equal(part, right) for part, right in zip(same, after, strict=True))


def test_a_position_that_memory_does_not_hold_is_refused():
    call = draw(2, 2, 4, torch.float32, before=(5, 0))
    for position in ([6, 0], [5, -1]):
        with pytest.raises(ValueError, match="position"):
            attention.attend(call._replace(sight=call.sight._replace(position=torch.tensor(position))))


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("keys", {"keys": torch.zeros(2, 3, 2, 6)}),
        ("heads", {"queries": torch.zeros(2, 3, 3, 4), "together": None}),
        ("kept", {"kept": torch.ones(2, 2, 3, 3)}),
        ("gain", {"gains": (torch.ones(3), None)}),
        ("rotation", {"rotation": (torch.ones(2, 3, 2), torch.ones(2, 4, 2))}),
        ("memory", {"memory": (torch.zeros(2, 2, 5, 4), torch.zeros(2, 2, 4, 4))}),
    ],
)
def test_shapes_that_do_not_fit_are_refused(name: str, part: dict[str, Any]):
    call = draw(3, 2, 4, torch.float32)
    with pytest.raises(ValueError, match=name):
        attention.attend(call._replace(**part))


@copies_are_traced
@pytest.mark.parametrize("kind", ["everything", "another sequence", "neither norm nor rotation"])
@pytest.mark.parametrize("keep", [True, False])
def test_the_operator_is_what_it_says(kind: str, keep: bool):
    call = draw(6, 3, 4, torch.float64, **KINDS[kind])
    parts = (call.together, None, None) if call.together is not None else call[:3]
    sight = call.sight
    given = [*parts, *(call.memory or (None, None)), *call.gains, *(call.rotation or (None, None)), call.kept]
    given += [sight.position, sight.lengths, sight.resets]
    if not keep:
        given = [None if part is None else part.detach() for part in given]
    torch.library.opcheck(
        attention_operator.attend, (*given, call.queries.shape[2], sight.causal, sight.window, 1e-5, keep)
    )


class Attender(nn.Module):
    def forward(self, x: Tensor, keys: Tensor, values: Tensor, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, T, 6, 4), memory (B, 2, C, 4)."""
        y, memory = attention.attend(
            AttentionCall(*x.split(2, 2), (keys, values), Sight(True, 9, position), together=x)
        )
        return y, *memory


def arguments(B: int, T: int) -> tuple[Tensor, ...]:
    return torch.randn(B, T, 6, 4), torch.randn(B, 2, 8, 4), torch.randn(B, 2, 8, 4), torch.full((B,), 20)


def test_compiling_breaks_no_graph_and_has_the_same_gradients():
    torch._dynamo.reset()
    given = arguments(3, 5)
    gradients = []
    for function in (Attender(), torch.compile(Attender(), fullgraph=True, backend="aot_eager")):
        leaves = [part.clone().requires_grad_() for part in given[:3]]
        outputs = function(*leaves, given[3])
        gradients.append(torch.autograd.grad([part.square().sum() for part in outputs], leaves))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_exporting_with_any_number_of_steps_and_rows():
    time, batch = torch.export.Dim("time", min=2, max=10_000), torch.export.Dim("batch", max=1_000)
    dims = ({0: batch, 1: time}, {0: batch}, {0: batch}, {0: batch})
    with torch.no_grad():
        program = torch.export.export(Attender(), arguments(4, 5), dynamic_shapes=dims)
        for B, T in ((4, 5), (2, 3), (7, 33)):
            given = arguments(B, T)
            torch.testing.assert_close(program.module()(*given), Attender()(*given))


@pytest.mark.parametrize("name", ["avx512", "avx2", "baseline"])
def test_the_other_instruction_sets_give_the_same_numbers(name: str):
    """In a process of its own, for the choice is made once."""
    code = (
        "import torch; from tests.kernels.test_native_attention import KINDS, attention, draw, outputs_and_gradients;"
        "from elman.kernels.native import instruction_set; print(instruction_set());"
        "[print(part.double().abs().sum().item()) for kind in ('grouped heads', 'dropout', 'another sequence')"
        " for dtype in (torch.float64, torch.float32, torch.bfloat16) for T, D in ((3, 20), (40, 72))"
        " for part in outputs_and_gradients(draw(T, 3, D, dtype, **KINDS[kind]), attention.attend)]"
    )
    outputs = []
    for wish in ("", name):
        environment = os.environ | {"ELMAN_INSTRUCTION_SET": wish}
        outputs.append(subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True))
        assert outputs[-1].returncode == 0, outputs[-1].stderr
    (best, *expected), (asked, *found) = (output.stdout.split() for output in outputs)
    if best == "avx512_bf16":
        assert asked == name
    assert [float(n) for n in found] == pytest.approx([float(n) for n in expected], rel=1e-2)
