"""Forecasts of ETTh1 at default settings after the same wall time, and the speed of training beside neuralforecast's.

    python benchmarks/forecasting.py DATA [--for 3m] [--seeds 3] [--horizons 96,24] [--models gru] [--json]
    python benchmarks/forecasting.py DATA --neuralforecast VENV/bin/python [--rounds 3] [--threads 2] [--json]

DATA is the folder of ETTh1.csv, or a table like it. Its rows are split as Informer's authors did: 8,640 to train, 2,880
to validate, 2,880 to test; each window has 96 steps of the past, and no window of the test part is left out.

The second form measures windows a second of training steps in turns with neuralforecast's GRU, of as many units and
layers and with as many windows in a batch, on the same series in the same run. The interpreter is that of a virtual
environment with `pip install neuralforecast torch==2.13.0`. A model is a kind with settings, as in --models.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

PARTS = {"train": (0, 8640), "valid": (8640, 11520), "test": (11520, 14400)}
WINDOW = 96
FORMS = ("gru", "gru:form=direct,segment=1", "gru:form=direct,segment=1,precision=bfloat16")
SIZES = ((128, 1, 256), (200, 2, 128))  # units, layers, windows in a batch: elman's own, and neuralforecast's own
WARMING, STEPS = 2, 8

# One round of neuralforecast's training: the seconds of each step, as JSON in its last line.
NEURALFORECAST = """
import json, logging, sys, time, warnings
warnings.filterwarnings("ignore")
import pandas, torch
table, horizon, window, units, layers, windows, steps, threads = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
from neuralforecast import NeuralForecast
from neuralforecast.models import GRU
from pytorch_lightning.callbacks import Callback
times = []
class Clock(Callback):
    def on_train_batch_end(self, *given):
        times.append(time.perf_counter())
wide = pandas.read_csv(table)
wide["date"] = pandas.to_datetime(wide["date"])
long = wide.melt("date", var_name="unique_id", value_name="y").rename(columns={"date": "ds"})
model = GRU(
    h=horizon, input_size=window, encoder_n_layers=layers, encoder_hidden_size=units, windows_batch_size=windows,
    batch_size=long["unique_id"].nunique(), max_steps=steps, val_check_steps=10**6, callbacks=[Clock()], logger=False,
    enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False,
)
NeuralForecast([model], freq="h").fit(long)
print(json.dumps([after - before for before, after in zip(times, times[1:])]))
"""


def elman(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "elman", *arguments, "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def split(table: Path, folder: Path) -> dict[str, Path]:
    """The three parts, each in a file that begins with the window before its first forecast."""
    header, *rows = table.read_text().splitlines()
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, (begin, end) in PARTS.items():
        files[name] = folder / f"{name}.csv"
        files[name].write_text("\n".join([header, *rows[max(0, begin - WINDOW) : end]]) + "\n")
    return files


def settings_of(model: str) -> tuple[str, list[str]]:
    kind, _, settings = model.partition(":")
    return kind, [part for setting in filter(None, settings.split(",")) for part in ("--set", setting)]


def train(files: dict[str, Path], model: str, horizon: int, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one model, and score it on the test part."""
    kind, settings = settings_of(model)
    run = str(arguments.out / f"{model}-{horizon}-{seed}".replace(":", "-").replace("=", "-").replace(",", "-"))
    given = [str(files["train"]), "--valid", str(files["valid"]), "--task", "forecasting", "--model", kind, *settings]
    given += ["--set", f"data.window={WINDOW}", "--horizon", str(horizon), "--seed", str(seed)]
    trained = elman("train", *given, "--for", arguments.budget, "-o", run, "--resume")
    return {
        "model": model,
        "horizon": horizon,
        "seed": seed,
        "training": trained,
        "test": elman("evaluate", run, str(files["test"])),
    }


