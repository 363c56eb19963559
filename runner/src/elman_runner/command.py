"""`elman-run FOLDER`: text, translations, tags, labels or forecasts, from lines on stdin to lines on stdout."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from elman_runner import RunnerError, __version__, load

DIGITS = 8  # of probabilities
OPTIONS: dict[str, tuple[type, str]] = {
    "tokens": (int, "how many tokens to write (500)"),
    "temperature": (float, "above 1 bolder, below 1 safer, 0 the most probable"),
    "top-k": (int, "only the K most probable tokens"),
    "top-p": (float, "only the fewest tokens that hold P of the probability"),
    "min-p": (float, "only tokens P times as probable as the best"),
    "seed": (int, "for the same text again"),
    "beam": (int, "hypotheses kept a step (5); 1 is greedy search"),
    "nbest": (int, "translations of each line"),
    "length-penalty": (float, "above 0 longer translations (0.6)"),
    "prefix": (str, "what every translation begins with"),
}


def main(arguments: list[str] | None = None) -> int:
    """The command; the exit code."""
    parser = argparse.ArgumentParser(prog="elman-run", description="Run a folder that `elman export` wrote.")
    parser.add_argument("folder")
    parser.add_argument("prompt", nargs="?", default="", help="what a language model's text begins with")
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")
    parser.add_argument(
        "--stream", action="store_true", help="a word, or a row of values, a line; an empty line begins anew"
    )
    parser.add_argument("--sample", action="store_true", help="draw translations at random instead of searching")
    parser.add_argument("--threads", type=int, help="of onnxruntime")
    parser.add_argument("--version", action="version", version=__version__)
    for name, (kind, text) in OPTIONS.items():
        parser.add_argument(f"--{name}", type=kind, help=text)
    given = parser.parse_args(arguments)
    try:
        model = load(given.folder, threads=given.threads)
        return RUNS[type(model).__name__](model, given)
    except RunnerError as error:
        print(f"elman-run: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def _options(given: Any, *names: str) -> dict[str, Any]:
    """The options of these names that were given. Raises `RunnerError` where others were."""
    known = {name.replace("-", "_") for name in OPTIONS}
    found = {name: value for name in known if (value := getattr(given, name)) is not None}
    if wrong := sorted(set(found) - {*names}):
        raise RunnerError(f"--{wrong[0].replace('_', '-')}: not an option for this model")
    if not 0 <= found.get("seed", 0) < 1 << 63:
        raise RunnerError("--seed: expected from 0 to 2^63 - 1")
    return found


def _write(model: Any, given: Any) -> int:
    from elman_runner.sampling import Drawing, any_seed

    o = _options(given, "tokens", "temperature", "top_k", "top_p", "min_p", "seed")
    seed, tokens = o.pop("seed", any_seed()), o.pop("tokens", 500)
    writing = model.write(given.prompt, tokens=tokens, drawing=Drawing(**{"temperature": 0.8, **o}), seed=seed)
    if given.json:
        pieces = list(writing)
        written = [piece for piece in pieces if piece.token is not None]
        _json(
            {
                "prompt": given.prompt,
                "text": "".join(piece.text for piece in pieces),
                "seed": seed,
                "ids": [piece.token for piece in written],
                "log_probabilities": [round(piece.log_probability, 6) for piece in written],
            }
        )
        return 0
    print(given.prompt, end="", flush=True)
    for piece in writing:
        print(piece.text, end="", flush=True)
    print()
    return 0


def _each_line(given: Any, answer: Callable[[int, str], tuple[str, dict[str, Any]]]) -> int:
    """Answer every line of stdin; a line without an answer stays empty and is named on stderr. The exit code."""
    refused = 0
    for number, line in enumerate(_lines(), 1):
        try:
            text, record = answer(number, line)
        except RunnerError as error:
            refused += 1
            text, record = "", {"line": number, "error": str(error)}
            print(f"line {number}: {error}", file=sys.stderr)
        _json(record) if given.json else print(text, flush=True)
    return 1 if refused else 0


def _lines() -> Iterator[str]:
    try:
        for line in sys.stdin.buffer:
            yield line.decode("utf-8", "replace").rstrip("\r\n")
    except AttributeError:
        raise RunnerError("expected lines on stdin, got a closed one") from None


def _json(record: dict[str, Any]) -> None:
    print(json.dumps(record, ensure_ascii=False), flush=True)


def _translate(model: Any, given: Any) -> int:
    from elman_runner.sampling import Drawing, any_seed

    drawing = ("temperature", "top_k", "top_p", "min_p", "seed")
    o = _options(given, "nbest", "prefix", *(drawing if given.sample else ("beam", "length_penalty")))
    seed, prefix = o.pop("seed", any_seed()), o.pop("prefix", "")
    if unknown := model.target.encode(prefix).tolist().count(model.target.unk):
        print(f"warning: {unknown} of the prefix's tokens are unknown to the model", file=sys.stderr)

    def answer(number: int, line: str) -> tuple[str, dict[str, Any]]:
        if given.sample:
            how = Drawing(**{name: o[name] for name in drawing if name in o})
            found = model.sample(line, seed=seed, number=number, samples=o.get("nbest", 1), drawing=how, prefix=prefix)
        else:
            found = model.predict(line, prefix=prefix, **o)
        every = [{"text": y.text, "score": round(y.score, 6)} for y in found]
        return "\n".join(" ".join(y.text.splitlines()) for y in found), {"line": number, **every[0], "nbest": every}

    return _each_line(given, answer)


def _tag(model: Any, given: Any) -> int:
    _options(given)
    memory: Any = None

    def answer(number: int, line: str) -> tuple[str, dict[str, Any]]:
        nonlocal memory
        if given.stream and line.strip():
            said, memory = model.step(line.strip(), memory)
        else:
            memory, said = None, model.tag("" if given.stream else line)
        probabilities = [dict(zip(model.tags, row, strict=True)) for row in said.probabilities.round(DIGITS).tolist()]
        record = {"line": number, "tags": said.tags, "probabilities": probabilities}
        if model.scheme is not None and not given.stream:
            record["spans"] = _spans(line, model.spans(said.tags))
        return " ".join(said.tags), record

    return _each_line(given, answer)


def _spans(line: str, spans: Iterable[Any]) -> list[dict[str, Any]]:
    """Spans of a line's words, with their places in the line."""
    words, found = [word.span() for word in re.finditer(r"\S+", line)], []
    for label, start, stop in spans:
        begin, end = words[start][0], words[stop - 1][1]
        place = {"start": start, "stop": stop, "offsets": (begin, end), "text": line[begin:end]}
        found.append({"label": label, **place})
    return found


