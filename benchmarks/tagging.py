"""Tagging: scores of taggers of default settings after so much wall time, and the speed of their training.

    python benchmarks/tagging.py [--bosque FOLDER] [--snips FOLDER] [--seeds 1,2,3] [--rounds 7] [--json]

BOSQUE is the folder of UD Portuguese-Bosque (pt_bosque-ud-train.conllu and so on), whose UPOS are learnt in 5 minutes;
SNIPS that of the slots (train.seq.in, train.seq.out and so on), learnt in 3 minutes. Each seed is a training by `elman
train`, validated on the development part and scored on the test part by `elman evaluate`.

With SNIPS, training steps of a BiLSTM-CRF take turns with those of the same model written with torch.nn and the package
pytorch-crf: 2 layers of 128 units a direction, words and characters, the same batches, AdamW, clipping. With one thread
the clock is the thread's own time, else the wall's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BUDGETS = {"bosque": "5m", "snips": "3m"}
SCORES = {"bosque": "accuracy", "snips": "span_f1"}
NAMES = {"bosque": "UD Bosque, UPOS, accuracy", "snips": "SNIPS, slots, strict span F1"}
MODEL = {"hidden_size": 256, "num_layers": 2, "embedding_size": 128, "character_size": 64, "crf": True}
BATCH_WORDS = 512


def files(name: str, folder: Path, part: str) -> list[str]:
    """The files of a part: train, valid or test."""
    if name == "bosque":
        return [str(folder / f"pt_bosque-ud-{'dev' if part == 'valid' else part}.conllu")]
    return [str(folder / f"{part}.seq.in"), str(folder / f"{part}.seq.out")]


def elman(*arguments: str) -> str:
    """What a command prints."""
    return subprocess.run(
        [sys.executable, "-m", "elman", *arguments], check=True, capture_output=True, text=True
    ).stdout


def score(name: str, folder: Path, seed: int, budget: str, settings: list[str]) -> dict[str, Any]:
    """Train with a seed, and score the test part."""
    chosen = [each for setting in settings for each in ("--set", setting)]
    with tempfile.TemporaryDirectory() as place:
        run = str(Path(place) / "run")
        given = [*files(name, folder, "train"), "--valid", *files(name, folder, "valid")]
        begun = time.perf_counter()
        elman("train", *given, "--task", "tagging", "--for", budget, "--seed", str(seed), "-o", run, *chosen)
        seconds = time.perf_counter() - begun
        report = json.loads(elman("evaluate", run, *files(name, folder, "test"), "--json"))
        steps = json.loads(elman("info", run, "--json"))["steps"]
    kept = ("loss", "accuracy", "span_f1", "span_f1_lenient")
    return {"seed": seed, "seconds": seconds, "steps": steps, **{key: report[key] for key in kept if key in report}}


def ours(folder: Path, precision: str, place: Path) -> Any:
    """A training of elman's model."""
    from elman.preparation import prepare

    data = dict(zip(("source", "target"), files("snips", folder, "train"), strict=True))
    data |= dict(zip(("valid", "valid_target"), files("snips", folder, "valid"), strict=True))
    train = {"optimizer": "adamw", "average": 0.0, "batch_words": BATCH_WORDS, "precision": precision}
    tree = {"task": "tagging", "kind": "lstm", "budget": "1000000 steps", "data": data}
    return prepare(tree | {"model": MODEL | {"dropout": 0.3}, "train": train}, place)


