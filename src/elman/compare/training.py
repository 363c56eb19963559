"""One training of a comparison: a run like any other, resumed where it was left, then measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from elman import runs
from elman.compare import load
from elman.compare.measure import block_losses, clock_curve, decoding_speed, learning_curve, memory, training_curve
from elman.compare.peak import Peak
from elman.errors import UserError
from elman.fitting import Prepared, prepare
from elman.inspection.look import plain
from elman.metrics.words import words
from elman.tasks.configuration import Settings
from elman.train.journal import Journal
from elman.train.loop import Finished, Validated, fit
from elman.train.training import Step

LOAD = "load.jsonl"  # of a run of a comparison: how busy the machine was, a line a lap

Tell = Callable[[float, str], None]
"""How far a training is, 0 to 1, and a few words."""


class Stopped(Exception):
    """Someone asked for it; all is saved."""


@dataclass(frozen=True)
class Measured:
    """What a training gave: what seed and data decide, and what the clock and the machine say."""

    result: dict[str, Any]
    timing: dict[str, Any]


def settings_tree(settings: Settings, seed: int, factor: float = 1.0, share: float = 1.0) -> dict[str, Any]:
    """Resolved settings with another seed, learning rates times `factor`, and a share of the budget."""
    tree = settings.model_dump(mode="json")
    tree["train"] |= {"seed": seed, "learning_rate": float(f"{tree['train']['learning_rate'] * factor:.4g}")}
    tree["train"]["muon_rate"] = float(f"{tree['train']['muon_rate'] * factor:.4g}")
    amount = tree["budget"]["amount"] * share
    tree["budget"]["amount"] = max(1, round(amount)) if tree["budget"]["unit"] == "steps" else amount
    return tree


def train(tree: dict[str, Any], folder: Path, stop: Callable[[], bool], tell: Tell) -> tuple[Finished, Prepared]:
    """Train the run in a folder, or go on with it.

    Raises:
        Stopped: `stop()` said so.
        UserError: as of `prepare` and `fit`.
    """
    with prepare(tree, folder, resume=True) as prepared, Journal(folder / LOAD) as laps:
        finished, meter = None, load.Meter(tree["train"]["device"])
        loss = float("nan")
        for event in fit(prepared.training, folder, stop=stop):
            if isinstance(event, Step):
                loss = event.loss if loss != loss else loss + 0.03 * (event.loss - loss)
                tell(min(event.progress, 1.0), f"loss {loss:.3f}")
            elif isinstance(event, Validated | Finished):
                if lap := meter.lap():
                    laps.write(asdict(lap))
                finished = event if isinstance(event, Finished) else None
        assert finished is not None
        if finished.reason == "stopped":
            raise Stopped
        return finished, prepared


def measured_training(tree: dict[str, Any], folder: Path, stop: Callable[[], bool], tell: Tell) -> Measured:
    """Train, then measure the best weights."""
    peak = Peak(tree["train"]["device"])
    finished, prepared = train(tree, folder, stop, tell)
    megabytes = peak.megabytes()
    corpus, counters = prepared.corpus, prepared.training.counters
    model = runs.load(folder).model
    blocks = block_losses(model, corpus.valid, corpus.tokenizer.eod)
    if not np.isfinite(blocks.loss):
        what = f"the validation loss of {folder} is {words(blocks.loss)}: it cannot be compared"
        raise UserError(what, remedy="lower the learning rate (--set learning_rate=...), or leave the model out")
    bits = blocks.loss / np.log(2) * len(corpus.valid) / max(corpus.valid.characters, 1)
    curve, clock = learning_curve(folder), clock_curve(folder)
    targets = {int(step): int(tokens) for step, tokens, _ in clock}
    result = {
        "loss": blocks.loss,
        "bits_per_character": float(bits),
        "steps": counters.step,
        "tokens": counters.targets,
        "skipped": counters.skipped,
        "learning_rate": tree["train"]["learning_rate"],
        "memory": plain(memory(model, corpus.valid, corpus.tokenizer.eod)),
        "curve": [[step, targets[int(step)], loss] for step, loss in curve if int(step) in targets],
        "training_curve": plain(training_curve(folder)),
        "blocks": {"nats": np.round(blocks.nats, 4).tolist(), "tokens": blocks.tokens.tolist()},
    }
    trained = clock[-1] if clock else [0.0, 0.0, finished.seconds]
    busy = load.total(folder / LOAD)
    timing = {
        "seconds": finished.seconds,
        "training_tokens_per_second": trained[1] / max(trained[2], 1e-9),
        "decoding_tokens_per_second": decoding_speed(model),
        "peak_megabytes": megabytes,
        **(busy.shares if busy else {"own_share": None, "others_share": None}),
        "curve": clock,
    }
    return Measured(result, timing)
