"""The heads of a Transformer over its source: how widely each looks, and at what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from elman.arrays import Floats
from elman.inspection.attention import entropy_bars, head_names
from elman.inspection.beginning import TITLE, beginning
from elman.inspection.look import Part
from elman.inspection.untrained import KEYS
from elman.lens.attention import LEAST, HeadScores, entropy
from elman.models import EncoderDecoder, TransformerEncoderDecoder
from elman.report import Chapter, Figure, Mark, alignment, choice
from elman.report.figure import number
from elman.tasks.translation.subject import PAIRS, Pairs
from elman.wording import percent

MOST_MAPS = 40  # of heads and pairs together, unless one pair alone has more


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
        f"named where its sharpness (1 - entropy / that of an even look) is at least {percent(LEAST)} of the way to 1 "
        "from that of the sharpest head before training, whichever pairs were drawn."
    )
    numbers = dict(zip(names, trained.mean.ravel().tolist(), strict=True))
    numbers |= {"an even look": trained.even, "untrained, the sharpest": sharpest_before}
    return Part(Chapter("Heads", text, [_maps(pairs, trained), figure], lines), numbers, lines)


@torch.no_grad()
def _maps(pairs: Pairs, spread: Spread) -> Figure:
    """Where each head looks, of some pairs to choose from; the heads stand in a grid of layers."""
    assert isinstance(pairs.model, TransformerEncoderDecoder)
    layers, heads = spread.mean.shape
    names = head_names(layers, heads)
    texts, options = list(pairs.part.texts()), {}
    for at, row in enumerate(pairs.shown()[: max(1, MOST_MAPS // (layers * heads))], 1):
        source, lengths, inputs, targets = pairs.batch([row])
        every = pairs.model.cross_attentions(inputs, pairs.model.encode(source, lengths))
        weights = torch.cat([layer[0] for layer in every]).double().numpy()  # (L N, T, S)
        symbols = [pairs.tokenizers.source.symbol(token) for token in source[0].tolist()]
        written = [pairs.tokenizers.target.symbol(token) for token in targets[0].tolist()]
        options[f"{at}: {beginning(texts[row][0])}"] = choice(
            {
                f"{layer + 1}.{head + 1}": alignment(
                    weights[layer * heads + head],
                    symbols,
                    written,
                    title=f"Where {names[layer * heads + head]} looks",
                    reading="A row is the token of the reference that is predicted there: the stronger the colour, the "
                    f"more the head looks at that token of the source. Over all pairs its entropy is "
                    f"{number(float(spread.mean[layer, head]))} nats.",
                    y="reference",
                )
                for layer, head in np.ndindex(layers, heads)
            },
            title=beginning(texts[row][0], TITLE),
            reading="The heads stand layer by layer, as layer.head.",
            columns=heads,
        )
    return replace(choice(options, title="Where each head looks"), wide=pairs.wide)


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
