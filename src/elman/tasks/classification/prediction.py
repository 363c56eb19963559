"""Labels of sequences, for people and for programs; and of one that arrives, the label so far."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elman.data.example_batches import evaluation_batches
from elman.data.labelled import series_of
from elman.data.labelled_corpus import Examples, encode
from elman.data.linefile import InputLine
from elman.errors import UserError
from elman.state import State
from elman.tasks.classification.corpus import in_memory, is_plain, symbols, unlabelled
from elman.tasks.classification.evaluation import probabilities, say_labels
from elman.tasks.classification.settings import LabelOptions
from elman.tasks.exchange import Answer, Inputs, Say, Trained, in_table, table_in

DIGITS = 8  # of a probability


def predict(run: Trained, inputs: Inputs, options: LabelOptions, say: Say) -> Iterator[Answer]:
    """A label for each text or series: of a file, of lines as they arrive, or of objects in memory.

    Raises `UserError` where a stream is asked of a model that needs the whole.
    """
    if options.stream:
        return stream(run, inputs)
    if inputs.memory is not None:
        return _of_memory(run, inputs.memory, options.batch, say)
    if inputs.path is not None and not is_plain(inputs.path):
        return _answers(run, unlabelled(run, inputs.path), options.batch)
    return _of_lines(run, inputs, options.batch)


def _of_memory(run: Trained, inputs: Sequence[Any], batch: int, say: Say) -> Iterator[Answer]:
    """Texts or series; or one table with an example a row, which is given back with a column of labels."""
    if (rows := table_in(inputs)) is None:
        yield from _answers(run, in_memory(run, inputs), batch)
    else:
        yield in_table(rows, _answers(run, in_memory(run, rows, "row"), batch), say)


def _of_lines(run: Trained, inputs: Inputs, batch: int) -> Iterator[Answer]:
    """Each line is a text, or of a model of series a JSON list. Lines that arrive together are read together."""
    first = 1
    for arrived in inputs.arriving:
        sound: list[Any] = []
        refused: dict[int, str] = {}
        for number, line in enumerate(arrived, first):
            try:
                sound.append(_object(run, line, f"{inputs.name}, line {number}"))
            except UserError as error:
                refused[number] = str(error)
        found = _answers(run, in_memory(run, sound), batch) if sound else iter(())
        for number in range(first, first + len(arrived)):
            if number in refused:
                yield _without(number, refused[number])
            else:
                yield replace(one := next(found), number=number, record=dict(one.record) | {"input": number})
        first += len(arrived)


def _without(number: int, error: str) -> Answer:
    return Answer(number, None, [""], {"input": number, "error": error}, error)


def _object(run: Trained, line: InputLine, place: str) -> Any:
    """What a line holds. Raises `UserError`, which begins with the place."""
    if line.error:
        raise UserError(line.error)
    if "tokenizer" in run.codecs:
        return line.text
    try:
        values = json.loads(line.text)
    except ValueError:
        remedy = "--stream reads a row of values a line"
        raise UserError(place, expected="a series as a JSON list", got=line.text[:40], remedy=remedy) from None
    channels = run.scaler.channels
    series = series_of(values["values"] if isinstance(values, dict) and "values" in values else values, place)
    if series.shape[1] != channels:
        raise UserError(place, expected=f"{channels} channels", got=series.shape[1])
    return series


def _answers(run: Trained, examples: Examples, batch: int) -> Iterator[Answer]:
    """In the order of the examples, which are read in batches of nearly equal lengths."""
    for row, (label, said) in enumerate(label_examples(run, examples, batch)):
        named = {} if examples.ids is None else {"id": examples.ids[row]}
        record = {"input": row + 1, **named, **said}
        if "attention" in said and "tokenizer" in run.codecs:
            record["tokens"] = symbols(run.tokenizer, examples, row)
        yield Answer(row + 1, run.labels.given(label), ["\t".join([*named.values(), text(label)])], record)


@torch.no_grad()
def label_examples(run: Trained, examples: Examples, batch: int) -> list[tuple[Any, dict[str, Any]]]:
    """The label of each example, and what programs are told of it: probabilities, and attention where there is any."""
    found: list[Any] = [None] * len(examples)
    for rows, part in evaluation_batches(examples, batch):
        moved = part.to(next(run.model.parameters()).device)
        logits = run.model.scores(moved.inputs, lengths=moved.lengths)[0]
        shares = _shares(run, moved.inputs, moved.lengths)
        for at, (row, said) in enumerate(zip(rows.tolist(), label_logits(run, logits), strict=True)):
            if shares is not None:
                said[1]["attention"] = shares[at][: len(examples.inputs[row])]
            found[row] = said
    return found


def _shares(run: Trained, inputs: Tensor, lengths: Tensor) -> list[list[float]] | None:
    """The weights of attention pooling, where the model has it."""
    if getattr(run.model.settings, "pooling", None) != "attention":
        return None
    weights = run.model.pooling_weights(inputs, lengths=lengths).double().cpu().numpy()
    return [[round(weight, DIGITS) for weight in row] for row in weights.tolist()]


def label_logits(run: Trained, logits: Tensor) -> list[tuple[Any, dict[str, Any]]]:
    """Of each row of logits (B, K): the label, and with it the probability of each; of a number its deviation."""
    exact = logits.double().cpu().numpy()
    labels, names = say_labels(run.model, run.labels, exact), run.labels.names
    if run.labels.kind == "number":
        deviation = run.labels.deviation * float(run.model.temperature) ** 0.5
        return [(value, {"value": value, "deviation": deviation}) for value in labels]
    key = "label" if run.labels.kind == "class" else "labels"
    every = probabilities(run.model, exact).tolist()
    return [
        (
            label,
            {
                key: list(label) if isinstance(label, tuple) else label,
                "probabilities": {name: round(p, DIGITS) for name, p in zip(names, row, strict=True)},
            },
        )
        for label, row in zip(labels, every, strict=True)
    ]


def text(label: Any) -> str:
    """A label in a line.

    >>> text("a"), text(("a", "b")), text(0.25), text(())
    ('a', 'a|b', '0.25', '')
    """
    return "|".join(label) if isinstance(label, tuple) else f"{label:.6g}" if isinstance(label, float) else label


def stream(run: Trained, inputs: Inputs) -> Iterator[Answer]:
    """The label so far after each line, which is a token (or some), or a row of values; an empty line begins anew.

    Raises `UserError` for a model that is not causal.
    """
    if not run.model.causal:
        run.model.refuse_steps()
    if inputs.memory is not None:
        raise UserError("stream", expected="lines of a file or of stdin", got="objects in memory")
    return _streamed(run, inputs)


def _streamed(run: Trained, inputs: Inputs) -> Iterator[Answer]:
    state: State | None = None
    number = steps = 0
    for line in (line for arrived in inputs.arriving for line in arrived):
        number += 1
        place = f"{inputs.name}, line {number}"
        if not line.error and not line.text.strip():
            state, steps = None, 0
            yield Answer(number, None, [""], {"input": number, "step": 0})
            continue
        try:
            piece = _piece(run, line, place)
        except UserError as error:
            yield _without(number, str(error))
            continue
        with torch.no_grad():
            read = torch.from_numpy(piece)[None].to(next(run.model.parameters()).device)
            logits, state = run.model.scores(read, state)
        steps += len(piece)
        ((label, said),) = label_logits(run, logits)
        yield Answer(number, run.labels.given(label), [text(label)], {"input": number, "step": steps, **said})


def _piece(run: Trained, line: InputLine, place: str) -> np.ndarray[Any, Any]:
    """The tokens or the standardised row of a line. Raises `UserError`, which begins with the place."""
    if line.error:
        raise UserError(line.error)
    if "tokenizer" in run.codecs:
        return encode([line.text], run.tokenizer).inputs[0]
    return encode([series_of([_row(line.text, place)], place)], run.scaler, places=[place]).inputs[0]


def _row(line: str, place: str) -> Sequence[float | None]:
    """Numbers between commas, or between white space where there is no comma; a missing one is empty, NaN or null."""
    cells = line.strip().strip("[]").split(",") if "," in line else line.strip().strip("[]").split()
    try:
        return [None if cell.strip().lower() in ("", "nan", "null", "?") else float(cell) for cell in cells]
    except ValueError:
        raise UserError(place, expected="a row of numbers between commas", got=line[:40]) from None
