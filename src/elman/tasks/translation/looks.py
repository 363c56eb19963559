"""An encoder-decoder under the lens: how much it depends on each source token, and where its attention is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from elman.arrays import Floats
from elman.inspection.beginning import TITLE, beginning
from elman.inspection.clipped_steps import has_no_journal, look_at_journal
from elman.inspection.look import Look, Part
from elman.inspection.untrained import KEYS, model_line
from elman.lens.source import loss_gradients, source_gradients
from elman.models import TransformerEncoderDecoder
from elman.report import Chapter, Figure, alignment, choice, line_chart
from elman.tasks.translation.alignments import look_at_alignments
from elman.tasks.translation.heads import look_at_heads
from elman.tasks.translation.subject import PAIRS, Pairs

BINS = (0.1, 0.5, 0.9)  # quantiles


def look_at_dependence(pairs: Pairs) -> Part:
    """How much each target token depends on each source token, and how that falls with the distance from the end."""
    maps: dict[str, Figure] = {}
    numbers: dict[str, Any] = {}
    texts = list(pairs.part.texts())
    for at, row in enumerate(pairs.shown(), 1):
        source, _, inputs, targets = pairs.batch([row])
        norms = source_gradients(pairs.model, source[0], inputs[0], targets[0])
        symbols = [pairs.tokenizers.source.symbol(token) for token in source[0].tolist()]
        written = [pairs.tokenizers.target.symbol(token) for token in targets[0].tolist()]
        reading = (
            "The norm of the gradient of a token's log-probability, which every model has, attention or not: the "
            "stronger the colour, the more a target token depends on that token of the source."
        )
        maps[f"{at}: {beginning(texts[row][0])}"] = alignment(
            norms,
            symbols,
            written,
            title=beginning(texts[row][0], TITLE),
            reading=reading,
            y="target",
            limit=None,
            share=False,
        )
        numbers[f"{at}: {' '.join(symbols)}"] = norms
    batch = pairs.batch(range(min(PAIRS, len(pairs.part))))
    lines, curves = [], []
    for key, (name, model) in zip(KEYS, pairs.models.items(), strict=True):
        distances, (low, median, high) = by_distance(loss_gradients(model, *batch))
        curves.append(model_line(name, distances, (low, median, high)))
        lines.append(f"{name}: {_reach(distances[-1], median)}")
        numbers[key] = {"distance": distances, "low": low, "median": median, "high": high}
    figure = line_chart(
        curves,
        title="How far into a source the loss reaches",
        x="tokens before the source's end",
        y="‖∂L/∂x(s)‖",
        log_y=True,
        reading="The median over the pairs, and the middle 80 %: a level line is a model that depends on all of a "
        "source alike, a line that falls is one that depends less on the tokens that were read first.",
    )
    text = "How much the loss depends on each token of its source: the same measure for every kind of model."
    chosen = replace(choice(maps, title="Which source tokens each true target token depends on"), wide=pairs.wide)
    return Part(Chapter("Dependence on the source", text, [figure, chosen], lines), numbers, lines)


def _reach(distance: float, median: Floats) -> str:
    if median[0] == 0:  # branches that begin at zero pass nothing on before their training
        return "no gradient reaches the source"
    share = float(median[-1] / median[0])
    return f"the gradient {distance:.0f} tokens before a source's end is {share:.2g} times that at its end"


def by_distance(norms: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Distances from the end (K,) that at least a tenth of the rows have, and quantiles (3, K) there."""
    values = [np.array([row[-1 - lag] for row in norms if len(row) > lag]) for lag in range(max(map(len, norms)))]
    values = [found for found in values if len(found) >= max(1, len(norms) / 10)]
    return np.arange(len(values), dtype=np.float64), np.array([np.quantile(found, BINS) for found in values]).T


def _has_no_heads(pairs: Pairs) -> str | None:
    return None if isinstance(pairs.model, TransformerEncoderDecoder) else "the model has no heads"


LOOKS: dict[str, Look] = {
    "alignments": Look(look_at_alignments),
    "source": Look(look_at_dependence),
    "heads": Look(look_at_heads, _has_no_heads),
    "clipping": Look(look_at_journal, has_no_journal),
}