def quality(files: dict[str, Path], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    return [
        train(files, model, int(horizon), seed, arguments)
        for horizon in arguments.horizons.split(",")
        for model in arguments.models.split(";")
        for seed in range(1, arguments.seeds + 1)
    ]


def print_quality(rows: list[dict[str, Any]]) -> None:
    print("| horizon | model | seeds | MSE, standardised (each) | coverage of 80 % | seasonal naive | linear |")
    print("|---|---|---|---|---|---|---|")
    for horizon, model in dict.fromkeys((row["horizon"], row["model"]) for row in rows):
        tests = [row["test"] for row in rows if (row["horizon"], row["model"]) == (horizon, model)]
        errors, covered = ([test[name] for test in tests] for name in ("mse_standardised", "coverage_80"))
        floors = " | ".join(f"{tests[0][name]['mse_standardised']:.4f}" for name in ("seasonal_naive", "linear"))
        each = ", ".join(f"{error:.4f}" for error in errors)
        mean = statistics.mean(errors)
        print(
            f"| {horizon} | {model} | {len(tests)} | {mean:.4f} ({each}) | {statistics.mean(covered):.1f} | {floors} |"
        )


def tree_of(table: Path, model: str, horizon: int, size: tuple[int, int, int]) -> dict[str, Any]:
    """The settings of a training of one size."""
    from elman.tasks import configuration

    kind, settings = settings_of(model)
    tree: dict[str, Any] = {"task": "forecasting", "kind": kind, "budget": "1000 steps"}
    tree["data"] = {"source": str(table), "horizon": horizon, "window": WINDOW}
    sizes = dict(zip(("hidden_size", "num_layers", "batch_windows"), size, strict=True))
    return configuration.assign(configuration.set_values(tree, settings[1::2]), sizes)


def timed(step: Callable[[], object]) -> float:
    begun = time.perf_counter()
    step()
    return time.perf_counter() - begun


def speed(table: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Windows a second of every form, in turns with neuralforecast, a size after the other."""
    import torch

    from elman.preparation import prepare

    torch.set_num_threads(arguments.threads)
    horizon, rows = int(arguments.horizons.split(",")[0]), []
    for size in SIZES:
        seconds: dict[str, list[float]] = {name: [] for name in ("neuralforecast", *FORMS)}
        with ExitStack() as stack:
            trainings = {}
            for n, form in enumerate(FORMS):
                made = prepare(tree_of(table, form, horizon, size), arguments.out / f"speed-{n}", overwrite=True)
                trainings[form] = stack.enter_context(made).training
                trainings[form].model.train()
            for _ in range(arguments.rounds):
                given = [table, horizon, WINDOW, *size, WARMING + STEPS + 1, arguments.threads]
                command = [arguments.neuralforecast, "-c", NEURALFORECAST, *map(str, given)]
                shown = subprocess.run(
                    command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                )
                seconds["neuralforecast"] += json.loads(shown.stdout.splitlines()[-1])[WARMING:]
                for form, training in trainings.items():
                    seconds[form] += [timed(training.step) for _ in range(WARMING + STEPS)][WARMING:]
        middle = {name: statistics.median(found) for name, found in seconds.items()}
        for name, found in middle.items():
            rate, ratio = size[2] / found, middle["neuralforecast"] / found
            rows.append({"size": size, "horizon": horizon, "model": name, "windows_per_second": rate, "ratio": ratio})
    return rows


def print_speed(rows: list[dict[str, Any]]) -> None:
    print("| units, layers, batch | model | windows/s | times neuralforecast |")
    print("|---|---|---|---|")
    for row in rows:
        size = ", ".join(map(str, row["size"]))
        print(f"| {size} | {row['model']} | {row['windows_per_second']:,.0f} | {row['ratio']:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--for", dest="budget", default="3m")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--horizons", default="96,24")
    parser.add_argument("--models", default="gru", help="kinds with their settings, with ; between them")
    parser.add_argument("--neuralforecast", metavar="PYTHON", help="measure the speed, beside this interpreter's")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-forecasting"))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    table = arguments.data / "ETTh1.csv" if arguments.data.is_dir() else arguments.data
    if not table.is_file():
        sys.exit(f"{table}: no such file; give the folder of ETTh1.csv")
    files = split(table, arguments.out / "parts")
    measured = speed(files["train"], arguments) if arguments.neuralforecast else quality(files, arguments)
    if arguments.json:
        print(json.dumps(measured))
    else:
        (print_speed if arguments.neuralforecast else print_quality)(measured)


if __name__ == "__main__":
    main()
