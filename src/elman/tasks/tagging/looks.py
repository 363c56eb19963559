"""A tagger under the lens: the words that its tags depend on, its gates, and the transitions of its CRF."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from elman.arrays import Floats
from elman.inspection import gates
from elman.inspection.beginning import TITLE, beginning
from elman.inspection.clipped_steps import has_no_journal, look_at_journal
from elman.inspection.look import Look, Part
from elman.inspection.untrained import KEYS, model_line
from elman.lens.gates import gated, read_gates
from elman.lens.visit import visit_layers
from elman.lens.words import loss_gradients_of_words, tag_gradients
from elman.models.layered_tagger import LayeredTagger
from elman.models.tagger import Tagger
from elman.report import Chapter, Figure, choice, heatmap, line_chart
from elman.report.figure import number
from elman.tasks.tagging.decisions import hides_nothing, look_at_decisions
from elman.tasks.tagging.said_tags import look_at_tags
from elman.tasks.tagging.subject import TaggedSubject
from elman.wording import percent

SENTENCES = 64  # that are measured
FARTHEST = 15  # words from the tag
BINS = (0.1, 0.5, 0.9)  # quantiles
MOST_TAGS = 30  # of a matrix that is drawn
EXAMPLES = 5  # transitions that are named
READING = (
    "A row is a tag: the stronger the colour, the more its log-probability changes with that word. The last row is the "
    "loss of the whole sentence, as a part of its greatest."
)


def look_at_words(subject: TaggedSubject) -> Part:
    """How much each tag, and the loss, depends on each word of its sentence."""
    options: dict[str, Figure] = {}
    numbers: dict[str, Any] = {}
    for at, row in enumerate(subject.shown(), 1):
        batch, tokens = subject.batch([row]), subject.references[row].tokens
        given = batch.words[0], batch.spelling[0], batch.characters
        norms, said = tag_gradients(subject.model, *given)
        by_loss = loss_gradients_of_words(subject.model, *given, batch.targets[0])
        names = [f"{token} {subject.tags.symbol(tag)}" for token, tag in zip(tokens, said, strict=True)]
        drawn = np.vstack((norms / max(float(norms.max()), 1e-30), by_loss / max(float(by_loss.max()), 1e-30)))
        rows, text = [*names, "the loss"], " ".join(tokens)
        options[f"{at}: {beginning(text)}"] = heatmap(
            drawn, title=beginning(text, TITLE), reading=READING, x="word", y="tag", rows=rows, columns=tokens,
            limit=1.0, wide=True,
        )  # fmt: skip
        numbers[f"{at}: {text}"] = {"tags": [subject.tags.symbol(t) for t in said], "by_tag": norms, "loss": by_loss}
    curves, lines = [], []
    for key, (name, model) in zip(KEYS, subject.models.items(), strict=True):
        offsets, quantiles = by_offset(model, subject)
        curves.append(model_line(name, offsets, quantiles))
        lines.append(f"{name}: {_share(offsets, quantiles[1])}")
        numbers[key] = {"offset": offsets, **dict(zip(("low", "median", "high"), quantiles, strict=True))}
    chart = line_chart(
        curves,
        title="How far away the words are that a tag depends on",
        x="words after the tag's own",
        y="‖∂ log p(y(t)) / ∂x(t+k)‖",
        log_y=True,
        reading="The median over the words of the sentences, and the middle 80 %: left of 0 are the words before the "
        "tag's own, right of it those after, of which a model that reads in one direction knows nothing.",
    )
    text = "How much the tags depend on each word of their sentence: the same measure for every kind of model."
    maps = choice(options, title="How much each tag depends on each word")
    return Part(Chapter("Dependence on the words", text, [chart, maps], lines), numbers, lines)


def by_offset(model: Tagger, subject: TaggedSubject) -> tuple[Floats, tuple[Floats, Floats, Floats]]:
    """Offsets (K,) of a word from a tag's own, and quantiles (K,) of the gradient there over some sentences."""
    found: dict[int, list[float]] = {}
    for row in range(min(SENTENCES, len(subject.part))):
        batch = subject.batch([row])
        norms, _ = tag_gradients(model, batch.words[0], batch.spelling[0], batch.characters)
        T = len(norms)
        for offset in range(max(-FARTHEST, 1 - T), min(FARTHEST, T - 1) + 1):
            found.setdefault(offset, []).extend(np.diagonal(norms, offset).tolist())
    offsets = sorted(found)
    low, median, high = (np.array([np.quantile(found[offset], q) for offset in offsets]) for q in BINS)
    return np.array(offsets, np.float64), (low, median, high)


