"""What an encoder-decoder takes from its source, and where it looks while it writes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from elman.data import paircache, parallel
from elman.data.batches import pair_batch
from elman.data.encoding import encode_texts, evaluation_part
from elman.data.sequences import PairPart
from elman.data.vocabularies import Tokenizers
from elman.decode.translate import Beam, Translator
from elman.errors import UserError
from elman.inspection.clipping import look_at_journal
from elman.inspection.part import Part
from elman.lens.source import loss_gradients, score_alignment, source_gradients
from elman.models import EncoderDecoder, TransformerEncoderDecoder, build_encoder_decoder
from elman.report import Figure, Line, Section, bar_chart, heatmap, line_chart
from elman.report.figure import number
from elman.runs import TranslationRun
from elman.train import config

SEED = 1
SHOWN = 4  # pairs that are drawn
PAIRS = 256  # pairs that are measured
MOST_TOKENS = 40  # of a pair that is drawn
BINS = (0.1, 0.5, 0.9)  # quantiles


@dataclass(frozen=True)
class Pairs:
    """A run's model, the same before its training, and pairs that they read."""

    run: TranslationRun
    fresh: EncoderDecoder
    part: PairPart
    name: str

    @property
    def models(self) -> dict[str, EncoderDecoder]:
        """Side by side."""
        return {"trained": self.run.model, "untrained": self.fresh}

    def batch(self, rows: Sequence[int]) -> tuple[torch.Tensor, ...]:
        """Source, its lengths, inputs and targets of some pairs."""
        source, target = self.part.source.eod, self.part.target.eod
        made = pair_batch(self.part, np.array(rows), source, target)
        return made.source, made.source_lengths, made.inputs, made.targets

    def shown(self) -> list[int]:
        """Pairs that are long enough to be worth a picture, and short enough for one."""
        longest = np.maximum(self.part.source_lengths, self.part.target_lengths)
        fitting = np.flatnonzero(longest < MOST_TOKENS)
        fitting = fitting if len(fitting) else np.array([int(longest.argmin())])
        order = fitting[np.argsort(-longest[fitting], kind="stable")]
        return sorted(order[: 4 * SHOWN : 4].tolist())


def open_pairs(run: TranslationRun, data: str | None) -> Pairs:
    """A run with pairs: `data`, or else those it was validated on.

    Raises:
        UserError: there are none.
    """
    tokenizers = Tokenizers(run.source_tokenizer, run.target_tokenizer)
    if data is not None:
        part, name = evaluation_part(data, tokenizers), Path(data).name
    else:
        part, name = _validation(run, tokenizers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        fresh = build_encoder_decoder(run.model.config).eval()
    return Pairs(run, fresh, part, name)


def _validation(run: TranslationRun, tokenizers: Tokenizers) -> tuple[PairPart, str]:
    """The pairs that the run was validated on, from its cache or read again; and what they are."""
    stored = run.path / "config.yaml"
    if not stored.is_file():
        raise UserError(f"{run.path} does not say what it was trained on", remedy="give pairs: a .tsv or .jsonl")
    settings = config.build(config.read_yaml(stored))
    data = settings.data
    source, valid = (
        [file for file in files if file is not None]
        for files in ((data.source, data.target), (data.valid, data.valid_target))
    )
    name = " and ".join(Path(file).name for file in valid or source)
    name = name if valid else f"the validation part of {name}"
    kept = paircache.reuse(run.path / "cache", tokenizers.fingerprint, "fingerprint", data.fingerprint)
    if kept is not None:
        return encode_texts(kept.valid, tokenizers), name
    with tempfile.TemporaryDirectory(prefix="elman-") as cache:
        corpus = parallel.prepare(
            source,
            Path(cache),
            valid=valid or None,
            tokenizer=tokenizers,
            seed=settings.train.seed,
            expect=data.fingerprint or None,
        )
    return corpus.valid, name


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
