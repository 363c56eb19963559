"""An encoder-decoder under the lens: how much it depends on each source token, and where its attention is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.arrays import Floats
from elman.decode.translation import Beam, Translator
from elman.inspection.attention import entropy_bars, head_names
from elman.inspection.clipped_steps import has_no_journal, look_at_journal
from elman.inspection.look import Look, Part
from elman.inspection.untrained import KEYS, model_line
from elman.lens.attention import LEAST, HeadScores, entropy
from elman.lens.source import AlignmentScores, loss_gradients, score_alignment, source_gradients
from elman.models import EncoderDecoder, TransformerEncoderDecoder
from elman.report import Chapter, Figure, Mark, heatmap, line_chart, passages
from elman.report.figure import number
from elman.tasks.translation.subject import Pairs

PAIRS = 256  # pairs that are measured
BINS = (0.1, 0.5, 0.9)  # quantiles


def look_at_alignments(pairs: Pairs) -> Part:
    """Translations of some sources beside their references, with the attention of each token, where there is one."""
    model, tokenizers = pairs.model, pairs.tokenizers
    attends = model.config.get("attention") != "none"
    translator = Translator(model, tokenizers.source, tokenizers.target, Beam(), alignments=attends)
    every = list(pairs.part.texts())
    shown = [every[row] for row in pairs.shown()]
    groups: list[list[tuple[str, str]]] = []
    figures, numbers, exact = [], {}, 0
    for (source, reference), translation in zip(shown, translator([source for source, _ in shown]), strict=True):
        best = translation.candidates[0]
        same = best.text == reference
        exact += same
        beside = "reference (the same)" if same else "reference"
        said = best.text or (f"none: {translation.error}" if translation.error else "(nothing)")
        groups.append([("source", source), ("translation", said), (beside, reference)])
        numbers[source] = {"translation": best.text, "reference": reference, "exact": same, "error": translation.error}
        if best.alignment is not None and best.tokens:
            weights = np.array(best.alignment)[: len(best.tokens)]
            scores = score_alignment(weights)
            figures.append(_alignment_figure(best.text, best.tokens, translation.source_tokens, weights, scores))
            numbers[source] |= vars(scores) | {
                "written": best.tokens,
                "source": translation.source_tokens,
                "weights": weights,
            }
    agreement = f"{exact} of {len(groups)} translations are the same as their references"
    text = "Translations of some sources beside their references" + (
        ", and the attention of each token that was written." if attends else ". The model has no attention."
    )
    reading = "Each source, the best translation that a beam search finds, and the reference."
    figures.insert(0, passages(groups, title="Translations beside their references", reading=reading))
    lines = [f"{name}: {given}" for group in groups for name, given in group]
    return Part(Chapter("Alignments", text, figures, [agreement]), numbers, [*lines, agreement])


def _alignment_figure(
    text: str, written: Sequence[str], source: Sequence[str], weights: Floats, scores: AlignmentScores
) -> Figure:
    reading = (
        "A row is a token that was written: the stronger the colour, the more of its attention is on that token of the "
        f"source. {number(float(np.exp(scores.entropy)))} tokens share it, and the monotonicity is "
        f"{scores.monotonicity:.2f} (1 is from left to right, 0 is no order, -1 from right to left)."
    )
    return heatmap(
        weights, title=text[:60], reading=reading, x="source", y="written", rows=written, columns=source, limit=1.0
    )


def look_at_dependence(pairs: Pairs) -> Part:
    """How much each target token depends on each source token, and how that falls with the distance from the end."""
    maps: list[Figure] = []
    numbers: dict[str, Any] = {}
    for row in pairs.shown()[:2]:
        source, _, inputs, targets = pairs.batch([row])
        norms = source_gradients(pairs.model, source[0], inputs[0], targets[0])
        symbols = [pairs.tokenizers.source.symbol(token) for token in source[0].tolist()]
        written = [pairs.tokenizers.target.symbol(token) for token in targets[0].tolist()]
        title = "Which source tokens each true target token depends on"
        reading = (
            "The norm of the gradient of a token's log-probability, which every model has, attention or not: the "
            "stronger the colour, the more a target token depends on that token of the source."
        )
        maps.append(heatmap(norms, title=title, reading=reading, x="source", y="target", rows=written, columns=symbols))
        numbers[" ".join(symbols)] = norms
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
    return Part(Chapter("Dependence on the source", text, [figure, *maps], lines), numbers, lines)


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


def look_at_heads(pairs: Pairs) -> Part:
    """How widely each head of a Transformer looks at its source."""
    batch = pairs.batch(range(min(PAIRS, len(pairs.part))))
    spreads = {name: _spread(model, *batch) for name, model in pairs.models.items()}
    trained, fresh = spreads[KEYS[0]], spreads[pairs.fresh_name]
    sharpest_before = float(fresh.mean.min())
    names = head_names(*trained.mean.shape)
    marks = [Mark(sharpest_before, f"{pairs.fresh_name}, the sharpest")]
    title = "Entropy of the attention to the source"
    figure = entropy_bars(names, trained.mean.ravel(), trained.even, marks, title)
    lines = [sharpest_words(names, trained, fresh, pairs.fresh_name)]
    text = (
        f"Each of the decoder's layers attends to the source, with {trained.mean.shape[1]} heads. The sharpest head is "
        f"named where its sharpness (1 - entropy / that of an even look) is at least {LEAST:.0%} of the way to 1 from "
        "that of the sharpest head before training, whichever pairs were drawn."
    )
    numbers = dict(zip(names, trained.mean.ravel().tolist(), strict=True))
    numbers |= {"an even look": trained.even, "untrained, the sharpest": sharpest_before}
    return Part(Chapter("Heads", text, [figure], lines), numbers, lines)


@dataclass(frozen=True)
class Spread:
    """How widely the heads of a model look at its source, in nats."""

    mean: Floats  # (L, N), over all target tokens
    even: float  # of a head that looks evenly
    sharpness: Floats  # (B, L, N), 1 − entropy / ln S; sources of one token are left out


@torch.no_grad()
def _spread(model: EncoderDecoder, source: Tensor, lengths: Tensor, inputs: Tensor, targets: Tensor) -> Spread:
    assert isinstance(model, TransformerEncoderDecoder)
    every = model.cross_attentions(inputs, model.encode(source, lengths))  # a layer: (B, N, T, S)
    counted = (targets >= 0).double().numpy()  # (B, T)
    entropies = np.stack([entropy(weights.double().numpy()) for weights in every], axis=1)  # (B, L, N, T)
    sums = (entropies * counted[:, None, None]).sum(-1)  # (B, L, N)
    tokens, even = counted.sum(1), lengths.double().log().numpy()  # (B,)
    several = even > 0
    rows = sums[several] / (tokens * even)[several, None, None]
    return Spread(sums.sum(0) / tokens.sum(), float(even @ tokens / tokens.sum()), 1 - rows)


def sharpest_words(names: Sequence[str], trained: Spread, fresh: Spread, fresh_name: str) -> str:
    """The sharpest head, if it stands out from those of the untrained model; or that there is none."""
    scores = HeadScores(trained.sharpness, float(fresh.sharpness.mean(0).max(initial=0.0)))
    place = int(scores.mean.argmax())
    nats = f"{number(float(trained.mean.flat[place]))} nats"
    against = f"{fresh_name}: {number(float(fresh.mean.min()))} at the sharpest; an even look: {number(trained.even)}"
    if scores.stands_out.flat[place]:
        return f"the head that looks most sharply is {names[place]}: {nats} ({against})"
    return f"no head looks clearly more sharply than before training ({names[place]}: {nats}; {against})"


def _has_no_heads(pairs: Pairs) -> str | None:
    return None if isinstance(pairs.model, TransformerEncoderDecoder) else "the model has no heads"


LOOKS: dict[str, Look] = {
    "alignments": Look(look_at_alignments),
    "source": Look(look_at_dependence),
    "heads": Look(look_at_heads, _has_no_heads),
    "clipping": Look(look_at_journal, has_no_journal),
}
