"""A model of named nodes: masks against a readable loop, the state contract, and configurations that are none."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from elman.errors import UserError
from elman.models.layered import LayeredModel
from elman.models.layered_recurrent import RecurrentNode
from elman.state import leaves

CELLS: list[dict[str, Any]] = [
    {"cell": "lstm"}, {"cell": "lstm", "peepholes": True}, {"cell": "lstm", "proj_size": 3}, {"cell": "gru"},
    {"cell": "gru", "reset_after": False}, {"cell": "elman", "nonlinearity": "relu"}, {"cell": "mingru"},
]  # fmt: skip
SIZES = [(1, 1, 5), (3, 7, 5), (3, 33, 64), (3, 1, 64)]  # B, T, H
D = 4


def model_of(*nodes: dict[str, Any], outputs: int, per_step: bool = True, vocab_size: int = 0) -> LayeredModel:
    torch.manual_seed(0)
    chain = [{"inputs": [f"n{k - 1}" if k else "input"], "name": f"n{k}", **node} for k, node in enumerate(nodes)]
    own = {"kind": "tokens", "vocab_size": vocab_size} if vocab_size else {"kind": "values", "channels": D}
    config = {"input": own, "nodes": chain, "output": chain[-1]["name"], "output_kind": "numbers"}
    return LayeredModel({**config, "outputs": outputs, "per_step": per_step}).double()


def recurrent(H: int, **options: Any) -> dict[str, Any]:
    return {"op": "recurrent", "input_size": D, "hidden_size": H, **options}


def looped(node: RecurrentNode, x: Tensor, mask: Tensor, resets: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs (B, T, ·) and the last outputs (B, ·) of one row and one step after the other, read forward."""
    layer, rows = node.layer, []
    for row, real, fresh in zip(x, mask, resets, strict=True):
        state, shown, outputs = None, x.new_zeros(layer.output_size), []
        for step, there, new in zip(row, real, fresh, strict=True):
            if new:
                state, shown = None, torch.zeros_like(shown)
            if there:
                y, state = layer(step[None, None], state)
                shown = y[0, 0]
            outputs.append(torch.zeros_like(shown) if node.padding == "zero" and not there else shown)
        hidden = node.padding == "zero" and not bool(real[-1])
        rows.append((torch.stack(outputs), torch.zeros_like(shown) if hidden else shown))
    return torch.stack([y for y, _ in rows]), torch.stack([last for _, last in rows])


