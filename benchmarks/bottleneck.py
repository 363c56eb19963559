"""Quality against the length of the source: a context vector alone loses long sources, and attention does not.

    python benchmarks/bottleneck.py TEST RUN [RUN ...] [--beam 5] [--buckets 5] [-o bottleneck.html] [--json]

TEST is a file of pairs (.tsv, .jsonl), or two parallel files with a comma between them; the runs are translation runs
of `elman train`, preferably with about equal numbers of parameters. The pairs are put into buckets of about equal size
by the length of their source in words, or in characters where sources have no spaces.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import elman
from elman.data.pairs import open_pairs
from elman.decode.translation import Beam, Translator
from elman.metrics.translation import score
from elman.report import Chapter, Line, Report, line_chart, render


def buckets(lengths: np.ndarray, count: int) -> list[np.ndarray]:
    """Indices of pairs, the shortest sources first; no length is in two buckets."""
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, count + 1)[1:-1]))
    return [np.flatnonzero(np.digitize(lengths, edges) == bucket) for bucket in range(len(edges) + 1)]


def measure(run: str, texts: list[tuple[str, str]], parts: list[np.ndarray], beam: int) -> dict[str, Any]:
    loaded = elman.load(run)
    translator = Translator(loaded.model, loaded.source_tokenizer, loaded.target_tokenizer, Beam(beam))
    written = [translation.text for translation in translator([source for source, _ in texts])]
    scores = [score([written[i] for i in part], [texts[i][1] for i in part]) for part in parts]
    return {
        "run": run,
        "parameters": sum(p.numel() for p in loaded.model.parameters()),
        "bleu": [found.get("bleu", float("nan")) for found in scores],
        "exact_match": [found["exact_match"] for found in scores],
    }


def page(rows: list[dict[str, Any]], lengths: list[float], unit: str) -> str:
    figures = [
        line_chart(
            [
                Line(Path(row["run"]).name, np.array(lengths), np.array(row[key]), colour=1 + index % 6)
                for index, row in enumerate(rows)
            ],
            title=title,
            x=f"mean length of the source, {unit}",
            y=title,
            zero=True,
            reading="A line that falls to the right belongs to a model that forgets a part of a long source.",
        )
        for key, title in (("bleu", "BLEU"), ("exact_match", "exact matches of 100"))
    ]
    facts = [(Path(row["run"]).name, f"{row['parameters']:,} parameters") for row in rows]
    text = "The same test pairs, in buckets of about equal size by the length of their source."
    sections = [Chapter("Quality", text, figures, [])]
    return render(Report("The bottleneck", "Quality against length.", facts, sections, ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("test")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--buckets", type=int, default=5)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    texts = [(pair.source, pair.target) for pair in open_pairs(arguments.test.split(",")).pairs()]
    words = any(" " in source for source, _ in texts)
    lengths = np.array([len(source.split()) if words else len(source) for source, _ in texts])
    parts = buckets(lengths, arguments.buckets)
    means = [float(lengths[part].mean()) for part in parts]
    rows = [measure(run, texts, parts, arguments.beam) for run in arguments.runs]
    unit = "words" if words else "characters"
    if arguments.out:
        arguments.out.write_text(page(rows, means, unit), encoding="utf-8")
    if arguments.json:
        print(json.dumps({"lengths": means, "pairs": [len(part) for part in parts], "runs": rows}))
        return
    print(f"| BLEU at a mean source length of | parameters | {' | '.join(f'{mean:.1f} {unit}' for mean in means)} |")
    print("|---" * (2 + len(means)) + "|")
    for row in rows:
        cells = " | ".join(f"{value:.1f}" for value in row["bleu"])
        print(f"| {Path(row['run']).name} | {row['parameters']:,} | {cells} |")


if __name__ == "__main__":
    main()
