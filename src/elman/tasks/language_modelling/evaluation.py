"""The metrics of a language model on a text: of a validation, or of a text that a person names."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from elman.data.corpus import encode_file
from elman.data.tokenfile import TokenFile
from elman.distributed import ALONE, Ranks
from elman.errors import UserError
from elman.metrics.likelihood import perplexity
from elman.metrics.words import words
from elman.models import LanguageModel
from elman.tasks.exchange import Evaluation, Progress, Say, Sources, Trained
from elman.tasks.language_modelling.losses import BURN_IN, WINDOW, block_losses
from elman.tasks.language_modelling.settings import EvaluationOptions


def evaluate(
    model: LanguageModel,
    tokens: TokenFile,
    eod: int | None,
    *,
    lanes: int | None = None,
    window: int = WINDOW,
    ranks: Ranks = ALONE,
) -> dict[str, float]:
    """Predict every token but the first of a text once, with the arguments of `block_losses`.

    Returns:
        `loss` in nats a token, `perplexity`, `bits_per_character`, and `tokens`, the number of predictions.
    """
    nats, counts = block_losses(model, tokens, eod, lanes=lanes, window=window, ranks=ranks)
    loss = float(nats.sum() / counts.sum())
    return {
        "loss": loss,
        "perplexity": perplexity(loss),
        "bits_per_character": loss / math.log(2) * len(tokens) / max(tokens.characters, 1),
        "tokens": int(counts.sum()),
    }


def evaluate_text(run: Trained, data: Sources, options: EvaluationOptions, say: Say, progress: Progress) -> Evaluation:
    """Evaluate a model on a text that a person names.

    Raises:
        UserError: no such text, more than one, or fewer than 2 tokens.
    """
    text, lanes, tokenizer = run.task.files(data, ())["source"], options.lanes, run.tokenizer
    with tempfile.TemporaryDirectory(prefix="elman-") as cache:
        tokens = encode_file(text, tokenizer, Path(cache))
        if len(tokens) < 2:
            raise UserError(f"{text} is too short to evaluate", expected="at least 2 tokens", got=len(tokens))
        metrics = evaluate(run.model, tokens, tokenizer.eod, lanes=lanes)
    unknown = f", {tokens.unknown:,} of them unknown to the model" if tokens.unknown else ""
    exact = lanes is None or lanes == 1
    about = "" if exact else f", approximately: {lanes} lanes, each after a run-up of {BURN_IN} tokens"
    report = {**metrics, "exact": exact, "lanes": lanes, "run_up": None if exact else BURN_IN}
    lines = [
        ("loss", f"{words(metrics['loss'])} nats a token{about}"),
        ("perplexity", words(metrics["perplexity"], 3)),
        ("bits per character", words(metrics["bits_per_character"])),
        ("tokens", f"{metrics['tokens']:,.0f}{unknown}"),
    ]
    return Evaluation({**report, "unknown": tokens.unknown}, lines)
