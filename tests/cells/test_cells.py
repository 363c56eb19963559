"""Cells as specifications: what is made of every cell, and a cell that the tests alone define (tests/leaky.py)."""

from __future__ import annotations

import doctest
import inspect
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import elman.nn
from elman.cells import CELLS, Weights, cell_named
from elman.errors import UserError
from elman.kernels import BACKENDS, choose, scan
from elman.kernels.reference import kernel_of
from elman.lens import read_gates, visit_layers
from elman.models import ENCODER_DECODERS, MODELS, RecurrentEncoderDecoder, RecurrentLM
from elman.models.initialization import initialize_biases
from elman.nn import layer_of, single_step_of
from elman.tasks import TASKS
from leaky import LEAKY

every_cell = pytest.mark.parametrize("name", list(CELLS))


@pytest.fixture
def leaky(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(CELLS, "leaky", LEAKY)
    return "leaky"


def test_a_cell_that_a_test_defines_is_a_layer(leaky: str) -> None:
    layer = elman.nn.Leaky(3, 4, 2, batch_first=True)  # type: ignore[attr-defined]
    x, resets = torch.randn(2, 7, 3), torch.zeros(2, 7, dtype=torch.bool)
    resets[1, 4] = True
    outputs, (h, t) = layer(x, lengths=[7, 6], resets=resets)
    assert outputs.shape == (2, 7, 4)
    torch.testing.assert_close(h[1, 0], outputs[0, -1])
    assert t[:, 0].unique().tolist() == [7]
    assert t[:, 1].unique().tolist() == [2]  # since its reset, without the padding
    first, state = layer(x[:, :3])
    second, _ = layer(x[:, 3:], state)
    torch.testing.assert_close(torch.cat((first, second), 1)[0], outputs[0])
    h, t = elman.nn.LeakyCell(3, 4)(x[:, 0])  # type: ignore[attr-defined]
    assert (h.shape, t.shape) == ((2, 4), (2, 4))


def test_a_cell_that_a_test_defines_is_refused_by_name_where_no_backend_has_it(leaky: str) -> None:
    assert choose(leaky, "cpu") == "reference"
    for backend in ("native", "torch", "scan"):
        layer = layer_of(leaky)(3, 4, backend=backend)
        with pytest.raises(UserError, match=f"backend '{backend}' cannot serve this leaky call"):
            layer(torch.zeros(2, 1, 3))
        with torch.no_grad(), pytest.raises(UserError, match=f"backend '{backend}' cannot serve"):
            layer(torch.zeros(1, 1, 3))  # the shortest way too, which a single step takes
    weights = Weights(torch.ones(8, 4), torch.ones(8, 4))
    with pytest.raises(KeyError):  # not even asked past the choice is it read as another cell
        BACKENDS["native"].kernel(leaky)(torch.zeros(1, 1, 4), (torch.zeros(1, 4),) * 2, weights)


def test_a_cell_that_a_test_defines_is_in_models_and_under_the_lens(leaky: str) -> None:
    model = RecurrentLM(leaky, 5, hidden_size=6, num_layers=2)
    assert model.initial_state(2)[0]._fields == ("h", "t")  # type: ignore[union-attr]
    bias = model.get_parameter("layers.0.bias_ih_l0")
    assert bias[:6].unique().tolist() == [1.5]
    tokens = torch.randint(5, (2, 9))
    logits, _ = model(tokens)
    assert logits.shape == (2, 9, 5)
    visits = visit_layers(model, lambda: model.read(tokens))
    for visit in visits:
        gates = read_gates(visit)
        assert list(gates.open) == ["k"]
        assert gates.time_scale.shape == (6,)
    translator = RecurrentEncoderDecoder(leaky, 5, 7, hidden_size=6)
    assert translator(torch.randint(7, (2, 3)), translator.encode(tokens))[0].shape == (2, 3, 7)


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from elman.cells import CELLS
from leaky import LEAKY
CELLS["leaky"] = LEAKY
from elman.cli import main
sys.argv[:2] = ["elman"]
main()
"""


@pytest.mark.parametrize(
    ("kind", "gate"), [("leaky", "keeping gate"), ("mingru", "update gate"), ("slstm", "forget gate")]
)
def test_the_commands_train_resume_use_and_inspect_a_cell(tmp_path: Path, kind: str, gate: str) -> None:
    """One line in the dictionary, before anything else of elman is imported, is all that it takes."""
    text, run = tmp_path / "text.txt", tmp_path / "run"
    text.write_text("all work and no play makes jack a dull boy\n" * 40)

    def elman(*arguments: str | Path) -> str:
        command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parents[1]), *map(str, arguments)]
        found = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
        assert found.returncode == 0, found.stderr
        return found.stdout

    small = ["--model", kind, "--set", "hidden_size=8"]
    elman("train", text, "-o", run, "--steps", "2", *small)
    elman("train", text, "-o", run, "--steps", "3", "--resume", *small)
    assert elman("generate", run, "all", "--tokens", "5")
    assert gate in elman("inspect", run, text, "--parts", "gates", "-o", tmp_path / "report.html")


def test_specifications_import_no_torch() -> None:
    code = "import sys, elman.cells; print({'torch', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_nothing_is_forgotten() -> None:
    for task in TASKS.values():
        assert set(task.models) == {*CELLS, "transformer"}
    assert set(MODELS) == set(ENCODER_DECODERS) == {*CELLS, "transformer"}


@every_cell
@pytest.mark.parametrize("make", [layer_of, single_step_of])
def test_the_documentation_made_of_a_cell_is_right(name: str, make) -> None:
    made, cell = make(name), CELLS[name]
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    runner.run(parser.get_doctest(made.__doc__, {}, made.__name__, None, None))
    assert runner.summarize(verbose=False).attempted >= 4
    assert runner.summarize(verbose=False).failed == 0
    for parameter in inspect.signature(made).parameters:
        assert f"    {parameter}: " in made.__doc__
    assert getattr(elman.nn, made.__name__) is made
    assert {"i_t", "z_t", "h_t"} & set(cell.doc.split())


@every_cell
def test_layers_differ_by_what_their_cells_have(name: str) -> None:
    cell, layer = CELLS[name], layer_of(name)(3, 5)
    assert len(layer.weight_ih_l0) == 5 * len(cell.rows)
    assert hasattr(layer, "weight_hh_l0") == cell.recurrent
    for option in ("weight_dropout", "recurrent_dropout"):
        if not cell.recurrent:
            with pytest.raises(TypeError, match=f"unexpected keyword argument '{option}'"):
                layer_of(name)(3, 5, **{option: 0.1})
            with pytest.raises(UserError, match=f"{option}: expected the cell 'elman' or 'gru' or 'lstm'"):
                RecurrentLM(name, 5, **{option: 0.1})


@every_cell
def test_time_scales_begin_spread_over_a_horizon(name: str) -> None:
    cell, layer = CELLS[name], layer_of(name)(3, 500)
    bias = layer.get_parameter("bias_ih_l0").detach()
    before = bias.clone()
    initialize_biases(layer, horizon=100)
    if cell.keeping is None:
        assert torch.equal(bias, before)
        return
    keep = bias[cell.rows_of(cell.keeping, 500)]
    assert 0 <= keep.min() < 1
    assert 4 < keep.max() <= torch.tensor(99.0).log()
    if cell.writing is not None:
        assert torch.equal(bias[cell.rows_of(cell.writing, 500)], -keep)


def slstm(forget: str, x: Tensor, w: Tensor, r: Tensor, b: Tensor) -> list[Tensor]:
    """The paper's equations as they stand, without a stabiliser: x (T, B, D) -> h (B, H) after each step."""
    h = c = n = torch.zeros(x.shape[1], r.shape[1], dtype=x.dtype)
    found = []
    for step in x:
        i, f, g, o = (step @ w.t() + h @ r.t() + b).chunk(4, -1)
        i, f = i.exp(), f.sigmoid() if forget == "sigmoid" else f.exp()
        c, n = f * c + i * g.tanh(), f * n + i
        h = o.sigmoid() * c / n
        found.append(h)
    return found


@pytest.mark.parametrize("forget", ["sigmoid", "exponential"])
def test_slstm_is_the_paper_s_without_a_stabiliser(forget: str) -> None:
    torch.manual_seed(0)
    layer = elman.nn.SLSTM(3, 4, forget_gate=forget, dtype=torch.float64)  # type: ignore[attr-defined]
    x = 2 * torch.randn(9, 2, 3, dtype=torch.float64)
    outputs, (_, _, n, _) = layer(x)
    expected = slstm(forget, x, layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0 + layer.bias_hh_l0)
    torch.testing.assert_close(outputs, torch.stack(expected), atol=1e-12, rtol=0)
    assert (n >= 1).all()


@pytest.mark.parametrize("cell", ["slstm", "slstm_exponential"])
@pytest.mark.parametrize("i", [-300.0, -40.0, 0.0, 300.0])
@pytest.mark.parametrize("f", [-300.0, 0.0, 300.0])
def test_a_fresh_slstm_forgets_nothing_and_never_overflows(cell: str, i: float, f: float) -> None:
    """From zeros h = o tanh(g), whatever the gates; and what is kept afterwards is the share of the exponentials."""
    sums = torch.tensor([i, f, 0.5, 20.0]).requires_grad_()
    weights = Weights(torch.zeros(4, 1), torch.zeros(4, 1), sums, torch.zeros(4))
    result = kernel_of(cell)(torch.zeros(3, 1, 1), (torch.zeros(1, 1),) * 4, weights)
    torch.testing.assert_close(result.h, torch.tensor(0.5).tanh().expand(3, 1, 1), atol=1e-6, rtol=0)
    result.h.sum().backward()
    assert sums.grad is not None
    assert sums.grad.isfinite().all()
    _, gates = cell_named(cell).step(sums.detach()[None], torch.zeros(1, 4), (torch.zeros(1, 1),) * 4, weights)
    assert gates["f"].item() == 0


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_of_wide_steps_is_the_same(reverse: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    shapes = ((13, 2, 3), (13, 2, 3), (2, 3))
    a, b, first = (torch.rand(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)

    def read() -> tuple[torch.Tensor, ...]:
        h = scan.Scan.apply(a, b, first, reverse)
        return h, *torch.autograd.grad(h.cos().sum(), (a, b, first))

    found = read()
    monkeypatch.setattr(scan, "WIDE", 1)
    torch.testing.assert_close(read(), found, atol=1e-12, rtol=0)


@pytest.mark.parametrize("reverse", [False, True])
def test_what_is_not_finite_passes_no_border_in_a_scan(reverse: bool) -> None:
    x, resets = torch.tensor([float("nan"), 1, 1, 1]), torch.tensor([0, 0, 1, 0]).bool()
    if reverse:
        x = x.flip(0)
    weights = Weights(torch.ones(2, 1), None)
    options = {"reverse": reverse, "resets": resets[:, None]}
    found = BACKENDS["scan"].kernel("mingru")(x.view(4, 1, 1), (torch.zeros(1, 1),), weights, **options)
    assert found.h.flatten().isfinite().tolist() == ([True] * 2 + [False] * 2 if reverse else [False] * 2 + [True] * 2)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_gradient_that_is_not_finite_passes_no_border_in_a_scan(bidirectional: bool) -> None:
    layer = layer_of("mingru")(3, 4, backend="scan", bidirectional=bidirectional)
    resets = torch.tensor([[False] * 4 + [True] + [False] * 4])
    dh = torch.ones(9, 1, layer.num_directions * 4)
    dh[6] = float("inf")
    x = torch.randn(9, 1, 3, requires_grad=True)
    layer(x, resets=resets)[0].backward(dh)
    expected = torch.autograd.grad(layer(x[:4])[0], x, dh[:4])[0]
    assert x.grad is not None
    torch.testing.assert_close(x.grad[:4], expected[:4])
    assert not x.grad[4:].isfinite().all()


def test_a_scan_is_chosen_for_a_linear_recurrence_and_refused_elsewhere() -> None:
    assert choose("mingru", "cpu") == choose("mingru", "meta", every_state=True) == "scan"
    with pytest.raises(UserError, match="SLSTM is no linear recurrence"):
        choose("slstm", "cpu", "scan")


@every_cell
def test_recomputation_is_the_same_for_every_cell(name: str) -> None:
    torch.manual_seed(0)
    plain = layer_of(name)(3, 4, 2, bidirectional=True, dtype=torch.float64)
    lean = layer_of(name)(3, 4, 2, bidirectional=True, dtype=torch.float64, recompute=2)
    lean.load_state_dict(plain.state_dict())
    x, resets, results = torch.randn(7, 3, 3, dtype=torch.float64), torch.rand(3, 7) < 0.3, []
    for layer in (plain, lean):
        outputs, state, states = layer(x, lengths=[7, 0, 4], resets=resets, return_states=True)
        parts = [outputs, *([state, states] if isinstance(state, torch.Tensor) else [*state, *states])]
        results.append((parts, torch.autograd.grad(sum(p.cos().sum() for p in parts), list(layer.parameters()))))
    torch.testing.assert_close(*results)


@every_cell
def test_every_cell_is_compiled_and_keeps_its_state_in_full_under_autocast(name: str) -> None:
    torch.manual_seed(0)
    layer, x = layer_of(name)(3, 4), torch.randn(5, 2, 3)
    expected, _ = layer(x)
    torch._dynamo.reset()
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x)[0], expected, atol=1e-6, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, state = layer(x)
    torch.testing.assert_close(outputs.float(), expected, atol=3e-2, rtol=0)
    assert {part.dtype for part in ([state] if isinstance(state, torch.Tensor) else state)} == {torch.float32}


@pytest.mark.parametrize("name", [*CELLS, "leaky"])
def test_a_model_and_its_state_are_pickled(leaky: str, name: str) -> None:
    model = RecurrentLM(name, vocab_size=5, hidden_size=4).eval()
    tokens = torch.zeros(2, 3, dtype=torch.int64)
    state = model(tokens)[1]
    again, stored = pickle.loads(pickle.dumps((model, state)))
    assert type(again.settings) is type(model.settings) is type(RecurrentLM(name, vocab_size=5, hidden_size=4).settings)
    assert type(stored[0]) is type(state[0])
    torch.testing.assert_close(again(tokens, stored)[0], model(tokens, state)[0])


def test_own_weights_that_no_kernel_would_get_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = replace(LEAKY, name="odd", layer="Odd", own_weights=lambda options, H, P: {"weight_extra": (H,)})
    monkeypatch.setitem(CELLS, "odd", odd)
    for make in (layer_of, single_step_of):
        with pytest.raises(ValueError, match=r"^Odd: expected own weights with names of .*, got weight_extra$"):
            make("odd")(3, 4)
