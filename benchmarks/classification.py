"""Classification: accuracies of classifiers of default settings after so much wall time.

    python benchmarks/classification.py [--snips FOLDER] [--japanese-vowels FOLDER] [--mnist1d FOLDER]
                                        [--seeds 1,2,3] [--for 2m | --steps 2000] [--set KEY=VALUE ...] [--json]

SNIPS: the intents (train.seq.in and train.label, and so on) in 2 minutes, validated on its validation part.
Japanese Vowels: JapaneseVowels_TRAIN.ts in 1 minute; MNIST-1D: mnist1d.npz in 3 minutes; a tenth of either is held out.
Each seed is a training by `elman train`, scored on the test part by `elman evaluate`. --steps makes the figures
independent of the machine's load.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple


class Benchmark(NamedTuple):
    """The files of the parts in the folder, and the budget."""

    name: str
    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]
    budget: str


DATA = {
    "snips": Benchmark(
        "SNIPS, intents",
        ("train.seq.in", "train.label"),
        ("valid.seq.in", "valid.label"),
        ("test.seq.in", "test.label"),
        "2m",
    ),
    "japanese_vowels": Benchmark(
        "Japanese Vowels", ("JapaneseVowels_TRAIN.ts",), (), ("JapaneseVowels_TEST.ts",), "1m"
    ),
    "mnist1d": Benchmark("MNIST-1D", ("mnist1d.npz",), (), ("mnist1d.npz",), "3m"),
}


def elman(*arguments: str) -> dict[str, Any]:
    """What a command prints."""
    command = [sys.executable, "-m", "elman", *arguments, "--json"]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def score(data: Benchmark, folder: Path, seed: int, budget: list[str], settings: list[str]) -> dict[str, Any]:
    """Train with a seed, and score the test part."""
    train, valid, test = ([str(folder / file) for file in files] for files in (data.train, data.valid, data.test))
    chosen = [part for setting in settings for part in ("--set", setting)]
    held = ["--valid", *valid] if valid else []
    with tempfile.TemporaryDirectory() as place:
        given = [*train, *held, "--task", "classification", *budget, "--seed", str(seed), *chosen]
        trained = elman("train", *given, "-o", f"{place}/run")
        tested = elman("evaluate", f"{place}/run", *test)
    scores = {name: tested[name] for name in ("loss", "accuracy", "macro_f1", "calibration_error")}
    return {"seed": seed, **scores, "steps": trained["steps"], "epochs": trained["epochs"], "valid": trained["loss"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in DATA:
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, metavar="FOLDER")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--for", dest="budget", help="another budget than those above")
    parser.add_argument("--steps", help="a budget of steps instead")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    report: dict[str, list[dict[str, Any]]] = {}
    for name, data in DATA.items():
        folder = getattr(given, name)
        if folder is None:
            continue
        if missing := [file for file in (*data.train, *data.valid, *data.test) if not (folder / file).is_file()]:
            parser.error(f"there is no {folder / missing[0]}")
        budget = ["--steps", given.steps] if given.steps else ["--for", given.budget or data.budget]
        report[name] = [score(data, folder, seed, budget, given.settings) for seed in map(int, given.seeds.split(","))]
    if given.json:
        print(json.dumps(report))
        return
    print("| data | budget | accuracy | each | loss | calibration error | epochs |\n|---|---|---|---|---|---|---|")
    for name, runs in report.items():
        budget_words = f"{given.steps} steps" if given.steps else given.budget or DATA[name].budget
        mean = {key: statistics.mean(run[key] for run in runs) for key in ("accuracy", "loss", "calibration_error")}
        each = ", ".join(f"{run['accuracy']:.2f}" for run in runs)
        print(
            f"| {DATA[name].name} | {budget_words} | {mean['accuracy']:.2f} | {each} | {mean['loss']:.4f} "
            f"| {mean['calibration_error']:.4f} | {runs[0]['epochs']:.1f} |"
        )


if __name__ == "__main__":
    main()
