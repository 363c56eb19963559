"""Running pools in C; see `nn.pooling`."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import nn

from elman.export.c.cells import every_unit
from elman.export.c.layers import LayersOutput
from elman.export.c.source import CSource
from elman.nn.pooling import Pooling


def pooled(source: CSource, pool: Pooling, read: LayersOutput) -> tuple[list[str], str]:
    """Statements that take the hidden state of a step into the pool, and the name of the vector of all steps so far."""
    return POOLS[pool.kind](source, pool, read)


def _last(source: CSource, pool: Pooling, read: LayersOutput) -> tuple[list[str], str]:
    return [], read.output


def _mean(source: CSource, pool: Pooling, read: LayersOutput) -> tuple[list[str], str]:
    source.fields += [f"float sum[{read.size}]", "float steps"]
    lines = ["state->steps += 1;", f"float mean[{read.size}];"]
    lines += every_unit(
        f"state->sum[u] += {read.output}[u];", "mean[u] = state->sum[u] / state->steps;", size=read.size
    )
    return lines, "mean"


def _max(source: CSource, pool: Pooling, read: LayersOutput) -> tuple[list[str], str]:
    source.fields += [f"float greatest[{read.size}]", "int begun"]
    greater = f"!state->begun || {read.output}[u] > state->greatest[u]"
    lines = every_unit(f"if ({greater})", f"    state->greatest[u] = {read.output}[u];", size=read.size)
    return [*lines, "state->begun = 1;"], "state->greatest"


def _attention(source: CSource, pool: Pooling, read: LayersOutput) -> tuple[list[str], str]:
    """Weights are exp(score - top), so that none overflows."""
    assert pool.score is not None
    inner, outer = cast(nn.Linear, pool.score[0]), cast(nn.Linear, pool.score[2])
    source.fields += [f"float sum[{read.size}]", "float weight", "float top"]
    lines = [f"float inner[{read.size}], score[1] = {{0}};", *source.linear("attention", inner, read.output, "inner")]
    lines += every_unit(f"inner[u] = {source.use('tangent')}(inner[u]);", size=read.size)
    lines += [
        source.add_product("score", source.matrix("attention_score", outer.weight), "inner"),
        "const float top = state->weight == 0 || score[0] > state->top ? score[0] : state->top;",
        "const float kept = state->weight == 0 ? 0 : expf(state->top - top), share = expf(score[0] - top);",
        "state->weight = kept * state->weight + share;",
        "state->top = top;",
        f"float pooled[{read.size}];",
    ]
    lines += every_unit(
        f"state->sum[u] = kept * state->sum[u] + share * {read.output}[u];",
        "pooled[u] = state->sum[u] / state->weight;",
        size=read.size,
    )
    return lines, "pooled"


POOLS: dict[str, Callable[[CSource, Pooling, LayersOutput], tuple[list[str], str]]] = {
    "last": _last,
    "mean": _mean,
    "max": _max,
    "attention": _attention,
}