def _classify(model: Any, given: Any) -> int:
    _options(given)
    memory: Any = None

    def answer(number: int, line: str) -> tuple[str, dict[str, Any]]:
        nonlocal memory
        if given.stream and not line.strip():
            memory = None
            return "", {"input": number}
        piece: Any = line
        if not model.texts:
            piece = [_parsed(line)] if given.stream else _parsed(line)
        said, after = model.step(piece, memory)
        memory = after if given.stream else None
        if model.kind == "number":
            return f"{said.label:.6g}", {"input": number, "value": said.label, "deviation": said.deviation}
        probabilities = {name: round(p, DIGITS) for name, p in said.probabilities.items()}
        several = isinstance(said.label, tuple)
        record = {"labels" if several else "label": said.label, "probabilities": probabilities}
        return "|".join(said.label) if several else said.label, {"input": number, **record}

    return _each_line(given, answer)


def _forecast(model: Any, given: Any) -> int:
    _options(given)
    names = ["mean", *(f"q{100 * level:g}" for level in model.levels)]
    if not given.json:
        print(",".join(["unique_id", "step", *names]))

    def answer(number: int, line: str) -> tuple[str, dict[str, Any]]:
        series = _parsed(line)
        series = series if isinstance(series, dict) else {"values": series}
        name = str(series.get("unique_id", number))
        mean, quantiles, deviation = model.forecast(
            series.get("values"), id=name, columns=series.get("columns"), static=series.get("static")
        )
        digits = max(6 - math.floor(math.log10(deviation)), 0) if deviation else 17
        every = [
            [round(cell, digits) for cell in (m, *row)]
            for m, row in zip(mean.tolist(), quantiles.tolist(), strict=True)
        ]
        lines = "\n".join(",".join([name, f"{step}", *map(repr, row)]) for step, row in enumerate(every, 1))
        return lines, {"unique_id": name, **dict(zip(names, map(list, zip(*every, strict=True)), strict=True))}

    return _each_line(given, answer)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise RunnerError(f"expected JSON, got {line[:40]!r}") from None


RUNS = {
    "LanguageModel": _write,
    "Translator": _translate,
    "Tagger": _tag,
    "Classifier": _classify,
    "Forecaster": _forecast,
}
