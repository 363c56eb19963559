"""The steps of recurrent cells as statements of C: `elman.cells` in another language.

In every text, H is the number of units, `sums` (G * H) is W_ih x + b_ih + W_hh h + b_hh (of the GRU without the second
half, which is `recurrent`), and the names of the states are those before the step, and after it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from elman.export.c.source import CSource

Use = Callable[[str], str]


class Variation(NamedTuple):
    """How a layer differs from the plain cell; arrays by their names in the program."""

    zoneout: float = 0.0
    zoneout_cell: float = 0.0
    peephole: str | None = None
    gain_cell: str | None = None
    bias_cell: str | None = None
    projection: Callable[[str, str], str] | None = None  # the statement sums += W_hr x, of the names of sums and x
    reset_rows: Callable[[str, str], str] | None = None  # likewise for the rows n of W_hh
    P: int = 0


def zoned(name: str, share: float, after: str) -> str:
    """The expression of a state after a step, of which zoneout keeps a share (Krueger et al. 2017), in expectation."""
    return f"{share!r}f * {name} + {1 - share!r}f * ({after})" if share else after


def every_unit(*statements: str, size: str | int = "H") -> list[str]:
    """A loop over units u."""
    head, inner = f"for (int u = 0; u < {size}; u++)", [f"    {line}" for line in statements]
    return [head, *inner] if len(inner) == 1 else [f"{head} {{", *inner, "}"]


def elman(source: CSource, own: Variation) -> list[str]:
    """h = tanh(sums)."""
    return every_unit(f"h[u] = {zoned('h[u]', own.zoneout, source.use('tangent') + '(sums[u])')};")


def elman_relu(source: CSource, own: Variation) -> list[str]:
    """h = relu(sums); NaN stays NaN."""
    return every_unit(f"h[u] = {zoned('h[u]', own.zoneout, 'sums[u] < 0 ? 0 : sums[u]')};")


def gru(source: CSource, own: Variation) -> list[str]:
    """The reset gate acts after the matmul."""
    source.use("sigmoid")
    return every_unit(
        "const float r = sigmoid(sums[u] + recurrent[u]);",
        "const float z = sigmoid(sums[H + u] + recurrent[H + u]);",
        "const float n = tangent(sums[2 * H + u] + r * recurrent[2 * H + u]);",
        f"h[u] = {zoned('h[u]', own.zoneout, 'n + z * (h[u] - n)')};",
    )


def gru_reset_before(source: CSource, own: Variation) -> list[str]:
    """The reset gate acts before the matmul; sums lack the product of the rows n."""
    source.use("sigmoid")
    assert own.reset_rows is not None
    return [
        "float reset[H];",
        *every_unit("reset[u] = sigmoid(sums[u]) * h[u];"),
        own.reset_rows("sums + 2 * H", "reset"),
        *every_unit(
            "const float z = sigmoid(sums[H + u]);",
            "const float n = tangent(sums[2 * H + u]);",
            f"h[u] = {zoned('h[u]', own.zoneout, 'n + z * (h[u] - n)')};",
        ),
    ]


def mingru(source: CSource, own: Variation) -> list[str]:
    """z and n of the input alone."""
    source.use("sigmoid")
    return every_unit(
        "const float z = sigmoid(sums[u]), n = sums[H + u];",
        f"h[u] = {zoned('h[u]', own.zoneout, 'z * h[u] + (n - z * n)')};",
    )


def lstm(source: CSource, own: Variation) -> list[str]:
    """With peepholes; layer normalization of c and projection of h need all units first, and so a second loop."""
    source.use("sigmoid")
    look = own.peephole
    peep = [
        f" + {look}[{at}u] * {c}" if look else "" for at, c in (("", "c[u]"), ("H + ", "c[u]"), ("2 * H + ", "now"))
    ]
    gates = [
        f"const float i = sigmoid(sums[u]{peep[0]});",
        f"const float f = sigmoid(sums[H + u]{peep[1]});",
        "const float g = tangent(sums[2 * H + u]);",
        "const float now = f * c[u] + i * g;",
        f"const float o = sigmoid(sums[3 * H + u]{peep[2]});",
    ]
    keep = f"c[u] = {zoned('c[u]', own.zoneout_cell, 'now')};"
    if own.gain_cell is None and own.projection is None:
        return every_unit(*gates, keep, f"h[u] = {zoned('h[u]', own.zoneout, 'o * tangent(now)')};")
    lines = ["float seen[H], out[H];", *every_unit(*gates, keep, "seen[u] = now;", "out[u] = o;")]
    if own.gain_cell is not None:
        lines.append(f"{source.use('normalize')}(seen, {own.gain_cell}, {own.bias_cell}, H);")
    lines += every_unit("out[u] *= tangent(seen[u]);")
    if own.projection is None:
        return [*lines, *every_unit(f"h[u] = {zoned('h[u]', own.zoneout, 'out[u]')};")]
    lines += ["float projected[P] = {0};", own.projection("projected", "out")]
    return [*lines, *every_unit(f"h[u] = {zoned('h[u]', own.zoneout, 'projected[u]')};", size="P")]


def slstm(source: CSource, own: Variation, *, log_forget: str = "-softplus(-sums[H + u])") -> list[str]:
    """c and n are kept divided by exp(m); of a fresh state (n = 0) nothing is kept."""
    source.use("sigmoid")
    if "softplus" in log_forget:
        source.use("softplus")
    return every_unit(
        f"const float i = sums[u], f = {log_forget};  /* logarithms */",
        "const float old = n[u] == 0 ? -INFINITY : f + m[u];",
        "const float top = old > i ? old : i;",
        "const float kept = expf(old - top), written = expf(i - top);",
        "const float o = sigmoid(sums[3 * H + u]);",
        "c[u] = kept * c[u] + written * tangent(sums[2 * H + u]);",
        "n[u] = kept * n[u] + written;",
        "m[u] = top;",
        f"h[u] = {zoned('h[u]', own.zoneout, 'o * (c[u] / n[u])')};",
    )


def slstm_exponential(source: CSource, own: Variation) -> list[str]:
    """The forget gate is an exponential, too."""
    return slstm(source, own, log_forget="sums[H + u]")


STEPS: dict[str, Callable[[CSource, Variation], list[str]]] = {
    "elman": elman,
    "elman_relu": elman_relu,
    "gru": gru,
    "gru_reset_before": gru_reset_before,
    "lstm": lstm,
    "mingru": mingru,
    "slstm": slstm,
    "slstm_exponential": slstm_exponential,
}
