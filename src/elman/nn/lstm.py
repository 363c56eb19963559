"""Long short-term memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from elman.kernels import CellState
from elman.nn.layout import Steps
from elman.nn.recurrent import Recurrent
from elman.nn.sequences import Flags, Integers


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter & Schmidhuber 1997), a drop-in for `torch.nn.LSTM`.

        i_t = sigmoid(W_ii x_t + b_ii + W_hi h_{t-1} + b_hi)
        f_t = sigmoid(W_if x_t + b_if + W_hf h_{t-1} + b_hf)     (Gers et al. 2000)
        g_t = tanh(W_ig x_t + b_ig + W_hg h_{t-1} + b_hg)
        o_t = sigmoid(W_io x_t + b_io + W_ho h_{t-1} + b_ho)
        c_t = f_t * c_{t-1} + i_t * g_t
        h_t = W_hr (o_t * tanh(c_t))                             (W_hr: if proj_size > 0, Sak et al. 2014)

    The rows of the weights are those of i, f, g, o.

    Args:
        input_size: D.
        hidden_size: H; a sequence gives every layer its own, and then a state is a tuple with one for each layer.
        num_layers: layers on top of each other; with a sequence of sizes, as many as there are.
        bias: whether there are b_ih and b_hh.
        batch_first: inputs and outputs are (B, T, ·) instead of (T, B, ·); the state is not affected.
        dropout: probability for the outputs of every layer but the last, in training.
        bidirectional: a second set of weights reads from the end to the beginning.
        proj_size: P, the size of the projected h; 0 for none.
        device: where the parameters are made.
        dtype: of the parameters.
        weight_dropout: probability for the entries of W_hh, once a call, in training (arXiv:1708.02182).
        recurrent_dropout: probability for the entries of h_{t-1} where W_hh reads it, one mask for all steps of a call,
            in training (Gal & Ghahramani 2016).
        zoneout: probability with which an entry of h_t stays what it was; in evaluation its expectation
            (Krueger et al. 2017, arXiv:1606.01305).
        zoneout_cell: the same for c_t.
        peepholes: i_t and f_t also read p_i * c_{t-1} and p_f * c_{t-1}, o_t reads p_o * c_t, with `weight_peephole`
            of size 3 * H (Gers & Schmidhuber 2000).
        layer_norm: W_ih x_t and W_hh h_{t-1} are normalized over all gates, then multiplied by `gain_ih` and `gain_hh`;
            h_t = o_t * tanh(LN(c_t) * gain_cell + bias_cell) (Ba et al. 2016, arXiv:1607.06450).
        backend: None for the first that can serve a call, or one of `elman.kernels.BACKENDS` and no other.
            "reference" has derivatives of every order, forward mode and `vmap`; "torch" what ATen and cuDNN have.
        recompute: keep the states between chunks of steps alone, and compute the rest anew in backward: less memory,
            about 4/3 of the time (arXiv:1604.06174). An integer is the steps of a chunk; True stands for 2 sqrt(T).

    >>> layer = LSTM(3, 5, batch_first=True)
    >>> outputs, (h, c) = layer(torch.zeros(2, 7, 3), lengths=torch.tensor([7, 0]))
    >>> outputs.shape, c.shape
    (torch.Size([2, 7, 5]), torch.Size([1, 2, 5]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        weight_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        zoneout_cell: float = 0.0,
        peepholes: bool = False,
        layer_norm: bool = False,
        backend: str | None = None,
        recompute: bool | int = False,
    ) -> None:
        super().__init__(
            "lstm",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device=device,
            dtype=dtype,
            weight_dropout=weight_dropout,
            recurrent_dropout=recurrent_dropout,
            zoneout=zoneout,
            zoneout_cell=zoneout_cell,
            peepholes=peepholes,
            layer_norm=layer_norm,
            backend=backend,
            recompute=recompute,
        )

    def forward(
        self,
        input: Steps,
        hx: tuple[Tensor, Tensor] | None = None,
        *,
        lengths: Integers | None = None,
        resets: Flags | None = None,
        return_states: bool = False,
    ) -> tuple[Steps, CellState] | tuple[Steps, CellState, CellState]:
        """Read a window; see `Recurrent` for the arguments.

        Returns `(outputs, (h_n, c_n))`, with `return_states` `(outputs, (h_n, c_n), (h, c))`.
        """
        return self._read(input, hx, lengths, resets, return_states)
