"""The graph of a tagger, which gives the scores of tags; a search with a CRF stays outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from elman.arrays import Numbers
from elman.data.lanes import NOT_COUNTED
from elman.data.vocabulary import UNKNOWN
from elman.data.word_batches import MOST_CHARACTERS, WordBatch
from elman.export.onnx import states, trials
from elman.export.onnx.drawing import Call, Compared, Drawing
from elman.export.onnx.encoder import encode
from elman.export.onnx.graph import Graph, Value
from elman.export.onnx.layered import draw_scores
from elman.export.onnx.recurrent import read_layer
from elman.export.onnx.steps import concat, reshape, total, transpose
from elman.export.options import ExportOptions
from elman.models.layered_tagger import LayeredTagger
from elman.models.tagger import Tagger
from elman.models.word_reader import PADDING, WordReader
from elman.state import State, leaves
from elman.tasks.exchange import Trained


def draw(run: Trained, options: ExportOptions) -> Drawing:
    """Words, their characters, and the state where the encoder is causal, to scores (B, T, K)."""
    model: Tagger = run.model
    graph = Graph("model", model)
    x = _words(graph, model.reader)
    ends = graph.input("lengths", "int64", ["batch"]) if options.lengths else None
    fresh = model.initial_state(1)
    hidden, after = encode(graph, model.encoder, x, states.read(graph, fresh), ends)
    scores = hidden.linear(model.output_layer.weight, model.output_layer.bias)
    graph.output("logits", scores, ["batch", "time", len(model.tags)])
    states.write(graph, fresh, after)
    run_trial = partial(trial, model, options.lengths)
    return Drawing({"model": graph}, model.encoder.causal, answer(run), trial=run_trial)


def draw_layered(run: Trained, options: ExportOptions) -> Drawing:
    """An imported model, which reads words alone."""
    model: LayeredTagger = run.model
    graph = Graph("model", model)
    tokens = graph.input("tokens", "int64", ["batch", "time"])
    draw_scores(graph, model, tokens, ["batch", "time", len(model.tags)], options, as_classes=True)
    return Drawing({"model": graph}, model.causal, answer(run), trial=partial(trial, model, options.lengths))


def _words(graph: Graph, reader: WordReader) -> Value:
    """The vectors (B, T, D) of words, and of the characters (B, T, C) that each is spelled with."""
    tokens = graph.input("tokens", "int64", ["batch", "time"])
    x = graph.add("Gather", graph.weight(reader.words.weight), tokens, dtype="float32")
    if not reader.character_size:
        return x
    given = graph.input("characters", "int64", ["batch", "time", "characters"])
    spelled = reshape(given, -1, graph.size(given, 2))  # (B · T, C)
    real = graph.add("Not", spelled == PADDING)
    letters = graph.add("Gather", graph.weight(reader.characters.weight), transpose(spelled, 1, 0), dtype="float32")
    lengths = total(graph.cast(real, "int64"), 1)
    _, (forward, _, backward, _) = read_layer(graph, reader.spelling, letters, lengths=lengths)
    ends = concat(graph, [forward, backward], 1)
    read = reshape(ends, graph.size(tokens, 0), graph.size(tokens, 1), reader.character_size)
    return concat(graph, [x, read], 2)


def answer(run: Trained) -> dict[str, Any]:
    """What tags need beside the scores."""
    model: Tagger = run.model
    crf = model.crf_layer
    return {
        "tags": list(model.tags),
        "scheme": model.scheme,
        "word_by_word": model.causal,
        "unknown": UNKNOWN,
        "padding": PADDING,
        "longest_word": MOST_CHARACTERS if model.character_size else None,
        "crf": None if crf is None else {"weight": crf.weight.tolist(), "allowed": cast(Any, crf.allowed).tolist()},
    }


def trial(model: Tagger, ragged: bool, observed: Any, call: Call) -> Iterator[Compared]:
    """Validation sentences, or random words: some whole with their loss, and several together, in pieces."""
    if observed is not None:
        for row in range(min(len(observed.part), trials.WHOLE)):
            batch = observed.batch([row])
            known, targets = int((batch.targets != NOT_COUNTED).sum()), batch.targets
            found = _read(model, call, batch[:3], batch.lengths if ragged else None)
            scores = [torch.from_numpy(each) for each in (*found.ours, *found.theirs)]
            ours, theirs = (float(model.nats(each, targets, batch.lengths).detach()) for each in scores)
            yield found._replace(loss=(ours, theirs, known))
    for rows in trials.groups(trials.WHOLE if observed is None else len(observed.part)):
        *given, lengths = _random(model, len(rows)) if observed is None else _without_targets(observed.batch(rows))
        ends, T = trials.shortest(lengths, ragged=ragged)
        yield _read(model, call, _until(given, T), ends)
        if model.causal:
            yield from _pieces(model, call, _until(given, int(lengths.min())), ragged)


Given = Sequence[Tensor]
"""Words (B, T), the row of `characters` of each, and characters (U, C)."""


def _without_targets(batch: WordBatch) -> Given:
    return *batch[:3], batch.lengths


def _until(given: Given, T: int) -> Given:
    words, spelling, characters = given
    return words[:, :T], spelling[:, :T], characters


def _feeds(model: Tagger, given: Given) -> dict[str, Numbers]:
    words, spelling, characters = given
    return {"tokens": words.numpy()} | ({"characters": characters[spelling].numpy()} if model.character_size else {})


@torch.no_grad()
def _read(model: Tagger, call: Call, given: Given, lengths: Tensor | None) -> Compared:
    """Scores of whole sentences; those of padding are left out."""
    state = trials.named([leaf.numpy() for leaf in leaves(model.initial_state(len(given[0])))])
    found = call("model", {**_feeds(model, given), **trials.lengths_of(lengths), **state})
    ours = model.scores(*given, lengths=lengths)[0].numpy()
    if lengths is None:
        return Compared([ours], [found["logits"]])
    real = (torch.arange(ours.shape[1]) < lengths[:, None])[..., None].numpy()
    return Compared([ours * real], [found["logits"] * real])


def _pieces(model: Tagger, call: Call, given: Given, ragged: bool) -> Iterator[Compared]:
    words, spelling, characters = given

    def read(piece: slice, state: State) -> tuple[Tensor, State]:
        return model.scores(words[:, piece], spelling[:, piece], characters, state)

    def feed(piece: slice) -> dict[str, Numbers]:
        ends = torch.full((len(words),), piece.stop - piece.start) if ragged else None
        return {name: each[:, piece] for name, each in _feeds(model, given).items()} | trials.lengths_of(ends)

    yield from trials.in_pieces(call, "logits", read, feed, words.shape[1], model.initial_state(len(words)))


def _random(model: Tagger, rows: int) -> Given:
    source, T, C = trials.generator(), trials.STEPS, 7
    words = torch.randint(model.word_vocab_size, (rows, T), generator=source)
    characters = torch.randint(model.character_vocab_size, (rows * T, C), generator=source)
    ends = torch.arange(rows * T) % C + 1
    characters = characters.masked_fill(characters == PADDING, UNKNOWN)
    characters = characters.masked_fill(torch.arange(C) >= ends[:, None], PADDING)
    return words, torch.arange(rows * T).view(rows, T), characters, T - torch.arange(rows) % T
