"""A program that torch's launcher starts once or several times: it trains a model of every task for a few steps.

    python -m torch.distributed.run --standalone --nproc-per-node 2 tests/processes_program.py FOLDER RESULT.npz

Rank 0 writes the losses, the metrics of all validations and the weights that are shipped of each training. Everything
is in float64 but for one case, and without noise. A third argument, `sharded`, divides the models.
"""

from __future__ import annotations

import json
import random
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from elman import distributed, fitting
from elman.data.windows import Windows
from elman.tasks.language_modelling import evaluation, losses
from elman.train import loop

TEXT = {"k1": 8, "lanes": 5, "accumulate": 2}
SMALL: dict[str, Any] = {"hidden_size": 8}
LOW = {"learning_rate": 1e-3}
STILL = SMALL | {"dropout": 0.0, "dropout_output": 0.0}
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {  # by name: the data, the kind of model, settings
    "elman": ("text.txt", "elman", SMALL | TEXT),
    "gru": ("text.txt", "gru", SMALL | TEXT | {"k2": 12, "clip": "adaptive"}),
    "gru with windows of its own": ("text.txt", "gru", SMALL | TEXT | {"k2": "auto", "learning_rate": 0.1}),
    "lstm": ("text.jsonl", "lstm", SMALL | TEXT | {"num_layers": 2, "average": 0.9}),
    "transformer": ("text.txt", "transformer", SMALL | TEXT | {"num_heads": 2, "num_layers": 1, "dropout": 0.0}),
    "gradients sent in bfloat16": ("text.txt", "gru", SMALL | TEXT | LOW | {"reduction": "bfloat16"}),
    "bfloat16": ("text.txt", "lstm", SMALL | TEXT | LOW | {"reduction": "bfloat16", "precision": "bfloat16"}),
    "translation": ("pairs.tsv", "gru", SMALL | {"batch_tokens": 30, "validation_sentences": 4}),
    "translation by a transformer": (
        "pairs.tsv", "transformer",
        SMALL | {"num_heads": 2, "batch_tokens": 30, "dropout": 0.0, "encoder_layers": 1, "decoder_layers": 1},
    ),
    "tagging": ("tags.conll", "lstm", SMALL | {"batch_words": 12, "word_dropout": 0.0}),
    "classification": (
        "labels.csv", "gru", STILL | {"batch_size": 5, "tokenizer": "word", "dropout_pooled": 0.0, "word_dropout": 0.0},
    ),
    "forecasting": ("series.csv", "gru", STILL | {"identities": False, "batch_windows": 6, "window": 12, "horizon": 3}),
    "forecasting with a likelihood": (
        "series.csv", "lstm", STILL | {"batch_windows": 6, "window": 12, "horizon": 3, "form": "likelihood"},
    ),
}  # fmt: skip
STEPS = 7


def write_data(folder: Path) -> None:
    """Small data of every kind: batches of these have fewer rows than there are processes, and targets are missing."""
    draw = random.Random(1)
    words = ["the", "cat", "sat", "on", "a", "mat", "and", "dog", "ran", "to"]

    def sentence(least: int = 1) -> list[str]:
        return draw.choices(words, k=draw.randint(least, 7))

    (folder / "text.txt").write_text("\n".join(" ".join(sentence()) for _ in range(90)))
    (folder / "text.jsonl").write_text("\n".join(json.dumps({"text": " ".join(sentence())}) for _ in range(90)))
    pairs = [sentence(2) for _ in range(40)]
    (folder / "pairs.tsv").write_text("".join(f"{' '.join(p)}\t{' '.join(reversed(p)).upper()}\n" for p in pairs))
    tagged = ["".join(f"{word} {'B-' if len(word) > 2 else 'O'}{'X' if len(word) > 2 else ''}\n" for word in sentence())
              for _ in range(40)]  # fmt: skip
    (folder / "tags.conll").write_text("\n".join(tagged))
    labels = [(" ".join(words), "cat" in words) for words in (sentence() for _ in range(43))]
    (folder / "labels.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in labels))
    rows = [
        f"{name},{t},{'' if draw.random() < 0.4 else round(draw.gauss(5, 2), 3)}" for name in "ab" for t in range(60)
    ]
    (folder / "series.csv").write_text("unique_id,ds,y\n" + "\n".join(rows) + "\n")


def settings_of(case: str, sharded: bool = False) -> dict[str, Any]:
    """The settings of a case, by name."""
    return {"seed": 4, "validate_every": 3, "precision": "float32", "sharded": sharded, **CASES[case][2]}


def main(folder: Path, result: Path, sharded: str = "") -> None:
    torch.set_num_threads(1)
    losses.FEWEST, losses.MOST = 2, 3  # a short text is read in segments
    evaluation.evaluate.__kwdefaults__["window"] = 4
    make = Windows.batch
    Windows.batch = lambda self, rows: _in_double(make(self, rows))  # type: ignore[method-assign]
    found: dict[str, Any] = {"read": np.zeros(1)}
    losses._nats = partial(_counted, found["read"], losses._nats)
    with distributed.joined() as ranks:
        for case, (data, kind, settings) in CASES.items():
            if sharded and settings.get("k2") == "auto":  # refused
                continue
            torch.set_default_dtype(torch.float32 if settings.get("precision") == "bfloat16" else torch.float64)
            run = result.with_suffix("") / case.replace(" ", "-")
            for event in fitting.training(
                str(folder / data), model=kind, budget=f"{STEPS} steps", out=run, **settings_of(case, bool(sharded))
            ):
                if isinstance(event, fitting.Prepared):
                    steps, metrics = [], []
                elif isinstance(event, loop.Step):
                    steps.append(event.loss)
                elif isinstance(event, loop.Validated):
                    metrics.append([*event.metrics.values()])
            assert isinstance(event, fitting.Fitted)
            found |= {f"{case}/losses": np.array(steps), f"{case}/metrics": np.array(metrics)}
            found |= {f"{case}/{name}": x.detach().numpy() for name, x in event.run.model.named_parameters()}
    if ranks.first:
        np.savez(result, **found)


def _counted(read: Any, nats: Any, model: Any, hidden: Any, targets: Any) -> Any:
    read += len(hidden)
    return nats(model, hidden, targets)


def _in_double(batch: Any) -> Any:
    return type(batch)(*(x.double() if x.is_floating_point() else x for x in batch))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
