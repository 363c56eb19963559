"""Hostile inputs drawn by chance from a seed: damaged runs, settings, texts and numbers, each read by a command.

An input passes if the command ends in time with an exit code, without a fault of elman's own, with one line for a
person where it fails, with JSON where JSON was asked for, and with all files still there that it had no right to touch.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from elman.cli import run as command
from elman.train.checkpoints import VALUES

SECONDS = 30  # for one input, on a machine that is busy with others
MEMORY = 12 << 30  # what cannot be allocated must be refused, not taken
DEEP = "[" * 100_000
NUMBERS: list[Any] = [
    -1,
    0,
    1,
    2,
    3,
    0.5,
    1 << 31,
    1 << 63,
    10**30,
    -(10**30),
    1e300,
    1e-300,
    float("nan"),
    float("inf"),
]
HOSTILE: list[Any] = [*NUMBERS, None, True, {}, [], [[]], {"a": {}}, "", "x", "../outside", "/", "é\u2028\x00", "lstm"]
HUGE = "99999999999999999999"
WORDS = ["0", "1", "2", "-1", "0.5", "1e400", "nan", "inf", "-inf", HUGE, "", " ", "x", "٣", "1_0", "0x9"]


class Hung(BaseException):
    """The time is over. Not an `Exception`: no command may take it for its own."""


@dataclass(frozen=True)
class Given:
    """What every input begins with: finished runs and texts, which are copied before they are damaged."""

    runs: dict[str, Path]  # by name
    sources: dict[str, Path]  # the data of each run
    training: dict[str, list[str]]  # options that keep a training on them small
    comparison: Path
    comparing: list[str]

    @property
    def text(self) -> Path:
        """The text that models of language read."""
        return self.sources["lstm"]


@dataclass
class Input:
    """A folder that something was done to, and the command that is to read what is in it."""

    arguments: list[str]
    folder: Path | None = None  # a run or a comparison
    said: str = ""  # what was done
    stdin: bytes = b""


def check(given: Given, seed: int, place: Path) -> str:
    """Draw an input in an empty folder and try it; returns what was wrong, or nothing."""
    rng = random.Random(seed)
    outside = place / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_text("mine")
    made = rng.choice(KINDS)(given, rng, place)
    for folder in (made.folder, made.folder / "model", made.folder / "checkpoints") if made.folder else ():
        if folder.is_dir() and not folder.is_symlink():
            (folder / "notes.txt").write_text("mine")
    before = names(made.folder)
    with contextlib.chdir(place):
        code, out, err = tried(made.arguments, made.stdin)
    wrong = faults(code, out, err, "--json" in made.arguments)
    # A run that goes on writes into a folder of its own that is a link; nobody removes what was there.
    goes_on = "--resume" in made.arguments
    if (outside / "mine.txt").read_text() != "mine" or not (goes_on or names(outside) == {"mine.txt"}):
        wrong.append("a file outside was touched")
    if lost := lost_names(made, before, code):
        wrong.append(f"lost: {sorted(lost)}")
    return f"seed {seed}: {made.said} {made.arguments}\n  {'; '.join(wrong)}\n{err}" if wrong else ""


def faults(code: int | None, out: str, err: str, as_json: bool) -> list[str]:
    """What is wrong with how a command ended."""
    if code is None:
        return ["hung"]
    wrong = [] if code in (0, 1, 2) else [f"exit code {code}"]
    wrong += [text for text in ("own fault", "Traceback") if text in err]
    if code and not (err.splitlines() or [""])[-1].startswith("elman: "):
        wrong.append("no line for a person at the end")
    if as_json and code == 0:
        for line in out.splitlines():
            json.loads(line, parse_constant=lambda name: wrong.append(f"{name} is not JSON"))
    return wrong


def names(folder: Path | None) -> set[str]:
    """All that is in a folder, links unfollowed."""
    if folder is None or not folder.is_dir():
        return set()
    found = {Path(top, name) for top, folders, files in os.walk(folder) for name in [*files, *folders]}
    return {str(path.relative_to(folder)) for path in found if path.is_symlink() or not path.is_dir()}


def lost_names(made: Input, before: set[str], code: int | None) -> set[str]:
    """Files that should still be there: all where it failed, and all but old checkpoints where it did not."""
    gone = before - names(made.folder)
    if code == 0 and "--overwrite" in made.arguments:
        return {name for name in gone if Path(name).name == "notes.txt"}
    return {name for name in gone if not Path(name).name.startswith((".", "step-"))}


def tried(arguments: list[str], stdin: bytes, memory: int = MEMORY) -> tuple[int | None, str, str]:
    """Exit code (None: it hung), stdout and stderr of a command in this process, in bounded time and memory."""

    def ring(*_: object) -> None:
        raise Hung

    out, given = (io.TextIOWrapper(io.BytesIO(data), "utf-8", write_through=True) for data in (b"", stdin))
    err = io.StringIO()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    before, stdin_before = signal.signal(signal.SIGALRM, ring), sys.stdin
    resource.setrlimit(resource.RLIMIT_AS, (memory, limits[1]))
    sys.stdin = given
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code: int | None = command(arguments)
    except Hung:
        code = None
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        sys.stdin = stdin_before
    return code, cast(io.BytesIO, out.buffer).getvalue().decode(), err.getvalue()


# The look of each run that is tried.
LOOKS = dict.fromkeys(("lstm", "transformer"), "gradients") | {"pairs": "source"}
LOOKS |= dict.fromkeys(("labels", "tags", "series"), "inputs")


# --- what is done to files


def damage(path: Path, rng: random.Random, outside: Path) -> str:
    """Damage a file in one way; returns which."""
    way = rng.choice(WAYS)
    if path.stat().st_size:
        try:
            way(path, rng, outside)
        except (ValueError, yaml.YAMLError):  # it is damaged already, and has no values to change
            cut(path, rng, outside)
    return f"{way.__name__}({path.name})"


def changed_bytes(path: Path, rng: random.Random, outside: Path) -> None:
    """A few bytes are others."""
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 3, 20))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    path.write_bytes(data)


def cut(path: Path, rng: random.Random, outside: Path) -> None:
    """The end is missing."""
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def emptied(path: Path, rng: random.Random, outside: Path) -> None:
    """Nothing is in it."""
    path.write_bytes(b"")


def deep(path: Path, rng: random.Random, outside: Path) -> None:
    """Deeply nested, from somewhere on."""
    text = path.read_bytes()
    at = rng.randrange(len(text))
    path.write_bytes(text[:at] + DEEP.encode() + text[at:])


def removed(path: Path, rng: random.Random, outside: Path) -> None:
    """It is not there."""
    path.unlink()


def folder_in_place(path: Path, rng: random.Random, outside: Path) -> None:
    """A folder with a file has its name."""
    path.unlink()
    path.mkdir()
    (path / "file").write_text("mine")


def link_in_place(path: Path, rng: random.Random, outside: Path) -> None:
    """A link to somewhere else has its name."""
    path.unlink()
    path.symlink_to(rng.choice((outside, outside / "mine.txt", Path("nowhere"), Path(path.name))))


def pipe_in_place(path: Path, rng: random.Random, outside: Path) -> None:
    """A named pipe, at whose other end is nobody."""
    path.unlink()
    os.mkfifo(path)


def changed_values(path: Path, rng: random.Random, outside: Path) -> None:
    """One of the values that it holds is another; as a file of its format it is whole."""
    match path.suffix:
        case ".json":
            _dump_json(path, changed(json.loads(path.read_bytes()), rng))
        case ".jsonl":
            lines = path.read_text(encoding="utf-8").splitlines()
            if lines:
                at = rng.randrange(len(lines))
                lines[at] = json.dumps(changed(json.loads(lines[at]), rng))
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        case ".yaml":
            path.write_text(yaml.safe_dump(changed(yaml.safe_load(path.read_text(encoding="utf-8")), rng)))
        case ".safetensors":
            _change_tensors(path, rng)
        case _:
            changed_bytes(path, rng, outside)


WAYS: list[Callable[[Path, random.Random, Path], None]] = [
    *[changed_values] * 6, changed_bytes, cut, emptied, deep, removed, folder_in_place, link_in_place, pipe_in_place,
]  # fmt: skip


def changed(tree: Any, rng: random.Random) -> Any:
    """A tree of plain values with one of them replaced, removed or doubled."""
    if not isinstance(tree, dict | list) or not tree or rng.random() < 0.1:
        return rng.choice(HOSTILE)
    key = rng.choice(list(tree)) if isinstance(tree, dict) else rng.randrange(len(tree))
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    if rng.random() < 0.15:
        del copy[key]
    else:
        copy[key] = changed(tree[key], rng)
    return copy


def _dump_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values), encoding="utf-8")


def _change_tensors(path: Path, rng: random.Random) -> None:
    """Another header of a safetensors file; in a checkpoint another value, with the right checksum."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    stored = header.get("__metadata__", {})
    if VALUES in stored and rng.random() < 0.7:
        values = json.dumps(changed(json.loads(stored[VALUES]), rng))
        sums = json.loads(stored["crc32"]) | {VALUES: zlib.crc32(values.encode())}
        header["__metadata__"] = {VALUES: values, "crc32": json.dumps(sums)}
    elif rng.random() < 0.5:
        header = changed(header, rng)
    else:
        start = 8 + length + rng.randrange(max(1, len(data) - 8 - length - 4))
        data = data[:start] + b"\xff\xff\xff\x7f" + data[start + 4 :]  # NaN, where a float begins there
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


