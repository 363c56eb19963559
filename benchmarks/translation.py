"""How well every form of encoder-decoder translates after the same wall time, at its default settings.

    python benchmarks/translation.py TRAIN VALID TEST [--for 20m] [--models NAME,...] [--beam 5] [--json]

TRAIN, VALID and TEST are a file of pairs each (.tsv, .jsonl; see `to_pairs.py`), or two parallel files with a comma
between them. A model is a kind of `elman train --model`, perhaps with settings: `gru`, `gru:attention=none`,
`transformer`. Runs are kept in --out, and a run that was cut off is resumed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

MODELS = "transformer,gru,lstm,gru:attention=none"


def elman(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "elman", *arguments, "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def measure(model: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one model and translate the test set with it."""
    kind, *settings = model.split(":")
    run = str(arguments.out / model.replace(":", "-").replace("=", "-"))
    given = [part for setting in settings for part in ("--set", setting)]
    valid = arguments.valid.split(",")
    train = [*arguments.train.split(","), "--valid", *valid, "--for", arguments.budget]
    trained = elman("train", *train, "--model", kind, *given, "-o", run, "--resume")
    tested = elman("evaluate", run, *arguments.test.split(","), "--beam", str(arguments.beam))
    return {"model": model, "training": trained, "test": tested}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("train", "valid", "test"):
        parser.add_argument(name)
    parser.add_argument("--for", dest="budget", default="20m")
    parser.add_argument("--models", default=MODELS)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-translation"))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    for name in ("train", "valid", "test"):
        for path in getattr(arguments, name).split(","):
            if not Path(path).exists():
                sys.exit(f"{path}: no such file; give pairs to translate")
    rows = [measure(model, arguments) for model in arguments.models.split(",")]
    if arguments.json:
        print(json.dumps(rows))
        return
    print("| model | parameters | epochs | target tokens/s | BLEU | chrF | exact | test translated in |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        trained, tested = row["training"], row["test"]
        rate = trained["tokens"] / trained["seconds"]
        scores = f"{tested.get('bleu', float('nan')):.1f} | {tested.get('chrf', float('nan')):.1f}"
        print(
            f"| {row['model']} | {trained['parameters']:,} | {trained['epochs']:.1f} | {rate:,.0f} | {scores} "
            f"| {tested['exact_match']:.2f} % | {tested['translating_seconds']:.0f} s |"
        )


if __name__ == "__main__":
    main()