def _share(offsets: Floats, median: Floats) -> str:
    """How much of the gradient is at the word itself, before it and after it."""
    total = median.sum()
    if not np.isfinite(total) or total == 0:
        return "no gradient reaches the words"
    parts = {"the word itself": offsets == 0, "words before it": offsets < 0, "words after it": offsets > 0}
    shares = (f"{percent(median[there].sum() / total)} on {name}" for name, there in parts.items())
    return f"of the gradient by words up to {int(np.abs(offsets).max())} away, {', '.join(shares)} (medians)"


def look_at_gates(subject: TaggedSubject) -> Part:
    """The gates of the encoder over some sentences."""
    batch = subject.batch(range(min(SENTENCES, len(subject.part))))

    def read(model: Tagger) -> Any:
        return model.scores(batch.words, batch.spelling, batch.characters, lengths=batch.lengths)

    found = {
        name: [read_gates(visit) for visit in gated(visit_layers(_encoder(model), partial(read, model)))]
        for name, model in subject.models.items()
    }
    return gates.chapter(found)


def _encoder(model: Tagger) -> nn.Module:
    """What has the layers over the words of a sentence."""
    return model.network if isinstance(model, LayeredTagger) else model.encoder


def look_at_transitions(subject: TaggedSubject) -> Part:
    """The matrix of the CRF: what a tag adds to the score of the next."""
    field = subject.model.crf_layer
    assert field is not None
    rows, columns = ([*subject.tags.names, border] for border in ("(start)", "(end)"))
    weight = field.weight.detach().double().masked_fill(~field.allowed, torch.nan).cpu().numpy()  # (K + 1, K + 1)
    K = len(subject.tags.names)
    kept = [*range(min(MOST_TAGS, K)), K]
    figure = heatmap(
        weight[np.ix_(kept, kept)],
        title="Transitions of the CRF",
        reading="Row: a tag, column: the tag after it. Orange transitions are favoured, blue ones avoided, and those "
        "with a cross are never taken.",
        x="the next tag",
        y="tag",
        rows=[rows[at] for at in kept],
        columns=[columns[at] for at in kept],
    )
    order = [divmod(at, K + 1) for at in np.argsort(-np.nan_to_num(weight, nan=-np.inf), axis=None).tolist()]
    order = [(i, j) for i, j in order if np.isfinite(weight[i, j])]

    def told(pairs: list[tuple[int, int]]) -> str:
        return ", ".join(f"{rows[i]} → {columns[j]} ({number(float(weight[i, j]))})" for i, j in pairs)

    lines = [f"most favoured: {told(order[:EXAMPLES])}", f"most avoided: {told(order[: -EXAMPLES - 1 : -1])}"]
    forbidden = int(np.isnan(weight).sum())
    if forbidden:
        lines.append(f"{forbidden:,} of {weight.size:,} transitions break {subject.tags.scheme} and are never taken")
    left_out = K + 1 - len(kept)
    text = "What the CRF adds to the score of a path for each tag that follows another, in nats."
    text += f" The {MOST_TAGS} most frequent tags are drawn, {left_out} are not." if left_out else ""
    numbers = {"rows": rows, "columns": columns, "weight": weight, "forbidden": forbidden}
    return Part(Chapter("Transitions", text, [figure], lines), numbers, lines)


def _has_no_crf(subject: TaggedSubject) -> str | None:
    return "the model has no CRF" if subject.model.crf_layer is None else None


LOOKS: dict[str, Look] = {
    "tags": Look(look_at_tags),
    "decisions": Look(look_at_decisions, hides_nothing),
    "words": Look(look_at_words),
    "gates": Look(look_at_gates, gates.has_no_gates),
    "transitions": Look(look_at_transitions, _has_no_crf),
    "clipping": Look(look_at_journal, has_no_journal),
}
