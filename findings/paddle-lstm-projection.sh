#!/usr/bin/env bash
# Paddle's LSTM with a projection names its parameters wrongly from the second layer on, and computes beyond lengths.
#
# One would guess: paddle.nn.LSTM(3, 4, num_layers=2, proj_size=2) names its parameters as torch.nn.LSTM does, so that
# weight_ih_l1 is what layer 1 does to its inputs and bias_ih_l1 a vector; and with sequence_length, outputs after a
# row's end are zeros, as those of the same layer without a projection are.
#
# What happens: with a projection each layer has five parameters, and the flat names go on counting by four. weight_ih_l1
# is the projection of layer 0, bias_ih_l1 is a matrix, weight_hh_l1 is what layer 1 does to its inputs; whoever copies
# weights by these names, of shapes that happen to fit, gets another network. The paths (0.cell.weight_ho) are right. And
# the outputs of a row of length 2 in 5 steps are zeros from step 2 on without a projection, and other numbers with one.
#
# Versions: paddlepaddle 3.3.1 (CPU), numpy 2.3.5. Public source: python/paddle/nn/layer/rnn.py, class RNNBase.
# Remedy: take parameters by their paths, and cut outputs by the lengths oneself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check paddlepaddle==3.3.1 numpy==2.3.5
cat > "$folder/look.py" <<'PYTHON'
import numpy
import paddle

paddle.seed(0)
net = paddle.nn.LSTM(3, 4, num_layers=2, proj_size=2)
shapes = {name: list(parameter.shape) for name, parameter in net.named_parameters()}
for name in ("weight_ih_l1", "weight_hh_l1", "bias_ih_l1"):
    print(name, shapes[name])
same = paddle.equal_all(net.state_dict()["weight_ih_l1"], net.state_dict()["0.cell.weight_ho"])
print("weight_ih_l1 is the projection of layer 0:", bool(same))
assert shapes["weight_ih_l1"] == [4, 2] and shapes["bias_ih_l1"] == [16, 2] and bool(same)

x = paddle.to_tensor(numpy.random.RandomState(0).randn(2, 5, 3).astype("float32"))
for options in ({}, {"proj_size": 2}):
    paddle.seed(0)
    outputs, _ = paddle.nn.LSTM(3, 4, **options)(x, sequence_length=paddle.to_tensor([5, 2]))
    beyond = float(outputs[1, 2:].abs().max())
    print(options or "no projection", "greatest output beyond the length:", beyond)
    assert (beyond > 0) == bool(options)
PYTHON
"$folder/env/bin/python" -W ignore "$folder/look.py" 2> /dev/null
