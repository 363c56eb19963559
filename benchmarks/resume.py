"""Exact resume: runs killed with SIGKILL at random moments, and resumed, against an undisturbed run.

    python benchmarks/resume.py [TEXT] [--trials 20] [--steps 60] [--model lstm] [--set KEY=VALUE ...] [--json]

Each trial trains by the real command in its own processes. It is killed at a random moment (while it starts, reads the
text, trains, validates or writes) one to four times, and resumed until it is done. It passes if the weights of the
model and every byte of metrics.jsonl are those of the undisturbed run. One thread, or as OMP_NUM_THREADS says.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

COMPARED = ("model/model.safetensors", "metrics.jsonl")


def train(arguments: argparse.Namespace, run: Path, kill_after: float | None = None) -> bool:
    """Start or resume a run, and kill it after so many seconds; returns whether the run ended before."""
    command = [sys.executable, "-m", "elman", "train", arguments.text, "-o", str(run), "--resume"]
    command += ["--model", arguments.model, "--steps", str(arguments.steps)]
    for setting in arguments.settings:
        command += ["--set", setting]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env={"OMP_NUM_THREADS": "1", **os.environ})
    try:
        _, err = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return False
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\n{err.decode()}")
    return True


def trial(arguments: argparse.Namespace, run: Path, seconds: float, moments: random.Random) -> dict[str, Any]:
    """Kill a run at up to four moments, drawn from the time that an undisturbed run takes, then let it end."""
    kills = []
    for _ in range(moments.randint(1, 4)):
        moment = moments.uniform(0, seconds)
        if train(arguments, run, moment):
            break
        steps = [int(path.stem.split("-")[1]) for path in run.glob("checkpoints/step-*.safetensors")]
        kills.append({"seconds": round(moment, 3), "saved_step": max(steps, default=None)})
    train(arguments, run)
    return {"kills": kills}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="?", default="python-stdlib")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--model", default="lstm")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--set", dest="settings", action="append", default=["checkpoint_every=2"], metavar="KEY=VALUE")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Run all trials, and report."""
    arguments = parse()
    moments = random.Random(arguments.seed)
    trials: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="elman-resume-") as folder:
        whole = Path(folder) / "undisturbed"
        begun = time.perf_counter()
        train(arguments, whole)
        seconds = time.perf_counter() - begun
        for number in range(1, arguments.trials + 1):
            run = Path(folder) / f"trial-{number}"
            result = trial(arguments, run, seconds, moments)
            same = {name: (run / name).read_bytes() == (whole / name).read_bytes() for name in COMPARED}
            trials.append({**result, **same, "identical": all(same.values())})
            kills = ", ".join(f"{kill['seconds']:.1f} s (step {kill['saved_step']})" for kill in result["kills"])
            verdict = "identical" if all(same.values()) else "DIFFERENT"
            print(f"{number:3}  {verdict}  killed after {kills or 'nothing: it was faster'}", file=sys.stderr)
    identical = sum(t["identical"] for t in trials)
    kills_in_all = sum(len(t["kills"]) for t in trials)
    if arguments.json:
        report = {"identical": identical, "trials": len(trials), "kills": kills_in_all, "seconds": round(seconds, 1)}
        print(json.dumps({**report, "model": arguments.model, "steps": arguments.steps, "results": trials}))
    else:
        print(f"{identical} of {len(trials)} killed runs ended bit-identical ({kills_in_all} kills)")
    sys.exit(identical < len(trials))


if __name__ == "__main__":
    main()