# --- kinds of inputs


def files(folder: Path) -> Iterator[Path]:
    """The files below a folder that are no links, in one order."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def a_damaged_run(given: Given, rng: random.Random, place: Path) -> Input:
    """One or two files of a run are damaged, or a folder of it is a link."""
    name = rng.choice(list(given.runs))
    run = shutil.copytree(given.runs[name], place / "run")
    said = [name]
    if rng.random() < 0.2:
        folder = rng.choice([path for path in sorted(run.iterdir()) if path.is_dir()])
        shutil.rmtree(folder)
        folder.symlink_to(rng.choice((place / "outside", Path("nowhere"))))
        said.append(f"{folder.name} is a link")
    else:
        # As many tries for a small folder's files as for a large one's.
        for _ in range(rng.choice((1, 1, 2))):
            top = rng.choice([path for path in sorted(run.iterdir()) if path.name != ".lock"])
            below = [path for path in files(run) if path == top or top in path.parents]
            if below:
                said.append(damage(rng.choice(below), rng, place / "outside"))
    text, small = str(given.sources[name]), given.training[name]
    uses = {"pairs": ["predict", str(run), str(given.text), "--max-length", "5"]}
    uses |= {key: ["generate", str(run), "--tokens", "5"] for key in ("lstm", "transformer")}
    use = uses.get(name, ["predict", str(run), text])
    look = LOOKS[name]
    more = ["--resume", "--steps", "14"]
    commands = [
        ["evaluate", str(run), text, *([] if name != "pairs" else ["--beam", "1"])],
        use,
        ["inspect", str(run), "--parts", rng.choice(["clipping", look])],
        ["train", text, "-o", str(run), *more, *rng.choice(([], small))],
        ["train", text, "-o", str(run), *more],
        ["train", text, "-o", str(run), "--overwrite", "--steps", "1", *small],
    ]
    arguments = rng.choice(commands)
    return Input([*arguments, *rng.choice(([], ["--json"]))], run, ", ".join(said))


def a_damaged_comparison(given: Given, rng: random.Random, place: Path) -> Input:
    """A file of a comparison is damaged."""
    folder = shutil.copytree(given.comparison, place / "comparison")
    first = [folder / "comparison.json", folder / "timing.json"]
    target = rng.choice([*first, *first, rng.choice(list(files(folder)))])
    said = damage(target, rng, place / "outside")
    way = rng.choice(["--resume", "--resume", "--overwrite"])
    arguments = ["compare", str(given.text), "-o", str(folder), way, *given.comparing]
    return Input([*arguments, *rng.choice(([], ["--json"]))], folder, said)


def settings(given: Given, rng: random.Random, place: Path) -> Input:
    """Settings of any value, by --set or in a file."""
    name = rng.choice(list(given.runs))
    source = given.sources[name]
    tree = yaml.safe_load((given.runs[name] / "config.yaml").read_text(encoding="utf-8"))
    for section in ("data", "model", "train"):
        tree[section] = {
            k: v for k, v in tree[section].items() if k not in ("source", "target", "valid", "fingerprint")
        }
    arguments = ["train", str(source), "-o", str(place / "new"), "--steps", "1"]
    if rng.random() < 0.5:
        path = place / "settings.yaml"
        path.write_text(yaml.safe_dump(changed(tree, rng)))
        if rng.random() < 0.2:
            # Not a pipe: --config waits for what a person sends through one.
            rng.choice([changed_bytes, cut, emptied, deep, removed, folder_in_place])(path, rng, place / "outside")
        said = repr(path.read_bytes()[:2000]) if path.is_file() else "no file"
        return Input([*arguments, "--config", str(path)], None, said)
    section = rng.choice(["model", "train", "data"])
    key = rng.choice(list(tree[section]))
    value = rng.choice([*map(str, HOSTILE), *WORDS, "[", "{a", "&a [*a]", "!!python/none x", "2001-99-99"])
    return Input([*arguments, *given.training[name], "--model", tree["kind"], "--set", f"{key}={value}"], None)


def numbers(given: Given, rng: random.Random, place: Path) -> Input:
    """Options of any value."""
    lstm, pairs, series, text = *(str(given.runs[name]) for name in ("lstm", "pairs", "series")), str(given.text)
    commands = {
        ("generate", lstm, "--tokens", "3"): ("tokens", "temperature", "top-k", "top-p", "min-p", "seed"),
        ("predict", pairs, text): (
            "beam", "nbest", "length-penalty", "coverage-penalty", "min-length", "max-length", "block-ngrams", "batch",
            "max-source",
        ),
        ("predict", pairs, text, "--sample"): ("temperature", "top-k", "top-p", "min-p", "seed", "nbest"),
        ("evaluate", lstm, text): ("lanes",),
        ("evaluate", series, str(given.sources["series"])): ("windows", "step", "batch"),
        ("predict", str(given.runs["tags"]), str(given.sources["tags"])): ("batch", "format"),
        ("evaluate", pairs, str(given.sources["pairs"])): ("beam", "length-penalty", "batch"),
        ("train", text, "-o", str(place / "new"), *given.training["lstm"]): ("steps", "epochs", "for"),
        ("train", text, "-o", str(place / "new"), *given.training["lstm"], "--steps", "1"): ("seed",),
        ("compare", text, "-o", str(place / "new"), *given.comparing): ("parameters", "seeds", "trials", "seed"),
        ("bench", "--cells", "gru", "--shapes", "3,1,4", "--seconds", "0.001"): ("seconds", "shapes", "threads"),
        ("lab", "powers", "--quick"): ("seed",),
    }  # fmt: skip
    fixed = rng.choice(list(commands))
    option = rng.choice(commands[fixed])
    # A training of any length and any number of trainings are what was asked for: only what cannot be is tried.
    endless = option in ("tokens", "steps", "epochs", "for", "seeds", "trials", "seconds")
    word = rng.choice([word for word in WORDS if not endless or word not in (HUGE, "1_0")])
    return Input([*fixed, f"--{option}={word}"], None)


def texts(given: Given, rng: random.Random, place: Path) -> Input:
    """Any bytes as a text, pairs, lines to translate or a prompt."""
    source = rng.choice([*given.sources.values()])
    name = rng.choice(
        ["t.txt", "t.jsonl", "t.tsv", "t.csv", "t.gz", "t.zst", "t.json", "t.ts", "t.conllu", source.name]
    )
    path = place / name
    data = bytearray(source.read_bytes())
    for _ in range(rng.choice((0, 1, 5))):
        at = rng.randrange(len(data))
        junk = rng.choice(
            [
                b"\x00",
                b"\xff",
                b"\xef\xbb\xbf",
                b"\xff\xfe",
                b"\r",
                b"\t",
                b"\n" * 9,
                b'{"text": ',
                b"\xe2\x80\xa8",
                b"w" * 5000,
            ]
        )
        data[at:at] = junk
    path.write_bytes(bytes(data[: rng.choice((0, 1, 2, 50, len(data)))]))
    run = str(given.runs[rng.choice(list(given.runs))])
    arguments = rng.choice(
        [
            ["train", str(path), "-o", str(place / "new"), "--steps", "1", *given.training["lstm"]],
            ["train", str(path), "-o", str(place / "new"), "--steps", "1", "--task", "translation"],
            [
                "train",
                str(given.text),
                "--valid",
                str(path),
                "-o",
                str(place / "new"),
                "--steps",
                "1",
                *given.training["lstm"],
            ],
            ["evaluate", run, str(path), "--json"],
            ["predict", str(given.runs["pairs"]), str(path), "--max-length", "3", "--beam", "1", "--json"],
            ["predict", str(given.runs["pairs"]), "--max-length", "3", "--beam", "1"],
            ["train", str(path), "-o", str(place / "new"), "--steps", "1", "--task", "classification"],
            *(["predict", str(given.runs[name]), str(path), "--json"] for name in ("labels", "tags", "series")),
            *(
                ["train", str(path), "-o", str(place / "new"), "--steps", "1", "--task", task]
                for task in ("tagging", "forecasting")
            ),
            ["inspect", run, str(path), "--parts", "clipping"],
            ["compare", str(path), "-o", str(place / "new"), *given.comparing],
        ]
    )
    return Input(arguments, None, repr(bytes(path.read_bytes()[:200])), stdin=path.read_bytes())


KINDS: list[Callable[[Given, random.Random, Path], Input]] = [
    *[a_damaged_run] * 6, *[a_damaged_comparison] * 2, *[settings] * 4, *[numbers] * 2, *[texts] * 3,
]  # fmt: skip