def drawn(B: int, T: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs with NaN where they are masked, masks with holes, and resets, also at masked steps."""
    torch.manual_seed(T)
    mask, resets = torch.rand(B, T) < 0.6, torch.rand(B, T) < 0.2
    mask[0, 0] = True
    x = torch.randn(B, T, D, dtype=torch.float64).masked_fill(~mask[..., None], torch.nan)
    return x, mask, resets


@pytest.mark.parametrize("options", CELLS, ids=str)
@pytest.mark.parametrize(("B", "T", "H"), SIZES)
@pytest.mark.parametrize("padding", ["repeat", "zero"])
def test_masks_and_resets_are_those_of_a_loop(options: dict[str, Any], B: int, T: int, H: int, padding: str) -> None:
    x, mask, resets = drawn(B, T)
    size = options.get("proj_size", H)
    for reads in ("sequence", "last"):
        model = model_of(
            recurrent(H, padding=padding, reads=reads, **options), outputs=size, per_step=reads == "sequence"
        )
        (node,) = model.named_nodes.values()
        assert isinstance(node, RecurrentNode)
        found, _ = model(x, mask=mask, resets=resets)
        expected = looped(node, x.nan_to_num(), mask, resets)[reads == "last"]
        torch.testing.assert_close(found, expected)
        weights = torch.randn_like(found)
        grads = [torch.autograd.grad((y * weights).sum(), [*model.parameters()]) for y in (found, expected)]
        torch.testing.assert_close(*grads)


@pytest.mark.parametrize("options", CELLS, ids=str)
@pytest.mark.parametrize("last", [{"reads": "last"}, {}, {"pool": "mean"}, {"pool": "max"}, {"pool": "last"}], ids=str)
def test_reading_in_pieces_is_reading_whole(options: dict[str, Any], last: dict[str, Any]) -> None:
    B, T, size = 3, 9, options.get("proj_size", 5)
    pool = {k: v for k, v in last.items() if k == "reads"}
    nodes = [recurrent(5, **options), {**recurrent(6, cell="gru", **pool), "input_size": size}]
    if "pool" in last:
        nodes.append({"op": last["pool"], "size": 6})
    model = model_of(*nodes, {"op": "linear", "input_size": 6, "output_size": 2}, outputs=2, per_step=not last)
    assert model.causal
    x, mask, resets = drawn(B, T)
    lengths = torch.tensor([T, 0, 5])
    for given in (True, False):
        own: dict[str, Any] = {"mask": mask, "resets": resets} if given else {}
        x = x if given else x.nan_to_num()
        whole, after = model(x, lengths=lengths, **own)
        for split in range(T + 1):
            outputs, state = [], model.initial_state(B)
            for begin, end in ((0, split), (split, T)):
                part = {name: value[:, begin:end] for name, value in own.items()}
                y, state = model(x[:, begin:end], state, lengths=(lengths - begin).clamp(0, end - begin), **part)
                outputs.append(y)
            found = outputs[-1] if last else torch.cat(outputs, 1)
            real = slice(None) if last else torch.arange(T) < lengths[:, None]
            torch.testing.assert_close(found[real], whole[real])
            torch.testing.assert_close([*leaves(state)], [*leaves(after)])


@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave"])
@pytest.mark.parametrize("reads", ["sequence", "last"])
def test_both_directions_are_a_loop_and_one_over_the_turned_row(merge: str, reads: str) -> None:
    x, mask, _ = drawn(3, 7)
    twice, per_step = 1 + (merge == "concat"), reads == "sequence"
    options = {"cell": "lstm", "direction": "both", "reads": reads, "merge": merge}
    model = model_of(recurrent(5, **options), outputs=5 * twice, per_step=per_step)
    assert not model.causal
    assert model.initial_state(2) == ()
    layer = next(iter(model.named_nodes.values())).layer
    halves = []
    for end in ("", "_reverse"):
        half = model_of(recurrent(5, cell="lstm"), outputs=5)
        (node,) = half.named_nodes.values()
        for name, parameter in node.layer.named_parameters():
            parameter.data = layer.get_parameter(name + end).data
        turned = (lambda t: t.flip(1)) if end else (lambda t: t)
        outputs, last = looped(node, turned(x.nan_to_num()), turned(mask), torch.zeros_like(mask))
        halves.append(turned(outputs) * mask[..., None] if per_step else last)
    merged = {"concat": torch.cat(halves, -1), "sum": sum(halves), "mul": halves[0] * halves[1], "ave": sum(halves) / 2}
    torch.testing.assert_close(model(x, mask=mask)[0], merged[merge])
    with pytest.raises(UserError, match="reads backwards, too"):
        model(x, (torch.zeros(3, 5),))


def test_a_reading_backward_passes_no_border_and_has_two_orders() -> None:
    x, mask, resets = drawn(3, 7)
    found = []
    for order in (True, False):
        model = model_of(recurrent(5, cell="gru", direction="backward", in_time_order=order), outputs=5)
        (node,) = model.named_nodes.values()
        turned = torch.zeros_like(resets)
        turned[:, 1:] = resets[:, 1:].flip(1)
        expected, _ = looped(node, x.nan_to_num().flip(1), mask.flip(1), turned)
        found.append(model(x, mask=mask, resets=resets)[0])
        torch.testing.assert_close(found[-1], expected.flip(1) if order else expected)
    last = model_of(recurrent(5, cell="gru", direction="backward", reads="last"), outputs=5, per_step=False)
    with pytest.raises(UserError, match=r"^resets: expected none"):
        last(x, resets=resets)


def test_leading_masked_steps_from_a_state() -> None:
    x, mask = torch.randn(2, 4, D, dtype=torch.float64), torch.tensor([[False, False, True, True]] * 2)
    for leading in ("state", "zero"):
        model = model_of(recurrent(5, cell="gru", leading=leading), outputs=5)
        h = torch.randn(2, 5, dtype=torch.float64)
        y, _ = model(x, (h,), mask=mask)
        torch.testing.assert_close(y[:, 1], h if leading == "state" else torch.zeros_like(h))


def test_masks_of_embeddings_and_masking() -> None:
    tokens = torch.tensor([[0, 3, 0, 2], [1, 1, 0, 0]])
    gru = {"op": "recurrent", "cell": "gru", "input_size": D, "hidden_size": 5}
    model = model_of({"op": "embedding", "rows": 4, "size": D, "mask_zero": True}, gru, outputs=5, vocab_size=4)
    y, _ = model(tokens)
    short, _ = model(torch.tensor([[3, 2], [1, 1]]))
    torch.testing.assert_close(y[:, -1], short[:, -1])
    assert not y[0, 0].any()
    values = model_of({"op": "masking", "mask_value": 2.0}, gru, outputs=5)
    x = torch.randn(2, 4, D, dtype=torch.float64)
    x[0, 1], x[1, 1, 0] = 2.0, 2.0  # one number alone masks nothing
    torch.testing.assert_close(values(x)[0][:1, 2:], values(x[:1, [0, 2, 3]])[0][:, 1:])
    assert not torch.equal(values(x)[0][1, 0], values(x)[0][1, 1])


def test_dropout_is_of_training_alone_and_locked_where_asked_for() -> None:
    model = model_of({"op": "dropout", "p": 0.5, "locked": True}, outputs=D)
    x = torch.ones(2, 9, D, dtype=torch.float64)
    y, _ = model.train()(x)
    assert {0.0, 2.0} == {*y.flatten().tolist()}
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert torch.equal(model.eval()(x)[0], x)


GOOD = {"op": "linear", "name": "a", "inputs": ["input"], "input_size": D, "output_size": 2}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"op": "lineer"}, r"node 'a': op: expected an operation, got 'lineer'; did you mean 'linear'\?"),
    ({"biased": True}, r"node 'a': biased: expected an option of linear; did you mean 'bias'\?"),
    ({"output_size": "2"}, "node 'a': output_size: expected"),
    ({"input_size": D + 1}, r"node 'a': inputs: expected a value of shape \(B, T, 5\), got \(B, T, 4\)"),
    ({"inputs": ["b"]}, "node 'a': inputs: expected values before it, got 'b'"),
    ({"name": "input"}, "node 'input': name: expected one that no value before it has"),
    ({"output_size": 3}, r"output 'a': expected a value of shape \(B, T, 2\), got \(B, T, 3\)"),
    ({"op": "embedding"}, "node 'a': input_size: expected an option of embedding"),
]


@pytest.mark.parametrize(("change", "words"), WRONG, ids=[words for _, words in WRONG])
def test_a_configuration_that_is_none(change: dict[str, Any], words: str) -> None:
    config = {"input": {"kind": "values", "channels": D}, "output": "a", "output_kind": "numbers", "outputs": 2}
    with pytest.raises(UserError, match=words):
        LayeredModel({**config, "per_step": True, "nodes": [GOOD | change]})
    same = LayeredModel({**config, "per_step": True, "nodes": [GOOD]})
    assert LayeredModel(same.config).config == same.config
