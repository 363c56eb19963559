"""What an encoder-decoder takes from its source, and where it looks while it writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from elman.decode.translate import Beam, Translator
from elman.inspection.clipping import look_at_journal
from elman.inspection.pairs import Pairs, open_pairs
from elman.inspection.part import Part
from elman.lens.source import loss_gradients, score_alignment, source_gradients
from elman.models import EncoderDecoder, TransformerEncoderDecoder
from elman.report import Figure, Line, Section, bar_chart, heatmap, line_chart
from elman.report.figure import number

__all__ = ["PARTS", "open_pairs"]

PAIRS = 256  # pairs that are measured
BINS = (0.1, 0.5, 0.9)  # quantiles


def look_at_alignments(pairs: Pairs) -> Part:
    """Translations of some sources, with the attention of each token, where there is one."""
    run = pairs.run
    translator = Translator(
        run.model, run.source_tokenizer, run.target_tokenizer, Beam(), alignments=_attends(run.model)
    )
    texts = list(pairs.part.texts())
    figures, lines, numbers = [], [], {}
    for translation in translator([texts[row][0] for row in pairs.shown()]):
        best = translation.candidates[0]
        lines.append(f"{translation.source}  →  {best.text}")
        if best.alignment is None or not best.tokens:
            continue
        weights = np.array(best.alignment)[: len(best.tokens)]
        scores = score_alignment(weights)
        reading = (
            "A row is a token that was written, and where it is bright it looked: "
            f"{number(float(np.exp(scores.entropy)))} tokens share its attention, monotonicity "
            f"{scores.monotonicity:.2f} (1 is from left to right)."
        )
        figures.append(
            heatmap(
                weights,
                title=best.text[:60],
                reading=reading,
                x="source",
                y="written",
                rows=best.tokens,
                columns=translation.source_tokens,
                limit=1.0,
            )
        )
        numbers[translation.source] = {
            "written": best.tokens,
            "source": translation.source_tokens,
            "weights": weights,
            "entropy": scores.entropy,
            "monotonicity": scores.monotonicity,
        }
    text = "What the model makes of some sources" + (
        ", and where it looks while it writes." if figures else ". Without attention there is nowhere to look."
    )
    return Part(Section("Alignments", text, figures, lines), numbers, lines)


def look_at_dependence(pairs: Pairs) -> Part:
    """Which source tokens each target token depends on, and how that falls with the distance from the source's end."""
    figures: list[Figure] = []
    numbers: dict[str, Any] = {}
    for row in pairs.shown()[:2]:
        source, _, inputs, targets = pairs.batch([row])
        norms = source_gradients(pairs.run.model, source[0], inputs[0], targets[0])
        symbols = [pairs.run.source_tokenizer.symbol(token) for token in source[0].tolist()]
        written = [pairs.run.target_tokenizer.symbol(token) for token in targets[0].tolist()]
        title = "Which source tokens each true target token depends on"
        reading = "The norm of the gradient of a token's log-probability, which every model has, attention or not."
        figures.append(
            heatmap(norms, title=title, reading=reading, x="source", y="target", rows=written, columns=symbols)
        )
        numbers[" ".join(symbols)] = norms
    rows = list(range(min(PAIRS, len(pairs.part))))
    lines, curves = [], []
    for name, model in pairs.models.items():
        lags, quantiles = by_distance(loss_gradients(model, *pairs.batch(rows)))
        colour = 1 if name == "trained" else 2
        curves.append(Line(name, lags, *(quantiles[1], quantiles[0], quantiles[2]), colour, name != "trained"))
        lines.append(f"{name}: {_reach(lags[-1], quantiles[1])}")
        numbers[name] = {"distance": lags, "low": quantiles[0], "median": quantiles[1], "high": quantiles[2]}
    figures.insert(
        0,
        line_chart(
            curves,
            title="How far into a source the loss reaches",
            x="tokens before the source's end",
            y="‖∂L/∂x(s)‖",
            log_y=True,
            reading="The median over the pairs, and the middle 80 %: a context vector forgets what was read first; "
            "attention reaches all of it alike.",
        ),
    )
    text = "How much the loss depends on each token of its source: the same measure for every kind of model."
    return Part(Section("What is taken from the source", text, figures, lines), numbers, lines)


def _reach(distance: float, median: npt.NDArray[np.float64]) -> str:
    if median[0] == 0:  # branches that begin at zero hand nothing on before they have learnt
        return "no gradient reaches the source"
    share = float(median[-1] / median[0])
    return f"the gradient {distance:.0f} tokens before a source's end is {share:.2g} times that at its end"


def by_distance(norms: Sequence[npt.NDArray[np.float64]]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Distances from the end (K,) that at least a tenth of the rows have, and quantiles (3, K) there."""
    longest = max(map(len, norms))
    values = [np.array([row[-1 - lag] for row in norms if len(row) > lag]) for lag in range(longest)]
    values = [found for found in values if len(found) >= max(1, len(norms) / 10)]
    return np.arange(len(values), dtype=np.float64), np.array([np.quantile(found, BINS) for found in values]).T


def look_at_heads(pairs: Pairs) -> Part:
    """How widely each head of a Transformer looks at its source."""
    model = pairs.run.model
    assert isinstance(model, TransformerEncoderDecoder)
    rows = list(range(min(PAIRS, len(pairs.part))))
    source, lengths, inputs, targets = pairs.batch(rows)
    with torch.no_grad():
        every = model.cross_attentions(inputs, model.encode(source, lengths))  # a layer: (B, N, T, S)
    counted = (targets >= 0)[:, None]  # (B, 1, T)
    names, entropies = [], []
    for depth, weights in enumerate(every):
        entropy = -torch.special.xlogy(weights, weights).sum(-1)  # (B, N, T)
        means = (entropy * counted).sum((0, 2)) / counted.sum((0, 2))
        for head, value in enumerate(means.tolist()):
            names.append(f"layer {depth + 1} head {head + 1}")
            entropies.append(value)
    figure = bar_chart(
        names,
        np.array(entropies),
        title="Entropy of the attention to the source",
        x="nats",
        reading="How widely each head looks: 0 is one token alone, and e to this number about how many share it.",
    )
    sharpest = int(np.argmin(entropies))
    lines = [f"the head that looks most sharply is {names[sharpest]} ({entropies[sharpest]:.2f} nats)"]
    text = "Every layer of the decoder attends to the source with several heads."
    return Part(Section("Heads", text, [figure], lines), dict(zip(names, entropies, strict=True)), lines)


def _attends(model: EncoderDecoder) -> bool:
    return model.config.get("attention") != "none"


def _has_no_heads(pairs: Pairs) -> str | None:
    return None if isinstance(pairs.run.model, TransformerEncoderDecoder) else "it has no heads"


def _has_no_journal(pairs: Pairs) -> str | None:
    return None if (pairs.run.path / "metrics.jsonl").is_file() else "it has no metrics.jsonl"


PARTS: dict[str, tuple[Callable[[Pairs], Part], Callable[[Pairs], str | None]]] = {
    "alignments": (look_at_alignments, lambda pairs: None),
    "source": (look_at_dependence, lambda pairs: None),
    "heads": (look_at_heads, _has_no_heads),
    "clipping": (lambda pairs: look_at_journal(pairs.run.path), _has_no_journal),
}
"""Each part: what looks, and why it cannot look at a run (None: it can)."""
