"""Damaged files of labelled data: they are read, or refused in one line, and nothing else."""

import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from elman.data.labelled_corpus import prepare
from elman.data.labelled_files import read_inputs, read_labelled
from elman.errors import UserError

PIECES = [
    "\0",
    "\n",
    '"',
    ",",
    "\t",
    ":",
    "?",
    "nan",
    "1e999",
    "-",
    "[",
    "{",
    "}",
    "null",
    "@data\n",
    "9" * 400,
    "(",
    "\u2028",
]


def write_all(folder: Path) -> dict[str, list[Path]]:
    rows = [("ab"[at % 2], f"text {at}", at / 4) for at in range(12)]
    files = {
        "x.csv": "text,label\n" + "".join(f'"{text}, or",{label}\n' for label, text, _ in rows),
        "x.tsv": "text\tlabel\n" + "".join(f"{text}\t{number}\n" for _, text, number in rows),
        "x.jsonl": "".join(json.dumps({"values": [[x, None], [1, 2]], "label": y}) + "\n" for y, _, x in rows),
        "m.jsonl": "".join(json.dumps({"text": text, "label": [y]}) + "\n" for y, text, _ in rows),
        "x.ts": "@dimensions 2\n@classLabel true a b\n@data\n" + "".join(f"{x},?:1,2:{y}\n" for y, _, x in rows),
        "t.txt": "".join(f"{text}\n" for _, text, _ in rows),
        "l.txt": "".join(f"{label}\n" for label, _, _ in rows),
        "v.csv": "id,time,x\n" + "".join(f"{at % 4},{at},{x}\n" for at, (_, _, x) in enumerate(rows)),
        "l.csv": "id,label\n0,a\n1,b\n2,a\n3,b\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    np.savez(folder / "x.npz", x=np.arange(24.0).reshape(12, 2), y=np.arange(12) % 2)
    parquet.write_table(
        pa.table({"values": [[x, 1.0] for _, _, x in rows], "label": [y for y, _, _ in rows]}), folder / "x.parquet"
    )
    alone = ("x.csv", "x.tsv", "x.jsonl", "m.jsonl", "x.ts", "x.npz", "x.parquet")
    return {name: [folder / name] for name in alone} | {
        "two": [folder / "t.txt", folder / "l.txt"],
        "long": [folder / "v.csv", folder / "l.csv"],
    }


def _refusal(use: Callable[[], object]) -> str:
    """The words of a refusal, or nothing."""
    try:
        use()
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("form", ["x.csv", "x.tsv", "x.jsonl", "m.jsonl", "x.ts", "x.npz", "x.parquet", "two", "long"])
def test_damaged_files_are_read_or_refused(form: str, tmp_path: Path) -> None:
    files = write_all(tmp_path)[form]
    prepare(read_labelled(files))  # whole, they are sound
    whole = {path: path.read_bytes() for path in files}
    read = 0
    for seed in range(40):
        rng = random.Random(seed)
        path = rng.choice(files)
        data = bytearray(whole[path])
        for _ in range(rng.choice((1, 1, 3))):
            at = rng.randrange(len(data) + 1)
            way = rng.randrange(4)
            if way == 0:
                data[at:at] = rng.choice(PIECES).encode()
            elif way == 1:
                data[at : at + rng.choice((1, 2, 20))] = b""
            elif way == 2 and at < len(data):
                data[at] = rng.randrange(256)
            else:
                data[at:at] = data[at : at + rng.choice((3, 30))]
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            refusals = [_refusal(lambda: prepare(read_labelled(files))), _refusal(lambda: read_inputs(files[0]))]
        assert not any("\n" in each for each in refusals), (seed, refusals)
        read += refusals.count("")
        path.write_bytes(whole[path])
    assert read > 0