def theirs(corpus: Any) -> Any:
    """The same model with torch.nn and pytorch-crf."""
    import torch
    from torch import nn
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
    from torchcrf import CRF

    class Peer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(len(corpus.words), MODEL["embedding_size"])
            self.characters = nn.Embedding(len(corpus.characters), MODEL["character_size"] // 2)
            half = MODEL["character_size"] // 2
            self.spelling = nn.LSTM(half, half, bidirectional=True)
            size = MODEL["embedding_size"] + MODEL["character_size"]
            units, layers = MODEL["hidden_size"] // 2, MODEL["num_layers"]
            self.encoder = nn.LSTM(size, units, num_layers=layers, bidirectional=True, dropout=0.3)
            self.dropout = nn.Dropout(0.3)
            self.output = nn.Linear(2 * units, len(corpus.tags))
            self.crf = CRF(len(corpus.tags))

        def forward(self, batch: Any) -> torch.Tensor:
            words, spelling, characters, targets, lengths = batch
            sizes = (characters != 1).sum(1)
            spelt = pack_padded_sequence(self.characters(characters.t()), sizes, enforce_sorted=False)
            _, (last, _) = self.spelling(spelt)
            spelt = last.transpose(0, 1).flatten(1)[spelling]
            x = self.dropout(torch.cat((self.words(words), spelt), -1)).transpose(0, 1)
            hidden, _ = pad_packed_sequence(self.encoder(pack_padded_sequence(x, lengths, enforce_sorted=False))[0])
            scores = self.output(self.dropout(hidden))
            mask = torch.arange(words.shape[1]) < lengths[:, None]
            nats: torch.Tensor = -self.crf(scores, targets.clamp(min=0).t(), mask.t(), reduction="sum")
            return nats / lengths.sum()

    torch.manual_seed(1)
    model = Peer().train()
    update = torch.optim.AdamW(model.parameters(), lr=3e-3, fused=True)

    def step(batch: Any) -> None:
        loss = model(batch)
        update.zero_grad()
        loss.backward()
        loss.item()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        update.step()

    return step


def speeds(folder: Path, rounds: int, threads: int, steps: int = 10) -> list[dict[str, Any]]:
    """Sentences a second of training, of both, in turns."""
    import torch

    from elman.environment import has_bfloat16, keep_freed

    keep_freed()
    torch.set_num_threads(threads)
    clock = time.thread_time if threads == 1 else time.perf_counter
    found = []
    for precision in ["float32", *(["bfloat16"] if has_bfloat16("cpu") else [])]:
        with tempfile.TemporaryDirectory() as place, ours(folder, precision, Path(place) / "run") as prepared:
            rates = in_turns(prepared, rounds, steps, clock)
        ratio = statistics.median(a / b for a, b in zip(*rates.values(), strict=True))
        row = {name: statistics.median(each) for name, each in rates.items()}
        found.append({"precision of elman": precision, "threads": threads, **row, "ratio": ratio})
    return found


def in_turns(prepared: Any, rounds: int, steps: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Sentences a second in each round, of both."""
    training, batches, peer = prepared.training, prepared.training.objective.train, theirs(prepared.corpus)
    training.model.train()

    def sentences(at: int) -> int:
        return len(batches.plan(0)[at % batches.count(0)])

    def mine(at: int) -> int:
        training.counters.epoch, training.counters.batch = 0, at % batches.count(0)
        training.step()
        return sentences(at)

    def other(at: int) -> int:
        peer(batches.batch(0, at % batches.count(0)))
        return sentences(at)

    rates: dict[str, list[float]] = {"elman": [], "torch.nn + pytorch-crf": []}
    for number in range(rounds + 1):  # the first warms up
        for name, run in zip(rates, (mine, other), strict=True):
            begun = clock()
            read = sum(run(number * steps + step) for step in range(steps))
            if number:
                rates[name].append(read / (clock() - begun))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bosque", type=Path)
    parser.add_argument("--snips", type=Path)
    parser.add_argument("--seeds", default="1,2,3", help="empty: the speed alone")
    parser.add_argument("--for", dest="budget", help="another budget than 5m and 3m")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--rounds", type=int, default=7, help="of the comparison of speeds; 0: none")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    report: dict[str, Any] = {}
    for name in BUDGETS:
        folder = getattr(given, name)
        if folder is None:
            continue
        if missing := [file for file in files(name, folder, "train") if not Path(file).is_file()]:
            parser.error(f"there is no {missing[0]}")
        for seed in map(int, filter(None, given.seeds.split(","))):
            report.setdefault(name, []).append(score(name, folder, seed, given.budget or BUDGETS[name], given.settings))
    if given.snips and given.rounds:
        report["speed"] = speeds(given.snips, given.rounds, given.threads)
    if given.json:
        print(json.dumps(report))
        return
    print("| data | budget | mean | each | steps |\n|---|---|---|---|---|")
    for name in [name for name in SCORES if name in report]:
        values = [run[SCORES[name]] for run in report[name]]
        each, steps = (
            ", ".join(f"{value:.2f}" for value in values),
            ", ".join(str(run["steps"]) for run in report[name]),
        )
        budget, mean = given.budget or BUDGETS[name], statistics.mean(values)
        print(f"| {NAMES[name]} | {budget} | {mean:.2f} | {each} | {steps} |")
    if "speed" in report:
        print("\n| elman's precision | threads | sentences/s | torch.nn + pytorch-crf | ratio |\n|---|---|---|---|---|")
        for row in report["speed"]:
            own, other = f"{row['elman']:,.0f}", f"{row['torch.nn + pytorch-crf']:,.0f}"
            print(f"| {row['precision of elman']} | {row['threads']} | {own} | {other} | {row['ratio']:.2f} |")


if __name__ == "__main__":
    main()
