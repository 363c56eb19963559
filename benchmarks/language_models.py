"""Validation loss of every architecture at its default settings, each in the same wall time.

    python benchmarks/language_models.py TEXT [--for 140s] [--models lstm,gru,elman,transformer] [--json]

The figures in the README are of tiny Shakespeare (1,115,394 characters, the last 10 % for validation).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--for", dest="budget", default="140s")
    parser.add_argument("--models", default="lstm,gru,elman,transformer")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not arguments.text.exists():
        sys.exit(f"{arguments.text}: no such file; give a text to train on")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for model in arguments.models.split(","):
            run = Path(folder) / model
            train = [sys.executable, "-m", "elman", "train", str(arguments.text), "--for", arguments.budget]
            train += ["--model", model, "-o", str(run), "--json"]
            report = json.loads(subprocess.run(train, check=True, stdout=subprocess.PIPE).stdout)
            report["tokens_per_second"] = report["tokens"] / report["seconds"]
            rows.append(report)
    if arguments.json:
        print(json.dumps(rows))
        return
    print("| model | parameters | epochs | tokens/s | seconds | validation, nats a token |\n|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['model']} | {row['parameters']:,} | {row['epochs']:.1f} | {row['tokens_per_second']:,.0f} "
            f"| {row['seconds']:.0f} | {row['loss']:.4f} |"
        )


if __name__ == "__main__":
    main()
