"""A forecaster that reads in one direction as C: values are pushed, and forecasts can be asked for at any time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from elman.errors import UserError
from elman.export.c.cells import every_unit
from elman.export.c.encoder import encoder_stack
from elman.export.c.forecaster_words import forecast_words, init, push_words
from elman.export.c.interface import Interface
from elman.export.c.language_model import layers_in_words
from elman.export.c.layers import Stack
from elman.export.c.source import CSource, declared
from elman.models.forecaster import SeriesForecaster
from elman.models.likelihoods import Quantiles, anchor

# The window in units of its own, of `window` (count,), NaN where a value is missing.
SCALINGS = {
    "none": "",
    "last": """
for (int t = 0; t < state->count; t++)
    if (!isnan(window[t]))
        location = window[t];
""",
    "mean": """
double sum = 0, squares = 0;
int present = 0;
for (int t = 0; t < state->count; t++)
    if (!isnan(window[t])) {
        sum += window[t];
        present++;
    }
location = present ? (float)(sum / present) : 0;
for (int t = 0; t < state->count; t++)
    if (!isnan(window[t]))
        squares += (window[t] - location) * (window[t] - location);
scale = present ? (float)sqrt(squares / present) : 0;
scale = scale < 1e-3f ? 1e-3f : scale;
""",
}

WINDOW = """
enum {{ L = {L}, C = {C}, R = C + 1, W = {W}, H = {H}, N = {N}, Q = N - 1, A = {A} }};
const int first = state->count < L ? 0 : state->next;  /* of the ring, the oldest step */
const double deviation = state->deviation > 0 ? state->deviation : 1;
float window[L], location = 0, scale = 1;
for (int t = 0; t < state->count; t++)
    window[t] = standardized(state->past[(first + t) % L * C], state->mean, deviation);
{scaling}
memory read = {{.{field} = {{0}}}};
{before}
const int segments = (state->count + W - 1) / W, empty = segments * W - state->count;
for (int s = 0; s < segments; s++) {{
    float steps[W * R] = {{0}};
    for (int w = 0; w < W; w++) {{
        const int t = s * W + w - empty;
        float *step = steps + w * R;
        if (t < 0 || isnan(window[t]))
            step[1] = 1;  /* missing */
        else
            step[0] = (window[t] - location) / scale;
{columns}    }}
"""

COLUMNS = """\
        for (int c = 1; t >= 0 && c < C; c++)
            step[1 + c] = known(state->past[(first + t) % L * C + c], column_mean[c - 1], column_deviation[c - 1]);
"""

ANSWER = """
for (int h = 0; h < H; h++) {
    const float *numbers = raw + h * N;
    double q[Q];
    q[A] = numbers[1 + A];  /* the quantile next to the median; the others are sums of steps from there */
    for (int k = A + 1; k < Q; k++)
        q[k] = q[k - 1] + softplus(numbers[1 + k]);
    for (int k = A - 1; k >= 0; k--)
        q[k] = q[k + 1] - softplus(numbers[1 + k]);
    for (int k = 0; k < Q; k++)
        quantiles[h * Q + k] = q[A] + widths[h * Q + k] * (q[k] - q[A]);
    for (int k = A + 1; k < Q; k++)
        if (quantiles[h * Q + k] < quantiles[h * Q + k - 1])
            quantiles[h * Q + k] = quantiles[h * Q + k - 1];
    for (int k = A - 1; k >= 0; k--)
        if (quantiles[h * Q + k] > quantiles[h * Q + k + 1])
            quantiles[h * Q + k] = quantiles[h * Q + k + 1];
    for (int k = 0; k < Q; k++)
        quantiles[h * Q + k] = state->mean + state->deviation * (location + scale * quantiles[h * Q + k]);
    mean[h] = state->mean + state->deviation * (location + scale * numbers[0]);
}
"""

PUSH = """
for (int c = 0; c < {C}; c++)
    state->past[state->next * {C} + c] = values[c];
state->next = (state->next + 1) % {L};
state->count += state->count < {L};
"""


def write(source: CSource, model: SeriesForecaster, codecs: Mapping[str, Any]) -> Interface:
    """Add the functions of the model to a program. Raises `UserError` where forecasts are drawn, or read both ways."""
    if not isinstance(model.output, Quantiles):
        what = "this forecaster draws its quantiles from a distribution: C is for those that are learnt"
        raise UserError(what, remedy="train one with --set distribution=quantiles --set form=direct")
    layers = encoder_stack(source, model.encoder)
    P, K, S = model.channels
    C, L, H, Q = 1 + P + K, model.past_steps, model.horizon, len(model.levels)
    identity = model.form == "segment" and model.identity is not None
    source.fields += [f"double past[{L * C}]", "int next, count", "double mean, deviation"] + [
        "int identity"
    ] * identity
    inner = "\n".join(f"    {field};" for field in layers.fields)
    source.functions["memory"] = f"typedef struct {{\n{inner}\n}} memory;\n"
    ahead = [f"const double ahead[{H * K}]"] * (K > 0) + [f"const double constant[{S}]"] * (S > 0)
    push = f"void PREFIX_push(PREFIX_state *state, const double values[{C}])"
    outputs = ["double mean[PREFIX_HORIZON]", "double quantiles[PREFIX_HORIZON * PREFIX_QUANTILES]"]
    head = f"void PREFIX_forecast({', '.join(['const PREFIX_state *state', *ahead, *outputs])})"
    source.function(push, PUSH.format(C=C, L=L).strip().splitlines())
    source.function(head, _body(source, model, layers, codecs))
    names = [declared(part) for part in (*ahead, *outputs)]
    call = f"PREFIX_forecast(&state, {', '.join(names)});"
    taken = [part.removeprefix("const ") for part in (*ahead, *outputs)]
    gets = [f"GET({name});" for name in names[: len(ahead)]]
    return Interface(
        summary=f"A forecaster of {H} steps from at most {L:,}: {layers_in_words(model.encoder)}.",
        functions={push: push_words(codecs), head: forecast_words(model, codecs)},
        usage=f"PREFIX_push(&state, values);    for each step of the series\n{call}    whenever it is wanted",
        main=(
            f"double values[{C}]; GET(values); PREFIX_push(&state, values);",
            f"{'; '.join(taken)}; {' '.join(gets)} {call} PUT(mean); PUT(quantiles);",
        ),
        constants={"HORIZON": H, "QUANTILES": Q},
        init=init(codecs, identity),
    )


def _body(source: CSource, model: SeriesForecaster, layers: Stack, codecs: Mapping[str, Any]) -> list[str]:
    """The statements of a forecast."""
    P, K, S = model.channels
    source.use("standardized")
    if P or K or S:
        source.use("known")
    _write_scales(source, model, codecs)
    source.vector("widths", model.widths)
    reading, before, writing = FORMS[model.form](source, model, layers)
    text = WINDOW.format(
        L=model.past_steps, C=1 + P + K, W=model.segment, H=model.horizon, N=model.output.size, A=anchor(model.levels),
        scaling=SCALINGS[model.normalisation].strip("\n"), field=declared(layers.fields[0]), before=before,
        columns=COLUMNS * (P + K > 0),
    )  # fmt: skip
    source.use("softplus")
    lines = [*text.strip("\n").splitlines(), *(f"    {line}" for line in reading), "}", *writing]
    return [line for line in [*lines, *ANSWER.strip("\n").splitlines()] if line]


def _direct(source: CSource, model: SeriesForecaster, layers: Stack) -> tuple[list[str], str, list[str]]:
    """The layers read the segments; the head reads the last hidden state, and what is known ahead and of the series."""
    (P, K, S), units = model.channels, model.encoder.output_size
    read = layers.read("steps", "read.")
    reading = [*read.lines, *every_unit(f"last[u] = {read.output}[u];", size=units)]
    writing = every_unit(f"last[{units} + u] = {_ahead('u', P, K)};", size=f"H * {K}") if K else []
    writing += every_unit(f"last[{units} + H * {K} + u] = {CONSTANT};", size=S) if S else []
    writing += [f"float raw[{model.head.out_features}];", *source.linear("head", model.head, "last", "raw")]
    return reading, f"float last[{model.head.in_features}] = {{0}};", writing


def _segments(source: CSource, model: SeriesForecaster, layers: Stack) -> tuple[list[str], str, list[str]]:
    """The layers read embeddings of segments; each future segment is a step more, from the state after the window."""
    (P, K, S), units, w = model.channels, model.encoder.output_size, model.segment
    reading = [f"float x[{units}];", *source.linear("embedding", model.embedding, "steps", "x")]
    reading += every_unit("x[u] = x[u] < 0 ? 0 : x[u];", size=units)
    reading += layers.read("x", "read.", output=False).lines
    m = model.positions.num_embeddings
    ahead = [f"float x[{units}] = {{0}};", source.add_row("x", source.table("positions", model.positions.weight), "j")]
    if model.known is not None:
        size = w * K + S
        ahead += [f"float given[{size}] = {{0}};"]
        if K:
            last = f"u < {w * K} && j * {w * K} + u < H * {K}"
            ahead += [f"for (int u = 0; {last}; u++)", f"    given[u] = {_ahead(f'j * {w * K} + u', P, K)};"]
        ahead += every_unit(f"given[{w * K} + u] = {CONSTANT};", size=S) if S else []
        ahead.append(source.add_product("x", source.matrix("known_weight", model.known.weight), "given"))
    if model.identity is not None:
        ahead.append(source.add_row("x", source.table("identities", model.identity.weight), "state->identity"))
    read = layers.read("x", "after.")
    ahead += ["memory after = read;", *read.lines, *source.linear("head", model.head, read.output, "raw + j * W * N")]
    begin = [f"float raw[{m} * W * N];", f"for (int j = 0; j < {m}; j++) {{"]
    return reading, "", [*begin, *(f"    {line}" for line in ahead), "}"]


FORMS = {"direct": _direct, "segment": _segments}
CONSTANT = "known(constant[u], constant_mean[u], constant_deviation[u])"


def _ahead(at: str, P: int, K: int) -> str:
    """The number at a place of those that are known ahead, in the units of the model."""
    column = f"{P} + ({at}) % {K}"
    return f"known(ahead[{at}], column_mean[{column}], column_deviation[{column}])"


def scales(model: SeriesForecaster, codecs: Mapping[str, Any]) -> list[tuple[float, float]]:
    """The means and deviations of the P + K further columns, and of the S numbers that a series has as a whole."""
    if "columns" not in codecs:
        return [(0.0, 1.0)] * sum(model.channels)  # numbers are as the model reads them
    scaler, columns = codecs["scaler"], codecs["columns"]
    static = [name for name in columns.static for _ in scaler.words.get(name, (0,))]  # a word has a 0 or 1 for each
    names = (*columns.past, *columns.future, *static)
    return [(0.0, 1.0) if name in scaler.words else scaler.columns[name] for name in names]


def _write_scales(source: CSource, model: SeriesForecaster, codecs: Mapping[str, Any]) -> None:
    """Arrays of `scales`."""
    P, K, _ = model.channels
    pairs = scales(model, codecs)
    for name, part in (("column", pairs[: P + K]), ("constant", pairs[P + K :])):
        if part:
            for at, kind in enumerate(("mean", "deviation")):
                source.doubles(f"{name}_{kind}", torch.tensor([pair[at] for pair in part], dtype=torch.float64))
